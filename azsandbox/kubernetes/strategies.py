"""What is special about writing single kinds. `strategy.RULES` names these functions."""

from __future__ import annotations

import base64
import copy
import uuid
from typing import TYPE_CHECKING, Any

from azsandbox.kubernetes.request import Object

if TYPE_CHECKING:
    from azsandbox.kubernetes.strategy import Context

_RESET = ("deletionTimestamp", "generation", "selfLink", "labels", "annotations", "finalizers", "ownerReferences")
_JOB_NAME_LABELS = ("job-name", "batch.kubernetes.io/job-name")
_JOB_UID_LABELS = ("controller-uid", "batch.kubernetes.io/controller-uid")


def same(one: Any, other: Any) -> bool:
    """Equality as Kubernetes' semantic DeepEqual sees it: absent and empty are one."""
    if not one and not other and not isinstance(one, bool | int) and not isinstance(other, bool | int):
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return all(same(one.get(key), other.get(key)) for key in one.keys() | other.keys())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def keep(new: Object, old: Object, *keys: str) -> None:
    """Takes fields from `old`."""
    for key in keys:
        if key in old:
            new[key] = copy.deepcopy(old[key])
        else:
            new.pop(key, None)


def reset_metadata(new: Object, old: Object) -> None:
    """Undoes what a write of a part may not change in metadata."""
    keep(new["metadata"], old["metadata"], *_RESET)


def limit_range_create(obj: Object, context: Context) -> None:
    if not obj["metadata"].get("name"):
        obj["metadata"]["name"] = str(uuid.uuid4())


def namespace_create(obj: Object, context: Context) -> None:
    spec = obj.setdefault("spec", {}) or {}
    obj["spec"] = spec
    finalizers = spec.get("finalizers") or []
    spec["finalizers"] = finalizers if "kubernetes" in finalizers else [*finalizers, "kubernetes"]


def namespace_update(new: Object, old: Object, context: Context) -> None:
    new["spec"] = new.get("spec") or {}
    keep(new["spec"], old.get("spec") or {}, "finalizers")


def namespace_finalize(new: Object, old: Object, context: Context) -> None:
    keep(new, old, "status")


def node_create(obj: Object, context: Context) -> None:
    """The dynamic configuration of a kubelet is a feature of the past."""
    (obj.get("spec") or {}).pop("configSource", None)
    (obj.get("status") or {}).pop("config", None)


def node_update(new: Object, old: Object, context: Context) -> None:
    if not (old.get("spec") or {}).get("configSource"):
        (new.get("spec") or {}).pop("configSource", None)


def volume_create(obj: Object, context: Context) -> None:
    obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": context.now}


def volume_status(new: Object, old: Object, context: Context) -> None:
    status, before = new.setdefault("status", {}), old.get("status") or {}
    if status.get("phase") == before.get("phase"):
        if not status.get("lastPhaseTransitionTime"):
            keep(status, before, "lastPhaseTransitionTime")
    elif status.get("lastPhaseTransitionTime") in (None, before.get("lastPhaseTransitionTime")):
        status["lastPhaseTransitionTime"] = context.now


def claim_create(obj: Object, context: Context) -> None:
    obj["status"] = {"phase": "Pending"}
    _claim_sources(obj.get("spec") or {}, {})


def claim_update(new: Object, old: Object, context: Context) -> None:
    _claim_sources(new.get("spec") or {}, old.get("spec") or {})


def _claim_sources(spec: Object, before: Object) -> None:
    """dataSource and dataSourceRef say the same; a dataSource that is no claim and no snapshot is dropped."""
    reference = spec.get("dataSourceRef")
    if reference and reference.get("namespace") and not before.get("dataSourceRef"):
        spec.pop("dataSourceRef")  # across namespaces is behind a feature gate that is off
        reference = None
    in_use = before.get("dataSource") or before.get("dataSourceRef")
    if not in_use and not reference and spec.get("dataSource") and not _claim_or_snapshot(spec["dataSource"]):
        spec.pop("dataSource")
    source = spec.get("dataSource")
    if source and not reference:
        spec["dataSourceRef"] = dict(source)
    elif reference and not source and not reference.get("namespace"):
        spec["dataSource"] = {key: reference[key] for key in ("apiGroup", "kind", "name") if key in reference}


