"""Field errors: what is wrong with one field of an object, in the words of the API server.

Texts: k8s.io/apimachinery, package util/validation/field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from azsandbox.kubernetes.quoting import quoted as quoted

NOT_FOUND = "FieldValueNotFound"
REQUIRED = "FieldValueRequired"
DUPLICATE = "FieldValueDuplicate"
INVALID = "FieldValueInvalid"
NOT_SUPPORTED = "FieldValueNotSupported"
FORBIDDEN = "FieldValueForbidden"
TOO_LONG = "FieldValueTooLong"
TOO_MANY = "FieldValueTooMany"
INTERNAL = "InternalError"
TYPE_INVALID = "FieldValueTypeInvalid"

_WORDS = {
    NOT_FOUND: "Not found",
    REQUIRED: "Required value",
    DUPLICATE: "Duplicate value",
    INVALID: "Invalid value",
    NOT_SUPPORTED: "Unsupported value",
    FORBIDDEN: "Forbidden",
    TOO_LONG: "Too long",
    TOO_MANY: "Too many",
    INTERNAL: "Internal error",
    TYPE_INVALID: "Invalid value",
}
_WITHOUT_VALUE = frozenset({REQUIRED, FORBIDDEN, TOO_LONG, INTERNAL})
_OMITTED = object()


def go_json(value: Any) -> str:
    """A value as Go's encoding/json writes it: no spaces, `<`, `>` and `&` escaped."""
    text = orjson.dumps(value).decode()
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


@dataclass(frozen=True, slots=True)
class FieldError:
    """One error. `type` is the reason of the cause, `bad_value` is a JSON value."""

    type: str
    field: str
    bad_value: Any = ""
    detail: str = ""

    @property
    def body(self) -> str:
        """The error without its field."""
        out = _WORDS[self.type]
        if self.type not in _WITHOUT_VALUE and self.bad_value is not _OMITTED:
            value = self.bad_value
            out += ": " + (quoted(value) if isinstance(value, str) else go_json(value))
        return f"{out}: {self.detail}" if self.detail else out

    @property
    def text(self) -> str:
        """`spec.x: Invalid value: "v": detail`."""
        return f"{self.field}: {self.body}"

    @property
    def cause(self) -> dict[str, str]:
        """As in `details.causes` of a Status."""
        return {"reason": self.type, "message": self.body, "field": self.field}


Errors = list[FieldError]


def with_empty_values(errors: Errors, emptied: Mapping[str, Any]) -> Errors:
    """The errors, with [] or {} for null where that stood in the body: an object does not keep what is empty."""
    if not emptied:
        return errors
    return [
        replace(error, bad_value=emptied[error.field]) if error.bad_value is None and error.field in emptied else error
        for error in errors
    ]


def required(field: str, detail: str = "") -> FieldError:
    return FieldError(REQUIRED, field, "", detail)


def invalid(field: str, value: Any, detail: str) -> FieldError:
    return FieldError(INVALID, field, value, detail)


def omitted(field: str, detail: str) -> FieldError:
    """Invalid, without the value."""
    return FieldError(INVALID, field, _OMITTED, detail)


def forbidden(field: str, detail: str) -> FieldError:
    return FieldError(FORBIDDEN, field, "", detail)


def duplicate(field: str, value: Any) -> FieldError:
    return FieldError(DUPLICATE, field, value)


def not_found(field: str, value: Any) -> FieldError:
    return FieldError(NOT_FOUND, field, value)


def internal(field: str, detail: str) -> FieldError:
    return FieldError(INTERNAL, field, None, detail)


def not_supported(field: str, value: Any, supported: Iterable[str]) -> FieldError:
    """`supported` in the order in which the text names them."""
    values = ", ".join(quoted(item) for item in supported)
    return FieldError(NOT_SUPPORTED, field, value, f"supported values: {values}" if values else "")


def too_long(field: str, limit: int) -> FieldError:
    """`limit` in bytes."""
    detail = f"may not be more than {limit} byte{'' if limit == 1 else 's'}" if limit >= 0 else "value is too long"
    return FieldError(TOO_LONG, field, "", detail)


def too_many(field: str, count: int, limit: int) -> FieldError:
    detail = f"must have at most {limit} item{'' if limit == 1 else 's'}" if limit >= 0 else "has too many items"
    return FieldError(TOO_MANY, field, count if count >= 0 else _OMITTED, detail)
