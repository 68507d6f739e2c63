"""The scheduler's filters, messages, spreading and preemption, on nodes and pods made here."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from azsandbox.controllers.client import KubeClient
from azsandbox.controllers.informer import Informer
from azsandbox.controllers.scheduler import scoring
from azsandbox.controllers.scheduler.filters import Filters
from azsandbox.controllers.scheduler.preemption import preempt
from azsandbox.controllers.scheduler.queue import SchedulingQueue
from azsandbox.controllers.scheduler.requests import pod_requests
from azsandbox.controllers.scheduler.results import Diagnosis
from azsandbox.controllers.scheduler.snapshot import PodInfo, Snapshot
from azsandbox.controllers.scheduler.volumes import VolumeChecks, VolumeSources
from azsandbox.controllers.transports import InProcess


def node(name: str, cpu: str = "4", pods: str = "110", **more: Any) -> dict[str, Any]:
    labels = {"kubernetes.io/hostname": name, **more.pop("labels", {})}
    allocatable = {"cpu": cpu, "memory": "8Gi", "pods": pods}
    return {"metadata": {"name": name, "labels": labels}, "spec": more, "status": {"allocatable": allocatable}}


def pod(name: str, cpu: str = "", labels: dict[str, str] | None = None, **spec: Any) -> PodInfo:
    requests = {"requests": {"cpu": cpu}} if cpu else {}
    container = {"name": "app", "image": "nginx", "resources": requests, "ports": spec.pop("ports", [])}
    metadata = {"name": name, "namespace": "default", "uid": name, "labels": labels or {}}
    return PodInfo({"metadata": metadata, "spec": {"containers": [container], **spec}, "status": {}})


def sources() -> VolumeSources:
    client = KubeClient(InProcess(None, None))  # type: ignore[arg-type]
    return VolumeSources(*(Informer(client, "v1", name) for name in ("a", "b", "c", "d")))


def attempt(snapshot: Snapshot, info: PodInfo) -> tuple[list[str], str]:
    """Names of the nodes that fit, and what is said if none does."""
    filters = Filters(info, snapshot, VolumeChecks(info, sources(), lambda claim: ()), {})
    diagnosis = Diagnosis(len(snapshot.nodes))
    diagnosis.for_all = filters.prepare()
    found = filters.feasible(diagnosis, 0, 100) if diagnosis.for_all is None else []
    if not found and diagnosis.for_all is None:
        came = preempt(info, snapshot, filters, diagnosis, [])
        diagnosis.after = f"no new claims to deallocate, {came.message}" if came.candidate is None else ""
    return [entry.name for entry in found], diagnosis.message()


def cluster(*nodes: dict[str, Any]) -> Snapshot:
    snapshot = Snapshot()
    for entry in nodes:
        snapshot.set_node(entry)
    return snapshot


def test_a_request_larger_than_every_node_is_not_helped_by_preemption() -> None:
    snapshot = cluster(node("a", "2"), node("b", "2"), node("c", "2", taints=[{"key": "gpu", "effect": "NoSchedule"}]))
    assert attempt(snapshot, pod("web", "3"))[1] == (
        "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. no new claims to deallocate, "
        "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )


def test_a_full_node_has_no_victims_of_lower_priority() -> None:
    snapshot = cluster(node("a", pods="1"))
    snapshot.put(pod("first"), "a")
    assert attempt(snapshot, pod("web"))[1] == (
        "0/1 nodes are available: 1 Too many pods. no new claims to deallocate, preemption: 0/1 nodes are available: "
        "1 No preemption victims found for incoming pod."
    )


def test_a_claim_that_is_missing_refuses_every_node() -> None:
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]
    text = '0/1 nodes are available: persistentvolumeclaim "data" not found.'
    assert attempt(cluster(node("a")), pod("web", volumes=volumes))[1] == text


def test_host_ports_conflict_by_address_and_protocol() -> None:
    snapshot = cluster(node("a"))
    snapshot.put(pod("first", ports=[{"hostPort": 80, "hostIP": "10.0.0.1"}]), "a")
    assert attempt(snapshot, pod("other", ports=[{"hostPort": 80, "hostIP": "10.0.0.2"}]))[0] == ["a"]
    assert attempt(snapshot, pod("udp", ports=[{"hostPort": 80, "protocol": "UDP"}]))[0] == ["a"]
    assert attempt(snapshot, pod("all", ports=[{"hostPort": 80}]))[0] == []


def test_a_cordoned_node_takes_only_pods_that_tolerate_it() -> None:
    snapshot = cluster(node("a", unschedulable=True))
    assert "node(s) were unschedulable" in attempt(snapshot, pod("web"))[1]
    bears = [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}]
    assert attempt(snapshot, pod("daemon", tolerations=bears))[0] == ["a"]


def test_an_affinity_to_one_name_looks_at_no_other_node() -> None:
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    snapshot = cluster(node("a"), node("b", "1"))
    assert attempt(snapshot, pod("daemon", affinity=affinity))[0] == ["b"]
    assert attempt(snapshot, pod("large", "2", affinity=affinity))[1].startswith(
        "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    )


def test_spread_over_zones_keeps_the_skew_and_counts_only_domains_that_fit() -> None:
    zone = "topology.kubernetes.io/zone"
    snapshot = cluster(node("a", labels={zone: "1"}), node("b", labels={zone: "2"}), node("c"))
    spread = [
        {
            "topologyKey": zone,
            "maxSkew": 1,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"x": "y"}},
        }
    ]
    snapshot.put(pod("one", labels={"x": "y"}), "a")
    names, _ = attempt(snapshot, pod("two", labels={"x": "y"}, topologySpreadConstraints=spread))
    assert names == ["b"]
    few = [{**spread[0], "minDomains": 3}]
    snapshot.put(pod("two", labels={"x": "y"}), "b")
    text = attempt(snapshot, pod("three", labels={"x": "y"}, topologySpreadConstraints=few))[1]
    assert "2 node(s) didn't match pod topology spread constraints" in text
    assert "1 node(s) didn't match pod topology spread constraints (missing required label)" in text


def test_the_first_pod_of_a_group_may_stand_alone_and_the_next_joins_it() -> None:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"g": "1"}}}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    snapshot = cluster(node("a"), node("b"))
    first = pod("one", labels={"g": "1"}, affinity=affinity)
    assert attempt(snapshot, first)[0] == ["a", "b"]
    snapshot.put(first, "b")
    assert attempt(snapshot, pod("two", labels={"g": "1"}, affinity=affinity))[0] == ["b"]


def test_preemption_takes_the_fewest_and_least_important_pods_and_leaves_the_node_as_it_was() -> None:
    snapshot = cluster(node("a", "2"), node("b", "2"))
    for name, where, cpu, priority in (("p", "a", "2", 50), ("q", "b", "1", 10), ("r", "b", "1", 20)):
        snapshot.put(pod(name, cpu, priority=priority), where)
    urgent = pod("urgent", "1", priority=100)
    filters = Filters(urgent, snapshot, VolumeChecks(urgent, sources(), lambda claim: ()), {})
    diagnosis = Diagnosis(2)
    assert filters.prepare() is None
    assert filters.feasible(diagnosis, 0, 100) == []
    came = preempt(urgent, snapshot, filters, diagnosis, [])
    assert came.candidate is not None
    assert (came.candidate.node.name, [v.name for v in came.candidate.victims]) == ("b", ["q"])
    assert {uid for entry in snapshot.nodes.values() for uid in entry.pods} == {"p", "q", "r"}


def test_a_pod_that_never_preempts_says_so() -> None:
    snapshot = cluster(node("a", "1"))
    snapshot.put(pod("low", "1"), "a")
    text = attempt(snapshot, pod("web", "1", priority=9, preemptionPolicy="Never"))[1]
    assert text.endswith("no new claims to deallocate, preemption: not eligible due to preemptionPolicy=Never.")


def test_init_containers_sidecars_and_overhead_count() -> None:
    def asks(cpu: str, **more: Any) -> dict[str, Any]:
        return {"name": cpu, "resources": {"requests": {"cpu": cpu}}, **more}

    spec = {
        "containers": [asks("100m"), asks("200m")],
        "initContainers": [asks("50m", restartPolicy="Always"), asks("500m")],
        "overhead": {"cpu": "10m"},
    }
    assert pod_requests(spec) == {"cpu": 560}  # the init step beside its sidecar, and the overhead


def test_the_emptier_node_scores_better() -> None:
    snapshot = cluster(node("a"), node("b"))
    snapshot.put(pod("busy", "2"), "a")
    nodes = list(snapshot.nodes.values())
    assert scoring.best(pod("web", "1"), nodes, nodes, {}, None, False).name == "b"


async def test_the_queue_gives_out_the_most_important_pod_first_and_waits_for_a_change() -> None:
    queue = SchedulingQueue()
    queue.put(pod("low"))
    queue.put(pod("high", priority=10))
    first = await queue.take()
    assert first.pod.name == "high"
    queue.failed(first, {"NodeResourcesFit"})
    assert (await queue.take()).pod.name == "low"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.take(), 0.15)
    queue.changed({"InterPodAffinity"})
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.take(), 0.05)
    queue.changed({"NodeResourcesFit"})
    assert (await asyncio.wait_for(queue.take(), 1)).pod.name == "high"
