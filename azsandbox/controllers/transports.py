"""How a controller's requests travel: within the process, or by HTTPS to the server of a kubeconfig."""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from azsandbox.controllers.client import status_error
from azsandbox.kubernetes.authn import AUTHENTICATED, with_group
from azsandbox.kubernetes.request import Request, Response, User

if TYPE_CHECKING:
    import httpx

    from azsandbox.kubernetes.server import ApiServer


class InProcess:
    """To an API server in this process, as `user`. The request takes the server's whole path all the same."""

    def __init__(self, server: ApiServer, user: User) -> None:
        self.server, self.user = server, user

    async def send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        response = await self.server.handle(Request.to(method, url, body, headers, self.user))
        return response.status, _bytes(response)

    async def stream(self, url: str, headers: dict[str, str]) -> AsyncIterator[bytes]:
        response = await self.server.handle(Request.to("GET", url, b"", headers, self.user))
        if response.stream is None:
            raise status_error(response.status, _bytes(response))
        async for chunk in response.stream:
            for line in chunk.splitlines():  # events that came together are in one chunk
                yield line

    async def close(self) -> None:
        return None

    def acting_as(self, user: str, groups: tuple[str, ...]) -> InProcess:
        return InProcess(self.server, with_group(User(user, groups), AUTHENTICATED))


def _bytes(response: Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else orjson.dumps(response.body)


class Network:
    """To the server that a kubeconfig names, with its client certificate or token.

    `proxy` is a proxy to go through, and `ca` a file of authorities to trust besides those of the kubeconfig.
    """

    def __init__(self, kubeconfig: Path, context: str = "") -> None:
        import yaml  # only a controller on its own needs it

        self._read(yaml.safe_load(kubeconfig.read_text()), context, "", None)

    @classmethod
    def of(cls, config: dict[str, Any], proxy: str = "", ca: Path | None = None) -> Network:
        """By a kubeconfig that was read already. Raises KeyError or ValueError for one that names no server."""
        network = cls.__new__(cls)
        network._read(config, "", proxy, ca)
        return network

    def _read(self, config: dict[str, Any], context: str, proxy: str, ca: Path | None) -> None:
        current = _named(config["contexts"], context or config["current-context"])["context"]
        cluster = _named(config["clusters"], current["cluster"])["cluster"]
        user = _named(config.get("users") or [], current["user"]).get("user") or {}
        self.server: str = cluster["server"].rstrip("/")
        self._headers = {"authorization": f"Bearer {user['token']}"} if user.get("token") else {}
        self._ssl = _ssl_context(cluster, user)
        if ca is not None and "certificate-authority-data" not in cluster:
            self._ssl.load_verify_locations(ca)
        self._proxy = proxy
        self._client: httpx.AsyncClient | None = None

    @property
    def client(self) -> httpx.AsyncClient:
        if self._client is None:
            import httpx

            limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
            timeout = httpx.Timeout(30, read=None, pool=None)
            self._client = httpx.AsyncClient(
                verify=self._ssl, timeout=timeout, limits=limits, trust_env=False, proxy=self._proxy or None
            )
        return self._client

    async def send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        answer = await self.client.request(
            method, self.server + url, headers={**headers, **self._headers}, content=body
        )
        return answer.status_code, answer.content

    async def stream(self, url: str, headers: dict[str, str]) -> AsyncIterator[bytes]:
        async with self.client.stream("GET", self.server + url, headers={**headers, **self._headers}) as answer:
            if answer.status_code >= 400:
                raise status_error(answer.status_code, await answer.aread())
            async for line in answer.aiter_lines():
                yield line.encode()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def acting_as(self, user: str, groups: tuple[str, ...]) -> Impersonating:
        return Impersonating(self, user)


class Impersonating:
    """Another transport's requests on behalf of a user. A service account's groups follow from its name.

    Requests that ask for a user of their own are left to that: the other transport's user may impersonate anybody.
    """

    def __init__(self, transport: Network, user: str) -> None:
        self.transport, self._headers = transport, {"impersonate-user": user}

    async def send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        return await self.transport.send(method, url, {**self._headers, **headers}, body)

    def stream(self, url: str, headers: dict[str, str]) -> AsyncIterator[bytes]:
        return self.transport.stream(url, {**self._headers, **headers})

    async def close(self) -> None:
        await self.transport.close()

    def acting_as(self, user: str, groups: tuple[str, ...]) -> Impersonating:
        return Impersonating(self.transport, user)


def _named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next((item for item in items if item["name"] == name), {})


def _ssl_context(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    """Trusts the cluster's authority and shows the user's certificate, where the kubeconfig has them."""
    data = cluster.get("certificate-authority-data")
    context = ssl.create_default_context(
        cafile=cluster.get("certificate-authority"), cadata=base64.b64decode(data).decode() if data else None
    )
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if "client-certificate-data" in user:
        # ssl reads certificates from files alone
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = Path(folder, "certificate"), Path(folder, "key")
            certificate.write_bytes(base64.b64decode(user["client-certificate-data"]))
            key.touch(mode=0o600)
            key.write_bytes(base64.b64decode(user["client-key-data"]))
            context.load_cert_chain(certificate, key)
    elif "client-certificate" in user:
        context.load_cert_chain(user["client-certificate"], user["client-key"])
    return context
