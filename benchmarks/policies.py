"""What admission by Azure's container policies adds to the creation of a pod: all templates, a constraint each."""

from __future__ import annotations

import asyncio
import json
import time
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from benchmarks.client import Client, Refused, connected
from benchmarks.measure import bare_cluster, show

TEMPLATES = "/apis/templates.gatekeeper.sh/v1/constrainttemplates"
CONSTRAINTS = "/apis/constraints.gatekeeper.sh/v1beta1"
PODS = "/api/v1/namespaces/bench/pods?dryRun=All"

# Parameters that a good pod keeps to, by kind; the others need none
PARAMETERS: dict[str, dict[str, Any]] = {
    "K8sAzureV2ContainerAllowedImages": {"imageRegex": r"^registry\.example\.com/.+$"},
    "K8sAzureV3ContainerLimits": {"cpuLimit": "500m", "memoryLimit": "256Mi"},
    "K8sAzureV2ContainerEnforceProbes": {"enforceProbes": ["readinessProbe", "livenessProbe"]},
    "K8sAzureV3AllowedUsersGroups": {
        "runAsUser": {"rule": "MustRunAsNonRoot", "ranges": []},
        "runAsGroup": {"rule": "MayRunAs", "ranges": [{"min": 1, "max": -1}]},
        "supplementalGroups": {"rule": "MayRunAs", "ranges": [{"min": 1, "max": -1}]},
        "fsGroup": {"rule": "MayRunAs", "ranges": [{"min": 1, "max": -1}]},
    },
    "K8sAzureV3AllowedCapabilities": {"allowedCapabilities": [], "requiredDropCapabilities": ["ALL"]},
    "K8sAzureV3DisallowedCapabilities": {"disallowedCapabilities": ["SYS_ADMIN"]},
    "K8sAzureV3AllowedSeccomp": {"allowedProfiles": ["runtime/default"]},
    "K8sAzureV3EnforceAppArmor": {"allowedProfiles": ["runtime/default"]},
    "K8sAzureV2VolumeTypes": {"volumes": ["configMap", "emptyDir", "projected", "secret"]},
    "K8sAzureV2ContainerAllowedPullPolicy": {"allowedPullPolicy": ["IfNotPresent"]},
    "K8sAzureV3SELinux": {"enforcePSS": True, "allowedSELinuxTypes": ["container_t"]},
    "K8sAzureV1PodEnforceLabels": {"labels": ["app"]},
    "K8sAzureV1RestrictedLabels": {"labels": ["kubernetes.azure.com"], "allowedUsers": [], "allowedGroups": []},
    "K8sAzureV1AllowedSysctls": {"allowedSysctls": ["*"]},
}

# What the policies are about that are not about pods, by a word of their kind
OTHERS = {
    "AntiAffinity": "Deployment",
    "BlockAdminRolebindings": "ClusterRoleBinding",
    "BlockEndpointEdit": "ClusterRole",
    "BlockResource": "Secret",
    "BlockWildcardRoles": "Role",
    "EnforceCSIDriver": "StorageClass",
    "EnforceRequiredAnnotation": "ConfigMap",
    "ExternalIPs": "Service",
    "Ingress": "Ingress",
    "LoadBalancer": "Service",
    "PodDisruptionBudgets": "PodDisruptionBudget",
    "PreStopHook": "Deployment",
    "ReservedTaints": "Node",
    "RestrictedNodeEdits": "Node",
    "ServiceAllowedPorts": "Service",
    "ServiceSelector": "Service",
}


def good_pod() -> dict[str, Any]:
    """A pod of two containers that every policy lets pass."""
    containers = [
        {
            "name": name,
            "image": "registry.example.com/app:1",
            "imagePullPolicy": "IfNotPresent",
            "resources": {
                "limits": {"cpu": "100m", "memory": "64Mi"},
                "requests": {"cpu": "10m", "memory": "16Mi"},
            },
            "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
            "livenessProbe": {"httpGet": {"path": "/", "port": 8080}},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        }
        for name in ("web", "side")
    ]
    job = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "00000000-0000-0000-0000-000000000001"}
    return {
        "metadata": {"name": "bench", "labels": {"app": "bench"}, "ownerReferences": [{**job, "controller": True}]},
        "spec": {
            "automountServiceAccountToken": False,
            "imagePullSecrets": [{"name": "registry"}],
            "containers": containers,
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }


async def measure(kubeconfig: Path, pods: int) -> None:
    """Prints what a pod takes without policies, and with all of them."""
    async with connected(kubeconfig) as client:
        await until(client, "/apis/apps/v1/namespaces/gatekeeper-system/deployments", _available)
        await asyncio.sleep(1)  # until its webhook is served
        await client.send("POST", "/api/v1/namespaces", {"metadata": {"name": "bench"}})
        await asyncio.sleep(1)  # until the namespace has its service account
        without = await creations(client, pods)
        count = await constrain(client)
        with_all = await creations(client, pods)
    for title, share in (("median", 0.5), ("p95", 0.95)):
        before, after = (times[int(len(times) * share)] for times in (without, with_all))
        show(f"create a Pod, {title}, no policy", before, "ms")
        show(f"create a Pod, {title}, {count} policies", after, "ms")
        show(f"what the policies add, {title}", after - before, "ms", "aim: below 10")


async def creations(client: Client, pods: int) -> list[float]:
    """Milliseconds of each creation, sorted. Nothing is kept, so that nothing else is at work."""
    times = []
    for number in range(pods + 10):
        began = time.perf_counter()
        await client.send("POST", PODS, good_pod())
        if number >= 10:
            times.append((time.perf_counter() - began) * 1000)
    return sorted(times)


async def constrain(client: Client) -> int:
    """Installs every template and a constraint of each; how many a pod is judged by."""
    folder = resources.files("azsandbox") / "data" / "policy" / "templates"
    index = json.loads((folder / "index.json").read_text("utf-8"))["templates"]
    kinds = []
    for entry in index.values():
        template = yaml.safe_load((folder / entry["file"]).read_text("utf-8"))
        await client.send("POST", TEMPLATES, template)
        kinds.append(entry["kind"])
    for kind in kinds:
        url = f"{CONSTRAINTS}/{kind.lower()}"
        named = next((word for word in OTHERS if word in kind), "")
        groups = [{"apiGroups": ["*"], "kinds": [OTHERS.get(named, "Pod")]}]
        match = {"kinds": groups, "excludedNamespaces": ["kube-system", "gatekeeper-system", "azure-arc"]}
        body = {"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": kind, "metadata": {"name": kind.lower()}}
        spec = {"match": match, "parameters": PARAMETERS.get(kind, {})}
        await until(client, url, lambda _: True)
        await client.send("POST", url, {**body, "spec": spec})
        await until(client, f"{url}/{kind.lower()}", lambda found: found.get("status", {}).get("byPod"))
    return len(kinds)


async def until(client: Client, url: str, seen: Any) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                if seen(json.loads(await client.send("GET", url))):
                    return
            except Refused:
                pass  # not there yet
            await asyncio.sleep(0.02)


def _available(found: dict[str, Any]) -> bool:
    return bool(found["items"]) and all(d.get("status", {}).get("availableReplicas") for d in found["items"])


def run(pods: int) -> None:
    """Prints the lines of a bare cluster with Gatekeeper."""
    with bare_cluster(1, "--gatekeeper") as cluster:
        asyncio.run(measure(cluster["kubeconfig"], pods))
