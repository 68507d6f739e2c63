"""Validation of pods and pod templates, and of what may change in a running pod."""

from __future__ import annotations

import copy
import re
from typing import Any

from azsandbox.kubernetes.quality_of_service import quality_of_service
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.strategies import same
from azsandbox.kubernetes.validation import containers as container_rules
from azsandbox.kubernetes.validation import formats, internal, metadata, scheduling
from azsandbox.kubernetes.validation.common import (
    INT32_MAX,
    descending_path,
    formatted,
    ip_address,
    one_of,
    supported,
    unchanged,
)
from azsandbox.kubernetes.validation.containers import PodContext
from azsandbox.kubernetes.validation.errors import (
    Errors,
    duplicate,
    forbidden,
    invalid,
    not_found,
    required,
    too_long,
)
from azsandbox.kubernetes.validation.registry import on_create, on_update
from azsandbox.kubernetes.validation.resource_names import pod_resource, requirements
from azsandbox.kubernetes.validation.volumes import volumes

MIRROR = "kubernetes.io/config.mirror"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
_APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SYSCTL_PART = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = rf"^({_SYSCTL_PART}[\./])*{_SYSCTL_PART}$"
_UPDATABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_RESTART = ("Always", "OnFailure", "Never")
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")


def pod_spec(spec: Object, path: str, *, pod_name: str = "", is_pod: bool = True) -> Errors:
    """A pod's spec, in a pod or in a template."""
    found: Errors = []
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is None:
        found.append(required(f"{path}.terminationGracePeriodSeconds"))
    sound, faults = volumes(spec.get("volumes") or [], pod_name, f"{path}.volumes")
    claims = spec.get("resourceClaims") or []
    names = frozenset(claim["name"] for claim in claims if claim.get("name"))
    context = PodContext(
        sound,
        names,
        grace,
        (spec.get("os") or {}).get("name"),
        spec.get("restartPolicy") or "",
        spec.get("hostUsers") is not False,
        spec,
    )
    regular, first = spec.get("containers") or [], spec.get("initContainers") or []
    found += faults + _resource_claims(claims, f"{path}.resourceClaims")
    found += container_rules.containers(regular, context, f"{path}.containers")
    found += container_rules.init_containers(first, regular, context, f"{path}.initContainers")
    ephemeral = spec.get("ephemeralContainers") or []
    found += container_rules.ephemeral_containers(ephemeral, context, f"{path}.ephemeralContainers")
    if spec.get("resources") is not None:
        found += _pod_resources(spec, names, f"{path}.resources")
    found += _host_network_ports(spec, path, is_pod)
    found += one_of(spec.get("restartPolicy"), f"{path}.restartPolicy", _RESTART)
    found += one_of(spec.get("dnsPolicy"), f"{path}.dnsPolicy", _DNS)
    found += metadata.labels(spec.get("nodeSelector"), f"{path}.nodeSelector")
    found += _security_context(spec, f"{path}.securityContext")
    found += scheduling.affinity(spec.get("affinity"), f"{path}.affinity")
    found += _dns_config(spec, f"{path}.dnsConfig")
    found += _gates(spec, path)
    found += scheduling.spread_constraints(spec.get("topologySpreadConstraints"), f"{path}.topologySpreadConstraints")
    return found + _host_users(spec, path) + _names(spec, path) + _rest(spec, names, path)


def _resource_claims(claims: list[Object], path: str) -> Errors:
    found: Errors = []
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        here, name = f"{path}[{index}]", claim.get("name") or ""
        if not name:
            found.append(required(f"{here}.name"))
        elif name in seen:
            found.append(duplicate(f"{here}.name", name))
        else:
            found += formatted(name, f"{here}.name", formats.dns_label)
            seen.add(name)
        direct, template = claim.get("resourceClaimName"), claim.get("resourceClaimTemplateName")
        shown = {"Name": name, "ResourceClaimName": direct, "ResourceClaimTemplateName": template}
        if direct is not None and template is not None:
            text = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            found.append(invalid(here, shown, text))
        if direct is None and template is None:
            text = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            found.append(invalid(here, shown, text))
        for key, value in (("resourceClaimName", direct), ("resourceClaimTemplateName", template)):
            if value is not None:
                found += formatted(value, f"{here}.{key}", formats.dns_subdomain)
    return found


