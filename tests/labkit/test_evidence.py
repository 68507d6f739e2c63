"""The collector reads what was asked for, once, in pages, and says why it could not read something."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.checks import catalogue, collector, evidence
from labkit.checks.collector import collect
from labkit.checks.core import Status, run
from labkit.errors import KubeconfigError, ReadError
from labkit.settings import Settings
from tests.labkit.healthy import NOW, SUBSCRIPTION, HealthyArm, HealthyKubernetes, HealthyLogs, cluster, raw_node


def gather(ids: tuple[str, ...], arm: HealthyArm | None, kubernetes: Any = HealthyKubernetes) -> evidence.Evidence:
    checks = catalogue.select(ids)
    return collect(
        catalogue.sources(checks),
        Settings(),
        subscription_id=SUBSCRIPTION,
        arm=arm,
        kubernetes=kubernetes,
        logs=HealthyLogs,
        now=NOW,
    )


def judge(check_id: str, seen: evidence.Evidence) -> Status:
    return run(catalogue.checks()[check_id], seen).status


def test_only_what_the_checks_look_at_is_read_and_each_thing_once() -> None:
    arm, kubernetes = HealthyArm(), HealthyKubernetes()
    gather(("cluster.sku-tier", "cluster.auto-upgrade", "cluster.maintenance-window"), arm, lambda: kubernetes)
    assert len(arm.asked) == 2
    assert len(set(arm.asked)) == 2
    assert kubernetes.asked == []


def test_all_checks_together_read_each_thing_once() -> None:
    arm, kubernetes = HealthyArm(), HealthyKubernetes()
    gather((), arm, lambda: kubernetes)
    assert len(arm.asked) == len(set(arm.asked))
    assert len(kubernetes.asked) == len(set(kubernetes.asked))


def test_every_page_is_read() -> None:
    seen = gather(("cluster.nodes-ready", "cluster.maintenance-window"), HealthyArm())
    assert len(seen.read("nodes")) == 6
    assert len(seen.read("maintenance")) == 2


def test_of_each_object_only_what_a_check_looks_at_is_kept() -> None:
    kubernetes = HealthyKubernetes()
    kubernetes.answers["/api/v1/nodes"][0]["status"]["images"] = [{"names": ["x" * 10_000]}]
    seen = gather(("cluster.nodes-ready",), HealthyArm(), lambda: kubernetes)
    assert "x" * 100 not in str(seen.read("nodes"))


def test_a_list_beyond_the_limit_is_not_judged_by_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "LIMIT", 5)
    seen = gather(("cluster.nodes-ready",), HealthyArm())
    assert judge("cluster.nodes-ready", seen) is Status.UNKNOWN


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_read_makes_a_check_unknown_and_never_failed(status: int) -> None:
    arm = HealthyArm()
    for path in list(arm.answers):
        arm.answers[path] = ReadError("GET: AuthorizationFailed: no", status, "AuthorizationFailed")
    seen = gather((), arm)
    for check in catalogue.select():
        if check.reads == ("repository",):  # the learner's own disk refuses nothing
            continue
        result = run(check, seen)
        assert result.status is Status.UNKNOWN, check.id
        assert "may not read" in result.reason
        # What would mend the fault is no answer to a read that was refused.
        assert "ask for the role Reader" in result.next_command
        assert result.hints == ()


def test_a_refused_read_of_kubernetes_leaves_what_azure_says() -> None:
    kubernetes = HealthyKubernetes()
    for path in kubernetes.answers:
        kubernetes.answers[path] = ReadError("GET: 403 Forbidden", 403, "Forbidden")
    kubernetes.kinds = ReadError("GET: 403 Forbidden", 403, "Forbidden")
    seen = gather((), HealthyArm(), lambda: kubernetes)
    unknown = ("cluster.nodes-ready", "cluster.system-workloads", "cluster.system-pool-vm-size")
    constrained = ("policy-privileged", "policy-compliance", "cluster-admin-bindings", "policy-addon")
    for check_id in (*unknown, *(f"governance.{name}" for name in constrained)):
        assert judge(check_id, seen) is Status.UNKNOWN
    confirmed = ("cluster.system-pool-taint", "cluster.network-policy", "cluster.zones", "cluster.node-os")
    monitored = ("container-insights", "managed-prometheus", "defender-sensor", "policy-excluded-namespaces")
    for check_id in (*confirmed, *(f"governance.{name}" for name in monitored)):
        assert judge(check_id, seen) is Status.PASS


def test_without_a_kubeconfig_kubernetes_is_unknown() -> None:
    def nobody() -> HealthyKubernetes:
        raise KubeconfigError("you may not fetch one")

    assert judge("cluster.nodes-ready", gather(("cluster.nodes-ready",), HealthyArm(), nobody)) is Status.UNKNOWN


def test_a_cluster_that_is_not_there_fails_one_check_and_skips_the_others() -> None:
    arm = HealthyArm()
    del arm.answers[cluster()["id"].lower().replace("resourcegroups", "resourcegroups")]
    seen = gather((), arm)
    found = {check.id: run(check, seen).status for check in catalogue.select()}
    assert found.pop("cluster.provisioning-state") is Status.FAIL
    # The network comes before the cluster, and can be looked at by itself.
    assert found.pop("cluster.vnet") is Status.PASS
    assert found.pop("cluster.aci-subnet") is Status.PASS
    # So do workspaces, the registry and what the subscription pays for.
    for name in ("log-workspace", "acr-admin-user", "acr-anonymous-pull", "acr-network", "defender-plan"):
        assert found.pop(f"governance.{name}") is Status.PASS
    assert found.pop("identity.keyvault-access") is Status.PASS  # and the vault
    assert set(found.values()) == {Status.SKIP}


def test_a_stopped_cluster_skips_what_needs_its_api() -> None:
    arm, kubernetes = HealthyArm(), HealthyKubernetes()
    arm.answers[cluster()["id"].lower()]["properties"]["powerState"]["code"] = "Stopped"
    seen = gather((), arm, lambda: kubernetes)
    assert kubernetes.asked == []
    assert judge("cluster.nodes-ready", seen) is Status.SKIP
    assert judge("cluster.provisioning-state", seen) is Status.FAIL


def test_a_target_without_azure_judges_by_kubernetes_alone() -> None:
    seen = gather((), None)
    assert judge("cluster.nodes-ready", seen) is Status.PASS
    assert judge("cluster.sku-tier", seen) is Status.UNKNOWN


def test_virtual_nodes_are_no_machines() -> None:
    kubernetes = HealthyKubernetes()
    virtual = raw_node("virtual-node-aci-linux", "", "", 0)
    virtual["status"]["conditions"] = []
    virtual["status"]["nodeInfo"]["containerRuntimeVersion"] = ""
    kubernetes.answers["/api/v1/nodes"].append(virtual)
    seen = gather((), HealthyArm(), lambda: kubernetes)
    assert judge("cluster.nodes-ready", seen) is Status.PASS
    assert judge("cluster.node-os", seen) is Status.PASS


def test_nobody_signed_in_is_no_refusal() -> None:
    arm = HealthyArm()
    for path in list(arm.answers):
        arm.answers[path] = ReadError("no credential worked", 401, "Unauthenticated", "az login")
    result = run(catalogue.checks()["cluster.sku-tier"], gather(("cluster.sku-tier",), arm))
    assert result.status is Status.UNKNOWN
    assert "may not" not in result.reason
    assert result.next_command == "az login"
