"""How notifiers send: with the retries of hashicorp/go-retryablehttp, as notification-controller sets them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from http import HTTPStatus

import httpx

from azsandbox.flux.network import failure, http_client
from azsandbox.flux.runtime import Outbound

ATTEMPTS = 5
FIRST_WAIT, LONGEST_WAIT = 2.0, 30.0  # seconds
_DEADLINE = "context deadline exceeded"
_FINAL = (  # of Go's failures, those that another attempt does not mend
    "unsupported protocol scheme",
    "stopped after",
    "tls: failed to verify certificate",
)

Check = Callable[[httpx.Response], None]


class SendError(Exception):
    """A notification that did not arrive; the message is the controller's."""


def arrived(response: httpx.Response) -> None:
    """The usual check of an answer: any 2xx will do. Raises SendError."""
    if not response.is_success:
        raise SendError(f"request failed with status code {response.status_code}: {response.text}")


class Http:
    """Requests of one notification, which have to be done by `deadline` (seconds of the event loop's clock)."""

    def __init__(self, outbound: Outbound, deadline: float, proxy: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.deadline = deadline
        self._client = http_client(outbound, proxy=proxy, tls=tls, timeout=None)

    async def __aenter__(self) -> Http:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def call(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request, whatever the answer. Raises SendError if there is none."""
        try:
            async with asyncio.timeout_at(self.deadline):
                return await self._client.request(method, url, content=body, headers=headers, params=query)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise SendError(await failure(method, url, error)) from None

    async def send(
        self, url: str, body: bytes, headers: Mapping[str, str], *, method: str = "POST", check: Check = arrived
    ) -> None:
        """A request that is made again, later and later, while the other side is away or fails. Raises SendError."""
        for attempt in range(1, ATTEMPTS + 1):
            said = ""
            response = None
            try:
                response = await self.call(method, url, body, headers)
            except SendError as error:
                said = str(error)
            if response is not None:
                if not _worth_another(response.status_code):
                    try:
                        check(response)
                    except SendError as error:
                        raise SendError(f"request failed: {error}") from None
                    return
                if response.status_code != HTTPStatus.TOO_MANY_REQUESTS:
                    said = f"unexpected HTTP status {response.status_code} {response.reason_phrase}"
            over = asyncio.get_running_loop().time() >= self.deadline
            if over or attempt == ATTEMPTS or any(text in said for text in _FINAL):
                reason = _DEADLINE if over else said
                gave_up = f"{method} {url} giving up after {attempt} attempt(s)"
                raise SendError(f"failed to execute request: {gave_up}{': ' + reason if reason else ''}")
            await self._wait(attempt, response)
        raise AssertionError("the last attempt ends the loop")

    async def _wait(self, attempt: int, response: httpx.Response | None) -> None:
        wait = min(FIRST_WAIT * 2 ** (attempt - 1), LONGEST_WAIT)
        asked = response.headers.get("retry-after", "") if response is not None else ""
        if asked.isdigit() and response is not None and response.status_code in (429, 503):
            wait = float(asked)
        left = self.deadline - asyncio.get_running_loop().time()
        await asyncio.sleep(min(wait, max(left, 0)))
        if left <= wait:
            raise SendError(f"failed to execute request: {_DEADLINE}")


def _worth_another(status: int) -> bool:
    """Whether an answer is worth another attempt (go-retryablehttp, DefaultRetryPolicy)."""
    return status == HTTPStatus.TOO_MANY_REQUESTS or (status >= 500 and status != HTTPStatus.NOT_IMPLEMENTED)