def _pod_resources(spec: Object, claims: frozenset[str], path: str) -> Errors:
    from azsandbox.kubernetes.quantity import Quantity

    resources = spec["resources"]
    found: Errors = []
    if resources.get("claims") is not None:
        found.append(forbidden(f"{path}.claims", "claims may not be set for Resources at pod-level"))
    found += requirements(resources, claims, path, pod_resource)
    for name, text in (resources.get("requests") or {}).items():
        amounts = [
            Quantity.parse(container["resources"]["requests"][name])
            for container in spec.get("containers") or []
            if name in ((container.get("resources") or {}).get("requests") or {})
        ]
        total = sum(amounts, Quantity.ZERO)
        if total > Quantity.parse(text):
            said = f"must be greater than or equal to aggregate container requests of {total}"
            found.append(invalid(f"{path}.requests[{name}]", text, said))
    return found


def _host_network_ports(spec: Object, path: str, is_pod: bool) -> Errors:
    if not spec.get("hostNetwork"):
        return []
    found: Errors = []
    for index, container in enumerate(spec.get("containers") or []):
        for place, port in enumerate(container.get("ports") or []):
            host = port.get("hostPort") or 0
            if (is_pod or host) and host != (port.get("containerPort") or 0):
                here = f"{path}.containers[{index}].ports[{place}].hostPort"
                found.append(invalid(here, host, "must match `containerPort` when `hostNetwork` is true"))
    return found


def _security_context(spec: Object, path: str) -> Errors:
    context = spec.get("securityContext") or {}
    found: Errors = []
    for key in ("fsGroup", "runAsUser", "runAsGroup"):
        if context.get(key) is not None:
            found += container_rules.identity(context[key], f"{path}.{key}")
    for index, group in enumerate(context.get("supplementalGroups") or []):
        found += container_rules.identity(group, f"{path}.supplementalGroups[{index}]")
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        text = "ShareProcessNamespace and HostPID cannot both be enabled"
        found.append(invalid(f"{path}.shareProcessNamespace", True, text))
    found += _sysctls(context.get("sysctls") or [], spec, f"{path}.sysctls")
    for key, values in (
        ("fsGroupChangePolicy", ("Always", "OnRootMismatch")),
        ("supplementalGroupsPolicy", ("Merge", "Strict")),
        ("seLinuxChangePolicy", ("MountOption", "Recursive")),
    ):
        if context.get(key) is not None:
            found += supported(context[key], f"{path}.{key}", values)
    found += container_rules.seccomp(context.get("seccompProfile"), f"{path}.seccompProfile")
    return found + container_rules.app_armor(context.get("appArmorProfile"), f"{path}.appArmorProfile")


def _sysctls(items: list[Object], spec: Object, path: str) -> Errors:
    found: Errors = []
    seen: set[str] = set()
    for index, item in enumerate(items):
        here, name = f"{path}[{index}].name", item.get("name") or ""
        if not name:
            found.append(required(here))
        elif len(name) > 253 or not re.fullmatch(_SYSCTL[1:-1], name):
            text = f"must have at most 253 characters and match regex {_SYSCTL}"
            found.append(invalid(here, name, text))
        elif name in seen:
            found.append(duplicate(here, name))
        seen.add(name)
        space = name.replace("/", ".")
        if spec.get("hostNetwork") and space.startswith("net."):
            found.append(invalid(here, name, "may not be specified when 'hostNetwork' is true"))
        elif spec.get("hostIPC") and space.startswith(("kernel.sem", "kernel.shm", "kernel.msg", "fs.mqueue.")):
            found.append(invalid(here, name, "may not be specified when 'hostIPC' is true"))
    return found


