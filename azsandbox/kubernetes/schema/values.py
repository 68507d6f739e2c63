"""Scalars with a form of their own: times, quantities, bytes, whole numbers. Each is read and written as Go does."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from functools import lru_cache
from typing import Any

from azsandbox.kubernetes.quantity import Quantity

_LAYOUT, _MICRO_LAYOUT = "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05.000000Z07:00"
_RFC3339 = re.compile(r"(\d{4})-(\d{2})-(\d{2})T(\d{1,2}):(\d{2}):(\d{2})(?:[.,](\d+))?(Z|[+-]\d{2}:\d{2})", re.ASCII)
# what is parsed in turn: the pattern of each element, the rest of the layout from it on is in the error
_ELEMENTS = (
    ("2006", r"\d{4}"),
    ("-", r"-"),
    ("01", r"\d{2}"),
    ("-", r"-"),
    ("02", r"\d{2}"),
    ("T", r"T"),
    ("15", r"\d{1,2}"),
    (":", r":"),
    ("04", r"\d{2}"),
    (":", r":"),
    ("05", r"\d{2}(?:[.,]\d+)?"),
    ("Z07:00", r"Z|[+-]\d{2}:\d{2}"),
)
# microseconds are six digits, neither more nor less
_MICRO_ELEMENTS = (*_ELEMENTS[:-2], ("05", r"\d{2}"), (".000000", r"[.,]\d{6}"), _ELEMENTS[-1])


class BadValue(ValueError):
    """A scalar that cannot be read; the message is Go's."""


@lru_cache(maxsize=4096)
def time(text: str, micro: bool = False) -> str:
    """An RFC 3339 time in UTC, in seconds or in microseconds. Raises BadValue."""
    found = _RFC3339.fullmatch(text)
    if not found or (micro and len(found[7] or "") != 6):
        raise BadValue(_time_error(text, micro))
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    for value, low, high, name in (
        (month, 1, 12, "month"),
        (day, 1, 31, "day"),
        (hour, 0, 23, "hour"),
        (minute, 0, 59, "minute"),
    ):
        if not low <= int(value) <= high:
            raise BadValue(f"parsing time {_go_quoted(text)}: {name} out of range")
    if int(second) > 59:
        raise BadValue(f"parsing time {_go_quoted(text)}: second out of range")
    try:
        moment = dt.datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=dt.UTC)
        if zone != "Z":
            offset = dt.timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
            moment = moment - offset if zone[0] == "+" else moment + offset
    except (ValueError, OverflowError):
        raise BadValue(f"parsing time {_go_quoted(text)}: day out of range") from None
    base = f"{moment.year:04d}{moment:-%m-%dT%H:%M:%S}"
    return f"{base}.{fraction}Z" if micro else f"{base}Z"


def _time_error(text: str, micro: bool) -> str:
    rest = text
    layout = _MICRO_LAYOUT if micro else _LAYOUT
    for element, pattern in _MICRO_ELEMENTS if micro else _ELEMENTS:
        found = re.match(pattern, rest, re.ASCII)
        if not found:
            return f'parsing time {_go_quoted(text)} as "{layout}": cannot parse {_go_quoted(rest)} as "{element}"'
        rest = rest[found.end() :]
    return f"parsing time {_go_quoted(text)}: extra text: {_go_quoted(rest)}"


def _go_quoted(text: str) -> str:
    """A string as Go's package time quotes it: bytes that are no printable ASCII by their number."""
    found = [
        f"\\{chr(byte)}" if byte in b'"\\' else chr(byte) if 0x20 <= byte < 0x80 else f"\\x{byte:02x}"
        for byte in text.encode("utf-8", "replace")
    ]
    return f'"{"".join(found)}"'


_QUANTITY = re.compile(r"([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)")
BAD_QUANTITY = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
BAD_SUFFIX = "unable to parse quantity's suffix"


@lru_cache(maxsize=4096)
def quantity(text: str) -> str:
    """A quantity in its canonical form. Raises BadValue."""
    try:
        return str(Quantity.parse(text))
    except ValueError:
        raise BadValue(quantity_error(text)) from None


def quantity_error(text: str) -> str:
    """What resource.ParseQuantity says of a text that is no quantity."""
    found = re.match(r"[+-]?\d*(?:\.\d*)?", text)
    number = found.group() if found else ""
    if not any(character.isdigit() for character in number):
        return BAD_QUANTITY
    rest = text[len(number) :]
    if rest and not re.fullmatch(r"[eEinumkKMGTP]*[-+]?[0-9]*", rest):
        return BAD_QUANTITY
    return BAD_SUFFIX


def base64_bytes(text: str) -> str:
    """Standard base64, written anew. Raises BadValue with the offset at which Go stops."""
    if not text:
        return text
    try:
        binascii.a2b_base64(text.encode(), strict_mode=True)
        return text
    except binascii.Error:
        joined = text.replace("\n", "").replace("\r", "")
        try:
            return base64.b64encode(binascii.a2b_base64(joined.encode(), strict_mode=True)).decode() if joined else ""
        except binascii.Error:
            raise BadValue(f"illegal base64 data at input byte {_base64_offset(text)}") from None


def _base64_offset(text: str) -> int:
    """Where encoding/base64 says that the text is corrupt."""
    alphabet = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    index, length = 0, len(text)
    while True:
        quantum = 0
        while quantum < 4:
            if index >= length:
                return index - quantum
            character = text[index]
            index += 1
            if character in "\r\n":
                continue
            if character in alphabet:
                quantum += 1
                continue
            if character != "=":
                return index - 1
            if quantum < 2:
                return index - 1
            if quantum == 2:
                while index < length and text[index] in "\r\n":
                    index += 1
                if index >= length:
                    return length
                if text[index] != "=":
                    return index
                index += 1
            while index < length and text[index] in "\r\n":
                index += 1
            return index


def whole(value: Any, bits: int) -> bool:
    """Whether an int fits an integer of Go with so many bits; 8 bits are a byte without sign."""
    if bits == 8:
        return 0 <= value < 256
    return -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)
