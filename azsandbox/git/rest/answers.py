"""Answers of the REST API, and its errors: `{"message", "errors", "documentation_url", "status"}`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DOCUMENTATION = "https://docs.github.com/rest"


@dataclass
class Answer:
    """A status and a JSON body (bytes are sent as they are, None is no body)."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=utf-8"


class ApiError(Exception):
    """An error as GitHub words it. `errors` says what of a request is wrong, entry by entry."""

    def __init__(self, status: int, message: str, errors: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.errors = status, message, errors

    def answer(self, documentation: str) -> Answer:
        """The answer, with the place of GitHub's documentation that is about the request."""
        body: dict[str, Any] = {"message": self.message}
        if self.errors is not None:
            body["errors"] = self.errors
        body |= {"documentation_url": documentation, "status": str(self.status)}
        return Answer(self.status, body)


def not_found() -> ApiError:
    """404, also for what somebody may not know of."""
    return ApiError(404, "Not Found")


def invalid(resource: str, field: str, code: str, message: str = "") -> ApiError:
    """422 for one field. `code` is GitHub's: missing_field, invalid, already_exists, or custom with a message."""
    entry = {"resource": resource, "code": code, "field": field}
    return ApiError(422, "Validation Failed", [entry | ({"message": message} if message else {})])


def refused(what: str) -> ApiError:
    """403 for what the sandbox does not do, by name.

    GitHub answers so for features that a plan does not have. Clients take a 404 for something that is absent, and
    try again after a 501.
    """
    return ApiError(403, f"NotSupportedInSandbox: the sandbox's GitHub does not support {what}.")
