"""The system workloads of a cluster as manifests, by feature (azsandbox/data/aks/workloads)."""

from __future__ import annotations

import copy
from typing import Any

from azsandbox.aks import facts, versions

Document = dict[str, Any]
MANAGED = {"addonmanager.kubernetes.io/mode": "Reconcile", "kubernetes.io/cluster-service": "true"}
SYSTEM = "kube-system"


def wanted(entry: Document, features: set[str]) -> bool:
    """Whether a workload belongs on a cluster with these features."""
    needs = entry.get("when") or []
    return all((need[1:] not in features) if need.startswith("!") else need in features for need in needs)


def namespaces(features: set[str]) -> list[str]:
    """Namespaces that the workloads need besides kube-system."""
    found = {e.get("namespace", SYSTEM) for e in facts.workloads() if wanted(e, features)} - {SYSTEM}
    return sorted(found)


def manifests(features: set[str], cluster: Document) -> list[Document]:
    """Everything that runs on a cluster: workloads with their accounts and budgets, services, config, storage classes.

    `cluster` gives `version` ("1.35.7"), `dns` (address of the DNS service) and `pods` (range of pods).
    """
    words = {**cluster, "minor": versions.minor(cluster["version"])}
    out: list[Document] = []
    accounts: set[tuple[str, str]] = set()
    for entry in facts.workloads():
        if not wanted(entry, features):
            continue
        namespace = entry.get("namespace", SYSTEM)
        account = entry.get("serviceAccount")
        if account and (namespace, account) not in accounts:
            accounts.add((namespace, account))
            metadata = {"name": account, "namespace": namespace, "labels": dict(MANAGED)}
            out.append({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        out.append(workload(entry, words))
        if "budget" in entry:
            out.append(_budget(entry, namespace))
    for found in facts.objects():
        if _applies(found, features):
            out.append(_filled(copy.deepcopy(found), words))
    return out + storage(features)


def storage(features: set[str]) -> list[Document]:
    """CSI drivers and the storage classes that use them."""
    out: list[Document] = []
    for name in ("disk", "file"):
        if f"{name}-csi" in features:
            out.append(_driver(name))
    for row in facts.storage_classes():
        if f"{row['driver']}-csi" not in features:
            continue
        metadata: Document = {"name": row["name"], "labels": dict(MANAGED)}
        metadata["labels"]["addonmanager.kubernetes.io/mode"] = "EnsureExists"
        if row.get("default"):
            metadata["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true"}
        found = {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": metadata,
            "provisioner": f"{row['driver']}.csi.azure.com",
            "parameters": dict(row["parameters"]),
            "reclaimPolicy": "Delete",
            "allowVolumeExpansion": True,
            "volumeBindingMode": "WaitForFirstConsumer" if row["driver"] == "disk" else "Immediate",
        }
        if row["driver"] == "file":
            found["mountOptions"] = ["mfsymlinks", "actimeo=30", "nosharesock"]
        out.append(found)
    return out


def workload(entry: Document, words: Document) -> Document:
    """The Deployment or DaemonSet of one entry of the data."""
    daemon = entry["kind"] == "DaemonSet"
    selector = entry.get("selector") or entry["labels"]
    template = {"labels": {**entry["labels"], "kubernetes.azure.com/managedby": "aks"}}
    pod: Document = {
        "priorityClassName": entry.get("priority", "system-node-critical" if daemon else "system-cluster-critical"),
        "affinity": {"nodeAffinity": _affinity(entry, daemon)},
        "tolerations": [{"operator": "Exists"}] if daemon or entry.get("everywhere") else _tolerations(),
        "containers": [_container(c, words) for c in entry["containers"]],
    }
    if daemon:
        pod["tolerations"] = [
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"operator": "Exists", "effect": "NoExecute"},
            {"operator": "Exists", "effect": "NoSchedule"},
        ]
    if entry.get("hostNetwork"):
        pod["hostNetwork"] = True
    if entry.get("serviceAccount"):
        pod["serviceAccountName"] = entry["serviceAccount"]
    volumes = [
        {"name": name, "configMap": {"name": source}}
        for container in entry["containers"]
        for name, (source, _) in (container.get("config") or {}).items()
    ]
    if volumes:
        pod["volumes"] = volumes
    spec: Document = {"selector": {"matchLabels": dict(selector)}, "template": {"metadata": template, "spec": pod}}
    if daemon:
        spec["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%"}}
    else:
        spec["replicas"] = entry["replicas"]
        if entry["replicas"] > 1:
            spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}}
            pod["topologySpreadConstraints"] = [
                {
                    "maxSkew": 1,
                    "topologyKey": key,
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": dict(selector)},
                }
                for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
            ]
    metadata = {
        "name": entry["name"],
        "namespace": entry.get("namespace", SYSTEM),
        "labels": {**MANAGED, **entry["labels"]},
    }
    return {"apiVersion": "apps/v1", "kind": entry["kind"], "metadata": metadata, "spec": spec}


