"""Whether a YAML file holds objects that kustomize takes, in kustomize's words (kyaml, GetValidatedMetadata)."""

from __future__ import annotations

import re
from typing import Any, ClassVar, NamedTuple

import yaml

from azsandbox.flux import go_yaml

_SEPARATOR = re.compile(r"\n---.*\n")
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_STRING = "tag:yaml.org,2002:str"


class BadManifest(ValueError):
    """A file that kustomize would refuse; the message is kustomize's."""


class Head(NamedTuple):
    """What an object in a file says to be."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """Equal for objects that kustomize takes for the same."""
        return self.api_version.rpartition("/")[0], self.kind, self.namespace, self.name


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Composes nodes and leaves plain scalars unresolved, as go-yaml's nodes keep their text."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {None: [("plain", re.compile(r"", re.DOTALL))]}


def read_heads(content: bytes) -> tuple[Head, ...]:
    """The heads of the objects in a file, those in lists among them.

    Raises BadManifest unless every document is an object with a kind and a name, or a list of them.
    """
    documents = _split(content.decode("utf-8", "replace").replace("\r\n", "\n"))
    nodes = [node for node in (_compose(document) for document in documents) if node is not None]
    if len(documents) == 1 and len(nodes) == 1 and _text(_field(nodes[0], "kind")) in ("List", "ResourceList"):
        items = _field(nodes[0], "items")
        if items is not None:
            nodes = list(items.value) if isinstance(items, yaml.SequenceNode) else []
    heads: list[Head] = []
    for node in nodes:  # which grows by what lists hold
        if _is_empty(node):
            continue
        head = _head(node)
        items = _field(node, "items")
        if head.kind.endswith("List") and isinstance(items, yaml.SequenceNode):
            nodes += items.value
        else:
            heads.append(head)
    return tuple(heads)


def _split(text: str) -> list[str]:
    documents: list[str] = []
    start = 0
    for found in _SEPARATOR.finditer(text):
        after = found.group()[4:].strip()
        if after and not after.startswith("#"):
            raise BadManifest(f"invalid document separator: {found.group().strip()}")
        documents.append(text[start : found.start()] + "\n")
        start = found.end()
    return [*documents, text[start:]] if text else []


def _compose(document: str) -> yaml.Node | None:
    """The first document of a text, or None for one that is empty."""
    loader = _Loader(document)
    try:
        if not loader.check_node():
            return None
        node: yaml.Node = loader.get_node()
    except yaml.YAMLError as error:
        raise BadManifest(f"MalformedYAMLError: {go_yaml.error_words(error)}") from None
    finally:
        loader.dispose()
    return None if _is_null(node) else node


def _head(node: yaml.Node) -> Head:
    metadata = _field(node, "metadata")
    kind, version = _text(_field(node, "kind")), _text(_field(node, "apiVersion"))
    name, namespace = _text(_field(metadata, "name")), _text(_field(metadata, "namespace"))
    labels, annotations = _map(_field(metadata, "labels")), _map(_field(metadata, "annotations"))
    if not (kind or version or name or namespace or labels or annotations):
        raise BadManifest("missing Resource metadata")
    shown = f"{{{{{version} {kind}}} {{{{{name} {namespace}}} {_go_map(labels)} {_go_map(annotations)}}}}}"
    if not kind:
        raise BadManifest(f"missing kind in object {shown}")
    if not name and not kind.endswith("List"):
        raise BadManifest(f"missing metadata.name in object {shown}")
    return Head(version, kind, namespace, name)


def _field(node: yaml.Node | None, name: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    found = next((value for key, value in node.value if key.value == name), None)
    return None if found is None or _is_empty(found) else found


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag != _STRING and node.value in _NULLS


def _is_empty(node: yaml.Node) -> bool:
    return _is_null(node) or (not isinstance(node, yaml.ScalarNode) and not node.value)


def _text(node: yaml.Node | None) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _map(node: yaml.Node | None) -> dict[str, str]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return {str(key.value): _text(value) for key, value in pairs}


def _go_map(values: dict[str, str]) -> str:
    """A map as Go's fmt prints it."""
    return f"map[{' '.join(f'{key}:{value}' for key, value in sorted(values.items()))}]"


class Heads:
    """Heads by the content of files, so that what did not change is not read again."""

    def __init__(self, size: int = 20_000) -> None:
        self.size = size
        self._known: dict[bytes, tuple[Head, ...]] = {}

    def __call__(self, content: bytes) -> tuple[Head, ...]:
        """As `read_heads`. Raises BadManifest."""
        found = self._known.get(content)
        if found is None:
            found = self._known[content] = read_heads(content)
            while len(self._known) > self.size:
                del self._known[next(iter(self._known))]
        return found
