"""What a web hook brings about, and what it is answered."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from azsandbox.controllers.client import path
from azsandbox.flux.conditions import is_true
from azsandbox.flux.notification.receiver_server import LARGEST, ReceiverServer
from azsandbox.flux.notification.receivers import API_VERSION, Receivers
from azsandbox.kubernetes.program_http import HttpRequest
from tests.azsandbox.flux.conftest import Flux
from tests.azsandbox.flux.web import Web

SOURCE = "source.toolkit.fluxcd.io/v1"
REQUESTED = "reconcile.fluxcd.io/requestedAt"
URL = path(API_VERSION, "receivers", "apps", "hook")


class Hook:
    """Receiver `hook` with its server."""

    def __init__(self, flux: Flux, server: ReceiverServer, target: str) -> None:
        self.flux, self.server, self.target = flux, server, target

    async def call(self, body: Any = None, target: str = "", **headers: str) -> int:
        """The status that a request is answered with."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = HttpRequest("POST", target or self.target, {"content-type": "application/json", **given}, data)
        return (await self.server.answer(request)).status

    async def asked(self) -> set[str]:
        """Names of the repositories whose reconciliation was asked for."""
        found = await self.flux.client.list(path(SOURCE, "gitrepositories", "apps"))
        return {obj["metadata"]["name"] for obj in found if REQUESTED in (obj["metadata"].get("annotations") or {})}


async def hook(flux: Flux, options: dict[str, Any] | None = None, **spec: Any) -> Hook:
    await flux.make("v1", "secrets", "token", {"token": "abc"})
    for name, team in (("one", "web"), ("two", "web"), ("three", "db")):
        repository = {"interval": "10m", "url": f"https://git.example/{name}"}
        await flux.make(SOURCE, "gitrepositories", name, repository, labels={"team": team})
    whole = {"type": "generic", "secretRef": {"name": "token"}, **spec}
    if whole["type"] == "generic-oidc":
        del whole["secretRef"]
    whole.setdefault("resources", [{"kind": "GitRepository", "name": "one"}])
    await flux.make(API_VERSION, "receivers", "hook", whole)
    server, _ = await flux.run(ReceiverServer, Receivers, **(options or {}))
    ready = await flux.until(URL, lambda obj: is_true(obj, "Ready"))
    target = ready["status"]["webhookPath"]
    await server.receivers.until(lambda: "webhookPath" in (server.receivers.objects["apps/hook"].get("status") or {}))
    return Hook(flux, server, target)


async def test_a_request_asks_for_what_the_receiver_names(flux: Flux) -> None:
    found = await hook(flux)
    assert await found.call() == 200
    assert await found.asked() == {"one"}
    one = await flux.client.get(path(SOURCE, "gitrepositories", "apps", "one"))
    assert " +0000 UTC m=+" in one["metadata"]["annotations"][REQUESTED]


async def test_labels_choose_and_filters_keep_back(flux: Flux) -> None:
    resources = [{"kind": "GitRepository", "name": "*", "matchLabels": {"team": "web"}}]
    found = await hook(flux, resources=resources, resourceFilter="res.metadata.name == req.repository.name")
    assert await found.call({"repository": {"name": "two"}}) == 200
    assert await found.asked() == {"two"}


async def test_one_resource_has_a_filter_of_its_own(flux: Flux) -> None:
    resources = [
        {"kind": "GitRepository", "name": "one", "filter": "req.branch == 'main'"},
        {"kind": "GitRepository", "name": "two"},
    ]
    found = await hook(flux, resources=resources)
    assert await found.call({"branch": "dev"}) == 200
    assert await found.asked() == {"two"}


@pytest.mark.parametrize(
    ("resource", "text"),
    [
        ({"kind": "GitRepository", "name": "none"}, 'GitRepository.source.toolkit.fluxcd.io \\"none\\" not found'),
        ({"kind": "Kustomization", "name": "x"}, 'apiVersion must be specified for kind \\"Kustomization\\"'),
        ({"kind": "GitRepository", "name": "*"}, "matchLabels field not set when using wildcard '*' as name"),
    ],
)
async def test_what_cannot_be_asked_for_is_an_error_and_the_rest_is_done(
    flux: Flux, resource: dict[str, Any], text: str
) -> None:
    found = await hook(flux, resources=[resource, {"kind": "GitRepository", "name": "one"}])
    assert await found.call() == 500
    assert text in await flux.logged("notification-controller", "unable to request reconciliation")
    assert await found.asked() == {"one"}


async def test_answers_tell_nothing_but_whether_it_went_well(flux: Flux) -> None:
    found = await hook(flux, type="github")
    missing = await found.server.answer(HttpRequest("POST", "/hook/none"))
    assert (missing.status, missing.body) == (404, b"")
    assert (await found.server.answer(HttpRequest("GET", "/"))).body == b"404 page not found\n"
    assert await found.call(target=f"{found.target}?a=b") == 404
    assert await found.call() == 400
    assert await found.call(b"x" * (LARGEST + 1)) == 413


async def test_a_suspended_receiver_and_one_that_is_not_ready_are_away(flux: Flux) -> None:
    found = await hook(flux)
    await flux.client.patch(URL, {"spec": {"suspend": True}})
    receivers = found.server.receivers
    await receivers.until(lambda: bool(receivers.objects["apps/hook"]["spec"].get("suspend")))
    assert await found.call() == 503
    assert await found.asked() == set()


async def test_a_body_that_is_no_json_is_an_error_for_a_filter_alone(flux: Flux) -> None:
    found = await hook(flux, resourceFilter="req.name == 'x'")
    assert await found.call(b"{") == 500
    assert await found.call(b"{", content_type="text/plain") == 500  # no such key, since there is no body to see
    assert "no such key" in await flux.logged("notification-controller", "no such key")


async def test_other_namespaces_are_refused_where_the_controller_is_told_so(flux: Flux) -> None:
    resources = [{"kind": "GitRepository", "name": "x", "namespace": "other"}]
    found = await hook(flux, {"arguments": ("--no-cross-namespace-refs=true",)}, resources=resources)
    assert await found.call() == 500
    await flux.logged("notification-controller", "cross-namespace references are not allowed")


async def test_a_token_of_an_issuer_takes_the_place_of_a_secret(flux: Flux, hooks: Web) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": "1", "use": "sig"}

    def answer(asked: Any) -> tuple[int, Any]:
        if asked.target == "/keys":
            return 200, {"keys": [public]}
        return 200, {"issuer": hooks.url, "jwks_uri": f"{hooks.url}/keys"}

    hooks.answer = answer
    provider = {
        "issuerURL": hooks.url,
        "variables": [{"name": "team", "expression": "claims.sub"}],
        "validations": [{"expression": "vars.team == 'web'", "message": "another team"}],
    }
    found = await hook(flux, type="generic-oidc", oidcProviders=[provider], resourceFilter="claims.sub == 'web'")

    def token(**changes: Any) -> str:
        claims = {"iss": hooks.url, "aud": "notification-controller", "sub": "web", "exp": 4102444800, **changes}
        return "Bearer " + jwt.encode(claims, key, "RS256", {"kid": "1"})

    assert await found.call({}, authorization=token()) == 200
    assert await found.asked() == {"one"}
    for wrong in (token(sub="db"), token(aud="other"), token(exp=1), token(iss="https://other"), "Bearer x", "x"):
        assert await found.call({}, authorization=wrong) == 400
    assert await found.call({}) == 400
