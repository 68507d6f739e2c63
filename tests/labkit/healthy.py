"""A healthy baseline as Azure and Kubernetes answer it: the defaults of a recorded create (24 Apr 2026), and on top
what the lab's settings ask for."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from copy import deepcopy
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from labkit.checks.evidence import Evidence, cluster_path
from labkit.settings import Settings
from tests.labkit import healthy_governance, healthy_identity, healthy_workload
from tests.labkit.healthy_governance import HealthyLogs

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
            "securityProfile": {
                "defender": {
                    "logAnalyticsWorkspaceResourceId": healthy_governance.WORKSPACE,
                    "securityMonitoring": {"enabled": True},
                },
                "workloadIdentity": {"enabled": True},
            },
            "addonProfiles": {
                "omsAgent": {
                    "enabled": True,
                    "config": {
                        "logAnalyticsWorkspaceResourceID": healthy_governance.WORKSPACE,
                        "useAADAuth": "true",
                    },
                },
                "azurepolicy": {"enabled": True, "config": None},
                "azureKeyvaultSecretsProvider": {
                    "enabled": True,
                    "config": {"enableSecretRotation": "true", "rotationPollInterval": "2m"},
                },
            },
            "azureMonitorProfile": {"metrics": {"enabled": True}},
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
    "kube-system/ama-logs-rs": 1,
    "kube-system/ama-metrics": 2,
    "kube-system/ama-metrics-ksm": 1,
    "kube-system/azure-wi-webhook-controller-manager": 2,
    "kube-system/azure-policy": 1,
    "kube-system/azure-policy-webhook": 1,
    "gatekeeper-system/gatekeeper-audit": 1,
    "gatekeeper-system/gatekeeper-controller": 2,
}
DAEMONSETS = (
    "kube-system/azure-cns",
    "kube-system/azure-ip-masq-agent",
    "kube-system/cloud-node-manager",
    "kube-system/csi-azuredisk-node",
    "kube-system/csi-azurefile-node",
    "kube-system/kube-proxy",
    "calico-system/calico-node",
    "kube-system/ama-logs",
    "kube-system/ama-metrics-node",
    "kube-system/microsoft-defender-collector-ds",
    "kube-system/aks-secrets-store-csi-driver",
    "kube-system/aks-secrets-store-provider-azure",
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


EXTENSIONS = "/providers/microsoft.kubernetesconfiguration/extensions"
CONFIGURATIONS = "/providers/microsoft.kubernetesconfiguration/fluxconfigurations"
FLUX_LABELS = {"app.kubernetes.io/part-of": "flux", "app.kubernetes.io/version": "v2.9.0"}
REVISION = "main@sha1:" + "0123456789abcdef" * 2 + "01234567"


def extension() -> dict[str, Any]:
    """The extension microsoft.flux as Azure answers it."""
    return {
        "id": f"{cluster()['id']}{EXTENSIONS}/flux",
        "name": "flux",
        "properties": {
            "extensionType": "microsoft.flux",
            "autoUpgradeMinorVersion": True,
            "releaseTrain": "Stable",
            "version": None,
            "currentVersion": "1.25.0",  # newer than what the lab knows of, so its Flux is read off the Deployments
            "provisioningState": "Succeeded",
            "configurationSettings": {},
            "statuses": [],
            "errorInfo": None,
        },
    }


def flux_configuration() -> dict[str, Any]:
    """A Flux configuration as Azure answers it."""
    return {
        "id": f"{cluster()['id']}{CONFIGURATIONS}/flux-system",
        "name": "flux-system",
        "systemData": {"createdAt": "2026-11-22T08:00:00Z"},
        "properties": {
            "scope": "cluster",
            "namespace": "flux-system",
            "sourceKind": "GitRepository",
            "suspend": False,
            "kustomizations": {"cluster": {"path": "./clusters/aks-baseline", "prune": True}},
            "statuses": [{"kind": "GitRepository", "name": "flux-system", "complianceState": "Compliant"}],
            "statusUpdatedAt": "2026-11-22T11:58:00Z",
            "provisioningState": "Succeeded",
            "complianceState": "Compliant",
        },
    }


def raw_flux_deployments() -> list[dict[str, Any]]:
    """The Deployments of flux-system on the extension's route."""
    names = ("source", "kustomize", "helm", "notification")
    found = [f"{name}-controller" for name in names] + ["fluxconfig-agent", "fluxconfig-controller"]
    return [
        {
            "metadata": {"namespace": "flux-system", "name": name, "labels": FLUX_LABELS},
            "spec": {
                "template": {
                    "spec": {
                        "containers": [
                            {
                                "name": "manager",
                                "image": f"mcr.microsoft.com/oss/fluxcd/{name}:v1.7.4",
                                "args": ["--log-level=info"],
                            }
                        ]
                    }
                }
            },
            "status": {"availableReplicas": 1},
        }
        for name in found
    ]


def raw_flux(kind: str, name: str, spec: dict[str, Any], **status: Any) -> dict[str, Any]:
    """An object of Flux that is ready."""
    ready = {"type": "Ready", "status": "True", "reason": "Succeeded", "message": "all is well"}
    return {
        "kind": kind,
        "metadata": {"namespace": "flux-system", "name": name, "generation": 2},
        "spec": {"interval": "10m0s", **spec},
        "status": {"observedGeneration": 2, "conditions": [ready], **status},
    }


