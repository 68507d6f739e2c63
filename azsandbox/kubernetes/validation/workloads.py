"""Validation of Deployments, ReplicaSets, StatefulSets, DaemonSets, ReplicationControllers and their revisions."""

from __future__ import annotations

import copy
import re
from typing import Any

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.schema import internal
from azsandbox.kubernetes.strategies import same, template_generation
from azsandbox.kubernetes.validation import formats, metadata, pods
from azsandbox.kubernetes.validation.common import (
    formatted,
    label_selector,
    nonnegative,
    selects,
    shown_selector,
    supported,
    unchanged,
)
from azsandbox.kubernetes.validation.errors import (
    Errors,
    forbidden,
    invalid,
    not_supported,
    required,
)
from azsandbox.kubernetes.validation.registry import on_create, on_update
from azsandbox.kubernetes.validation.storage import claim_spec

NO_MATCH = "`selector` does not match template `labels`"
_TOO_MANY = "cannot be greater than status.replicas"


def shown_labels(template: Object) -> Any:
    """A template's labels as an error shows them."""
    labels = (template.get("metadata") or {}).get("labels")
    return dict(sorted(labels.items())) if labels else None


def int_or_percent(value: Any, path: str) -> Errors:
    """A count that is not negative, or a percentage."""
    if isinstance(value, str):
        return [invalid(path, value, text) for text in formats.percent(value)]
    return nonnegative(value, path)


def at_most_100_percent(value: Any, path: str) -> Errors:
    if isinstance(value, str) and re.fullmatch("[0-9]+%", value) and int(value[:-1]) > 100:
        return [invalid(path, value, "must not be greater than 100%")]
    return []


def amount_of(value: Any) -> int:
    """The number in a count or percentage."""
    if isinstance(value, str):
        return int(value[:-1]) if re.fullmatch("[0-9]+%", value) else 0
    return value or 0


def _selector(spec: Object, kind: str, path: str = "spec") -> tuple[Errors, bool]:
    """Faults of a workload's selector, and whether it can be parsed."""
    selector = spec.get("selector")
    if selector is None:
        return [required(f"{path}.selector")], True
    found = label_selector(selector, f"{path}.selector")
    sound = not found
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        found.append(invalid(f"{path}.selector", shown_selector(selector), f"empty selector is invalid for {kind}"))
    return found, sound


def _matches(spec: Object, template: Object) -> bool:
    selector = spec.get("selector")
    if selector is not None and not selector.get("matchLabels") and not selector.get("matchExpressions"):
        return True
    return selects(selector, (template.get("metadata") or {}).get("labels"))


def _restart_always(template: Object, path: str, kind: str) -> Errors:
    spec = template.get("spec") or {}
    found: Errors = []
    if spec.get("restartPolicy") != "Always":
        found.append(not_supported(f"{path}.restartPolicy", spec.get("restartPolicy") or "", ("Always",)))
    if spec.get("activeDeadlineSeconds") is not None:
        text = f"activeDeadlineSeconds in {kind} is not Supported"
        found.append(forbidden(f"{path}.activeDeadlineSeconds", text))
    return found


def _replicated(spec: Object) -> Errors:
    """Selector and template of a Deployment or ReplicaSet."""
    found, sound = _selector(spec, "deployment")
    template = spec.get("template") or {}
    if not sound:
        return [*found, invalid("spec.selector", shown_selector(spec.get("selector")), "invalid label selector")]
    if not _matches(spec, template):
        found.append(invalid("spec.template.metadata.labels", shown_labels(template), NO_MATCH))
    found += pods.template(template, "spec.template")
    return found + _restart_always(template, "spec.template.spec", "ReplicaSet")


