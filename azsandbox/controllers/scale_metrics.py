"""What a metric says how many replicas there should be.

Metrics of resources come from metrics.k8s.io, as the cluster serves it. Source of the rules and texts: Kubernetes
1.35, pkg/controller/podautoscaler: replica_calculator.go, horizontal.go, metrics.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import urllib.parse
from dataclasses import dataclass

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.disruption import go_text
from azsandbox.controllers.informer import Informer
from azsandbox.controllers.objects import condition_of, is_going, labels_of, name_of, time_of
from azsandbox.controllers.pods import is_ready, phase_of
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.quantity import BINARY, Quantity
from azsandbox.kubernetes.selectors import parse_labels

TOLERANCE = 0.1
CPU_INITIALIZATION = dt.timedelta(minutes=5)
READINESS_DELAY = dt.timedelta(seconds=30)
_REASONS = {
    "Object": "FailedGetObjectMetric",
    "Pods": "FailedGetPodsMetric",
    "Resource": "FailedGetResourceMetric",
    "ContainerResource": "FailedGetContainerResourceMetric",
    "External": "FailedGetExternalMetric",
}


class MetricError(Exception):
    """A metric that cannot be had; the text is the autoscaler's own."""


@dataclass(frozen=True)
class Sample:
    """A pod's usage in thousandths, when it was taken and over how long."""

    value: int
    time: dt.datetime
    window: dt.timedelta


@dataclass(frozen=True)
class Proposal:
    """Replicas that a metric asks for, its name, and its entry in status.currentMetrics."""

    replicas: int
    metric: str
    status: Object


@dataclass(frozen=True)
class Tolerances:
    """How far a ratio of usage to target may be off before it counts."""

    down: float = TOLERANCE
    up: float = TOLERANCE

    def within(self, ratio: float) -> bool:
        return 1 - self.down <= ratio <= 1 + self.up


def reason_of(metric: Object) -> str:
    """The reason that events and conditions give when a metric cannot be had."""
    return _REASONS.get(metric["type"], "InvalidMetricSourceType")


def outer_text(metric: Object, problem: str) -> str:
    """A metric's problem as the event about all metrics words it."""
    kind = metric["type"]
    if kind == "Resource":
        return f"failed to get {metric['resource']['name']} resource metric value: {problem}"
    if kind == "ContainerResource":
        return f"failed to get {metric['containerResource']['container']} container metric value: {problem}"
    if kind == "External":
        return f"failed to get {metric['external']['metric']['name']} external metric value: {problem}"
    return f"failed to get {kind.lower()} metric value: {problem}"


