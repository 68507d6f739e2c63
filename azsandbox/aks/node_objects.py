"""The Node object of a machine: names, labels, taints and sizes as AKS gives them (baseline appendix C)."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

from azsandbox.aks import facts, images, machines

Document = dict[str, Any]
SPOT_TAINT = "kubernetes.azure.com/scalesetpriority=spot:NoSchedule"


def reserved_millicores(cores: int) -> int:
    """CPU that AKS keeps for the node; between the rows of the table in proportion."""
    table = {int(k): v for k, v in facts.read("reservations")["cpuMillicores"].items()}
    below = max((k for k in table if k <= cores), default=1)
    above = min((k for k in table if k >= cores), default=max(table))
    if above == below:
        return int(table[below])
    return int(table[below] + (table[above] - table[below]) * (cores - below) / (above - below))


def reserved_mebibytes(memory: int, pods: int) -> int:
    """Memory in MiB that AKS keeps: for Kubernetes and for eviction, of `memory` MiB."""
    rule = facts.read("reservations")
    kept = min(rule["memoryPerPodMiB"] * pods + rule["memoryBaseMiB"], memory * rule["memoryShare"])
    return int(kept + rule["evictionMiB"])


def sizes(vm: Document, pool: Document) -> tuple[Document, Document]:
    """Capacity and allocatable of a node. `vm`: cores and memoryGB; `pool`: its properties."""
    cores, pods = int(vm["cores"]), int(pool["maxPods"])
    seen = int(vm["memoryGB"] * 1024 * 1024 * (1 - facts.read("reservations")["kernelShare"]))  # KiB
    disk = int(pool["osDiskSizeGB"]) * 1024 * 1024 * 97 // 100  # KiB that the file system has
    common = {"hugepages-1Gi": "0", "hugepages-2Mi": "0", "pods": str(pods)}
    capacity = {"cpu": str(cores), "memory": f"{seen}Ki", "ephemeral-storage": f"{disk}Ki", **common}
    allocatable = {
        "cpu": f"{cores * 1000 - reserved_millicores(cores)}m",
        "memory": f"{seen - reserved_mebibytes(seen // 1024, pods) * 1024}Ki",
        "ephemeral-storage": str(disk * 1024 * 9 // 10),
        **common,
    }
    return capacity, allocatable


def labels(cluster: Document, pool: Document, machine: Document, vm: Document) -> dict[str, str]:
    """The labels of a node. `cluster`: id parts and properties (see `describe`); `pool`: name and properties."""
    own, location = pool["properties"], cluster["location"]
    zone = f"{location}-{machine['zone']}" if machine["zone"] else "0"
    name = machines.node_name(pool["scaleSet"], machine)
    image = images.described(machine["image"])
    group = cluster["properties"]["nodeResourceGroup"]
    network = cluster["properties"]["networkProfile"]
    spot = own.get("scaleSetPriority") == "Spot"
    tier = "Premium_LRS" if vm.get("premiumIO", True) else "Standard_LRS"
    disk = str(own["osDiskType"]).lower()
    out = {
        "agentpool": pool["name"],
        "beta.kubernetes.io/arch": vm.get("arch", "amd64"),
        "beta.kubernetes.io/instance-type": own["vmSize"],
        "beta.kubernetes.io/os": "linux",
        "failure-domain.beta.kubernetes.io/region": location,
        "failure-domain.beta.kubernetes.io/zone": zone,
        "kubernetes.azure.com/agentpool": pool["name"],
        "kubernetes.azure.com/cluster": group,
        "kubernetes.azure.com/consolidated-additional-properties": hashlib.sha1(name.encode()).hexdigest()[:32],  # noqa: S324 - an opaque id
        "kubernetes.azure.com/kubelet-serving-ca": "cluster",
        "kubernetes.azure.com/localdns-state": "disabled",
        "kubernetes.azure.com/managedby": "aks",
        "kubernetes.azure.com/mode": str(own["mode"]).lower(),
        "kubernetes.azure.com/network-policy": network.get("networkPolicy") or "none",
        "kubernetes.azure.com/node-image-version": machine["image"],
        "kubernetes.azure.com/os-sku": own["osSKU"],
        "kubernetes.azure.com/os-sku-effective": image["effective"],
        "kubernetes.azure.com/os-sku-requested": own["osSKU"],
        "kubernetes.azure.com/priority": "spot" if spot else "regular",
        "kubernetes.azure.com/role": "agent",
        "kubernetes.azure.com/sku-cpu": str(vm["cores"]),
        "kubernetes.azure.com/sku-memory": str(int(vm["memoryGB"] * 1024)),
        "kubernetes.azure.com/storageprofile": disk,
        "kubernetes.azure.com/storagetier": tier,
        "kubernetes.io/arch": vm.get("arch", "amd64"),
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": own["vmSize"],
        "storageprofile": disk,
        "storagetier": tier,
        "topology.disk.csi.azure.com/zone": f"{location}-{machine['zone']}" if machine["zone"] else "",
        "topology.kubernetes.io/region": location,
        "topology.kubernetes.io/zone": zone,
    }
    if cluster.get("kubeletClientId"):
        out["kubernetes.azure.com/kubelet-identity-client-id"] = cluster["kubeletClientId"]
    if spot:
        out["kubernetes.azure.com/scalesetpriority"] = "spot"
    if own.get("enableFIPS"):
        out["kubernetes.azure.com/fips_enabled"] = "true"
    if network.get("networkPluginMode") == "overlay":
        out |= {"kubernetes.azure.com/azure-cni-overlay": "true", "kubernetes.azure.com/podnetwork-type": "overlay"}
    if network.get("networkDataplane") == "cilium":
        out["kubernetes.azure.com/ebpf-dataplane"] = "cilium"
    if network.get("networkPlugin") == "azure" and tuple(map(int, machine["version"].split(".")[:2])) >= (1, 34):
        out["kubernetes.azure.com/network-stateless-cni"] = "true"
    subnet = own.get("vnetSubnetID")
    if subnet:
        parts = subnet.split("/")
        out |= {
            "kubernetes.azure.com/network-name": parts[8],
            "kubernetes.azure.com/network-resourcegroup": parts[4],
            "kubernetes.azure.com/network-subnet": parts[10],
            "kubernetes.azure.com/network-subscription": parts[2],
            "kubernetes.azure.com/nodenetwork-vnetguid": cluster.get("networkGuids", {}).get(subnet.lower(), ""),
        }
        out = {k: v for k, v in out.items() if v or k != "kubernetes.azure.com/nodenetwork-vnetguid"}
    return out | (own.get("nodeLabels") or {})


def taint(text: str) -> Document:
    """A taint of "key=value:Effect"."""
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    return {"key": key, "effect": effect, **({"value": value} if value else {})}


def taints(pool: Document) -> list[Document]:
    """The taints of a pool's nodes, the one of spot pools included."""
    own = list(pool.get("nodeTaints") or [])
    if pool.get("scaleSetPriority") == "Spot" and SPOT_TAINT not in own:
        own.append(SPOT_TAINT)
    return [taint(text) for text in own]


