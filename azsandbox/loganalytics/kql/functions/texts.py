"""Functions of strings."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from typing import Any

from azsandbox.loganalytics.kql import values
from azsandbox.loganalytics.kql.functions.model import ANY, Kinds, function
from azsandbox.loganalytics.kql.strings import expression

MOST_REPEATS = 1024
"""Times that strrep() repeats a text at most, as Kusto's does."""


def _strcat(kinds: Kinds) -> Callable[..., Any]:
    return lambda *parts: "".join(values.text(part, kind) for part, kind in zip(parts, kinds, strict=True))


def _strcat_delim(kinds: Kinds) -> Callable[..., Any]:
    def compute(delimiter: Any, *parts: Any) -> str:
        texts = [values.text(part, kind) for part, kind in zip(parts, kinds[1:], strict=True)]
        return str(delimiter).join(texts)

    return compute


def _split(text: str, delimiter: str, index: int | None = None) -> list[str]:
    parts = text.split(delimiter) if delimiter else list(text)
    if index is None:
        return parts
    return [parts[index]] if -len(parts) <= index < len(parts) else []


def _substring(text: str, start: int, length: int | None = None) -> str:
    start = max(0, len(text) + start if start < 0 else start)
    return text[start:] if length is None else text[start : start + max(0, length)]


def _indexof(text: str, part: str, start: int = 0, length: int = -1, occurrence: int = 1) -> int:
    end = len(text) if length < 0 else start + length
    at = start - 1
    for _ in range(max(1, occurrence)):
        at = text.find(part, at + 1, end)
        if at < 0:
            return -1
    return at


def _extract(pattern: str, group: int, text: str) -> str:
    found = expression(pattern).search(text)
    return (found.group(group) or "") if found else ""


def _extract_all(pattern: str, text: str) -> list[Any]:
    compiled = expression(pattern)
    found = [m.groups() or (m.group(),) for m in compiled.finditer(text)]
    return [groups[0] if len(groups) == 1 else list(groups) for groups in found]


def _trim(pattern: str, text: str, *, start: bool = True, end: bool = True) -> str:
    if start:
        found = expression(f"^(?:{pattern})").search(text)
        text = text[found.end() :] if found else text
    if end:
        found = expression(f"(?:{pattern})$").search(text)
        text = text[: found.start()] if found else text
    return text


def _countof(text: str, part: str, kind: str = "normal") -> int:
    if kind == "regex":
        return sum(1 for _ in expression(part).finditer(text))
    return sum(text.startswith(part, at) for at in range(len(text))) if part else 0


def _strcat_array(array: Any, delimiter: str) -> str | None:
    return delimiter.join(values.text(item, "dynamic") for item in array) if isinstance(array, list) else None


def _replace_strings(text: str, old: Any, new: Any) -> str:
    for one, other in zip(old, new, strict=False):
        text = text.replace(str(one), str(other))
    return text


FUNCTIONS = {
    "tolower": function("string", "string", str.lower),
    "toupper": function("string", "string", str.upper),
    "strlen": function("string", "long", len),
    "strcat": function(ANY, "string", _strcat, many=True, by_type=True, strict=False),
    "strcat_delim": function(f"string {ANY}", "string", _strcat_delim, many=True, by_type=True, strict=False),
    "strcat_array": function("dynamic string", "string", _strcat_array),
    "strrep": function(
        "string long string", "string", lambda t, n, d="": d.join([t] * min(n, MOST_REPEATS)), optional=1
    ),
    "split": function("string string long", "dynamic", _split, optional=1),
    "substring": function("string long long", "string", _substring, optional=1),
    "indexof": function("string string long long long", "long", _indexof, optional=3),
    "replace_string": function("string string string", "string", str.replace),
    "replace_strings": function("string dynamic dynamic", "string", _replace_strings),
    "replace_regex": function("string string string", "string", lambda t, p, n: expression(p).sub(n, t)),
    "extract": function("string long string", "string", _extract),
    "extract_all": function("string string", "dynamic", _extract_all),
    "trim": function("string string", "string", _trim),
    "trim_start": function("string string", "string", lambda p, t: _trim(p, t, end=False)),
    "trim_end": function("string string", "string", lambda p, t: _trim(p, t, start=False)),
    "countof": function("string string string", "long", _countof, optional=1),
    "reverse": function("string", "string", lambda text: text[::-1]),
    "url_decode": function("string", "string", urllib.parse.unquote),
    "url_encode": function("string", "string", lambda text: urllib.parse.quote(text, safe="")),
    "strcmp": function("string string", "long", lambda a, b: (a > b) - (a < b)),
}
