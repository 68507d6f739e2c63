"""StatefulSets, DaemonSets, Jobs, CronJobs, budgets, autoscalers and garbage collection, in a whole cluster."""

from __future__ import annotations

import datetime as dt

import pytest

from azsandbox.controllers import horizontal_autoscaler
from azsandbox.controllers.client import path
from tests.azsandbox.controllers.conftest import Workloads, pod_template, wait, workload


async def test_a_statefulset_makes_its_pods_in_order(workloads: Workloads) -> None:
    await workloads.create("StatefulSet", "db", workload("db", serviceName="db", replicas=3))
    found = await workloads.until("StatefulSet", "db", lambda s: (s.get("status") or {}).get("readyReplicas") == 3)
    assert found["status"]["currentRevision"] == found["status"]["updateRevision"]
    pods = sorted(await workloads.list("Pod"), key=lambda p: int(p["metadata"]["resourceVersion"]))
    assert sorted(p["metadata"]["name"] for p in pods) == ["db-0", "db-1", "db-2"]
    assert {p["metadata"]["labels"]["apps.kubernetes.io/pod-index"] for p in pods} == {"0", "1", "2"}
    created = await workloads.messages("db", "SuccessfulCreate")
    assert created == [f"Create Pod db-{n} in StatefulSet db successful" for n in range(3)]


async def test_a_statefulset_rolls_down_to_its_partition(workloads: Workloads) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    await workloads.create("StatefulSet", "db", workload("db", serviceName="db", replicas=2, updateStrategy=strategy))
    await workloads.until("StatefulSet", "db", lambda s: (s.get("status") or {}).get("readyReplicas") == 2)
    containers = [{"name": "app", "image": "nginx:1.28"}]
    await workloads.patch("StatefulSet", "db", {"spec": {"template": {"spec": {"containers": containers}}}})
    await workloads.until(
        "StatefulSet", "db", lambda s: s["status"].get("updatedReplicas") == 1 and s["status"]["readyReplicas"] == 2
    )
    images = {p["metadata"]["name"]: p["spec"]["containers"][0]["image"] for p in await workloads.list("Pod")}
    assert images == {"db-0": "nginx:1.27", "db-1": "nginx:1.28"}


async def test_a_daemonset_has_a_pod_on_every_node_that_suits(workloads: Workloads) -> None:
    await workloads.create("DaemonSet", "agent", workload("agent"))
    await workloads.until("DaemonSet", "agent", lambda d: (d.get("status") or {}).get("numberAvailable") == 2)
    pods = await workloads.list("Pod")
    assert len({p["spec"]["nodeName"] for p in pods}) == 2
    node = pods[0]["spec"]["nodeName"]
    change = {"spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/hostname": node}}}}}
    await workloads.patch("DaemonSet", "agent", change)
    await workloads.until(
        "DaemonSet",
        "agent",
        lambda d: d["status"]["desiredNumberScheduled"] == 1 and d["status"].get("updatedNumberScheduled") == 1,
    )
    assert [p["spec"]["nodeName"] for p in await workloads.list("Pod")] == [node]


