"""Who may do what: roles, tokens, the admin user, anonymous pull, network rules."""

from __future__ import annotations

import httpx
import pytest

from tests.azsandbox.registry.conftest import Azure, claims, push_image

ALL = "repository:app:pull,push,delete,metadata_read,metadata_write"


@pytest.mark.parametrize(
    ("role", "actions", "catalog"),
    [
        ("AcrPull", ["pull", "metadata_read"], True),
        ("Reader", ["pull", "metadata_read"], True),
        ("AcrPush", ["pull", "push", "metadata_read", "metadata_write"], True),
        ("AcrDelete", ["delete"], False),
        ("Contributor", ["pull", "push", "delete", "metadata_read", "metadata_write"], True),
    ],
)
async def test_a_role_gives_the_actions_that_it_has_in_azure(
    azure: Azure, role: str, actions: list[str], catalog: bool
) -> None:
    await azure.create("labshop")
    principal = azure.identity()
    await azure.assign(principal, role, azure.id("labshop"))
    status, found = await azure.access("labshop", principal, ALL)
    assert status == 200 and found["access"] == [{"type": "repository", "name": "app", "actions": actions}]
    assert (await azure.access("labshop", principal, "registry:catalog:*"))[0] == (200 if catalog else 401)


@pytest.mark.parametrize("role", [None, "AcrImageSigner"])
async def test_somebody_who_may_do_nothing_here_gets_no_refresh_token(azure: Azure, role: str | None) -> None:
    await azure.create("labshop")
    principal = azure.identity()
    if role:
        await azure.assign(principal, role, azure.id("labshop"))
    answer = await azure.refresh_token("labshop", principal)
    assert answer.status_code == 401
    error = answer.json()["errors"][0]
    assert error["code"] == "UNAUTHORIZED" and error["message"] == (
        "authentication required, visit https://aka.ms/acr/authorization for more information. "
        f"CorrelationId: {answer.headers['x-ms-correlation-request-id']}"
    )


async def test_a_role_holds_for_registries_below_its_scope_and_no_others(azure: Azure) -> None:
    await azure.create("labshop")
    await azure.create("labother")
    principal = azure.identity()
    await azure.assign(principal, "AcrPull", azure.id("labother"))
    assert (await azure.refresh_token("labshop", principal)).status_code == 401
    await azure.assign(principal, "AcrPull", azure.group)
    assert (await azure.refresh_token("labshop", principal)).status_code == 200


async def test_without_a_token_one_is_told_where_to_get_which(azure: Azure) -> None:
    await azure.create("labshop")
    async with azure.client("labshop") as client:
        base = await client.get("/v2/")
        assert base.status_code == 401
        assert base.headers["www-authenticate"] == (
            'Bearer realm="https://labshop.azurecr.io/oauth2/token",service="labshop.azurecr.io"'
        )
        shown = await client.get("/acr/v1/library%2Fhello-world/_tags")
        assert shown.headers["www-authenticate"].endswith(',scope="repository:library/hello-world:metadata_read"')
        assert shown.json()["errors"] == [
            {
                "code": "UNAUTHORIZED",
                "message": "authentication required, visit https://aka.ms/acr/authorization for more information.",
                "detail": [{"Type": "repository", "Name": "library/hello-world", "Action": "metadata_read"}],
            }
        ]
        push = await client.post("/v2/app/blobs/uploads/", headers={"Authorization": "Bearer nonsense"})
        assert push.headers["www-authenticate"].endswith(',scope="repository:app:pull,push",error="invalid_token"')
        assert (await client.get("/v2/_catalog")).headers["www-authenticate"].endswith(',scope="registry:catalog:*"')


async def test_a_token_opens_what_it_names_and_no_more(azure: Azure) -> None:
    await azure.create("labshop", adminUserEnabled=True)
    async with await azure.as_admin("labshop") as client:
        await push_image(client, "app", "v1")
        await push_image(client, "other", "v1")
        answer = await client.get(
            "/oauth2/token", params={"service": "labshop.azurecr.io", "scope": "repository:app:pull"}
        )
        token = answer.json()["access_token"]
        assert claims(token)["aud"] == "labshop.azurecr.io" and claims(token)["sub"] == "labshop"
        client.auth = None
        client.headers["Authorization"] = f"Bearer {token}"
        assert (await client.get("/v2/app/manifests/v1")).status_code == 200
        assert (await client.get("/v2/app/tags/list")).status_code == 200
        for method, path in (
            ("GET", "/v2/other/manifests/v1"),
            ("DELETE", "/v2/app/manifests/v1"),
            ("GET", "/v2/_catalog"),
        ):
            refused = await client.request(method, path)
            assert refused.status_code == 401 and 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    await azure.create("labother")
    async with azure.client("labother") as elsewhere:
        refused = await elsewhere.get("/v2/app/manifests/v1", headers={"Authorization": f"Bearer {token}"})
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]


