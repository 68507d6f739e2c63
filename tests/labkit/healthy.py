"""A healthy baseline as Azure and Kubernetes answer it: the defaults of a recorded create (24 Apr 2026), and on top
what the lab's settings ask for."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from labkit.checks.evidence import Evidence, cluster_path
from labkit.settings import Settings

SUBSCRIPTION = "00000000-0000-0000-0000-0000000000aa"
TENANT = "00000000-0000-0000-0000-0000000000bb"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
IMAGE = "AKSUbuntu-2404gen2containerd-202611.10.0"
VNET = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-aks-baseline/providers/Microsoft.Network/virtualNetworks/"
    "vnet-aks-baseline"
)


def pool(name: str, mode: str, count: int, least: int, most: int, **more: Any) -> dict[str, Any]:
    """A node pool as AKS answers it."""
    return {
        "name": name,
        "mode": mode,
        "count": count,
        "minCount": least,
        "maxCount": most,
        "enableAutoScaling": True,
        "vmSize": "Standard_D4ds_v5",
        "osDiskSizeGB": 100,
        "osDiskType": "Ephemeral",
        "kubeletDiskType": "OS",
        "maxPods": 110,
        "type": "VirtualMachineScaleSets",
        "scaleDownMode": "Delete",
        "provisioningState": "Succeeded",
        "powerState": {"code": "Running"},
        "orchestratorVersion": "1.35",
        "currentOrchestratorVersion": "1.35.4",
        "enableNodePublicIP": False,
        "enableEncryptionAtHost": True,
        "enableUltraSSD": False,
        "osType": "Linux",
        "osSKU": "Ubuntu",
        "nodeImageVersion": IMAGE,
        "upgradeSettings": {"maxSurge": "33%", "maxUnavailable": "0"},
        "availabilityZones": ["1", "2", "3"],
        "vnetSubnetID": f"{VNET}/subnets/snet-aks-baseline",
        **more,
    }


def cluster() -> dict[str, Any]:
    """The managed cluster as AKS answers it."""
    return {
        "id": cluster_path(SUBSCRIPTION, Settings()).replace("resourceGroups", "resourcegroups"),
        "name": "aks-baseline",
        "type": "Microsoft.ContainerService/ManagedClusters",
        "location": "westeurope",
        "kind": "Base",
        "sku": {"name": "Base", "tier": "Standard"},
        "identity": {
            "type": "UserAssigned",
            "userAssignedIdentities": {"/subscriptions/x/identity": {"clientId": "c", "principalId": "p"}},
        },
        "properties": {
            "provisioningState": "Succeeded",
            "powerState": {"code": "Running"},
            "kubernetesVersion": "1.35",
            "currentKubernetesVersion": "1.35.4",
            "enableRBAC": True,
            "disableLocalAccounts": True,
            "supportPlan": "KubernetesOfficial",
            "maxAgentPools": 100,
            "aadProfile": {
                "managed": True,
                "enableAzureRBAC": True,
                "tenantID": TENANT,
                "adminGroupObjectIDs": None,
            },
            "apiServerAccessProfile": {"authorizedIPRanges": ["203.0.113.7/32"]},
            "networkProfile": {
                "networkPlugin": "azure",
                "networkPluginMode": "overlay",
                "networkPolicy": "calico",
                "networkDataplane": "azure",
                "loadBalancerSku": "standard",
                "podCidr": "10.244.0.0/16",
                "podCidrs": ["10.244.0.0/16"],
                "serviceCidr": "10.0.0.0/16",
                "serviceCidrs": ["10.0.0.0/16"],
                "dnsServiceIP": "10.0.0.10",
                "outboundType": "loadBalancer",
                "ipFamilies": ["IPv4"],
            },
            "autoUpgradeProfile": {"upgradeChannel": "patch", "nodeOSUpgradeChannel": "NodeImage"},
            "oidcIssuerProfile": {"enabled": True, "issuerURL": "https://westeurope.oic.prod-aks.azure.com/t/g/"},
            "securityProfile": {},
            "storageProfile": {
                "diskCSIDriver": {"enabled": True},
                "fileCSIDriver": {"enabled": True},
                "snapshotController": {"enabled": True},
            },
            "servicePrincipalProfile": {"clientId": "msi"},
            "identityProfile": {"kubeletidentity": {"resourceId": "/r", "clientId": "c", "objectId": "o"}},
            "nodeProvisioningProfile": {"mode": "Manual", "defaultNodePools": "Auto"},
            "workloadAutoScalerProfile": {},
            "agentPoolProfiles": [
                pool("system1", "System", 3, 3, 5, nodeTaints=["CriticalAddonsOnly=true:NoSchedule"]),
                pool("user1", "User", 3, 1, 4),
            ],
        },
    }


def network() -> dict[str, Any]:
    """The lab's network with its two subnets."""

    def subnet(name: str, prefix: str, delegations: list[str]) -> dict[str, Any]:
        return {
            "id": f"{VNET}/subnets/{name}",
            "name": name,
            "properties": {
                "addressPrefix": prefix,
                "provisioningState": "Succeeded",
                "delegations": [{"name": "d", "properties": {"serviceName": service}} for service in delegations],
            },
        }

    return {
        "id": VNET,
        "name": "vnet-aks-baseline",
        "location": "westeurope",
        "properties": {
            "addressSpace": {"addressPrefixes": ["10.10.0.0/16"]},
            "subnets": [
                subnet("snet-aks-baseline", "10.10.0.0/22", []),
                subnet("snet-aci", "10.10.4.0/23", ["Microsoft.ContainerInstance/containerGroups"]),
            ],
        },
    }


