"""Identities of a cluster: its own, the kubelets', and those of add-ons, in Entra and in the node resource group."""

from __future__ import annotations

import uuid
from typing import Any

from azsandbox.aks import facts, node_resource_group
from azsandbox.arm import ids
from azsandbox.arm.providers.authorization.assignments import assignment
from azsandbox.arm.resources import Document, Stored

IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
EXTENSIONS = "Microsoft.KubernetesConfiguration/extensions"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"


def ensure_cluster_principal(arm: Any, stored: Stored) -> None:
    """Makes the service principal of a system-assigned identity, unless it is there."""
    principal = (stored.body.get("identity") or {}).get("principalId")
    directory = arm.services.entra.directory
    if principal and directory.get(principal) is None:
        names = ("isExplicit=False", stored.id)
        directory.create_service_principal(stored.name, "ManagedIdentity", alternative_names=names, object_id=principal)


def principal_of(stored: Stored) -> str:
    """Object id of the identity that the control plane acts as; "" with a service principal."""
    identity = stored.body.get("identity") or {}
    for found in (identity.get("userAssignedIdentities") or {}).values():
        return str(found["principalId"])
    return str(identity.get("principalId") or "")


def wanted(stored: Stored) -> dict[str, str]:
    """Names of the identities in the node resource group, by what they are for: "kubelet" or the add-on's key."""
    out = {}
    if stored.body.get("identity"):
        out["kubelet"] = f"{stored.name}-agentpool"
    prefixes = {k.lower(): v for k, v in facts.read("features")["addons"]["identities"].items()}
    for key, addon in (stored.properties.get("addonProfiles") or {}).items():
        if addon.get("enabled") and key.lower() in prefixes:
            out[key] = f"{prefixes[key.lower()]}-{stored.name.lower()}"
    return out


def ensure(arm: Any, stored: Stored) -> None:
    """Makes the identities and the role assignments that the cluster needs; takes away those of add-ons now off."""
    names = wanted(stored)
    for name in names.values():
        _ensure_identity(arm, stored, name)
    prefixes = facts.read("features")["addons"]["identities"].values()
    for prefix in prefixes:
        name = f"{prefix}-{stored.name.lower()}"
        if name not in names.values():
            remove(arm, _id(stored, name))
    principal = principal_of(stored)
    if principal:
        group = node_resource_group.group_id(stored)
        name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{group}/{principal}".lower()))
        scope = ids.ResourceId(group, "Microsoft.Authorization", ("roleAssignments",), (name,))
        if arm.resources.get(scope) is None:
            arm.resources.put(assignment(arm, scope, CONTRIBUTOR, principal, "ServicePrincipal"))


def show(arm: Any, stored: Stored) -> None:
    """Writes identityProfile and the add-ons' identities into the cluster."""
    for key, name in wanted(stored).items():
        found = arm.resources.get(_id(stored, name))
        if found is None:
            continue
        shown = {
            "resourceId": found.id.replace("/resourceGroups/", "/resourcegroups/", 1),
            "clientId": found.properties["clientId"],
            "objectId": found.properties["principalId"],
        }
        if key == "kubelet":
            stored.properties["identityProfile"] = {"kubeletidentity": shown}
        else:
            stored.properties["addonProfiles"][key]["identity"] = shown


def kubelet_client_id(arm: Any, stored: Stored) -> str:
    """Client id of the kubelets' identity; "" before it is made or with a service principal."""
    found = arm.resources.get(_id(stored, f"{stored.name}-agentpool"))
    return str(found.properties["clientId"]) if found else ""


def outbound_addresses(arm: Any, stored: Stored) -> list[str]:
    """Ids of the public addresses that the load balancer sends by."""
    group = node_resource_group.group_id(stored)
    found = arm.resources.children(group, "Microsoft.Network/publicIPAddresses")
    return [s.id for s in found if (s.body.get("tags") or {}).get("aks-managed-type") == "aks-slb-managed-outbound-ip"]


def remove(arm: Any, id_: str) -> None:
    """Deletes an identity and its service principal."""
    found = arm.resources.get(id_)
    if found is not None:
        arm.services.entra.directory.delete(found.properties["principalId"])
        arm.resources.delete(found.id)


def ensure_extension(arm: Any, stored: Stored, extension: str) -> Document:
    """The identity that AKS gives an extension, made if it is not there, as the extension shows it.

    That there is one in the node resource group is from Azure/AKS issue 4359; its name is the sandbox's own.
    """
    name = _of_extension(stored, extension)
    _ensure_identity(arm, stored, name)
    found = arm.resources.get(_id(stored, name))
    return {"principalId": found.properties["principalId"], "tenantId": None, "type": None}


def remove_extension(arm: Any, stored: Stored, extension: str) -> None:
    """Deletes the identity of an extension."""
    remove(arm, _id(stored, _of_extension(stored, extension)))


def remove_all(arm: Any, stored: Stored) -> None:
    """Deletes the cluster's identities from the directory."""
    for name in wanted(stored).values():
        remove(arm, _id(stored, name))
    for extension in arm.resources.children(stored.id, EXTENSIONS):
        remove_extension(arm, stored, extension.name)
    identity = stored.body.get("identity") or {}
    if identity.get("principalId"):
        arm.services.entra.directory.delete(identity["principalId"])


def _of_extension(stored: Stored, extension: str) -> str:
    return f"ext-{extension}-{stored.name.lower()}"


def _id(stored: Stored, name: str) -> str:
    return f"{node_resource_group.group_id(stored)}/providers/{IDENTITY}/{name}"


def _ensure_identity(arm: Any, stored: Stored, name: str) -> None:
    id_ = _id(stored, name)
    if arm.resources.get(id_) is not None:
        return
    principal = str(uuid.uuid4())
    made = arm.services.entra.directory.create_service_principal(
        name, "ManagedIdentity", alternative_names=("isExplicit=True", id_), object_id=principal
    )
    properties: Document = {
        "tenantId": arm.services.tenant_id,
        "principalId": made.object_id,
        "clientId": made.app_id,
    }
    body = {"id": id_, "name": name, "type": IDENTITY, "location": stored.body["location"], "tags": {}}
    arm.resources.put(Stored(id_, IDENTITY, {**body, "properties": properties}))
