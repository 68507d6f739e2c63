from __future__ import annotations

from typing import Any

from azsandbox.aks import add_ons, workloads
from azsandbox.aks.features import features
from azsandbox.controllers.client import KubeClient
from azsandbox.controllers.transports import InProcess
from azsandbox.kubernetes import bootstrap
from azsandbox.kubernetes.request import MASTER
from azsandbox.kubernetes.server import ApiServer
from azsandbox.store import Store

WORDS = {"version": "1.35.7", "dns": "10.0.0.10", "pods": "10.244.0.0/16"}


def names(on: set[str]) -> set[str]:
    found = workloads.manifests(on, WORDS)
    return {m["metadata"]["name"] for m in found if m["kind"] in ("Deployment", "DaemonSet")}


def stock(**network: str) -> dict:
    enabled = {"enabled": True}
    return {
        "networkProfile": {"networkPlugin": "azure", "networkPluginMode": "overlay", **network},
        "storageProfile": {"diskCSIDriver": enabled, "fileCSIDriver": enabled},
    }


def test_a_stock_cluster_runs_the_documented_components() -> None:
    assert names(features(stock())) == {
        "azure-cns", "azure-ip-masq-agent", "cloud-node-manager", "csi-azuredisk-node", "csi-azurefile-node",
        "kube-proxy", "coredns", "coredns-autoscaler", "konnectivity-agent", "konnectivity-agent-autoscaler",
        "metrics-server",
    }  # fmt: skip


def test_cilium_takes_the_place_of_kube_proxy() -> None:
    found = names(features(stock(networkDataplane="cilium", networkPolicy="cilium")))
    assert "cilium" in found
    assert "kube-proxy" not in found


def test_the_policy_add_on_brings_gatekeeper() -> None:
    found = names(features({**stock(), "addonProfiles": {"azurepolicy": {"enabled": True}}}))
    assert {"azure-policy", "gatekeeper-audit", "gatekeeper-controller"} <= found


def test_system_components_tolerate_the_system_pools_taint() -> None:
    for manifest in workloads.manifests(features(stock()), WORDS):
        if manifest["kind"] == "Deployment":
            keys = {t.get("key") for t in manifest["spec"]["template"]["spec"]["tolerations"]}
            assert "CriticalAddonsOnly" in keys


def test_one_storage_class_is_the_default() -> None:
    found = [m for m in workloads.storage({"disk-csi", "file-csi"}) if m["kind"] == "StorageClass"]
    marked = [m for m in found if "annotations" in m["metadata"]]
    assert len(found) == 9
    assert [m["metadata"]["name"] for m in marked] == ["default"]


async def test_what_is_there_already_is_not_created_again() -> None:
    """A look costs a tenth of a creation that is refused, and a cluster has seventy objects of the add-on manager."""
    server = ApiServer(Store(None).bucket("cluster"))
    bootstrap.fill(server)
    asked: list[str] = []

    class Noted(InProcess):
        async def send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Any:
            asked.append(method)
            return await super().send(method, url, headers, body)

    client = KubeClient(Noted(server, MASTER))
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "one", "namespace": "kube-system"}}
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": {"minAvailable": 1}}
    budget |= {"metadata": {"name": "one", "namespace": "kube-system"}}
    for manifest in (account, budget):
        await add_ons.apply(client, manifest)
    assert asked == ["GET", "POST", "GET", "POST"]
    asked.clear()
    for manifest in (account, {**budget, "spec": {"minAvailable": 2}}):
        await add_ons.apply(client, manifest)
    assert asked == ["GET", "GET", "PATCH"]
    assert (await client.get(add_ons.address(budget)))["spec"]["minAvailable"] == 2