def _dns_config(spec: Object, path: str) -> Errors:
    config = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            return [required(path, "must provide `dnsConfig` when `dnsPolicy` is None")]
        if not config.get("nameservers"):
            text = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            return [required(f"{path}.nameservers", text)]
    if config is None:
        return []
    found: Errors = []
    servers, searches = config.get("nameservers") or [], config.get("searches") or []
    if len(servers) > 3:
        found.append(invalid(f"{path}.nameservers", servers, "must not have more than 3 nameservers"))
    for index, server in enumerate(servers):
        found += ip_address(server, f"{path}.nameservers[{index}]")
    if len(searches) > 32:
        found.append(invalid(f"{path}.searches", searches, "must not have more than 32 search paths"))
    if len(" ".join(searches)) > 2048:
        text = "must not have more than 2048 characters (including spaces) in the search list"
        found.append(invalid(f"{path}.searches", searches, text))
    for index, search in enumerate(searches):
        if search != ".":
            form = formats.dns_subdomain_with_underscore
            found += formatted(search.removesuffix("."), f"{path}.searches[{index}]", form)
    for index, option in enumerate(config.get("options") or []):
        if not option.get("name"):
            found.append(required(f"{path}.options[{index}]", "must not be empty"))
    return found


def _gates(spec: Object, path: str) -> Errors:
    found: Errors = []
    for index, gate in enumerate(spec.get("readinessGates") or []):
        here = f"{path}.readinessGates[{index}].conditionType"
        found += formatted(gate.get("conditionType") or "", here, formats.qualified_name)
    seen: set[str] = set()
    for index, gate in enumerate(spec.get("schedulingGates") or []):
        here, name = f"{path}.schedulingGates[{index}]", gate.get("name") or ""
        found += formatted(name, here, formats.qualified_name)
        if name in seen:
            found.append(duplicate(here, name))
        seen.add(name)
    return found