async def test_a_job_counts_its_pods_and_lets_them_go(workloads: Workloads) -> None:
    spec = {"completions": 3, "parallelism": 2, "completionMode": "Indexed"}
    await workloads.create("Job", "load", {**spec, "template": pod_template(restartPolicy="Never")})
    found = await workloads.until("Job", "load", lambda j: "completionTime" in (j.get("status") or {}))
    status = found["status"]
    assert (status["succeeded"], status["completedIndexes"]) == (3, "0-2")
    assert status["uncountedTerminatedPods"] == {}
    assert [c["type"] for c in status["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert all("finalizers" not in p["metadata"] for p in await workloads.list("Pod"))


async def test_a_job_fails_at_its_backoff_limit(workloads: Workloads) -> None:
    template = pod_template(restartPolicy="Never", nodeSelector={"absent": "true"})
    await workloads.create("Job", "load", {"backoffLimit": 0, "template": template})

    async def made() -> list:
        return await workloads.list("Pod")

    (pod,) = await wait(made)
    await workloads.patch("Pod", pod["metadata"]["name"], {"status": {"phase": "Failed"}}, "status")

    def failed(job: dict) -> bool:
        return any(c["type"] == "Failed" for c in (job.get("status") or {}).get("conditions") or ())

    found = await workloads.until("Job", "load", failed)
    assert {c["type"]: c["reason"] for c in found["status"]["conditions"]} == {
        "FailureTarget": "BackoffLimitExceeded",
        "Failed": "BackoffLimitExceeded",
    }
    assert found["status"]["failed"] == 1


async def test_an_ended_job_goes_when_its_time_is_over(workloads: Workloads) -> None:
    spec = {"ttlSecondsAfterFinished": 0, "template": pod_template(restartPolicy="Never")}
    await workloads.create("Job", "load", spec)
    await workloads.gone("Job", "load")


async def test_a_cron_job_starts_what_it_missed_once(workloads: Workloads) -> None:
    template = {"spec": {"template": pod_template(restartPolicy="Never")}}
    await workloads.create("CronJob", "nightly", {"schedule": "* * * * *", "suspend": True, "jobTemplate": template})
    past = (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    await workloads.patch("CronJob", "nightly", {"status": {"lastScheduleTime": past}}, "status")
    await workloads.patch("CronJob", "nightly", {"spec": {"suspend": False}})

    async def made() -> list:
        return await workloads.list("Job")

    (job,) = await wait(made)
    assert job["metadata"]["ownerReferences"][0]["name"] == "nightly"
    assert "batch.kubernetes.io/cronjob-scheduled-timestamp" in job["metadata"]["annotations"]
    await workloads.until("CronJob", "nightly", lambda c: "lastSuccessfulTime" in c["status"])


async def test_a_budget_says_what_may_go(workloads: Workloads) -> None:
    budget = {"minAvailable": "50%", "selector": {"matchLabels": {"app": "web"}}}
    await workloads.create("PodDisruptionBudget", "web", budget)
    await workloads.create("Deployment", "web", workload(replicas=4))
    found = await workloads.until(
        "PodDisruptionBudget", "web", lambda b: (b.get("status") or {}).get("disruptionsAllowed") == 2
    )
    status = found["status"]
    assert (status["currentHealthy"], status["desiredHealthy"], status["expectedPods"]) == (4, 2, 4)
    assert status["conditions"][0]["reason"] == "SufficientPods"


async def test_an_autoscaler_without_metrics_says_so(workloads: Workloads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(horizontal_autoscaler, "INTERVAL", 0.1)
    await workloads.create("Deployment", "web", workload(replicas=1))
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gone"}
    await workloads.create("HorizontalPodAutoscaler", "web", {"maxReplicas": 3, "scaleTargetRef": target})
    found = await workloads.until(
        "HorizontalPodAutoscaler", "web", lambda h: bool((h.get("status") or {}).get("conditions"))
    )
    (condition,) = found["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("AbleToScale", "False", "FailedGetScale")
    assert condition["message"].endswith('deployments.apps "gone" not found')


async def test_deleting_in_the_background_takes_the_dependents(workloads: Workloads) -> None:
    await workloads.create("Deployment", "web", workload(replicas=2))
    await workloads.until("Deployment", "web", lambda d: (d.get("status") or {}).get("readyReplicas") == 2)
    await workloads.client.delete(workloads.url("Deployment", "web"))

    async def none_left() -> bool:
        return not await workloads.list("Pod") and not await workloads.list("ReplicaSet")

    await wait(none_left)


async def test_deleting_in_the_foreground_takes_the_owner_last(workloads: Workloads) -> None:
    owner = await workloads.create("ConfigMap", "owner")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    blocking = {"ownerReferences": [{**reference, "blockOwnerDeletion": True}], "finalizers": ["example.com/hold"]}
    await workloads.create("ConfigMap", "child", metadata=blocking)
    await workloads.client.delete(workloads.url("ConfigMap", "owner"), {"propagationPolicy": "Foreground"})
    await workloads.until("ConfigMap", "child", lambda c: "deletionTimestamp" in c["metadata"])
    assert "foregroundDeletion" in (await workloads.get("ConfigMap", "owner"))["metadata"]["finalizers"]
    await workloads.patch("ConfigMap", "child", {"metadata": {"finalizers": None}})
    await workloads.gone("ConfigMap", "owner")


async def test_orphans_stay_without_their_owner(workloads: Workloads) -> None:
    await workloads.create("ReplicaSet", "web", workload(replicas=1))
    await workloads.until("ReplicaSet", "web", lambda s: (s.get("status") or {}).get("readyReplicas") == 1)
    await workloads.client.delete(workloads.url("ReplicaSet", "web"), {"propagationPolicy": "Orphan"})
    await workloads.gone("ReplicaSet", "web")
    (pod,) = await workloads.list("Pod")
    assert "ownerReferences" not in pod["metadata"]


async def test_an_owner_in_another_namespace_does_not_keep_an_object(workloads: Workloads) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}
    await workloads.client.create(path("v1", "namespaces"), namespace)
    owner = await workloads.create("ConfigMap", "owner")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    child = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "child", "ownerReferences": [reference]},
    }
    await workloads.client.create(path("v1", "configmaps", "other"), child)

    async def gone() -> bool:
        return await workloads.client.find(path("v1", "configmaps", "other", "child")) is None

    await wait(gone)

    async def told() -> list:
        events = await workloads.client.list(path("v1", "events", "other"))
        return [event for event in events if event["reason"] == "OwnerRefInvalidNamespace"]

    (event,) = await wait(told)
    assert event["message"].endswith('does not exist in namespace "other"')


async def test_what_is_deleted_is_given_back_to_the_quota(workloads: Workloads) -> None:
    await workloads.create("ResourceQuota", "q", {"hard": {"configmaps": "5", "count/deployments.apps": "2"}})
    used = (await workloads.until("ResourceQuota", "q", lambda q: "used" in (q.get("status") or {})))["status"]["used"]
    before = int(used["configmaps"])
    assert used["count/deployments.apps"] == "0"
    await workloads.create("ConfigMap", "a")
    await workloads.until("ResourceQuota", "q", lambda q: q["status"]["used"]["configmaps"] == str(before + 1))
    await workloads.client.delete(workloads.url("ConfigMap", "a"))
    await workloads.until("ResourceQuota", "q", lambda q: q["status"]["used"]["configmaps"] == str(before))


async def test_pods_of_a_node_that_is_gone_are_cleared_away(workloads: Workloads) -> None:
    await workloads.create("Pod", "alone", pod_template()["spec"])
    pod = await workloads.until("Pod", "alone", lambda p: p["status"]["phase"] == "Running")
    await workloads.client.delete(path("v1", "nodes", "", pod["spec"]["nodeName"]))
    await workloads.gone("Pod", "alone")
