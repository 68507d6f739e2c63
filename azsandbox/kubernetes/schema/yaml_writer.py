"""YAML as the API server writes it: sigs.k8s.io/yaml over go-yaml 2.

Block style, keys in a natural order, text with line breaks as a literal, double quotes for text that would be read as
something else, single quotes where the syntax demands them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import cmp_to_key
from typing import Any

import yaml

from azsandbox.kubernetes.schema.yaml_text import resolves_to_text

_DUMPER = getattr(yaml, "CDumper", yaml.Dumper)
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_TIME = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}([Tt]\d{1,2}:\d{1,2}:\d{1,2}([.,]\d+)?(Z|[+-]\d\d:\d\d)| \d{1,2}:\d{1,2}:\d{1,2}([.,]\d+)?)?"
)


def write(value: Any) -> bytes:
    """A JSON value as a YAML document."""
    text: str = yaml.emit(_document(value), Dumper=_DUMPER, allow_unicode=True, width=80)
    return text.encode()


def _document(value: Any) -> Iterator[yaml.Event]:
    yield yaml.StreamStartEvent()
    yield yaml.DocumentStartEvent(explicit=False)
    yield from _events(value)
    yield yaml.DocumentEndEvent(explicit=False)
    yield yaml.StreamEndEvent()


def _events(value: Any) -> Iterator[yaml.Event]:
    if isinstance(value, dict):
        yield yaml.MappingStartEvent(None, None, implicit=True, flow_style=not value)
        for key in sorted(value, key=_NATURAL):
            yield _text(key)
            yield from _events(value[key])
        yield yaml.MappingEndEvent()
    elif isinstance(value, list):
        yield yaml.SequenceStartEvent(None, None, implicit=True, flow_style=not value)
        for item in value:
            yield from _events(item)
        yield yaml.SequenceEndEvent()
    elif isinstance(value, str):
        yield _text(value)
    else:
        yield yaml.ScalarEvent(None, None, (True, False), _scalar(value))


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    return str(value)


def _float(value: float) -> str:
    """A number as strconv.FormatFloat writes it with 'g': an exponent below 1e-4 and from 1e21 on."""
    if value == int(value) and abs(value) < 1e21 and math.isfinite(value):
        return str(int(value))
    text = repr(value)
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}e{exponent[0]}{exponent[1:].zfill(2)}" if e else text


def _text(text: str) -> yaml.ScalarEvent:
    if "\n" in text:
        style = "|"
    elif resolves_to_text(text) and not _BASE_60.fullmatch(text) and not _TIME.fullmatch(text):
        return yaml.ScalarEvent(None, None, (True, True), text)
    else:
        style = '"'
    return yaml.ScalarEvent(None, None, (True, True), text, style=style)


def _compare(one: str, other: str) -> int:
    """The order of go-yaml's keyList: digits count as numbers, letters come after everything else."""
    for index in range(min(len(one), len(other))):
        if one[index] == other[index]:
            continue
        letters = one[index].isalpha(), other[index].isalpha()
        if all(letters):
            return -1 if one[index] < other[index] else 1
        if any(letters):
            return -1 if letters[1] else 1
        return _compare_digits(one, other, index)
    return len(one) - len(other)


def _compare_digits(one: str, other: str, index: int) -> int:
    start = 0
    if "0" in (one[index], other[index]):
        before = re.search(r"\d*$", one[:index])
        start = int(bool(before and before[0].strip("0")))
    first, second = [re.match(r"\d*", text[index:]) for text in (one, other)]
    digits, others = first[0] if first else "", second[0] if second else ""
    number, another = int(f"{start}{digits}"), int(f"{start}{others}")
    if number != another:
        return -1 if number < another else 1
    if len(digits) != len(others):
        return len(digits) - len(others)
    return -1 if one[index] < other[index] else 1


_NATURAL = cmp_to_key(_compare)
