"""Resource Manager judges by role assignments: who may what, with Azure's words, and the rules of assignments and roles."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from azsandbox.arm import Arm
from tests.azsandbox.arm.conftest import LEARNER, SUBSCRIPTION, Client, Principal

VERSION = "2022-04-01"
READER, CONTRIBUTOR = "acdd72a7-3385-48ef-bd42-f606fba81ae7", "b24988ac-6180-42a0-ab88-20f7382dd24c"
NETWORK_CONTRIBUTOR, ACCESS_ADMIN = "4d97b98b-1d4f-4787-a291-c67834d212e7", "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
RBAC_ADMIN, OWNER = "f58310d9-a9f6-439a-9e8d-f62e7b41a168", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
IDENTITY_OPERATOR = "f1a07417-d97a-45cb-824c-7a7467783830"
DEV, RITA, OTTO = (str(uuid.UUID(int=n)) for n in (1, 2, 3))
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
NETWORK = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/net"
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id"


def role_id(role: str) -> str:
    return f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{role}"


async def assign(call: Client, role: str, principal: str, scope: str, name: str = "", **more: Any) -> httpx.Response:
    properties = {"roleDefinitionId": role_id(role), "principalId": principal, **more}
    path = f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name or uuid.uuid4()}"
    return await call("PUT", path, {"properties": properties}, VERSION)


@pytest.fixture
async def people(arm: Arm, call: Client) -> dict[str, Client]:
    """Three people of the directory, a group with a network in it."""
    for who in (DEV, RITA, OTTO):
        arm.services.entra.directory.principals[who] = Principal(who, kind="user")
    await call("PUT", GROUP, {"location": "westeurope"})
    body = {"location": "westeurope", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}
    await call("PUT", NETWORK, body, "2024-05-01")
    await call("PUT", IDENTITY, {"location": "westeurope"}, "2023-01-31")
    return {"dev": Client(arm, DEV), "rita": Client(arm, RITA), "otto": Client(arm, OTTO)}


def refused(answer: httpx.Response, who: str, action: str, scope: str) -> None:
    assert answer.status_code == 403, answer.text
    error = answer.json()["error"]
    condition = " or an ABAC condition not fulfilled" if action.endswith("roleAssignments/write") else ""
    assert error["code"] == "AuthorizationFailed"
    assert error["message"] == (
        f"The client 'learner@lab.example' with object id '{who}' does not have authorization{condition} to perform "
        f"action '{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh "
        "your credentials."
    )


async def test_reads_writes_actions_and_deletes_need_their_own_right(call: Client, people: dict[str, Client]) -> None:
    rita, dev = people["rita"], people["dev"]
    subnet = f"{NETWORK}/subnets/one"
    refused(await rita("GET", NETWORK, version="2024-05-01"), RITA, "Microsoft.Network/virtualNetworks/read", NETWORK)
    await assign(call, READER, RITA, GROUP)
    assert (await rita("GET", NETWORK, version="2024-05-01")).status_code == 200
    body = {"properties": {"addressPrefix": "10.0.0.0/24"}}
    writes = "Microsoft.Network/virtualNetworks/subnets/write"
    refused(await rita("PUT", subnet, body, "2024-05-01"), RITA, writes, subnet)
    deletes = "Microsoft.Network/virtualNetworks/delete"
    refused(await rita("DELETE", NETWORK, version="2024-05-01"), RITA, deletes, NETWORK)
    refused(await rita("DELETE", GROUP), RITA, "Microsoft.Resources/subscriptions/resourceGroups/delete", GROUP)
    cluster = f"{GROUP}/providers/Microsoft.ContainerService/managedClusters/c"
    action = "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action"
    asked = await rita("POST", f"{cluster}/listClusterUserCredential", version="2025-05-01")
    refused(asked, RITA, action, cluster)
    await assign(call, NETWORK_CONTRIBUTOR, DEV, NETWORK)
    assert (await dev("PUT", subnet, body, "2024-05-01")).status_code in (200, 201)
    assert (await dev("GET", IDENTITY, version="2023-01-31")).status_code == 403


async def test_a_role_of_a_group_is_that_of_its_members(arm: Arm, call: Client, people: dict[str, Client]) -> None:
    team = str(uuid.UUID(int=9))
    await assign(call, READER, team, GROUP, principalType="Group")
    assert (await people["dev"]("GET", NETWORK, version="2024-05-01")).status_code == 403
    assert (await Client(arm, f"{DEV},{team}")("GET", NETWORK, version="2024-05-01")).status_code == 200


async def test_who_may_assign_roles(call: Client, people: dict[str, Client]) -> None:
    dev, otto = people["dev"], people["otto"]
    await assign(call, CONTRIBUTOR, DEV, GROUP)
    name = str(uuid.uuid4())
    path = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/{name}"
    refused(await assign(dev, READER, RITA, GROUP, name), DEV, "Microsoft.Authorization/roleAssignments/write", path)
    await assign(call, ACCESS_ADMIN, OTTO, GROUP)
    assert (await assign(otto, READER, RITA, GROUP, name)).status_code == 201
    assert (await dev("DELETE", path, version=VERSION)).status_code == 403
    assert (await otto("DELETE", path, version=VERSION)).status_code == 200
    assert (await otto("DELETE", NETWORK, version="2024-05-01")).status_code == 403


async def test_a_condition_narrows_who_may_be_given_what(call: Client, people: dict[str, Client]) -> None:
    """The template of the portal: only these roles, and only to people."""
    name = "Microsoft.Authorization/roleAssignments"
    parts = [
        f"((!(ActionMatches{{'{name}/{verb}'}})) OR "
        f"(@{source}[{name}:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {{{READER}, {NETWORK_CONTRIBUTOR}}} AND "
        f"@{source}[{name}:PrincipalType] StringEqualsIgnoreCase 'User'))"
        for verb, source in (("write", "Request"), ("delete", "Resource"))
    ]
    condition = " AND ".join(parts)
    made = await assign(call, RBAC_ADMIN, OTTO, GROUP, condition=condition, conditionVersion="2.0")
    assert made.status_code == 201
    otto = people["otto"]
    assert (await assign(otto, READER, RITA, GROUP, str(uuid.UUID(int=77)))).status_code == 201
    assert (await assign(otto, OWNER, RITA, GROUP)).status_code == 403
    assert (await assign(otto, READER, str(uuid.UUID(int=8)), GROUP, principalType="Group")).status_code == 403
    by_owner = await assign(call, CONTRIBUTOR, RITA, GROUP)
    assert (await otto("DELETE", by_owner.json()["id"], version=VERSION)).status_code == 403
    path = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/{uuid.UUID(int=77)}"
    assert (await otto("DELETE", path, version=VERSION)).status_code == 200
    refused_by_name = await assign(
        call, READER, RITA, GROUP, condition="@Environment[utcNow] DateTimeGreaterThan '2026'", conditionVersion="2.0"
    )
    assert refused_by_name.json()["error"]["code"] == "NotSupportedInSandbox"


async def test_what_a_body_refers_to_needs_a_right_there(call: Client, people: dict[str, Client]) -> None:
    dev = people["dev"]
    await call("PUT", f"{GROUP}-dev", {"location": "westeurope"})
    await assign(call, CONTRIBUTOR, DEV, f"{GROUP}-dev")
    cluster = f"{GROUP}-dev/providers/Microsoft.ContainerService/managedClusters/c"
    subnet = f"{NETWORK}/subnets/one"
    pool = {"name": "p", "mode": "System", "count": 1, "vmSize": "Standard_D4ds_v5", "vnetSubnetID": subnet}
    body = {
        "location": "westeurope",
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}},
        "properties": {"dnsPrefix": "c", "agentPoolProfiles": [pool]},
    }
    answer = await dev("PUT", cluster, body, "2025-05-01")
    joins, assigns = (
        "Microsoft.Network/virtualNetworks/subnets/join/action",
        "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
    )
    assert answer.status_code == 403
    assert answer.json()["error"] == {
        "code": "LinkedAuthorizationFailed",
        "message": (
            f"The client 'learner@lab.example' with object id '{DEV}' has permission to perform action "
            f"'Microsoft.ContainerService/managedClusters/write' on scope '{cluster}'; however, it does not have "
            f"permission to perform action(s) '{joins},{assigns}' on the linked scope(s) '{subnet},{IDENTITY}' "
            "(respectively) or the linked scope(s) are invalid."
        ),
    }
    await assign(call, NETWORK_CONTRIBUTOR, DEV, NETWORK)
    second = await dev("PUT", cluster, body, "2025-05-01")
    assert joins not in second.json()["error"]["message"]
    await assign(call, IDENTITY_OPERATOR, DEV, IDENTITY)
    third = await dev("PUT", cluster, body, "2025-05-01")
    assert "LinkedAuthorizationFailed" not in third.text


@pytest.mark.parametrize(
    ("change", "status", "code", "message"),
    [
        ({"principalId": "dev"}, 400, "InvalidPrincipalId", "'dev' is not valid"),
        ({"principalId": str(uuid.UUID(int=99))}, 400, "PrincipalNotFound", "does not exist in the directory"),
        ({"roleDefinitionId": role_id(str(uuid.UUID(int=5)))}, 400, "RoleDefinitionDoesNotExist", "0" * 31 + "5"),
        (
            {"principalType": "ServicePrincipal"}, 400, "UnmatchedPrincipalType",
            f"The PrincipalId '{DEV.replace('-', '')}' has type 'User' , which is different from specified PrinciaplType "
            "'ServicePrincipal'.",
        ),
    ],
)  # fmt: skip
async def test_an_assignment_that_cannot_be_is_refused(
    call: Client, people: dict[str, Client], change: dict[str, str], status: int, code: str, message: str
) -> None:
    path = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
    properties = {"roleDefinitionId": role_id(READER), "principalId": DEV, **change}
    answer = await call("PUT", path, {"properties": properties}, VERSION)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert message in answer.json()["error"]["message"]


async def test_an_assignment_is_once_at_a_scope_and_keeps_its_parts(call: Client, people: dict[str, Client]) -> None:
    first = await assign(call, READER, DEV, GROUP)
    again = await assign(call, READER, DEV, GROUP.upper().replace("/SUBSCRIPTIONS", "/subscriptions"))
    assert (again.status_code, again.json()["error"]["code"]) == (409, "RoleAssignmentExists")
    assert first.json()["name"].replace("-", "") in again.json()["error"]["message"]
    for scope in (f"/subscriptions/{SUBSCRIPTION}", NETWORK, f"{NETWORK}/subnets/one"):
        assert (await assign(call, READER, DEV, scope)).status_code == 201
    other = await assign(call, CONTRIBUTOR, DEV, GROUP, first.json()["name"])
    assert (other.status_code, other.json()["error"]["code"]) == (400, "RoleAssignmentUpdateNotPermitted")
    made = (await call("GET", first.json()["id"], version=VERSION)).json()["properties"]
    described = await assign(call, READER, DEV, GROUP, first.json()["name"], description="why")
    assert (described.status_code, described.json()["properties"]["description"]) == (201, "why")
    assert described.json()["properties"]["createdBy"] is None
    kept = (await call("GET", first.json()["id"], version=VERSION)).json()["properties"]
    assert (kept["createdOn"], kept["createdBy"]) == (made["createdOn"], made["createdBy"])
    assert kept["createdBy"]


async def test_lists_are_narrowed_by_scope_and_principal(arm: Arm, call: Client, people: dict[str, Client]) -> None:
    team = str(uuid.UUID(int=9))
    arm.services.entra.directory.groups_of = lambda who: (team,) if who == DEV else ()  # type: ignore[method-assign]
    subscription, namespaces = f"/subscriptions/{SUBSCRIPTION}", f"{NETWORK}/subnets"
    for principal, scope, kind in (
        (DEV, GROUP, "User"), (RITA, GROUP, "User"), (DEV, NETWORK, "User"), (team, subscription, "Group"),
        (DEV, f"{namespaces}/one", "User"),
    ):  # fmt: skip
        assert (await assign(call, READER, principal, scope, principalType=kind)).status_code == 201

    async def listed(scope: str, condition: str) -> list[tuple[str, str]]:
        path = f"{scope}/providers/Microsoft.Authorization/roleAssignments?$filter={condition}"
        found = (await call("GET", path, version=VERSION)).json()["value"]
        shown = [(a["properties"]["principalId"], a["properties"]["scope"]) for a in found]
        return sorted(row for row in shown if row[0] != LEARNER)

    assert await listed(GROUP, "atScope()") == sorted([(DEV, GROUP), (RITA, GROUP), (team, subscription)])
    assert await listed(NETWORK, f"principalId eq '{DEV}'") == sorted(
        [(DEV, GROUP), (DEV, NETWORK), (DEV, f"{namespaces}/one")]
    )
    assert await listed(NETWORK, f"atScope() and assignedTo('{DEV}')") == sorted(
        [(DEV, GROUP), (DEV, NETWORK), (team, subscription)]
    )
    assert await listed(subscription, f"assignedTo('{RITA}')") == [(RITA, GROUP)]
    assert await listed(f"{namespaces}/one", "atScope()") == sorted(
        [(DEV, GROUP), (RITA, GROUP), (DEV, NETWORK), (DEV, f"{namespaces}/one"), (team, subscription)]
    )
    path = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments?$filter=scope eq 'x'"
    answer = await call("GET", path, version=VERSION)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "UnsupportedQuery")


async def define(call: Client, **properties: Any) -> httpx.Response:
    own = {"roleName": f"Role {uuid.uuid4()}", "assignableScopes": [f"/subscriptions/{SUBSCRIPTION}"], **properties}
    path = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{uuid.uuid4()}"
    return await call("PUT", path, {"properties": own}, VERSION)


@pytest.mark.parametrize(
    ("kind", "text", "code"),
    [
        ("actions", "Microsoft.Network/*", ""),
        ("actions", "*/read", ""),
        ("actions", "Microsoft.Compute/virtualMachines/start/action", ""),
        ("actions", "Microsoft.Support/*", ""),
        ("actions", "Microsoft.Network/register/action", ""),
        ("actions", "Nothing/things/read", "InvalidActionOrNotAction"),
        ("actions", "Microsoft.Compute/virtualMaschines/read", "InvalidActionOrNotAction"),
        ("notActions", "read", "InvalidActionOrNotAction"),
        ("dataActions", "Microsoft.ContainerService/managedClusters/*/read", ""),
        ("dataActions", "Microsoft.ContainerService/managedClusters/pods/exec/action", ""),
        ("dataActions", "Microsoft.ContainerService/managedClusters/customresources/read", ""),
        ("dataActions", "Microsoft.ContainerService/managedClusters/healthz/etcd/read", ""),
        ("dataActions", "Microsoft.ContainerService/managedClusters/pods/log/read", "InvalidDataActionOrNotDataAction"),
        ("notDataActions", "Microsoft.ContainerService/managedClusters/widgets/*", "InvalidDataActionOrNotDataAction"),
    ],
)
async def test_a_custom_role_names_actions_that_there_are(call: Client, kind: str, text: str, code: str) -> None:
    answer = await define(call, permissions=[{kind: [text]}])
    if not code:
        assert answer.status_code == 201
        return
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    expected = f"'{text}' does not match any of the actions supported by the providers."
    assert answer.json()["error"]["message"] == expected


async def test_a_custom_role_is_for_its_scopes_and_goes_when_nobody_has_it(
    call: Client, people: dict[str, Client]
) -> None:
    role = (await define(call, assignableScopes=[GROUP], permissions=[{"actions": ["*/read"]}])).json()
    subscription = f"/subscriptions/{SUBSCRIPTION}"
    assert (await assign(call, role["name"], DEV, subscription)).json()["error"]["code"] == "RoleDefinitionDoesNotExist"

    async def names(scope: str, condition: str) -> list[str]:
        path = f"{scope}/providers/Microsoft.Authorization/roleDefinitions?$filter={condition}"
        return [r["name"] for r in (await call("GET", path, version=VERSION)).json()["value"]]

    assert await names(NETWORK, "type eq 'CustomRole'") == [role["name"]]
    assert await names(subscription, "type eq 'CustomRole'") == []
    assert await names(subscription, "atScopeAndBelow() and type eq 'CustomRole'") == [role["name"]]
    made = await assign(call, role["name"], DEV, NETWORK)
    assert made.status_code == 201
    used = await call("DELETE", role["id"], version=VERSION)
    assert (used.status_code, used.json()["error"]["code"]) == (400, "RoleDefinitionHasAssignments")
    await call("DELETE", made.json()["id"], version=VERSION)
    assert (await call("DELETE", role["id"], version=VERSION)).status_code == 200


async def test_a_custom_role_needs_the_right_at_each_of_its_scopes(call: Client, people: dict[str, Client]) -> None:
    elsewhere = f"/subscriptions/{uuid.UUID(int=4)}"
    answer = await define(call, assignableScopes=[f"/subscriptions/{SUBSCRIPTION}", elsewhere])
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "LinkedAuthorizationFailed")
    assert f"on the linked scope(s) '{elsewhere}'" in answer.json()["error"]["message"]


async def test_assignments_below_what_is_deleted_end_with_it(call: Client, people: dict[str, Client]) -> None:
    made = await assign(call, READER, DEV, NETWORK)
    await call.done(await call("DELETE", NETWORK, version="2024-05-01"))
    assert (await call("GET", made.json()["id"], version=VERSION)).status_code == 404


async def test_there_are_no_deny_assignments_and_none_can_be_made(call: Client, people: dict[str, Client]) -> None:
    path = f"{GROUP}/providers/Microsoft.Authorization/denyAssignments"
    listed = await call("GET", f"{path}?$filter=atScope()", version=VERSION)
    assert (listed.status_code, listed.json()) == (200, {"value": []})
    one = f"{path}/{uuid.uuid4()}"
    assert (await call("GET", one, version=VERSION)).json()["error"]["code"] == "DenyAssignmentNotFound"
    made = await call("PUT", one, {"properties": {"denyAssignmentName": "no"}}, VERSION)
    assert (made.status_code, made.json()["error"]["code"]) == (501, "NotSupportedInSandbox")
