"""What is read of the applications: nothing of the platform, a page at a time, and little of each object."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from labkit.checks import catalogue
from labkit.checks.collector import collect
from labkit.checks.core import Status, run
from labkit.checks.evidence import Evidence
from labkit.checks.workload import is_application, owner_of, selects, templates
from labkit.checks.workload_pods import full_name
from labkit.errors import ReadError
from labkit.settings import Settings
from tests.labkit import healthy_workload
from tests.labkit.healthy import NOW, SUBSCRIPTION, HealthyArm, HealthyKubernetes, HealthyLogs


def gather(*ids: str, kubernetes: Any = None, settings: Settings | None = None) -> Evidence:
    api = kubernetes or HealthyKubernetes()
    return collect(
        catalogue.sources(catalogue.select(ids)),
        settings or Settings(),
        subscription_id=SUBSCRIPTION,
        arm=HealthyArm(),
        kubernetes=lambda: api,
        logs=HealthyLogs,
        now=NOW,
    )


@pytest.mark.parametrize(
    ("namespace", "application"),
    [
        ("default", True),
        ("staging", True),
        ("kubeflow", True),
        ("kube-system", False),
        ("kube-node-lease", False),
        ("aks-istio-system", False),
        ("app-routing-system", False),
        ("tigera-operator", False),
        ("flux-system", False),
        ("azure-arc", False),
    ],
)
def test_the_platforms_namespaces_are_left_out(namespace: str, application: bool) -> None:
    assert is_application(namespace) is application


def test_what_the_settings_call_platform_is_left_out() -> None:
    settings = Settings()
    settings.platform_namespaces = ["staging", "production", "kured", "infrastructure"]
    seen = gather("workload", settings=settings)
    assert seen.read("pods") == []
    assert run(catalogue.checks()["workload.pods-healthy"], seen).status is Status.SKIP


def test_nothing_of_the_platform_is_kept() -> None:
    seen = gather("workload")
    for name in ("pods", "templates", "services", "network-policies"):
        assert {item["namespace"] for item in seen.read(name)} <= {"staging", "production"}, name
    assert [item["name"] for item in seen.read("namespaces")] == ["staging", "production", "default"]


def test_of_an_object_only_what_a_check_looks_at_is_kept() -> None:
    seen = gather("workload")
    for name in ("pods", "templates"):
        assert "LONG" not in str(seen.read(name))
        assert "kube-api-access" not in str(seen.read(name))


def test_pods_that_are_made_alike_share_one_specification() -> None:
    pods = gather("workload").read("pods")
    assert len({id(pod["spec"]) for pod in pods}) == 1


def test_a_mistake_of_a_template_is_told_once() -> None:
    kubernetes = HealthyKubernetes()
    for item in kubernetes.answers["/apis/apps/v1/deployments"][:1]:
        item["spec"]["template"]["spec"]["containers"][0]["image"] = "acraksbaseline.azurecr.io/hello:latest"
    for item in kubernetes.answers["/api/v1/pods"]:
        if item["metadata"]["namespace"] == "staging":
            item["spec"]["containers"][0]["image"] = "acraksbaseline.azurecr.io/hello:latest"
    result = run(catalogue.checks()["workload.image-tag"], gather("workload", kubernetes=kubernetes))
    assert [finding.object_id for finding in result.findings] == ["Deployment/staging/hello"]


def test_a_pod_belongs_to_the_deployment_behind_its_replica_set() -> None:
    pod = {"namespace": "a", "name": "web-5d7-x", "labels": {"pod-template-hash": "5d7"}}
    assert owner_of({**pod, "owner": {"kind": "ReplicaSet", "name": "web-5d7"}}) == ("Deployment", "a", "web")
    assert owner_of({**pod, "labels": {}, "owner": {"kind": "ReplicaSet", "name": "web-5d7"}}) == (
        "ReplicaSet",
        "a",
        "web-5d7",
    )
    assert owner_of({**pod, "owner": None}) == ("Pod", "a", "web-5d7-x")


def test_a_job_is_told_of_as_the_cron_job_that_made_it() -> None:
    found = {(item.kind, item.name) for item in templates(gather("workload"))}
    assert found == {("Deployment", "hello"), ("CronJob", "clean")}


def test_a_selector_that_is_empty_matches_all_and_one_that_is_absent_nothing() -> None:
    assert selects({}, {"a": "b"})
    assert not selects(None, {"a": "b"})
    assert selects({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["c"]}]}, {"a": "b"})
    assert selects({"matchExpressions": [{"key": "z", "operator": "NotIn", "values": ["c"]}]}, {"a": "b"})
    assert not selects({"matchExpressions": [{"key": "z", "operator": "Exists"}]}, {"a": "b"})


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1.29", "docker.io/library/nginx:1.29"),
        ("bitnami/nginx", "docker.io/bitnami/nginx"),
        ("index.docker.io/library/nginx", "docker.io/library/nginx"),
        ("localhost/nginx", "localhost/nginx"),
        ("registry:5000/nginx", "registry:5000/nginx"),
        ("mcr.microsoft.com/a/b:1", "mcr.microsoft.com/a/b:1"),
    ],
)
def test_a_short_name_is_read_as_the_runtime_reads_it(image: str, name: str) -> None:
    assert full_name(image) == name


def test_kinds_that_are_not_installed_are_not_missed() -> None:
    kubernetes = HealthyKubernetes()
    for path in ("/apis/cilium.io/v2/ciliumnetworkpolicies", "/apis/gateway.networking.k8s.io/v1/gateways"):
        kubernetes.answers[path] = ReadError(f"GET {path}: 404 NotFound", 404, "NotFound")
    seen = gather("workload", kubernetes=kubernetes)
    assert run(catalogue.checks()["workload.network-policy"], seen).status is Status.PASS
    assert run(catalogue.checks()["workload.ingress-tls"], seen).status is Status.PASS


def test_default_is_asked_for_its_labels_only_when_something_runs_there() -> None:
    kubernetes = HealthyKubernetes()
    check = catalogue.checks()["workload.pod-security-labels"]
    assert run(check, gather("workload", kubernetes=kubernetes)).status is Status.PASS
    kubernetes.answers["/apis/apps/v1/deployments"].append(healthy_workload.deployment("default"))
    result = run(check, gather("workload", kubernetes=kubernetes))
    assert (result.status, result.object_id) == (Status.FAIL, "Namespace/default")


def test_of_a_pod_without_a_node_the_schedulers_reason_is_told() -> None:
    kubernetes = HealthyKubernetes()
    said = "0/3 nodes are available: 3 Insufficient memory."
    pod = kubernetes.answers["/api/v1/pods"][0]
    pod["status"] = {
        "phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}],
    }
    result = run(catalogue.checks()["workload.pods-healthy"], gather("workload", kubernetes=kubernetes))
    assert result.reason == f"staging/hello-5d78c9869d-0 is Pending: {said}"


class Many(HealthyKubernetes):
    """A cluster of 5,000 pods, made a page at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.pages_read = 0

    def pages(self, path: str) -> Any:
        return self._many() if path == "/api/v1/pods" else super().pages(path)

    def _many(self) -> Iterator[list[dict[str, Any]]]:
        for page in range(10):
            self.pages_read += 1
            items = []
            for index in range(500):
                item = healthy_workload.pod("staging" if index % 2 else "kube-system", page * 500 + index)
                item["metadata"]["managedFields"] = [{"fieldsV1": "x" * 2_000}]
                items.append(item)
            yield items


def test_five_thousand_pods_are_read_in_pages_and_kept_small() -> None:
    kubernetes = Many()
    tracemalloc.start()
    try:
        seen = gather("workload", kubernetes=kubernetes)
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kubernetes.pages_read == 10
    assert len(seen.read("pods")) == 2_500
    assert kept < 12_000_000
    assert most < 30_000_000
    for check in catalogue.select(["workload"]):
        assert run(check, seen).status is Status.PASS, check.id


def test_one_policy_is_counted_as_one() -> None:
    found = run(catalogue.checks()["workload.network-policy"], gather("workload", kubernetes=HealthyKubernetes()))
    assert found.observed.startswith("staging: 1 policy, denied by default")
