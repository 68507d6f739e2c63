"""Template functions in policy rules: strings of the form [concat('tags[', parameters('tagName'), ']')].

Azure Policy documentation, "Azure Policy definition structure policy rule", "Policy functions".
"""

from __future__ import annotations

import datetime as dt
import functools
import ipaddress
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+)|(?P<name>[A-Za-z_]\w*)|(?P<mark>[()\[\],.]))")

# Azure Resource Manager documentation, "Best practices for templates" (limits) and "range"
LONGEST, MOST_VALUE, MOST_RANGE = 24_576, 4 << 20, 10_000  # characters of an expression and of a value; items
_DEEPEST = 100  # calls in each other


class ExpressionError(ValueError):
    """An expression that cannot be read, or that cannot be worked out."""


class UnknownFunctionError(ExpressionError):
    """A function that the sandbox has not; `function` is its name."""

    def __init__(self, function: str) -> None:
        super().__init__(f"the template function '{function}' is not valid")
        self.function = function


@dataclass(frozen=True)
class Node:
    """A literal, a call, or the property or item of another node."""

    kind: str  # literal, call, property, item
    value: Any = None
    inner: tuple[Node, ...] = ()


@dataclass
class Scope:
    """What functions can ask: parameters, fields of the resource, where it is, and what is being counted."""

    parameters: dict[str, Any] = field(default_factory=dict)
    fields: Callable[[str], Any] | None = None
    group: dict[str, Any] = field(default_factory=dict)
    subscription: dict[str, Any] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)
    now: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    current: dict[str, Any] = field(default_factory=dict)  # of counts: value by name or alias, "" the innermost
    functions: dict[str, Callable[[list[Any]], Any]] = field(
        default_factory=dict
    )  # more, or others, by lower-case name


def is_expression(text: Any) -> bool:
    """Whether a value is an expression; `[[` is a bracket that is meant as one."""
    return isinstance(text, str) and text.startswith("[") and text.endswith("]") and not text.startswith("[[")


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Node:
    """The expression inside the brackets of `text`. Raises ExpressionError."""
    if len(text) > LONGEST:
        raise ExpressionError(
            f"The language expression length limit exceeded. Limit: '{LONGEST}' and actual: '{len(text)}'"
        )
    tokens = _tokens(text[1:-1])
    _check_depth(tokens)
    node, rest = _value(tokens, 0)
    if rest != len(tokens):
        raise ExpressionError(f"Unable to parse language expression '{text[1:-1]}'")
    return node


def functions(node: Node) -> set[str]:
    """Names, in lower case, of the functions that are called in it."""
    found = {str(node.value).lower()} if node.kind == "call" else set()
    return found.union(*(functions(n) for n in node.inner))


def parameters(node: Node) -> set[str]:
    """Names of the parameters that are used in it."""
    if (
        node.kind == "call"
        and str(node.value).lower() == "parameters"
        and node.inner
        and node.inner[0].kind == "literal"
    ):
        return {str(node.inner[0].value)}
    return set().union(*(parameters(n) for n in node.inner))


def has(function: str) -> bool:
    """Whether there is a function of that name, in lower case."""
    return function in _FUNCTIONS or function in _SCOPED


def check(text: str) -> Node:
    """Parses an expression, and raises UnknownFunctionError for a function that is not there."""
    node = parse(text)
    for name in functions(node):
        if not has(name):
            raise UnknownFunctionError(name)
    return node


def resolve(value: Any, scope: Scope) -> Any:
    """`value` with every expression in it worked out, however deep. Raises ExpressionError."""
    if isinstance(value, str):
        if is_expression(value):
            return evaluate(parse(value), scope)
        return value[1:] if value.startswith("[[") else value
    if isinstance(value, list):
        return [resolve(item, scope) for item in value]
    if isinstance(value, dict):
        return {key: resolve(item, scope) for key, item in value.items()}
    return value


