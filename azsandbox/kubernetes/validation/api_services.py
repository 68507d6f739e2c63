"""Validation of APIServices. Rules and texts: k8s.io/kube-aggregator, pkg/apis/apiregistration/validation."""

from __future__ import annotations

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation import formats, metadata
from azsandbox.kubernetes.validation.common import formatted
from azsandbox.kubernetes.validation.errors import Errors, invalid, not_supported, quoted, required
from azsandbox.kubernetes.validation.registry import on_create, on_update

_GROUP = "apiregistration.k8s.io"
_STATUSES = ("True", "False", "Unknown")


@on_create(_GROUP, "APIService", validates_metadata=True)
def api_service(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    group, version = spec.get("group") or "", spec.get("version") or ""
    found = metadata.on_create(obj.get("metadata") or {}, False, _name_of(f"{version}.{group}"))
    if not group and version != "v1":
        text = "only v1 may have an empty group and it better be legacy kube"
        found.append(required("spec.group", text))
    found += formatted(group, "spec.group", formats.dns_subdomain) if group else []
    found += formatted(version, "spec.version", formats.dns_1035_label)
    for key, limit in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
        value = spec.get(key) or 0
        if not 0 < value <= limit:
            found.append(invalid(f"spec.{key}", value, f"must be positive and less than {limit}"))
    bundle, insecure = spec.get("caBundle") or "", bool(spec.get("insecureSkipTLSVerify"))
    if spec.get("service") is None:
        return found + _local(bundle, insecure)
    service = spec["service"]
    found += [required(f"spec.service.{key}") for key in ("namespace", "name") if not service.get(key)]
    port = service.get("port") or 0
    if formats.port_number(port):
        found.append(invalid("spec.service.port", port, f"port is not valid: {formats.range_text(1, 65535)}"))
    if insecure and bundle:
        found.append(invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present"))
    return found


def _name_of(wanted: str) -> formats.Format:
    def check(name: str) -> list[str]:
        text = f'must be `spec.version+"."+spec.group`: {quoted(wanted)}'
        return formats.path_segment(name) or ([] if name == wanted else [text])

    return check


def _local(bundle: str, insecure: bool) -> Errors:
    found: Errors = []
    if bundle:
        size = len(bundle.rstrip("=")) * 3 // 4
        found.append(invalid("spec.caBundle", f"{size} bytes", "local APIServices may not have a caBundle"))
    if insecure:
        text = "local APIServices may not have insecureSkipTLSVerify"
        found.append(invalid("spec.insecureSkipTLSVerify", True, text))
    return found


on_update(_GROUP, "APIService", validates_metadata=True)(
    lambda new, old: metadata.on_update(new.get("metadata") or {}, old.get("metadata") or {}) + api_service(new)
)


@on_update(_GROUP, "APIService", subresource="status")
def status(new: Object, old: Object) -> Errors:
    found: Errors = []
    for index, condition in enumerate((new.get("status") or {}).get("conditions") or []):
        value = condition.get("status") or ""
        if value not in _STATUSES:
            found.append(not_supported(f"status.conditions[{index}].status", value, _STATUSES))
    return found