async def test_a_refresh_token_is_no_access_token_and_is_worth_what_its_owner_may_now(azure: Azure) -> None:
    await azure.create("labshop")
    principal = azure.identity()
    await azure.assign(principal, "AcrPull", azure.id("labshop"))
    token = (await azure.refresh_token("labshop", principal)).json()["refresh_token"]
    assert claims(token)["permissions"]["Actions"] == ["read", "metadata/read"]
    async with azure.client("labshop") as client:
        assert (await client.get("/v2/", headers={"Authorization": f"Bearer {token}"})).status_code == 401
        form = {
            "grant_type": "refresh_token",
            "service": "labshop.azurecr.io",
            "scope": "repository:app:pull",
            "refresh_token": token,
        }
        assert (await client.post("/oauth2/token", data=form)).status_code == 200
        login = httpx.BasicAuth("00000000-0000-0000-0000-000000000000", token)  # docker login of `az acr login`
        assert (
            await client.get("/oauth2/token", params={"scope": "repository:app:pull"}, auth=login)
        ).status_code == 200
        for assignment in azure.host.arm.resources.all("Microsoft.Authorization/roleAssignments"):
            if assignment.body["properties"]["principalId"] == principal:
                azure.host.arm.resources.delete(assignment.id)
        assert (await client.post("/oauth2/token", data=form)).status_code == 401


async def test_tokens_of_other_audiences_are_not_exchanged(azure: Azure) -> None:
    policies = {"azureADAuthenticationAsArmPolicy": {"status": "disabled"}}
    owner = azure.host.owner_ids[0]
    await azure.create("labshop")
    assert (await azure.refresh_token("labshop", owner, "https://management.azure.com")).status_code == 200
    assert (await azure.refresh_token("labshop", owner, "https://vault.azure.net")).status_code == 401
    await azure.create("labshop", policies=policies)
    assert (await azure.refresh_token("labshop", owner, "https://management.azure.com")).status_code == 401
    assert (await azure.refresh_token("labshop", owner)).status_code == 200


async def test_the_admin_user_works_only_while_it_is_enabled(azure: Azure) -> None:
    await azure.create("labshop", adminUserEnabled=True)
    async with await azure.as_admin("labshop") as client:
        assert (await client.get("/v2/")).status_code == 200
        await azure.create("labshop", adminUserEnabled=False)
        assert (await client.get("/v2/")).status_code == 401
        await azure.create("labshop", adminUserEnabled=True)
        assert (await client.get("/v2/")).status_code == 200
        await azure.arm("POST", f"{azure.id('labshop')}/regenerateCredential", {"name": "password"})
        assert (await client.get("/v2/")).status_code == 401


async def test_an_application_signs_in_with_its_secret(azure: Azure) -> None:
    await azure.create("labshop")
    directory = azure.host.entra.directory
    application = directory.create("application", {"displayName": "ci"})
    principal = directory.create_service_principal("ci", "Application", application["properties"]["appId"])
    secret = directory.add_secret(application["properties"]["id"], "ci", None)["secretText"]
    await azure.assign(principal.object_id, "AcrPull", azure.id("labshop"))
    async with azure.client("labshop") as client:
        scope = {"scope": "repository:app:pull,push"}
        good = await client.get("/oauth2/token", params=scope, auth=httpx.BasicAuth(principal.app_id or "", secret))
        assert claims(good.json()["access_token"])["access"][0]["actions"] == ["pull"]
        form = {"grant_type": "password", "username": principal.app_id, "password": "wrong", **scope}
        assert (await client.post("/oauth2/token", data=form)).status_code == 401


