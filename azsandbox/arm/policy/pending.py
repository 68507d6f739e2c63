"""What DeployIfNotExists has to look at after a resource was written: kept until its time has come.

It runs after a delay when a request to create or update a resource has succeeded, ten minutes where the rule does not
say otherwise ("Azure Policy definitions deployIfNotExists effect", evaluationDelay).
"""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import closing
from typing import TYPE_CHECKING

import orjson

from azsandbox.arm import errors, operations
from azsandbox.arm.policy import compliance, expressions, remedy, reports
from azsandbox.arm.policy.conditions import Judge
from azsandbox.arm.policy.enforcement import scope_of
from azsandbox.arm.policy.in_force import Policy, document, judged
from azsandbox.arm.resources import Document, timestamp

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

COLLECTION = "due"
DELAY = 600.0  # seconds of Azure's
_ISO = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?", re.IGNORECASE)
log = logging.getLogger("azsandbox.arm")


def note(arm: Arm, policy: Policy, resource: Document) -> None:
    """Keeps that a policy has to look at a resource."""
    key = f"{resource['id']}|{policy.assignment['id']}|{policy.reference}".lower()
    row = {"resource": resource["id"], "assignment": policy.assignment["id"], "reference": policy.reference}
    row |= {
        "since": timestamp(arm.services.clock),
        "delay": str(policy.rule["then"]["details"].get("evaluationDelay") or ""),
    }
    reports.bucket(arm).put(COLLECTION, key, orjson.dumps(row))


def seconds(delay: str) -> float:
    """The seconds of a delay: 0 for AfterProvisioning and its like, else those of PT5M."""
    if delay.lower().startswith("afterprovisioning"):
        return 0.0
    found = _ISO.fullmatch(delay)
    if not found:
        return DELAY
    hours, minutes, rest = (int(g or 0) for g in found.groups())
    return float(3600 * hours + 60 * minutes + rest)


async def run(arm: Arm) -> None:
    """Looks at each resource when its time has come, also after a restart."""
    bucket = reports.bucket(arm)
    tasks: dict[str, asyncio.Task[None]] = {}
    with closing(bucket.watch(COLLECTION)) as changes:
        try:
            for record in bucket.list(COLLECTION):
                _begin(arm, tasks, record.key, record.value)
            async for event in changes:
                if event.type != "DELETED":
                    _begin(arm, tasks, event.key, event.value)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)


def _begin(arm: Arm, tasks: dict[str, asyncio.Task[None]], key: str, value: bytes) -> None:
    """A resource that is written again is waited for anew."""
    before = tasks.pop(key, None)
    if before is not None:
        before.cancel()
    task = asyncio.create_task(_look(arm, key, orjson.loads(value)), name=f"policy of {key}")
    tasks[key] = task
    task.add_done_callback(lambda done: tasks.pop(key) if tasks.get(key) is done else None)


async def _look(arm: Arm, key: str, row: Document) -> None:
    from azsandbox.arm import inner_requests

    clock = arm.services.clock
    await inner_requests.ended(arm, row["resource"])  # a request has succeeded when its operation has
    passed = (clock.now() - operations.when(row["since"])).total_seconds() / clock.scaled(1)
    await clock.sleep(max(0.0, seconds(row["delay"]) - passed))
    try:
        await act(arm, row)
    except errors.ArmError as error:
        log.info("DeployIfNotExists of %s failed: %s", row["resource"], error)
    except Exception:
        log.exception("DeployIfNotExists of %s failed", row["resource"])
    kept = reports.bucket(arm).get(COLLECTION, key)
    if kept is not None and orjson.loads(kept.value) == row:
        reports.bucket(arm).delete(COLLECTION, key)


async def act(arm: Arm, row: Document) -> None:
    """Deploys for a resource what is not there, if the policy still holds for it. Raises ArmError."""
    stored = arm.resources.get(row["resource"])
    if stored is None:
        return
    resource = document(stored)
    for policy in list(arm.policies.policies(resource)):
        if (
            policy.assignment["id"].lower() != row["assignment"].lower()
            or policy.reference.lower() != row["reference"].lower()
            or policy.effect.lower() != "deployifnotexists"
            or not policy.enforced
            or policy.exemptions
            or not judged(policy, resource)
        ):
            continue
        if _provisioned(row["delay"], stored.state) and lacks(arm, policy, resource):
            await remedy.deploy(arm, policy, resource)
            compliance.evaluate(arm)


def lacks(arm: Arm, policy: Policy, resource: Document) -> bool:
    """Whether the rule is about a resource, and what it asks for is not there."""
    try:
        if not Judge(resource, scope_of(arm, policy, resource)).holds(policy.rule["if"]):
            return False
        return policy.effect.lower() != "deployifnotexists" or not compliance.exists(arm, policy, resource)
    except expressions.ExpressionError:
        return False


def _provisioned(delay: str, state: str | None) -> bool:
    if delay.lower() == "afterprovisioningsuccess":
        return state in (None, "Succeeded")
    return delay.lower() != "afterprovisioningfailure" or state == "Failed"
