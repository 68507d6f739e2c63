"""graph.microsoft.com: who may ask, which route answers, and Graph's envelopes."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azsandbox import json_bodies
from azsandbox.entra.directory import DirectoryError
from azsandbox.entra.graph.filters import QueryError
from azsandbox.entra.tokens import Identity, TokenError
from azsandbox.entra.web import Answer, Request

if TYPE_CHECKING:
    from azsandbox.entra import Entra

ROOT = "https://graph.microsoft.com/v1.0"
AUDIENCES = ("https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000")
_WRITER = "Global Administrator"


class GraphError(Exception):
    """An error in Graph's envelope."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def not_found(name: str) -> GraphError:
    """An object that is not there."""
    return GraphError(
        404,
        "Request_ResourceNotFound",
        f"Resource '{name}' does not exist or one of its queried reference-property objects are not present.",
    )


@dataclass
class Call:
    """One request to Graph, understood: who asks, and the segments of the path after the version."""

    entra: Entra
    request: Request
    identity: Identity
    segments: list[str]

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.request.method

    def body(self) -> dict[str, Any]:
        """The JSON object that was sent. Raises GraphError."""
        try:
            found = json_bodies.parse(self.request.body or b"{}")
        except ValueError:
            raise GraphError(
                400,
                "BadRequest",
                "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.",
            ) from None
        if not isinstance(found, dict):
            raise GraphError(400, "BadRequest", "Empty Payload. JSON content expected.")
        return found

    def writes(self) -> None:
        """Raises GraphError when the caller may not change the directory."""
        if _WRITER not in self.entra.directory.roles(self.identity.object_id):
            raise _denied()


def answer(entra: Entra, request: Request) -> Answer:
    """Answers one request."""
    request_id = str(uuid.uuid4())
    client_id = request.headers.get("client-request-id", request_id)
    try:
        found = _route(entra, request)
    except GraphError as error:
        found = _error(entra, error, request_id, client_id)
    except DirectoryError as error:
        found = _error(entra, GraphError(error.status, error.code, error.message), request_id, client_id)
    except QueryError as error:
        found = _error(entra, GraphError(400, "Request_BadRequest", str(error)), request_id, client_id)
    found.headers |= {
        "request-id": request_id,
        "client-request-id": client_id,
        "x-ms-ags-diagnostic": '{"ServerInfo":{"DataCenter":"West Europe","Slice":"E","Ring":"0","RoleInstance":"0"}}',
        "odata-version": "4.0",
    }
    if found.status < 400 and not isinstance(found.body, str):
        found.content_type = (
            "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
        )
    return found


def _route(entra: Entra, request: Request) -> Answer:
    from azsandbox.entra.graph import routes

    identity = _authenticate(entra, request)
    version, _, path = request.path.strip("/").partition("/")
    if version.lower() not in ("v1.0", "beta"):
        raise GraphError(400, "BadRequest", f"Invalid version: {version}")
    if version.lower() == "beta":
        raise unsupported("the beta version")
    segments = [s for s in _by_key(entra, path).split("/") if s]
    if identity.kind != "user" and segments[:1] != ["organization"]:
        raise _denied()  # an application needs permissions of its own, and the sandbox grants none
    return routes.route(Call(entra, request, identity, segments))


def _authenticate(entra: Entra, request: Request) -> Identity:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise GraphError(401, "InvalidAuthenticationToken", "Access token is empty.")
    try:
        return entra.verify(token, (*AUDIENCES, entra.endpoint))
    except TokenError as error:
        texts = {
            "expired": "Lifetime validation failed, the token is expired.",
            "audience": "Access token validation failure. Invalid audience.",
            "issuer": "Access token validation failure. Invalid issuer.",
        }
        text = texts.get(error.reason, "Access token validation failure.")
        raise GraphError(401, "InvalidAuthenticationToken", text) from None


def _by_key(entra: Entra, path: str) -> str:
    """Turns `servicePrincipals(appId='x')` into `servicePrincipals/{id}`."""
    match = re.match(r"(servicePrincipals|applications)\(appId='([^']*)'\)(.*)", path, re.IGNORECASE)
    if not match:
        return path
    name, app_id, rest = match.groups()
    kind = "servicePrincipal" if name.lower() == "serviceprincipals" else "application"
    for stored in entra.directory.each(kind):  # type: ignore[arg-type]
        if stored["properties"]["appId"] == app_id.lower():
            return f"{name}/{stored['properties']['id']}{rest}"
    raise not_found(app_id)


def unsupported(what: str) -> GraphError:
    """What Graph has and the sandbox does not."""
    return GraphError(501, "NotSupportedInSandbox", f"The sandbox's Microsoft Graph does not support {what}.")


def _denied() -> GraphError:
    return GraphError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def _error(entra: Entra, error: GraphError, request_id: str, client_id: str) -> Answer:
    inner = {
        "date": entra.clock.now().strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": request_id,
        "client-request-id": client_id,
    }
    return Answer(error.status, {"error": {"code": error.code, "message": error.message, "innerError": inner}})
