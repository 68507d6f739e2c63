"""The formats that strings of custom resources can have. Unknown ones are not enforced.

Source: k8s.io/kube-openapi, pkg/validation/strfmt; k8s.io/apiextensions-apiserver, supported formats.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import ipaddress
import re
import urllib.parse
from collections.abc import Callable

from azsandbox.kubernetes.validation import formats

_UUID = "[0-9a-f]{8}-?[0-9a-f]{4}-?%s[0-9a-f]{3}-?%s[0-9a-f]{3}-?[0-9a-f]{12}"
_DURATION = re.compile(
    r"\s*[-+]?\d+(\.\d+)?\s*(ns|nanosecond|us|µs|μs|ms|s|m|h|hr|hour|minute|min|second|sec|milli|micro|d|day|w|wk|week)s?"
    r"(\s*\d+(\.\d+)?\s*(ns|us|µs|ms|s|m|h|d|w)s?)*\s*",
)
_HOSTNAME = re.compile(
    r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*\.?"
)
_EMAIL = re.compile(r"(?:[^<>@]*<)?[^\s<>@,;:\\\"\[\]()]+@[^\s<>@,;:\\\"()]+>?")
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d([.,]\d+)?([Zz]|[+-]\d\d:?\d\d)")


def _date(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10


def _base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _uri(text: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(text)
    except ValueError:
        return False
    return " " not in text and (bool(parts.scheme) or text.startswith("/"))


def _address(version: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return ipaddress.ip_address(text).version == version
        except ValueError:
            return False

    return check


def _mac(text: str) -> bool:
    return re.fullmatch(r"([0-9a-fA-F]{2}([:-]))([0-9a-fA-F]{2}\2){4}[0-9a-fA-F]{2}", text) is not None


def _date_time(text: str) -> bool:
    return _DATE_TIME.fullmatch(text) is not None and _date(text[:10])


def _matcher(pattern: str, flags: int = 0) -> Callable[[str], bool]:
    compiled = re.compile(pattern, flags)
    return lambda text: compiled.fullmatch(text) is not None


def _card(text: str) -> bool:
    return re.fullmatch(r"\d{13,19}", re.sub(r"[ -]", "", text)) is not None


_FORMATS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _matcher("[0-9a-fA-F]{24}"),
    "uri": _uri,
    "email": lambda text: _EMAIL.fullmatch(text) is not None,
    "hostname": lambda text: _HOSTNAME.fullmatch(text) is not None and len(text) <= 255,
    "ipv4": _address(4),
    "ipv6": _address(6),
    "cidr": lambda text: formats.cidr(text) is not None and not formats.has_leading_zeros(text),
    "mac": _mac,
    "uuid": _matcher(_UUID % ("[0-9a-f]", "[0-9a-f]"), re.IGNORECASE),
    "uuid3": _matcher(_UUID % ("3", "[0-9a-f]"), re.IGNORECASE),
    "uuid4": _matcher(_UUID % ("4", "[89ab]"), re.IGNORECASE),
    "uuid5": _matcher(_UUID % ("5", "[89ab]"), re.IGNORECASE),
    "isbn": _matcher(r"[\d -]{9,17}[\dXx]"),
    "isbn10": _matcher(r"[\d -]{9,12}[\dXx]"),
    "isbn13": _matcher(r"97[89][\d -]{10,14}"),
    "creditcard": _card,
    "ssn": _matcher(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _matcher("#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": _matcher(r"rgb\(\s*\d{1,3}\s*,\s*\d{1,3}\s*,\s*\d{1,3}\s*\)"),
    "byte": _base64,
    "password": lambda text: True,
    "date": _date,
    "duration": lambda text: _DURATION.fullmatch(text) is not None,
    "datetime": _date_time,
    "k8sshortname": lambda text: not formats.dns_label(text),
    "k8slongname": lambda text: not formats.dns_subdomain(text),
}


def known(name: str) -> bool:
    """Whether a format means anything to a string. Dashes in its name mean nothing."""
    return name.replace("-", "") in _FORMATS


def matches(name: str, text: str) -> bool:
    """Whether a string has a format; any string has one that is unknown."""
    check = _FORMATS.get(name.replace("-", ""))
    return check is None or check(text)
