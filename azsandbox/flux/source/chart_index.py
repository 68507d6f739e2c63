"""The index of a Helm repository: what index.yaml holds, and what an artifact of it does (helm.sh/helm, repo/v1)."""

from __future__ import annotations

import json
from functools import cmp_to_key
from typing import Any

from azsandbox.flux.semver import InvalidVersion, Version
from azsandbox.flux.source.chart import ChartError, Values, validate
from azsandbox.kubernetes.schema.yaml_text import BadYaml, parse

MOST = 50 << 20  # bytes
_NO_TIME = "0001-01-01T00:00:00Z"
_TOP = ("serverInfo", "apiVersion", "generated", "entries", "publicKeys", "annotations")
_OWN = ("urls", "created", "removed", "digest", "checksum", "engine", "tillerVersion", "url")
# Fields of a chart's metadata, in the order in which Helm writes them
_METADATA = (
    *("name", "home", "sources", "version", "description", "keywords", "maintainers", "icon", "apiVersion"),
    *("condition", "tags", "appVersion", "deprecated", "annotations", "kubeVersion", "dependencies", "type"),
)


class IndexProblem(Exception):
    """An index that cannot be used, in Helm's words."""


class Index:
    """Charts by name, the versions of each with the highest first."""

    def __init__(self, content: Values) -> None:
        self.content = content
        self.entries: dict[str, list[Values]] = content["entries"]

    @classmethod
    def parse(cls, data: bytes) -> Index:
        """An index from JSON or YAML. Entries that no chart can have are passed over. Raises IndexProblem."""
        if not data:
            raise IndexProblem("empty index.yaml file")
        content = _decoded(data)
        if not content.get("apiVersion"):
            raise IndexProblem("no API version specified")
        entries = content.get("entries") or {}
        content["entries"] = {name: _valid(versions or []) for name, versions in entries.items()}
        return cls(content)

    def as_json(self) -> bytes:
        """The index as source-controller stores it."""
        entries = {name: [_entry(version) for version in self.entries[name]] for name in sorted(self.entries)}
        whole = {"generated": _NO_TIME, **self.content, "entries": entries}
        kept = {key: whole[key] for key in _TOP if key in ("apiVersion", "generated", "entries") or whole.get(key)}
        text = json.dumps(kept, indent=2, ensure_ascii=False)
        for character in "<>&\u2028\u2029":  # which Go escapes
            text = text.replace(character, f"\\u{ord(character):04x}")
        return text.encode()


def _decoded(data: bytes) -> Values:
    try:
        found = json.loads(data)
    except ValueError:
        try:
            found, _ = parse(data)
        except BadYaml as error:
            raise IndexProblem(f"error converting YAML to JSON: {error}") from None
        unknown = [key for key in found if key not in _TOP] if isinstance(found, dict) else []
        if unknown:  # which only YAML is held to
            text = f'error unmarshaling JSON: while decoding JSON: json: unknown field "{unknown[0]}"'
            raise IndexProblem(text) from None
    if not isinstance(found, dict):
        kind = {list: "array", str: "string", bool: "bool"}.get(type(found), "number")
        text = f"error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kind} into Go value of type"
        raise IndexProblem(f"{text} repo.IndexFile")
    return found


def _valid(versions: list[Values]) -> list[Values]:
    found = []
    for version in versions:
        if not version:
            continue
        version.setdefault("apiVersion", "v1")
        try:
            validate(version)
        except ChartError as error:
            if not str(error).startswith("validation: more than one dependency with name or alias"):
                continue
        found.append(version)
    return sorted(found, key=cmp_to_key(_compare), reverse=True)


def _compare(one: Values, other: Values) -> int:
    return Version.parse(str(one["version"])).compare(Version.parse(str(other["version"])))


def _entry(version: Values) -> Values:
    out: Values = {key: version[key] for key in _METADATA if version.get(key)}
    whole: dict[str, Any] = {"urls": None, "created": _NO_TIME, **version}
    return out | {key: whole[key] for key in _OWN if key in ("urls", "created") or whole.get(key)}


def full_version(text: str) -> Version | None:
    """A version with all its parts, or None."""
    try:
        return Version.parse_full(text)
    except InvalidVersion:
        return None
