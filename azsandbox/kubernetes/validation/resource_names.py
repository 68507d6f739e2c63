"""Names and amounts of compute resources: of containers, quotas and limit ranges."""

from __future__ import annotations

from collections.abc import Callable

from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation import formats
from azsandbox.kubernetes.validation.common import NEGATIVE, NOT_INTEGER, formatted
from azsandbox.kubernetes.validation.errors import (
    NOT_FOUND,
    Errors,
    FieldError,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)

_CONTAINER = frozenset({"cpu", "memory", "ephemeral-storage"})
_COUNTED = frozenset(
    {
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    }
)
_PREFIXED = frozenset(f"{prefix}.{name}" for prefix in ("requests", "limits") for name in _CONTAINER)
QUOTA = _CONTAINER | _PREFIXED | _COUNTED | {"requests.storage"}
_STANDARD = QUOTA | {"storage"}
HUGE_PAGES = "hugepages-"
_POD_LEVEL = ("cpu", "memory")


def is_huge_page(name: str) -> bool:
    return name.startswith(HUGE_PAGES)


def _is_quota_huge_page(name: str) -> bool:
    return name.startswith((HUGE_PAGES, "requests.hugepages-"))


def is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """A resource of a vendor, such as `nvidia.com/gpu`."""
    if is_native(name) or name.startswith("requests."):
        return False
    return not formats.qualified_name(f"requests.{name}")


def is_integer(name: str) -> bool:
    return name in _COUNTED or is_extended(name)


def overcommits(name: str) -> bool:
    """Whether a request may be below the limit."""
    return is_native(name) and not is_huge_page(name)


def resource_name(name: str, path: str) -> Errors:
    found = formatted(name, path, formats.qualified_name)
    if not found and "/" not in name and name not in _STANDARD and not _is_quota_huge_page(name):
        found.append(invalid(path, name, "must be a standard resource type or fully qualified"))
    return found


def container_resource(name: str, path: str) -> Errors:
    found = resource_name(name, path)
    if "/" not in name:
        if name not in _CONTAINER and not is_huge_page(name):
            found.append(invalid(path, name, "must be a standard resource for containers"))
    elif not is_native(name) and not is_extended(name):
        found.append(invalid(path, name, "doesn't follow extended resource name standard"))
    return found


def pod_resource(name: str, path: str) -> Errors:
    found = resource_name(name, path)
    if not found and name not in _POD_LEVEL and not is_huge_page(name):
        found.append(not_supported(path, name, _POD_LEVEL))
    return found


def quota_resource(name: str, path: str) -> Errors:
    found = resource_name(name, path)
    if "/" not in name and name not in QUOTA and not _is_quota_huge_page(name):
        found.append(invalid(path, name, "must be a standard resource for quota"))
    return found


def amount(name: str, value: Quantity, path: str) -> Errors:
    """An amount of a resource: not negative, and whole for what comes in pieces."""
    found = [invalid(path, str(value), NEGATIVE)] if value < Quantity.ZERO else []
    if is_integer(name) and value.milli % 1000:
        found.append(invalid(path, str(value), NOT_INTEGER))
    return found


def _huge_page_amount(name: str, value: Quantity, path: str) -> Errors:
    size = Quantity.ZERO
    try:
        size = Quantity.parse(name.removeprefix(HUGE_PAGES))
    except ValueError:
        pass
    if size > Quantity.ZERO and size.milli % 1000 == 0 and value.value % size.value == 0:
        return []
    return [invalid(path, str(value), f"{value} is not positive integer multiple of {name}")]


def requirements(
    resources: Object | None,
    claims: frozenset[str],
    path: str,
    name_rule: Callable[[str, str], Errors] = container_resource,
) -> Errors:
    """Requests and limits of a container, or of a pod as a whole."""
    if not resources:
        return []
    found: Errors = []
    limits = {name: Quantity.parse(text) for name, text in (resources.get("limits") or {}).items()}
    requests = {name: Quantity.parse(text) for name, text in (resources.get("requests") or {}).items()}
    for name, value in limits.items():
        here = f"{path}.limits[{name}]"
        found += name_rule(name, here) + amount(name, value, here)
        if is_huge_page(name):
            found += _huge_page_amount(name, value, here)
    for name, value in requests.items():
        here = f"{path}.requests[{name}]"
        found += name_rule(name, here) + amount(name, value, here)
        found += _request_within_limit(name, value, limits.get(name), path)
        if is_huge_page(name):
            found += _huge_page_amount(name, value, here)
    names = limits.keys() | requests.keys()
    if any(map(is_huge_page, names)) and not names & {"cpu", "memory"}:
        found.append(forbidden(path, "HugePages require cpu or memory"))
    return found + _claims(resources.get("claims") or [], claims, f"{path}.claims")


def _request_within_limit(name: str, value: Quantity, limit: Quantity | None, path: str) -> Errors:
    if limit is None:
        text = "Limit must be set for non overcommitable resources"
        return [] if overcommits(name) else [required(f"{path}.limits", text)]
    if value != limit and not overcommits(name):
        return [invalid(f"{path}.requests", str(value), f"must be equal to {name} limit of {limit}")]
    if value > limit:
        return [invalid(f"{path}.requests", str(value), f"must be less than or equal to {name} limit of {limit}")]
    return []


def _claims(claims: list[Object], known: frozenset[str], path: str) -> Errors:
    found: Errors = []
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        here, name = f"{path}[{index}]", claim.get("name") or ""
        if not name:
            found.append(required(here))
            continue
        request = claim.get("request") or ""
        key = f"{name}/{request}" if request else name
        if name in seen:
            found.append(duplicate(here, name))
        else:
            if request:
                found += formatted(request, f"{here}.request", formats.dns_label)
            if key in seen:
                found.append(duplicate(here, key))
            elif not request and any(other.startswith(f"{name}/") for other in seen):
                found.append(duplicate(here, name))
            seen.add(key)
        if name not in known:
            text = "must be one of the names in pod.spec.resourceClaims"
            text += ": " + ", ".join(sorted(known)) if known else " which is empty"
            found.append(FieldError(NOT_FOUND, here, name, text))
    return found
