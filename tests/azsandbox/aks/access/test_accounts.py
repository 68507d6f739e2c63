"""Clusters without Azure RBAC, groups that administer, and local accounts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.azsandbox.aks.access.conftest import Lab

NO_STATIC = "Getting static credential is not allowed because this cluster is set to disable local accounts."


@pytest.fixture(scope="module")
def plain(lab: Lab) -> Iterator[str]:
    """A cluster with Entra ID, authorized by Kubernetes RBAC alone."""
    lab.make("plain", aadProfile={"managed": True})
    yield "plain"
    lab.arm("DELETE", lab.id("plain"))


def group_of(lab: Lab, who: str) -> str:
    """The object id of the one group that a persona is in."""
    (name,) = lab.env["personas"][who]["groups"]
    headers = {"Authorization": f"Bearer {lab.token('learner', 'https://graph.microsoft.com')}"}
    url = f"{lab.env['graph_endpoint']}/groups"
    answer = lab._http.get(url, params={"$filter": f"displayName eq '{name}'"}, headers=headers)
    found: str = answer.json()["value"][0]["id"]
    return found


def test_without_azure_rbac_groups_are_bound_by_their_object_ids(lab: Lab, plain: str) -> None:
    admin = lab.as_administrator(plain)
    dev = lab.kubectl("developer", plain)
    user = lab.user("developer")
    assert dev.refused("get", "pods") == (
        f'Error from server (Forbidden): pods is forbidden: User "{user}" cannot list resource "pods" in API group "" '
        'in the namespace "default"\n'
    )
    admin("create", "rolebinding", "dev", "--clusterrole=edit", f"--group={group_of(lab, 'developer')}")
    assert dev("get", "pods", "-o", "name") == ""
    assert dev("auth", "can-i", "delete", "deployments.apps") == "yes\n"
    assert "warning" not in dev.run("auth", "can-i", "--list").err.lower()


def test_the_groups_of_the_profile_are_cluster_administrators(lab: Lab, plain: str) -> None:
    ada = lab.kubectl("admin", plain)
    ada.refused("get", "nodes")
    group = group_of(lab, "admin")
    profile = {"managed": True, "adminGroupObjectIDs": [group]}
    lab.change(plain, aadProfile=profile)
    assert ada("auth", "can-i", "*", "*") == "yes\n"
    binding = ada.json("get", "clusterrolebinding", "aks-cluster-admin-binding-aad")
    assert binding["roleRef"]["name"] == "cluster-admin"
    assert [s["name"] for s in binding["subjects"]] == [group]
    lab.change(plain, aadProfile={"managed": True, "adminGroupObjectIDs": []})
    ada.refused("get", "nodes")


def test_azure_rbac_is_turned_on_and_off(lab: Lab, plain: str) -> None:
    dev = lab.kubectl("developer", plain)
    lab.change(plain, aadProfile={"managed": True, "enableAzureRBAC": True})
    assert "Update role assignment to allow access." in dev.refused("get", "nodes")
    lab.change(plain, aadProfile={"managed": True, "enableAzureRBAC": False})
    assert "Azure" not in dev.refused("get", "nodes")


def refused(lab: Lab, name: str, action: str) -> Any:
    answer = lab.arm("POST", f"{lab.id(name)}/{action}")
    return answer.status_code, answer.json().get("code"), answer.json().get("message")


def test_local_accounts_off_hands_out_no_credential_and_rotation_ends_the_old_one(lab: Lab, plain: str) -> None:
    """The AKS documentation: what was handed out before works until the certificates are rotated."""
    before = lab.as_administrator(plain)
    lab.change(plain, disableLocalAccounts=True)
    for action in ("listClusterAdminCredential", "listClusterMonitoringUserCredential"):
        assert refused(lab, plain, action) == (400, "BadRequest", NO_STATIC)
    assert lab.document(plain)["users"][0]["user"]["exec"]["command"] == "kubelogin"
    before("get", "nodes")
    answer = lab.arm("POST", f"{lab.id(plain)}/rotateClusterCertificates")
    assert answer.status_code == 202
    lab.settled(plain)
    done = before.run("get", "nodes")
    assert done.code == 1
    assert "certificate" in done.err or "logged in" in done.err
    lab.change(plain, disableLocalAccounts=False)
    deadline = time.monotonic() + 20
    while lab.as_administrator(plain).run("get", "nodes").code:
        assert time.monotonic() < deadline


def test_local_accounts_cannot_be_all_there_is_to_turn_off(lab: Lab) -> None:
    pool = {"name": "system", "mode": "System", "count": 1, "vmSize": "Standard_D4ds_v5"}
    own = {"dnsPrefix": "x", "agentPoolProfiles": [pool], "disableLocalAccounts": True}
    body = {"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": own}
    answer = lab.arm("PUT", lab.id("no-entra"), body)
    assert answer.status_code == 400
    assert "AAD integration" in answer.json()["message"]