def raw_kustomization(name: str, path: str, *before: str) -> dict[str, Any]:
    """A Kustomization that is applied."""
    spec: dict[str, Any] = {
        "path": path,
        "prune": True,
        "wait": True,
        "timeout": "5m0s",
        "retryInterval": "2m0s",
        "sourceRef": {"kind": "GitRepository", "name": "flux-system"},
    }
    if before:
        spec["dependsOn"] = [{"name": other} for other in before]
    entries = [{"id": "staging_hello_apps_Deployment", "v": "v1"}]
    return raw_flux("Kustomization", name, spec, lastAppliedRevision=REVISION, inventory={"entries": entries})


def raw_flux_objects() -> dict[str, list[dict[str, Any]]]:
    """Flux's objects by the path that they are listed at."""
    artifact = {"revision": REVISION, "lastUpdateTime": "2026-11-22T11:50:00Z"}
    url = "https://github.com/contoso/aks-baseline-clusters"
    repository = {"url": url, "ref": {"branch": "main"}, "secretRef": {"name": "flux-system"}}
    chart = {"url": "oci://acraksbaseline.azurecr.io/charts/kured", "provider": "azure", "ref": {"tag": "5.11.0"}}
    release = {"chartRef": {"kind": "OCIRepository", "name": "kured"}}
    source, toolkit = "/apis/source.toolkit.fluxcd.io/v1", "toolkit.fluxcd.io"
    return {
        f"{source}/gitrepositories": [raw_flux("GitRepository", "flux-system", repository, artifact=artifact)],
        f"{source}/ocirepositories": [raw_flux("OCIRepository", "kured", chart, artifact=artifact)],
        f"{source}/buckets": [],
        f"{source}/helmrepositories": [],
        f"/apis/kustomize.{toolkit}/v1/kustomizations": [
            raw_kustomization("flux-system-cluster", "./clusters/aks-baseline"),
            raw_kustomization("infrastructure", "./infrastructure"),
            raw_kustomization("apps-staging", "./apps/staging", "infrastructure"),
        ],
        f"/apis/helm.{toolkit}/v2/helmreleases": [raw_flux("HelmRelease", "kured", release)],
        f"/apis/notification.{toolkit}/v1/receivers": [],
        f"/apis/notification.{toolkit}/v1beta3/alerts": [],
    }


def raw_definitions() -> list[dict[str, Any]]:
    """Definitions: Flux's, and another's."""
    kinds = {
        ("kustomize.toolkit.fluxcd.io", "Kustomization"): "v1",
        ("helm.toolkit.fluxcd.io", "HelmRelease"): "v2",
        ("notification.toolkit.fluxcd.io", "Alert"): "v1beta3",
        ("other.example.com", "Thing"): "v1beta1",
    }
    return [
        {
            "metadata": {"name": f"{kind.lower()}s.{group}"},
            "spec": {
                "group": group,
                "names": {"kind": kind},
                "versions": [{"name": version, "served": True, "storage": True}],
            },
            "status": {"storedVersions": [version]},
        }
        for (group, kind), version in kinds.items()
    ]


@cache
def checkout() -> Path:
    """A clone of the repository as the lab lays it out."""
    from labkit.gitops import scaffold

    folder = Path(tempfile.mkdtemp(prefix="checkout-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / ".git").mkdir()
    scaffold.write(folder, Settings())
    return folder


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
        self.answers |= healthy_governance.arm_answers() | healthy_identity.arm_answers()
        self.answers[f"{base}{EXTENSIONS}"] = [extension()]
        self.answers[f"{base}{CONFIGURATIONS}"] = [flux_configuration()]
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
        self.answers |= raw_flux_objects() | healthy_governance.kubernetes_answers() | healthy_workload.answers()
        self.answers |= healthy_identity.kubernetes_answers()
        self.kinds: Any = healthy_governance.constraint_kinds()
        self.answers["/apis/apps/v1/namespaces/flux-system/deployments"] = raw_flux_deployments()
        self.answers["/apis/apiextensions.k8s.io/v1/customresourcedefinitions"] = raw_definitions()
        self.answers["/apis/networking.k8s.io/v1/namespaces/flux-system/networkpolicies"] = [
            {"metadata": {"name": name}} for name in ("allow-egress", "allow-scraping", "allow-webhooks")
        ]
        for kind in ("deployments", "daemonsets"):
            for namespace in ("kube-system", "calico-system", "tigera-operator", "gatekeeper-system"):
                self.answers[f"/apis/apps/v1/namespaces/{namespace}/{kind}"] = raw_workloads(kind, namespace)

    def get(self, path: str, query: Any = None) -> dict[str, Any]:
        if path.endswith("/constraints.gatekeeper.sh/v1beta1"):
            if isinstance(self.kinds, Exception):
                raise self.kinds
            return {"resources": self.kinds}
        if path not in self.answers:
            from labkit.errors import ReadError

            raise ReadError(f"GET {path}: 404 NotFound", 404, "NotFound")
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
    from labkit.checks.collector import collect

    return collect(
        catalogue.sources(catalogue.select()),
        settings or Settings(),
        subscription_id=SUBSCRIPTION,
        arm=HealthyArm(),
        kubernetes=HealthyKubernetes,
        checkout=checkout(),
        logs=HealthyLogs,
        now=NOW,
    )
