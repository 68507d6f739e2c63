"""Whether the cluster differs from what an apply would make of it (fluxcd/pkg/ssa, hasDrifted; spec.ignore)."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from azsandbox.controllers.client import Object, Objects
from azsandbox.flux.kustomize.ordering import version_of
from azsandbox.flux.object_refs import group_of
from azsandbox.kubernetes import selectors
from azsandbox.kubernetes.errors import StatusError


class BadRule(ValueError):
    """A rule of spec.ignore that cannot be used; the message is Flux's."""


def has_drifted(existing: Object | None, desired: Object) -> bool:
    """Whether `desired`, the answer of a dry run, differs from the object in labels, annotations or content."""
    if existing is None or not desired["metadata"].get("resourceVersion"):
        return True
    one, two = existing["metadata"], desired["metadata"]
    for kind in ("labels", "annotations"):
        if (one.get(kind) or {}) != (two.get(kind) or {}):
            return True
    return _content(existing) != _content(desired)


def _content(obj: Object) -> Object:
    return {key: value for key, value in obj.items() if key not in ("metadata", "status", "kind", "apiVersion")}


def any_in_metadata(obj: Object | None, wanted: dict[str, str]) -> bool:
    """Whether an object has one of some labels or annotations; their values are compared without regard to case."""
    metadata = (obj or {}).get("metadata") or {}
    for key, value in wanted.items():
        for kind in ("labels", "annotations"):
            found = (metadata.get(kind) or {}).get(key)
            if isinstance(found, str) and found and found.lower() == value.lower():
                return True
    return False


@dataclass(frozen=True, slots=True)
class _Target:
    """What objects a rule is for: regular expressions for names, selectors for labels and annotations."""

    patterns: dict[str, re.Pattern[str]]
    labels: selectors.LabelSelector | None
    annotations: selectors.LabelSelector | None

    def matches(self, obj: Object) -> bool:
        metadata = obj["metadata"]
        values = {
            "group": group_of(obj["apiVersion"]),
            "version": version_of(obj["apiVersion"]),
            "kind": obj["kind"],
            "name": metadata["name"],
            "namespace": metadata.get("namespace", ""),
        }
        if not all(pattern.fullmatch(values[part]) for part, pattern in self.patterns.items()):
            return False
        if self.labels is not None and not self.labels.matches_labels(metadata.get("labels") or {}):
            return False
        return self.annotations is None or self.annotations.matches_labels(metadata.get("annotations") or {})


class IgnoreRules:
    """spec.ignore: paths that a difference in does not count, and that an apply leaves to others."""

    def __init__(self, rules: Iterable[Object]) -> None:
        self._rules = [(_target(rule.get("target")), list(rule["paths"])) for rule in rules]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def paths(self, obj: Object) -> list[str]:
        """The paths that are ignored in an object."""
        return [path for target, paths in self._rules if target is None or target.matches(obj) for path in paths]

    def has_drifted(self, existing: Object | None, desired: Object) -> bool:
        """As the function of this name, without the paths that are ignored."""
        paths = self.paths(desired)
        if existing is None or not paths:
            return has_drifted(existing, desired)
        return has_drifted(without(existing, paths), without(desired, paths))

    def payload(self, obj: Object, existing: Object | None, desired: Object, manager: str) -> Object:
        """What is applied of `obj`: an ignored path that differs is left out where another manager has applied it,
        and otherwise has the cluster's value."""
        if existing is None:
            return obj
        result = copy.deepcopy(obj)
        for path in self.paths(desired):
            there, value = lookup(existing, path)
            wanted, other = lookup(desired, path)
            if there == wanted and value == other:
                continue
            if _applied_by_another(existing, path, manager):
                result = without(result, [path])
            else:
                _replace(result, path, value)
        return result


def _target(target: Object | None) -> _Target | None:
    if target is None:
        return None
    patterns = {}
    for part in ("group", "version", "kind", "name", "namespace"):
        if target.get(part):
            try:
                patterns[part] = re.compile(target[part])
            except re.error as error:
                raise BadRule(f"failed to create ignore rule selector: invalid {part} regex: {error}") from None
    return _Target(
        patterns, _selector(target, "labelSelector", "label"), _selector(target, "annotationSelector", "annotation")
    )


def _selector(target: Object, field: str, word: str) -> selectors.LabelSelector | None:
    text = target.get(field)
    if not text:
        return None
    try:
        return selectors.parse_labels(text)
    except StatusError as error:
        raise BadRule(f"failed to create ignore rule selector: invalid {word} selector: {error}") from None


def _segments(path: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in path.removeprefix("/").split("/")]


def _child(value: Any, segment: str) -> tuple[bool, Any]:
    if isinstance(value, dict) and segment in value:
        return True, value[segment]
    if isinstance(value, list) and re.fullmatch(r"-?[0-9]+", segment) and -len(value) <= int(segment) < len(value):
        return True, value[int(segment)]
    return False, None


def lookup(obj: Object, path: str) -> tuple[bool, Any]:
    """Whether a JSON pointer leads somewhere, and the value there."""
    found: Any = obj
    for segment in _segments(path):
        there, found = _child(found, segment)
        if not there:
            return False, None
    return True, found


def without(obj: Object, paths: Iterable[str]) -> Object:
    """A copy of an object without what lies at some JSON pointers."""
    result = copy.deepcopy(obj)
    for path in paths:
        *way, last = _segments(path)
        holder: Any = result
        for segment in way:
            _, holder = _child(holder, segment)
        if isinstance(holder, dict):
            holder.pop(last, None)
        elif _child(holder, last)[0]:
            del holder[int(last)]
    return result


def _replace(obj: Object, path: str, value: Any) -> None:
    """Sets a value at a JSON pointer; where the way ends before, it is left."""
    *way, last = _segments(path)
    holder: Any = obj
    for segment in way:
        _, holder = _child(holder, segment)
    if isinstance(holder, dict) and last in holder:
        holder[last] = value
    elif isinstance(holder, list) and _child(holder, last)[0]:
        holder[int(last)] = value


def _applied_by_another(existing: Object, path: str, manager: str) -> bool:
    """Whether a manager other than `manager` has applied the field at a JSON pointer."""
    entries: Objects = existing["metadata"].get("managedFields") or []
    applied = [e for e in entries if e.get("operation") == "Apply" and not e.get("subresource")]
    value: Any = existing
    ways: list[tuple[str, dict[str, Any]]] = [(str(e.get("manager")), e.get("fieldsV1") or {}) for e in applied]
    for segment in _segments(path):
        if isinstance(value, list):
            _, item = _child(value, segment)
            ways = [(name, fields[key]) for name, fields in ways for key in fields if _is_key_of(key, item)]
        else:
            ways = [(name, fields["f:" + segment]) for name, fields in ways if "f:" + segment in fields]
        _, value = _child(value, segment)
    return any(name != manager for name, _ in ways)


def _is_key_of(key: str, item: Any) -> bool:
    """Whether a `k:{…}` of managed fields names an element of a list."""
    if not key.startswith("k:") or not isinstance(item, dict):
        return False
    return all(item.get(name) == value for name, value in json.loads(key[2:]).items())