def _claim_or_snapshot(source: Object) -> bool:
    kind, group = source.get("kind"), source.get("apiGroup") or ""
    return (kind, group) in (("PersistentVolumeClaim", ""), ("VolumeSnapshot", "snapshot.storage.k8s.io"))


def pod_create(obj: Object, context: Context) -> None:
    from azsandbox.kubernetes.quality_of_service import quality_of_service

    obj["status"] = {"phase": "Pending", "qosClass": quality_of_service(obj.get("spec") or {})}
    spec = obj.get("spec") or {}
    if spec.get("schedulingGates"):
        obj["status"]["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": None,
                "lastTransitionTime": context.now,
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }
        ]
    _apply_label_keys(spec, obj["metadata"].get("labels") or {})


def _apply_label_keys(spec: Object, labels: dict[str, str]) -> None:
    """matchLabelKeys become requirements on the pod's own labels."""
    affinity = spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        part = affinity.get(kind) or {}
        terms = list(part.get("requiredDuringSchedulingIgnoredDuringExecution") or [])
        for weighted in part.get("preferredDuringSchedulingIgnoredDuringExecution") or []:
            terms.append(weighted.get("podAffinityTerm") or {})
        for term in terms:
            _add_requirements(term, "matchLabelKeys", "In", labels)
            _add_requirements(term, "mismatchLabelKeys", "NotIn", labels)
    for constraint in spec.get("topologySpreadConstraints") or []:
        _add_requirements(constraint, "matchLabelKeys", "In", labels)


def _add_requirements(term: Object, keys: str, operator: str, labels: dict[str, str]) -> None:
    selector = term.get("labelSelector")
    if selector is None:
        return
    for key in term.get(keys) or []:
        if key in labels:
            requirement = {"key": key, "operator": operator, "values": [labels[key]]}
            selector.setdefault("matchExpressions", []).append(requirement)


def pod_status(new: Object, old: Object, context: Context) -> None:
    new["metadata"].pop("deletionTimestamp", None)
    keep(new["metadata"], old["metadata"], "ownerReferences")
    status, before = new.setdefault("status", {}), old.get("status") or {}
    if not status.get("qosClass"):
        keep(status, before, "qosClass")
    if not status.get("observedGeneration"):
        keep(status, before, "observedGeneration")
    generations: dict[str, list[int]] = {}
    for condition in before.get("conditions") or []:
        generations.setdefault(condition.get("type", ""), []).append(condition.get("observedGeneration") or 0)
    for condition in status.get("conditions") or []:
        earlier = generations.get(condition.get("type", ""))
        generation = earlier.pop(0) if earlier else 0
        if not condition.get("observedGeneration") and generation:
            condition["observedGeneration"] = generation


def pod_ephemeral_containers(new: Object, old: Object, context: Context) -> None:
    containers = (new.get("spec") or {}).get("ephemeralContainers")
    keep(new, old, "spec", "status")
    reset_metadata(new, old)
    if containers is None:
        new["spec"].pop("ephemeralContainers", None)
    else:
        new["spec"]["ephemeralContainers"] = containers


def pod_resize(new: Object, old: Object, context: Context) -> None:
    """Only the resources of containers change; other containers are left for validation to refuse."""
    wanted, before = new.get("spec") or {}, old.get("spec") or {}
    lists: dict[str, list[Object]] = {}
    for key in ("containers", "initContainers"):
        asked, present = wanted.get(key) or [], before.get(key) or []
        if len(asked) != len(present):
            return
        lists[key] = _resized(asked, present)
    keep(new, old, "spec", "status")
    reset_metadata(new, old)
    for key, containers in lists.items():
        if containers:
            new["spec"][key] = containers


def _resized(asked: list[Object], present: list[Object]) -> list[Object]:
    out = copy.deepcopy(present)
    for container, wish in zip(out, asked, strict=True):
        if container.get("name") != wish.get("name"):
            return asked
        keep(container, wish, "resources", "resizePolicy")
    return out


