"""Where a role holds, for whom, and from when: scopes, groups, custom roles, conditions, and the end of an assignment."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.azsandbox.aks.access.conftest import CLUSTER_ADMIN, READER, REFUSED, WRITER, Lab, arrived, review

PODS = {"verb": "list", "resource": "pods"}
PREFIX = "Microsoft.ContainerService/managedClusters"


@pytest.fixture(scope="module")
def dev(lab: Lab) -> httpx.Client:
    return lab.api("developer")


@pytest.fixture(autouse=True)
def nothing_is_left(dev: httpx.Client) -> None:
    """What a test before this one granted has ended."""
    for namespace in ("", "default", "kube-system"):
        for more in ({"group": ""}, {"group": "apps", "resource": "deployments"}):
            arrived(dev, allowed=False, **{**PODS, **more}, namespace=namespace)


def allowed(api: httpx.Client, namespace: str = "", **attributes: str) -> bool:
    place = {"namespace": namespace} if namespace else {}
    found: bool = review(api, **{**PODS, **attributes}, **place)["allowed"]
    return found


def test_a_role_at_a_namespace_holds_in_it_alone(lab: Lab, dev: httpx.Client) -> None:
    made = lab.assign("developer", READER, f"{lab.cluster}/namespaces/kube-system")
    arrived(dev, **PODS, namespace="kube-system")
    assert not allowed(dev, "default")
    assert not allowed(dev)
    kubectl = lab.kubectl("developer", namespace="kube-system")
    assert "coredns" in kubectl("get", "pods")
    assert kubectl("get", "namespace", "kube-system", "-o", "name") == "namespace/kube-system\n"
    said = kubectl.refused("get", "pods", "-n", "default")
    user = lab.user("developer")
    assert said == (
        f'Error from server (Forbidden): pods is forbidden: User "{user}" cannot list resource "pods" in API group "" '
        f'in the namespace "default": {REFUSED}\n'
    )
    assert 'cannot list resource "namespaces"' in kubectl.refused("get", "namespaces")
    lab.drop(made)
    arrived(dev, allowed=False, **PODS, namespace="kube-system")


def test_the_namespace_of_a_scope_need_not_be_there_yet(lab: Lab, dev: httpx.Client) -> None:
    made = lab.assign("developer", WRITER, f"{lab.cluster}/namespaces/a0008")
    arrived(dev, verb="create", group="apps", resource="deployments", namespace="a0008")
    assert not allowed(dev, "a00080")
    lab.drop(made)


@pytest.mark.parametrize("scope", ["subscription", "group", "cluster"])
def test_a_role_is_inherited_from_above(lab: Lab, dev: httpx.Client, scope: str) -> None:
    made = lab.assign("developer", READER, getattr(lab, scope))
    arrived(dev, **PODS)
    assert allowed(dev, "default")
    lab.drop(made)
    arrived(dev, allowed=False, **PODS)


def test_a_role_of_a_group_is_its_members(lab: Lab, dev: httpx.Client) -> None:
    graph = f"{lab.env['graph_endpoint']}/groups"
    headers = {"Authorization": f"Bearer {lab.token('learner', 'https://graph.microsoft.com')}"}
    body = {"displayName": "shop", "mailNickname": "shop", "mailEnabled": False, "securityEnabled": True}
    group = lab._http.post(graph, json=body, headers=headers).json()["id"]
    made = lab.assign("", READER, lab.cluster, principal=group, kind="Group")
    member = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{lab.object_id('developer')}"}
    assert not allowed(dev, "default")
    assert lab._http.post(f"{graph}/{group}/members/$ref", json=member, headers=headers).status_code == 204
    arrived(dev, **PODS, namespace="default")
    lab._http.delete(f"{graph}/{group}/members/{lab.object_id('developer')}/$ref", headers=headers)
    arrived(dev, allowed=False, **PODS, namespace="default")
    lab.drop(made)


def test_an_assignment_takes_a_moment_to_arrive_and_to_end(lab: Lab, dev: httpx.Client) -> None:
    assert not allowed(dev, "default")
    made = lab.assign("developer", READER, lab.cluster)
    assert not allowed(dev, "default")
    arrived(dev, **PODS, namespace="default")
    lab.drop(made)
    assert allowed(dev, "default")
    arrived(dev, allowed=False, **PODS, namespace="default")


def test_roles_of_resource_manager_give_nothing_in_the_cluster(lab: Lab) -> None:
    owner = lab.api("learner")
    assert lab.arm("GET", lab.cluster).status_code == 200
    assert not allowed(owner, "default")


def custom_role(lab: Lab, *data_actions: str, but: tuple[str, ...] = ()) -> str:
    name = str(uuid.uuid4())
    permission = {"dataActions": list(data_actions), "notDataActions": list(but)}
    properties = {
        "roleName": f"Custom {name}",
        "assignableScopes": [lab.subscription],
        "permissions": [permission],
    }
    path = f"{lab.subscription}/providers/Microsoft.Authorization/roleDefinitions/{name}"
    answer = lab.arm("PUT", path, {"properties": properties})
    assert answer.status_code == 201, answer.text
    return name


def test_a_custom_role_reads_deployments_and_nothing_else(lab: Lab, dev: httpx.Client) -> None:
    role = custom_role(lab, f"{PREFIX}/apps/deployments/read")
    made = lab.assign("developer", role, lab.cluster)
    arrived(dev, verb="list", group="apps", resource="deployments")
    assert not allowed(dev, verb="delete", group="apps", resource="deployments")
    assert not allowed(dev, group="apps", resource="daemonsets")
    assert not allowed(dev)
    lab.drop(made)


def test_a_custom_role_may_take_away_from_everything(lab: Lab, dev: httpx.Client) -> None:
    role = custom_role(lab, f"{PREFIX}/*/read", but=(f"{PREFIX}/secrets/*",))
    made = lab.assign("developer", role, lab.cluster)
    arrived(dev, **PODS)
    assert allowed(dev, group="helm.toolkit.fluxcd.io", resource="helmreleases")
    assert not allowed(dev, resource="secrets")
    assert not allowed(dev, verb="create")
    # another assignment may give what this one leaves out: it is no denial
    more = lab.assign("developer", WRITER, f"{lab.cluster}/namespaces/default")
    arrived(dev, verb="list", resource="secrets", namespace="default")
    assert not allowed(dev, "kube-system", resource="secrets")
    lab.drop(made)
    lab.drop(more)


def test_a_condition_narrows_custom_resources(lab: Lab, dev: httpx.Client) -> None:
    """The example of the AKS documentation: only the constraint templates of Gatekeeper."""
    role = custom_role(lab, f"{PREFIX}/*/read")
    condition = (
        f"((!(ActionMatches{{'{PREFIX}/customresources/read'}})) OR "
        f"(@Request[{PREFIX}/customResources:group] StringEqualsIgnoreCase 'templates.gatekeeper.sh' AND "
        f"@Request[{PREFIX}/customResources:kind] StringEqualsIgnoreCase 'constrainttemplates'))"
    )
    made = lab.assign("developer", role, lab.cluster, condition=condition, conditionVersion="2.0")
    arrived(dev, **PODS)
    assert allowed(dev, group="templates.gatekeeper.sh", resource="constrainttemplates")
    assert not allowed(dev, group="templates.gatekeeper.sh", resource="others")
    assert not allowed(dev, group="kyverno.io", resource="clusterpolicies")
    lab.drop(made)


@pytest.fixture(scope="module")
def boss(lab: Lab) -> Iterator[Any]:
    """The administrator, by an Azure role."""
    made = lab.assign("admin", CLUSTER_ADMIN, lab.cluster)
    arrived(lab.api("admin"), verb="*", group="*", resource="*")
    yield lab.kubectl("admin")
    lab.drop(made)


def test_one_yes_is_enough(lab: Lab, dev: httpx.Client, boss: Any) -> None:
    """What Azure has not granted, a RoleBinding of the cluster may: by the user's name, or a group's object id."""
    group = lab.api("developer").post(
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        json={"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
    )
    ids = [g for g in group.json()["status"]["userInfo"]["groups"] if not g.startswith("system:")]
    for subject in (f"--user={lab.user('developer')}", f"--group={ids[0]}"):
        boss("create", "rolebinding", "dev", "--clusterrole=view", subject)
        assert review(dev, **PODS, namespace="default")["reason"].startswith(
            'RBAC: allowed by RoleBinding "dev/default"'
        )
        boss("delete", "rolebinding", "dev")
        assert not allowed(dev, "default")


def test_people_are_impersonated_with_their_object_id(lab: Lab, dev: httpx.Client, boss: Any) -> None:
    made = lab.assign("developer", READER, f"{lab.cluster}/namespaces/default")
    arrived(dev, **PODS, namespace="default")
    extra = {"oid": [lab.object_id("developer")]}
    acting = lab.kubectl("admin", **{"as": lab.user("developer"), "as-user-extra": extra})
    assert acting("auth", "can-i", "list", "pods") == "yes\n"
    assert lab.user("developer") in acting("auth", "whoami")
    without = boss.run("auth", "can-i", "list", "pods", "--as", lab.user("developer"))
    assert without.out == (
        "no - Azure does not have opinion for this non AAD user. If you are an AAD user, please set Extra:oid parameter "
        "for impersonated user in the kubeconfig\n"
    )
    account = boss.run("auth", "can-i", "list", "pods", "--as=system:serviceaccount:default:default")
    assert account.out == "no - Azure does not have opinion for this user.\n"
    refused = lab.kubectl("developer").refused("get", "pods", "--as", "somebody")
    assert 'users "somebody" is forbidden' in refused
    assert f'cannot impersonate resource "users" in API group "" at the cluster scope: {REFUSED}' in refused
    lab.drop(made)


def test_kubectl_lists_what_it_can_and_says_that_it_is_not_all(lab: Lab, boss: Any) -> None:
    done = boss.run("auth", "can-i", "--list")
    assert done.code == 0
    assert "webhook authorizer does not support user rule resolution" in done.err
    assert boss("auth", "can-i", "*", "*", "--all-namespaces") == "yes\n"
    who = boss("auth", "whoami")
    assert f"Extra: oid   [{lab.object_id('admin')}]" in who
    assert "system:authenticated" in who


def test_who_may_bind_by_azure_binds_and_nobody_else_grants_more_than_they_have(lab: Lab, boss: Any) -> None:
    """The role RBAC Admin has bind and escalate in its namespace; with write alone a RoleBinding is escalation."""
    boss("create", "rolebinding", "wide", "--clusterrole=cluster-admin", "--user=bob")
    boss("delete", "rolebinding", "wide")
    role = custom_role(lab, f"{PREFIX}/rbac.authorization.k8s.io/rolebindings/write")
    made = lab.assign("developer", role, lab.cluster)
    dev = lab.api("developer")
    arrived(dev, verb="create", group="rbac.authorization.k8s.io", resource="rolebindings", namespace="default")
    refused = lab.kubectl("developer").refused("create", "rolebinding", "wide", "--clusterrole=view", "--user=bob")
    assert "is attempting to grant RBAC permissions not currently held" in refused
    lab.drop(made)
