"""What a value of lab.toml may be: one rule a kind, each raising SettingsError.

The rules for names are Azure's ("Naming rules and restrictions for Azure resources", Microsoft Learn, 2026-08).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from labkit.errors import SettingsError

Rule = Callable[[str, object], None]

NAME_RULES: dict[str, tuple[str, str]] = {
    "resource group": (
        r"[-\w.()]{0,89}[-\w()]",
        "1 to 90 letters, digits, underscores, hyphens, points and parentheses, no point at the end",
    ),
    "cluster": (
        r"[A-Za-z0-9]([-\w]{0,61}[A-Za-z0-9])?",
        "1 to 63 letters, digits, hyphens and underscores, a letter or digit at both ends",
    ),
    "virtual network": (
        r"[A-Za-z0-9][-\w.]{0,62}\w",
        "2 to 64 letters, digits, underscores, points and hyphens, a letter or digit first",
    ),
    "subnet": (
        r"[A-Za-z0-9]([-\w.]{0,78}\w)?",
        "1 to 80 letters, digits, underscores, points and hyphens, a letter or digit first",
    ),
    "workspace": (
        r"[A-Za-z0-9][-A-Za-z0-9]{2,61}[A-Za-z0-9]",
        "4 to 63 letters, digits and hyphens, a letter or digit at both ends",
    ),
    "registry": (r"[A-Za-z0-9]{5,50}", "5 to 50 letters and digits"),
    "vault": (
        r"(?!.*--)[A-Za-z][-A-Za-z0-9]{1,22}[A-Za-z0-9]",
        "3 to 24 letters, digits and single hyphens, a letter first",
    ),
    "repository": (r"[-\w.]{1,100}", "1 to 100 letters, digits, hyphens, underscores and points"),
    "branch": (r"[A-Za-z0-9]([-\w./]{0,98}\w)?", "1 to 100 letters, digits, hyphens, underscores, points and slashes"),
    "node pool": (r"[a-z][a-z0-9]{0,11}", "1 to 12 lower-case letters and digits, a letter first"),
}


def text(key: str, value: object) -> None:
    """Any text, on one line."""
    if not isinstance(value, str) or "\n" in value:
        raise SettingsError(key, "text on one line", value)


def boolean(key: str, value: object) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise SettingsError(key, "true or false", value)


def name(kind: str) -> Rule:
    """A name that Azure allows for `kind`."""
    pattern, words = NAME_RULES[kind]

    def rule(key: str, value: object) -> None:
        if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
            raise SettingsError(key, f"a {kind} name: {words}", value)

    return rule


def one_of(*choices: str) -> Rule:
    """One of `choices`, to the letter."""

    def rule(key: str, value: object) -> None:
        if value not in choices:
            raise SettingsError(key, "one of " + ", ".join(repr(choice) for choice in choices), value)

    return rule


def count(least: int, most: int) -> Rule:
    """A whole number from `least` to `most`."""

    def rule(key: str, value: object) -> None:
        # bool is an int in Python, and true is no count.
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise SettingsError(key, f"a whole number from {least} to {most}", value)

    return rule


def list_of(item_rule: Rule) -> Rule:
    """A list, each item by `item_rule`."""

    def rule(key: str, value: object) -> None:
        if not isinstance(value, list):
            raise SettingsError(key, "a list", value)
        for index, item in enumerate(value):
            item_rule(f"{key}[{index}]", item)

    return rule


def cidr(key: str, value: object) -> None:
    """An IPv4 range whose host bits are zero."""
    try:
        if not isinstance(value, str) or "/" not in value:
            raise ValueError
        ipaddress.IPv4Network(value)
    except ValueError:
        raise SettingsError(key, "an IPv4 range such as 10.10.0.0/16, host bits zero", value) from None


def ip_address(key: str, value: object) -> None:
    """An IPv4 address."""
    try:
        ipaddress.IPv4Address(value if isinstance(value, str) else "")
    except ValueError:
        raise SettingsError(key, "an IPv4 address such as 10.0.0.10", value) from None


def guid_or_empty(key: str, value: object) -> None:
    """An id of 32 hexadecimal digits with dashes, or empty."""
    if value != "" and not (
        isinstance(value, str) and re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value)
    ):
        raise SettingsError(key, "an id such as 00000000-0000-0000-0000-000000000000, or empty", value)


def region_name(key: str, value: object) -> None:
    """A region as Azure's programs write it: westeurope, not West Europe."""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z]+[a-z0-9]*", value):
        raise SettingsError(key, "a region's short name such as westeurope", value)


def vm_size(key: str, value: object) -> None:
    """A size as Azure writes it."""
    if not isinstance(value, str) or not re.fullmatch(r"(Standard|Basic)_\w+", value):
        raise SettingsError(key, "a VM size such as Standard_D4ds_v5", value)


def zone(key: str, value: object) -> None:
    """An availability zone: text, since Azure writes it so."""
    if value not in ("1", "2", "3"):
        raise SettingsError(key, 'a zone: "1", "2" or "3"', value)


def surge(key: str, value: object) -> None:
    """A percentage or a count of nodes, as text."""
    if not isinstance(value, str) or not re.fullmatch(r"(100|[1-9]?\d)%|\d{1,3}", value):
        raise SettingsError(key, 'a percentage such as "33%", or a count such as "1"', value)


def taint(key: str, value: object) -> None:
    """A taint as AKS takes it: key=value:Effect."""
    pattern = r"[\w./-]+=[\w.-]*:(NoSchedule|NoExecute|PreferNoSchedule)"
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise SettingsError(key, "a taint such as CriticalAddonsOnly=true:NoSchedule", value)


LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


def namespace(key: str, value: object) -> None:
    """A name of a Kubernetes namespace (RFC 1123 label)."""
    if not isinstance(value, str) or not re.fullmatch(LABEL, value):
        raise SettingsError(key, "a namespace: up to 63 lower-case letters, digits and hyphens", value)


def namespaced(key: str, value: object) -> None:
    """An object in a namespace, as namespace/name."""
    if not isinstance(value, str) or not re.fullmatch(rf"{LABEL}/[a-z0-9]([-.a-z0-9]{{0,251}}[a-z0-9])?", value):
        raise SettingsError(key, "an object as namespace/name", value)


def subject(key: str, value: object) -> None:
    """A subject of a role binding."""
    if not isinstance(value, str) or not re.fullmatch(rf"(User|Group):.+|ServiceAccount:{LABEL}/.+", value):
        raise SettingsError(key, "User:NAME, Group:NAME or ServiceAccount:NAMESPACE/NAME", value)