def endpoint_slice_create(obj: Object, context: Context) -> None:
    """The topology of old cannot be written."""
    for endpoint in obj.get("endpoints") or []:
        endpoint.pop("deprecatedTopology", None)


def endpoint_slice_update(new: Object, old: Object, context: Context) -> None:
    if not same(new.get("endpoints"), old.get("endpoints")):
        endpoint_slice_create(new, context)


def secret_update(new: Object, old: Object, context: Context) -> None:
    if not new.get("type"):
        keep(new, old, "type")


def merge_string_data(obj: Object) -> None:
    """A Secret's stringData goes into data; it is never read back."""
    texts = obj.pop("stringData", None)
    if not texts:
        return
    data = obj.get("data")
    if data is None:
        data = obj["data"] = {}
    for key, value in texts.items():
        data[key] = base64.b64encode((value or "").encode()).decode()


def service_account_create(obj: Object, context: Context) -> None:
    """Only the names of secrets are kept."""
    if obj.get("secrets"):
        obj["secrets"] = [{"name": item["name"]} if item.get("name") else {} for item in obj["secrets"]]


def daemon_set_create(obj: Object, context: Context) -> None:
    template_annotation(obj, max(1, template_generation(obj)))


def daemon_set_update(new: Object, old: Object, context: Context) -> None:
    generation = template_generation(old)
    if not same((new.get("spec") or {}).get("template"), (old.get("spec") or {}).get("template")):
        generation += 1
    template_annotation(new, generation)


_TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


def template_generation(obj: Object) -> int:
    """The generation of a DaemonSet's template, which apps/v1 carries as an annotation."""
    value = (obj["metadata"].get("annotations") or {}).get(_TEMPLATE_GENERATION, "")
    return int(value) if value.lstrip("-").isdigit() else 0


def template_annotation(obj: Object, generation: int) -> None:
    annotations = obj["metadata"].get("annotations") or {}
    obj["metadata"]["annotations"] = {**annotations, _TEMPLATE_GENERATION: str(generation)}


def deployment_status(new: Object, old: Object, context: Context) -> None:
    keep(new["metadata"], old["metadata"], "labels")


def autoscaler_create(obj: Object, context: Context) -> None:
    if obj.get("apiVersion") == "autoscaling/v1":
        obj["status"] = {"currentReplicas": 0, "desiredReplicas": 0}
    else:
        obj["status"] = {"desiredReplicas": 0, "currentMetrics": None}


def job_create(obj: Object, context: Context) -> None:
    """Unless the selector is the user's, pods are selected by the Job's uid."""
    spec, meta = obj.get("spec") or {}, obj["metadata"]
    if spec.get("manualSelector"):
        return
    template = spec["template"] = spec.get("template") or {}
    template["metadata"] = template.get("metadata") or {}
    labels = template["metadata"]["labels"] = template["metadata"].get("labels") or {}
    for label in _JOB_NAME_LABELS:
        labels.setdefault(label, meta.get("name") or "")
    for label in _JOB_UID_LABELS:
        labels.setdefault(label, meta.get("uid") or "")
    selector = spec["selector"] = spec.get("selector") or {}
    chosen = selector["matchLabels"] = selector.get("matchLabels") or {}
    chosen.setdefault(_JOB_UID_LABELS[1], meta.get("uid") or "")


def signing_request_create(obj: Object, context: Context) -> None:
    """The request carries who made it."""
    spec = obj["spec"] = obj.get("spec") or {}
    for key in ("username", "uid", "groups", "extra"):
        spec.pop(key, None)
    user = context.user
    if user is None:
        return
    spec |= {"username": user.name} if user.name else {}
    spec |= {"uid": user.uid} if user.uid else {}
    spec |= {"groups": list(user.groups)} if user.groups else {}
    spec |= {"extra": {key: list(values) for key, values in user.extra.items()}} if user.extra else {}
    obj["spec"] = spec


def signing_request_update(new: Object, old: Object, context: Context) -> None:
    keep(new, old, "spec", "status")


