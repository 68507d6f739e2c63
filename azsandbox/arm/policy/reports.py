"""What clusters have reported of the policies that they carry out, kept until they report anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from azsandbox.arm.resources import Document

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm
    from azsandbox.store import Bucket

COLLECTION = "cluster-reports"


def bucket(arm: Arm) -> Bucket:
    """Where states of compliance are kept, apart from the resources: they change without anybody's request."""
    return arm.services.state.bucket("policy")


def put(arm: Arm, cluster: str, rows: list[Document]) -> None:
    """Keeps a report: a row a policy, with assignment, definition, reference, state, time and components."""
    value = orjson.dumps(rows)
    kept = bucket(arm).get(COLLECTION, cluster.lower())
    if kept is None or kept.value != value:
        bucket(arm).put(COLLECTION, cluster.lower(), value)


def drop(arm: Arm, cluster: str) -> None:
    """Forgets what a cluster has reported."""
    if bucket(arm).get(COLLECTION, cluster.lower()):
        bucket(arm).delete(COLLECTION, cluster.lower())


def of(arm: Arm, cluster: str) -> list[Document]:
    """The last report of a cluster; [] where it has none."""
    kept = bucket(arm).get(COLLECTION, cluster.lower())
    found: list[Document] = orjson.loads(kept.value) if kept else []
    return found
