"""Marks in YAML files, and the values that take the place of those beside them.

    image: registry.example/app:1.0.0 # {"$imagepolicy": "apps:app"}

Rules: image-automation-controller, internal/update; kyaml, fieldmeta and setters2. Flux writes a file that it changes
in kyaml's layout, all of it; here the marked values change and the rest of the file stays as it was.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from azsandbox.flux.image.templates.values import Struct

MARK = '"$imagepolicy"'
_KEY = "$imagepolicy"
_ENDINGS = (".yaml", ".yml")
_LISTS = ("List", "ResourceList")


@dataclass(frozen=True, order=True)
class TypeMeta(Struct):
    """What kind of object it is."""

    GO = "yaml.TypeMeta"
    APIVersion: str
    Kind: str


@dataclass(frozen=True, order=True)
class NameMeta(Struct):
    """How an object is called."""

    GO = "yaml.NameMeta"
    Name: str
    Namespace: str


@dataclass(frozen=True, order=True)
class ResourceIdentifier(Struct):
    """Both."""

    GO, EMBEDS = "yaml.ResourceIdentifier", ("TypeMeta", "NameMeta")
    TypeMeta: TypeMeta
    NameMeta: NameMeta


@dataclass(frozen=True, order=True)
class ObjectId(Struct):
    """What names an object in a file, in the layers that it has in Go."""

    GO, EMBEDS = "update.ObjectIdentifier", ("ResourceIdentifier",)
    ResourceIdentifier: ResourceIdentifier

    @classmethod
    def of(cls, api_version: str, kind: str, name: str, namespace: str) -> ObjectId:
        """From the parts that a manifest has."""
        return cls(ResourceIdentifier(TypeMeta(api_version, kind), NameMeta(name, namespace)))


@dataclass(frozen=True, order=True)
class Change(Struct):
    """A value that was changed, and the mark that it was changed by."""

    GO = "update.Change"
    OldValue: str
    NewValue: str
    Setter: str


@dataclass
class Changes:
    """What was changed: by file, then by object. `files` are the files' new contents."""

    by_file: dict[str, dict[ObjectId, list[Change]]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def objects(self) -> dict[ObjectId, list[Change]]:
        """Changes by object, whichever file it is in."""
        found: dict[ObjectId, list[Change]] = {}
        for objects in self.by_file.values():
            for identity, changes in objects.items():
                found.setdefault(identity, []).extend(changes)
        return found

    def all(self) -> list[Change]:
        """Every change once."""
        return list(
            dict.fromkeys(c for objects in self.by_file.values() for changes in objects.values() for c in changes)
        )


def values_of(policies: list[dict[str, Any]]) -> dict[str, str]:
    """What marks stand for, by policies with a latest image: namespace:name, and with :tag, :name and :digest."""
    found: dict[str, str] = {}
    for policy in policies:
        ref = (policy.get("status") or {}).get("latestRef")
        if not ref:
            continue
        name = f"{policy['metadata']['namespace']}:{policy['metadata']['name']}"
        digest = ref.get("digest", "")
        found[name] = f"{ref['name']}:{ref['tag']}" + (f"@{digest}" if digest else "")
        found |= {f"{name}:tag": ref["tag"], f"{name}:name": ref["name"], f"{name}:digest": digest}
    return found


def updated(files: Mapping[str, bytes], values: Mapping[str, str]) -> Changes:
    """Sets the marked values in YAML files, by their paths. What cannot be read as YAML is left alone."""
    changes = Changes()
    for path, data in sorted(files.items()):
        if not _is_yaml(path) or MARK.encode() not in data:
            continue
        try:
            text = data.decode("utf-8")
            edits = list(_edits(text, values))
        except (UnicodeDecodeError, yaml.YAMLError):
            continue
        told: dict[ObjectId, list[Change]] = {}
        for edit in edits:
            if edit.identity is not None:
                told.setdefault(edit.identity, []).append(edit.change)
        if not told:  # Flux takes a file whose changes lie in no object for one without changes
            continue
        for edit in sorted(edits, key=lambda e: e.start, reverse=True):
            text = text[: edit.start] + edit.written + text[edit.end :]
        changes.by_file[path], changes.files[path] = told, text.encode()
    return changes


def _is_yaml(path: str) -> bool:
    name = posixpath.basename(path)
    return name == "Kustomization" or posixpath.splitext(name)[1] in _ENDINGS


@dataclass(frozen=True)
class _Edit:
    start: int
    end: int
    written: str
    identity: ObjectId | None  # None: in something that is no object
    change: Change


def _edits(text: str, values: Mapping[str, str]) -> Iterator[_Edit]:
    for document in yaml.compose_all(text, yaml.SafeLoader):
        for node in _objects(document):
            identity = _identity(node)
            for scalar in _scalars(node):
                mark = _mark(text, scalar)
                if mark not in values or values[mark] == scalar.value:
                    continue
                change = Change(scalar.value, values[mark], mark)
                written = _written(values[mark], scalar.style)
                yield _Edit(scalar.start_mark.index, scalar.end_mark.index, written, identity, change)


def _objects(document: yaml.Node) -> list[yaml.Node]:
    """The objects of a document: itself, or the items of a list of objects."""
    if isinstance(document, yaml.MappingNode):
        fields = _fields(document)
        kind, items = fields.get("kind"), fields.get("items")
        named = isinstance(kind, yaml.ScalarNode) and (kind.value in _LISTS or kind.value.endswith("List"))
        if named and isinstance(items, yaml.SequenceNode):
            return list(items.value)
    return [document]


def _fields(node: yaml.Node | None) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}


