"""Validation of ConfigMaps, Secrets, quotas, limit ranges, namespaces and nodes."""

from __future__ import annotations

import base64
import binascii

from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema import json_text
from azsandbox.kubernetes.validation import formats, metadata, scheduling
from azsandbox.kubernetes.validation.common import cidr, formatted
from azsandbox.kubernetes.validation.errors import (
    Errors,
    duplicate,
    forbidden,
    internal,
    invalid,
    required,
    too_long,
)
from azsandbox.kubernetes.validation.registry import on_create, on_update
from azsandbox.kubernetes.validation.resource_names import (
    QUOTA,
    amount,
    container_resource,
    overcommits,
    quota_resource,
    resource_name,
)

SIZE_LIMIT = 1024 * 1024  # bytes of a ConfigMap's or Secret's values
_IMMUTABLE = "field is immutable when `immutable` is set"
_ACCOUNT = "kubernetes.io/service-account.name"


@on_create("", "ConfigMap")
def config_map(obj: Object) -> Errors:
    found: Errors = []
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for key in data:
        found += formatted(key, f"data[{key}]", formats.config_key)
        if key in binary:
            found.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    for key in binary:
        found += formatted(key, f"binaryData[{key}]", formats.config_key)
    size = sum(len((value or "").encode()) for value in data.values()) + _decoded_size(binary)
    return [*found, too_long("[]", SIZE_LIMIT)] if size > SIZE_LIMIT else found


def _decoded_size(values: Object) -> int:
    return sum(len(_decoded(value)) for value in values.values())


def _decoded(value: str | None) -> bytes:
    try:
        return base64.b64decode(value or "")
    except (binascii.Error, ValueError):
        return b""


@on_update("", "ConfigMap")
def config_map_update(new: Object, old: Object) -> Errors:
    return _kept(new, old, ("data", "binaryData")) + config_map(new)


def _kept(new: Object, old: Object, keys: tuple[str, ...]) -> Errors:
    if not old.get("immutable"):
        return []
    found = [] if new.get("immutable") else [forbidden("immutable", _IMMUTABLE)]
    return found + [forbidden(key, _IMMUTABLE) for key in keys if (new.get(key) or {}) != (old.get(key) or {})]


@on_create("", "Secret")
def secret(obj: Object) -> Errors:
    found: Errors = []
    data, kind = obj.get("data") or {}, obj.get("type") or ""
    for key in data:
        found += formatted(key, f"data[{key}]", formats.config_key)
    if _decoded_size(data) > SIZE_LIMIT:
        found.append(too_long("data", SIZE_LIMIT))
    if kind == "kubernetes.io/service-account-token":
        if not ((obj.get("metadata") or {}).get("annotations") or {}).get(_ACCOUNT):
            found.append(required(f"metadata.annotations[{_ACCOUNT}]"))
    elif kind == "kubernetes.io/dockercfg":
        found += _json(data, ".dockercfg")
    elif kind == "kubernetes.io/dockerconfigjson":
        found += _json(data, ".dockerconfigjson")
    elif kind == "kubernetes.io/basic-auth":
        if "username" not in data and "password" not in data:
            found += [required("data[username]"), required("data[password]")]
    elif kind == "kubernetes.io/ssh-auth":
        found += [] if data.get("ssh-privatekey") else [required("data[ssh-privatekey]")]
    elif kind == "kubernetes.io/tls":
        found += [required(f"data[{key}]") for key in ("tls.crt", "tls.key") if key not in data]
    return found


def _json(data: Object, key: str) -> Errors:
    path = f"data[{key}]"
    if key not in data:
        return [required(path)]
    try:
        value = json_text.parse(_decoded(data[key]))
    except json_text.BadJson as error:
        return [invalid(path, "<secret contents redacted>", str(error))]
    if value is not None and not isinstance(value, dict):
        kinds = {str: "string", list: "array", bool: "bool"}
        said = (
            f"json: cannot unmarshal {kinds.get(type(value), 'number')} into Go value of type map[string]interface {{}}"
        )
        return [invalid(path, "<secret contents redacted>", said)]
    return []


@on_update("", "Secret")
def secret_update(new: Object, old: Object) -> Errors:
    found: Errors = []
    if (new.get("type") or "") != (old.get("type") or ""):
        found.append(invalid("type", new.get("type") or "", metadata.IMMUTABLE))
    return found + _kept(new, old, ("data",)) + secret(new)


@on_create("", "Namespace")
def namespace(obj: Object) -> Errors:
    found: Errors = []
    for value in (obj.get("spec") or {}).get("finalizers") or []:
        found += metadata.finalizers([value], "spec.finalizers")
        if "/" not in value and metadata.standard_finalizers([value], ""):
            text = "name is neither a standard finalizer name nor is it fully qualified"
            found.append(invalid("spec.finalizers", value, text))
    return found


@on_update("", "Namespace", subresource="finalize")
def namespace_finalize(new: Object, old: Object) -> Errors:
    found: Errors = []
    values = (new.get("spec") or {}).get("finalizers") or []
    for index, value in enumerate(values):
        found += metadata.finalizers([value], f"spec.finalizers[{index}]")
    return found + metadata.standard_finalizers(values, "spec.finalizers")


