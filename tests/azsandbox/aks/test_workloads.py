from __future__ import annotations

from azsandbox.aks import workloads
from azsandbox.aks.features import features

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
