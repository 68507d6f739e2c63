"""Sets of field paths, in the form in which managedFields keeps them (FieldsV1).

A set is a dict: each key is one step of a path (`f:name`, `k:{"name":"x"}`, `v:"x"`, `i:0`) and its value the set
below. An empty value means that the path itself is in the set; with more below it the key `.` says so. Sets are
never changed once made, so parts may be shared. Source: sigs.k8s.io/structured-merge-diff, package fieldpath.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

FieldSet = dict[str, Any]
Path = tuple[str, ...]

LEAF: FieldSet = {}
EMPTY: FieldSet = {}


def is_member(node: FieldSet) -> bool:
    """Whether the path to a node is itself in the set."""
    return not node or "." in node


def _node(member: bool, below: FieldSet) -> FieldSet | None:
    """A node of a set, or None if there is nothing in it."""
    if not below:
        return LEAF if member else None
    return {".": LEAF, **below} if member else below


def _below(node: FieldSet) -> FieldSet:
    return {key: child for key, child in node.items() if key != "."} if "." in node else node


def of(*paths: Path) -> FieldSet:
    """The set of some paths."""
    found: FieldSet = {}
    for path in paths:
        single: FieldSet = LEAF
        for step in reversed(path):
            single = {step: single}
        found = union(found, single)
    return found


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in one of the sets, or in both."""
    if not left or left is right:
        return right
    if not right:
        return left
    merged = dict(left)
    for step, node in right.items():
        if step == ".":
            merged["."] = LEAF
            continue
        other = merged.get(step)
        if other is None:
            merged[step] = node
        elif other is not node:
            child = _node(is_member(other) or is_member(node), union(_below(other), _below(node)))
            merged[step] = LEAF if child is None else child
    return merged


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in `left` and not in `right`."""
    if not left or not right:
        return left
    found: FieldSet = {}
    for step, node in left.items():
        other = right.get(step)
        if other is None:
            found[step] = node
        elif step != ".":
            child = _node(is_member(node) and not is_member(other), difference(_below(node), _below(other)))
            if child is not None:
                found[step] = child
    return found


def without(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in `left` and neither in `right` nor below a member of it."""
    found: FieldSet = {}
    for step, node in left.items():
        other = right.get(step)
        if other is None:
            found[step] = node
        elif step != "." and not is_member(other):
            child = _node(is_member(node), without(_below(node), other))
            if child is not None:
                found[step] = child
    return found


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    """What is in both sets."""
    found: FieldSet = {}
    for step, node in left.items():
        other = right.get(step)
        if other is None:
            continue
        if step == ".":
            found["."] = LEAF
            continue
        child = _node(is_member(node) and is_member(other), intersection(_below(node), _below(other)))
        if child is not None:
            found[step] = child
    return found


def has(node: FieldSet, path: Path) -> bool:
    """Whether a path is in a set."""
    for step in path:
        found = node.get(step)
        if found is None:
            return False
        node = found
    return is_member(node)


def paths(node: FieldSet, prefix: Path = ()) -> Iterator[Path]:
    """The paths of a set: at each level first those that end there, sorted."""
    steps = sorted((step for step in node if step != "."), key=_order)
    for step in steps:
        if is_member(node[step]):
            yield (*prefix, step)
    for step in steps:
        yield from paths(node[step], (*prefix, step))


def _order(step: str) -> tuple[int, Any]:
    kind = step[:2]
    if kind == "f:":
        return 0, step[2:]
    if kind == "k:":
        return 1, [(key, str(type(value)), str(value)) for key, value in sorted(orjson.loads(step[2:]).items())]
    return (2, step[2:]) if kind == "v:" else (3, step[2:].zfill(12))


def ordered(node: FieldSet) -> FieldSet:
    """The same set with its keys in the order in which they are written."""
    if not node:
        return node
    return {step: ordered(node[step]) for step in sorted(node)}


def path_text(path: Path) -> str:
    """A path as conflicts show it: `.spec.containers[name="web"].image`."""
    return "".join(map(step_text, path))


def step_text(step: str) -> str:
    """One step of a path as text."""
    kind, rest = step[:2], step[2:]
    if kind == "f:":
        return f".{rest}"
    if kind == "k:":
        keys = orjson.loads(rest)
        return "[" + ",".join(f"{key}={value_text(keys[key])}" for key in sorted(keys)) + "]"
    if kind == "v:":
        return f"[={value_text(orjson.loads(rest))}]"
    return f"[{rest}]"


def value_text(value: Any) -> str:
    """A scalar as Go prints it, strings quoted."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return orjson.dumps(value).decode() if isinstance(value, str) else str(value)


def key_step(keys: dict[str, Any]) -> str:
    """The step to an element of a list by its keys."""
    return "k:" + orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()


def value_step(value: Any) -> str:
    """The step to a member of a set list."""
    return "v:" + orjson.dumps(value).decode()


def decode(fields: Any) -> FieldSet:
    """A set as it lies in an object. Raises ValueError for what is none."""
    if not isinstance(fields, dict):
        raise ValueError("fieldsV1 must be an object")
    found: FieldSet = {}
    for step, node in fields.items():
        if step == ".":
            found["."] = LEAF
            continue
        kind = step[:2]
        if kind in ("k:", "v:"):
            value = orjson.loads(step[2:])
            if kind == "k:":
                if not isinstance(value, dict):
                    raise ValueError(f"invalid path element {step}")
                step = key_step(value)
        elif kind not in ("f:", "i:"):
            raise ValueError(f"unknown path element type in {step}")
        child = decode(node)
        found[step] = LEAF if child.keys() == {"."} else child
    return found