class ReplicaCalculator:
    """Asks for metrics and reckons with them."""

    def __init__(self, client: KubeClient, pods: Informer) -> None:
        self.client, self.pods = client, pods

    async def propose(self, hpa: Object, metric: Object, current: int, selector: str, now: dt.datetime) -> Proposal:
        """What one metric asks for. Raises MetricError."""
        kind, namespace = metric["type"], hpa["metadata"]["namespace"]
        if kind in ("Resource", "ContainerResource"):
            return await self._resource(hpa, metric, current, selector, now)
        if kind == "Pods":
            problem = "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered"
            raise MetricError(f"unable to get metric {metric['pods']['metric']['name']}: {problem}")
        if kind == "Object":
            described, name = metric["object"]["describedObject"], metric["object"]["metric"]["name"]
            problem = "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered"
            text = f"unable to get metric {name}: {described['kind']} on {namespace} {described['name']}/{problem}"
            if metric["object"]["target"].get("averageValue") is not None:
                text = f"failed to get {name} object metric: {text}"
            raise MetricError(text)
        if kind == "External":
            source = metric["external"]["metric"]
            name, selects = source["name"], go_text(source.get("selector"))
            url = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{name}"
            problem = await self._refusal(url, f"{name}.external.metrics.k8s.io")
            text = f"unable to get external metric {namespace}/{name}/{selects}: unable to fetch metrics from external metrics API: {problem}"
            if metric["external"]["target"].get("averageValue") is not None:
                raise MetricError(f"failed to get {name} external metric: {text}")
            raise MetricError(f"failed to get external metric {name}: {text}")
        raise MetricError(f'unknown metric source type "{kind}"')

    async def _refusal(self, url: str, resource: str) -> str:
        try:
            await self.client.get(url)
        except StatusError as error:
            return refusal(error, resource)
        return "no metrics returned from external metrics API"

    async def _resource(self, hpa: Object, metric: Object, current: int, selector: str, now: dt.datetime) -> Proposal:
        source = metric["resource"] if metric["type"] == "Resource" else metric["containerResource"]
        name, container, target = source["name"], source.get("container", ""), source["target"]
        value = target.get("averageValue")
        word = "usage" if value is not None else "utilization"
        try:
            samples = await self._samples(hpa["metadata"]["namespace"], name, selector, container)
            pods = self._pods(hpa["metadata"]["namespace"], selector)
            tolerances = tolerances_of(hpa)
            if value is not None:
                replicas, usage = plain(pods, samples, current, Quantity.parse(value).milli, tolerances, name, now)
                found: Object = {"averageValue": _written(name, usage)}
                text = f"{name} resource"
            else:
                replicas, share, usage = utilization(
                    pods, samples, current, target["averageUtilization"], tolerances, name, container, now
                )
                found = {"averageUtilization": share, "averageValue": _written(name, usage)}
                of = "container resource" if container else "resource"
                text = f"{name} {of} utilization (percentage of request)"
        except MetricError as problem:
            raise MetricError(f"failed to get {name} {word}: {problem}") from None
        key = "resource" if metric["type"] == "Resource" else "containerResource"
        status: Object = {"name": name, "current": found}
        if container:
            status["container"] = container
        return Proposal(replicas, text, {"type": metric["type"], key: status})

    def _pods(self, namespace: str, selector: str) -> list[Object]:
        matches = parse_labels(selector)
        pods = [pod for pod in self.pods.list(namespace) if matches.matches_labels(labels_of(pod))]
        if not pods:
            raise MetricError("no pods returned by selector while calculating replica count")
        return pods

    async def _samples(self, namespace: str, resource: str, selector: str, container: str) -> dict[str, Sample]:
        """Usage by pod name."""
        url = path("metrics.k8s.io/v1beta1", "pods", namespace)
        before = f"unable to get metrics for resource {resource}: "
        try:
            answer = await self.client.get(f"{url}?{urllib.parse.urlencode({'labelSelector': selector})}")
        except StatusError as error:
            text = refusal(error, "pods.metrics.k8s.io")
            raise MetricError(f"{before}unable to fetch metrics from resource metrics API: {text}") from None
        items = answer.get("items") or []
        if not items:
            raise MetricError(f"{before}no metrics returned from resource metrics API")
        found = {}
        for item in items:
            containers = [c for c in item.get("containers") or () if container in ("", c["name"])]
            if not containers or any(resource not in (c.get("usage") or {}) for c in containers):
                continue
            usage = sum(Quantity.parse(c["usage"][resource]).milli for c in containers)
            taken = time_of(item.get("timestamp")) or dt.datetime.now(dt.UTC)
            found[name_of(item)] = Sample(usage, taken, duration(item.get("window", "0s")))
        return found


def refusal(error: StatusError, resource: str) -> str:
    """A server's refusal as client-go words it: a path that names nothing gets the request added."""
    if error.code == 404 and not (error.details or {}).get("name"):
        return f"the server could not find the requested resource (get {resource})"
    return error.message


