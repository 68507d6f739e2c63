"""Checks that many kinds share: numbers, quantities, selectors, IP addresses, paths of files."""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation import formats, metadata
from azsandbox.kubernetes.validation.errors import Errors, forbidden, invalid, not_supported, required

NEGATIVE = "must be greater than or equal to 0"
NOT_POSITIVE = "must be greater than zero"
NOT_INTEGER = "must be an integer"
FILE_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
INT32_MAX = 2**31 - 1
PROTOCOLS = ("SCTP", "TCP", "UDP")


def nonnegative(value: int | None, path: str) -> Errors:
    return [invalid(path, value, NEGATIVE)] if value is not None and value < 0 else []


def positive(value: int, path: str) -> Errors:
    return [invalid(path, value, NOT_POSITIVE)] if value <= 0 else []


def quantity(value: Any) -> Quantity:
    """A quantity that decoding has let in."""
    return Quantity.parse(value)


def formatted(value: str, path: str, form: formats.Format) -> Errors:
    """Every fault of a value by its format."""
    return [invalid(path, value, text) for text in form(value)]


def named(value: str | None, path: str, form: formats.Format, detail: str = "") -> Errors:
    """A name that must be there, in a format."""
    return formatted(value, path, form) if value else [required(path, detail)]


def one_of(value: str | None, path: str, supported: tuple[str, ...], detail: str = "") -> Errors:
    """A value of a set: missing it is required, another one is not supported. `supported` in the order of the text."""
    if not value:
        return [required(path, detail)]
    return [] if value in supported else [not_supported(path, value, supported)]


def supported(value: str | None, path: str, values: tuple[str, ...]) -> Errors:
    """A value of a set, where the empty one is as wrong as any other."""
    return [] if value in values else [not_supported(path, value or "", values)]


def unchanged(new: Any, old: Any, path: str, shown: Any = None) -> Errors:
    """A field that cannot change, compared as Kubernetes does: absent and empty are one."""
    from azsandbox.kubernetes.strategies import same

    return [] if same(new, old) else [invalid(path, new if shown is None else shown, metadata.IMMUTABLE)]


def file_mode(value: int | None, path: str) -> Errors:
    return [invalid(path, value, FILE_MODE)] if value is not None and not 0 <= value <= 0o777 else []


def ip_address(value: str, path: str) -> Errors:
    return [] if formats.ip(value) is not None else [invalid(path, value, formats.IP_TEXT)]


def cidr(value: str, path: str) -> Errors:
    return [] if formats.cidr(value) is not None else [invalid(path, value, formats.CIDR_TEXT)]


def no_backsteps(value: str, path: str) -> Errors:
    return [invalid(path, value, "must not contain '..'")] if ".." in value.split("/") else []


def descending_path(value: str, path: str) -> Errors:
    """A path below the place where it is used."""
    found = [invalid(path, value, "must be a relative path")] if value.startswith("/") else []
    return found + no_backsteps(value, path)


def local_path(value: str, path: str) -> Errors:
    """A descending path whose first part does not begin with two dots."""
    found = descending_path(value, path)
    if value.startswith("..") and not value.startswith("../"):
        found.append(invalid(path, value, "must not start with '..'"))
    return found


def port_number_or_name(value: Any, path: str) -> Errors:
    if isinstance(value, str):
        return [invalid(path, value, text) for text in formats.port_name(value)]
    return [invalid(path, value or 0, text) for text in formats.port_number(value or 0)]


def label_selector(selector: Object | None, path: str) -> Errors:
    """A label selector's keys, values and operators."""
    if not selector:
        return []
    found = metadata.labels(selector.get("matchLabels"), f"{path}.matchLabels")
    for index, requirement in enumerate(selector.get("matchExpressions") or []):
        found += _requirement(requirement, f"{path}.matchExpressions[{index}]")
    return found


def _requirement(requirement: Object, path: str) -> Errors:
    found: Errors = []
    operator, values = requirement.get("operator") or "", requirement.get("values") or []
    if operator in ("In", "NotIn"):
        if not values:
            found.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            found.append(forbidden(f"{path}.values", text))
    else:
        found.append(invalid(f"{path}.operator", operator, "not a valid selector operator"))
    found += formatted(requirement.get("key") or "", f"{path}.key", formats.qualified_name)
    for index, value in enumerate(values):
        found += formatted(value, f"{path}.values[{index}]", formats.label_value)
    return found


def shown_selector(selector: Object | None) -> Any:
    """A label selector in the order of Go's fields."""
    if selector is None:
        return None
    out: Object = {}
    if selector.get("matchLabels"):
        out["matchLabels"] = dict(sorted(selector["matchLabels"].items()))
    if selector.get("matchExpressions"):
        out["matchExpressions"] = [
            {key: item.get(key) or "" for key in ("key", "operator")}
            | ({"values": item["values"]} if item.get("values") else {})
            for item in selector["matchExpressions"]
        ]
    return out


def selects(selector: Object | None, labels: dict[str, str] | None) -> bool:
    """Whether a label selector matches labels. None selects nothing, an empty one everything."""
    if selector is None:
        return False
    labels = labels or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_meets(item, labels) for item in selector.get("matchExpressions") or [])


def _meets(requirement: Object, labels: dict[str, str]) -> bool:
    key, values = requirement.get("key") or "", requirement.get("values") or []
    match requirement.get("operator"):
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels
