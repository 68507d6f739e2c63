"""Requests to Resource Manager from inside of it, in the name of an identity: by the way that all requests go."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from azsandbox.arm import errors, ids, routing
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.operations import COLLECTION

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

HOST = "https://management.azure.com"
FAILED = "The resource write operation failed to complete successfully, because it reached terminal provisioning state"


@dataclass(frozen=True)
class Acting:
    """An identity that acts without a token: whoever began what is done for him."""

    object_id: str
    name: str
    kind: str = "user"
    groups: tuple[str, ...] = ()

    @classmethod
    def of(cls, identity: Any) -> Acting:
        """As an identity that a token told."""
        return cls(identity.object_id, identity.name, str(identity.kind), tuple(identity.groups))

    @classmethod
    def read(cls, kept: dict[str, Any]) -> Acting:
        """As `kept` says."""
        return cls(kept["object_id"], kept["name"], kept["kind"], tuple(kept["groups"]))

    def keep(self) -> dict[str, Any]:
        """What of it is stored."""
        return asdict(self)


async def send(arm: Arm, identity: Acting, method: str, path: str, version: str, body: Any = None) -> Answer:
    """The answer to one request. Raises ArmError."""
    call = Call(arm, method, "/" + "/".join(ids.segments(path)), {"api-version": version}, {}, body, HOST, identity)
    call.api_version = version.lower()
    return await routing.answer(call)


async def put(arm: Arm, identity: Acting, path: str, version: str, body: Any) -> Answer:
    """PUT, followed to the end of the operation that it starts. Raises ArmError, also for an operation that failed."""
    answer = await send(arm, identity, "PUT", path, version, body)
    begun = [o.id for o in arm.operations.of(path)]
    await ended(arm, path)
    for operation in filter(None, map(arm.operations.get, begun)):
        if operation.status != "Succeeded":
            inner = operation.error or {"code": "Canceled", "message": "The operation was canceled."}
            raise errors.ArmError(
                409,
                "ResourceDeploymentFailure",
                f"{FAILED} '{operation.status}'.",
                target=path,
                details=[inner],
            )
    return answer


async def ended(arm: Arm, resource: str) -> None:
    """Waits until no operation is in progress on a resource."""
    with contextlib.closing(arm.operations.bucket.watch(COLLECTION)) as watch:
        while arm.operations.of(resource):
            await watch.next()
    await asyncio.sleep(0)
