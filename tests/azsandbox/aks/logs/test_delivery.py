"""What diagnostic settings of a cluster bring to a workspace."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from azsandbox.aks.logs import metrics
from azsandbox.host import Host
from tests.azsandbox.aks.logs.conftest import MAPS, Lab, config_map

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_who_did_what_arrives_while_a_setting_is_on_and_not_otherwise(lab: Lab) -> None:
    assert lab.cluster.server.audit is None
    assert await lab.request("POST", MAPS, config_map("before")) == 201
    await lab.listen("kube-audit-admin")
    assert await lab.request("POST", MAPS, config_map("during")) == 201
    row = await lab.arrived("AKSAuditAdmin", lambda r: r["ObjectRef"].get("name") == "during" and r["Verb"] == "create")
    assert (row["Level"], row["Stage"], row["UserAgent"]) == ("Metadata", "ResponseComplete", "kubectl/v1.35.4")
    assert row["User"] == {"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"]}
    assert row["SourceIps"] == ["127.0.0.1"]
    assert row["ObjectRef"] == {"resource": "configmaps", "namespace": "default", "name": "during", "apiVersion": "v1"}
    assert row["ResponseStatus"] == {"metadata": {}, "code": 201}
    assert row["Annotations"] == {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""}
    assert row["_ResourceId"] == lab.cluster_id.lower()
    assert "hidden" not in json.dumps(lab.rows("AKSAuditAdmin"))
    await lab.arm("DELETE", lab.setting, version="2021-05-01-preview")
    await asyncio.sleep(0.05)
    assert lab.cluster.server.audit is None
    await lab.request("POST", MAPS, config_map("after"))
    await asyncio.sleep(1.5)
    names = {r["ObjectRef"].get("name") for r in lab.rows("AKSAuditAdmin")}
    assert "during" in names
    assert names.isdisjoint({"before", "after"})


async def test_the_administrative_log_leaves_out_get_and_list(lab: Lab) -> None:
    await lab.listen("kube-audit", "kube-audit-admin")
    await lab.request("GET", f"{MAPS}?limit=7")
    await lab.request("POST", MAPS, config_map("one"))
    row = await lab.arrived("AKSAudit", lambda r: r["RequestUri"] == f"{MAPS}?limit=7")
    assert row["Verb"] == "list"
    await lab.arrived("AKSAuditAdmin", lambda r: r["ObjectRef"].get("name") == "one")
    assert {"get", "list"}.isdisjoint({r["Verb"] for r in lab.rows("AKSAuditAdmin")})


async def test_a_refusal_is_recorded_with_its_status_and_an_unknown_token_without_a_user(lab: Lab) -> None:
    await lab.listen("kube-audit-admin")
    denied = await lab.request("DELETE", f"{MAPS}/x", impersonate_user="eve")
    assert denied == 403
    assert await lab.request("DELETE", f"{MAPS}/y", token="a.b.c") == 401
    row = await lab.arrived("AKSAuditAdmin", lambda r: r["ResponseStatus"]["code"] == 403)
    assert row["User"]["username"] == "kubernetes-admin"
    assert row["ResponseStatus"]["reason"] == "Forbidden"
    assert 'User "eve" cannot delete resource "configmaps"' in row["ResponseStatus"]["message"]
    assert row["Annotations"]["authorization.k8s.io/decision"] == "forbid"
    unknown = await lab.arrived("AKSAuditAdmin", lambda r: r["ResponseStatus"]["code"] == 401)
    assert unknown["User"] == {}
    assert unknown["Stage"] == "ResponseStarted"
    assert unknown["ResponseStatus"]["message"] == "Authentication failed, attempted: bearer"


async def test_without_resource_tables_rows_are_in_azure_diagnostics_as_azure_writes_them(lab: Lab) -> None:
    await lab.listen("kube-audit-admin", dedicated=False)
    await lab.request("POST", MAPS, config_map("plain"))
    row = await lab.arrived("AzureDiagnostics", lambda r: '"name":"plain"' in r["log_s"])
    event = json.loads(row["log_s"])
    assert (event["kind"], event["apiVersion"], event["verb"]) == ("Event", "audit.k8s.io/v1", "create")
    assert (row["Category"], row["Resource"], row["ResourceType"]) == ("kube-audit-admin", "SHOP", "MANAGEDCLUSTERS")
    assert row["ResourceId"] == lab.cluster_id.upper()
    assert row["pod_s"].startswith("kube-apiserver-")
    assert not [r for r in lab.rows("AKSAuditAdmin") if r["ObjectRef"].get("name") == "plain"]


async def test_controllers_scheduler_and_api_server_tell_what_they_did(lab: Lab) -> None:
    await lab.listen("kube-controller-manager", "kube-scheduler", "kube-apiserver", "kube-audit-admin")
    container = {"name": "web", "image": "mcr.microsoft.com/azuredocs/aks-helloworld:v1"}
    spec = {"containers": [container], "tolerations": [{"operator": "Exists"}]}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": spec}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
    }
    assert await lab.request("POST", "/apis/apps/v1/namespaces/default/deployments", deployment) == 201
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}
    service["spec"] = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    assert await lab.request("POST", "/api/v1/namespaces/default/services", service) == 201
    row = await lab.arrived("AKSControlPlane", lambda r: 'reason="ScalingReplicaSet"' in r["Message"])
    assert row["Category"] == "kube-controller-manager"
    assert row["Level"] == "INFO"
    assert '] "Event occurred" logger="deployment-controller" object="default/web"' in row["Message"]
    bound = await lab.arrived("AKSControlPlane", lambda r: "Successfully bound pod to node" in r["Message"])
    assert bound["Category"] == "kube-scheduler"
    allocated = await lab.arrived("AKSControlPlane", lambda r: 'service="default/web"' in r["Message"])
    assert (allocated["Category"], '"allocated clusterIPs"' in allocated["Message"]) == ("kube-apiserver", True)
    made = await lab.arrived(
        "AKSAuditAdmin", lambda r: (r["ObjectRef"].get("resource"), r["Verb"]) == ("replicasets", "create")
    )
    assert made["User"]["username"] == "system:serviceaccount:kube-system:deployment-controller"


async def test_a_kubelet_is_named_by_its_node_also_when_it_ends_a_pod(lab: Lab) -> None:
    await lab.listen("kube-audit-admin")
    container = {"name": "web", "image": "mcr.microsoft.com/azuredocs/aks-helloworld:v1"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lone"}}
    pod["spec"] = {"containers": [container], "tolerations": [{"operator": "Exists"}]}
    path = "/api/v1/namespaces/default/pods"
    assert await lab.request("POST", path, pod) == 201
    stored = lab.cluster.server
    await lab.until(lambda: (stored.peek("pods", "default", "lone") or {})["status"].get("phase") == "Running")
    assert await lab.request("DELETE", f"{path}/lone") == 200
    await lab.until(lambda: stored.peek("pods", "default", "lone") is None)

    def ended(row: dict[str, Any]) -> bool:
        return (row["Verb"], row["ObjectRef"].get("name"), row["UserAgent"]) == ("delete", "lone", "kubelet")

    row = await lab.arrived("AKSAuditAdmin", ended)
    assert row["User"]["username"].startswith("system:node:aks-system-")


async def test_guard_tells_of_each_identity_of_entra_and_what_it_may(lab: Lab) -> None:
    from azsandbox.aks.access import SERVER_APP

    reader = next(p for p in lab.host.entra.personas() if p.key == "reader")
    token = lab.host.entra.issue(reader.object_id, SERVER_APP)
    await lab.listen("guard", "kube-audit-admin")
    assert await lab.request("DELETE", f"{MAPS}/x", token=token) == 403
    signed_in = await lab.arrived("AKSControlPlane", lambda r: "TokenReview" in r["Message"])
    assert signed_in["Category"] == "guard"
    assert reader.object_id in signed_in["Message"]
    asked = await lab.arrived("AKSControlPlane", lambda r: "Authorization check completed" in r["Message"])
    assert "allowed=false" in asked["Message"]
    row = await lab.arrived("AKSAuditAdmin", lambda r: "extra" in r["User"])
    assert (row["ResponseStatus"]["code"], row["User"]["extra"]["oid"]) == (403, [reader.object_id])
    assert token not in json.dumps(lab.rows("AKSControlPlane") + lab.rows("AKSAuditAdmin"))


async def test_metrics_arrive_with_the_units_that_azure_gives_them(lab: Lab) -> None:
    await lab.listen(metrics=True)
    row = await lab.arrived("AzureMetrics", lambda r: r["MetricName"] == "node_cpu_usage_millicores", 20)
    assert (row["UnitName"], row["TimeGrain"], row["Count"]) == ("MilliCores", "PT1M", 1.0)
    assert row["Minimum"] <= row["Average"] <= row["Maximum"]
    assert lab.cluster.server.audit is None


async def test_metrics_are_taken_as_soon_as_a_setting_wants_them(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "LEAST", 3600.0)
    for _ in range(2):  # the second time there is nothing left of a minute that began before
        await lab.listen()
        await asyncio.sleep(0.1)
        before = len(lab.rows("AzureMetrics"))
        await lab.listen(metrics=True)
        await lab.until(lambda: len(lab.rows("AzureMetrics")) > before, 10)  # noqa: B023 - asked at once


async def test_rows_survive_a_restart_and_listening_goes_on(lab: Lab) -> None:
    await lab.listen("kube-audit-admin")
    await lab.request("POST", MAPS, config_map("kept"))
    await lab.arrived("AKSAuditAdmin", lambda r: r["ObjectRef"].get("name") == "kept")
    await lab.host.stop()
    lab.host = Host(lab.host.home)
    await lab.host.start()
    assert any(r["ObjectRef"].get("name") == "kept" for r in lab.rows("AKSAuditAdmin"))
    await lab.until(lambda: bool(lab.host.clusters.running()))
    await lab.request("POST", MAPS, config_map("new"))
    await lab.arrived("AKSAuditAdmin", lambda r: r["ObjectRef"].get("name") == "new")
