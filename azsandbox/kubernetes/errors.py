"""Errors as the API server says them: Status objects with Kubernetes' reasons, codes and texts.

Texts and codes: k8s.io/apimachinery, package api/errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azsandbox.kubernetes.request import Object
    from azsandbox.kubernetes.validation.errors import FieldError


def qualified(resource: str, group: str) -> str:
    """`deployments.apps`, or `pods` for the core group."""
    return f"{resource}.{group}" if group else resource


class StatusError(Exception):
    """A refusal, with the Status that the client gets."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Object | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.details, self.headers = details, headers or {}
        self.metadata: Object = {}  # a list's metadata, where the refusal carries a fresh continue token

    @property
    def status(self) -> Object:
        """The Status object."""
        out: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            out["reason"] = self.reason
        if self.details is not None:
            out["details"] = self.details
        out["code"] = self.code
        return out


def _details(name: str = "", group: str = "", kind: str = "", **more: Any) -> Object:
    details = {"name": name, "group": group, "kind": kind, **more}
    return {key: value for key, value in details.items() if value}


def not_found(resource: str, name: str, group: str = "") -> StatusError:
    message = f'{qualified(resource, group)} "{name}" not found'
    return StatusError(404, "NotFound", message, _details(name, group, resource))


def page_not_found() -> StatusError:
    """The path names no resource. Clients look for this text."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(resource: str, name: str, group: str = "") -> StatusError:
    message = f'{qualified(resource, group)} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, _details(name, group, resource))


def conflict(resource: str, name: str, cause: str, group: str = "", **details: Any) -> StatusError:
    message = f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {cause}'
    return StatusError(409, "Conflict", message, _details(name, group, resource, **details))


def modified(resource: str, name: str, group: str = "") -> StatusError:
    """Someone else wrote since the client read."""
    cause = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(resource, name, cause, group)


def invalid(kind: str, group: str, name: str, errors: Sequence[FieldError]) -> StatusError:
    """422 with every field error as a cause."""
    causes = [error.cause for error in errors]
    texts = list(dict.fromkeys(error.text for error in errors))  # an aggregate says the same error once
    message = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = _details(name, group, kind, causes=causes)
    return StatusError(422, "Invalid", f'{qualified(kind, group)} "{name}" is invalid: {message}', details)


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def internal(message: str) -> StatusError:
    """500 as the API server wraps an unexpected error."""
    text = f"Internal error occurred: {message}"
    return StatusError(500, "InternalError", text, {"causes": [{"message": message}]})


def plain_500(message: str) -> StatusError:
    """500 without a reason: an error that the API server did not expect and passes on as it is."""
    return StatusError(500, "", message)


def forbidden(resource: str, name: str, cause: str, group: str = "") -> StatusError:
    target = f'{qualified(resource, group)} "{name}"' if name else qualified(resource, group)
    return StatusError(403, "Forbidden", f"{target} is forbidden: {cause}", _details(name, group, resource))


def unauthorized() -> StatusError:
    return StatusError(401, "Unauthorized", "Unauthorized")


def method_not_allowed(message: str = "the server does not allow this method on the requested resource") -> StatusError:
    return StatusError(405, "MethodNotAllowed", message, {})


def not_acceptable(supported: Sequence[str]) -> StatusError:
    message = f"only the following media types are accepted: {', '.join(supported)}"
    return StatusError(406, "NotAcceptable", message)


def unsupported_media_type(supported: Sequence[str], content_type: str = "") -> StatusError:
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(supported)}"
    return StatusError(415, "UnsupportedMediaType", message)


def expired(message: str) -> StatusError:
    """410: a resource version or continue token that is too old."""
    return StatusError(410, "Expired", message)


def too_many_requests(message: str, seconds: int = 0, details: Object | None = None) -> StatusError:
    headers = {"retry-after": str(seconds)} if seconds else {}
    return StatusError(429, "TooManyRequests", message, details, headers)


def timeout(message: str, seconds: int = 0) -> StatusError:
    details = {"retryAfterSeconds": seconds} if seconds else {}
    return StatusError(504, "Timeout", message, details, {"retry-after": str(seconds)} if seconds else None)
