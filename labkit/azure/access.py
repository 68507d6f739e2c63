"""Part 2 of the series: who may use the cluster. Roles go to groups, and the local accounts are turned off."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from labkit.azure.clients import Clients
from labkit.azure.cluster import CLUSTER_ADMIN, scope
from labkit.people import Directory, group
from labkit.settings import Settings

CLUSTER_USER = "4abbcc35-e782-43d8-92c5-2d3f1bd2253f"
"""Azure Kubernetes Service Cluster User Role (Azure built-in roles)."""
READER = "7f6c6a51-bcf8-42ba-9220-52d62157d7db"
"""Azure Kubernetes Service RBAC Reader."""
WRITER = "a7ffa36f-339b-4b5c-8bdf-e2c188b2c0eb"
"""Azure Kubernetes Service RBAC Writer."""


def wanted(subscription_id: str, settings: Settings) -> Iterator[tuple[str, str, str]]:
    """The assignments of the baseline: group (by its role in the lab), role, and scope.

    Administrators have the cluster. Developers write to the first application namespace and read the others, readers
    read all; both may fetch the kubeconfig, which the roles of a namespace do not include.
    """
    cluster = scope(subscription_id, settings)
    yield "admin", CLUSTER_ADMIN, cluster
    for role in ("developer", "reader"):
        yield role, CLUSTER_USER, cluster
        for index, namespace in enumerate(settings.application_namespaces):
            writes = role == "developer" and index == 0
            yield role, WRITER if writes else READER, f"{cluster}/namespaces/{namespace}"


def assign(clients: Clients, principal: str, role: str, where: str, kind: str = "Group") -> None:
    """Give a principal a role at a scope, unless it has it: the assignment's name follows from its parts."""
    from azure.core.exceptions import ResourceExistsError
    from azure.mgmt.authorization.v2022_04_01.models import RoleAssignmentCreateParameters

    name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{where}/{role}/{principal}".lower()))
    definition = f"/subscriptions/{clients.subscription_id}/providers/Microsoft.Authorization/roleDefinitions/{role}"
    parameters = RoleAssignmentCreateParameters(
        role_definition_id=definition, principal_id=principal, principal_type=kind
    )
    try:
        clients.authorization.role_assignments.create(where, name, parameters)
    except ResourceExistsError:
        return  # by an assignment with another name


def _local_accounts(clients: Clients, settings: Settings) -> Any:
    """The cluster, if its local accounts are on."""
    found = clients.containers.managed_clusters.get(settings.resource_group, settings.cluster)
    return None if found.properties and found.properties.disable_local_accounts else found


def exists(clients: Clients, settings: Settings) -> bool:
    """True if every group has its roles, and the local accounts are off."""
    if _local_accounts(clients, settings) is not None:
        return False
    directory, listed = Directory(clients.credential), clients.authorization.role_assignments
    try:
        groups = {role: directory.find(getattr(settings, f"{role}_group")) for role in ("admin", "developer", "reader")}
    finally:
        directory.close()
    for who, role, where in wanted(clients.subscription_id, settings):
        found = groups[who]
        if found is None:
            return False
        held = listed.list_for_scope(where, filter=f"principalId eq '{found.object_id}'")
        if not any(a.role_definition_id.endswith(role) and a.scope.lower() == where.lower() for a in held):
            return False
    return True


def ensure(clients: Clients, settings: Settings, wait: Any) -> None:
    """Make the groups and assignments that are not there, and turn the local accounts off."""
    directory = Directory(clients.credential)
    try:
        groups = {role: group(directory, settings, role) for role in ("admin", "developer", "reader")}
    finally:
        directory.close()
    for who, role, where in wanted(clients.subscription_id, settings):
        assign(clients, groups[who].object_id, role, where)
    cluster = _local_accounts(clients, settings)
    if cluster is not None:
        cluster.properties.disable_local_accounts = True
        poller = clients.containers.managed_clusters.begin_create_or_update(
            settings.resource_group, settings.cluster, cluster
        )
        wait(poller, "Turning the local accounts off")
