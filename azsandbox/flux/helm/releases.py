"""Releases as Helm records them: the JSON of helm.sh/helm/v4/pkg/release/v1, and its place in a Secret."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import time
from typing import Any

import orjson

Release = dict[str, Any]
Hook = dict[str, Any]

DEPLOYED, SUPERSEDED, FAILED, UNINSTALLED = "deployed", "superseded", "failed", "uninstalled"
UNINSTALLING, UNKNOWN = "uninstalling", "unknown"
PENDING_INSTALL, PENDING_UPGRADE, PENDING_ROLLBACK = "pending-install", "pending-upgrade", "pending-rollback"
PENDING = frozenset((PENDING_INSTALL, PENDING_UPGRADE, PENDING_ROLLBACK))
SERVER_SIDE, CLIENT_SIDE = "ssa", "csa"
TEST = "test"
_GZIP = b"\x1f\x8b\x08"


def now() -> str:
    """The time as Go writes it, in nanoseconds (RFC 3339)."""
    nanoseconds = time.time_ns()
    whole = dt.datetime.fromtimestamp(nanoseconds // 1_000_000_000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    part = f"{nanoseconds % 1_000_000_000:09d}".rstrip("0")
    return f"{whole}.{part}Z" if part else f"{whole}Z"


def in_seconds(moment: str) -> str:
    """A moment as metav1.Time: in whole seconds and UTC."""
    return dt.datetime.fromisoformat(moment).astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def encode(release: Release) -> str:
    """What a Secret's `data.release` is: the JSON, gzipped, in base64, and as all Secrets' data in base64 once more."""
    packed = gzip.compress(orjson.dumps(_stored(release)), 9)
    return base64.b64encode(base64.b64encode(packed)).decode()


def decode(data: str) -> Release:
    """The release in a Secret. Raises ValueError for what is none."""
    packed = base64.b64decode(base64.b64decode(data))
    found: Release = orjson.loads(gzip.decompress(packed) if packed.startswith(_GZIP) else packed)
    info = found.setdefault("info", {})
    for field in ("first_deployed", "last_deployed", "deleted"):
        if not info.get(field):
            info.pop(field, None)
    return found


def _stored(release: Release) -> Release:
    """The parts that Helm writes: empty ones are left out, and labels are the Secret's."""
    return {key: value for key, value in release.items() if key != "labels" and value not in ("", None, [], {}, 0)}


def is_hook_for(hook: Hook, event: str) -> bool:
    """Whether a hook fires on an event such as "pre-install"."""
    return event in (hook.get("events") or ())


def test_hooks(release: Release) -> dict[str, Hook]:
    """The release's tests by name."""
    return {hook.get("name", ""): hook for hook in release.get("hooks") or () if is_hook_for(hook, TEST)}


def set_status(release: Release, status: str, description: str) -> None:
    """What has become of a release."""
    release["info"]["status"], release["info"]["description"] = status, description
