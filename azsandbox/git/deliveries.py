"""Sending events to hooks, with GitHub's headers and signatures. What fails is not tried again, as GitHub does not."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import ssl
import time
import uuid
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import orjson

from azsandbox.clock import Clock
from azsandbox.dispatch import Dispatch
from azsandbox.git.hooks import Delivery, Event, Hook, Hooks
from azsandbox.git.repositories import Settings

SECONDS = 10.0  # that a receiver has (GitHub docs, "Handling failed webhook deliveries")
KEPT_BYTES = 64 * 1024  # of a receiver's answer

_AGENT = "GitHub-Hookshot/sandbox"


class Deliveries:
    """Delivers events. `bundle` is the file of certificate authorities that receivers' certificates are checked
    with."""

    def __init__(self, hooks: Hooks, dispatch: Dispatch, clock: Clock, bundle: Path | None) -> None:
        self._hooks, self._dispatch, self._clock, self._bundle = hooks, dispatch, clock, bundle
        self._clients: dict[str, httpx.AsyncClient] = {}

    async def deliver(self, settings: Settings, hook: Hook, event: Event, again: Delivery | None = None) -> Delivery:
        """Sends an event to one hook and keeps the record; `again` is the delivery that is repeated."""
        body, kind = _body(hook, orjson.dumps(event.payload))
        made = Delivery(
            self._hooks.next_delivery(),
            hook.id,
            again.guid if again else str(uuid.uuid4()),
            event.name,
            event.action,
            hook.url,
            settings.id,
            self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            again is not None,
        )
        headers = _headers(settings, hook, event, made.guid, body, kind)
        made.request = {"headers": headers, "payload": event.payload}
        began = time.perf_counter()
        problem = self.refusal(hook.url)
        if problem:
            made.status = problem
        else:
            await self._send(hook, headers, body, made)
        made.duration = round(time.perf_counter() - began, 3)
        self._hooks.record(settings, made)
        return made

    def refusal(self, url: str) -> str:
        """Why nothing is sent to an address, or ""."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            return "NotSupportedInSandbox: the address is not one that a hook can be sent to"
        if is_loopback(host) or self._dispatch.owner(host) is not None:
            return ""
        return (
            "NotSupportedInSandbox: hooks are sent to loopback addresses and to hosts that the sandbox serves; "
            f"{host!r} is neither"
        )

    async def _send(self, hook: Hook, headers: dict[str, str], body: bytes, made: Delivery) -> None:
        try:
            client = self._client(hook)
            async with client.stream("POST", hook.url, content=body, headers=headers) as answer:
                said = b""
                async for chunk in answer.aiter_bytes():
                    said += chunk
                    if len(said) >= KEPT_BYTES:
                        break
        except httpx.TimeoutException:
            made.status, made.status_code = "timed out", 0
            return
        except (httpx.HTTPError, OSError) as error:
            made.status, made.status_code = "failed to connect to host", 0
            made.response = {"headers": {}, "payload": f"{type(error).__name__}: {error}"}
            return
        made.status_code, made.status = answer.status_code, _phrase(answer.status_code)
        made.response = {
            "headers": dict(answer.headers),
            "payload": said[:KEPT_BYTES].decode("utf-8", "replace"),
        }

    def _client(self, hook: Hook) -> httpx.AsyncClient:
        """Who sends: in this process to hosts that the sandbox serves, over a socket to loopback."""
        host = urlsplit(hook.url).hostname or ""
        key = "served" if not is_loopback(host) else f"loopback {hook.insecure_ssl}"
        if key not in self._clients:
            options: dict[str, Any] = {"timeout": SECONDS, "trust_env": False, "follow_redirects": False}
            if key == "served":
                transport = httpx.ASGITransport(self._dispatch, raise_app_exceptions=False)
                self._clients[key] = httpx.AsyncClient(transport=transport, **options)
            else:
                self._clients[key] = httpx.AsyncClient(verify=self._trust(hook), **options)
        return self._clients[key]

    def _trust(self, hook: Hook) -> Any:
        if hook.insecure_ssl == "1":
            return False
        return ssl.create_default_context(cafile=str(self._bundle) if self._bundle else None)

    async def close(self) -> None:
        """Closes the connections that are kept."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _body(hook: Hook, payload: bytes) -> tuple[bytes, str]:
    if hook.content_type == "json":
        return payload, "application/json"
    return urlencode({"payload": payload}).encode(), "application/x-www-form-urlencoded"


def _headers(settings: Settings, hook: Hook, event: Event, guid: str, body: bytes, kind: str) -> dict[str, str]:
    found = {
        "Accept": "*/*",
        "Content-Type": kind,
        "User-Agent": _AGENT,
        "X-GitHub-Delivery": guid,
        "X-GitHub-Event": event.name,
        "X-GitHub-Hook-ID": str(hook.id),
        "X-GitHub-Hook-Installation-Target-ID": str(settings.id),
        "X-GitHub-Hook-Installation-Target-Type": "repository",
    }
    if hook.secret:
        for name, digest in (("X-Hub-Signature", hashlib.sha1), ("X-Hub-Signature-256", hashlib.sha256)):
            signature = hmac.new(hook.secret.encode(), body, digest).hexdigest()
            found[name] = f"{digest().name}={signature}"
    return found


def _phrase(status: int) -> str:
    if 200 <= status < 300:
        return "OK"
    try:
        return f"Invalid HTTP Response: {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"Invalid HTTP Response: {status}"
