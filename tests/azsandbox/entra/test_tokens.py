from __future__ import annotations

import jwt
import pytest

from azsandbox.clock import Clock
from azsandbox.entra import Entra, TokenError
from azsandbox.entra.tokens import read_claims
from azsandbox.store import Store
from tests.azsandbox.entra.conftest import ARM, SUBSCRIPTION, TENANT


def test_a_persons_token_carries_entras_claims(entra: Entra) -> None:
    claims = read_claims(entra.issue(entra.learner.object_id, ARM))
    assert claims["aud"] == ARM and claims["iss"] == f"https://sts.windows.net/{TENANT}/" and claims["ver"] == "1.0"
    assert (claims["tid"], claims["oid"], claims["idtyp"]) == (TENANT, entra.learner.object_id, "user")
    assert claims["upn"] == claims["unique_name"] == entra.learner.user_principal_name
    assert claims["exp"] - claims["iat"] == 3600 and claims["nbf"] == claims["iat"]
    admins = entra.directory.find("AKS Cluster Admins", "group")
    assert admins and claims["groups"] == [admins.object_id]


def test_a_managed_identitys_token_names_its_resource(entra: Entra) -> None:
    resource = (
        f"/subscriptions/{SUBSCRIPTION}/resourcegroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id"
    )
    identity = entra.directory.create_service_principal(
        "id", "ManagedIdentity", alternative_names=("isExplicit=True", resource)
    )
    claims = read_claims(entra.issue(identity.object_id, ARM))
    assert (claims["idtyp"], claims["appid"], claims["sub"]) == ("app", identity.app_id, identity.object_id)
    assert claims["xms_mirid"] == resource and "upn" not in claims


def test_tokens_verify_with_the_published_keys(entra: Entra) -> None:
    token = entra.issue(entra.learner.object_id, ARM)
    key = entra.tokens.key_set()["keys"][0]
    assert jwt.get_unverified_header(token)["kid"] == key["kid"]
    assert jwt.decode(token, jwt.PyJWK(key, algorithm="RS256").key, algorithms=["RS256"], audience=ARM)


def test_an_application_that_asks_for_version_2_gets_it(entra: Entra) -> None:
    """The resource decides the version, not the endpoint (manifest, requestedAccessTokenVersion)."""
    api = entra.directory.create("application", {"displayName": "api", "identifierUris": ["api://shop"]})
    claims = read_claims(entra.issue(entra.learner.object_id, "api://shop"))
    assert claims["ver"] == "2.0" and claims["iss"].endswith("/v2.0")
    assert claims["aud"] == api["properties"]["appId"]


def test_verification_says_who_and_in_which_groups(entra: Entra) -> None:
    outer = entra.directory.create("group", {"displayName": "everyone"})["properties"]["id"]
    inner = entra.directory.find("AKS Cluster Admins", "group")
    assert inner
    entra.directory.add_member(outer, inner.object_id)
    identity = entra.verify(entra.issue(entra.learner.object_id, ARM), ("https://management.azure.com",))
    assert (identity.object_id, identity.kind) == (entra.learner.object_id, "user")
    assert identity.name == entra.learner.user_principal_name
    assert set(identity.groups) == {inner.object_id, outer}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t[:-8] + "AAAAAAAA", "signature"),
        (lambda t: "nonsense", "malformed"),
        (lambda t: "", "malformed"),
        (lambda t: jwt.encode(read_claims(t), "k" * 32, algorithm="HS256"), "malformed"),
        (lambda t: jwt.encode(read_claims(t), None, algorithm="none"), "malformed"),
    ],
)
def test_a_token_that_was_not_signed_here_is_refused(entra: Entra, change, reason: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TokenError) as refused:
        entra.verify(change(entra.issue(entra.learner.object_id, ARM)), None)
    assert refused.value.reason in (reason, "malformed")


def test_an_expired_token_is_refused_though_it_was_good_before(entra: Entra) -> None:
    token = entra.issue(entra.learner.object_id, ARM, lifetime=600)
    entra.verify(token, None)
    entra.clock.advance(601)
    with pytest.raises(TokenError) as refused:
        entra.verify(token, None)
    assert refused.value.code == "ExpiredAuthenticationToken"


def test_a_token_for_another_service_is_refused(entra: Entra) -> None:
    token = entra.issue(entra.learner.object_id, "https://vault.azure.net")
    with pytest.raises(TokenError) as refused:
        entra.verify(token, (ARM,))
    assert refused.value.code == "InvalidAuthenticationTokenAudience" and "vault.azure.net" in refused.value.message


def test_a_token_of_someone_who_was_deleted_is_refused(entra: Entra) -> None:
    robot = entra.directory.create_service_principal("robot")
    token = entra.issue(robot.object_id, ARM)
    entra.verify(token, None)
    entra.directory.delete(robot.object_id)
    with pytest.raises(TokenError) as refused:
        entra.verify(token, None)
    assert refused.value.reason == "principal"


def test_a_token_of_another_installation_is_refused(entra: Entra) -> None:
    other = Entra(Store(None).bucket("entra"), Clock(), TENANT, SUBSCRIPTION)
    with pytest.raises(TokenError) as refused:
        entra.verify(other.issue(other.learner.object_id, ARM), None)
    assert refused.value.reason == "signature"


def test_keys_and_directory_come_back_from_the_store(store: Store, entra: Entra) -> None:
    group = entra.directory.create("group", {"displayName": "kept"})["properties"]["id"]
    entra.directory.add_member(group, entra.learner.object_id)
    token, header = entra.issue(entra.learner.object_id, ARM), entra.identity_header(entra.learner.object_id)
    again = Entra(store.bucket("entra"), Clock(), TENANT, SUBSCRIPTION)
    assert group in again.verify(token, None).groups
    assert again.identity_header(again.learner.object_id) == header
