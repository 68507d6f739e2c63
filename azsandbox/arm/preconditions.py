"""If-Match and If-None-Match (RFC 9110, section 13) on resources."""

from __future__ import annotations

from azsandbox.arm import errors
from azsandbox.arm.call import Call
from azsandbox.arm.resources import Stored


def check(call: Call, current: Stored | None) -> None:
    """Raises 412 PreconditionFailed where the resource is not as the client requires."""
    wanted, unwanted = call.headers.get("if-match"), call.headers.get("if-none-match")
    if wanted and (current is None or not _matches(wanted, current)):
        raise errors.ArmError(
            412,
            "PreconditionFailed",
            f"Precondition failed. The condition '{wanted}' in the If-Match header was not satisfied.",
            details=[],
        )
    if unwanted and current is not None and _matches(unwanted, current):
        raise errors.ArmError(
            412,
            "PreconditionFailed",
            f"Precondition failed. The condition '{unwanted}' in the If-None-Match header was not satisfied.",
            details=[],
        )


def _matches(header: str, current: Stored) -> bool:
    values = [value.strip().removeprefix("W/").strip('"') for value in header.split(",")]
    return "*" in values or current.etag in values
