"""Validation of pods and pod templates."""

from __future__ import annotations

import re

from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation import containers as container_rules
from azsandbox.kubernetes.validation import formats, metadata, scheduling, security
from azsandbox.kubernetes.validation.common import (
    INT32_MAX,
    descending_path,
    formatted,
    ip_address,
    one_of,
    supported,
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
APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SYSCTL_PART = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL = rf"^({_SYSCTL_PART}[\./])*{_SYSCTL_PART}$"
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
    found += security.host_process(spec, path)
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
    resources = spec["resources"]
    found: Errors = []
    if resources.get("claims") is not None:
        found.append(forbidden(f"{path}.claims", "claims may not be set for Resources at pod-level"))
    found += requirements(resources, claims, path, pod_resource)
    return found + _consistent(spec, resources, path)


def _consistent(spec: Object, resources: Object, path: str) -> Errors:
    """What a pod asks for as a whole covers what its containers ask for."""
    found: Errors = []
    containers = [(container.get("resources") or {}) for container in spec.get("containers") or []]
    for key in ("requests", "limits"):
        for name, text in (resources.get(key) or {}).items():
            amounts = [Quantity.parse(each[key][name]) for each in containers if name in (each.get(key) or {})]
            total = sum(amounts, Quantity.ZERO)
            judged = amounts and (key == "requests" or name.startswith("hugepages-"))
            if judged and total > Quantity.parse(text):
                said = f"must be greater than or equal to aggregate container {key} of {total}"
                found.append(invalid(f"{path}.{key}[{name}]", text, said))
    limits = resources.get("limits") or {}
    for index, each in enumerate(containers):
        for name, text in (each.get("limits") or {}).items():
            if name in limits and Quantity.parse(text) > Quantity.parse(limits[name]):
                said = f"must be less than or equal to pod limits of {limits[name]}"
                found.append(invalid(f"{path}.containers[{index}][{name}].limits", text, said))
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
            found += security.identity(context[key], f"{path}.{key}")
    for index, group in enumerate(context.get("supplementalGroups") or []):
        found += security.identity(group, f"{path}.supplementalGroups[{index}]")
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        text = "ShareProcessNamespace and HostPID cannot both be enabled"
        found.append(invalid(f"{path}.shareProcessNamespace", True, text))
    found += _sysctls(context.get("sysctls") or [], spec, f"{path}.sysctls")
    if context.get("fsGroupChangePolicy") is not None:
        policies = ("Always", "OnRootMismatch")
        found += supported(context["fsGroupChangePolicy"], f"{path}.fsGroupChangePolicy", policies)
    found += security.seccomp(context.get("seccompProfile"), f"{path}.seccompProfile")
    found += security.windows_options(context.get("windowsOptions"), f"{path}.windowsOptions")
    found += security.app_armor(context.get("appArmorProfile"), f"{path}.appArmorProfile")
    for key, values in (("supplementalGroupsPolicy", ("Merge", "Strict")), ("seLinuxChangePolicy", ("Recursive",))):
        if context.get(key) is not None:
            found += supported(context[key], f"{path}.{key}", values)
    return found


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
    if not name:
        return [required(f"{path}.os.name")]
    found = supported(name, f"{path}.os", ("linux", "windows"))
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
        if key.startswith(APP_ARMOR):
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
    name = key.removeprefix(APP_ARMOR)
    found: Errors = []
    if not any(container.get("name") == name for container, _ in container_rules.each(spec)):
        found.append(invalid(path, name, "container not found"))
    if value not in ("", "runtime/default", "unconfined") and not value.startswith("localhost/"):
        found.append(invalid(path, value, f'invalid AppArmor profile name: "{value}"'))
    return found


def pod(obj: Object) -> Errors:
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
    found = pod(obj)
    if spec.get("ephemeralContainers"):
        found.append(forbidden("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        found.append(forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))
    return found


def template(obj: Object, path: str) -> Errors:
    """A pod template: labels, annotations and spec, without containers that come later."""
    spec = obj.get("spec") or {}
    found = template_metadata(obj, path)
    found += pod_spec(spec, f"{path}.spec", is_pod=False)
    if spec.get("ephemeralContainers"):
        text = "ephemeral containers not allowed in pod template"
        found.append(forbidden(f"{path}.spec.ephemeralContainers", text))
    return found


def template_metadata(obj: Object, path: str) -> Errors:
    """The labels and annotations of a pod template."""
    meta, spec = obj.get("metadata") or {}, obj.get("spec") or {}
    found = metadata.labels(meta.get("labels"), f"{path}.labels")
    found += metadata.annotation_values(meta.get("annotations"), f"{path}.annotations")
    return found + pod_annotations(meta.get("annotations") or {}, spec, f"{path}.annotations")


@on_create("", "PodTemplate")
def pod_template(obj: Object) -> Errors:
    return template(obj.get("template") or {}, "template")


@on_update("", "PodTemplate")
def pod_template_update(new: Object, old: Object) -> Errors:
    return template(new.get("template") or {}, "template")
