"""Validation of the addresses of services: IPAddress and ServiceCIDR. Source: pkg/apis/networking/validation."""

from __future__ import annotations

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema import internal
from azsandbox.kubernetes.validation import formats, metadata
from azsandbox.kubernetes.validation.common import formatted, unchanged
from azsandbox.kubernetes.validation.errors import Errors, invalid, required
from azsandbox.kubernetes.validation.registry import on_create, on_update

_GROUP = "networking.k8s.io"
_ONE_A_FAMILY = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"


@on_create(_GROUP, "IPAddress")
def ip_address(obj: Object) -> Errors:
    reference, path = (obj.get("spec") or {}).get("parentRef"), "spec.parentRef"
    if reference is None:
        return [required(path)]
    found = formatted(reference["group"], f"{path}.group", formats.dns_subdomain) if reference.get("group") else []
    for key in ("resource", "name"):
        if not reference.get(key):
            found.append(required(f"{path}.{key}"))
        else:
            found += formatted(reference[key], f"{path}.{key}", formats.path_segment)
    if reference.get("namespace"):
        found += formatted(reference["namespace"], f"{path}.namespace", formats.path_segment)
    return found


@on_update(_GROUP, "IPAddress")
def ip_address_update(new: Object, old: Object) -> Errors:
    one, other = ((each.get("spec") or {}).get("parentRef") for each in (new, old))
    shown = internal.shown(one, "networking.ParentReference") if one is not None else None
    return ip_address(new) + unchanged(one, other, "spec.parentRef", shown)


@on_create(_GROUP, "ServiceCIDR")
def service_cidr(obj: Object) -> Errors:
    ranges, path = (obj.get("spec") or {}).get("cidrs") or [], "spec.cidrs"
    if not ranges:
        return [required(path, "at least one CIDR required")]
    if len(ranges) > 2:
        return [invalid(path, {"CIDRs": ranges}, "may only hold up to 2 values")]
    found = [
        fault for index, text in enumerate(ranges) for fault in formatted(text, f"{path}[{index}]", formats.strict_cidr)
    ]
    families = [known.version for known in map(formats.cidr, ranges) if known is not None]
    if len(families) == 2 and families[0] == families[1]:
        found.append(invalid(path, ranges, _ONE_A_FAMILY))
    return found


@on_update(_GROUP, "ServiceCIDR")
def service_cidr_update(new: Object, old: Object) -> Errors:
    one, other = ((each.get("spec") or {}).get("cidrs") or [] for each in (new, old))
    if len(one) == len(other):
        return [
            invalid(f"spec.cidrs[{index}]", text, metadata.IMMUTABLE)
            for index, text in enumerate(one)
            if text != other[index]
        ]
    if (len(other), len(one)) != (1, 2):
        return [invalid("spec.cidrs", one or None, metadata.IMMUTABLE)]
    changed = [invalid("spec.cidrs[0]", one[0], metadata.IMMUTABLE)] if one[0] != other[0] else []
    return changed + service_cidr(new)
