"""The formats of names, labels, ports and the like, each as a function that returns what is wrong.

Rules and texts: k8s.io/apimachinery, packages util/validation and api/validate/content.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache

Format = Callable[[str], list[str]]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = _LABEL + r"(\." + _LABEL + ")*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_WILDCARD = r"\*\." + _SUBDOMAIN
_UNDERSCORE_LABEL = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_UNDERSCORE_SUBDOMAIN = _UNDERSCORE_LABEL + r"(\." + _UNDERSCORE_LABEL + ")*"
_KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_KEY})?"
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_HEADER = "[-A-Za-z0-9]+"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_PERCENT = "[0-9]+%"

_COMPILED = {
    pattern: re.compile(pattern)
    for pattern in (
        _LABEL,
        _SUBDOMAIN,
        _LABEL_1035,
        _WILDCARD,
        _UNDERSCORE_SUBDOMAIN,
        _KEY,
        _VALUE,
        _HTTP_PATH,
        _HEADER,
        _CONFIG_KEY,
        _PERCENT,
    )
}
INT32_MAX = 2**31 - 1


def _matches(pattern: str, value: str) -> bool:
    return _COMPILED[pattern].fullmatch(value) is not None


def pattern_text(message: str, pattern: str, *examples: str) -> str:
    """What is said of a value that does not match a pattern."""
    if not examples:
        return f"{message} (regex used for validation is '{pattern}')"
    said = " or ".join(f"'{example}', " for example in examples)
    return f"{message} (e.g. {said}regex used for validation is '{pattern}')"


def too_long_text(length: int, unit: str = "characters") -> str:
    return f"must be no more than {length} {unit}"


def range_text(low: int, high: int) -> str:
    return f"must be between {low} and {high}, inclusive"


@lru_cache(4096)
def _dns_label(value: str) -> tuple[str, ...]:
    found = []
    if len(value) > 63:
        found.append(too_long_text(63))
    if not _matches(_LABEL, value):
        if _matches(_SUBDOMAIN, value):
            found.append("must not contain dots")
        else:
            text = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character"
            found.append(pattern_text(text, _LABEL, "my-name", "123-abc"))
    return tuple(found)


def dns_label(value: str) -> list[str]:
    return list(_dns_label(value))


@lru_cache(4096)
def _dns_subdomain(value: str) -> tuple[str, ...]:
    found = []
    if len(value) > 253:
        found.append(too_long_text(253))
    if not _matches(_SUBDOMAIN, value):
        text = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
        found.append(pattern_text(text, _SUBDOMAIN, "example.com"))
    return tuple(found)


def dns_subdomain(value: str) -> list[str]:
    return list(_dns_subdomain(value))


def dns_subdomain_with_underscore(value: str) -> list[str]:
    found = []
    if len(value) > 253:
        found.append(too_long_text(253))
    if not _matches(_UNDERSCORE_SUBDOMAIN, value):
        text = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character"
        found.append(pattern_text(text, _UNDERSCORE_SUBDOMAIN, "example.com"))
    return found


def dns_1035_label(value: str) -> list[str]:
    found = []
    if len(value) > 63:
        found.append(too_long_text(63))
    if not _matches(_LABEL_1035, value):
        text = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character"
        found.append(pattern_text(text, _LABEL_1035, "my-name", "abc-123"))
    return found


def wildcard_subdomain(value: str) -> list[str]:
    found = []
    if len(value) > 253:
        found.append(too_long_text(253))
    if not _matches(_WILDCARD, value):
        text = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
        found.append(pattern_text(text, _WILDCARD, "*.example.com"))
    return found


@lru_cache(8192)
def _qualified_name(value: str) -> tuple[str, ...]:
    text = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
    found: list[str] = []
    parts = value.split("/")
    if len(parts) > 2:
        said = pattern_text(text, _KEY, "MyName", "my.name", "123-abc")
        return (f"a valid label key {said} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",)
    name = parts[-1]
    if len(parts) == 2:
        if not parts[0]:
            found.append("prefix part must be non-empty")
        else:
            # Here, and for the value of a label, lengths are said in bytes.
            found.extend(
                "prefix part " + said.replace("253 characters", "253 bytes") for said in _dns_subdomain(parts[0])
            )
    if not name:
        found.append("name part must be non-empty")
    elif len(name) > 63:
        found.append("name part " + too_long_text(63, "bytes"))
    if not _matches(_KEY, name):
        found.append("name part " + pattern_text(text, _KEY, "MyName", "my.name", "123-abc"))
    return tuple(found)


def qualified_name(value: str) -> list[str]:
    """A label's key: `name` or `prefix/name`."""
    return list(_qualified_name(value))


