"""The way of a request through Resource Manager.

authenticate → api-version → subscription → namespace and type → registration → authorize →
resource group → locks → the type's handler. Each stage refuses with Azure's own error.
"""

from __future__ import annotations

import logging
import re
import urllib.parse
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import orjson

from azsandbox import json_bodies
from azsandbox.arm import errors, ids, polling, routing
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.errors import ArmError
from azsandbox.arm.facts import VERSION
from azsandbox.request_bodies import read_whole
from azsandbox.store import CannotWrite

if TYPE_CHECKING:
    from azsandbox.arm.arm import Arm

AUDIENCES = (
    "https://management.azure.com",
    "https://management.azure.com/",
    "https://management.core.windows.net",
    "https://management.core.windows.net/",
)
BODY_LIMIT = 4 * 1024 * 1024  # bytes (Azure's limit for a request)
READS_PER_HOUR, WRITES_PER_HOUR = 11999, 1199

log = logging.getLogger("azsandbox.arm")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Pipeline:
    """The ASGI application."""

    def __init__(self, arm: Arm) -> None:
        self.arm = arm

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._lifespan(receive, send)
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        request_id = str(uuid.uuid4())
        extra: dict[str, str] = {}
        try:
            text = "The request content size exceeds the maximum of 4 MB."
            too_large = errors.gateway(413, "RequestContentTooLarge", text)
            body = await read_whole(receive, BODY_LIMIT, too_large)
            answer = await self.handle(scope, headers, body, request_id, extra)
        except ArmError as error:
            answer = Answer(error.status, error.body, dict(error.headers))
        except CannotWrite as error:
            log.error("%s %s: %s", scope["method"], scope["path"], error)
            answer = Answer(500, {"error": {"code": "InternalServerError", "message": f"{error}."}})
        except Exception:
            log.exception("%s %s", scope["method"], scope["path"])
            text = f"Encountered internal server error. Diagnostic information: activity ID '{request_id}'."
            answer = Answer(500, {"error": {"code": "InternalServerError", "message": text}})
        answer.headers = self._common(scope["method"], headers, request_id) | extra | answer.headers
        await _send(send, scope["method"], answer)

    async def handle(
        self, scope: Scope, headers: dict[str, str], body: bytes, request_id: str, extra: dict[str, str]
    ) -> Answer:
        """The answer to one request. Raises ArmError."""
        method = scope["method"]
        raw = scope.get("raw_path") or scope["path"].encode()
        path = "/" + "/".join(ids.segments(raw.decode("latin-1").split("?")[0]))
        query = _query(scope.get("query_string", b""))
        base = f"{scope.get('scheme', 'https')}://{headers.get('host', 'management.azure.com')}"
        if path.lower() == "/metadata/endpoints" and method == "GET":
            from azsandbox.arm.providers.resources.metadata import endpoints

            return endpoints(self.arm, base)
        identity = self._authenticate(headers)
        version = query.get("api-version")
        if not version:
            raise errors.missing_api_version()
        if not VERSION.fullmatch(version):
            raise errors.invalid_api_version(version)
        call = Call(self.arm, method, path, query, headers, None, base, identity)
        call.api_version, call.request_id, call.answer_headers = version.lower(), request_id, extra
        if method == "GET" and (found := await polling.find(call)):
            return found
        call.body = parse_body(body)
        return await routing.answer(call)

    def _authenticate(self, headers: dict[str, str]) -> Any:
        """The identity that the bearer token tells. Raises 401 as Resource Manager words it."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        authority = f"https://login.microsoftonline.com/{self.arm.services.tenant_id}"
        challenge = f'Bearer authorization_uri="{authority}", error="invalid_token"'
        if scheme.lower() != "bearer" or not token:
            raise errors.gateway(
                401,
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing.",
                headers={
                    "WWW-Authenticate": challenge + ', error_description="The authentication failed because of '
                    "missing 'Authorization' header.\""
                },
            )
        try:
            return self.arm.services.entra.verify(token.strip(), AUDIENCES)
        except ArmError:
            raise
        except Exception as error:
            reason = str(error)
            expired = "expired" in reason.lower()
            code = "ExpiredAuthenticationToken" if expired else "InvalidAuthenticationToken"
            if "audience" in reason.lower():
                code = "InvalidAuthenticationTokenAudience"
            text = (
                f"The access token is invalid. {reason}"
                if not expired
                else f"The access token expiry has passed. {reason}"
            )
            description = re.sub(r'[\r\n"]', " ", text)
            raise errors.gateway(
                401, code, text, headers={"WWW-Authenticate": f'{challenge}, error_description="{description}"'}
            ) from None

    def _common(self, method: str, headers: dict[str, str], request_id: str) -> dict[str, str]:
        """Headers that every answer of Resource Manager carries."""
        correlation = headers.get("x-ms-correlation-request-id", request_id)
        stamp = self.arm.services.clock.now()
        out = {
            "Cache-Control": "no-cache",
            "Pragma": "no-cache",
            "Expires": "-1",
            "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
            "X-Content-Type-Options": "nosniff",
            "x-ms-request-id": request_id,
            "x-ms-correlation-request-id": correlation,
            "x-ms-routing-request-id": f"SANDBOX:{stamp:%Y%m%dT%H%M%SZ}:{request_id}",
        }
        echo = headers.get("x-ms-return-client-request-id", "").lower() == "true"
        if echo and (client := headers.get("x-ms-client-request-id")):
            out["x-ms-client-request-id"] = client
        if method in ("GET", "HEAD"):
            out["x-ms-ratelimit-remaining-subscription-reads"] = str(READS_PER_HOUR)
        else:
            kind = "deletes" if method == "DELETE" else "writes"
            out[f"x-ms-ratelimit-remaining-subscription-{kind}"] = str(WRITES_PER_HOUR)
        return out

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.arm.start()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.arm.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def parse_body(body: bytes) -> Any:
    """The JSON of a body; None for an empty one. Unquoted keys, which az's deployments send, are accepted."""
    if not body.strip():
        return None
    text = body.decode("utf-8-sig", "replace")
    try:
        return json_bodies.parse(text)
    except ValueError as first:
        try:
            return json_bodies.parse(re.sub(r"([{,]\s*)([A-Za-z_$][\w$]*)(\s*:)", r'\1"\2"\3', text))
        except ValueError:
            message = (
                "The request content was invalid and could not be deserialized: "
                f"'{first.args[0].split(':')[0]}. Path '', line {getattr(first, 'lineno', 1)}, "
                f"position {getattr(first, 'colno', 1)}.'."
            )
            raise errors.invalid_content(message) from None


def _query(raw: bytes) -> dict[str, str]:
    pairs = urllib.parse.parse_qsl(raw.decode("latin-1"), keep_blank_values=True)
    return {name.lower(): value for name, value in pairs}


async def _send(send: Send, method: str, answer: Answer) -> None:
    body = b"" if answer.body is None else orjson.dumps(answer.body)
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in answer.headers.items()
    ]
    if body:
        headers.append((b"content-type", b"application/json; charset=utf-8"))
    if answer.status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
