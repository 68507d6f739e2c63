"""Validation of what may change in a running pod: its spec, status, ephemeral containers and size."""

from __future__ import annotations

import copy
from typing import Any

from azsandbox.kubernetes.quality_of_service import quality_of_service
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema import internal
from azsandbox.kubernetes.strategies import same
from azsandbox.kubernetes.validation import containers as container_rules
from azsandbox.kubernetes.validation import formats, scheduling
from azsandbox.kubernetes.validation.common import (
    INT32_MAX,
    formatted,
    ip_address,
    unchanged,
)
from azsandbox.kubernetes.validation.errors import (
    Errors,
    forbidden,
    invalid,
    required,
)
from azsandbox.kubernetes.validation.pods import APP_ARMOR, MIRROR, pod, pod_annotations
from azsandbox.kubernetes.validation.registry import on_update

_UPDATABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


@on_update("", "Pod")
def update(new: Object, old: Object) -> Errors:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    found = pod(new) + _annotation_changes(new, old)
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
        if key.startswith(APP_ARMOR):
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
        shown = [internal.shown(term, "core.NodeSelectorTerm") for term in after]
        return [invalid(path, shown or None, text)]
    found: Errors = []
    for index, (term, earlier) in enumerate(zip(after, before, strict=False)):
        for key in ("matchExpressions", "matchFields"):
            length = len(earlier.get(key) or [])
            if not same((term.get(key) or [])[:length], earlier.get(key) or []):
                text = "only additions are allowed (no mutations or deletions)"
                found.append(invalid(f"{path}[{index}]", internal.shown(term, "core.NodeSelectorTerm"), text))
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
    found = pod(new)
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
    found = pod(new)
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