def evaluate(node: Node, scope: Scope) -> Any:
    """The value of a node."""
    if node.kind == "literal":
        return node.value
    if node.kind == "call":
        return _call(node, scope)
    found = evaluate(node.inner[0], scope)
    if node.kind == "property":
        return _member(found, str(node.value))
    index = evaluate(node.inner[1], scope)
    if isinstance(index, str):
        return _member(found, index)
    try:
        return found[index]
    except (IndexError, TypeError, KeyError):
        raise ExpressionError(f"The language expression property array index '{index}' is out of bounds") from None


def _member(found: Any, name: str) -> Any:
    if isinstance(found, dict):
        for key, value in found.items():
            if key.lower() == name.lower():
                return value
    raise ExpressionError(f"The language expression property '{name}' doesn't exist")


# --- reading


def _tokens(text: str) -> list[tuple[str, str]]:
    out, at = [], 0
    while at < len(text.rstrip()):
        found = TOKEN.match(text, at)
        if not found:
            raise ExpressionError(f"Unable to parse language expression '{text}'")
        out.append((str(found.lastgroup), found[str(found.lastgroup)]))
        at = found.end()
    return out


def _check_depth(tokens: list[tuple[str, str]]) -> None:
    depth = 0
    for kind, text in tokens:
        depth += (kind == "mark") * ((text in "([") - (text in ")]"))
        if depth > _DEEPEST:
            raise ExpressionError(f"Unable to parse language expression: more than {_DEEPEST} calls in each other")


def _value(tokens: list[tuple[str, str]], at: int) -> tuple[Node, int]:
    if at >= len(tokens):
        raise ExpressionError("Unable to parse language expression: expected a value, found the end")
    kind, text = tokens[at]
    if kind == "text":
        node, at = Node("literal", text[1:-1].replace("''", "'")), at + 1
    elif kind == "number":
        node, at = Node("literal", int(text)), at + 1
    elif kind == "name" and tokens[at + 1 : at + 2] == [("mark", "(")]:
        inner, at = _arguments(tokens, at + 2)
        node = Node("call", text, inner)
    else:
        raise ExpressionError(f"Unable to parse language expression: expected a value, found '{text}'")
    while at < len(tokens) and tokens[at][1] in (".", "["):
        if tokens[at][1] == ".":
            if at + 1 >= len(tokens) or tokens[at + 1][0] != "name":
                raise ExpressionError("Unable to parse language expression: expected the name of a property")
            node, at = Node("property", tokens[at + 1][1], (node,)), at + 2
        else:
            index, at = _value(tokens, at + 1)
            at = _expect(tokens, at, "]")
            node = Node("item", None, (node, index))
    return node, at


def _arguments(tokens: list[tuple[str, str]], at: int) -> tuple[tuple[Node, ...], int]:
    inner: list[Node] = []
    if tokens[at : at + 1] == [("mark", ")")]:
        return (), at + 1
    while True:
        node, at = _value(tokens, at)
        inner.append(node)
        if tokens[at : at + 1] == [("mark", ",")]:
            at += 1
            continue
        return tuple(inner), _expect(tokens, at, ")")


def _expect(tokens: list[tuple[str, str]], at: int, mark: str) -> int:
    if tokens[at : at + 1] != [("mark", mark)]:
        found = tokens[at][1] if at < len(tokens) else "the end"
        raise ExpressionError(f"Unable to parse language expression: expected '{mark}', found '{found}'")
    return at + 1


# --- functions


def _call(node: Node, scope: Scope) -> Any:
    name = str(node.value).lower()
    if name == "if":
        condition, *branches = node.inner
        return evaluate(branches[0 if evaluate(condition, scope) is True else 1], scope)
    arguments = [evaluate(inner, scope) for inner in node.inner]
    if name in _SCOPED and name not in scope.functions:
        return _SCOPED[name](scope, arguments)
    own, function = scope.functions.get(name), _FUNCTIONS.get(name)
    if own is None and function is None:
        raise UnknownFunctionError(name)
    try:
        fits(_size(arguments, {}))
        found = own(arguments) if own is not None else function(*arguments)  # type: ignore[misc]
        if isinstance(found, int) and not -(2**63) <= found < 2**63:
            raise ValueError("its value is no number of 64 bits")
        fits(_size(found, {}))
        return found
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, RecursionError) as error:
        raise ExpressionError(f"The template function '{name}' cannot be evaluated: {error}") from None