def _identity(node: yaml.Node) -> ObjectId | None:
    """What names an object; None for a document that has neither kind, version nor metadata."""
    fields = _fields(node)
    if not fields.keys() & {"apiVersion", "kind", "metadata"}:
        return None
    metadata = _fields(fields.get("metadata"))

    def text(part: yaml.Node | None) -> str:
        return str(part.value) if isinstance(part, yaml.ScalarNode) else ""

    return ObjectId.of(
        text(fields.get("apiVersion")),
        text(fields.get("kind")),
        text(metadata.get("name")),
        text(metadata.get("namespace")),
    )


def _scalars(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """The values of a node and of all below it; no keys."""
    waiting = [node]
    while waiting:
        found = waiting.pop(0)
        if isinstance(found, yaml.ScalarNode):
            yield found
        elif isinstance(found, yaml.MappingNode):
            waiting[:0] = [value for _, value in found.value]
        elif isinstance(found, yaml.SequenceNode):
            waiting[:0] = found.value


def _mark(text: str, scalar: yaml.ScalarNode) -> str:
    """The mark beside a value, or above it where it is an item of a list; empty for none."""
    end = text.find("\n", scalar.end_mark.index)
    rest = text[scalar.end_mark.index : len(text) if end < 0 else end].strip()
    if rest.startswith("#"):
        return _named(rest)
    start = text.rfind("\n", 0, scalar.start_mark.index) + 1
    before = text[start : scalar.start_mark.index]
    if before.strip() != "-" or not start:
        return ""
    above = text[text.rfind("\n", 0, start - 1) + 1 : start - 1].strip()
    return _named(above) if above.startswith("#") else ""


def _named(comment: str) -> str:
    """The name that a comment gives: {"$imagepolicy": "namespace:name"}."""
    try:
        found = json.loads(comment.lstrip("#"))
    except ValueError:
        return ""
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        return ""
    return str(found.get(_KEY, ""))


def _written(value: str, style: str | None) -> str:
    """A value as YAML, quoted as the one before; one that would not be read as text is quoted always."""
    if style == "'":
        return "'" + value.replace("'", "''") + "'"
    if style == '"' or not _is_plain_text(value):
        return json.dumps(value, ensure_ascii=False)
    return value


def _is_plain_text(value: str) -> bool:
    """Whether an unquoted value is read as this very text."""
    try:
        node = yaml.compose(value, yaml.SafeLoader)
    except yaml.YAMLError:
        return False
    if not isinstance(node, yaml.ScalarNode) or node.value != value or node.tag != "tag:yaml.org,2002:str":
        return False
    try:
        float(value)  # more is a number to Flux than to YAML: 1e3
    except ValueError:
        return True
    return False