def maintenance(name: str) -> dict[str, Any]:
    """A maintenance window of four hours."""
    return {
        "name": name,
        "properties": {
            "maintenanceWindow": {
                "durationHours": 4,
                "startTime": "01:00",
                "utcOffset": "+00:00",
                "schedule": {"weekly": {"intervalWeeks": 1, "dayOfWeek": "Sunday"}},
            }
        },
    }


def versions() -> list[dict[str, Any]]:
    """What the region offers."""
    return [
        {"version": version, "capabilities": {"supportPlan": plans}}
        for version, plans in (
            ("1.33", ["AKSLongTermSupport"]),
            ("1.34", ["KubernetesOfficial", "AKSLongTermSupport"]),
            ("1.35", ["KubernetesOfficial", "AKSLongTermSupport"]),
            ("1.36", ["KubernetesOfficial", "AKSLongTermSupport"]),
        )
    ]


def raw_node(name: str, pool_name: str, mode: str, zone: int) -> dict[str, Any]:
    """A node as the API server answers it, labelled as AKS labels it."""
    healthy = {"MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False", "Ready": "True"}
    return {
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.azure.com/agentpool": pool_name,
                "kubernetes.azure.com/mode": mode,
                "topology.kubernetes.io/zone": f"westeurope-{zone}",
            },
        },
        "spec": {
            "taints": [{"key": "CriticalAddonsOnly", "value": "true", "effect": "NoSchedule"}]
            if mode == "system"
            else []
        },
        "status": {
            "conditions": [
                {"type": kind, "status": status, "lastHeartbeatTime": "2026-11-22T11:58:00Z"}
                for kind, status in healthy.items()
            ],
            "capacity": {"cpu": "4", "memory": "16374356Ki"},
            "nodeInfo": {
                "kubeletVersion": "v1.35.4",
                "osImage": "Ubuntu 24.04.3 LTS",
                "containerRuntimeVersion": "containerd://2.0.5",
            },
        },
    }


def raw_nodes() -> list[dict[str, Any]]:
    """Three nodes in each pool, one in each zone."""
    return [
        raw_node(f"aks-{name}-12345678-vmss00000{index}", name, mode, index + 1)
        for name, mode in (("system1", "system"), ("user1", "user"))
        for index in range(3)
    ]


DEPLOYMENTS = {
    "kube-system/coredns": 2,
    "kube-system/coredns-autoscaler": 1,
    "kube-system/konnectivity-agent": 2,
    "kube-system/konnectivity-agent-autoscaler": 1,
    "kube-system/metrics-server": 2,
    "calico-system/calico-typha": 3,
    "calico-system/calico-kube-controllers": 1,
    "tigera-operator/tigera-operator": 1,
}
DAEMONSETS = (
    "kube-system/azure-cns",
    "kube-system/azure-ip-masq-agent",
    "kube-system/cloud-node-manager",
    "kube-system/csi-azuredisk-node",
    "kube-system/csi-azurefile-node",
    "kube-system/kube-proxy",
    "calico-system/calico-node",
)


