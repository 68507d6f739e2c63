"""The arithmetic of a Deployment's rollout: how many pods may be too many or too few, and who gets them.

Pure functions over ReplicaSets and Deployments. Source: Kubernetes 1.35, pkg/controller/deployment/util.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from azsandbox.controllers.client import Object
from azsandbox.controllers.objects import MAX_INT32, annotations_of, by_age, scaled
from azsandbox.controllers.template_hash import same_template

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
ROLLBACK_TO = "deprecated.deployment.rollback.to"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
NOT_COPIED = frozenset((LAST_APPLIED, REVISION, REVISION_HISTORY, DESIRED_REPLICAS, MAX_REPLICAS, ROLLBACK_TO))

HISTORY_LENGTH = 2000  # characters of the revision-history annotation


def replicas_of(obj: Object) -> int:
    return int(obj["spec"].get("replicas", 1))


def is_rolling(deployment: Object) -> bool:
    return bool(deployment["spec"].get("strategy", {}).get("type", "RollingUpdate") == "RollingUpdate")


def fenceposts(deployment: Object) -> tuple[int, int]:
    """Surge and unavailable pods as numbers; never both 0."""
    rolling = deployment["spec"].get("strategy", {}).get("rollingUpdate") or {}
    desired = replicas_of(deployment)
    surge = scaled(rolling.get("maxSurge"), desired, round_up=True)
    unavailable = scaled(rolling.get("maxUnavailable"), desired, round_up=False)
    return (surge, unavailable) if surge or unavailable else (0, 1)


def max_surge(deployment: Object) -> int:
    return fenceposts(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Object) -> int:
    desired = replicas_of(deployment)
    if not is_rolling(deployment) or desired == 0:
        return 0
    return min(fenceposts(deployment)[1], desired)


def spec_total(sets: Iterable[Object]) -> int:
    return sum(replicas_of(s) for s in sets)


def status_total(sets: Iterable[Object], field: str) -> int:
    return sum((s.get("status") or {}).get(field, 0) for s in sets)


def terminating_total(sets: Iterable[Object]) -> int | None:
    """Pods on their way out; None while one of the sets does not say."""
    total = 0
    for replica_set in sets:
        status = replica_set.get("status") or {}
        if "terminatingReplicas" in status:
            total += status["terminatingReplicas"]
        elif status.get("observedGeneration"):
            return None
    return total


def new_set_size(deployment: Object, sets: list[Object], new: Object) -> int:
    """Replicas that the new ReplicaSet may have now."""
    desired = replicas_of(deployment)
    if not is_rolling(deployment):
        return desired
    rolling = deployment["spec"]["strategy"].get("rollingUpdate") or {}
    room = desired + scaled(rolling.get("maxSurge"), desired, round_up=True) - spec_total(sets)
    if room <= 0:
        return replicas_of(new)
    return replicas_of(new) + min(room, desired - replicas_of(new))


def is_active(replica_set: Object) -> bool:
    return replicas_of(replica_set) > 0


def active_or_latest(new: Object | None, old: list[Object]) -> Object | None:
    """The only set with replicas, or the newest if none has; None if several have."""
    active = [s for s in [*old, *([new] if new else [])] if is_active(s)]
    if len(active) == 1:
        return active[0]
    if active:
        return None
    return new or max(old, key=by_age, default=None)


def is_saturated(deployment: Object, new: Object | None) -> bool:
    """Whether the new set has all its replicas, and they are available."""
    if new is None:
        return False
    desired = replicas_of(deployment)
    return (
        replicas_of(new) == desired
        and annotations_of(new).get(DESIRED_REPLICAS) == str(desired)
        and (new.get("status") or {}).get("availableReplicas", 0) == desired
    )


def proportions(deployment: Object, sets: list[Object]) -> list[tuple[Object, int]]:
    """Sizes for the active `sets` of a rolling update when the Deployment is scaled amid it."""
    desired = replicas_of(deployment)
    allowed = desired + max_surge(deployment) if desired > 0 else 0
    to_add = allowed - spec_total(sets)
    # the largest first; of equals the newest first when growing, the oldest first when shrinking
    ordered = sorted(sets, key=by_age, reverse=to_add > 0)
    ordered.sort(key=replicas_of, reverse=True)
    added, sizes = 0, []
    for replica_set in ordered:
        share = _proportion(deployment, replica_set, to_add, added) if to_add else 0
        added += share
        sizes.append(replicas_of(replica_set) + share)
    if sizes and to_add:
        sizes[0] = max(sizes[0] + to_add - added, 0)
    return list(zip(ordered, sizes, strict=True))


def _proportion(deployment: Object, replica_set: Object, to_add: int, added: int) -> int:
    if replicas_of(replica_set) == 0 or to_add == added:
        return 0
    fraction = _fraction(deployment, replica_set)
    return min(fraction, to_add - added) if to_add > 0 else max(fraction, to_add - added)


def _fraction(deployment: Object, replica_set: Object) -> int:
    size = replicas_of(replica_set)
    if replicas_of(deployment) == 0:
        return -size
    before = whole_number(annotations_of(replica_set).get(MAX_REPLICAS))
    if not before:
        before = (deployment.get("status") or {}).get("replicas", 0)
        if not before:
            return 0
    target = size * (replicas_of(deployment) + max_surge(deployment)) / before
    return math.floor(target + 0.5) - size


def whole_number(text: str | None) -> int | None:
    """A non-negative number that an annotation holds; None if it is none."""
    return int(text) if text is not None and text.isdigit() and int(text) <= MAX_INT32 else None


def revision_of(obj: Object) -> int:
    """The revision in an object's annotations; 0 if there is none."""
    try:
        return int(annotations_of(obj).get(REVISION) or 0)
    except ValueError:
        return 0


