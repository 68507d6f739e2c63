"""Warnings of pods and of templates of pods. Source: k8s.io/kubernetes, pkg/api/pod/warnings.go."""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation.containers import each
from azsandbox.kubernetes.validation.errors import quoted
from azsandbox.kubernetes.warnings import addresses, node_labels, volume_paths

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
_NULL_SELECTOR = "a null labelSelector results in matching no pod"
_SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"
_CONTAINER_SECCOMP = "container.seccomp.security.alpha.kubernetes.io/"
_SECCOMP_TEXT = 'non-functional in v1.27+; use the "seccompProfile" field instead'


def of_pod(obj: Object, path: str) -> list[str]:
    """Warnings of a pod, or of a template at `path`."""
    meta, spec = obj.get("metadata") or {}, obj.get("spec") or {}
    prefix = f"{path}." if path else ""
    annotations = meta.get("annotations") or {}
    found = [
        f"{prefix}spec.nodeSelector[{key}]: {node_labels.DEPRECATED[key]}"
        for key in spec.get("nodeSelector") or {}
        if key in node_labels.DEPRECATED
    ]
    found += _node_affinity(spec, prefix)
    for index, item in enumerate(spec.get("topologySpreadConstraints") or []):
        here = f"{prefix}spec.topologySpreadConstraints[{index}]"
        topology = item.get("topologyKey")
        if topology in node_labels.DEPRECATED:
            found.append(f"{here}.topologyKey: {topology} is {node_labels.DEPRECATED[topology]}")
        if item.get("labelSelector") is None:
            found.append(f"{here}.labelSelector: {_NULL_SELECTOR}")
    found += [
        f"{prefix}metadata.annotations[{key}]: {text}" for key, text in _ANNOTATIONS.items() if key in annotations
    ]
    for index, volume in enumerate(spec.get("volumes") or []):
        for key, (shown, text) in _VOLUMES.items():
            if volume.get(key) is not None:
                found.append(f"{prefix}spec.volumes[{index}].{shown}: {text}")
        template = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
        if template:
            where = f"{prefix}spec.volumes[{index}].ephemeral.volumeClaimTemplate.spec"
            found += of_claim_spec(template.get("spec") or {}, where)
    found += volume_paths.overlapping(spec.get("volumes") or [])
    found += _repeated(spec, "hostAliases", "ip", prefix) + _repeated(spec, "imagePullSecrets", "name", prefix)
    found += _fractions(spec.get("overhead") or {}, f"{prefix}spec.overhead")
    seccomp = (spec.get("securityContext") or {}).get("seccompProfile")
    if seccomp is None and _SECCOMP in annotations:
        found.append(f"{prefix}metadata.annotations[{_SECCOMP}]: {_SECCOMP_TEXT}")
    for container, here in each(spec, f"{prefix}spec"):
        annotated = f"{_CONTAINER_SECCOMP}{container.get('name')}"
        if (container.get("securityContext") or {}).get("seccompProfile") is None and annotated in annotations:
            found.append(f"{prefix}metadata.annotations[{annotated}]: {_SECCOMP_TEXT}")
        app_armor = f"container.apparmor.security.beta.kubernetes.io/{container.get('name')}"
        has_profile = any((each_.get("securityContext") or {}).get("appArmorProfile") for each_ in (container, spec))
        if prefix and app_armor in annotations and not has_profile:
            text = 'deprecated since v1.30; use the "appArmorProfile" field instead'
            found.append(f"{prefix}metadata.annotations[{app_armor}]: {text}")
        found += _container(container, here)
    found += _ports(spec, prefix)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        text = "must be >= 0; negative values are invalid and will be treated as 1"
        found.append(f"{prefix}spec.terminationGracePeriodSeconds: {text}")
    return found + _pod_affinity(spec, prefix) + _addresses(spec, prefix)


def _addresses(spec: Object, prefix: str) -> list[str]:
    found: list[str] = []
    for index, server in enumerate((spec.get("dnsConfig") or {}).get("nameservers") or []):
        found += addresses.of_ip(f"{prefix}spec.dnsConfig.nameservers[{index}]", server)
    for index, alias in enumerate(spec.get("hostAliases") or []):
        found += addresses.of_ip(f"{prefix}spec.hostAliases[{index}].ip", alias.get("ip") or "")
    return found


def _fractions(amounts: Object, path: str, *names: str) -> list[str]:
    """Bytes of which there is a part, which cannot be."""
    found = []
    for name in names or ("memory", "ephemeral-storage"):
        text = amounts.get(name)
        if text is not None and Quantity.parse(text).milli % 1000:
            found.append(f'{path}[{name}]: fractional byte value "{text}" is invalid, must be an integer')
    return found


def of_claim_spec(spec: Object, path: str) -> list[str]:
    """Of a claim's spec, in a claim or in a template of one."""
    resources = spec.get("resources") or {}
    return [
        text
        for key in ("requests", "limits")
        for text in _fractions(resources.get(key) or {}, f"{path}.resources.{key}", "storage")
    ]


def _repeated(spec: Object, key: str, name: str, prefix: str) -> list[str]:
    values = [item.get(name) or "" for item in spec.get(key) or []]
    where = f"{prefix}spec.{key}"
    found = [
        f"{where}[{index}].{name}: duplicate {name} {quoted(value)}"
        for index, value in enumerate(values)
        if value in values[:index]
    ]
    if key == "imagePullSecrets":
        found += [f'{where}[{index}].{name}: invalid empty name ""' for index, value in enumerate(values) if not value]
    return found


def _node_affinity(spec: Object, prefix: str) -> list[str]:
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    base = f"{prefix}spec.affinity.nodeAffinity"
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = [
        (term, f"{base}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[{index}]")
        for index, term in enumerate(required.get("nodeSelectorTerms") or [])
    ]
    found = [text for term, where in terms for text in node_labels.of_term(term, where)]
    for index, item in enumerate(affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or []):
        where = f"{base}.preferredDuringSchedulingIgnoredDuringExecution[{index}].preference"
        found += node_labels.of_term(item.get("preference") or {}, where, check_values=True)
    return found


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
    resources = container.get("resources") or {}
    for name in ("memory", "ephemeral-storage"):
        for key in ("limits", "requests"):
            found += _fractions(resources.get(key) or {}, f"{path}.resources.{key}", name)
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
            if address and not host:
                shown = f"Name:{port.get('name') or ''} HostPort:0 ContainerPort:{key[0]} Protocol:{key[1]} HostIP:{address}"
                found.append(f"{here}: hostIP set without hostPort: {{{shown}}}")
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