def _host_users(spec: Object, path: str) -> Errors:
    if spec.get("hostUsers") is not False:
        return []
    text = "when `hostUsers` is false"
    keys = (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC"))
    found = [forbidden(f"{path}.{shown}", text) for key, shown in keys if spec.get(key)]
    for container, here in container_rules.each(spec, path):
        if container.get("volumeDevices"):
            found.append(forbidden(f"{here}.volumeDevices", text))
    return found


def _names(spec: Object, path: str) -> Errors:
    found: Errors = []
    override = spec.get("hostnameOverride")
    here = f"{path}.hostnameOverride"
    if override is not None:
        if spec.get("setHostnameAsFQDN"):
            found.append(forbidden(here, "may not be specified when setHostnameAsFQDN is true"))
        if spec.get("hostNetwork"):
            found.append(forbidden(here, "may not be specified when hostNetwork is true"))
        if len(override) > 64:
            found.append(too_long(here, 64))
        found += formatted(override, here, formats.dns_subdomain)
    for key in ("serviceAccountName", "nodeName"):
        if spec.get(key):
            found += formatted(spec[key], f"{path}.{key}", formats.dns_subdomain)
    seconds = spec.get("activeDeadlineSeconds")
    if seconds is not None and not 1 <= seconds <= INT32_MAX:
        found.append(invalid(f"{path}.activeDeadlineSeconds", seconds, formats.range_text(1, INT32_MAX)))
    for key in ("hostname", "subdomain"):
        if spec.get(key):
            found += formatted(spec[key], f"{path}.{key}", formats.dns_label)
    return found


def _rest(spec: Object, claims: frozenset[str], path: str) -> Errors:
    found = scheduling.tolerations(spec.get("tolerations"), f"{path}.tolerations")
    for index, alias in enumerate(spec.get("hostAliases") or []):
        here = f"{path}.hostAliases[{index}]"
        found += ip_address(alias.get("ip") or "", f"{here}.ip")
        for place, name in enumerate(alias.get("hostnames") or []):
            found += formatted(name, f"{here}.hostnames[{place}]", formats.dns_subdomain)
    for key in ("priorityClassName", "runtimeClassName"):
        if spec.get(key) or (key == "runtimeClassName" and spec.get(key) is not None):
            found += formatted(spec[key], f"{path}.{key}", formats.dns_subdomain)
    preemption = spec.get("preemptionPolicy")
    if preemption is not None:
        found += one_of(preemption, f"{path}.preemptionPolicy", ("PreemptLowerPriority", "Never"))
    if spec.get("overhead"):
        found += requirements({"limits": spec["overhead"]}, frozenset(), f"{path}.overhead")
    if spec.get("os") is not None:
        found += _operating_system(spec, path)
    return found + _file_volumes(spec, path)


def _operating_system(spec: Object, path: str) -> Errors:
    name = spec["os"].get("name")
    found = one_of(name, f"{path}.os.name", ("linux", "windows"))
    context = spec.get("securityContext") or {}
    text = f"{{}} cannot be set for a {'windows' if name == 'linux' else 'linux'} pod"
    if name == "linux":
        if context.get("windowsOptions") is not None:
            said = "windows options cannot be set for a linux pod"
            found.append(forbidden(f"{path}.securityContext.windowsOptions", said))
        for container, here in container_rules.each(spec, path):
            if (container.get("securityContext") or {}).get("windowsOptions") is not None:
                said = "windows options cannot be set for a linux pod"
                found.append(forbidden(f"{here}.securityContext.windowsOptions", said))
    elif name == "windows":
        text = "cannot be set for a windows pod"
        found += [forbidden(f"{path}.{key}", text) for key in ("hostPID", "hostIPC", "hostUsers") if spec.get(key)]
        keys = [
            "appArmorProfile",
            "seLinuxOptions",
            "seccompProfile",
            "fsGroup",
            "fsGroupChangePolicy",
            "sysctls",
            "runAsUser",
            "runAsGroup",
            "supplementalGroups",
            "supplementalGroupsPolicy",
            "seLinuxChangePolicy",
        ]
        found += [forbidden(f"{path}.securityContext.{key}", text) for key in keys if context.get(key) is not None]
        keys = [
            "appArmorProfile",
            "seLinuxOptions",
            "seccompProfile",
            "capabilities",
            "readOnlyRootFilesystem",
            "privileged",
            "allowPrivilegeEscalation",
            "procMount",
            "runAsUser",
            "runAsGroup",
        ]
        for container, here in container_rules.each(spec, path):
            own = container.get("securityContext") or {}
            found += [forbidden(f"{here}.securityContext.{key}", text) for key in keys if own.get(key) is not None]
    return found


def _file_volumes(spec: Object, path: str) -> Errors:
    found: Errors = []
    sources = {volume.get("name"): volume for volume in spec.get("volumes") or []}
    for container, here in container_rules.each(spec, path):
        for index, variable in enumerate(container.get("env") or []):
            reference = (variable.get("valueFrom") or {}).get("fileKeyRef")
            if reference is None:
                continue
            name, where = reference.get("volumeName") or "", f"{here}.env[{index}].valueFrom.fileKeyRef.volumeName"
            if name not in sources:
                found.append(not_found(where, name))
            elif sources[name].get("emptyDir") is None:
                found.append(invalid(where, name, "referenced volume must be of type emptyDir"))
    return found


def pod_annotations(values: dict[str, str], spec: Object, path: str) -> Errors:
    """Annotations that mean something to a pod."""
    found: Errors = []
    if MIRROR in values and not spec.get("nodeName"):
        text = "must set spec.nodeName if mirror pod annotation is set"
        found.append(invalid(f"{path}[{MIRROR}]", values[MIRROR], text))
    cost = values.get(DELETION_COST)
    if cost is not None and not _int32(cost):
        found.append(invalid(f"{path}[{DELETION_COST}]", cost, "must be a 32bit integer"))
    for key, value in values.items():
        if key == _SECCOMP_POD or key.startswith(_SECCOMP_CONTAINER):
            found += _seccomp_annotation(value, f"{path}.{key}")
        if key.startswith(_APP_ARMOR):
            found += _app_armor_annotation(key, value, spec, f"{path}[{key}]")
    return found


def _int32(text: str) -> bool:
    if not re.fullmatch(r"0|-?[1-9]\d*", text):
        return False
    return -(2**31) <= int(text) <= INT32_MAX


def _seccomp_annotation(value: str, path: str) -> Errors:
    if value in ("runtime/default", "docker/default", "unconfined"):
        return []
    if value.startswith("localhost/"):
        return descending_path(value.removeprefix("localhost/"), path)
    return [invalid(path, value, "must be a valid seccomp profile")]


def _app_armor_annotation(key: str, value: str, spec: Object, path: str) -> Errors:
    name = key.removeprefix(_APP_ARMOR)
    found: Errors = []
    if not any(container.get("name") == name for container, _ in container_rules.each(spec)):
        found.append(invalid(path, name, "container not found"))
    if value not in ("", "runtime/default", "unconfined") and not value.startswith("localhost/"):
        found.append(invalid(path, value, f'invalid AppArmor profile name: "{value}"'))
    return found


def _pod(obj: Object) -> Errors:
    """Annotations and spec of a pod."""
    meta, spec = obj.get("metadata") or {}, obj.get("spec") or {}
    found = pod_annotations(meta.get("annotations") or {}, spec, "metadata.annotations")
    found += pod_spec(spec, "spec", pod_name=meta.get("name") or "")
    if not spec.get("serviceAccountName"):
        text = "must not be specified when serviceAccountName is not set"
        for index, volume in enumerate(spec.get("volumes") or []):
            for place, source in enumerate((volume.get("projected") or {}).get("sources") or []):
                if source.get("serviceAccountToken") is not None:
                    here = f"spec.volumes[{index}].projected.sources[{place}].serviceAccountToken"
                    found.append(forbidden(here, text))
    for key in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(key) or []):
            found += container_rules.untrimmed_image(container, f"spec.{key}[{index}]")
    return found


