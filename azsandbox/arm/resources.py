"""The resources that exist: documents in the store, one a resource, found by id without regard to case."""

from __future__ import annotations

import copy
import datetime as dt
import functools
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from azsandbox.arm import ids
from azsandbox.arm.ids import ResourceId
from azsandbox.clock import Clock
from azsandbox.store import Bucket

COLLECTION = "resources"

Document = dict[str, Any]


@dataclass
class Stored:
    """A resource as kept: `body` is what GET gives (providers may render it), `private` is never served."""

    id: str
    type: str
    body: Document
    private: Document = field(default_factory=dict)
    created: str = ""
    changed: str = ""
    etag: str = ""
    revision: int = 0

    @property
    def resource_id(self) -> ResourceId:
        return ids.of(self.id)

    @property
    def name(self) -> str:
        return self.id.rsplit("/", 1)[-1]

    @property
    def properties(self) -> Document:
        """The body's `properties`, made if absent."""
        return self.body.setdefault("properties", {})

    @property
    def state(self) -> str | None:
        """The provisioning state."""
        found: str | None = (self.body.get("properties") or {}).get("provisioningState")
        return found


class Resources:
    """Reads and writes resources. Writing gives a new etag and time of change; watch the bucket's collection
    `resources` (values are JSON of Stored) to act on changes."""

    def __init__(self, bucket: Bucket, clock: Clock) -> None:
        self.bucket, self._clock = bucket, clock
        self.changed: list[Callable[[Stored, bool], None]] = []  # told at once of each resource, and whether it is gone

    def seconds(self) -> float:
        """The time now in seconds of the epoch."""
        return self._clock.now().timestamp()

    def revision(self, id_: ResourceId | str) -> int:
        """The revision of a resource, 0 without one; cheaper than to read it."""
        record = self.bucket.get(COLLECTION, _key(id_))
        return record.revision if record else 0

    def get(self, id_: ResourceId | str) -> Stored | None:
        """The resource, or None."""
        record = self.bucket.get(COLLECTION, _key(id_))
        return _load(record.value, record.revision) if record else None

    def below(self, scope: ResourceId | str, type_: str | None = None) -> list[Stored]:
        """Everything below `scope`, children and extensions too, in the order of ids; of one type if given."""
        wanted = type_.lower() if type_ else None
        records = self.bucket.list(COLLECTION, _key(scope).rstrip("/") + "/")
        return [_load(r.value, r.revision) for r in records if wanted is None or type_of_key(r.key) == wanted]

    def children(self, parent: ResourceId | str, type_: str) -> list[Stored]:
        """The resources of the full type `type_` in `parent`: its children, or what extends it; for a resource group
        or a subscription everything in it."""
        found = self.below(parent, type_)
        outer = _key(parent).rstrip("/")
        if "/providers/" not in outer:
            return found
        steps = type_.count("/") - outer.rsplit("/providers/", 1)[1].count("/") // 2 - 1
        depth = outer.count("/") + (2 if steps == 0 else 4)
        return [s for s in found if s.id.count("/") == depth]

    def all(self, type_: str | None = None) -> list[Stored]:
        """Every resource, or every one of a full type."""
        return self.below("", type_)

    def put(self, stored: Stored, *, touch: bool = True) -> Stored:
        """Writes; new etag and times unless `touch` is off. Answered only once it is on disk."""
        now = timestamp(self._clock)
        if touch:
            stored.changed = now
            stored.etag = str(uuid.uuid4())
        stored.created = stored.created or now
        record = self.bucket.put(COLLECTION, stored.id.lower(), _dump(stored))
        stored.revision = record.revision
        self._tell(stored, gone=False)
        return stored

    def delete(self, id_: ResourceId | str) -> None:
        """Removes the resource, if it is there, and everything below it."""
        key = _key(id_)
        own = self.bucket.get(COLLECTION, key)
        for record in (*self.bucket.list(COLLECTION, key + "/"), *([own] if own else [])):
            self.bucket.delete(COLLECTION, record.key)
            self._tell(_load(record.value, record.revision), gone=True)

    def _tell(self, stored: Stored, *, gone: bool) -> None:
        for told in self.changed:
            told(stored, gone)


@functools.lru_cache(maxsize=65536)
def type_of_key(key: str) -> str:
    """The full type, in lower case, that a lower-case id tells; so that lists need not read what they leave out."""
    _, found, tail = key.rpartition("/providers/")
    if not found:
        return ids.GROUPS.lower() if "/resourcegroups/" in key else ids.SUBSCRIPTIONS.lower()
    namespace, *rest = tail.split("/")
    return "/".join((namespace, *rest[::2]))


def timestamp(clock: Clock) -> str:
    """The time now as Azure writes it, with seven decimals."""
    return clock.now().strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def seconds_of(timestamp: str) -> float:
    """Seconds of the epoch of a time that `timestamp` wrote; 0 for none."""
    return dt.datetime.fromisoformat(timestamp).timestamp() if timestamp else 0.0


def merge(current: Document, patch: Document) -> Document:
    """`current` with `patch` laid over it: objects merge, all else is replaced, null removes (RFC 7396)."""
    out = dict(current)
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merge(out[key], value)
        else:
            out[key] = copy.deepcopy(value)
    return out


def without(document: Document, names: Iterable[str]) -> Document:
    """`document` without these keys."""
    dropped = set(names)
    return {key: value for key, value in document.items() if key not in dropped}


def _key(id_: ResourceId | str) -> str:
    return id_.key if isinstance(id_, ResourceId) else id_.rstrip("/").lower()


def _load(value: bytes, revision: int) -> Stored:
    return Stored(**orjson.loads(value), revision=revision)


def _dump(stored: Stored) -> bytes:
    return orjson.dumps(without(stored.__dict__, ("revision",)))
