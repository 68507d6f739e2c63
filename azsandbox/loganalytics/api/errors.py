"""Errors of the query API: message, code, correlationId, innererror, in this order.

Azure Monitor Log Analytics API documentation, "Request format" and "Errors"; answers that SDKs recorded.
"""

from __future__ import annotations

import uuid
from typing import Any

from azsandbox.loganalytics.kql import KqlError, PartialError, QuerySyntaxError, SemanticError, TimeIsUp


class ApiError(Exception):
    """A refusal: a status, and the error of the body."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        inner: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.inner, self.headers = status, code, message, inner, headers or {}

    @property
    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"message": self.message, "code": self.code, "correlationId": str(uuid.uuid4())}
        return {"error": error | ({"innererror": self.inner} if self.inner else {})}


def bad_argument(inner: dict[str, Any]) -> ApiError:
    """400: a part of the request cannot be used."""
    return ApiError(400, "BadArgumentError", "The request had some invalid properties", inner)


def of_query(error: KqlError) -> ApiError:
    """The refusal of a query, as the service nests it."""
    inner: dict[str, Any] = {"code": error.code, "message": str(error)}
    if isinstance(error, QuerySyntaxError):
        inner |= {"line": error.line, "pos": error.position, "token": error.token}
        outer = {"code": "SyntaxError", "message": "A recognition error occurred in the query."}
    elif isinstance(error, SemanticError):
        outer = {"code": "SemanticError", "message": "A semantic error occurred."}
    elif isinstance(error, TimeIsUp):
        return ApiError(504, error.code, str(error), {"code": error.code, "message": "ADX query timed out"})
    else:
        return bad_argument(inner)
    return bad_argument({**outer, "innererror": inner})


def partial(found: list[PartialError]) -> dict[str, Any]:
    """What stands beside the tables of an answer that is not whole."""
    details = [
        {
            "code": "EngineError",
            "message": "Something went wrong processing your query on the server.",
            "innererror": {"code": e.code, "message": e.message, "severity": 2, "severityName": "Error"},
        }
        for e in found
    ]
    text = "There were some errors when processing your query."
    return {"code": "PartialError", "message": text, "details": details}


def invalid(what: str) -> ApiError:
    """400: a field of the body, by name."""
    return bad_argument({"code": "InvalidProperty", "message": what})


def forbidden(inner: dict[str, Any] | None = None) -> ApiError:
    """403: no right to read there."""
    text = "The provided credentials have insufficient access to perform the requested operation"
    return ApiError(403, "InsufficientAccessError", text, inner)


def from_outside(workspace: str, address: str) -> ApiError:
    """403: a workspace that is not asked over the public network (publicNetworkAccessForQuery)."""
    text = f"Access to workspace '{workspace}' from '{address}' is denied"
    return forbidden({"code": "NspValidationFailedError", "message": text})


def no_workspace() -> ApiError:
    return ApiError(404, "WorkspaceNotFoundError", "The workspace could not be found")


def no_path() -> ApiError:
    return ApiError(404, "PathNotFoundError", "The requested path does not exist")


def not_supported(what: str) -> ApiError:
    inner = {"code": "NotSupportedInSandbox", "message": f"The sandbox does not support {what}."}
    return bad_argument(inner)


def unauthenticated(tenant: str) -> ApiError:
    authority = f"https://login.microsoftonline.com/{tenant}"
    challenge = f'Bearer authorization_uri="{authority}", resource_id="https://api.loganalytics.io"'
    headers = {"WWW-Authenticate": challenge}
    return ApiError(401, "AuthorizationRequiredError", "Valid authentication was not provided", headers=headers)


def invalid_token() -> ApiError:
    """403: a token of somebody else's, for something else, or of yesterday."""
    inner = {"code": "SignatureVerificationFailed", "message": "Could not validate the request"}
    return ApiError(403, "InvalidTokenError", "The provided authentication is not valid for this resource", inner)
