"""Which features a cluster has on, by the names that the workloads' data uses."""

from __future__ import annotations

from typing import Any


def _on(document: dict[str, Any], *path: str) -> bool:
    found: Any = document
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found is True


def features(properties: dict[str, Any], *, extensions: bool = False) -> set[str]:
    """Names of the features that the properties of a cluster switch on."""
    network = properties.get("networkProfile") or {}
    addons = {k.lower(): v for k, v in (properties.get("addonProfiles") or {}).items() if (v or {}).get("enabled")}
    cilium = network.get("networkDataplane") == "cilium"
    pools = properties.get("agentPoolProfiles") or []
    azure = network.get("networkPlugin") == "azure"
    found = {
        "azure-cni": azure,
        "node-subnet": azure
        and network.get("networkPluginMode") != "overlay"
        and not any(p.get("podSubnetID") for p in pools),
        "cilium": cilium,
        "calico": network.get("networkPolicy") == "calico",
        "azure-policy-engine": network.get("networkPolicy") == "azure" and not cilium,
        "vnet-integration": _on(properties, "apiServerAccessProfile", "enableVnetIntegration"),
        "disk-csi": _on(properties, "storageProfile", "diskCSIDriver", "enabled"),
        "file-csi": _on(properties, "storageProfile", "fileCSIDriver", "enabled"),
        "workload-identity": _on(properties, "securityProfile", "workloadIdentity", "enabled"),
        "image-cleaner": _on(properties, "securityProfile", "imageCleaner", "enabled"),
        "defender": _on(properties, "securityProfile", "defender", "securityMonitoring", "enabled"),
        "keda": _on(properties, "workloadAutoScalerProfile", "keda", "enabled"),
        "vpa": _on(properties, "workloadAutoScalerProfile", "verticalPodAutoscaler", "enabled"),
        "prometheus": _on(properties, "azureMonitorProfile", "metrics", "enabled"),
        "app-routing": _on(properties, "ingressProfile", "webAppRouting", "enabled"),
        "azurepolicy": "azurepolicy" in addons,
        "container-insights": "omsagent" in addons,
        "keyvault-provider": "azurekeyvaultsecretsprovider" in addons,
        "virtual-nodes": "aciconnectorlinux" in addons,
        "extensions": extensions or "extensionmanager" in addons,
    }
    return {name for name, on in found.items() if on}
