"""PodDisruptionBudgets: how many of the selected pods may go now.

Source of the rules: Kubernetes 1.35, pkg/controller/disruption.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.events import EventRecorder, timestamp
from azsandbox.controllers.informer import Controller, Informers, controller_of
from azsandbox.controllers.objects import (
    condition_of,
    copy_of,
    is_going,
    labels_of,
    name_of,
    namespace_of,
    scaled,
    time_of,
    uid_of,
)
from azsandbox.controllers.pods import is_ready, is_terminal
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.selectors import from_object

DELETION_TIMEOUT = 120  # seconds in which an evicted pod must be gone
_STALE = 120  # seconds after which the condition DisruptionTarget of a pod that stays is false
_POD = "pod:"


class _CannotCount(Exception):
    """The expected number of pods cannot be told; the text is Kubernetes' own."""


class DisruptionController(Controller):
    """Keeps the status of PodDisruptionBudgets."""

    name = "disruption-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.budgets = self.follow(informers.of("policy/v1", "poddisruptionbudgets"))
        self.pods = informers.of("v1", "pods")
        self.owners = {
            kind: informers.of(api_version, resource)
            for api_version, kind, resource in (
                ("apps/v1", "ReplicaSet", "replicasets"),
                ("apps/v1", "Deployment", "deployments"),
                ("apps/v1", "StatefulSet", "statefulsets"),
                ("v1", "ReplicationController", "replicationcontrollers"),
            )
        }
        self.pods.on_change(self._pod_changed)
        self.recorder = EventRecorder(self.client, "controllermanager")

    def _pod_changed(self, kind: str, pod: Object, old: Object | None) -> None:
        for state in (pod, old):
            if state is not None:
                for key in self._budgets_of(state):
                    self.queue.add(key)
        target = condition_of(pod.get("status") or {}, "DisruptionTarget")
        if kind != "DELETED" and target and target["status"] == "True":
            self.queue.add(f"{_POD}{namespace_of(pod)}/{name_of(pod)}")

    def _budgets_of(self, pod: Object) -> list[str]:
        found = []
        for key, budget in self.budgets.by_namespace.get(namespace_of(pod), {}).items():
            selector = budget["spec"].get("selector")
            if selector is not None and from_object(selector).matches_labels(labels_of(pod)):
                found.append(key)
        return found

    async def reconcile(self, key: str) -> None:
        if key.startswith(_POD):
            await self._clear_stale_condition(key.removeprefix(_POD))
            return
        budget = self.budgets.get(key)
        if budget is None:
            return
        try:
            await self._sync(key, budget)
        except _CannotCount as problem:
            message = f"Failed to calculate the number of expected pods: {problem}"
            await self.recorder.event(budget, "Warning", "CalculateExpectedPodCountFailed", message)
            await self._fail(budget, str(problem))
            self.queue.add_after(key, min(2.0 ** self.queue.failures(key), 60.0))

    async def _sync(self, key: str, budget: Object) -> None:
        selector = budget["spec"].get("selector")
        matches = from_object(selector)
        pods = [
            pod
            for pod in self.pods.by_namespace.get(namespace_of(budget), {}).values()
            if selector is not None and matches.matches_labels(labels_of(pod))
        ]
        if not pods:
            await self.recorder.event(budget, "Normal", "NoPods", "No matching pods found")
        expected, desired, unmanaged = await self._expected(budget, pods)
        if unmanaged:
            message = (
                f"Pods selected by this PodDisruptionBudget (selector: {go_text(selector)}) were found to be unmanaged. "
                "As a result, the status of the PDB cannot be calculated correctly, which may result in undefined "
                'behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.'
            )
            await self.recorder.event(budget, "Warning", "UnmanagedPods", message)

        disrupted, recheck = await self._disrupted(budget, pods)
        healthy = sum(is_ready(pod) and not is_going(pod) and name_of(pod) not in disrupted for pod in pods)
        allowed = max(healthy - desired, 0) if expected > 0 else 0
        status: Object = {
            "observedGeneration": budget["metadata"].get("generation", 0),
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "expectedPods": expected,
        }
        if disrupted:
            status["disruptedPods"] = disrupted
        verdict = ("True", "SufficientPods") if allowed > 0 else ("False", "InsufficientPods")
        await self._write(budget, status, *verdict, "")
        if recheck is not None:
            self.queue.add_after(key, max((recheck - self.now()).total_seconds(), 0) + 0.1)

    async def _write(self, budget: Object, status: Object, value: str, reason: str, message: str) -> None:
        old = budget.get("status") or {}
        condition = condition_of(old, "DisruptionAllowed")
        since = condition["lastTransitionTime"] if condition and condition["status"] == value else None
        made: Object = {
            "type": "DisruptionAllowed",
            "status": value,
            "observedGeneration": status.get("observedGeneration", 0),
            "lastTransitionTime": since or timestamp(self.now()),
            "reason": reason,
            "message": message,
        }
        if not made["observedGeneration"]:
            del made["observedGeneration"]
        others = [c for c in old.get("conditions") or () if c["type"] != "DisruptionAllowed"]
        status = {**status, "conditions": [*others, made]}
        if status != old:
            await self.writes.status(self.budgets, budget, status)

    async def _fail(self, budget: Object, message: str) -> None:
        """Allows nothing while it cannot be told what is allowed."""
        old = {k: v for k, v in (budget.get("status") or {}).items() if k != "conditions"}
        zero = {"currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0}
        await self._write(budget, {**zero, **old, "disruptionsAllowed": 0}, "False", "SyncFailed", message)

    # Expected pods

    async def _expected(self, budget: Object, pods: Sequence[Object]) -> tuple[int, int, list[str]]:
        """Pods that there should be, that must be healthy, and the names of those that nobody manages."""
        unavailable, available = budget["spec"].get("maxUnavailable"), budget["spec"].get("minAvailable")
        if unavailable is not None:
            total, unmanaged = await self._scale(pods)
            return total, max(total - scaled(unavailable, total, round_up=True), 0), unmanaged
        if isinstance(available, int):
            return len(pods), available, []
        if available is not None:
            total, unmanaged = await self._scale(pods)
            return total, scaled(available, total, round_up=True), unmanaged
        return 0, 0, []

    async def _scale(self, pods: Sequence[Object]) -> tuple[int, list[str]]:
        """The sizes of the pods' controllers together."""
        sizes: dict[str, int] = {}
        unmanaged = []
        for pod in pods:
            owner = controller_of(pod)
            if owner is None:
                unmanaged.append(name_of(pod))
            elif owner["uid"] not in sizes:
                found = await self._controller(owner, namespace_of(pod))
                if found is None:
                    raise _CannotCount(f'found no controllers for pod "{name_of(pod)}"')
                uid, size = found
                sizes[uid] = sizes[owner["uid"]] = size
        # a Deployment is counted once, however many ReplicaSets it has
        top = {uid: size for uid, size in sizes.items() if not self._is_below(uid, sizes)}
        return sum(top.values()), unmanaged

    def _is_below(self, uid: str, sizes: dict[str, int]) -> bool:
        for replica_set in self.owners["ReplicaSet"].objects.values():
            if uid_of(replica_set) == uid:
                owner = controller_of(replica_set)
                return owner is not None and owner["uid"] in sizes
        return False

    async def _controller(self, owner: Object, namespace: str) -> tuple[str, int] | None:
        """The uid and the size of what keeps a pod's number, its Deployment rather than its ReplicaSet."""
        informer = self.owners.get(owner["kind"])
        if informer is None or not owner["apiVersion"].startswith(("apps/", "v1")):
            return await self._custom(owner, namespace)
        found = informer.get(f"{namespace}/{owner['name']}")
        if found is None or uid_of(found) != owner["uid"]:
            return None
        above = controller_of(found)
        if owner["kind"] == "ReplicaSet" and above is not None and above["kind"] == "Deployment":
            deployment = self.owners["Deployment"].get(f"{namespace}/{above['name']}")
            if deployment is None or uid_of(deployment) != above["uid"]:
                return None
            found = deployment
        return uid_of(found), int(found["spec"].get("replicas", 1))

    async def _custom(self, owner: Object, namespace: str) -> tuple[str, int] | None:
        """The scale of any other kind, if it has one."""
        api_version = owner["apiVersion"]
        url = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            resources = (await self.client.get(url)).get("resources") or ()
        except StatusError:
            resources = ()
        plural = next((r["name"] for r in resources if r["kind"] == owner["kind"] and "/" not in r["name"]), "")
        if not plural:
            raise _CannotCount(f'no matches for kind "{owner["kind"]}" in version "{api_version}"')
        if not any(r["name"] == f"{plural}/scale" for r in resources):
            group = api_version.rpartition("/")[0]
            resource = f"{plural}.{group}" if group else plural
            raise _CannotCount(f"{resource} does not implement the scale subresource")
        scale = await self.client.find(path(api_version, plural, namespace, owner["name"], "scale"))
        if scale is None or uid_of(scale) != owner["uid"]:
            return None
        return uid_of(scale), int((scale.get("spec") or {}).get("replicas", 0))

    async def _disrupted(self, budget: Object, pods: Sequence[Object]) -> tuple[Object, dt.datetime | None]:
        """Evicted pods that are still there, and when to look again."""
        known = (budget.get("status") or {}).get("disruptedPods") or {}
        left: Object = {}
        recheck: dt.datetime | None = None
        for pod in pods:
            since = time_of(known.get(name_of(pod)))
            if is_going(pod) or since is None:
                continue
            due = since + dt.timedelta(seconds=DELETION_TIMEOUT)
            if due < self.now():
                namespace = namespace_of(budget)
                message = f"Pod was expected by PDB {namespace}/{namespace} to be deleted but it wasn't"
                await self.recorder.event(pod, "Warning", "NotDeleted", message)
            else:
                left[name_of(pod)] = known[name_of(pod)]
                recheck = due if recheck is None else min(due, recheck)
        return left, recheck

    async def _clear_stale_condition(self, key: str) -> None:
        """A pod that was to be disrupted and is not says so no more."""
        pod = self.pods.get(key)
        if pod is None or is_going(pod) or is_terminal(pod):
            return
        target = condition_of(pod["status"], "DisruptionTarget")
        if not target or target["status"] != "True" or target.get("reason") == "TerminationByKubelet":
            return
        since = time_of(target.get("lastTransitionTime")) or self.now()
        left = _STALE - (self.now() - since).total_seconds()
        if left > 0:
            self.queue.add_after(f"{_POD}{key}", left)
            return
        status = copy_of(pod["status"])
        changed = condition_of(status, "DisruptionTarget") or {}
        changed.update({"status": "False", "lastTransitionTime": timestamp(self.now())})
        changed.pop("reason", None)
        changed.pop("message", None)
        await self.writes.status(self.pods, pod, status)


def go_text(selector: Object | None) -> str:
    """A label selector as Go prints it."""
    if selector is None:
        return "nil"
    labels = "".join(f"{k}: {v}," for k, v in sorted((selector.get("matchLabels") or {}).items()))
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{e['key']},Operator:{e['operator']},Values:[{' '.join(e.get('values') or ())}],}},"
        for e in selector.get("matchExpressions") or ()
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