def _affinity(entry: Document, daemon: bool) -> Document:
    linux = [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]
    real = [{"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]}]
    kept = [{"key": "kubernetes.azure.com/cluster", "operator": "Exists"}]
    terms = {"nodeSelectorTerms": [{"matchExpressions": kept + real + linux}]}
    out: Document = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
    if entry.get("pools") == "system" and not daemon:
        mode = [{"key": "kubernetes.azure.com/mode", "operator": "In", "values": ["system"]}]
        out["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {"weight": 100, "preference": {"matchExpressions": mode}}
        ]
    return out


def _tolerations() -> list[Document]:
    return [
        {"key": "CriticalAddonsOnly", "operator": "Exists"},
        {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30},
        {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30},
    ]


def _container(entry: Document, words: Document) -> Document:
    resources = {k: dict(entry[k]) for k in ("requests", "limits") if k in entry}
    out: Document = {
        "name": entry["name"],
        "image": entry["image"].format(**words),
        "imagePullPolicy": "IfNotPresent",
        "resources": resources,
    }
    if "args" in entry:
        out["args"] = list(entry["args"])
    if "ports" in entry:
        out["ports"] = [_port(name, value) for name, value in entry["ports"].items()]
    for key, probe in (("live", "livenessProbe"), ("ready", "readinessProbe")):
        if key in entry:
            port, _, where = entry[key].partition("/")
            out[probe] = {"httpGet": {"path": "/" + where, "port": int(port), "scheme": "HTTP"}}
    if "config" in entry:
        out["volumeMounts"] = [
            {"name": name, "mountPath": where, "readOnly": True} for name, (_, where) in entry["config"].items()
        ]
    return out


def _port(name: str, value: Any) -> Document:
    number, _, protocol = str(value).partition("/")
    return {"name": name, "containerPort": int(number), "protocol": protocol or "TCP"}


def _budget(entry: Document, namespace: str) -> Document:
    selector = entry.get("selector") or entry["labels"]
    budget = {k: v for k, v in entry["budget"].items() if k != "name"}
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": entry["budget"]["name"], "namespace": namespace, "labels": dict(MANAGED)},
        "spec": {**budget, "selector": {"matchLabels": dict(selector)}},
    }


def _driver(name: str) -> Document:
    modes = ["Persistent"] if name == "disk" else ["Persistent", "Ephemeral"]
    spec = {
        "attachRequired": name == "disk",
        "podInfoOnMount": name == "file",
        "volumeLifecycleModes": modes,
        "fsGroupPolicy": "File" if name == "disk" else "ReadWriteOnceWithFSType",
    }
    metadata = {"name": f"{name}.csi.azure.com", "labels": dict(MANAGED)}
    return {"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": metadata, "spec": spec}


def _applies(found: Document, features: set[str]) -> bool:
    name = found["metadata"]["name"]
    if name.startswith("konnectivity"):
        return "vnet-integration" not in features
    return not (name.startswith("azure-ip-masq") and "cilium" in features)


def _filled(value: Any, words: Document) -> Any:
    """`value` with {dns} and {pods} filled in; other braces stay."""
    if isinstance(value, dict):
        return {k: _filled(v, words) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, words) for v in value]
    if isinstance(value, str):
        return value.replace("{dns}", words["dns"]).replace("{pods}", words["pods"])
    return value
