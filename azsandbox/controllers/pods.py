"""What a controller asks of a pod: is it active, ready, available; which of several may go first."""

from __future__ import annotations

import datetime as dt
import functools
import math
from collections.abc import Iterable, Sequence

from azsandbox.controllers.client import Object
from azsandbox.controllers.objects import (
    annotations_of,
    condition_of,
    copy_of,
    is_going,
    is_true,
    name_of,
    time_of,
    uid_of,
)

TERMINAL = ("Succeeded", "Failed")
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def phase_of(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase") or "")


def is_terminal(pod: Object) -> bool:
    return phase_of(pod) in TERMINAL


def is_active(pod: Object) -> bool:
    """Neither ended nor about to go."""
    return not is_terminal(pod) and not is_going(pod)


def is_terminating(pod: Object) -> bool:
    """About to go, and not ended yet."""
    return is_going(pod) and not is_terminal(pod)


def is_ready(pod: Object) -> bool:
    return is_true(pod.get("status") or {}, "Ready")


def ready_since(pod: Object) -> dt.datetime | None:
    """When it became ready; None if it is not."""
    ready = condition_of(pod.get("status") or {}, "Ready")
    return time_of(ready.get("lastTransitionTime")) if ready and ready["status"] == "True" else None


def is_available(pod: Object, min_ready_seconds: int, now: dt.datetime) -> bool:
    """Ready for at least `min_ready_seconds`."""
    if not is_ready(pod):
        return False
    since = ready_since(pod)
    return min_ready_seconds == 0 or (since is not None and since + dt.timedelta(seconds=min_ready_seconds) <= now)


def next_availability(pods: Iterable[Object], min_ready_seconds: int, now: dt.datetime) -> float | None:
    """Seconds until the next of `pods` becomes available; None if none will by waiting alone."""
    waits = []
    for pod in pods:
        since = ready_since(pod)
        if since is not None and min_ready_seconds > 0:
            wait = (since + dt.timedelta(seconds=min_ready_seconds) - now).total_seconds()
            if wait > 0:
                waits.append(wait)
    return min(waits, default=None)


def from_template(template: Object, reference: Object, owner_name: str) -> Object:
    """The pod that a template makes for an owner."""
    metadata = copy_of(template.get("metadata") or {})
    made: Object = {"generateName": f"{owner_name}-", "ownerReferences": [reference]}
    for key in ("labels", "annotations", "finalizers"):
        if metadata.get(key):
            made[key] = metadata[key]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": copy_of(template.get("spec") or {})}


def _restarts(pod: Object) -> tuple[int, int]:
    """The most restarts of a container, and of a sidecar."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    sidecars = {c["name"] for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"}
    regular = max((c.get("restartCount", 0) for c in status.get("containerStatuses") or ()), default=0)
    beside = max(
        (c.get("restartCount", 0) for c in status.get("initContainerStatuses") or () if c["name"] in sidecars),
        default=0,
    )
    return regular, beside


def _cost(pod: Object) -> int:
    try:
        return int(annotations_of(pod).get(DELETION_COST, "0"))
    except ValueError:
        return 0


def _younger(one: dt.datetime | None, other: dt.datetime | None, uids: tuple[str, str], now: dt.datetime) -> int:
    """Compares ages by order of magnitude, so that of pods of similar age any may go (LogarithmicScaleDown)."""
    if one == other:
        return 0
    if one is None or other is None:
        return -1 if one is None else 1

    def rank(since: dt.datetime) -> int:
        age = (now - since).total_seconds() * 1e9
        return int(math.log2(age)) if age > 0 else -1

    difference = rank(one) - rank(other)
    return difference or (-1 if uids[0] < uids[1] else 1)


_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def _compare(one: tuple[Object, int], other: tuple[Object, int], now: dt.datetime) -> int:
    """Negative if `one` goes before `other` (controller_utils, ActivePodsWithRanks)."""
    (a, rank_a), (b, rank_b) = one, other
    node_a, node_b = (p["spec"].get("nodeName", "") for p in (a, b))
    if node_a != node_b and (not node_a or not node_b):
        return -1 if not node_a else 1
    for key in (
        _PHASES.get(phase_of(a), 0) - _PHASES.get(phase_of(b), 0),
        int(is_ready(a)) - int(is_ready(b)),
        _cost(a) - _cost(b),
        rank_b - rank_a,
    ):
        if key:
            return key
    uids = (uid_of(a), uid_of(b))
    if is_ready(a):
        younger = _younger(ready_since(a), ready_since(b), uids, now)
        if younger:
            return younger
    for more, less in zip(_restarts(b), _restarts(a), strict=True):
        if more != less:
            return more - less
    return _younger(
        time_of(a["metadata"].get("creationTimestamp")), time_of(b["metadata"].get("creationTimestamp")), uids, now
    )


def in_deletion_order(pods: Sequence[Object], related: Iterable[Object], now: dt.datetime) -> list[Object]:
    """`pods`, those first that a ReplicaSet gives up first.

    `related` are the pods of all ReplicaSets of the same owner: nodes that have more of them give up theirs first.
    """
    on_node: dict[str, int] = {}
    for pod in related:
        if is_active(pod):
            node = pod["spec"].get("nodeName", "")
            on_node[node] = on_node.get(node, 0) + 1
    ranked = [(pod, on_node.get(pod["spec"].get("nodeName", ""), 0)) for pod in sorted(pods, key=name_of)]

    def order(one: tuple[Object, int], other: tuple[Object, int]) -> int:
        return _compare(one, other, now)

    ranked.sort(key=functools.cmp_to_key(order))
    return [pod for pod, _ in ranked]
