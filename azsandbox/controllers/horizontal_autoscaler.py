"""HorizontalPodAutoscalers: replicas by metrics.

Source of the rules: Kubernetes 1.35, pkg/controller/podautoscaler.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from azsandbox.controllers import scale_metrics, scale_rules
from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.events import EventRecorder, timestamp
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.controllers.objects import copy_of, labels_of, name_of, namespace_of
from azsandbox.controllers.scale_metrics import MetricError, ReplicaCalculator
from azsandbox.controllers.scale_rules import Memory
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.selectors import parse_labels

INTERVAL = 15.0  # seconds, kube-controller-manager's --horizontal-pod-autoscaler-sync-period


@dataclass
class _Metrics:
    """What all metrics together ask for."""

    replicas: int = -1  # nothing could be said
    metric: str = ""
    statuses: list[Object] = field(default_factory=list)
    problem: str = ""


class HorizontalAutoscalerController(Controller):
    """Scales what HorizontalPodAutoscalers target."""

    name = "horizontal-pod-autoscaler"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.autoscalers = informers.of("autoscaling/v2", "horizontalpodautoscalers")
        self.autoscalers.on_change(self._changed)
        self.pods = informers.of("v1", "pods")
        self.recorder = EventRecorder(self.client, self.name)
        self.calculator = ReplicaCalculator(self.client, self.pods)
        self._memories: dict[str, Memory] = {}

    def _changed(self, kind: str, hpa: Object, old: Object | None) -> None:
        if kind == "ADDED" or (old is not None and old["spec"] != hpa["spec"]):
            self.queue.add_after(f"{namespace_of(hpa)}/{name_of(hpa)}", INTERVAL)

    async def reconcile(self, key: str) -> None:
        cached = self.autoscalers.get(key)
        if cached is None:
            self._memories.pop(key, None)
            return
        hpa = copy_of(cached)
        before = copy_of(hpa.get("status") or {})
        hpa.setdefault("status", {})
        try:
            await self._scale(key, hpa)
        finally:
            self.queue.add_after(key, INTERVAL)
        status = hpa["status"]
        status.setdefault("desiredReplicas", 0)
        status.setdefault("currentMetrics", None)
        if not status.get("currentReplicas"):
            status.pop("currentReplicas", None)
        if status != {"currentMetrics": None, **before}:
            await self.writes.update(self.autoscalers, hpa, "status")

    def _say(self, hpa: Object, kind: str, value: str, reason: str, message: str) -> None:
        """Sets a condition. In place."""
        conditions = hpa["status"].setdefault("conditions", [])
        found = next((c for c in conditions if c["type"] == kind), None)
        if found is None:
            found = {"type": kind}
            conditions.append(found)
        if found.get("status") != value:
            found["lastTransitionTime"] = timestamp(self.now())
        found.update({"status": value, "reason": reason, "message": message})

    async def _scale(self, key: str, hpa: Object) -> None:
        spec, status = hpa["spec"], hpa["status"]
        try:
            url, scale = await self._target(hpa)
        except StatusError as error:
            await self.recorder.event(hpa, "Warning", "FailedGetScale", error.message)
            message = f"the HPA controller was unable to get the target's current scale: {error.message}"
            self._say(hpa, "AbleToScale", "False", "FailedGetScale", message)
            return
        message = "the HPA controller was able to get the target's current scale"
        self._say(hpa, "AbleToScale", "True", "SucceededGetScale", message)

        current = int((scale.get("spec") or {}).get("replicas", 0))
        memory = self._memories.setdefault(key, Memory([(self.now(), current)]))
        least = spec.get("minReplicas", 1)
        statuses: list[Object] = []
        desired, reason = current, ""
        if current == 0 and least != 0:
            desired = 0
            message = "scaling is disabled since the replica count of the target is zero"
            self._say(hpa, "ScalingActive", "False", "ScalingDisabled", message)
        elif current > spec["maxReplicas"]:
            desired, reason = spec["maxReplicas"], "Current number of replicas above Spec.MaxReplicas"
        elif current < least:
            desired, reason = least, "Current number of replicas below Spec.MinReplicas"
        else:
            metrics = await self._metrics(hpa, scale, current)
            statuses = metrics.statuses
            if metrics.replicas < 0:
                self._count(status, current, statuses)
                await self.recorder.event(hpa, "Warning", "FailedComputeMetricsReplicas", metrics.problem)
                return
            if metrics.replicas > current:
                reason = f"{metrics.metric} above target"
            elif metrics.replicas < current:
                reason = "All metrics below target"
            verdict = scale_rules.normalize(hpa, memory, current, metrics.replicas, self.now())
            self._say(hpa, "AbleToScale", "True", *verdict.able)
            self._say(hpa, "ScalingLimited", "True" if verdict.limited else "False", *verdict.limit)
            desired = verdict.replicas

        if desired != current and not await self._rescale(hpa, url, scale, desired, reason):
            self._count(status, current, statuses)
            return
        if desired != current:
            memory.scaled(self.now(), current, desired)
            status["lastScaleTime"] = timestamp(self.now())
        self._count(status, current, statuses)
        status["desiredReplicas"] = desired

    @staticmethod
    def _count(status: Object, current: int, statuses: list[Object]) -> None:
        status["currentReplicas"] = current
        status["currentMetrics"] = statuses or None

    async def _rescale(self, hpa: Object, url: str, scale: Object, desired: int, reason: str) -> bool:
        """Writes the new size; tells of it, or of why it could not. Returns whether it was written."""
        try:
            await self.client.update(url, {**scale, "spec": {**(scale.get("spec") or {}), "replicas": desired}})
        except StatusError as error:
            message = f"New size: {desired}; reason: {reason}; error: {error.message}"
            await self.recorder.event(hpa, "Warning", "FailedRescale", message)
            message = f"the HPA controller was unable to update the target scale: {error.message}"
            self._say(hpa, "AbleToScale", "False", "FailedUpdateScale", message)
            return False
        message = f"the HPA controller was able to update the target scale to {desired}"
        self._say(hpa, "AbleToScale", "True", "SucceededRescale", message)
        await self.recorder.event(hpa, "Normal", "SuccessfulRescale", f"New size: {desired}; reason: {reason}")
        return True

    async def _target(self, hpa: Object) -> tuple[str, Object]:
        """The URL of the target's scale, and the scale. Raises StatusError."""
        target = hpa["spec"]["scaleTargetRef"]
        api_version = target.get("apiVersion") or "v1"
        url = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            resources = (await self.client.get(url)).get("resources") or ()
        except StatusError:
            resources = ()
        plural = next((r["name"] for r in resources if r["kind"] == target["kind"] and "/" not in r["name"]), "")
        if not plural:
            group = api_version.rpartition("/")[0]
            kind = f"{target['kind']}.{group}" if group else target["kind"]
            raise StatusError(
                404, "NotFound", f'no matches for kind "{target["kind"]}" in group "{group}"', {"kind": kind}
            )
        url = path(api_version, plural, namespace_of(hpa), target["name"], "scale")
        return url, await self.client.get(url)

    async def _metrics(self, hpa: Object, scale: Object, current: int) -> _Metrics:
        """Asks every metric; the largest proposal wins, and one that fails forbids to shrink."""
        selector = (scale.get("status") or {}).get("selector") or ""
        problem = await self._check_selector(hpa, selector)
        if problem:
            return _Metrics(problem=problem)
        specs = hpa["spec"].get("metrics") or []
        found = _Metrics(replicas=0, statuses=[{"type": ""} for _ in specs])
        failures: list[tuple[Object, str]] = []
        for index, metric in enumerate(specs):
            try:
                proposal = await self.calculator.propose(hpa, metric, current, selector, self.now())
            except MetricError as error:
                await self.recorder.event(hpa, "Warning", scale_metrics.reason_of(metric), str(error))
                failures.append((metric, str(error)))
                continue
            found.statuses[index] = proposal.status
            if found.replicas == 0 or proposal.replicas > found.replicas:
                found.replicas, found.metric = proposal.replicas, proposal.metric
        if failures and (len(failures) == len(specs) or found.replicas < current):
            metric, text = failures[0]
            message = f"the HPA was unable to compute the replica count: {text}"
            self._say(hpa, "ScalingActive", "False", scale_metrics.reason_of(metric), message)
            outer = scale_metrics.outer_text(metric, text)
            problem = f"invalid metrics ({len(failures)} invalid out of {len(specs)}), first error is: {outer}"
            return _Metrics(statuses=found.statuses, problem=problem)
        message = f"the HPA was able to successfully calculate a replica count from {found.metric}"
        self._say(hpa, "ScalingActive", "True", "ValidMetricFound", message)
        return found

    async def _check_selector(self, hpa: Object, selector: str) -> str:
        """What is wrong with the target's selector; "" if nothing is."""
        if not selector:
            await self.recorder.event(hpa, "Warning", "SelectorRequired", "selector is required")
            message = "the HPA target's scale is missing a selector"
            self._say(hpa, "ScalingActive", "False", "InvalidSelector", message)
            return "selector is required"
        matches = parse_labels(selector)
        pods = [pod for pod in self.pods.list(namespace_of(hpa)) if matches.matches_labels(labels_of(pod))]
        rivals = [
            other
            for other in self.autoscalers.list(namespace_of(hpa))
            if name_of(other) != name_of(hpa) and await self._selects(other, pods)
        ]
        if not rivals:
            return ""
        names = " ".join(f"{{{name_of(h)} {namespace_of(h)}}}" for h in sorted([hpa, *rivals], key=name_of))
        message = f"pods by selector {selector} are controlled by multiple HPAs: [{names}]"
        await self.recorder.event(hpa, "Warning", "AmbiguousSelector", message)
        self._say(hpa, "ScalingActive", "False", "AmbiguousSelector", message)
        return message

    async def _selects(self, hpa: Object, pods: list[Object]) -> bool:
        """Whether another autoscaler's target has any of the pods."""
        if not pods:
            return False
        try:
            _, scale = await self._target(hpa)
        except StatusError:
            return False
        selector = (scale.get("status") or {}).get("selector")
        if not selector:
            return False
        matches = parse_labels(selector)
        return any(matches.matches_labels(labels_of(pod)) for pod in pods)