@on_update("", "Namespace", subresource="status")
def namespace_status(new: Object, old: Object) -> Errors:
    phase = (new.get("status") or {}).get("phase") or ""
    going = bool(new["metadata"].get("deletionTimestamp"))
    wanted, is_empty = ("Terminating", "is not empty") if going else ("Active", "is empty")
    text = f"may only be '{wanted}' if `deletionTimestamp` {is_empty}"
    return [] if phase == wanted else [invalid("status.Phase", phase, text)]


@on_create("", "Node")
def node(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    found = scheduling.taints(spec.get("taints"), "metadata.taints") + _node_resources(obj)
    ranges = spec.get("podCIDRs") or []
    for index, value in enumerate(ranges):
        found += cidr(value, f"spec.podCIDRs[{index}]")
    bad = next((index for index, value in enumerate(ranges) if formats.cidr(value) is None), None)
    if len(ranges) > 1 and bad is not None:
        text = "invalid PodCIDRs. failed to check with dual stack with error:"
        cause = f"invalid CIDR[{bad}]: <nil> (invalid CIDR address: {ranges[bad]})"
        found.append(internal("spec.podCIDRs", text + cause))
    if len(ranges) > 1 and (len({":" in value for value in ranges}) < 2 or len(ranges) > 2):
        found.append(invalid("spec.podCIDRs", ranges, "may specify no more than one CIDR for each IP family"))
    return found


def _node_resources(obj: Object) -> Errors:
    found: Errors = []
    for key in ("capacity", "allocatable"):
        for name, text in ((obj.get("status") or {}).get(key) or {}).items():
            found += amount(name, Quantity.parse(text), f"status.{key}.{name}")
    return found


@on_update("", "Node")
def node_update(new: Object, old: Object) -> Errors:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    found = node(new) + _node_resources(new)  # Kubernetes judges parts of a node twice
    seen: list[Object] = []
    for index, address in enumerate((new.get("status") or {}).get("addresses") or []):
        if address in seen:
            shown = {"Type": address.get("type"), "Address": address.get("address")}
            found.append(duplicate(f"status.addresses[{index}]", shown))
        seen.append(address)
    if before.get("podCIDRs") and spec.get("podCIDRs") != before["podCIDRs"]:
        text = 'node updates may not change podCIDR except from "" to valid'
        found.append(forbidden("spec.podCIDRs", text))
    if before.get("providerID") and spec.get("providerID") != before["providerID"]:
        text = 'node updates may not change providerID except from "" to valid'
        found.append(forbidden("spec.providerID", text))
    return found + scheduling.taints(spec.get("taints"), "metadata.taints")


on_update("", "Node", subresource="status")(node_update)


_SCOPES = (
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
)
_POD_QUOTA = frozenset({"pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"})
_CLAIM_QUOTA = frozenset({"persistentvolumeclaims", "requests.storage"})


def _scope_fits(scope: str, name: str) -> bool:
    if scope == "BestEffort":
        return name == "pods"
    if scope == "VolumeAttributesClass":
        return name in _CLAIM_QUOTA
    return scope not in _SCOPES or name in _POD_QUOTA


def _amounts(values: Object | None, path: str) -> Errors:
    found: Errors = []
    for name, text in (values or {}).items():
        here = f"{path}[{name}]"
        found += quota_resource(name, here) + amount(name, Quantity.parse(text), here)
    return found


def _conflicting(scopes: set[str], shown: list[str] | None, path: str) -> Errors:
    pairs = ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"})
    return [invalid(path, shown, "conflicting scopes") for pair in pairs if pair <= scopes]


def _quota_spec(spec: Object) -> Errors:
    found = _amounts(spec.get("hard"), "spec.hard")
    scopes, hard = spec.get("scopes") or [], sorted(spec.get("hard") or {})
    for scope in scopes:
        if scope not in _SCOPES:
            found.append(invalid("spec.scopes", scopes, "unsupported scope"))
        for name in hard:
            if name in QUOTA and not _scope_fits(scope, name):
                found.append(invalid("spec.scopes", scopes, "unsupported scope applied to resource"))
    found += _conflicting(set(scopes), scopes, "spec.scopes")
    selector = spec.get("scopeSelector")
    return found + (_scope_selector(selector, spec) if selector is not None else [])


def _scope_selector(selector: Object, spec: Object) -> Errors:
    found: Errors = []
    path, names = "spec.scopeSelector.matchExpressions", set()
    shown = {
        "MatchExpressions": [
            {"ScopeName": item.get("scopeName"), "Operator": item.get("operator"), "Values": item.get("values")}
            for item in selector.get("matchExpressions") or []
        ]
    }
    for item in selector.get("matchExpressions") or []:
        scope, operator, values = item.get("scopeName") or "", item.get("operator") or "", item.get("values") or []
        if scope not in _SCOPES:
            found.append(invalid(f"{path}.scopeName", scope, "unsupported scope"))
        for name in sorted(spec.get("hard") or {}):
            if name in QUOTA and not _scope_fits(scope, name):
                found.append(invalid(path, shown, "unsupported scope applied to resource"))
        if scope in _SCOPES and scope not in ("PriorityClass", "VolumeAttributesClass") and operator != "Exists":
            text = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
            found.append(invalid(f"{path}.operator", operator, text))
        if operator in ("In", "NotIn"):
            text = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            found += [] if values else [required(f"{path}.values", text)]
        elif operator in ("Exists", "DoesNotExist"):
            text = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            found += [invalid(f"{path}.values", values, text)] if values else []
        else:
            found.append(invalid(f"{path}.operator", operator, "not a valid selector operator"))
        names.add(scope)
    return found + _conflicting(names, spec.get("scopes"), path)


@on_create("", "ResourceQuota")
def quota(obj: Object) -> Errors:
    return _quota_spec(obj.get("spec") or {})


@on_update("", "ResourceQuota")
def quota_update(new: Object, old: Object) -> Errors:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    found = _quota_spec(spec)
    if set(spec.get("scopes") or []) != set(before.get("scopes") or []):
        found.append(invalid("spec.scopes", spec.get("scopes"), metadata.IMMUTABLE))
    return found


@on_update("", "ResourceQuota", subresource="status")
def quota_status(new: Object, old: Object) -> Errors:
    status = new.get("status") or {}
    return _amounts(status.get("hard"), "status.hard") + _amounts(status.get("used"), "status.used")


@on_create("", "LimitRange")
def limit_range(obj: Object) -> Errors:
    found: Errors = []
    kinds: set[str] = set()
    for index, item in enumerate((obj.get("spec") or {}).get("limits") or []):
        here, kind = f"spec.limits[{index}]", item.get("type") or ""
        found += _limit_type(kind, f"{here}.type")
        if kind in kinds:
            found.append(duplicate(f"{here}.type", kind))
        kinds.add(kind)
        found += _limit_item(item, kind, here)
    return found


@on_update("", "LimitRange")
def limit_range_update(new: Object, old: Object) -> Errors:
    return limit_range(new)


def _limit_type(kind: str, path: str) -> Errors:
    found = formatted(kind, path, formats.qualified_name)
    if not found and "/" not in kind and kind not in ("Pod", "Container", "PersistentVolumeClaim"):
        found.append(invalid(path, kind, "must be a standard limit type or fully qualified"))
    return found


def _limit_item(item: Object, kind: str, path: str) -> Errors:
    found: Errors = []
    name_rule = container_resource if kind in ("Pod", "Container") else resource_name
    parts: dict[str, dict[str, Quantity]] = {}
    for key in ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio"):
        values = item.get(key) or {}
        parts[key] = {}
        if kind == "Pod" and key in ("default", "defaultRequest"):
            found += [forbidden(f"{path}.{key}", "may not be specified when `type` is 'Pod'")] if values else []
            continue
        bounded = "storage" in parts.get("min", {}) or "storage" in parts.get("max", {})
        if key == "maxLimitRequestRatio" and kind == "PersistentVolumeClaim" and not bounded:
            text = "either minimum or maximum storage value is required, but neither was provided"
            found.append(required(f"{path}.limits", text))
        for name, text in values.items():
            found += name_rule(name, f"{path}.{key}[{name}]")
            parts[key][name] = Quantity.parse(text)
    names = dict.fromkeys(name for values in parts.values() for name in values)
    for name in names:
        found += _limit_order(name, {key: values.get(name) for key, values in parts.items()}, path)
    return found


def _limit_order(name: str, values: dict[str, Quantity | None], path: str) -> Errors:
    low, high, limit = values["min"], values["max"], values["default"]
    request, ratio = values["defaultRequest"], values["maxLimitRequestRatio"]
    found: Errors = []

    def add(key: str, shown: Quantity, text: str) -> None:
        found.append(invalid(f"{path}.{key}[{name}]", str(shown), text))

    if low is not None and high is not None and low > high:
        add("min", low, f"min value {low} is greater than max value {high}")
    if request is not None and low is not None and low > request:
        add("defaultRequest", request, f"min value {low} is greater than default request value {request}")
    if request is not None and high is not None and request > high:
        add("defaultRequest", request, f"default request value {request} is greater than max value {high}")
    if request is not None and limit is not None and request > limit:
        add("defaultRequest", request, f"default request value {request} is greater than default limit value {limit}")
    if limit is not None and low is not None and low > limit:
        add("default", low, f"min value {low} is greater than default value {limit}")
    if limit is not None and high is not None and limit > high:
        add("default", high, f"default value {limit} is greater than max value {high}")
    if ratio is not None and ratio < Quantity.of(1):
        add("maxLimitRequestRatio", ratio, f"ratio {ratio} is less than 1")
    if ratio is not None and low and high and low.nano and ratio.nano * low.nano > high.nano * 10**9:
        add("maxLimitRequestRatio", ratio, f"ratio {ratio} is greater than max/min = {high.nano / low.nano:f}")
    if not overcommits(name) and limit is not None and request is not None and limit != request:
        add("defaultRequest", request, f"default value {limit} must equal to defaultRequest value {request} in {name}")
    return found
