"""Managed clusters by Azure's own SDK, against a running sandbox."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential
from azure.mgmt.containerservice import ContainerServiceClient

from tests.azsandbox.processes import Sandbox, running

GROUP, TAINT = "rg-aks", "CriticalAddonsOnly=true:NoSchedule"


class Azure:
    """The SDK's client, and the Kubernetes API of clusters by their administrator's certificate."""

    def __init__(self, sandbox: Sandbox) -> None:
        env = self.env = sandbox.env()
        os.environ.update(IDENTITY_ENDPOINT=env["identity_endpoint"], IDENTITY_HEADER=env["identity_header"])
        self.client = ContainerServiceClient(
            ManagedIdentityCredential(), env["subscription_id"], base_url=env["arm_endpoint"],
            connection_verify=env["ca"], polling_interval=1,
        )  # fmt: skip
        url = f"{env['arm_endpoint']}/subscriptions/{env['subscription_id']}/resourceGroups/{GROUP}"
        headers = {"Authorization": f"Bearer {sandbox.token()}"}
        httpx.put(f"{url}?api-version=2025-04-01", json={"location": "westeurope"}, headers=headers, verify=env["ca"])

    def create(self, name: str, *, wait: bool = True, taints: tuple[str, ...] = (), **more: Any) -> Any:
        pool = {
            "name": "system",
            "mode": "System",
            "count": 1,
            "vmSize": "Standard_D4ds_v5",
            "nodeTaints": list(taints),
        }
        body = {
            "location": "westeurope",
            "identity": {"type": "SystemAssigned"},
            "properties": {"dnsPrefix": name, "agentPoolProfiles": [pool | more.pop("pool", {})], **more},
        }
        poller = self.client.managed_clusters.begin_create_or_update(GROUP, name, body)
        return poller.result() if wait else poller

    def pool(self, cluster: str, name: str, **properties: Any) -> Any:
        body = {"properties": {"mode": "User", "count": 1, "vmSize": "Standard_D4ds_v5", **properties}}
        return self.client.agent_pools.begin_create_or_update(GROUP, cluster, name, body).result()

    def kubernetes(self, cluster: str) -> httpx.Client:
        found = self.client.managed_clusters.list_cluster_admin_credentials(GROUP, cluster).kubeconfigs[0].value
        config = yaml.safe_load(bytes(found))
        token = config["users"][0]["user"]["token"]
        server = config["clusters"][0]["cluster"]["server"]
        return httpx.Client(base_url=server, headers={"Authorization": f"Bearer {token}"}, verify=False)


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    with running(tmp_path_factory.mktemp("sandbox") / "home") as sandbox:
        yield Azure(sandbox)


def until(check: Any, seconds: float = 20.0) -> Any:
    end = time.monotonic() + seconds
    while True:
        found = check()
        if found or time.monotonic() > end:
            return found
        time.sleep(0.2)


def deployment(name: str, replicas: int, cpu: str) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": "c", "image": "mcr.microsoft.com/x:1", "resources": {"requests": {"cpu": cpu}}}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def pods(kube: httpx.Client, name: str) -> list[dict[str, Any]]:
    return kube.get("/api/v1/namespaces/default/pods", params={"labelSelector": f"app={name}"}).json()["items"]


def test_a_tainted_system_pool_repels_application_pods(azure: Azure) -> None:
    azure.create("taint", taints=(TAINT,))
    kube = azure.kubernetes("taint")
    kube.post("/apis/apps/v1/namespaces/default/deployments", json=deployment("web", 1, "1"))

    def message() -> str:
        conditions = [c for p in pods(kube, "web") for c in p["status"].get("conditions") or []]
        return next((c["message"] for c in conditions if c.get("reason") == "Unschedulable"), "")

    assert "had untolerated taint" in until(message)
    azure.pool("taint", "user1")
    assert until(lambda: [p for p in pods(kube, "web") if p["status"]["phase"] == "Running"])


def test_an_upgrade_keeps_within_disruption_budgets(azure: Azure) -> None:
    azure.create("surge")
    settings = {"maxSurge": "1", "drainTimeoutInMinutes": 5}
    azure.pool("surge", "user1", orchestratorVersion="1.34.8", upgradeSettings=settings, nodeLabels={"for": "app"})
    kube = azure.kubernetes("surge")
    body = deployment("kept", 1, "1")
    body["spec"]["template"]["spec"]["nodeSelector"] = {"for": "app"}
    kube.post("/apis/apps/v1/namespaces/default/deployments", json=body)
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "kept"}}}
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "kept"}, "spec": spec}
    kube.post("/apis/policy/v1/namespaces/default/poddisruptionbudgets", json=budget)
    assert until(lambda: [p for p in pods(kube, "kept") if p["status"]["phase"] == "Running"])
    change = {"orchestratorVersion": "1.35.7", "upgradeSettings": settings, "nodeLabels": {"for": "app"}}
    with pytest.raises(HttpResponseError, match="Pod Disruption Budget"):
        azure.pool("surge", "user1", **change)
    kube.delete("/apis/policy/v1/namespaces/default/poddisruptionbudgets/kept")
    assert azure.pool("surge", "user1", **change).properties.provisioning_state == "Succeeded"
    nodes = kube.get("/api/v1/nodes", params={"labelSelector": "agentpool=user1"}).json()["items"]
    assert [n["status"]["nodeInfo"]["kubeletVersion"] for n in nodes] == ["v1.35.7"]


def test_a_stopped_cluster_comes_back_with_its_nodes(azure: Azure) -> None:
    azure.create("pause")
    clusters = azure.client.managed_clusters
    clusters.begin_stop(GROUP, "pause").result()
    assert clusters.get(GROUP, "pause").properties.power_state.code == "Stopped"
    with pytest.raises(HttpResponseError, match="Stopped"):
        clusters.list_cluster_admin_credentials(GROUP, "pause")
    clusters.begin_start(GROUP, "pause").result()
    assert len(azure.kubernetes("pause").get("/api/v1/nodes").json()["items"]) == 1


def test_the_autoscaler_adds_nodes_and_takes_idle_ones_away(azure: Azure) -> None:
    azure.create("grow", pool={"enableAutoScaling": True, "minCount": 1, "maxCount": 3})
    kube = azure.kubernetes("grow")

    def nodes() -> int:
        return len(kube.get("/api/v1/nodes").json()["items"])

    kube.post("/apis/apps/v1/namespaces/default/deployments", json=deployment("big", 3, "2"))
    assert until(lambda: nodes() == 3)
    assert until(lambda: sum(p["status"]["phase"] == "Running" for p in pods(kube, "big")) == 3)
    events = kube.get("/api/v1/namespaces/default/events").json()["items"]
    assert "TriggeredScaleUp" in {e["reason"] for e in events}
    kube.post("/apis/apps/v1/namespaces/default/deployments", json=deployment("small", 6, "100m"))
    assert until(lambda: sum(p["status"]["phase"] == "Running" for p in pods(kube, "small")) == 6)
    assert len({p["spec"]["nodeName"] for p in pods(kube, "small")}) > 1
    kube.delete("/apis/apps/v1/namespaces/default/deployments/big")
    azure.client.managed_clusters.begin_stop(GROUP, "grow").result()
    azure.client.managed_clusters.begin_start(GROUP, "grow").result()  # it follows the cluster anew
    # those that can run elsewhere are evicted: it was an error, and the node stayed, tainted more with every scan
    assert until(lambda: nodes() == 1, 40)
    assert until(lambda: sum(p["status"]["phase"] == "Running" for p in pods(kube, "small")) == 6)
    assert "deleting pod for node scale down" in {
        e["message"] for e in kube.get("/api/v1/namespaces/default/events").json()["items"]
    }


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"pool": {"vmSize": "Standard_X99"}}, "BadRequest"),
        ({"pool": {"count": 90}}, "ErrCode_InsufficientVCPUQuota"),
        ({"pool": {"name": "Not-Valid"}}, "InvalidParameter"),
        ({"kubernetesVersion": "1.26.3"}, "K8sVersionNotSupported"),
        ({"pool": {"osDiskType": "Ephemeral", "osDiskSizeGB": 900}}, "VMTemporaryDiskTooSmall"),
        ({"networkProfile": {"dnsServiceIP": "10.9.0.10"}}, "InvalidParameter"),
        ({"serviceMeshProfile": {"mode": "Istio"}}, "NotSupportedInSandbox"),
        ({"pool": {"osType": "Windows"}}, "NotSupportedInSandbox"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(azure: Azure, change: dict[str, Any], code: str) -> None:
    with pytest.raises(HttpResponseError) as refused:
        azure.create("bad", **change)
    assert refused.value.error.code == code
    assert "bad" not in [c.name for c in azure.client.managed_clusters.list_by_resource_group(GROUP)]


def test_a_pools_vm_size_cannot_be_changed(azure: Azure) -> None:
    azure.create("fixed")
    with pytest.raises(HttpResponseError) as refused:
        azure.pool("fixed", "system", mode="System", vmSize="Standard_D8ds_v5")
    assert refused.value.error.code == "PropertyChangeNotAllowed"


def test_a_create_goes_on_after_kill_9(tmp_path: Path) -> None:
    with running(tmp_path / "home") as sandbox:
        azure = Azure(sandbox)
        azure.create("crash", wait=False)
        os.kill(azure.env["pid"], signal.SIGKILL)
        time.sleep(0.3)
        sandbox.run("up")
        azure = Azure(sandbox)

        def state() -> bool:
            found = azure.client.managed_clusters.get(GROUP, "crash").properties
            return found.provisioning_state == "Succeeded"

        assert until(state)
        assert len(azure.kubernetes("crash").get("/api/v1/nodes").json()["items"]) == 1
