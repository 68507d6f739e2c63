"""JSON patch, RFC 6902, with the ways of the library that Kubernetes uses (evanphx/json-patch v4).

That library takes negative indexes, drops what stands before the first `/` of a path, and sets a missing key on
`replace`.
"""

from __future__ import annotations

import copy
from typing import Any

import orjson

from azsandbox.kubernetes import errors

MAX_OPERATIONS = 10_000
MAX_COPIED = 3 << 20  # bytes of JSON that the copies of a patch may make (apiserver, JSONPatchMaxCopyBytes)


class _Missing:
    """A key that is not there."""


_MISSING = _Missing()


class _DoesNotApply(Exception):
    """An operation that cannot be done; clients are not told why."""


def refusal() -> errors.StatusError:
    """422 as the API server words any operation that does not apply."""
    return errors.StatusError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def apply(current: dict[str, Any], operations: list[Any]) -> Any:
    """`current` with the operations done one after the other; it may be changed. Raises 422 if one does not apply."""
    document: Any = current
    copies = _Copies()
    try:
        for operation in operations:
            if not isinstance(operation, dict):
                raise _DoesNotApply
            document = _apply(document, operation, copies)
    except _DoesNotApply:
        raise refusal() from None
    return document


class _Copies:
    """Counts what is copied: each copy of a whole into itself doubles it."""

    def __init__(self) -> None:
        self._bytes = 0

    def of(self, value: Any) -> Any:
        """A copy of a value, unless that makes too much."""
        try:
            self._bytes += len(orjson.dumps(value))
        except orjson.JSONEncodeError:  # it is nested too deeply
            raise _DoesNotApply from None
        if self._bytes > MAX_COPIED:
            raise _DoesNotApply
        return copy.deepcopy(value)


def _apply(document: Any, operation: dict[str, Any], copies: _Copies) -> Any:
    kind, path = operation.get("op"), operation.get("path")
    if not isinstance(path, str):
        raise _DoesNotApply
    value = operation.get("value")
    if kind == "replace" and path == "":
        if not isinstance(value, (dict, list)):
            raise _DoesNotApply
        return copy.deepcopy(value)
    if kind == "add":
        _add(*_find(document, path), copy.deepcopy(value))
    elif kind == "remove":
        _remove(*_find(document, path))
    elif kind == "replace":
        _replace(*_find(document, path), copy.deepcopy(value))
    elif kind in ("move", "copy"):
        source = operation.get("from")
        if not isinstance(source, str):
            raise _DoesNotApply
        container, key = _find(document, source)
        moved = _get(container, key)
        moved = None if moved is _MISSING else moved
        if kind == "move":
            _remove(container, key)
        _add(*_find(document, path), copies.of(moved) if kind == "copy" else copy.deepcopy(moved))
    elif kind == "test":
        found = document if path == "" else _get(*_find(document, path))
        if not _equal(None if found is _MISSING else found, value):
            raise _DoesNotApply
    else:
        raise _DoesNotApply
    return document


def _equal(left: Any, right: Any) -> bool:
    """Equality of JSON, where true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right)


def _find(document: Any, path: str) -> tuple[Any, str]:
    """The object or list that holds what a path points to, and the key in it."""
    _, *parts = path.split("/")
    if not parts:
        raise _DoesNotApply
    *way, key = (part.replace("~1", "/").replace("~0", "~") for part in parts)
    for part in way:
        document = _get(document, part)
        if not isinstance(document, (dict, list)):
            raise _DoesNotApply
    return document, key


def _index(key: str, low: int, high: int) -> int:
    """An index between `low` (inclusive) and `high` (exclusive)."""
    try:
        index = int(key)
    except ValueError:
        raise _DoesNotApply from None
    if not low <= index < high:
        raise _DoesNotApply
    return index


def _get(container: Any, key: str) -> Any:
    if isinstance(container, list):
        return container[_index(key, -len(container), len(container))]
    return container.get(key, _MISSING)


def _add(container: Any, key: str, value: Any) -> None:
    if isinstance(container, dict):
        container[key] = value
    elif key == "-":
        container.append(value)
    else:
        length = len(container)
        index = _index(key, -length - 1, length + 1)
        container.insert(index if index >= 0 else index + length + 1, value)


def _replace(container: Any, key: str, value: Any) -> None:
    if isinstance(container, dict):
        container[key] = value
    else:
        container[_index(key, -len(container), len(container))] = value


def _remove(container: Any, key: str) -> None:
    if isinstance(container, dict):
        if key not in container:
            raise _DoesNotApply
        del container[key]
    else:
        del container[_index(key, -len(container), len(container))]
