from __future__ import annotations

import pytest

from azsandbox.entra import Entra, facts
from azsandbox.entra.graph import filters
from tests.azsandbox.entra.conftest import ARM


async def test_the_signed_in_user_is_the_learner(entra: Entra, graph) -> None:  # type: ignore[no-untyped-def]
    status, me = await graph("GET", "/me")
    assert status == 200 and me["id"] == entra.learner.object_id
    assert me["@odata.context"].endswith("$metadata#users/$entity") and "accountEnabled" not in me


async def test_every_persona_is_in_its_groups(entra: Entra, graph) -> None:  # type: ignore[no-untyped-def]
    for persona in facts.personas()["personas"]:
        _, found = await graph("GET", "/me/memberOf", persona=persona["key"])
        assert sorted(g["displayName"] for g in found["value"]) == sorted(persona["groups"])
        assert all(g["@odata.type"] == "#microsoft.graph.group" for g in found["value"])


async def test_az_finds_a_group_and_adds_a_member(entra: Entra, graph) -> None:  # type: ignore[no-untyped-def]
    body = {"displayName": "ops", "mailNickname": "ops", "mailEnabled": False, "securityEnabled": True}
    status, group = await graph("POST", "/groups", body)
    assert status == 201
    _, listed = await graph("GET", "/groups?$filter=startswith(displayName,'OP')")
    assert [g["id"] for g in listed["value"]] == [group["id"]]
    reader = next(p for p in entra.personas() if p.key == "reader")
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{reader.object_id}"}
    assert (await graph("POST", f"/groups/{group['id']}/members/$ref", reference))[0] == 204
    _, members = await graph("GET", f"/groups/{group['id']}/members?$select=id,displayName")
    assert members["value"] == [
        {"@odata.type": "#microsoft.graph.user", "id": reader.object_id, "displayName": "Rita Reader"}
    ]
    assert (await graph("DELETE", f"/groups/{group['id']}/members/{reader.object_id}/$ref"))[0] == 204
    assert (await graph("DELETE", f"/groups/{group['id']}/members/{reader.object_id}/$ref"))[0] == 404


async def test_az_makes_a_service_principal_for_rbac(graph) -> None:  # type: ignore[no-untyped-def]
    _, application = await graph("POST", "/applications", {"displayName": "robot"})
    assert application["passwordCredentials"] == []
    _, secret = await graph(
        "POST", f"/applications/{application['id']}/addPassword", {"passwordCredential": {"displayName": "rbac"}}
    )
    assert secret["secretText"] and secret["hint"] == secret["secretText"][:3]
    _, shown = await graph("GET", f"/applications/{application['id']}")
    assert shown["passwordCredentials"][0]["secretText"] is None
    status, principal = await graph("POST", "/servicePrincipals", {"appId": application["appId"]})
    assert status == 201 and principal["displayName"] == "robot"
    assert (await graph("POST", "/servicePrincipals", {"appId": application["appId"]}))[0] == 409
    _, found = await graph("GET", f"/servicePrincipals(appId='{application['appId']}')")
    assert found["id"] == principal["id"]
    assert (await graph("DELETE", f"/applications/{application['id']}"))[0] == 204
    assert (await graph("GET", f"/servicePrincipals/{principal['id']}"))[0] == 404


async def test_only_a_global_administrator_changes_the_directory(graph) -> None:  # type: ignore[no-untyped-def]
    body = {"displayName": "x", "mailNickname": "x", "mailEnabled": False, "securityEnabled": True}
    status, refused = await graph("POST", "/groups", body, persona="developer")
    assert (status, refused["error"]["code"]) == (403, "Authorization_RequestDenied")
    assert (await graph("GET", "/groups", persona="developer"))[0] == 200


async def test_an_application_has_no_permissions(entra: Entra, graph) -> None:  # type: ignore[no-untyped-def]
    robot = entra.directory.create_service_principal("robot")
    token = entra.issue(robot.object_id, "https://graph.microsoft.com")
    assert (await graph("GET", "/users", token=token))[0] == 403


async def test_a_token_for_arm_does_not_open_graph(entra: Entra, graph) -> None:  # type: ignore[no-untyped-def]
    status, refused = await graph("GET", "/me", token=entra.issue(entra.learner.object_id, ARM))
    assert status == 401 and refused["error"]["message"] == "Access token validation failure. Invalid audience."


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/users?$filter=nonsense eq 'x'", None, 400, "Request_BadRequest"),
        ("GET", "/users?$filter=displayName eq", None, 400, "Request_BadRequest"),
        ("GET", "/users?$filter=" + "(" * 2000 + "mail eq 'x'" + ")" * 2000, None, 400, "Request_BadRequest"),
        ("GET", "/users?$top=0", None, 400, "Request_BadRequest"),
        ("GET", "/users?$search=x", None, 400, "Request_UnsupportedQuery"),
        ("GET", "/users/$count", None, 400, "Request_BadRequest"),
        ("GET", "/users?$expand=memberOf", None, 501, "NotSupportedInSandbox"),
        ("GET", "/devices", None, 501, "NotSupportedInSandbox"),
        ("GET", "/users/11111111-2222-3333-4444-555555555555", None, 404, "Request_ResourceNotFound"),
        ("PUT", "/users", {}, 405, "Request_BadRequest"),
        ("POST", "/groups", {"displayName": "x"}, 400, "Request_BadRequest"),
        ("POST", "/applications", {"displayName": "x", "nonsense": 1}, 400, "Request_BadRequest"),
        ("POST", "/applications", {"displayName": "x", "appId": "y"}, 400, "Request_BadRequest"),
        ("POST", "/servicePrincipals", {"appId": "nobody's"}, 400, "Request_BadRequest"),
    ],
)
async def test_bad_requests_are_refused_in_graphs_envelope(graph, method, path, body, status, code) -> None:  # type: ignore[no-untyped-def]
    found, answer = await graph(method, path, body)
    assert (found, answer["error"]["code"]) == (status, code)
    assert set(answer["error"]["innerError"]) == {"date", "request-id", "client-request-id"}


