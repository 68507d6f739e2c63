"""Requests of a controller, over connections that are kept from one reconciliation to the next."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from azsandbox.flux.network import failure, http_client
from azsandbox.flux.runtime import Outbound
from azsandbox.flux.secrets import Certificates

SECONDS = 60.0  # for a request that has no limit of its own


class NoAnswer(Exception):
    """A request that got no answer, in Go's words: `Get "http://…": dial tcp …: connect: connection refused`."""


class TooLarge(Exception):
    """An answer with more bytes than were allowed."""


@dataclass(frozen=True)
class Answer:
    """What came back; `url` is where it came from after redirects."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes
    url: str

    @property
    def line(self) -> str:
        """The status as Go prints it: 404 Not Found."""
        return f"{self.status} {self.reason}".rstrip()

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


class Web:
    """Connections to whatever a controller fetches from; `close` lets go of them."""

    def __init__(self, outbound: Outbound) -> None:
        self.outbound = outbound
        self._clients: dict[tuple[Certificates | None, str, bool, bool], httpx.AsyncClient] = {}

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        certificates: Certificates | None = None,
        system: bool = True,
        proxy: str = "",
        timeout: float = SECONDS,
        limit: int = 0,
        trusting: bool = False,
    ) -> Answer:
        """One request, redirects followed. `timeout` is in seconds, `limit` in bytes (0: none).

        `certificates` are used besides those of the system, or with `system` False in their place; `proxy` in place
        of the controller's own. `trusting` takes any certificate of the server. Raises NoAnswer, TooLarge, and SecretError for certificates that are none.
        """
        client = self._client(certificates, proxy, system, trusting)
        sent: dict[str, Any] = {"headers": dict(headers or {}), "content": body or None}
        try:
            async with asyncio.timeout(timeout), client.stream(method, url, **sent) as response:
                content = bytearray()
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if limit and len(content) > limit:
                        raise TooLarge(f"size exceeds the limit of {limit} bytes")
                reason = response.reason_phrase
                return Answer(response.status_code, reason, response.headers, bytes(content), str(response.url))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            raise NoAnswer(await failure(method, url, error)) from error

    def _client(self, certificates: Certificates | None, proxy: str, system: bool, trusting: bool) -> httpx.AsyncClient:
        key = (certificates, proxy, system, trusting)
        if key not in self._clients:
            tls = certificates.context(system=system, ca=self.outbound.ca) if certificates else None
            if trusting and tls is None:
                tls = ssl.create_default_context()
                tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
            self._clients[key] = http_client(self.outbound, tls=tls, proxy=proxy, timeout=None)
        return self._clients[key]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()
