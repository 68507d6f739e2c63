"""Deployments and their ReplicaSets, in a whole cluster."""

from __future__ import annotations

import asyncio
import time

from tests.azsandbox.controllers.conftest import Workloads, wait, workload

REVISION = "deployment.kubernetes.io/revision"


def available(count: int):
    return lambda d: (
        (d.get("status") or {}).get("availableReplicas", 0) == count and d["status"].get("replicas") == count
    )


async def test_three_replicas_are_ready_within_a_moment(workloads: Workloads) -> None:
    started = time.monotonic()
    await workloads.create("Deployment", "web", workload(replicas=3))
    found = await workloads.until("Deployment", "web", available(3))
    assert time.monotonic() - started < 2
    conditions = {c["type"]: c["reason"] for c in found["status"]["conditions"]}
    assert conditions == {"Available": "MinimumReplicasAvailable", "Progressing": "NewReplicaSetAvailable"}
    assert found["status"]["terminatingReplicas"] == 0
    assert found["metadata"]["annotations"][REVISION] == "1"


async def test_a_rolling_update_never_has_too_few_or_too_many(workloads: Workloads) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
    await workloads.create("Deployment", "web", workload(replicas=4, strategy=strategy))
    await workloads.until("Deployment", "web", available(4))
    containers = [{"name": "app", "image": "nginx:1.28"}]
    await workloads.patch("Deployment", "web", {"spec": {"template": {"spec": {"containers": containers}}}})

    async def done() -> bool:
        sets = await workloads.list("ReplicaSet")
        assert sum(s["spec"]["replicas"] for s in sets) <= 5
        assert sum((s.get("status") or {}).get("availableReplicas", 0) for s in sets) >= 2
        web = await workloads.get("Deployment", "web")
        status = web["status"]
        return status["observedGeneration"] == 2 and status.get("updatedReplicas") == status.get("replicas") == 4

    await wait(done)
    revisions = sorted(s["metadata"]["annotations"][REVISION] for s in await workloads.list("ReplicaSet"))
    assert revisions == ["1", "2"]


async def test_going_back_reuses_the_old_set(workloads: Workloads) -> None:
    await workloads.create("Deployment", "web", workload(replicas=1))
    await workloads.until("Deployment", "web", available(1))
    for image in ("nginx:1.28", "nginx:1.27"):
        containers = [{"name": "app", "image": image}]
        before = await workloads.patch(
            "Deployment", "web", {"spec": {"template": {"spec": {"containers": containers}}}}
        )
        generation = before["metadata"]["generation"]
        await workloads.until(
            "Deployment",
            "web",
            lambda d, g=generation: (
                available(1)(d) and d["status"]["observedGeneration"] >= g and d["status"].get("updatedReplicas") == 1
            ),
        )
    sets = await workloads.list("ReplicaSet")
    assert sorted(s["metadata"]["annotations"][REVISION] for s in sets) == ["2", "3"]
    again = next(s for s in sets if s["metadata"]["annotations"][REVISION] == "3")
    assert again["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"


async def test_recreate_lets_all_old_pods_go_first(workloads: Workloads) -> None:
    await workloads.create("Deployment", "web", workload(replicas=2, strategy={"type": "Recreate"}))
    await workloads.until("Deployment", "web", available(2))
    containers = [{"name": "app", "image": "nginx:1.28"}]
    await workloads.patch("Deployment", "web", {"spec": {"template": {"spec": {"containers": containers}}}})

    async def done() -> bool:
        pods = await workloads.list("Pod")
        assert len({p["spec"]["containers"][0]["image"] for p in pods}) <= 1
        return len(pods) == 2 and pods[0]["spec"]["containers"][0]["image"] == "nginx:1.28"

    await wait(done)


async def test_a_quota_is_said_in_the_conditions(workloads: Workloads) -> None:
    await workloads.create("ResourceQuota", "few", {"hard": {"pods": "1"}})
    await workloads.until("ResourceQuota", "few", lambda q: "used" in (q.get("status") or {}))
    await workloads.create("Deployment", "web", workload(replicas=2))

    def refused(deployment: dict) -> bool:
        conditions = (deployment.get("status") or {}).get("conditions") or ()
        return any(c["type"] == "ReplicaFailure" and c["reason"] == "FailedCreate" for c in conditions)

    found = await workloads.until("Deployment", "web", refused)
    failure = next(c for c in found["status"]["conditions"] if c["type"] == "ReplicaFailure")
    assert "exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1" in failure["message"]


async def test_a_pod_that_is_relabelled_is_let_go_and_replaced(workloads: Workloads) -> None:
    await workloads.create("ReplicaSet", "web", workload(replicas=1))
    await workloads.until("ReplicaSet", "web", lambda s: (s.get("status") or {}).get("readyReplicas") == 1)
    (pod,) = await workloads.list("Pod")
    await workloads.patch("Pod", pod["metadata"]["name"], {"metadata": {"labels": {"app": "other"}}})

    async def done() -> bool:
        return len(await workloads.list("Pod")) == 2

    await wait(done)
    released = await workloads.get("Pod", pod["metadata"]["name"])
    assert "ownerReferences" not in released["metadata"]


async def test_an_idle_cluster_writes_nothing(workloads: Workloads) -> None:
    await workloads.create("Deployment", "web", workload(replicas=2))
    await workloads.until("Deployment", "web", available(2))
    await asyncio.sleep(0.3)
    before = (await workloads.client.get(workloads.url("Deployment")))["metadata"]["resourceVersion"]
    await asyncio.sleep(0.5)
    after = (await workloads.client.get(workloads.url("Deployment")))["metadata"]["resourceVersion"]
    assert before == after
