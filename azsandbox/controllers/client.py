"""A Kubernetes client for the sandbox's controllers, over the network or in the same process.

Controllers know the cluster only through this: the REST interface that any client has. The
transport decides how a request travels; nothing else differs.
"""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Protocol

import orjson

from azsandbox.kubernetes.errors import StatusError

Object = dict[str, Any]
Objects = list[Object]  # by another name than list, which the classes here use for what they do

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"


class Transport(Protocol):
    """Carries requests to an API server."""

    async def send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """One request; returns the status code and the body."""

    def stream(self, url: str, headers: dict[str, str]) -> AsyncIterator[bytes]:
        """A GET whose answer comes in lines. Raises StatusError if it is refused."""

    async def close(self) -> None:
        """Lets go of connections."""

    def acting_as(self, user: str, groups: tuple[str, ...]) -> Transport:
        """The same server, as somebody else: a process with an account of its own."""


def path(api_version: str, resource: str, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """URL path of a resource: path("apps/v1", "deployments", "default", "web", "status")."""
    base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    scope = f"/namespaces/{namespace}" if namespace else ""
    return base + scope + "/" + "/".join(part for part in (resource, name, subresource) if part)


def status_error(code: int, body: bytes) -> StatusError:
    """The error that an answer of 400 or more carries."""
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = {"message": body.decode("utf-8", "replace")[:500]}
    return StatusError(code, status.get("reason", ""), status.get("message", ""), status.get("details"))


class KubeClient:
    """Requests to one API server. All methods take URL paths (see `path`) and raise StatusError.

    `user_agent` names the client; up to the first "/" it is also the field manager.
    """

    def __init__(
        self, transport: Transport, user_agent: str = "azsandbox", headers: Mapping[str, str] | None = None
    ) -> None:
        self.transport, self.user_agent, self.headers = transport, user_agent, dict(headers or {})

    def named(self, user_agent: str) -> KubeClient:
        """The same connection under another name."""
        return KubeClient(self.transport, user_agent, self.headers)

    def acting_as(self, user: str, groups: tuple[str, ...] = ()) -> KubeClient:
        """A connection of somebody else's: what a process has that runs under an account of its own."""
        return KubeClient(self.transport.acting_as(user, groups), self.user_agent)

    def impersonating(self, user: str) -> KubeClient:
        """The same connection, with requests made on behalf of `user` (Impersonate-User)."""
        return KubeClient(self.transport, self.user_agent, {**self.headers, "impersonate-user": user})

    async def request(
        self,
        method: str,
        url: str,
        body: Object | list | bytes | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """Any request; returns the answer's JSON ({} if it has none)."""
        if query:
            url = f"{url}?{urllib.parse.urlencode(query)}"
        headers = {"accept": "application/json", "user-agent": self.user_agent, **self.headers}
        data = b""
        if body is not None:
            data = body if isinstance(body, bytes) else orjson.dumps(body)
            headers["content-type"] = content_type
        code, answer = await self.transport.send(method, url, headers, data)
        if code >= 400:
            raise status_error(code, answer)
        if not answer:
            return {}
        try:
            return orjson.loads(answer)
        except orjson.JSONDecodeError:
            return {"text": answer.decode("utf-8", "replace")}  # logs are text

    async def get(self, url: str) -> Object:
        return await self.request("GET", url)

    async def find(self, url: str) -> Object | None:
        """As `get`; None when it is not there."""
        try:
            return await self.request("GET", url)
        except StatusError as error:
            if error.code == 404:
                return None
            raise

    async def list(self, url: str, **query: str) -> Objects:
        """Items of a list, all pages. `query`: labelSelector, fieldSelector …"""
        items: Objects = []
        token = ""
        while True:
            answer = await self.request(
                "GET", url, query={**query, "limit": "500", **({"continue": token} if token else {})}
            )
            items += answer.get("items") or []
            token = answer.get("metadata", {}).get("continue") or ""
            if not token:
                return items

    async def create(self, url: str, obj: Object) -> Object:
        return await self.request("POST", url, obj)

    async def update(self, url: str, obj: Object) -> Object:
        return await self.request("PUT", url, obj)

    async def patch(self, url: str, change: Object | Objects, content_type: str = MERGE) -> Object:
        return await self.request("PATCH", url, change, content_type=content_type)

    async def apply(self, url: str, obj: Object, manager: str, force: bool = True) -> Object:
        """Server-side apply."""
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        return await self.request("PATCH", url, obj, query=query, content_type=APPLY)

    async def delete(self, url: str, options: Object | None = None) -> Object:
        """Deletes; `options` are DeleteOptions such as {"propagationPolicy": "Foreground"}."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **options} if options else None
        return await self.request("DELETE", url, body)

    async def gone(self, url: str, options: Object | None = None) -> None:
        """As `delete`; it may be gone already."""
        with contextlib.suppress(StatusError):
            await self.delete(url, options)

    async def watch(self, url: str, **query: str) -> AsyncGenerator[Object, None]:
        """Events {"type", "object"} until the server ends the watch."""
        url = f"{url}?{urllib.parse.urlencode({'watch': 'true', **query})}"
        headers = {"accept": "application/json", "user-agent": self.user_agent, **self.headers}
        async for line in self.transport.stream(url, headers):
            if line.strip():
                yield orjson.loads(line)

    async def close(self) -> None:
        await self.transport.close()
