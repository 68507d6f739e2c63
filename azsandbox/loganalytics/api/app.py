"""The ASGI application of the query API: paths, tokens, batches, headers."""

from __future__ import annotations

import json
import logging
import re
from typing import Any
from urllib.parse import parse_qsl, unquote

from azsandbox import json_bodies
from azsandbox.dispatch import LOOPBACK, Receive, Scope, Send, host_name
from azsandbox.loganalytics.api import errors
from azsandbox.loganalytics.api.errors import ApiError
from azsandbox.loganalytics.api.query import Query, preferences
from azsandbox.request_bodies import read_whole

log = logging.getLogger("azsandbox.loganalytics")

AUDIENCES = (
    "https://api.loganalytics.io",
    "https://api.loganalytics.azure.com",
    "ca7f3f0b-7d91-482c-8e09-c5d840d0eac5",  # the Log Analytics API's application
)
BODY_LIMIT = 4 * 1024 * 1024
MOST_IN_BATCH = 100
_WORKSPACE = re.compile(r"/v1/workspaces/([^/]+)/(query|metadata)/?", re.IGNORECASE)
_RESOURCE = re.compile(r"/v1(/subscriptions/.+)/query/?", re.IGNORECASE)
_HEADERS = {
    "Content-Type": "application/json; charset=utf-8",
    "Strict-Transport-Security": "max-age=15724800; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Retry-After,Age,WWW-Authenticate,x-resource-identities,x-ms-status-location",
    "Via": "1.1 azsandbox",
    "Vary": "Accept-Encoding",
}


class QueryApi:
    """Queries on the workspaces of a Resource Manager."""

    def __init__(self, arm: Any) -> None:
        self.arm = arm

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        extra: dict[str, str] = {}
        try:
            too_large = ApiError(413, "RequestTooLargeError", "The request body is too large")
            status, body = 200, await self._answer(scope, await read_whole(receive, BODY_LIMIT, too_large))
        except ApiError as error:
            status, body, extra = error.status, error.body, error.headers
        extra = {**applied(scope), **extra}
        content = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        headers = {**_HEADERS, **extra, "Content-Length": str(len(content))}
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: Scope, raw: bytes) -> dict[str, Any]:
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        path = unquote((scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0])
        path = re.sub("/{2,}", "/", path)
        identity = self._identity(headers)
        prefer = headers.get("prefer", "")
        method = scope["method"]
        if path.rstrip("/").lower() == "/v1/$batch" and method == "POST":
            return await self._batch(identity, _json(raw))
        if method not in ("GET", "POST"):
            raise errors.no_path()
        if (found := _WORKSPACE.fullmatch(path)) and found[2].lower() == "metadata":
            from azsandbox.loganalytics.api import metadata

            return metadata.of_workspace(self.arm, identity, found[1])
        if method == "GET":
            body: Any = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))
            if "workspaces" in body:
                body["workspaces"] = body["workspaces"].split(",")
        else:
            body = _json(raw)
        return await self._query(identity, path, body, prefer)

    async def _query(self, identity: Any, path: str, body: Any, prefer: str) -> dict[str, Any]:
        if found := _WORKSPACE.fullmatch(path):
            if found[2].lower() == "metadata":
                raise errors.not_supported("metadata in a batch")
            return await Query(self.arm, identity, body, prefer).on_workspaces(found[1])
        if found := _RESOURCE.fullmatch(path):
            return await Query(self.arm, identity, body, prefer).on_resource(found[1])
        raise errors.no_path()

    def _identity(self, headers: dict[str, str]) -> Any:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise errors.unauthenticated(self.arm.services.tenant_id)
        host = headers.get("host", "")
        own = (f"https://{host}",) if host_name(host) in LOOPBACK else ()  # by endpoint, clients ask for its own name
        try:
            return self.arm.services.entra.verify(token.strip(), (*AUDIENCES, *own))
        except Exception as error:  # whatever is wrong with it, it is not valid here; the log says what
            log.info("a token for log queries was refused: %s", error)
            raise errors.invalid_token() from None

    async def _batch(self, identity: Any, body: Any) -> dict[str, Any]:
        """Several queries, each with an id and an answer of its own."""
        requests = body.get("requests") if isinstance(body, dict) else None
        if not isinstance(requests, list) or not requests:
            raise errors.invalid("the property 'requests' is required")
        if len(requests) > MOST_IN_BATCH:
            raise errors.invalid(f"a batch has at most {MOST_IN_BATCH} requests, found {len(requests)}")
        answers = []
        for request in requests:
            status, extra = 200, dict(_HEADERS)
            try:
                given = {k.lower(): v for k, v in (request.get("headers") or {}).items()}
                path = f"/v1/workspaces/{request.get('workspace')}{request.get('path') or '/query'}"
                answer = await self._query(identity, path, request.get("body"), str(given.get("prefer", "")))
            except ApiError as error:
                status, answer = error.status, error.body
            except (AttributeError, TypeError):
                status, answer = 400, errors.invalid("a request of the batch is not well formed").body
            found = request.get("id") if isinstance(request, dict) else None
            answers.append({"id": found, "status": status, "headers": extra, "body": answer})
        return {"responses": answers}


def applied(scope: Scope) -> dict[str, str]:
    """The header that says which wish of Prefer holds: how long the client waits."""
    prefer = next((v.decode("latin-1") for k, v in scope["headers"] if k.lower() == b"prefer"), "")
    wait = preferences(prefer).get("wait", "")
    return {"Preference-Applied": f"wait={wait}"} if wait.isdigit() else {}


def _json(raw: bytes) -> Any:
    try:
        return json_bodies.parse(raw)
    except ValueError:
        raise errors.invalid("the body is not valid JSON") from None
