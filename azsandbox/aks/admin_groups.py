"""The groups that an aadProfile names as administrators: AKS binds them to cluster-admin.

Name and labels of the binding are those that clusters show ("kubectl describe clusterrolebinding
aks-cluster-admin-binding-aad" in public write-ups of AKS-managed Entra integration); it is there with groups only.
"""

from __future__ import annotations

from typing import Any

from azsandbox.aks.workloads import MANAGED
from azsandbox.arm.resources import Stored
from azsandbox.controllers.client import KubeClient, path
from azsandbox.kubernetes.authz import RBAC

BINDING = "aks-cluster-admin-binding-aad"
_VERSION = f"{RBAC}/v1"


def binding(groups: list[str]) -> dict[str, Any]:
    """The ClusterRoleBinding of these groups, by their object ids."""
    return {
        "apiVersion": _VERSION,
        "kind": "ClusterRoleBinding",
        "metadata": {"name": BINDING, "labels": dict(MANAGED)},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": group} for group in groups],
    }


async def converge(stored: Stored, client: KubeClient) -> None:
    """Brings the binding to the groups that are stored of the cluster."""
    where = path(_VERSION, "clusterrolebindings")
    groups = list((stored.properties.get("aadProfile") or {}).get("adminGroupObjectIDs") or [])
    found = await client.find(f"{where}/{BINDING}")
    if not groups:
        if found is not None:
            await client.gone(f"{where}/{BINDING}")
        return
    wanted = binding(groups)
    if found is None:
        await client.create(where, wanted)
    elif found.get("subjects") != wanted["subjects"]:
        await client.update(f"{where}/{BINDING}", {**found, "subjects": wanted["subjects"]})
