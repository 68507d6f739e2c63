from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from azsandbox.controllers.client import Object
from azsandbox.flux.kstatus import Status, completed_job, completed_pod, compute
from azsandbox.flux.object_refs import ObjectRef


def obj(api_version: str, kind: str, spec: dict[str, Any] | None = None, **status: Any) -> Object:
    metadata = {"name": "web", "namespace": "apps", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec or {}, "status": status}


def true(*kinds: str, reason: str = "") -> list[dict[str, str]]:
    return [{"type": kind, "status": "True", "reason": reason, "message": "so"} for kind in kinds]


def false(kind: str, reason: str = "") -> list[dict[str, str]]:
    return [{"type": kind, "status": "False", "reason": reason, "message": "no"}]


READY = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "readyReplicas": 1, "observedGeneration": 1}
PROGRESSED = [{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}, *true("Available")]


@pytest.mark.parametrize(
    ("given", "status", "message"),
    [
        (obj("v1", "ConfigMap"), "Current", "Resource is always ready"),
        (obj("v1", "Service", {"type": "LoadBalancer"}), "InProgress", "ClusterIP not set. Service type: LoadBalancer"),
        (obj("apps/v1", "Deployment", {"replicas": 1}), "InProgress", "Replicas: 0/1"),
        (
            obj("apps/v1", "Deployment", {"replicas": 1}, **READY, conditions=PROGRESSED),
            "Current",
            "Deployment is available. Replicas: 1",
        ),
        (
            obj("apps/v1", "Deployment", {"progressDeadlineSeconds": 600}, **READY, conditions=true("Available")),
            "InProgress",
            "ReplicaSet not Available",
        ),
        (
            obj("apps/v1", "Deployment", conditions=false("Progressing", "ProgressDeadlineExceeded")),
            "Failed",
            "Progress deadline exceeded",
        ),
        (
            obj("apps/v1", "Deployment", observedGeneration=0),
            "InProgress",
            "Deployment generation is 1, but latest observed generation is 0",
        ),
        (obj("apps/v1", "DaemonSet"), "InProgress", "DaemonSet status.observedGeneration not found"),
        (
            obj("apps/v1", "StatefulSet", {"updateStrategy": {"type": "OnDelete"}}),
            "Current",
            "StatefulSet is using the ondelete update strategy",
        ),
        (obj("v1", "PersistentVolumeClaim", phase="Pending"), "InProgress", "PVC is not Bound. phase: Pending"),
        (obj("v1", "Pod", phase="Failed"), "Current", "Pod has completed, but not successfully"),
        (
            obj("v1", "Pod", phase="Pending", conditions=false("PodScheduled", "Unschedulable")),
            "Failed",
            "Pod could not be scheduled",
        ),
        (
            obj(
                "v1",
                "Pod",
                phase="Running",
                containerStatuses=[{"name": "main", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
            ),
            "Failed",
            "Containers in CrashLoop state: main",
        ),
        (obj("batch/v1", "Job"), "InProgress", "Job not started"),
        (
            obj("batch/v1", "Job", startTime="2026-01-01T00:00:00Z", active=1),
            "Current",
            "Job in progress. success:0, active: 1, failed: 0",
        ),
        (obj("batch/v1", "Job", conditions=true("Failed"), failed=1), "Failed", "Job Failed. failed: 1/1"),
        (
            obj("apiextensions.k8s.io/v1", "CustomResourceDefinition", conditions=true("Established")),
            "Current",
            "CRD is established",
        ),
        (
            obj("apiextensions.k8s.io/v1", "CustomResourceDefinition", conditions=false("NamesAccepted")),
            "Failed",
            "no",
        ),
        (obj("example.com/v1", "Widget"), "Current", "Resource is current"),
        (obj("example.com/v1", "Widget", conditions=false("Ready")), "InProgress", "no"),
        (obj("example.com/v1", "Widget", conditions=true("Ready")), "Current", "Resource is Ready"),
        (obj("example.com/v1", "Widget", conditions=true("Reconciling")), "InProgress", "so"),
        (obj("example.com/v1", "Widget", conditions=true("Stalled")), "Failed", "so"),
    ],
)
def test_a_status_is_what_kstatus_says(given: Object, status: str, message: str) -> None:
    assert (compute(given).status, compute(given).message) == (status, message)


def test_a_pod_has_a_quarter_of_a_minute_to_be_scheduled() -> None:
    pod = obj("v1", "Pod", phase="Pending", conditions=false("PodScheduled", "Unschedulable"))
    pod["metadata"]["creationTimestamp"] = dt.datetime.now(dt.UTC).isoformat()
    assert compute(pod).status == Status.IN_PROGRESS


def test_an_object_that_is_being_deleted_is_terminating() -> None:
    given = obj("v1", "ConfigMap")
    given["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert compute(given).status == Status.TERMINATING


def test_a_hook_has_succeeded_once_its_job_or_pod_has_completed() -> None:
    running = obj("batch/v1", "Job", startTime="2026-01-01T00:00:00Z", active=1)
    assert completed_job(running).status == Status.IN_PROGRESS
    assert completed_job(obj("batch/v1", "Job", {"suspend": True})).status == Status.CURRENT
    assert completed_job(obj("batch/v1", "Job", conditions=true("Complete"))).status == Status.CURRENT
    assert completed_job(obj("batch/v1", "Job", conditions=true("Failed"))).status == Status.FAILED
    assert completed_job(obj("batch/v1", "Job")).message == "Job not started. active: 0/1"
    assert completed_pod(obj("v1", "Pod", phase="Running")).status == Status.IN_PROGRESS
    assert completed_pod(obj("v1", "Pod", phase="Failed")).message == "pod web failed"


def test_a_reference_is_an_id_of_an_inventory_and_back() -> None:
    for ref in (
        ObjectRef("apps", "Deployment", "apps", "web"),
        ObjectRef("", "Namespace", "", "apps"),
        ObjectRef("rbac.authorization.k8s.io", "ClusterRole", "", "system:web"),
    ):
        assert ObjectRef.parse(ref.id) == ref
    assert ObjectRef("rbac.authorization.k8s.io", "ClusterRole", "", "a:b").id == (
        "_a__b_rbac.authorization.k8s.io_ClusterRole"
    )
    assert str(ObjectRef("", "Namespace", "", "apps")) == "Namespace/apps"
    with pytest.raises(ValueError, match="unable to parse stored object metadata: web"):
        ObjectRef.parse("web")