@lru_cache(8192)
def _label_value(value: str) -> tuple[str, ...]:
    found = []
    if len(value) > 63:
        found.append(too_long_text(63, "bytes"))
    if not _matches(_VALUE, value):
        text = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
        found.append(pattern_text(text, _VALUE, "MyValue", "my_value", "12345"))
    return tuple(found)


def label_value(value: str) -> list[str]:
    return list(_label_value(value))


def any_name(value: str) -> list[str]:
    """No rule at all; what every name in a path is asked comes after everything else."""
    return []


def path_segment(value: str) -> list[str]:
    """A name that may stand in a URL path, which is all that RBAC and custom resources' subjects ask for."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{part}'" for part in ("/", "%") if part in value]


def path_segment_prefix(value: str) -> list[str]:
    return [f"may not contain '{part}'" for part in ("/", "%") if part in value]


def port_number(value: int) -> list[str]:
    return [] if 1 <= value <= 65535 else [range_text(1, 65535)]


def port_name(value: str) -> list[str]:
    found = []
    if len(value) > 15:
        found.append(too_long_text(15))
    if not re.fullmatch("[-a-z0-9]+", value):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", value):
        found.append("must contain at least one letter (a-z)")
    if "--" in value:
        found.append("must not contain consecutive hyphens")
    if value and (value[0] == "-" or value[-1] == "-"):
        found.append("must not begin or end with a hyphen")
    return found


def percent(value: str) -> list[str]:
    if _matches(_PERCENT, value):
        return []
    text = "a valid percent string must be a numeric string followed by an ending '%'"
    return [pattern_text(text, _PERCENT, "1%", "93%")]


def http_header_name(value: str) -> list[str]:
    if _matches(_HEADER, value):
        return []
    return [
        pattern_text("a valid HTTP header must consist of alphanumeric characters or '-'", _HEADER, "X-Header-Name")
    ]


def relaxed_env_name(value: str) -> list[str]:
    found = []
    if not value:
        found.append("environment variable name must be non-empty")
    if any(letter > "\x7e" or letter < " " or letter == "=" for letter in value):
        found.append("a valid environment variable name must consist only of printable ASCII characters other than '='")
    return found


def _leaves_directory(value: str) -> list[str]:
    if value == ".":
        return ["must not be '.'"]
    if value == "..":
        return ["must not be '..'"]
    return ["must not start with '..'"] if value.startswith("..") else []


def config_key(value: str) -> list[str]:
    """A key of a ConfigMap or Secret."""
    found = []
    if len(value) > 253:
        found.append(too_long_text(253))
    if not _matches(_CONFIG_KEY, value):
        text = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        found.append(pattern_text(text, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    return found + _leaves_directory(value)


def http_path(value: str) -> bool:
    return _matches(_HTTP_PATH, value)


def invalid_http_path_text() -> str:
    return pattern_text("Invalid path", _HTTP_PATH)


def ip(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, or None if the text is none. Numbers may have leading zeros, as in fields of old in Kubernetes."""
    if "%" in value:
        return None
    try:
        return ipaddress.ip_address(_LEADING_ZEROS.sub("", value) if ":" not in value else value)
    except ValueError:
        return None


_LEADING_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")


def has_leading_zeros(value: str) -> bool:
    """Whether an IPv4 address, or a length behind a slash, has a number that begins with zeros."""
    address, _, length = value.partition("/")
    return bool((":" not in address and _LEADING_ZEROS.search(address)) or _LEADING_ZEROS.match(length))


def cidr(value: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface | None:
    """The address with its network, or None. Leading zeros are taken as for an address."""
    address, slash, length = value.partition("/")
    found = ip(address)
    if not slash or found is None or not re.fullmatch(r"[0-9]{1,3}", length):
        return None
    try:
        return ipaddress.ip_interface(f"{found}/{int(length)}")
    except ValueError:
        return None


def strict_ip(value: str) -> list[str]:
    """An address as new kinds ask for it: without leading zeros, and in its canonical form."""
    found = ip(value)
    if found is None:
        return [IP_TEXT]
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        return ["must not be an IPv4-mapped IPv6 address"]
    if has_leading_zeros(value):
        return ["must not have leading 0s"]
    return [] if str(found) == value else [f'must be in canonical form ("{found}")']


def strict_cidr(value: str) -> list[str]:
    """A range of addresses as new kinds ask for it."""
    found = cidr(value)
    if found is None:
        return [CIDR_TEXT]
    if has_leading_zeros(value):
        return ["must not have leading 0s in IP or prefix length"]
    if isinstance(found.ip, ipaddress.IPv6Address) and found.ip.ipv4_mapped:
        return ["must not have an IPv4-mapped IPv6 address"]
    if found.ip != found.network.network_address:
        return ["must not have bits set beyond the prefix length"]
    return [] if str(found.network) == value else [f'must be in canonical form ("{found.network}")']


IP_TEXT = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
CIDR_TEXT = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