def provider_id(cluster: Document, pool: Document, machine: Document) -> str:
    """The address of the machine in Azure, as the cloud provider writes it."""
    group = cluster["properties"]["nodeResourceGroup"].lower()
    return (
        f"azure:///subscriptions/{cluster['subscription']}/resourceGroups/{group}/providers/Microsoft.Compute"
        f"/virtualMachineScaleSets/{pool['scaleSet']}/virtualMachines/{machine['instance']}"
    )


def node(
    cluster: Document, pool: Document, machine: Document, vm: Document, address: str, now: dt.datetime
) -> Document:
    """The Node object of a machine as its kubelet registers it. `address` is its IP."""
    name = machines.node_name(pool["scaleSet"], machine)
    image = images.described(machine["image"])
    capacity, allocatable = sizes(vm, pool["properties"])
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    seed = hashlib.sha256(f"{cluster['uid']}/{name}/{machine['image']}".encode()).hexdigest()
    version = f"v{machine['version']}"
    conditions = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]
    spec: Document = {"providerID": provider_id(cluster, pool, machine)}
    if found := taints(pool["properties"]):
        spec["taints"] = found
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": labels(cluster, pool, machine, vm),
            "annotations": {
                "csi.volume.kubernetes.io/nodeid": f'{{"disk.csi.azure.com":"{name}","file.csi.azure.com":"{name}"}}',
                "node.alpha.kubernetes.io/ttl": "0",
                "volumes.kubernetes.io/controller-managed-attach-detach": "true",
            },
        },
        "spec": spec,
        "status": {
            "capacity": capacity,
            "allocatable": allocatable,
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "conditions": [
                {
                    "type": kind,
                    "status": status,
                    "reason": reason,
                    "message": message,
                    "lastHeartbeatTime": stamp,
                    "lastTransitionTime": stamp,
                }
                for kind, status, reason, message in conditions
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "architecture": vm.get("arch", "amd64"),
                "bootID": _uuid(seed[32:]),
                "containerRuntimeVersion": image["containerd"],
                "kernelVersion": image["kernel"],
                "kubeProxyVersion": "",
                "kubeletVersion": version,
                "machineID": seed[:32],
                "operatingSystem": "linux",
                "osImage": image["osImage"],
                "systemUUID": _uuid(seed[:32]),
            },
        },
    }


def _uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"
