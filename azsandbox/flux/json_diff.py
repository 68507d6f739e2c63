"""The JSON patch between two values, as Flux's drift detection makes it (wI2L/jsondiff with Rationalize)."""

from __future__ import annotations

from typing import Any

from azsandbox.flux import go_json

Operation = dict[str, Any]
ADD, REPLACE, REMOVE = "add", "replace", "remove"
_BASE, _VALUE = len('{"op":"","path":""}'), len(',"value":')


def compare(old: Any, new: Any) -> list[Operation]:
    """The operations that turn `old` into `new`. One that replaces a whole takes the place of more that are longer."""
    patch: list[Operation] = []
    _diff(patch, "", old, new)
    return patch


def _diff(patch: list[Operation], at: str, old: Any, new: Any) -> None:
    if type(old) is not type(new) and not (_is_number(old) and _is_number(new)):
        patch.append({"op": REPLACE if at else ADD, "path": at, "value": new})
        return
    if old == new:
        return
    start = len(patch)
    if isinstance(old, list):
        _lists(patch, at, old, new)
    elif isinstance(old, dict):
        _maps(patch, at, old, new)
    else:
        patch.append({"op": REPLACE, "path": at, "value": new})
        return
    whole = {"op": REPLACE, "path": at, "value": new}
    many = patch[start:]
    if many and sum(map(_length, many)) + len(many) - 1 > _length(whole):
        patch[start:] = [whole]


def _maps(patch: list[Operation], at: str, old: dict[str, Any], new: dict[str, Any]) -> None:
    for key in sorted({**old, **new}):
        place = f"{at}/{key.replace('~', '~0').replace('/', '~1')}"
        if key in old and key in new:
            _diff(patch, place, old[key], new[key])
        elif key in old:
            patch.append({"op": REMOVE, "path": place})
        else:
            patch.append({"op": ADD, "path": place, "value": new[key]})


def _lists(patch: list[Operation], at: str, old: list[Any], new: list[Any]) -> None:
    both = min(len(old), len(new))
    patch += [{"op": REMOVE, "path": f"{at}/{both}"} for _ in old[both:]]
    for place in range(both):
        _diff(patch, f"{at}/{place}", old[place], new[place])
    patch += [{"op": ADD, "path": f"{at}/-", "value": value} for value in new[both:]]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _length(operation: Operation) -> int:
    """Bytes of an operation as the library counts them: the value of an addition counts for nothing."""
    length = _BASE + len(operation["op"]) + len(operation["path"].encode())
    if operation["op"] == ADD:
        return length + _VALUE
    if operation["op"] == REPLACE:
        return length + _VALUE + len(go_json.write(go_json.in_order(operation["value"])).encode())
    return length