def _size(value: Any, known: dict[int, int]) -> int:
    """About how many characters a value has as JSON. What is in it more than once is counted each time, and looked at once."""
    if isinstance(value, str):
        return len(value) + 2
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        items = value if isinstance(value, list) else [*value.keys(), *value.values()]
        known[id(value)] = 2 + sum(_size(item, known) + 1 for item in items)
    return known[id(value)]


def _range(start: int, count: int) -> list[int]:
    if not 0 <= count <= MOST_RANGE:
        raise ValueError(f"the count must be a number from 0 to {MOST_RANGE}")
    return list(range(start, start + count))


def fits(size: int) -> None:
    """Raises ValueError for what is larger than a value may be."""
    if size > MOST_VALUE:
        raise ValueError(f"it has more than {MOST_VALUE} characters")


def _joined(items: list[Any], mark: str) -> str:
    texts = [text_of(item) for item in items]
    fits(sum(map(len, texts)) + len(mark) * len(texts))
    return mark.join(texts)


def _replaced(text: str, old: str, new: str) -> str:
    fits(len(text) + text.lower().count(old.lower()) * len(new))
    return re.sub(re.escape(old), lambda _: new, text, flags=re.IGNORECASE)


def _padded(value: Any, width: int, mark: str = " ") -> str:
    fits(width)
    return text_of(value).rjust(width, mark)


def _parameters(scope: Scope, arguments: list[Any]) -> Any:
    wanted = str(arguments[0]).lower()
    for name, value in scope.parameters.items():
        if name.lower() == wanted:
            return value
    raise ExpressionError(f"The policy parameter '{arguments[0]}' is not found")


def _field(scope: Scope, arguments: list[Any]) -> Any:
    if scope.fields is None:
        raise ExpressionError("the function 'field' is of no use here")
    return scope.fields(str(arguments[0]))


def _current(scope: Scope, arguments: list[Any]) -> Any:
    wanted = str(arguments[0]).lower() if arguments else ""
    for name, value in scope.current.items():
        if name.lower() == wanted:
            return value
        if wanted.startswith(name.lower() + ".") and name:
            for part in str(arguments[0])[len(name) + 1 :].split("."):
                value = next((v for k, v in (value or {}).items() if k.lower() == part.lower()), None)
            return value
    raise ExpressionError(f"the function 'current' knows no '{wanted}'")


_SCOPED: dict[str, Callable[[Scope, list[Any]], Any]] = {
    "parameters": _parameters,
    "field": _field,
    "current": _current,
    "resourcegroup": lambda scope, _: scope.group,
    "subscription": lambda scope, _: scope.subscription,
    "requestcontext": lambda scope, _: scope.request,
    "policy": lambda scope, _: scope.policy,
    "utcnow": lambda scope, _: scope.now.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z",
}


def text_of(value: Any) -> str:
    """A value as text: True, 5, a list as JSON."""
    if isinstance(value, bool) or value is None:
        return str(value) if value is not None else ""
    return json.dumps(value, separators=(",", ":")) if isinstance(value, dict | list) else str(value)


def _same(one: Any, other: Any) -> bool:
    return one.lower() == other.lower() if isinstance(one, str) and isinstance(other, str) else bool(one == other)


def _contains(container: Any, value: Any) -> bool:
    if isinstance(container, str):
        return text_of(value).lower() in container.lower()
    if isinstance(container, dict):
        return any(key.lower() == str(value).lower() for key in container)
    return any(_same(item, value) for item in container or [])


