"""The client's side of long-running operations: header names, absolute URLs, status and result."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from azsandbox.arm.call import Answer, Call
from azsandbox.arm.operations import FINAL, Operation

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm
    from azsandbox.arm.resource_type import ResourceType


def headers(call: Call, type_: ResourceType, operation: Operation) -> dict[str, str]:
    """Azure-AsyncOperation and Location as the type's style has them, and how soon to ask again."""
    style = type_.style
    version = style.version or operation.api_version or call.api_version
    signature = hashlib.sha256(operation.id.encode()).hexdigest()
    query = {
        "api-version": version,
        "t": str(time.time_ns() // 100),
        "c": "sandbox",
        "s": signature,
        "h": signature[:43],
    }
    out = {name: call.url(path, query) for name, path in style.paths(operation).items()}
    return out | style.headers | delay(call.arm, style.retry_after) if out else {}


def delay(arm: Arm, seconds: int) -> dict[str, str]:
    """How long a client shall wait: milliseconds in fast mode, which clients honour only without Retry-After."""
    if arm.services.clock.speed == "real":
        return {"Retry-After": str(max(1, seconds))}
    return {"x-ms-retry-after-ms": "50"}


async def find(call: Call) -> Answer | None:
    """The answer to a GET of an operation's URL; None where the path is no such URL."""
    last = call.path.rstrip("/").rsplit("/", 1)[-1]
    operation = call.arm.operations.get(last)
    if operation is None:
        return None
    type_ = call.arm.type_of(operation.type)
    header = type_.style.find(operation, call.path)
    if header is None:
        return None
    if header == "Azure-AsyncOperation":
        operation.data.setdefault("path", call.path)
        body = type_.style.body(operation)
        if operation.status not in FINAL:
            body["percentComplete"] = call.arm.operations.percent(operation)
            if operation.step:
                body["properties"] = {**body.get("properties", {}), "step": operation.step}
            return Answer(200, body, delay(call.arm, type_.style.retry_after))
        return Answer(200, body)
    return await type_.result(call, operation)