def raw_workloads(kind: str, namespace: str) -> list[dict[str, Any]]:
    """Deployments or DaemonSets of a namespace as the API server answers them."""
    if kind == "deployments":
        return [
            {
                "metadata": {"namespace": namespace, "name": key.split("/")[1]},
                "spec": {"replicas": count},
                "status": {"availableReplicas": count},
            }
            for key, count in DEPLOYMENTS.items()
            if key.split("/")[0] == namespace
        ]
    return [
        {
            "metadata": {"namespace": namespace, "name": key.split("/")[1]},
            "spec": {},
            "status": {"desiredNumberScheduled": 6, "numberReady": 6},
        }
        for key in DAEMONSETS
        if key.split("/")[0] == namespace
    ]


class HealthyArm:
    """Answers reads of Azure Resource Manager with the healthy baseline; `answers` may replace some."""

    def __init__(self) -> None:
        base = cluster()["id"].lower()
        self.asked: list[str] = []
        region = f"/subscriptions/{SUBSCRIPTION}/providers"
        self.answers: dict[str, Any] = {
            cluster_path(SUBSCRIPTION, Settings()).lower(): cluster(),
            VNET.lower(): network(),
            f"{base}/maintenanceconfigurations": [
                maintenance("aksManagedAutoUpgradeSchedule"),
                maintenance("aksManagedNodeOSUpgradeSchedule"),
            ],
            f"{region}/microsoft.containerservice/locations/westeurope/kubernetesversions".lower(): versions(),
            f"{region}/microsoft.compute/skus".lower(): [
                {
                    "resourceType": "virtualMachines",
                    "name": "Standard_D4ds_v5",
                    "locationInfo": [{"location": "westeurope", "zones": ["1", "2", "3"]}],
                    "capabilities": [{"name": "EphemeralOSDiskSupported", "value": "True"}],
                },
                {"resourceType": "disks", "name": "Standard_LRS", "locationInfo": []},
            ],
        }
        for name in ("system1", "user1"):
            self.answers[f"{base}/agentpools/{name}/upgradeprofiles/default"] = {
                "properties": {"kubernetesVersion": "1.35.4", "latestNodeImageVersion": IMAGE}
            }

    def _answer(self, path: str) -> Any:
        from labkit.errors import ReadError

        self.asked.append(path)
        answer = self.answers.get(path.split("?")[0].lower())
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            raise ReadError(f"GET {path}: 404 ResourceNotFound", 404, "ResourceNotFound")
        return deepcopy(answer)

    def get(self, path: str, api_version: str) -> dict[str, Any]:
        assert api_version
        return self._answer(path)

    def pages(self, path: str, api_version: str) -> Any:
        assert api_version
        items = self._answer(path)
        # Two pages, so that whoever reads only the first is found out.
        yield items[:1]
        yield items[1:]


class HealthyKubernetes:
    """Answers reads of the API server with the healthy baseline; `answers` may replace some."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, Any] = {
            "/api/v1/nodes": raw_nodes(),
            "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases": [
                {
                    "metadata": {"name": item["metadata"]["name"]},
                    "spec": {"renewTime": "2026-11-22T11:59:55.000000Z"},
                }
                for item in raw_nodes()
            ],
        }
        for kind in ("deployments", "daemonsets"):
            for namespace in ("kube-system", "calico-system", "tigera-operator", "gatekeeper-system"):
                self.answers[f"/apis/apps/v1/namespaces/{namespace}/{kind}"] = raw_workloads(kind, namespace)

    def get(self, path: str, query: Any = None) -> dict[str, Any]:
        return {"items": self.answers[path]}

    def pages(self, path: str) -> Any:
        self.asked.append(path)
        answer = self.answers[path]
        if isinstance(answer, Exception):
            raise answer
        items = deepcopy(answer)
        for start in range(0, len(items), 2):
            yield items[start : start + 2]


def evidence(settings: Settings | None = None) -> Evidence:
    """All evidence of the healthy baseline, read through the collector."""
    from labkit.checks import catalogue
    from labkit.checks.evidence import collect

    return collect(
        catalogue.sources(catalogue.select()),
        settings or Settings(),
        subscription_id=SUBSCRIPTION,
        arm=HealthyArm(),
        kubernetes=HealthyKubernetes,
        now=NOW,
    )