def last_revision(sets: Iterable[Object]) -> int:
    """The revision before the newest; 0 if there is none."""
    newest = before = 0
    for revision in map(revision_of, sets):
        if revision >= newest:
            newest, before = revision, newest
        elif revision > before:
            before = revision
    return before


def find_new_set(deployment: Object, sets: Iterable[Object]) -> Object | None:
    """The oldest set that has the Deployment's template."""
    template = deployment["spec"]["template"]
    return next((s for s in sorted(sets, key=by_age) if same_template(s["spec"]["template"], template)), None)


def annotate_new_set(deployment: Object, new: Object, revision: int, exists: bool) -> bool:
    """Copies annotations to the new set and counts its revision up; returns whether anything changed. In place."""
    before = dict(annotations_of(new))
    annotations = dict(before)
    annotations.update({k: v for k, v in annotations_of(deployment).items() if k not in NOT_COPIED})
    old_revision = revision_of(new)
    if old_revision < revision:
        annotations[REVISION] = str(revision)
        if REVISION in before:
            _remember(annotations, before[REVISION])
    if not exists:
        annotations.update(replica_annotations(deployment))
    new["metadata"]["annotations"] = annotations
    return annotations != before


def _remember(annotations: dict[str, str], revision: str) -> None:
    history = [r for r in annotations.get(REVISION_HISTORY, "").split(",") if r]
    history.append(revision)
    while len(",".join(history)) > HISTORY_LENGTH:
        history.pop(0)
    annotations[REVISION_HISTORY] = ",".join(history)


def replica_annotations(deployment: Object) -> dict[str, str]:
    """What a set remembers of the Deployment's size, to share out later scaling by."""
    desired = replicas_of(deployment)
    return {DESIRED_REPLICAS: str(desired), MAX_REPLICAS: str(desired + max_surge(deployment))}


def has_progress_deadline(deployment: Object) -> bool:
    return deployment["spec"].get("progressDeadlineSeconds") not in (None, MAX_INT32)


def is_complete(deployment: Object, status: Object) -> bool:
    """Whether all replicas are updated and available, and nothing else is left."""
    desired = replicas_of(deployment)
    return (
        all(status.get(k, 0) == desired for k in ("updatedReplicas", "replicas", "availableReplicas"))
        and status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    )


def is_progressing(deployment: Object, status: Object) -> bool:
    """Whether `status` is nearer to the end than the Deployment's present one."""
    old = deployment.get("status") or {}

    def left(of: Object) -> int:
        return int(of.get("replicas", 0) - of.get("updatedReplicas", 0))

    return left(status) < left(old) or any(
        status.get(k, 0) > old.get(k, 0) for k in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