@on_create("", "Pod")
def create(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    found = _pod(obj)
    if spec.get("ephemeralContainers"):
        found.append(forbidden("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        found.append(forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))
    return found


@on_update("", "Pod")
def update(new: Object, old: Object) -> Errors:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    found = _pod(new) + _annotation_changes(new, old)
    for key in ("containers", "initContainers"):
        faults, stop = _container_changes(spec.get(key) or [], before.get(key) or [], f"spec.{key}")
        found += faults
        if stop:
            return found
    faults, stop = _deadline(spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds"))
    found += faults
    if stop:
        return found
    found += _added_tolerations(spec, before) + _removed_gates(spec, before)
    if same(spec, before):
        return found
    munged = _with_allowed_changes_undone(spec, before)
    if before.get("schedulingGates"):
        found += _narrowed(munged, before)
    if not same(munged, before):
        change = internal.difference(before, munged, "core.PodSpec")
        found.append(forbidden("spec", f"pod updates may not change fields other than {_UPDATABLE}\n{change}"))
    return found


def _annotation_changes(new: Object, old: Object) -> Errors:
    after = (new.get("metadata") or {}).get("annotations") or {}
    before = (old.get("metadata") or {}).get("annotations") or {}
    found: Errors = []
    for key in before.keys() | after.keys():
        here = f"metadata.annotations[{key}]"
        if before.get(key) == after.get(key):
            continue
        if key.startswith(_APP_ARMOR):
            word = "remove or update" if key in before else "add"
            found.append(forbidden(here, f"may not {word} AppArmor annotations"))
        if key == MIRROR:
            word = "remove or update" if key in before else "add"
            found.append(forbidden(here, f"may not {word} mirror pod annotation"))
    return found + pod_annotations(after, new.get("spec") or {}, "metadata.annotations")


def _container_changes(new: list[Object], old: list[Object], path: str) -> tuple[Errors, bool]:
    if len(new) != len(old):
        return [forbidden(path, "pod updates may not add or remove containers")], True
    found: Errors = []
    for index, container in enumerate(new):
        if not container.get("image"):
            found.append(required(f"{path}[{index}].image"))
        found += container_rules.untrimmed_image(container, f"{path}[{index}]")
    return found, False


def _deadline(new: int | None, old: int | None) -> tuple[Errors, bool]:
    path = "spec.activeDeadlineSeconds"
    if new is None:
        text = "must not update from a positive integer to nil value"
        return ([] if old is None else [invalid(path, None, text)]), False
    if not 0 <= new <= INT32_MAX:
        return [invalid(path, new, formats.range_text(0, INT32_MAX))], True
    if old is not None and old < new:
        return [invalid(path, new, "must be less than or equal to previous value")], True
    return [], False


def _added_tolerations(spec: Object, before: Object) -> Errors:
    path = "spec.tolerations"

    def untimed(item: Object) -> Object:
        return {key: value for key, value in item.items() if key != "tolerationSeconds" and value}

    present = [untimed(item) for item in spec.get("tolerations") or []]
    if any(untimed(item) not in present for item in before.get("tolerations") or []):
        text = "existing toleration can not be modified except its tolerationSeconds"
        return [forbidden(path, text)]
    return scheduling.tolerations(spec.get("tolerations"), path)


def _removed_gates(spec: Object, before: Object) -> Errors:
    known = {gate.get("name") for gate in before.get("schedulingGates") or []}
    return [
        forbidden(
            f"spec.schedulingGates[{index}].name",
            f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'",
        )
        for index, gate in enumerate(spec.get("schedulingGates") or [])
        if gate.get("name") not in known
    ]


def _with_allowed_changes_undone(spec: Object, before: Object) -> Object:
    munged = copy.deepcopy(spec)
    for key in ("containers", "initContainers"):
        for container, earlier in zip(munged.get(key) or [], before.get(key) or [], strict=False):
            container["image"] = earlier.get("image")
    for key in ("activeDeadlineSeconds", "schedulingGates", "tolerations"):
        munged.pop(key, None)
        if before.get(key) is not None:
            munged[key] = before[key]
    if (before.get("terminationGracePeriodSeconds") or 0) < 0 and munged.get("terminationGracePeriodSeconds") == 1:
        munged["terminationGracePeriodSeconds"] = before["terminationGracePeriodSeconds"]
    return munged


def _narrowed(munged: Object, before: Object) -> Errors:
    """A gated pod may still be bound to fewer nodes; what of that is allowed is undone in `munged`."""
    found: Errors = []
    selector, earlier = munged.get("nodeSelector") or {}, before.get("nodeSelector") or {}
    if selector != earlier:
        if any(selector.get(key) != value for key, value in earlier.items()):
            text = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
            found.append(invalid("spec.nodeSelector", dict(sorted(selector.items())) or None, text))
        munged["nodeSelector"] = earlier
    affinity, past = munged.get("affinity") or {}, before.get("affinity") or {}
    if not same(affinity.get("nodeAffinity"), past.get("nodeAffinity")):
        found += _narrowed_affinity(affinity.get("nodeAffinity"), past.get("nodeAffinity"))
        munged["affinity"] = {**affinity, "nodeAffinity": past.get("nodeAffinity")}
    return found


def _narrowed_affinity(new: Any, old: Any) -> Errors:
    required_key = "requiredDuringSchedulingIgnoredDuringExecution"
    path = f"spec.affinity.nodeAffinity.{required_key}.nodeSelectorTerms"
    before = ((old or {}).get(required_key) or {}).get("nodeSelectorTerms") or []
    after = ((new or {}).get(required_key) or {}).get("nodeSelectorTerms") or []
    if before and len(before) != len(after):
        text = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        return [invalid(path, after, text)]
    found: Errors = []
    for index, (term, earlier) in enumerate(zip(after, before, strict=False)):
        for key in ("matchExpressions", "matchFields"):
            length = len(earlier.get(key) or [])
            if not same((term.get(key) or [])[:length], earlier.get(key) or []):
                text = "only additions are allowed (no mutations or deletions)"
                found.append(invalid(f"{path}[{index}]", term, text))
                break
    return found


@on_update("", "Pod", subresource="status")
def update_status(new: Object, old: Object) -> Errors:
    status, before = new.get("status") or {}, old.get("status") or {}
    found = _annotation_changes(new, old)
    for index, condition in enumerate(status.get("conditions") or []):
        here, kind = f"status.conditions[{index}]", condition.get("type") or ""
        if (condition.get("observedGeneration") or 0) < 0:
            text = "must be a non-negative integer"
            found.append(invalid(f"{here}.observedGeneration", condition["observedGeneration"], text))
        if kind not in ("PodScheduled", "Ready", "Initialized"):
            found += formatted(kind, f"{here}.Type", formats.qualified_name)
    nominated = status.get("nominatedNodeName") or ""
    if nominated and nominated != before.get("nominatedNodeName"):
        found += formatted(nominated, "status.nominatedNodeName", formats.dns_subdomain)
        if (old.get("spec") or {}).get("nodeName"):
            text = "may not be set on pods that are already bound to a node"
            found.append(forbidden("status.nominatedNodeName", text))
    if (status.get("observedGeneration") or 0) < 0:
        text = "must be a non-negative integer"
        found.append(invalid("status.observedGeneration", status["observedGeneration"], text))
    found += unchanged(status.get("qosClass"), before.get("qosClass"), "status.qosClass")
    found += _terminated_stay(status, before, old.get("spec") or {})
    return found + _addresses(status)


def _terminated_stay(status: Object, before: Object, spec: Object) -> Errors:
    policies = {c.get("name"): c.get("restartPolicy") for c in spec.get("containers") or []}
    current = {item.get("name"): item for item in status.get("containerStatuses") or []}
    found: Errors = []
    for index, item in enumerate(before.get("containerStatuses") or []):
        terminated = (item.get("state") or {}).get("terminated")
        now = current.get(item.get("name"))
        if terminated is None or now is None or (now.get("state") or {}).get("terminated") is not None:
            continue
        policy = policies.get(item.get("name")) or spec.get("restartPolicy")
        if policy == "Always" or (policy == "OnFailure" and terminated.get("exitCode")):
            continue
        text = "may not be transitioned to non-terminated state"
        found.append(forbidden(f"status.containerStatuses[{index}].state", text))
    return found


def _addresses(status: Object) -> Errors:
    found: Errors = []
    for key in ("podIPs", "hostIPs"):
        values = [item.get("ip") or "" for item in status.get(key) or []]
        path = f"status.{key}"
        if key == "hostIPs" and values and values[0] != (status.get("hostIP") or ""):
            found.append(invalid(f"{path}[0].ip", values[0], "must be equal to `hostIP`"))
        for index, value in enumerate(values):
            found += ip_address(value, f"{path}[{index}]")
        families = {address.version for address in map(formats.ip, values) if address is not None}
        if len(values) > 1 and (len(families) < 2 or len(values) > 2):
            shown = [{"IP": value} for value in values]
            found.append(invalid(path, shown, "may specify no more than one IP for each IP family"))
    return found


@on_update("", "Pod", subresource="ephemeralcontainers")
def update_ephemeral_containers(new: Object, old: Object) -> Errors:
    if MIRROR in ((old.get("metadata") or {}).get("annotations") or {}):
        return [forbidden("", "static pods do not support ephemeral containers")]
    found = _pod(new)
    path = "spec.ephemeralContainers"
    present = {c.get("name"): c for c in (new.get("spec") or {}).get("ephemeralContainers") or []}
    for earlier in (old.get("spec") or {}).get("ephemeralContainers") or []:
        name = earlier.get("name")
        if name not in present:
            found.append(forbidden(path, f'existing ephemeral containers "{name}" may not be removed\n'))
        elif not same(earlier, present[name]):
            change = internal.difference(earlier, present[name], "core.EphemeralContainer")
            found.append(forbidden(path, f'existing ephemeral containers "{name}" may not be changed\n{change}'))
    return found


@on_update("", "Pod", subresource="resize")
def resize(new: Object, old: Object) -> Errors:
    if MIRROR in ((old.get("metadata") or {}).get("annotations") or {}):
        return [forbidden("", "static pods cannot be resized")]
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    if (before.get("os") or {}).get("name") == "windows":
        return [forbidden("", "windows pods cannot be resized")]
    found = _pod(new)
    if ((old.get("status") or {}).get("qosClass") or quality_of_service(before)) != quality_of_service(spec):
        shown = (new.get("status") or {}).get("qosClass") or ""
        found.append(invalid("spec", shown, "Pod QOS Class may not change as a result of resizing"))
    if any((each.get("resources") or {}).get("requests") for each in (spec, before)):
        text = "resize of pods with pod-level resources is forbidden when InPlacePodLevelResourcesVerticalScalingEnabled feature gate is disabled"
        return [*found, forbidden("", text)]
    order = _order_on_resize(spec, before)
    if order:
        return found + order
    for key in ("initContainers", "containers"):
        for index, (container, earlier) in enumerate(zip(spec.get(key) or [], before.get(key) or [], strict=True)):
            if key == "containers" or earlier.get("restartPolicy") == "Always":
                found += _resources_kept(container, earlier, f"spec.{key}[{index}].resources")
    for key in ("containers", "initContainers"):
        for container, earlier in zip(spec.get(key) or [], before.get(key) or [], strict=True):
            found += _only_cpu_and_memory(container, earlier, key)
    return found


def _order_on_resize(spec: Object, before: Object) -> Errors:
    found: Errors = []
    for key in ("containers", "initContainers"):
        new, old = spec.get(key) or [], before.get(key) or []
        if len(new) != len(old):
            found.append(forbidden(f"spec.{key}", f"{key} may not be added or removed on resize"))
            continue
        for index, (container, earlier) in enumerate(zip(new, old, strict=True)):
            if container.get("name") != earlier.get("name"):
                text = f"{key} may not be renamed or reordered on resize"
                found.append(forbidden(f"spec.{key}[{index}].name", text))
    return found


def _resources_kept(container: Object, earlier: Object, path: str) -> Errors:
    new, old = container.get("resources") or {}, earlier.get("resources") or {}
    return [
        forbidden(f"{path}.{key}", f"resource {key} cannot be removed")
        for key in ("requests", "limits")
        if set(old.get(key) or {}) - set(new.get(key) or {})
    ]


def _only_cpu_and_memory(container: Object, earlier: Object, key: str) -> Errors:
    if key == "initContainers" and earlier.get("restartPolicy") != "Always":
        text = "resources for non-sidecar init containers are immutable"
        return [] if same(container, earlier) else [forbidden("spec", text)]
    munged = copy.deepcopy(container)
    resources, before = munged.get("resources") or {}, earlier.get("resources") or {}
    for part in ("requests", "limits"):
        kept = {k: v for k, v in (resources.get(part) or {}).items() if k not in ("cpu", "memory")}
        past = {k: v for k, v in (before.get(part) or {}).items() if k in ("cpu", "memory")}
        resources[part] = {**kept, **past}
    munged["resources"] = {part: resources[part] for part in ("requests", "limits")}
    if same(munged, earlier):
        return []
    which = "cpu and memory resources are mutable"
    text = (
        f"only {which}" if key == "containers" else "only cpu and memory resources for sidecar containers are mutable"
    )
    return [forbidden("spec", text)]


def template(obj: Object, path: str) -> Errors:
    """A pod template: labels, annotations and spec, without containers that come later."""
    meta, spec = obj.get("metadata") or {}, obj.get("spec") or {}
    found = metadata.labels(meta.get("labels"), f"{path}.labels")
    found += metadata.annotation_values(meta.get("annotations"), f"{path}.annotations")
    found += pod_annotations(meta.get("annotations") or {}, spec, f"{path}.annotations")
    found += pod_spec(spec, f"{path}.spec", is_pod=False)
    if spec.get("ephemeralContainers"):
        text = "ephemeral containers not allowed in pod template"
        found.append(forbidden(f"{path}.spec.ephemeralContainers", text))
    return found


@on_create("", "PodTemplate")
def pod_template(obj: Object) -> Errors:
    return template(obj.get("template") or {}, "template")


@on_update("", "PodTemplate")
def pod_template_update(new: Object, old: Object) -> Errors:
    return template(new.get("template") or {}, "template")