async def test_az_asks_of_any_object_which_groups_it_is_in(entra: Entra, graph) -> None:  # type: ignore[no-untyped-def]
    ids = [g["properties"]["id"] for g in entra.directory.each("group")]
    path = f"/directoryObjects/{entra.learner.object_id}"
    _, of = await graph("GET", "/me/memberOf")
    status, found = await graph("POST", f"{path}/checkMemberGroups", {"groupIds": ids})
    assert (status, found["value"]) == (200, [g["id"] for g in of["value"]])
    assert found["@odata.context"].endswith("$metadata#Collection(Edm.String)")
    _, same = await graph("POST", f"{path}/checkMemberObjects", {"ids": ids})
    assert same["value"] == found["value"]
    missing = "/directoryObjects/11111111-2222-3333-4444-555555555555/checkMemberGroups"
    assert (await graph("POST", missing, {"groupIds": ids}))[0] == 404


async def test_what_a_person_owns_is_listed_with_its_kind(entra: Entra, graph) -> None:  # type: ignore[no-untyped-def]
    _, application = await graph("POST", "/applications", {"displayName": "shop"})
    assert (await graph("GET", "/me/ownedObjects"))[1]["value"] == []
    reference = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{entra.learner.object_id}"}
    await graph("POST", f"/applications/{application['id']}/owners/$ref", reference)
    _, found = await graph("GET", "/me/ownedObjects?$select=displayName")
    assert found["value"] == [{"@odata.type": "#microsoft.graph.application", "displayName": "shop"}]


async def test_search_and_counting_need_the_consistency_level(graph) -> None:  # type: ignore[no-untyped-def]
    eventual = {"ConsistencyLevel": "eventual"}
    _, found = await graph("GET", '/users?$search="displayName:lear" OR "displayName:rita"', headers=eventual)
    assert sorted(u["displayName"] for u in found["value"]) == ["Lena Learner", "Rita Reader"]
    _, found = await graph("GET", '/users?$search="displayName:ada" AND "mail:otto"', headers=eventual)
    assert found["value"] == []
    assert await graph("GET", "/users/$count", headers=eventual) == (200, len(facts.personas()["personas"]))
    status, refused = await graph("GET", '/users?$search="nonsense:x"', headers=eventual)
    assert (status, refused["error"]["code"]) == (400, "Request_BadRequest")
    assert (await graph("GET", '/users?$search=("displayName:a")', headers=eventual))[0] == 501


async def test_lists_are_paged_by_next_links(graph) -> None:  # type: ignore[no-untyped-def]
    names, path = [], "/users?$top=2&$select=displayName&$orderby=displayName"
    while path:
        _, page = await graph("GET", path)
        assert len(page["value"]) <= 2
        names += [u["displayName"] for u in page["value"]]
        path = page.get("@odata.nextLink")
    assert names == sorted(p["name"] for p in facts.personas()["personas"])


async def test_get_by_ids_leaves_out_what_is_not_there(entra: Entra, graph) -> None:  # type: ignore[no-untyped-def]
    ids = [entra.learner.object_id, "11111111-2222-3333-4444-555555555555"]
    _, found = await graph("POST", "/directoryObjects/getByIds", {"ids": ids, "types": ["user"]})
    assert [o["id"] for o in found["value"]] == ids[:1]
    _, none = await graph("POST", "/directoryObjects/getByIds", {"ids": ids, "types": ["group"]})
    assert none["value"] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("displayName eq 'ADA admin'", True),
        ("displayName eq 'Ada' or startswith(displayName,'ada')", True),
        ("not (displayName eq 'Ada Admin')", False),
        ("displayName eq 'O''Hara'", False),
        ("names/any(c:c eq 'X')", True),
        ("names/any(c:startswith(c,'z'))", False),
        ("displayName in ('a', 'Ada Admin') and enabled eq true", True),
        ("mail eq null", True),
        ("mail ne null", False),
        ("count ge 3 and count lt 4", True),
    ],
)
def test_filters_mean_what_odata_says(text: str, expected: bool) -> None:
    person = {"displayName": "Ada Admin", "names": ["x", "y"], "enabled": True, "mail": None, "count": 3}
    assert filters.parse(text, set(person))(person) is expected
