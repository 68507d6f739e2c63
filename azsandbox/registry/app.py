"""The data plane of all registries: which handler a path belongs to, and what it takes to be let in."""

from __future__ import annotations

import ipaddress
import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from azsandbox.dispatch import LOOPBACK, Receive, Scope, Send, host_name
from azsandbox.registry import acr_endpoints as acr
from azsandbox.registry import blob_endpoints as blobs
from azsandbox.registry import errors, oauth2, web
from azsandbox.registry import manifest_endpoints as manifests
from azsandbox.registry.authentication import authorize
from azsandbox.registry.call import Call
from azsandbox.registry.errors import RegistryError
from azsandbox.registry.names import Grant
from azsandbox.registry.place import Place
from azsandbox.registry.registries import Registries, Registry
from azsandbox.registry.web import Answer, BodyTooLarge, Disconnected, Request

log = logging.getLogger("azsandbox.registry")

Handler = Callable[..., Awaitable[Answer]]


@dataclass(frozen=True)
class Route:
    """A path with its handlers by method; each names the action that a token must allow, and what is asked for."""

    path: re.Pattern[str]
    methods: dict[str, tuple[Handler, str, str]]


def _route(path: str, **methods: tuple[Any, ...]) -> Route:
    """`{name}` is a repository, other words one segment. Methods: handler, action, and the actions to ask for."""
    pattern = path.replace("{name}", "(?P<name>.+?)")
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern)
    return Route(re.compile(pattern + "/?"), {m: (h[0], h[1], h[-1]) for m, h in methods.items()})


_ROUTES = (
    _route("/v2/_catalog", GET=(manifests.catalog, "catalog")),
    _route("/acr/v1/_catalog", GET=(manifests.catalog, "catalog")),
    _route("/v2/{name}/blobs/uploads", POST=(blobs.begin, "push", "pull,push")),
    _route(
        "/v2/{name}/blobs/uploads/{upload}",
        GET=(blobs.status, "push", "pull,push"),
        PATCH=(blobs.append, "push", "pull,push"),
        PUT=(blobs.complete, "push", "pull,push"),
        DELETE=(blobs.cancel, "push", "pull,push"),
    ),
    _route(
        "/v2/{name}/blobs/{digest}",
        GET=(blobs.read, "pull"),
        HEAD=(blobs.read, "pull"),
        DELETE=(blobs.delete, "delete"),
    ),
    _route(
        "/v2/{name}/manifests/{reference}",
        GET=(manifests.read, "pull"),
        HEAD=(manifests.read, "pull"),
        PUT=(manifests.write, "push", "pull,push"),
        DELETE=(manifests.delete, "delete"),
    ),
    _route("/v2/{name}/tags/list", GET=(manifests.tags, "metadata_read,pull", "metadata_read")),
    _route("/v2/{name}/referrers/{digest}", GET=(manifests.referrers, "pull")),
    _route("/acr/v1/{name}/_tags", GET=(acr.tags, "metadata_read")),
    _route(
        "/acr/v1/{name}/_tags/{tag}",
        GET=(acr.show_tag, "metadata_read"),
        PATCH=(acr.update_tag, "metadata_write"),
        DELETE=(acr.delete_tag, "delete"),
    ),
    _route("/acr/v1/{name}/_manifests", GET=(acr.manifests, "metadata_read")),
    _route(
        "/acr/v1/{name}/_manifests/{digest}",
        GET=(acr.show_manifest, "metadata_read"),
        PATCH=(acr.update_manifest, "metadata_write"),
        DELETE=(acr.delete_manifest, "delete"),
    ),
    _route(
        "/acr/v1/{name}",
        GET=(acr.show, "metadata_read"),
        PATCH=(acr.update, "metadata_write"),
        DELETE=(acr.delete, "delete"),
    ),
)


