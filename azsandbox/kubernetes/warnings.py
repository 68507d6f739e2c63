"""Warnings of a write: the object is taken as it is, but its writer should know.

Texts: k8s.io/kubernetes, pkg/api/*/warnings.go and pkg/registry/*/*/strategy.go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.validation import formats
from azsandbox.kubernetes.validation.containers import each

# Built-in resources that are on their way out: every request to them is answered with this.
DEPRECATED_RESOURCES = {
    ("", "v1", "endpoints"): "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
}

_NODE_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
    "app.kubernetes.io/created-by": "deprecated since v1.9",
}
_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
_VOLUMES = {
    "photonPersistentDisk": ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    "gitRepo": ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    "scaleIO": ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    "flocker": ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    "storageos": ("storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    "quobyte": ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    "glusterfs": ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    "cephfs": ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    "rbd": ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
}
_TEMPLATES = {
    ("apps", "Deployment"): ("spec", "template"),
    ("apps", "ReplicaSet"): ("spec", "template"),
    ("apps", "StatefulSet"): ("spec", "template"),
    ("apps", "DaemonSet"): ("spec", "template"),
    ("batch", "Job"): ("spec", "template"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
    ("", "ReplicationController"): ("spec", "template"),
    ("", "PodTemplate"): ("template",),
}
_NAMES_PODS = frozenset(
    {
        ("apps", "Deployment"),
        ("apps", "ReplicaSet"),
        ("apps", "StatefulSet"),
        ("batch", "Job"),
        ("batch", "CronJob"),
        ("", "ReplicationController"),
    }
)
_SURPRISES = "which can result in surprising behavior; a DNS label is recommended"
_NULL_SELECTOR = "a null labelSelector results in matching no pod"
_DUPLICATE_OWNERS = (
    ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject "
    "such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: "
)


def of_write(resource: Resource, new: Object, old: Object | None = None) -> list[str]:
    """Warnings of a create, or of an update of `old`."""
    if resource.custom:
        return []
    key = (resource.group, resource.kind)
    found: list[str] = []
    if old is None and key in _NAMES_PODS:
        found += _name(new, "Pod names and hostnames")
    if key == ("", "Pod"):
        found += _name(new, "the Pod's hostname") if old is None else []
        found += _pod(new, "")
    elif key in _TEMPLATES:
        path = _TEMPLATES[key]
        template: Any = new
        for part in path:
            template = (template or {}).get(part)
        if template and (old is None or _generation(new) != _generation(old)):
            found += _pod(template, ".".join(path))
    special = _SPECIAL.get(key)
    return found + (special(new) if special else [])


def _generation(obj: Object) -> Any:
    return (obj.get("metadata") or {}).get("generation")


def deduplicate_owners(obj: Object) -> list[str]:
    """Drops owner references that come twice, in place; returns the warning of it."""
    meta = obj.get("metadata") or {}
    references = meta.get("ownerReferences") or []
    unique = [item for index, item in enumerate(references) if item not in references[:index]]
    if len(unique) == len(references):
        return []
    twice = [item.get("uid") or "" for index, item in enumerate(references) if item in references[:index]]
    meta["ownerReferences"] = unique
    return [_DUPLICATE_OWNERS + ", ".join(twice)]


def _name(obj: Object, used_in: str) -> list[str]:
    faults = formats.dns_label((obj.get("metadata") or {}).get("name") or "")
    return [f"metadata.name: this is used in {used_in}, {_SURPRISES}: [{' '.join(faults)}]"] if faults else []


def _pod(obj: Object, path: str) -> list[str]:
    """Warnings of a pod, or of a template at `path`."""
    meta, spec = obj.get("metadata") or {}, obj.get("spec") or {}
    prefix = f"{path}." if path else ""
    annotations = meta.get("annotations") or {}
    found = [
        f"{prefix}spec.nodeSelector[{key}]: {_NODE_LABELS[key]}"
        for key in spec.get("nodeSelector") or {}
        if key in _NODE_LABELS
    ]
    found += _node_affinity(spec, prefix)
    for index, item in enumerate(spec.get("topologySpreadConstraints") or []):
        here = f"{prefix}spec.topologySpreadConstraints[{index}]"
        topology = item.get("topologyKey")
        if topology in _NODE_LABELS:
            found.append(f"{here}.topologyKey: {topology} is {_NODE_LABELS[topology]}")
        if item.get("labelSelector") is None:
            found.append(f"{here}.labelSelector: {_NULL_SELECTOR}")
    found += [
        f"{prefix}metadata.annotations[{key}]: {text}" for key, text in _ANNOTATIONS.items() if key in annotations
    ]
    for index, volume in enumerate(spec.get("volumes") or []):
        for key, (shown, text) in _VOLUMES.items():
            if volume.get(key) is not None:
                found.append(f"{prefix}spec.volumes[{index}].{shown}: {text}")
    found += _repeated(spec, "hostAliases", "ip", prefix) + _repeated(spec, "imagePullSecrets", "name", prefix)
    for container, here in each(spec, f"{prefix}spec"):
        found += _container(container, here)
    found += _ports(spec, prefix)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        text = "must be >= 0; negative values are invalid and will be treated as 1"
        found.append(f"{prefix}spec.terminationGracePeriodSeconds: {text}")
    return found + _pod_affinity(spec, prefix)


def _repeated(spec: Object, key: str, name: str, prefix: str) -> list[str]:
    found = []
    values = [item.get(name) or "" for item in spec.get(key) or []]
    for index, value in enumerate(values):
        here = f"{prefix}spec.{key}[{index}].{name}"
        if value in values[:index]:
            word = "duplicate ip" if name == "ip" else "duplicate name"
            found.append(f'{here}: {word} "{value}"')
        if key == "imagePullSecrets" and not value:
            found.append(f'{here}: invalid empty name ""')
    return found


def _node_affinity(spec: Object, prefix: str) -> list[str]:
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    base = f"{prefix}spec.affinity.nodeAffinity"
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = [
        (term, f"{base}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[{index}]")
        for index, term in enumerate(required.get("nodeSelectorTerms") or [])
    ]
    for index, item in enumerate(affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or []):
        where = f"{base}.preferredDuringSchedulingIgnoredDuringExecution[{index}].preference"
        terms.append((item.get("preference") or {}, where))
    return [
        f"{where}.matchExpressions[{place}].key: {item['key']} is {_NODE_LABELS[item['key']]}"
        for term, where in terms
        for place, item in enumerate(term.get("matchExpressions") or [])
        if item.get("key") in _NODE_LABELS
    ]


def _pod_affinity(spec: Object, prefix: str) -> list[str]:
    found = []
    for kind in ("podAffinity", "podAntiAffinity"):
        part = (spec.get("affinity") or {}).get(kind) or {}
        base = f"{prefix}spec.affinity.{kind}"
        for index, term in enumerate(part.get("requiredDuringSchedulingIgnoredDuringExecution") or []):
            if term.get("labelSelector") is None:
                where = f"{base}.requiredDuringSchedulingIgnoredDuringExecution[{index}]"
                found.append(f"{where}.labelSelector: {_NULL_SELECTOR}")
        for index, item in enumerate(part.get("preferredDuringSchedulingIgnoredDuringExecution") or []):
            if (item.get("podAffinityTerm") or {}).get("labelSelector") is None:
                where = f"{base}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
                found.append(f"{where}.podAffinityTerm.labelSelector: {_NULL_SELECTOR}")
    return found


def _container(container: Object, path: str) -> list[str]:
    found = []
    for name in ("memory", "ephemeral-storage"):
        for key in ("limits", "requests"):
            text = ((container.get("resources") or {}).get(key) or {}).get(name)
            if text is not None and Quantity.parse(text).milli % 1000:
                said = f'fractional byte value "{text}" is invalid, must be an integer'
                found.append(f"{path}.resources.{key}[{name}]: {said}")
    seen: set[str] = set()
    for index, item in enumerate(container.get("env") or []):
        name, value = item.get("name") or "", item.get("value") or ""
        reference = f"$({name})"
        if name in seen and (item.get("valueFrom") is not None or value == reference or reference not in value):
            said = f'hides previous definition of "{name}", which may be dropped when using apply'
            found.append(f"{path}.env[{index}]: {said}")
        seen.add(name)
    return found


def _ports(spec: Object, prefix: str) -> list[str]:
    found: list[str] = []
    by_port: dict[tuple[Any, Any], list[tuple[str, Any, Any]]] = {}
    names: dict[str, str] = {}
    named: list[str] = []
    for container, path in each(spec, f"{prefix}spec"):
        for index, port in enumerate(container.get("ports") or []):
            here = f"{path}.ports[{index}]"
            key = (port.get("containerPort"), port.get("protocol"))
            address, host = port.get("hostIP") or "", port.get("hostPort") or 0
            for other, other_address, other_host in by_port.get(key, []):
                if (address, host) == (other_address, other_host):
                    found.append(f"{here}: duplicate port definition with {other}")
                elif not host or not other_host:
                    found.append(f"{here}: overlapping port definition with {other}")
                elif host == other_host and bool(address) != bool(other_address):
                    found.append(f"{here}: dangerously ambiguous port definition with {other}")
            by_port.setdefault(key, []).append((here, address, host))
            name = port.get("name")
            if name and name in names:
                other = names[name]
                said = f'duplicate port name "{name}" with {other}, services and probes that select ports by name will use {other}'
                named.append(f"{here}: {said}")
            elif name:
                names[name] = here
    return found + named


def _service(obj: Object) -> list[str]:
    spec = obj.get("spec") or {}
    found = []
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    if "service.kubernetes.io/topology-aware-hints" in annotations:
        text = "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead"
        found.append(text)
    kind = spec.get("type")
    if kind == "ClusterIP" and spec.get("clusterIP") == "None":
        if spec.get("loadBalancerIP"):
            found.append("spec.loadBalancerIP is ignored for headless services")
        if spec.get("externalIPs"):
            found.append("spec.externalIPs is ignored for headless services")
        if spec.get("sessionAffinity") != "None":
            found.append("spec.SessionAffinity is ignored for headless services")
    if kind == "ExternalName" and spec.get("externalIPs"):
        found.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if kind != "ExternalName" and spec.get("externalName"):
        found.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.get("trafficDistribution") == "PreferClose":
        found.append('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
    return found


def _ingress(obj: Object) -> list[str]:
    name = "kubernetes.io/ingress.class"
    annotated = name in ((obj.get("metadata") or {}).get("annotations") or {})
    if not annotated or (obj.get("spec") or {}).get("ingressClassName") is not None:
        return []
    return [f"annotation \"{name}\" is deprecated, please use 'spec.ingressClassName' instead"]


def _endpoint_slice(obj: Object) -> list[str]:
    fqdn = obj.get("addressType") == "FQDN"
    return ["spec.addressType: FQDN endpoints are deprecated"] if fqdn else []


def _service_account(obj: Object) -> list[str]:
    name = "kubernetes.io/enforce-mountable-secrets"
    if name not in ((obj.get("metadata") or {}).get("annotations") or {}):
        return []
    text = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
    return [f"metadata.annotations[{name}]: {text}"]


def _volume(obj: Object) -> list[str]:
    if (obj.get("spec") or {}).get("persistentVolumeReclaimPolicy") != "Recycle":
        return []
    text = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."
    return [f"spec.persistentVolumeReclaimPolicy: {text}"]


def _claim(obj: Object) -> list[str]:
    storage = (((obj.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage")
    if storage is None or not Quantity.parse(storage).milli % 1000:
        return []
    said = f'fractional byte value "{storage}" is invalid, must be an integer'
    return [f"spec.resources.requests[storage]: {said}"]


_SPECIAL: dict[tuple[str, str], Callable[[Object], list[str]]] = {
    ("", "Service"): _service,
    ("", "ServiceAccount"): _service_account,
    ("", "PersistentVolume"): _volume,
    ("", "PersistentVolumeClaim"): _claim,
    ("networking.k8s.io", "Ingress"): _ingress,
    ("discovery.k8s.io", "EndpointSlice"): _endpoint_slice,
}
