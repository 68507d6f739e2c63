"""Faults, one a row: the check that must catch it, a name for it, the status it must give, and how to seed it.

A path is looked up below the source that it names; `pools[0]` is the first node pool. Every check has at least one row
that it must fail or warn on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labkit.checks.core import Status
from labkit.checks.evidence import Evidence, Problem
from tests.labkit.healthy import IMAGE, VNET, maintenance

Seed = Callable[[Evidence], None]
FAIL, WARN, SKIP, UNKNOWN, PASS = Status.FAIL, Status.WARN, Status.SKIP, Status.UNKNOWN, Status.PASS
GONE = object()


def put(source: str, path: str, value: Any) -> Seed:
    """Set what is at `path` below `source`, or take it away (GONE)."""

    def seed(evidence: Evidence) -> None:
        target = evidence.sources[source]
        *parents, last = path.split(".")
        for key in parents:
            target = target[int(key)] if isinstance(target, list) else target.setdefault(key, {})
        end: int | str = int(last) if isinstance(target, list) else last
        if value is GONE:
            del target[end]
        else:
            target[end] = value

    return seed


def cluster(path: str, value: Any) -> Seed:
    return put("cluster", f"properties.{path}", value)


def pool(index: int, path: str, value: Any) -> Seed:
    return cluster(f"agentPoolProfiles.{index}.{path}", value)


def node(index: int, path: str, value: Any) -> Seed:
    return put("nodes", f"{index}.{path}", value)


def network(path: str, value: Any) -> Seed:
    def seed(evidence: Evidence) -> None:
        # The id holds points, which put() would take for keys, so the one network gets a name of its own.
        evidence.sources["lab network"] = evidence.sources["networks"][VNET.lower()]
        put("lab network", f"properties.{path}", value)(evidence)

    return seed


def source(name: str, value: Any) -> Seed:
    """Replace a whole source; a Problem is one that could not be read."""
    return lambda evidence: evidence.sources.__setitem__(name, value)


def setting(name: str, value: Any) -> Seed:
    return lambda evidence: setattr(evidence.settings, name, value)


def profile_2021(evidence: Evidence) -> None:
    evidence.profile = "2021"


def both(*seeds: Seed) -> Seed:
    def seed(evidence: Evidence) -> None:
        for each in seeds:
            each(evidence)

    return seed


def drop_workload(name: str) -> Seed:
    def seed(evidence: Evidence) -> None:
        evidence.sources["workloads"] = [item for item in evidence.sources["workloads"] if item["name"] != name]

    return seed


def workload(name: str, **values: Any) -> Seed:
    def seed(evidence: Evidence) -> None:
        next(item for item in evidence.sources["workloads"] if item["name"] == name).update(values)

    return seed


NO_CLUSTER = Problem(Status.SKIP, "there is no cluster 'aks-baseline' in the group 'rg-aks-baseline'", "/x")
DENIED = Problem(Status.UNKNOWN, "you may not read it: 403 AuthorizationFailed")
POOLS = "agentPoolProfiles"
flat = cluster("networkProfile.networkPluginMode", GONE)

FAULTS: list[tuple[str, str, Status, Seed]] = [
    ("cluster.provisioning-state", "no cluster", FAIL, source("cluster", NO_CLUSTER)),
    ("cluster.provisioning-state", "read denied", UNKNOWN, source("cluster", DENIED)),
    ("cluster.provisioning-state", "creation failed", FAIL, cluster("provisioningState", "Failed")),
    ("cluster.provisioning-state", "stopped", FAIL, cluster("powerState.code", "Stopped")),
    ("cluster.provisioning-state", "pool failed", FAIL, pool(1, "provisioningState", "Failed")),
    ("cluster.provisioning-state", "pool upgrading", WARN, pool(1, "provisioningState", "Upgrading")),
    ("cluster.kubernetes-version", "not offered", FAIL, cluster("currentKubernetesVersion", "1.29.7")),
    ("cluster.kubernetes-version", "long-term only", FAIL, cluster("currentKubernetesVersion", "1.33.9")),
    ("cluster.kubernetes-version", "preview", FAIL, put("versions", "2.isPreview", True)),
    (
        "cluster.kubernetes-version",
        "ended, by the table",
        FAIL,
        both(source("versions", DENIED), cluster("currentKubernetesVersion", "1.33.9")),
    ),
    (
        "cluster.kubernetes-version",
        "ends soon, by the table",
        WARN,
        both(source("versions", DENIED), cluster("currentKubernetesVersion", "1.34.4")),
    ),
    (
        "cluster.kubernetes-version",
        "unknown to the table",
        UNKNOWN,
        both(source("versions", DENIED), cluster("currentKubernetesVersion", "1.52.0")),
    ),
    ("cluster.version-skew", "pool newer", FAIL, pool(1, "currentOrchestratorVersion", "1.36.1")),
    ("cluster.version-skew", "pool newer by a patch", FAIL, pool(1, "currentOrchestratorVersion", "1.35.5")),
    ("cluster.version-skew", "one behind", WARN, pool(1, "currentOrchestratorVersion", "1.34.4")),
    ("cluster.version-skew", "at the limit", WARN, pool(1, "currentOrchestratorVersion", "1.32.9")),
    ("cluster.version-skew", "four behind", FAIL, pool(1, "currentOrchestratorVersion", "1.31.9")),
    ("cluster.version-skew", "a node left behind", FAIL, node(4, "nodeInfo.kubeletVersion", "v1.30.1")),
    ("cluster.sku-tier", "free", FAIL, put("cluster", "sku.tier", "Free")),
    ("cluster.sku-tier", "2021's name", FAIL, put("cluster", "sku.tier", "Paid")),
    ("cluster.sku-tier", "long-term support without Premium", FAIL, cluster("supportPlan", "AKSLongTermSupport")),
    ("cluster.auto-upgrade", "absent", FAIL, cluster("autoUpgradeProfile.upgradeChannel", GONE)),
    ("cluster.auto-upgrade", "none", FAIL, cluster("autoUpgradeProfile.upgradeChannel", "none")),
    ("cluster.auto-upgrade", "node images only", WARN, cluster("autoUpgradeProfile.upgradeChannel", "node-image")),
    (
        "cluster.auto-upgrade",
        "by hand, as written down",
        WARN,
        both(cluster("autoUpgradeProfile.upgradeChannel", "none"), setting("manual_upgrade_process", True)),
    ),
    ("cluster.node-os-upgrade", "none", FAIL, cluster("autoUpgradeProfile.nodeOSUpgradeChannel", "None")),
    ("cluster.node-os-upgrade", "unmanaged", WARN, cluster("autoUpgradeProfile.nodeOSUpgradeChannel", "Unmanaged")),
    ("cluster.node-os-upgrade", "absent", UNKNOWN, cluster("autoUpgradeProfile.nodeOSUpgradeChannel", GONE)),
    ("cluster.maintenance-window", "none at all", FAIL, source("maintenance", [])),
    (
        "cluster.maintenance-window",
        "one missing",
        FAIL,
        source("maintenance", [maintenance("aksManagedAutoUpgradeSchedule")]),
    ),
    (
        "cluster.maintenance-window",
        "too short",
        FAIL,
        put("maintenance", "0.properties.maintenanceWindow.durationHours", 3),
    ),
    ("cluster.maintenance-window", "read denied", UNKNOWN, source("maintenance", DENIED)),
    ("cluster.managed-identity", "service principal", FAIL, cluster("servicePrincipalProfile.clientId", "1234")),
    ("cluster.managed-identity", "no identity", FAIL, put("cluster", "identity", GONE)),
    ("cluster.managed-identity", "no kubelet identity", FAIL, cluster("identityProfile", GONE)),
    ("cluster.managed-identity", "system-assigned", WARN, put("cluster", "identity.type", "SystemAssigned")),
    ("cluster.entra-id", "absent", FAIL, cluster("aadProfile", GONE)),
    ("cluster.entra-id", "legacy", FAIL, cluster("aadProfile.serverAppID", "1234")),
    ("cluster.entra-id", "not managed", FAIL, cluster("aadProfile.managed", False)),
    ("cluster.entra-id", "no tenant", FAIL, cluster("aadProfile.tenantID", "")),
    ("cluster.azure-rbac", "off", FAIL, cluster("aadProfile.enableAzureRBAC", False)),
    ("cluster.azure-rbac", "no RBAC at all", FAIL, cluster("enableRBAC", False)),
    ("cluster.azure-rbac", "absent", FAIL, cluster("aadProfile.enableAzureRBAC", GONE)),
    ("cluster.local-accounts", "on", FAIL, cluster("disableLocalAccounts", False)),
    ("cluster.local-accounts", "no Entra ID", SKIP, cluster("aadProfile", GONE)),
    ("cluster.api-server-exposure", "absent", FAIL, cluster("apiServerAccessProfile", GONE)),
    (
        "cluster.api-server-exposure",
        "everybody",
        FAIL,
        cluster("apiServerAccessProfile.authorizedIPRanges", ["203.0.113.7/32", "0.0.0.0/0"]),
    ),
    (
        "cluster.api-server-exposure",
        "private, but invoked",
        WARN,
        both(
            cluster("apiServerAccessProfile", {"enablePrivateCluster": True}), setting("command_invoke_allowed", False)
        ),
    ),
    ("cluster.vnet", "AKS's own network", WARN, pool(1, "vnetSubnetID", None)),
    ("cluster.vnet", "AKS's own network, 2021", FAIL, both(profile_2021, pool(1, "vnetSubnetID", None))),
    ("cluster.vnet", "another network", FAIL, pool(1, "vnetSubnetID", VNET + "-other/subnets/s")),
    ("cluster.vnet", "another range", FAIL, network("addressSpace.addressPrefixes", ["10.20.0.0/16"])),
    ("cluster.vnet", "too narrow", FAIL, network("subnets.0.properties.addressPrefix", "10.10.0.0/25")),
    (
        "cluster.vnet",
        "too narrow when flat",
        FAIL,
        both(flat, network("subnets.0.properties.addressPrefix", "10.10.0.0/23")),
    ),
    ("cluster.vnet", "no network yet", FAIL, both(source("cluster", NO_CLUSTER), source("networks", {}))),
    (
        "cluster.vnet",
        "no subnet yet",
        FAIL,
        both(source("cluster", NO_CLUSTER), network("subnets", [])),
    ),
    ("cluster.subnet-capacity", "full", FAIL, network("subnets.0.properties.addressPrefix", "10.10.0.0/28")),
    (
        "cluster.subnet-capacity",
        "nearly full",
        WARN,
        both(network("subnets.0.properties.addressPrefix", "10.10.0.0/27"), pool(1, "maxCount", 8)),
    ),
    ("cluster.subnet-capacity", "flat and full", FAIL, both(flat, pool(0, "maxPods", 250))),
    (
        "cluster.subnet-capacity",
        "pod range too small",
        FAIL,
        cluster("networkProfile.podCidr", "10.244.0.0/21"),
    ),
    (
        "cluster.subnet-capacity",
        "no subnet",
        SKIP,
        both(pool(0, "vnetSubnetID", None), pool(1, "vnetSubnetID", None)),
    ),
    ("cluster.cidr-overlap", "services in the network", FAIL, network("addressSpace.addressPrefixes", ["10.0.0.0/8"])),
    ("cluster.cidr-overlap", "pods on services", FAIL, cluster("networkProfile.podCidrs", ["10.0.128.0/17"])),
    ("cluster.cidr-overlap", "DNS outside", FAIL, cluster("networkProfile.dnsServiceIP", "10.1.0.10")),
    ("cluster.cidr-overlap", "DNS first", FAIL, cluster("networkProfile.dnsServiceIP", "10.0.0.1")),
    (
        "cluster.aci-subnet",
        "none, flat",
        FAIL,
        both(flat, network("subnets.1.properties.delegations", [])),
    ),
    ("cluster.aci-subnet", "none, overlay", SKIP, network("subnets.1.properties.delegations", [])),
    (
        "cluster.aci-subnet",
        "the cluster's own",
        FAIL,
        both(flat, pool(0, "vnetSubnetID", f"{VNET}/subnets/snet-aci")),
    ),
    ("cluster.network-plugin", "kubenet", FAIL, cluster("networkProfile.networkPlugin", "kubenet")),
    ("cluster.network-plugin", "own plug-in", SKIP, cluster("networkProfile.networkPlugin", "none")),
    ("cluster.network-plugin-mode", "node subnet", WARN, flat),
    (
        "cluster.network-plugin-mode",
        "one pool without a pod subnet",
        WARN,
        both(flat, pool(0, "podSubnetID", f"{VNET}/subnets/pods")),
    ),
    ("cluster.network-policy", "none", FAIL, cluster("networkProfile.networkPolicy", "none")),
    ("cluster.network-policy", "absent", FAIL, cluster("networkProfile.networkPolicy", GONE)),
    ("cluster.network-policy", "azure", FAIL, cluster("networkProfile.networkPolicy", "azure")),
    (
        "cluster.network-policy",
        "azure, DaemonSets unread",
        WARN,
        both(cluster("networkProfile.networkPolicy", "azure"), source("workloads", DENIED)),
    ),
    ("cluster.network-policy", "wrong for cilium", FAIL, cluster("networkProfile.networkDataplane", "cilium")),
    ("cluster.network-policy", "engine missing", FAIL, drop_workload("calico-node")),
    ("cluster.network-policy", "engine not everywhere", FAIL, workload("calico-node", ready=4)),
    (
        "cluster.network-policy",
        "cilium in 2021",
        FAIL,
        both(profile_2021, cluster("networkProfile.networkPolicy", "cilium")),
    ),
    (
        "cluster.retired-features",
        "HTTP routing, in another case",
        FAIL,
        cluster("addonProfiles", {"HTTPApplicationRouting": {"enabled": True}}),
    ),
    (
        "cluster.retired-features",
        "dashboard",
        FAIL,
        cluster("addonProfiles", {"kubeDashboard": {"enabled": True}}),
    ),
    ("cluster.retired-features", "pod security policy", FAIL, cluster("enablePodSecurityPolicy", True)),
    ("cluster.retired-features", "basic balancer", FAIL, cluster("networkProfile.loadBalancerSku", "basic")),
    ("cluster.retired-features", "availability set", FAIL, pool(0, "type", "AvailabilitySet")),
    (
        "cluster.retired-features",
        "service mesh",
        WARN,
        cluster("addonProfiles", {"openServiceMesh": {"enabled": True}}),
    ),
    ("cluster.system-pool-count", "two", WARN, pool(0, "minCount", 2)),
    ("cluster.system-pool-count", "one", FAIL, pool(0, "minCount", 1)),
    ("cluster.system-pool-taint", "none", FAIL, pool(0, "nodeTaints", None)),
    ("cluster.system-pool-taint", "another effect", FAIL, pool(0, "nodeTaints", ["CriticalAddonsOnly=true:NoExecute"])),
    ("cluster.system-pool-taint", "a node without", FAIL, node(1, "taints", [])),
    ("cluster.system-pool-taint", "hosted", SKIP, cluster("hostedSystemProfile", {"enabled": True})),
    ("cluster.system-pool-vm-size", "burstable", FAIL, pool(0, "vmSize", "Standard_B4ms")),
    ("cluster.system-pool-vm-size", "two cores", WARN, node(0, "capacity.cpu", "2")),
    ("cluster.system-pool-vm-size", "one core", FAIL, node(0, "capacity.cpu", "1")),
    ("cluster.system-pool-vm-size", "little memory", FAIL, node(0, "capacity.memory", "2048Mi")),
    ("cluster.system-pool-vm-size", "nodes denied", UNKNOWN, source("nodes", DENIED)),
    ("cluster.user-pool", "none", FAIL, pool(1, "mode", "System")),
    ("cluster.user-pool", "Spot only", FAIL, pool(1, "scaleSetPriority", "Spot")),
    ("cluster.user-pool", "Windows only", FAIL, pool(1, "osType", "Windows")),
    ("cluster.user-pool", "two nodes", WARN, pool(1, "count", 2)),
    ("cluster.user-pool", "empty", FAIL, pool(1, "count", 0)),
    ("cluster.autoscaling", "off", FAIL, pool(1, "enableAutoScaling", False)),
    ("cluster.autoscaling", "same bounds", FAIL, pool(1, "minCount", 4)),
    ("cluster.autoscaling", "out of bounds", FAIL, pool(1, "count", 5)),
    ("cluster.autoscaling", "3 to 5 in 2021", FAIL, profile_2021),
    ("cluster.max-surge", "default", WARN, pool(0, "upgradeSettings.maxSurge", "10%")),
    ("cluster.max-surge", "too many", WARN, pool(0, "upgradeSettings.maxSurge", "100%")),
    ("cluster.max-surge", "neither", FAIL, pool(0, "upgradeSettings", {})),
    (
        "cluster.max-surge",
        "nodes taken away instead",
        PASS,
        pool(0, "upgradeSettings", {"maxSurge": "0", "maxUnavailable": "1"}),
    ),
    ("cluster.max-surge", "50% in 2021", FAIL, both(profile_2021, pool(0, "upgradeSettings.maxSurge", "50%"))),
    ("cluster.zones", "absent", FAIL, pool(1, "availabilityZones", GONE)),
    ("cluster.zones", "one", FAIL, pool(1, "availabilityZones", ["1"])),
    ("cluster.zones", "two", WARN, pool(1, "availabilityZones", ["1", "2"])),
    (
        "cluster.zones",
        "region without",
        SKIP,
        both(
            put("sizes", "standard_d4ds_v5", {"zones": [], "capabilities": {}}),
            pool(0, "availabilityZones", GONE),
            pool(1, "availabilityZones", GONE),
        ),
    ),
    (
        "cluster.zones",
        "nodes in one zone",
        FAIL,
        both(
            node(
                4, "labels", {"kubernetes.azure.com/agentpool": "user1", "topology.kubernetes.io/zone": "westeurope-1"}
            ),
            node(5, "labels", {"kubernetes.azure.com/agentpool": "user1", "topology.kubernetes.io/zone": "0"}),
        ),
    ),
    ("cluster.ephemeral-os-disk", "managed", FAIL, pool(0, "osDiskType", "Managed")),
    (
        "cluster.ephemeral-os-disk",
        "no local disk",
        SKIP,
        both(
            pool(0, "osDiskType", "Managed"),
            pool(1, "osDiskType", "Managed"),
            put("sizes", "standard_d4ds_v5", {"zones": ["1"], "capabilities": {"EphemeralOSDiskSupported": "False"}}),
        ),
    ),
    ("cluster.host-encryption", "off", FAIL, pool(1, "enableEncryptionAtHost", False)),
    ("cluster.host-encryption", "absent", FAIL, pool(1, "enableEncryptionAtHost", GONE)),
    ("cluster.node-os", "18.04", FAIL, pool(0, "nodeImageVersion", "AKSUbuntu-1804gen2containerd-202108.01.0")),
    ("cluster.node-os", "Mariner", FAIL, pool(0, "osSKU", "CBLMariner")),
    ("cluster.node-os", "22.04", WARN, pool(0, "nodeImageVersion", "AKSUbuntu-2204gen2containerd-202611.10.0")),
    ("cluster.node-os", "docker", FAIL, node(2, "nodeInfo.containerRuntimeVersion", "docker://19.3.14")),
    (
        "cluster.node-image-current",
        "two months old",
        WARN,
        pool(0, "nodeImageVersion", IMAGE.replace("202611.10", "202609.15")),
    ),
    (
        "cluster.node-image-current",
        "half a year old",
        FAIL,
        pool(0, "nodeImageVersion", IMAGE.replace("202611.10", "202605.15")),
    ),
    ("cluster.node-image-current", "no date", UNKNOWN, pool(0, "nodeImageVersion", "AKSUbuntu-something")),
    ("cluster.nodes-ready", "one not ready", FAIL, node(3, "conditions.3.status", "False")),
    ("cluster.nodes-ready", "pressure", FAIL, node(3, "conditions.1.status", "True")),
    ("cluster.nodes-ready", "cordoned", WARN, node(3, "unschedulable", True)),
    ("cluster.nodes-ready", "fewer than the pool", FAIL, lambda evidence: evidence.sources["nodes"].pop()),
    (
        "cluster.nodes-ready",
        "silent",
        FAIL,
        both(
            source("leases", {}),
            node(0, "conditions.3.lastHeartbeatTime", "2026-11-22T11:40:00Z"),
        ),
    ),
    ("cluster.nodes-ready", "none", FAIL, source("nodes", [])),
    ("cluster.nodes-ready", "denied", UNKNOWN, source("nodes", DENIED)),
    ("cluster.system-workloads", "missing", FAIL, drop_workload("metrics-server")),
    ("cluster.system-workloads", "unavailable", FAIL, workload("konnectivity-agent", ready=1)),
    ("cluster.system-workloads", "one DNS server", FAIL, workload("coredns", wanted=1, ready=1)),
    ("cluster.system-workloads", "driver not everywhere", FAIL, workload("csi-azuredisk-node", ready=5)),
    ("cluster.system-workloads", "denied", UNKNOWN, source("workloads", DENIED)),
]