async def test_anonymous_pull_opens_reading_to_everybody_and_nothing_else(azure: Azure) -> None:
    await azure.create("labshop", adminUserEnabled=True)
    async with await azure.as_admin("labshop") as admin:
        await push_image(admin, "app", "v1")
    pull = {"service": "labshop.azurecr.io", "scope": "repository:app:pull,push"}
    async with azure.client("labshop") as client:
        assert (await client.get("/oauth2/token", params=pull)).status_code == 401
        await azure.create("labshop", adminUserEnabled=True, anonymousPullEnabled=True)
        token = (await client.get("/oauth2/token", params=pull)).json()["access_token"]
        assert claims(token)["access"] == [{"type": "repository", "name": "app", "actions": ["pull"]}]
        assert (
            await client.get("/v2/app/manifests/v1", headers={"Authorization": f"Bearer {token}"})
        ).status_code == 200
        assert (await client.get("/oauth2/token", params={"scope": "registry:catalog:*"})).status_code == 401


async def test_with_repository_permissions_data_actions_decide(azure: Azure) -> None:
    await azure.create("labshop", roleAssignmentMode="AbacRepositoryPermissions")
    old, new = azure.identity("old"), azure.identity("new")
    await azure.assign(old, "AcrPull", azure.id("labshop"))
    await azure.assign(new, "Container Registry Repository Reader", azure.id("labshop"))
    assert (await azure.refresh_token("labshop", old)).status_code == 401
    status, found = await azure.access("labshop", new, ALL)
    assert status == 200 and found["access"][0]["actions"] == ["pull", "metadata_read"]
    assert (await azure.access("labshop", new, "registry:catalog:*"))[0] == 401
    await azure.assign(new, "Container Registry Repository Catalog Lister", azure.id("labshop"))
    assert (await azure.access("labshop", new, "registry:catalog:*"))[0] == 200


async def test_a_condition_narrows_a_role_to_repositories(azure: Azure) -> None:
    await azure.create("labshop", roleAssignmentMode="AbacRepositoryPermissions")
    principal = azure.identity()
    condition = (
        "((!(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/content/read'}) AND "
        "!(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/metadata/read'})) OR "
        "(@Request[Microsoft.ContainerRegistry/registries/repositories:name] StringStartsWithIgnoreCase 'team-a/'))"
    )
    await azure.assign(
        principal,
        "Container Registry Repository Reader",
        azure.id("labshop"),
        condition=condition,
        conditionVersion="2.0",
    )
    assert (await azure.access("labshop", principal, "repository:team-a/app:pull"))[0] == 200
    assert (await azure.access("labshop", principal, "repository:team-b/app:pull"))[0] == 401


async def test_a_closed_registry_refuses_by_address(azure: Azure) -> None:
    await azure.create("labshop", networkRuleSet={"defaultAction": "Deny", "ipRules": [{"value": "10.0.0.0/8"}]})
    async with azure.client("labshop") as client:
        refused = await client.get("/v2/")
        assert refused.status_code == 403 and refused.json()["errors"][0] == {
            "code": "DENIED",
            "message": "client with IP '127.0.0.1' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.",
        }
        rules = {"defaultAction": "Deny", "ipRules": [{"value": "127.0.0.0/24"}]}
        await azure.create("labshop", networkRuleSet=rules)
        assert (await client.get("/v2/")).status_code == 401
        await azure.create("labshop", networkRuleSet=rules, publicNetworkAccess="Disabled")
        assert (await client.get("/v2/")).status_code == 403


async def test_on_the_sandboxes_own_port_the_first_part_of_a_name_is_the_registry(azure: Azure) -> None:
    await azure.create("labshop", adminUserEnabled=True)
    host = f"localhost:{azure.host.tls_port}"
    async with await azure.as_admin("labshop") as admin, azure.client("labshop", host) as client:
        digest = await push_image(admin, "team/app", "v1")
        params = {"service": host, "scope": "repository:labshop/team/app:pull"}
        challenge = (await client.get("/v2/labshop/team/app/manifests/v1")).headers["www-authenticate"]
        assert challenge == f'Bearer realm="https://{host}/oauth2/token",service="{host}",scope="{params["scope"]}"'
        token = (await client.get("/oauth2/token", params=params, auth=admin.auth)).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        found = await client.get("/v2/labshop/team/app/manifests/v1", headers=headers)
        assert found.headers["docker-content-digest"] == digest
        assert (await client.get("/v2/labother/team/app/manifests/v1", headers=headers)).status_code == 401