def signing_request_status(new: Object, old: Object, context: Context) -> None:
    """Approval and denial are not written here, but by `approval`."""
    status = new.setdefault("status", {})
    verdicts = ("Approved", "Denied")
    kept = [c for c in (old.get("status") or {}).get("conditions") or [] if c.get("type") in verdicts]
    others = [c for c in status.get("conditions") or [] if c.get("type") not in verdicts]
    if kept or others:
        status["conditions"] = copy.deepcopy(kept) + others
    _condition_times(new, old, context.now)


def signing_request_approval(new: Object, old: Object, context: Context) -> None:
    _condition_times(new, old, context.now)
    conditions = (new.get("status") or {}).get("conditions")
    keep(new, old, "spec", "status")
    new["status"] = new.get("status") or {}
    if conditions is not None:
        new["status"]["conditions"] = conditions
    else:
        new["status"].pop("conditions", None)


def _condition_times(new: Object, old: Object, now: str) -> None:
    before = {c.get("type"): c for c in (old.get("status") or {}).get("conditions") or []}
    for condition in (new.get("status") or {}).get("conditions") or []:
        earlier = before.get(condition.get("type"))
        if not condition.get("lastTransitionTime"):
            unchanged = earlier is not None and earlier.get("status") == condition.get("status")
            condition["lastTransitionTime"] = (earlier or {}).get("lastTransitionTime") if unchanged else now
        condition["lastUpdateTime"] = condition.get("lastUpdateTime") or now


def definition_create(obj: Object, context: Context) -> None:
    """A new CRD's status says which version is stored, and nothing else yet."""
    obj["status"] = {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": None}
    _stored_version(obj)


def definition_update(new: Object, old: Object, context: Context) -> None:
    new["status"] = new.get("status") or {}
    _stored_version(new)


def _stored_version(obj: Object) -> None:
    storage = next((v for v in (obj.get("spec") or {}).get("versions") or [] if v.get("storage")), None)
    stored = obj["status"].get("storedVersions") or []
    if storage and storage.get("name") not in stored:
        obj["status"]["storedVersions"] = [*stored, storage.get("name")]


def api_service_create(obj: Object, context: Context) -> None:
    if not (obj.get("spec") or {}).get("service"):
        obj["status"] = {
            "conditions": [
                {
                    "type": "Available",
                    "status": "True",
                    "lastTransitionTime": context.now,
                    "reason": "Local",
                    "message": "Local APIServices are always available",
                }
            ]
        }


def service_update(new: Object, old: Object, context: Context) -> None:
    """Fields that a type of Service does not have go when the type changes, if the caller left them as they were."""
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    kind, earlier = spec.get("type"), before.get("type")
    if earlier != "ExternalName" and kind == "ExternalName":
        if _first_address(spec) == _first_address(before):
            spec.pop("clusterIP", None)
            spec.pop("clusterIPs", None)
        for key in ("ipFamilies", "ipFamilyPolicy"):
            if spec.get(key) == before.get(key):
                spec.pop(key, None)
    if _has_node_ports(earlier) and not _has_node_ports(kind) and _node_ports(spec) == _node_ports(before):
        for port in spec.get("ports") or []:
            port.pop("nodePort", None)
    if _checks_health(before) and not _checks_health(spec):
        _drop_same(spec, before, "healthCheckNodePort")
    if earlier == "LoadBalancer" and kind != "LoadBalancer":
        _drop_same(spec, before, "allocateLoadBalancerNodePorts")
        _drop_same(spec, before, "loadBalancerClass")
    if _has_node_ports(earlier) and not _has_node_ports(kind) and not spec.get("externalIPs"):
        _drop_same(spec, before, "externalTrafficPolicy")
    if kind != "LoadBalancer":
        new["status"] = (new.get("status") or {}) | {"loadBalancer": {}}


def _drop_same(spec: Object, before: Object, key: str) -> None:
    if key in spec and spec[key] == before.get(key):
        spec.pop(key)


def _first_address(spec: Object) -> Any:
    return spec.get("clusterIP"), spec.get("clusterIPs")


def _has_node_ports(kind: str | None) -> bool:
    return kind in ("NodePort", "LoadBalancer")


def _node_ports(spec: Object) -> list[int]:
    return sorted(port["nodePort"] for port in spec.get("ports") or [] if port.get("nodePort"))


def _checks_health(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"
