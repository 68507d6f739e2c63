"""Policy events: what audit and deny found when a resource was written; the newest are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from azsandbox.arm import ids
from azsandbox.arm.policy import reports
from azsandbox.arm.resources import Document

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

COLLECTION = "events"
KEPT = 500


def add(arm: Arm, rows: list[Document]) -> None:
    """Keeps events."""
    bucket = reports.bucket(arm)
    for row in rows:
        bucket.put(COLLECTION, f"{bucket.revision:016d}", orjson.dumps(row))
    surplus = bucket.list(COLLECTION)[:-KEPT]
    for record in surplus:
        bucket.delete(COLLECTION, record.key)


def of(arm: Arm, scope: str) -> list[Document]:
    """The events about resources at a scope and below."""
    rows: list[Document] = [orjson.loads(r.value) for r in reports.bucket(arm).list(COLLECTION)]
    return [r for r in rows if ids.within(r["resourceId"], scope)]