def _concat(*parts: Any) -> Any:
    if parts and all(isinstance(p, list) for p in parts):
        return [item for part in parts for item in part]
    return "".join(text_of(p) for p in parts)


def _split(text: str, marks: Any) -> list[str]:
    marks = [marks] if isinstance(marks, str) else list(marks)
    return re.split("|".join(re.escape(mark) for mark in marks), text)


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _try_get(found: Any, *path: Any) -> Any:
    for part in path:
        try:
            found = _member(found, part) if isinstance(part, str) else found[part]
        except (ExpressionError, IndexError, KeyError, TypeError):
            return None
    return found


def _length(value: Any) -> int:
    return len(value)


def _substring(text: str, start: int, length: int | None = None) -> str:
    if start < 0 or start > len(text) or (length is not None and start + length > len(text)):
        raise ValueError(f"the index and length must refer to a location within '{text}'")
    return text[start:] if length is None else text[start : start + length]


def _union(*values: Any) -> Any:
    if all(isinstance(v, dict) for v in values):
        return {key: item for value in values for key, item in value.items()}
    out: list[Any] = []
    for value in values:
        out += [item for item in value if item not in out]
    return out


def _add_days(when: str, days: int, _form: str = "") -> str:
    found = dt.datetime.fromisoformat(
        when.replace("Z", "+00:00")[:26] if len(when) > 27 else when.replace("Z", "+00:00")
    )
    return (found + dt.timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def _in_range(range_: str, target: str) -> bool:
    return ipaddress.ip_network(target, strict=False).subnet_of(ipaddress.ip_network(range_, strict=False))  # type: ignore[arg-type]


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "adddays": _add_days,
    "and": lambda *values: all(values),
    "array": lambda value: value if isinstance(value, list) else [value],
    "bool": lambda value: value if isinstance(value, bool) else str(value).lower() in ("true", "1"),
    "coalesce": _coalesce,
    "concat": _concat,
    "contains": _contains,
    "createarray": lambda *values: list(values),
    "createobject": lambda *pairs: dict(zip(pairs[::2], pairs[1::2], strict=True)),
    "div": lambda a, b: a // b,
    "empty": lambda value: not value,
    "endswith": lambda text, end: text.lower().endswith(end.lower()),
    "equals": _same,
    "false": lambda: False,
    "first": lambda value: value[0] if value else ("" if isinstance(value, str) else None),
    "greater": lambda a, b: a > b,
    "greaterorequals": lambda a, b: a >= b,
    "if": lambda *_: None,
    "indexof": lambda text, part: text.lower().find(part.lower()),
    "int": int,
    "intersection": lambda first, *more: [v for v in first if all(v in other for other in more)],
    "iprangecontains": _in_range,
    "join": _joined,
    "json": json.loads,
    "last": lambda value: value[-1] if value else ("" if isinstance(value, str) else None),
    "lastindexof": lambda text, part: text.lower().rfind(part.lower()),
    "length": _length,
    "less": lambda a, b: a < b,
    "lessorequals": lambda a, b: a <= b,
    "max": lambda *values: max(values[0] if isinstance(values[0], list) else values),
    "min": lambda *values: min(values[0] if isinstance(values[0], list) else values),
    "mod": lambda a, b: a % b,
    "mul": lambda a, b: a * b,
    "not": lambda value: not value,
    "null": lambda: None,
    "or": lambda *values: any(values),
    "padleft": _padded,
    "range": _range,
    "replace": _replaced,
    "skip": lambda value, count: value[count:],
    "split": _split,
    "startswith": lambda text, start: text.lower().startswith(start.lower()),
    "string": text_of,
    "sub": lambda a, b: a - b,
    "substring": _substring,
    "take": lambda value, count: value[:count],
    "tolower": lambda text: text.lower(),
    "toupper": lambda text: text.upper(),
    "trim": lambda text: text.strip(),
    "true": lambda: True,
    "tryget": _try_get,
    "union": _union,
}