def duration(text: str) -> dt.timedelta:
    """A metav1.Duration, such as 30s or 1m30.5s."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
    return dt.timedelta(seconds=sum(float(n) * units[u] for n, u in re.findall(r"([0-9.]+)(ms|us|µs|ns|h|m|s)", text)))


def _written(resource: str, milli: int) -> str:
    nano = milli * 10**6
    return str(Quantity(nano, BINARY) if resource == "memory" else Quantity(nano))


def tolerances_of(hpa: Object) -> Tolerances:
    behavior = hpa["spec"].get("behavior") or {}

    def of(kind: str) -> float:
        value = (behavior.get(kind) or {}).get("tolerance")
        return TOLERANCE if value is None else Quantity.parse(value).nano / 1e9

    return Tolerances(of("scaleDown"), of("scaleUp"))


@dataclass
class _Groups:
    """Pods by what can be said of their usage."""

    ready: int
    unready: set[str]
    missing: set[str]
    ignored: set[str]


def group(pods: list[Object], samples: dict[str, Sample], resource: str, now: dt.datetime) -> _Groups:
    groups = _Groups(0, set(), set(), set())
    for pod in pods:
        name = name_of(pod)
        if is_going(pod) or phase_of(pod) == "Failed":
            groups.ignored.add(name)
        elif phase_of(pod) == "Pending":
            groups.unready.add(name)
        elif name not in samples:
            groups.missing.add(name)
        elif resource == "cpu" and _is_warming_up(pod, samples[name], now):
            groups.unready.add(name)
        else:
            groups.ready += 1
    return groups


def _is_warming_up(pod: Object, sample: Sample, now: dt.datetime) -> bool:
    """Whether a pod has not been ready for long enough for its CPU usage to mean anything."""
    status = pod.get("status") or {}
    ready, started = condition_of(status, "Ready"), time_of(status.get("startTime"))
    if ready is None or started is None:
        return True
    since = time_of(ready.get("lastTransitionTime")) or started
    if started + CPU_INITIALIZATION > now:
        return not is_ready(pod) or sample.time < since + sample.window
    return not is_ready(pod) and started + READINESS_DELAY > since


def requests_of(pods: list[Object], container: str, resource: str) -> dict[str, int]:
    """Requests by pod name, in thousandths. Raises MetricError if a container has none."""
    found = {}
    for pod in pods:
        spec, name = pod["spec"], name_of(pod)
        whole = (spec.get("resources") or {}).get("requests")
        if whole and not container:
            if resource not in whole:
                raise MetricError(f"missing pod-level request for {resource} in Pod {name}")
            found[name] = Quantity.parse(whole[resource]).milli
            continue
        sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
        counted = [c for c in [*spec["containers"], *sidecars] if container in ("", c["name"])]
        if container and not counted:
            raise MetricError(f"container {container} not found in Pod {name}")
        total = 0
        for one in counted:
            requests = (one.get("resources") or {}).get("requests") or {}
            if resource not in requests:
                raise MetricError(f"missing request for {resource} in container {one['name']} of Pod {name}")
            total += Quantity.parse(requests[resource]).milli
        found[name] = total
    return found


def _measured(samples: dict[str, Sample], groups: _Groups) -> dict[str, int]:
    """Usage of the pods that count."""
    left = {n: s.value for n, s in samples.items() if n not in groups.ignored and n not in groups.unready}
    if not left:
        raise MetricError("did not receive metrics for targeted pods (pods might be unready)")
    return left


def _decide(ratio: float, again: float, current: int, groups: _Groups, count: int, tolerances: Tolerances) -> int:
    """Replicas after pods without usage were reckoned in; `again` is the ratio with them."""
    if tolerances.within(again) or (ratio < 1 < again) or (again < 1 < ratio):
        return current
    replicas = math.ceil(again * count)
    if (again < 1 and replicas > current) or (again > 1 and replicas < current):
        return current
    return replicas


def utilization(
    pods: list[Object],
    samples: dict[str, Sample],
    current: int,
    target: int,
    tolerances: Tolerances,
    resource: str,
    container: str,
    now: dt.datetime,
) -> tuple[int, int, int]:
    """Replicas for a share of the requests in percent, with the share and the average usage (thousandths) now."""
    groups = group(pods, samples, resource, now)
    usage = _measured(samples, groups)
    requests = requests_of(pods, container, resource)

    def ratio_of(values: dict[str, int]) -> tuple[float, int, int]:
        known = {name: value for name, value in values.items() if name in requests}
        asked = sum(requests[name] for name in known)
        if not asked:
            raise MetricError("no metrics returned matched known pods")
        share = sum(known.values()) * 100 // asked
        return share / target, share, sum(known.values()) // len(known)

    ratio, share, average = ratio_of(usage)
    grows = bool(groups.unready) and ratio > 1
    if not grows and not groups.missing:
        return (current if tolerances.within(ratio) else math.ceil(ratio * groups.ready)), share, average
    if ratio < 1:
        usage |= {name: requests[name] * max(100, target) // 100 for name in groups.missing}
    elif ratio > 1:
        usage |= dict.fromkeys(groups.missing, 0)
    if grows:
        usage |= dict.fromkeys(groups.unready, 0)
    again, _, _ = ratio_of(usage)
    return _decide(ratio, again, current, groups, len(usage), tolerances), share, average


def plain(
    pods: list[Object],
    samples: dict[str, Sample],
    current: int,
    target: int,
    tolerances: Tolerances,
    resource: str,
    now: dt.datetime,
) -> tuple[int, int]:
    """Replicas for an average usage (thousandths), with the average now."""
    groups = group(pods, samples, resource, now)
    usage = _measured(samples, groups)

    def ratio_of(values: dict[str, int]) -> tuple[float, int]:
        average = sum(values.values()) // len(values)
        return average / target, average

    ratio, average = ratio_of(usage)
    grows = bool(groups.unready) and ratio > 1
    if not grows and not groups.missing:
        return (current if tolerances.within(ratio) else math.ceil(ratio * groups.ready)), average
    if ratio < 1:
        usage |= dict.fromkeys(groups.missing, target)
    elif ratio > 1:
        usage |= dict.fromkeys(groups.missing, 0)
    if grows:
        usage |= dict.fromkeys(groups.unready, 0)
    return _decide(ratio, ratio_of(usage)[0], current, groups, len(usage), tolerances), average