@on_create("apps", "Deployment")
def deployment(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    found = nonnegative(spec.get("replicas"), "spec.replicas") + _replicated(spec)
    found += _strategy(spec.get("strategy") or {})
    found += nonnegative(spec.get("minReadySeconds"), "spec.minReadySeconds")
    found += nonnegative(spec.get("revisionHistoryLimit"), "spec.revisionHistoryLimit")
    seconds, path = spec.get("progressDeadlineSeconds"), "spec.progressDeadlineSeconds"
    if seconds is not None:
        found += nonnegative(seconds, path)
        if seconds <= (spec.get("minReadySeconds") or 0):
            found.append(invalid(path, seconds, "must be greater than minReadySeconds"))
    return found


def _strategy(strategy: Object) -> Errors:
    path, kind, rolling = "spec.strategy.rollingUpdate", strategy.get("type"), strategy.get("rollingUpdate")
    if kind == "Recreate":
        text = "may not be specified when strategy `type` is 'Recreate'"
        return [] if rolling is None else [forbidden(path, text)]
    if kind != "RollingUpdate":
        shown = internal.shown(strategy, "apps.DeploymentStrategy")
        return [not_supported("spec.strategy", shown, ("Recreate", "RollingUpdate"))]
    if rolling is None:
        return [required(path, "this should be defaulted and never be nil")]
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    found = int_or_percent(unavailable, f"{path}.maxUnavailable") + int_or_percent(surge, f"{path}.maxSurge")
    if not amount_of(unavailable) and not amount_of(surge):
        text = "may not be 0 when `maxSurge` is 0"
        found.append(invalid(f"{path}.maxUnavailable", unavailable, text))
    return found + at_most_100_percent(unavailable, f"{path}.maxUnavailable")


def _selector_kept(new: Object, old: Object) -> Errors:
    one, other = ((each.get("spec") or {}).get("selector") for each in (new, old))
    return unchanged(one, other, "spec.selector", shown_selector(one))


@on_update("apps", "Deployment")
def deployment_update(new: Object, old: Object) -> Errors:
    return deployment(new) + _selector_kept(new, old)


@on_create("apps", "ReplicaSet")
def replica_set(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    found = nonnegative(spec.get("replicas"), "spec.replicas")
    return found + nonnegative(spec.get("minReadySeconds"), "spec.minReadySeconds") + _replicated(spec)


@on_update("apps", "ReplicaSet")
def replica_set_update(new: Object, old: Object) -> Errors:
    return replica_set(new) + _selector_kept(new, old)


def _status(status: Object, keys: tuple[str, ...], within: tuple[str, ...], ready: str) -> Errors:
    found: Errors = []
    for key in keys:
        found += nonnegative(status.get(key), f"status.{key}")
    total = status.get("replicas") or 0
    for key in within:
        if (status.get(key) or 0) > total:
            found.append(invalid(f"status.{key}", status.get(key, 0), _TOO_MANY))
    if (status.get("availableReplicas") or 0) > (status.get("readyReplicas") or 0):
        found.append(
            invalid("status.availableReplicas", status["availableReplicas"], f"cannot be greater than {ready}")
        )
    return found


def _collisions(new: Object, old: Object) -> Errors:
    after, before = ((each.get("status") or {}).get("collisionCount") for each in (new, old))
    if before is None or (after or 0) >= before:
        return []
    return [invalid("status.collisionCount", after or 0, "cannot be decremented")]


@on_update("apps", "Deployment", subresource="status")
def deployment_status(new: Object, old: Object) -> Errors:
    keys = (
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    )
    found = _status(new.get("status") or {}, keys, ("updatedReplicas", *keys[3:5]), "readyReplicas")
    return found + _collisions(new, old)


@on_update("apps", "ReplicaSet", subresource="status")
def replica_set_status(new: Object, old: Object) -> Errors:
    within = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    keys = ("replicas", *within, "observedGeneration", "terminatingReplicas")
    return _status(new.get("status") or {}, keys, within, "readyReplicas")


on_update("", "ReplicationController", subresource="status")(replica_set_status)


@on_update("apps", "StatefulSet", subresource="status")
def stateful_set_status(new: Object, old: Object) -> Errors:
    within = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
    keys = ("replicas", *within, "observedGeneration", "collisionCount")
    return _status(new.get("status") or {}, keys, within, "status.readyReplicas") + _collisions(new, old)


@on_update("apps", "DaemonSet", subresource="status")
def daemon_set_status(new: Object, old: Object) -> Errors:
    keys = [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ]
    found: Errors = []
    for key in keys:
        found += nonnegative((new.get("status") or {}).get(key), f"status.{key}")
    return found + _collisions(new, old)


@on_create("apps", "StatefulSet")
def stateful_set(obj: Object) -> Errors:
    return _stateful_spec(obj.get("spec") or {}, is_new=True)


def _stateful_spec(spec: Object, *, is_new: bool) -> Errors:
    found: Errors = []
    management = spec.get("podManagementPolicy") or ""
    path = "spec.podManagementPolicy"
    if not management:
        found.append(required(path))
    elif management not in ("OrderedReady", "Parallel"):
        found.append(invalid(path, management, "must be 'OrderedReady' or 'Parallel'"))
    found += _stateful_strategy(spec.get("updateStrategy") or {})
    retention = spec.get("persistentVolumeClaimRetentionPolicy")
    for key in ("whenDeleted", "whenScaled") if retention is not None else ():
        where = f"spec.persistentVolumeClaimRetentionPolicy.{key}"
        found += supported((retention or {}).get(key), where, ("Retain", "Delete"))
    for index, claim in enumerate((spec.get("volumeClaimTemplates") or []) if is_new else ()):
        found += claim_spec(claim.get("spec") or {}, f"spec.volumeClaimTemplates[{index}].spec")
    found += nonnegative(spec.get("replicas"), "spec.replicas")
    found += nonnegative(spec.get("minReadySeconds"), "spec.minReadySeconds")
    found += nonnegative((spec.get("ordinals") or {}).get("start"), "spec.ordinals.start")
    if is_new and spec.get("serviceName"):
        found += formatted(spec["serviceName"], "spec.serviceName", formats.dns_label)
    faults, sound = _selector(spec, "statefulset")
    found += faults
    template = spec.get("template") or {}
    if not sound:
        found.append(invalid("spec.selector", shown_selector(spec.get("selector")), ""))
    else:
        if not _matches(spec, template):
            found.append(invalid("spec.template.metadata.labels", shown_labels(template), NO_MATCH))
        found += pods.template(_with_claims(spec, template), "spec.template")
        found += pods.template_metadata(template, "spec.template")  # once more, as Kubernetes does
    return found + _restart_always(template, "spec.template.spec", "StatefulSet")


def _with_claims(spec: Object, template: Object) -> Object:
    """The template with a volume for each claim template, and without the names that the controller sets."""
    claims = spec.get("volumeClaimTemplates") or []
    inner = dict(template.get("spec") or {})
    for key in ("subdomain", "hostname"):
        inner.pop(key, None)
    names = list(dict.fromkeys((claim.get("metadata") or {}).get("name") or "" for claim in claims))
    if names:
        added = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names]
        inner["volumes"] = added + [v for v in inner.get("volumes") or [] if v.get("name") not in names]
    return {**template, "spec": inner}


def _stateful_strategy(strategy: Object) -> Errors:
    path, kind, rolling = "spec.updateStrategy", strategy.get("type") or "", strategy.get("rollingUpdate")
    if not kind:
        return [required(path)]
    if kind == "OnDelete":
        text = "only allowed for updateStrategy 'RollingUpdate'"
        shown = internal.shown(rolling, "apps.RollingUpdateStatefulSetStrategy")
        return [] if rolling is None else [invalid(f"{path}.rollingUpdate", shown, text)]
    if kind != "RollingUpdate":
        shown = internal.shown(strategy, "apps.StatefulSetUpdateStrategy")
        return [invalid(path, shown, "must be 'RollingUpdate' or 'OnDelete'")]
    rolling = rolling or {}
    found = nonnegative(rolling.get("partition"), f"{path}.rollingUpdate.partition")
    unavailable, where = rolling.get("maxUnavailable"), f"{path}.rollingUpdate.maxUnavailable"
    if unavailable is not None:
        found += int_or_percent(unavailable, where)
        if not amount_of(unavailable):
            found.append(invalid(where, unavailable, "cannot be 0"))
        found += at_most_100_percent(unavailable, where)
    return found


_MUTABLE = (
    "replicas",
    "template",
    "updateStrategy",
    "minReadySeconds",
    "ordinals",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
)


@on_update("apps", "StatefulSet")
def stateful_set_update(new: Object, old: Object) -> Errors:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    found = _stateful_spec(spec, is_new=False)
    kept = ({key: value for key, value in each.items() if key not in _MUTABLE} for each in (spec, before))
    if not same(*kept):
        text = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
        found.append(forbidden("spec", text))
    return found


@on_create("apps", "DaemonSet")
def daemon_set(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    selector, template = spec.get("selector"), spec.get("template") or {}
    found = label_selector(selector, "spec.selector")
    if not found and not _matches(spec, template):
        found.append(invalid("spec.template.metadata.labels", shown_labels(template), NO_MATCH))
    if selector is not None and not selector.get("matchLabels") and not selector.get("matchExpressions"):
        found.append(invalid("spec.selector", shown_selector(selector), "empty selector is invalid for daemonset"))
    found += pods.template(template, "spec.template")
    found += _restart_always(template, "spec.template.spec", "DaemonSet")
    found += nonnegative(spec.get("minReadySeconds"), "spec.minReadySeconds")
    found += nonnegative(template_generation(obj), "spec.templateGeneration")
    found += _daemon_strategy(spec.get("updateStrategy") or {})
    return found + nonnegative(spec.get("revisionHistoryLimit"), "spec.revisionHistoryLimit")


def _daemon_strategy(strategy: Object) -> Errors:
    path, kind = "spec.updateStrategy", strategy.get("type")
    if kind == "OnDelete":
        return []
    if kind != "RollingUpdate":
        shown = internal.shown(strategy, "apps.DaemonSetUpdateStrategy")
        return [not_supported(path, shown, ("RollingUpdate", "OnDelete"))]
    rolling, path = strategy.get("rollingUpdate"), f"{path}.rollingUpdate"
    if rolling is None:
        return [required(path)]
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    found = int_or_percent(unavailable, f"{path}.maxUnavailable") + int_or_percent(surge, f"{path}.maxSurge")
    found += at_most_100_percent(unavailable, f"{path}.maxUnavailable")
    found += at_most_100_percent(surge, f"{path}.maxSurge")
    if amount_of(unavailable) and amount_of(surge):
        found.append(invalid(f"{path}.maxSurge", surge, "may not be set when maxUnavailable is non-zero"))
    elif not amount_of(unavailable) and not amount_of(surge):
        found.append(required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    return found


@on_update("apps", "DaemonSet")
def daemon_set_update(new: Object, old: Object) -> Errors:
    return _selector_kept(new, old) + daemon_set(new)


@on_create("apps", "ControllerRevision")
def controller_revision(obj: Object) -> Errors:
    found = nonnegative(obj.get("revision"), "revision")
    data = obj.get("data")
    if data is None:
        found.append(required("data", "data is mandatory"))
    elif not isinstance(data, dict):
        found.append(required("data", "data must be a valid JSON object"))
    return found


@on_update("apps", "ControllerRevision")
def controller_revision_update(new: Object, old: Object) -> Errors:
    found = nonnegative(new.get("revision"), "revision")
    if new.get("data") != old.get("data"):
        found.append(invalid("data", new.get("data"), metadata.IMMUTABLE))
    return found


@on_create("", "ReplicationController")
def replication_controller(obj: Object) -> Errors:
    spec = obj.get("spec") or {}
    found = nonnegative(spec.get("minReadySeconds"), "spec.minReadySeconds")
    selector, template = spec.get("selector") or {}, spec.get("template")
    if not selector:
        found.append(required("spec.selector"))
    found += nonnegative(spec.get("replicas"), "spec.replicas")
    if template is None:
        return [*found, required("spec.template")]
    labels = (template.get("metadata") or {}).get("labels") or {}
    if selector and any(labels.get(key) != value for key, value in selector.items()):
        text = "`selector` does not match template `labels`"
        found.append(invalid("spec.template.metadata.labels", shown_labels(template), text))
    found += pods.template(template, "spec.template")
    return found + _restart_always(template, "spec.template.spec", "ReplicationController")


@on_update("", "ReplicationController")
def replication_controller_update(new: Object, old: Object) -> Errors:
    return replication_controller(copy.copy(new))
