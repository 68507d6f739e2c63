"""The functions of text/template itself (Go, text/template, funcs.go)."""

from __future__ import annotations

import html
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from azsandbox.flux.image.templates.runner import FunctionError
from azsandbox.flux.image.templates.values import Struct, is_true, shown, type_name
from azsandbox.flux.quoting import quoted

LONGEST_TEXT = 100_000  # characters that one function may make
_VERB = re.compile(r"%([-+# 0]*)(\*|\d+)?(?:\.(\d+))?([a-zA-Z%])")


def limited(text: str) -> str:
    """A text of a function, if it is not too long."""
    if len(text) > LONGEST_TEXT:
        raise FunctionError(f"NotSupportedInSandbox: a text of more than {LONGEST_TEXT} characters")
    return text


def _basic(value: Any) -> str:
    """The kind of what can be compared: bool, int, float, string."""
    for kind, name in ((bool, "bool"), (int, "int"), (float, "float"), (str, "string")):
        if isinstance(value, kind):
            return name
    raise FunctionError("invalid type for comparison")


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise FunctionError("missing argument for comparison")
    for other in others:
        if first is None or other is None:
            if first is other:
                return True
            continue
        if isinstance(first, Struct) or isinstance(other, Struct):
            if first == other:
                return True
            continue
        if _basic(first) != _basic(other):
            raise FunctionError(f"incompatible types for comparison: {type_name(first)} and {type_name(other)}")
        if first == other:
            return True
    return False


def _less(one: Any, two: Any) -> bool:
    kinds = {_basic(one), _basic(two)}
    if len(kinds) > 1:
        raise FunctionError(f"incompatible types for comparison: {type_name(one)} and {type_name(two)}")
    if kinds == {"bool"}:
        raise FunctionError("invalid type for comparison")
    return bool(one < two)


def _index(item: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(item, Mapping):
            item = item.get(key, "" if type_name(item) == "map[string]string" else None)
            continue
        if not isinstance(item, (list, tuple, str)):
            raise FunctionError(f"can't index item of type {type_name(item)}")
        if not isinstance(key, int):
            raise FunctionError(f"cannot index slice/array with type {type_name(key)}")
        if not 0 <= key < len(item):
            raise FunctionError(f"index out of range: {key}")
        item = item.encode()[key] if isinstance(item, str) else item[key]
    return item


def _slice(item: Any, *bounds: int) -> Any:
    if len(bounds) > 3:
        raise FunctionError(f"too many slice indexes: {len(bounds)}")
    if not isinstance(item, (list, tuple, str)):
        raise FunctionError(f"can't slice item of type {type_name(item)}")
    for bound in bounds:
        if not isinstance(bound, int) or not 0 <= bound <= len(item):
            raise FunctionError(f"index out of range: {shown(bound)}")
    return item[slice(*(bounds or (0,)))] if len(bounds) != 1 else item[bounds[0] :]


def _length(item: Any) -> int:
    if not isinstance(item, (Mapping, list, tuple, str)):
        raise FunctionError(f"len of type {type_name(item)}" if item is not None else "len of nil pointer")
    return len(item.encode()) if isinstance(item, str) else len(item)


def printed(*items: Any) -> str:
    """fmt.Sprint: a space between two of which neither is a text."""
    out = ""
    for number, item in enumerate(items):
        if number and not isinstance(item, str) and not isinstance(items[number - 1], str):
            out += " "
        out += shown(item)
    return limited(out)


def formatted(form: str, *items: Any) -> str:
    """fmt.Sprintf, with the verbs that texts and numbers have."""
    left = list(items)

    def verb(found: re.Match[str]) -> str:
        flags, width, precision, kind = found.groups()
        if kind == "%":
            return "%"
        if width == "*":
            width = str(left.pop(0)) if left else ""
        if not left:
            return f"%!{kind}(MISSING)"
        text = _verb(left.pop(0), kind, flags, precision)
        fill = "0" if "0" in flags and "-" not in flags else " "
        size = min(int(width or 0), LONGEST_TEXT)
        return text.ljust(size) if "-" in flags else text.rjust(size, fill)

    out = _VERB.sub(verb, form)
    if left:
        out += "%!(EXTRA " + ", ".join(f"{type_name(item)}={shown(item)}" for item in left) + ")"
    return limited(out)


def _verb(value: Any, kind: str, flags: str, precision: str | None) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if kind == "v":
        return shown(value)
    if kind == "T":
        return type_name(value)
    if kind == "s" and not whole and not isinstance(value, (bool, float)):
        text = shown(value)
        return text[: int(precision)] if precision else text
    if kind == "q" and isinstance(value, str):
        return quoted(value)
    if kind == "t" and isinstance(value, bool):
        return shown(value)
    if kind in "dxXob" and whole:
        sign = "+" if "+" in flags and kind == "d" else ""
        return format(value, f"{sign}{kind}")
    if kind in "xX" and isinstance(value, str):
        return value.encode().hex() if kind == "x" else value.encode().hex().upper()
    if kind == "c" and whole:
        return chr(value)
    if kind in "feEgG" and isinstance(value, float):
        return format(value, f".{precision or 6}{kind}") if kind in "feE" else shown(value)
    return f"%!{kind}({type_name(value)}={shown(value)})"


def _js(text: str) -> str:
    for letter in "<>&=":
        text = text.replace(letter, f"\0{ord(letter):04X}")
    return json.dumps(text, ensure_ascii=False)[1:-1].replace("\\u0000", "\\u").replace("'", "\\'")


def _call(*_: Any) -> Any:
    raise FunctionError("call of nil")


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": lambda *items: None,  # these two are run by the runner, no further than needed
    "or": lambda *items: None,
    "call": _call,
    "eq": _eq,
    "ge": lambda one, two: not _less(one, two),
    "gt": lambda one, two: not _less(one, two) and not _eq(one, two),
    "html": lambda *items: html.escape(printed(*items)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
    "index": _index,
    "js": lambda *items: _js(printed(*items)),
    "le": lambda one, two: _less(one, two) or _eq(one, two),
    "len": _length,
    "lt": _less,
    "ne": lambda one, two: not _eq(one, two),
    "not": lambda value: not is_true(value),
    "print": printed,
    "printf": formatted,
    "println": lambda *items: limited(" ".join(map(shown, items)) + "\n"),
    "slice": _slice,
    "urlquery": lambda *items: urllib.parse.quote_plus(printed(*items)),
}