class DataPlane:
    """The ASGI application of *.azurecr.io and of /v2 and /oauth2 on the sandbox's own port."""

    def __init__(self, registries: Registries) -> None:
        self.registries = registries
        self.permissions = registries.permissions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = web.read(scope, receive)
        correlation = str(uuid.uuid4())
        try:
            answer = await self._answer(request, correlation)
        except RegistryError as error:
            answer = Answer(error.status, error.body, dict(error.headers))
        except BodyTooLarge:
            answer = Answer(413, errors.RegistryError(413, "SIZE_INVALID", "the request body is too large").body)
        except Disconnected:
            return
        answer.headers = {
            "Access-Control-Expose-Headers": "Docker-Content-Digest, WWW-Authenticate, Link, X-Ms-Correlation-Request-Id",
            "Docker-Distribution-Api-Version": "registry/2.0",
            "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
            "X-Content-Type-Options": "nosniff",
            "X-Ms-Correlation-Request-Id": correlation,
        } | answer.headers
        await answer.send(send, head=request.method == "HEAD")

    async def _answer(self, request: Request, correlation: str) -> Answer:
        place = self._place(request)
        if place.registry is not None:
            check_network(place.registry)
        if request.path == "/oauth2/exchange" and request.method == "POST":
            return await oauth2.exchange(request, place, self.permissions, correlation)
        if request.path == "/oauth2/token" and request.method in ("GET", "POST"):
            return await oauth2.token(request, place, self.permissions, correlation)
        if request.path in ("/v2", "/v2/"):
            authorize(request, place, self.permissions, None, None)
            return Answer(200, {})
        if request.path.startswith("/acr/v1/_deleted/"):
            raise errors.not_supported("soft delete")
        for route in _ROUTES:
            if found := route.path.fullmatch(request.path):
                return await self._serve(request, place, route, found.groupdict())
        raise errors.page_not_found()

    async def _serve(self, request: Request, place: Place, route: Route, words: dict[str, str]) -> Answer:
        name = words.pop("name", "")
        if request.method not in route.methods:
            raise errors.method_not_allowed()
        handler, action, asked = route.methods[request.method]
        if not name:  # the catalogue
            grant = Grant("registry", "catalog", ("*",))
            registry = place.whole()
            allows = authorize(request, place, self.permissions, grant, grant)
            return await handler(Call(request, registry.content, registry.login_server, "", "", allows))
        enough, wanted = (Grant("repository", name, tuple(text.split(","))) for text in (action, asked))
        allows = authorize(request, place, self.permissions, wanted, enough)
        registry, repository = place.locate(name)
        if place.registry is None:
            check_network(registry)
            if request.path.startswith("/acr/"):
                place.whole()
        return await handler(Call(request, registry.content, registry.login_server, name, repository, allows), **words)

    def _place(self, request: Request) -> Place:
        host = host_name(request.host)
        if host in LOOPBACK:
            return Place(self.registries, None, request.host)
        registry = self.registries.at(host)
        if registry is None:
            raise RegistryError(404, "NOT_FOUND", f"There is no registry at {host}. Make one: az acr create")
        return Place(self.registries, registry, registry.login_server)


def check_network(registry: Registry, address: str = "127.0.0.1") -> None:
    """Raises what a registry says to an address that its network rules do not let in.

    The sandbox has no private endpoints, so a registry without public access is closed to everybody.
    """
    rules = registry.properties.get("networkRuleSet") or {}
    closed = registry.properties.get("publicNetworkAccess") == "Disabled"
    if not closed and rules.get("defaultAction", "Allow") == "Allow":
        return
    allowed = [str(rule.get("value")) for rule in rules.get("ipRules") or []]
    if not closed and any(
        ipaddress.ip_address(address) in ipaddress.ip_network(rule, strict=False) for rule in allowed
    ):
        return
    raise errors.denied(
        f"client with IP '{address}' is not allowed access. Refer https://aka.ms/acr/firewall to grant access."
    )
