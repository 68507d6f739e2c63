"""Brings the system workloads of a cluster to what its features ask for."""

from __future__ import annotations

import logging
from typing import Any

from azsandbox.aks import admin_groups, facts, workloads
from azsandbox.aks.features import features
from azsandbox.arm.resources import Stored
from azsandbox.controllers.client import KubeClient, path
from azsandbox.kubernetes.errors import StatusError

Document = dict[str, Any]
MANAGER = "aks-addon-manager"
PLURALS = {
    "ServiceAccount": "serviceaccounts",
    "Deployment": "deployments",
    "DaemonSet": "daemonsets",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Service": "services",
    "ConfigMap": "configmaps",
    "APIService": "apiservices",
    "StorageClass": "storageclasses",
    "CSIDriver": "csidrivers",
    "Namespace": "namespaces",
}
EXTENSIONS = "Microsoft.KubernetesConfiguration/extensions"
log = logging.getLogger("azsandbox.aks")


def address(obj: Document, *, named: bool = True) -> str:
    """URL path of a manifest."""
    metadata = obj["metadata"]
    name = metadata["name"] if named else ""
    return path(obj["apiVersion"], PLURALS[obj["kind"]], metadata.get("namespace", ""), name)


def features_of(arm: Any, stored: Stored) -> set[str]:
    """The features that are on, extensions that were installed counted."""
    extensions = bool(arm.resources.children(stored.id, EXTENSIONS))
    pools = [p.properties for p in arm.resources.children(stored.id, f"{stored.type}/agentPools")]
    return features({**stored.properties, "agentPoolProfiles": pools}, extensions=extensions)


async def converge(arm: Any, stored: Stored, client: KubeClient) -> None:
    """Applies what the features ask for and deletes the workloads of features that are off."""
    from azsandbox.aks.identity import installation as identity
    from azsandbox.aks.policy import installation
    from azsandbox.arm.policy import reports

    client = client.named(MANAGER)
    on = features_of(arm, stored)
    profile = stored.properties["networkProfile"]
    words = {
        "version": stored.properties["currentKubernetesVersion"],
        "dns": profile["dnsServiceIP"],
        "pods": profile.get("podCidr") or "10.224.0.0/16",
    }
    for name in workloads.namespaces(on):
        labels = {"addonmanager.kubernetes.io/mode": "Reconcile", "kubernetes.azure.com/managedby": "aks"}
        await apply(client, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    wanted = workloads.manifests(on, words)
    if "azurepolicy" in on:
        await installation.install(client)
    else:
        await installation.remove(client)
        reports.drop(arm, stored.id)
    for manifest in wanted:
        await apply(client, manifest)
    await identity.converge(client, on, arm.services.tenant_id)
    await _prune(client, on)
    await admin_groups.converge(stored, client)


async def apply(client: KubeClient, manifest: Document) -> None:
    """Creates an object, or applies the manifest to the one that is there."""
    if await client.find(address(manifest)) is None:  # a look costs less than a creation that is refused
        try:
            await client.create(address(manifest, named=False), manifest)
            return
        except StatusError as error:
            if error.code != 409:
                log.warning("%s %s: %s", manifest["kind"], manifest["metadata"]["name"], error)
                return
    if manifest["kind"] in ("StorageClass", "CSIDriver", "ServiceAccount", "Namespace"):
        return
    if manifest["metadata"].get("labels", {}).get("addonmanager.kubernetes.io/mode") == "EnsureExists":
        return
    await client.apply(address(manifest), manifest, MANAGER)


async def _prune(client: KubeClient, on: set[str]) -> None:
    for entry in facts.workloads():
        if workloads.wanted(entry, on):
            continue
        metadata = {"name": entry["name"], "namespace": entry.get("namespace", workloads.SYSTEM)}
        gone = {"apiVersion": "apps/v1", "kind": entry["kind"], "metadata": metadata}
        if await client.find(address(gone)) is not None:
            await client.gone(address(gone), {"propagationPolicy": "Background"})
