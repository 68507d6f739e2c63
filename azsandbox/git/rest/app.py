"""One request to the REST API, from the header to the answer."""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from azsandbox.dispatch import Receive, Scope, Send
from azsandbox.git import facts
from azsandbox.git.credentials import BadCredentials, Viewer
from azsandbox.git.http_backend import TooLarge, body_of
from azsandbox.git.program import GitFailed
from azsandbox.git.rest.answers import DOCUMENTATION, Answer, ApiError, refused
from azsandbox.git.rest.call import Call
from azsandbox.git.rest.routes import Route, find
from azsandbox.git.rest.shapes import GITHUB, Links

if TYPE_CHECKING:
    from azsandbox.git.git_host import GitHost

log = logging.getLogger("azsandbox.git")

MAX_BODY = 32 * 1024 * 1024  # bytes: a file of some 24 MB in base64
VERSION = "2022-11-28"

_AGENT = (
    "Request forbidden by administrative rules. Please make sure your request has a User-Agent header "
    "(https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-required).\n"
)


async def answer(host: GitHost, scope: Scope, receive: Receive, send: Send, links: Links) -> None:
    """Answers one request."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    route: Route | None = None
    viewer = Viewer()
    try:
        # 1. Who asks.
        if not headers.get("user-agent"):
            await _send(send, scope, Answer(403, _AGENT.encode(), content_type="text/html"), {})
            return
        viewer = host.viewer(headers.get("authorization", ""))
        # 2. Which path.
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        path = scope["path"].rstrip("/") or "/"
        found = find(method, path, links != GITHUB)
        if found is None:
            raise refused(f"{method} {path}")
        route, params = found
        if headers.get("x-github-api-version", VERSION) != VERSION:
            raise ApiError(400, f"Only version {VERSION} of the REST API is in the sandbox.")
        if viewer.account is None and not route.public:
            raise ApiError(401, "Requires authentication")
        # 3. What it says.
        body = b"".join([chunk async for chunk in body_of(receive, MAX_BODY)])
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))
        params = {name: value or "" for name, value in params.items()}
        call = Call(host, method, path, params, query, headers, body, viewer, links)
        if any("\0" in value for value in (*params.values(), *query.values())):  # it names nothing that git could have
            raise ApiError(404, "Not Found")
        # 4. What becomes of it.
        result = await route.handler(call)
    except BadCredentials:
        result = ApiError(401, "Bad credentials").answer(DOCUMENTATION)
    except TooLarge:
        result = ApiError(413, f"The request is larger than {MAX_BODY} bytes").answer(DOCUMENTATION)
    except ApiError as error:
        result = error.answer(route.url if route else DOCUMENTATION)
    except GitFailed:  # the repository is gone since, or broken
        log.exception("%s %s: git failed", scope["method"], scope["path"])
        result = ApiError(500, "Server Error").answer(route.url if route else DOCUMENTATION)
    except ConnectionError:
        return
    await _send(send, scope, _unless_same(result, scope, headers), _common(viewer, result))


def _common(viewer: Viewer, result: Answer) -> dict[str, str]:
    """The headers that every answer has."""
    found = {
        "X-GitHub-Media-Type": "github.v3; format=json",
        "x-github-api-version-selected": VERSION,
        "X-GitHub-Request-Id": uuid.uuid4().hex[:20].upper(),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "origin-when-cross-origin, strict-origin-when-cross-origin",
        "Content-Security-Policy": "default-src 'none'",
        "Server": "github.com",
    }
    if viewer.token is not None and viewer.token.classic:
        found["X-OAuth-Scopes"] = ", ".join(facts.github()["classicTokenScopes"])
        found["X-Accepted-OAuth-Scopes"] = ""
    if result.status == 200:
        found["Cache-Control"] = (
            "private, max-age=60, s-maxage=60" if viewer.account else "public, max-age=60, s-maxage=60"
        )
    return found


def _unless_same(result: Answer, scope: Scope, headers: dict[str, str]) -> Answer:
    """304 when the client has the answer already (conditional requests by ETag)."""
    if scope["method"] not in ("GET", "HEAD") or result.status != 200:
        return result
    result.body = _encoded(result.body)
    tag = hashlib.sha256(result.body or b"").hexdigest()
    result.headers["ETag"] = f'W/"{tag}"'
    known = [text.strip().removeprefix("W/") for text in headers.get("if-none-match", "").split(",")]
    if f'"{tag}"' in known:
        return Answer(304, None, {"ETag": result.headers["ETag"]})
    return result


def _encoded(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    # file names that are no UTF-8 are shown with replacement characters
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


async def _send(send: Send, scope: Scope, result: Answer, common: dict[str, str]) -> None:
    body = _encoded(result.body)
    headers = {**common, **result.headers}
    if result.body is not None:
        headers["Content-Type"] = result.content_type
    if result.status not in (204, 304):
        headers["Content-Length"] = str(len(body))
    encoded = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": result.status, "headers": encoded})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
