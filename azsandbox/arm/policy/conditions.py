"""The `if` of a policy rule, judged for one resource, with what Azure tells of how it came about.

Azure Policy documentation, "Azure Policy definition structure policy rule": conditions, fields, values, counts. What
is compared as text is compared without regard to case; a field that is not there equals nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from azsandbox.arm.policy import expressions, fields
from azsandbox.arm.policy.fields import MISSING, Missing

Document = dict[str, Any]

OPERATORS = {
    name.lower(): name
    for name in [
        "Equals",
        "NotEquals",
        "Like",
        "NotLike",
        "Match",
        "MatchInsensitively",
        "NotMatch",
        "NotMatchInsensitively",
        "Contains",
        "NotContains",
        "In",
        "NotIn",
        "ContainsKey",
        "NotContainsKey",
        "Less",
        "LessOrEquals",
        "Greater",
        "GreaterOrEquals",
        "Exists",
    ]
}
LOGIC = ("allof", "anyof", "not")


@dataclass
class Judge:
    """Judges conditions about `resource`; `seen` collects the expressions that were evaluated."""

    resource: Document
    scope: expressions.Scope
    seen: list[Document] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scope.fields = self.value_of

    def value_of(self, name: str) -> Any:
        """The function field(): the value, or a list of them for an array alias; None where it is not there."""
        found = [None if isinstance(v, Missing) else v for v in fields.values(name, self.resource)]
        return found if fields.is_collection(name) else (found[0] if len(found) == 1 else found)

    def holds(self, condition: Document) -> bool:
        """Whether the resource meets the condition. Raises ExpressionError."""
        for key, inner in condition.items():
            word = key.lower()
            if word == "allof":
                return all(self.holds(c) for c in inner)
            if word == "anyof":
                return any(self.holds(c) for c in inner)
            if word == "not":
                return not self.holds(inner)
        return self._leaf(condition)

    def _leaf(self, condition: Document) -> bool:
        words = {key.lower(): key for key in condition}
        operator = next((word for word in words if word in OPERATORS), "")
        target = expressions.resolve(condition[words[operator]], self.scope)
        if "count" in words:
            counted = condition[words["count"]]
            number = self._count(counted)
            result = compare(operator, number, target)
            return self._tell(
                result, "Count", str(counted.get("field") or counted.get("name") or "value"), number, operator, target
            )
        if "value" in words:
            raw = condition[words["value"]]
            found = expressions.resolve(raw, self.scope)
            result = compare(operator, MISSING if found is None else found, target)
            return self._tell(result, "Value", raw if isinstance(raw, str) else str(raw), found, operator, target)
        name = str(expressions.resolve(condition[words["field"]], self.scope))
        if self._within_count(name):
            found = self.scope.current[self._within_count(name)]
            rest = name[len(self._within_count(name)) :].lstrip(".")
            values = fields.within(found, rest) if rest else [found]
        else:
            values = fields.values(name, self.resource)
        if fields.is_collection(name):
            result = all(compare(operator, value, target) for value in values)
        elif len(values) == 1:
            result = compare(operator, values[0], target)
        else:
            result = any(compare(operator, value, target) for value in values)
        shown = values if fields.is_collection(name) or len(values) != 1 else values[0]
        return self._tell(result, "Field", name, shown, operator, target)

    def _within_count(self, name: str) -> str:
        """The array alias, of a count that is under way, that a field is inside of."""
        lower = name.lower()
        inside = [k for k in self.scope.current if k and (lower == k.lower() or lower.startswith(k.lower() + "."))]
        return max(inside, key=len, default="")

    def _count(self, counted: Document) -> int:
        if "field" in counted:
            name = str(expressions.resolve(counted["field"], self.scope))
            items = [v for v in fields.values(name, self.resource) if not isinstance(v, Missing)]
        else:
            found = expressions.resolve(counted["value"], self.scope)
            name, items = str(counted.get("name") or ""), found if isinstance(found, list) else [found]
        where = counted.get("where")
        if where is None:
            return len(items)
        number, outer = 0, dict(self.scope.current)
        for item in items:
            self.scope.current = {**outer, "": item, **({name: item} if name else {})}
            number += Judge(self.resource, self.scope).holds(where)
        self.scope.current = outer
        return number

    def _tell(self, result: bool, kind: str, name: str, value: Any, operator: str, target: Any) -> bool:
        told: Document = {"result": str(result), "expressionKind": kind, "expression": name}
        if kind == "Field":
            told["path"] = fields.path_of(name, str(self.resource.get("type") or ""))
        if not isinstance(value, Missing) and value is not None:
            told["expressionValue"] = (
                value if not isinstance(value, list) else [v for v in value if not isinstance(v, Missing)]
            )
        told["targetValue"] = target if isinstance(target, list | dict) else expressions.text_of(target)
        told["operator"] = OPERATORS[operator]
        self.seen.append(told)
        return result


def compare(operator: str, value: Any, target: Any) -> bool:
    """Whether an operator, in lower case, holds of a value and what it is compared with."""
    there = not isinstance(value, Missing)
    if operator == "exists":
        return there == (str(target).lower() == "true")
    if operator.startswith("not"):
        return not compare(operator[3:], value, target)
    if not there:
        return False
    if operator == "equals":
        return _equal(value, target)
    if operator == "in":
        return any(_equal(value, item) for item in target or [])
    if operator == "like":
        return _like(_text(value), str(target))
    if operator in ("match", "matchinsensitively"):
        return _match(_text(value), str(target), sensitive=operator == "match")
    if operator == "contains":
        return (
            any(_equal(v, target) for v in value)
            if isinstance(value, list)
            else str(target).lower() in _text(value).lower()
        )
    if operator == "containskey":
        return isinstance(value, dict) and any(key.lower() == str(target).lower() for key in value)
    return _ordered(operator, value, target)


def _text(value: Any) -> str:
    return expressions.text_of(value)


def _equal(value: Any, target: Any) -> bool:
    if isinstance(value, dict | list) or isinstance(target, dict | list):
        return bool(value == target)
    return _text(value).lower() == _text(target).lower()


def _like(value: str, pattern: str) -> bool:
    """`*` stands for anything, once."""
    return (
        re.fullmatch(".*".join(re.escape(p) for p in pattern.split("*", 1)), value, re.IGNORECASE | re.DOTALL)
        is not None
    )


def _match(value: str, pattern: str, *, sensitive: bool) -> bool:
    """`#` is a digit, `?` a letter, `.` any character."""
    found = "".join({"#": r"\d", "?": "[A-Za-z]", ".": "."}.get(mark, re.escape(mark)) for mark in pattern)
    return re.fullmatch(found, value, 0 if sensitive else re.IGNORECASE) is not None


def _ordered(operator: str, value: Any, target: Any) -> bool:
    try:
        if isinstance(value, str) != isinstance(target, str):
            value, target = float(value), float(target)
        return {
            "less": value < target,
            "lessorequals": value <= target,
            "greater": value > target,
            "greaterorequals": value >= target,
        }[operator]
    except (TypeError, ValueError):
        raise expressions.ExpressionError(f"'{value}' cannot be compared with '{target}'") from None
