"""Revisioned objects on SQLite, with watch.

A store holds buckets (one for Azure Resource Manager, one a Kubernetes cluster). A bucket
counts revisions of its own, as etcd does, and holds collections of keys with values. Values
are bytes: what was stored is what is served, with nothing serialized twice.

All of a bucket's current values are kept in memory and written through to SQLite before a
call returns, so an answered write survives `kill -9` (WAL journal, synchronous=NORMAL).
The latest events are kept in memory for watches that start in the past; after a restart
the history begins anew, and a watch from before it ends in `Compacted`.

Everything here is synchronous and belongs to the thread of the event loop: one write takes
some 50 µs, less than a hop to another thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

HISTORY = 20_000  # events kept a bucket; older watches must list again

Records = list["Record"]
Names = list[str]
EventType = Literal["ADDED", "MODIFIED", "DELETED"]
FORMAT = 1  # of the file; a change that an older program would misread makes it one more
Build = Callable[[int], bytes]  # makes the value, given the revision that it will have

_TABLES = """
CREATE TABLE IF NOT EXISTS buckets (
    name TEXT PRIMARY KEY, revision INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL, collection TEXT NOT NULL, key TEXT NOT NULL,
    created INTEGER NOT NULL, revision INTEGER NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (bucket, collection, key)
) WITHOUT ROWID;
"""


class StoreError(Exception):
    """Base of what a store refuses: Exists, Missing, Conflict, Compacted."""


class Unusable(Exception):
    """The file cannot be read: it is damaged, or of a newer program. The message says which."""


class CannotWrite(sqlite3.OperationalError):
    """The disk is full, or does not take writes; nothing was changed. The message says which, and what to do."""


class Exists(StoreError):
    """A key that was to be created is there already."""


class Missing(StoreError):
    """A key that was to be changed or deleted is not there."""


class Conflict(StoreError):
    """A key is at another revision than the caller expected."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"expected revision {expected}, found {found}")
        self.expected, self.found = expected, found


class Compacted(StoreError):
    """A revision lies before the history that is kept."""

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"revision {asked} is older than the history, which begins at {oldest}")
        self.asked, self.oldest = asked, oldest


@dataclass(frozen=True, slots=True)
class Record:
    """A value as stored: its key, bytes, revision, and the revision of its creation."""

    key: str
    value: bytes
    revision: int
    created: int


@dataclass(slots=True, eq=False)
class Event:
    """A change to one key. `value` is what is stored now; for DELETED the last state."""

    type: EventType
    collection: str
    key: str
    value: bytes
    previous: bytes | None
    revision: int
    encoded: dict = field(default_factory=dict)  # what watches made of it, so that each form is made once


class Watch:
    """Events of one collection, from a revision on. Iterate it; close it when done."""

    def __init__(self, bucket: Bucket, collection: str, prefix: str) -> None:
        self._bucket, self.collection, self.prefix = bucket, collection, prefix
        self._events: deque[Event] = deque()
        self._ready = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0  # of the timer
        self.closed = False

    def push(self, event: Event) -> None:
        if event.key.startswith(self.prefix):
            self._events.append(event)
            self._ready.set()

    def pending(self) -> list[Event]:
        """Takes the events that have come, without waiting."""
        events = list(self._events)
        self._events.clear()
        self._ready.clear()
        return events

    async def next(self, timeout: float | None = None) -> list[Event]:
        """Waits until there are events and takes them; [] when `timeout` seconds pass or the watch closes."""
        if not self._events and not self.closed:
            # asyncio.timeout, for wait_for of Python 3.11 loses a cancellation that comes together with an event
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._ready.wait()
        return self.pending()

    async def until(self, deadline: float) -> list[Event]:
        """As `next`, until a time of the event loop. The timer stays while the deadline is the same, as that of many
        events is."""
        if not self._events and not self.closed:
            if self._deadline != deadline:
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = asyncio.get_running_loop().call_at(deadline, self._due)
                self._deadline = deadline
            await self._ready.wait()
        return self.pending()

    def _due(self) -> None:
        self._timer, self._deadline = None, 0.0
        self._ready.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while not self.closed:
            for event in await self.next():
                yield event

    def close(self) -> None:
        """Ends the watch; whoever waits for it wakes."""
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._bucket.forget(self)
        self._ready.set()


class _Collection:
    """Current records of one collection, with their keys in order."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.keys: list[str] = []


class Bucket:
    """One revisioned key space. Get it from `Store.bucket`."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self.name = store, name
        row = store.connection.execute("SELECT revision FROM buckets WHERE name = ?", (name,)).fetchone()
        self.revision: int = row[0] if row else 1
        if not row:
            store.connection.execute("INSERT INTO buckets VALUES (?, ?)", (name, self.revision))
        self.oldest = self.revision  # watches can start here at the earliest
        self._collections: dict[str, _Collection] = {}
        self._watches: dict[str, set[Watch]] = {}
        self._history: deque[Event] = deque()
        rows = store.connection.execute(
            "SELECT collection, key, value, revision, created FROM objects WHERE bucket = ? ORDER BY collection, key",
            (name,),
        )
        for collection, key, value, revision, created in rows:
            self._put(collection, Record(key, value, revision, created))

    # --- reading

    def get(self, collection: str, key: str) -> Record | None:
        """The record at `key`, or None."""
        found = self._collections.get(collection)
        return found.records.get(key) if found else None

    def list(self, collection: str, prefix: str = "") -> Records:
        """All records whose key begins with `prefix`, in the order of their keys."""
        found = self._collections.get(collection)
        if not found:
            return []
        if not prefix:
            return [found.records[key] for key in found.keys]
        start = bisect_left(found.keys, prefix)
        end = bisect_right(found.keys, prefix + "\U0010ffff")
        return [found.records[key] for key in found.keys[start:end]]

    def list_at(self, collection: str, prefix: str, revision: int) -> Records:
        """As `list`, as it was at `revision`. Raises Compacted when the history no longer reaches it."""
        if revision >= self.revision:
            return self.list(collection, prefix)
        if revision < self.oldest:
            raise Compacted(revision, self.oldest)
        records = {record.key: record for record in self.list(collection, prefix)}
        for event in reversed(self._history):
            if event.revision <= revision:
                break
            if event.collection != collection or not event.key.startswith(prefix):
                continue
            if event.type == "ADDED":
                records.pop(event.key, None)
            elif event.previous is not None:
                records[event.key] = Record(event.key, event.previous, revision, revision)
        return [records[key] for key in sorted(records)]

    def collections(self) -> Names:
        """Names of the collections that hold something."""
        return sorted(name for name, found in self._collections.items() if found.records)

    def count(self, collection: str) -> int:
        """How many keys `collection` holds."""
        found = self._collections.get(collection)
        return len(found.records) if found else 0

    # --- writing

    def create(self, collection: str, key: str, value: bytes | Build) -> Record:
        """Stores a new key. Raises Exists."""
        if self.get(collection, key):
            raise Exists(f"{collection} {key} exists")
        return self._write("ADDED", collection, key, value, None)

    def update(self, collection: str, key: str, value: bytes | Build, expected: int | None = None) -> Record:
        """Replaces the value of a key. Raises Missing, or Conflict when it is not at revision `expected`."""
        return self._write("MODIFIED", collection, key, value, self._expect(collection, key, expected))

    def put(self, collection: str, key: str, value: bytes | Build) -> Record:
        """Creates or replaces."""
        old = self.get(collection, key)
        return self._write("MODIFIED" if old else "ADDED", collection, key, value, old)

    def delete(
        self, collection: str, key: str, value: bytes | Build | None = None, expected: int | None = None
    ) -> Record:
        """Deletes a key and returns its last record; `value`, if given, is the last state that watches see."""
        old = self._expect(collection, key, expected)
        return self._write("DELETED", collection, key, old.value if value is None else value, old)

    def clear(self) -> None:
        """Forgets everything in the bucket, history included. Watches end."""
        self.end_watches()
        self._collections.clear()
        self._history.clear()
        self.revision += 1
        self.oldest = self.revision
        with self._store.atomic() as connection:
            connection.execute("DELETE FROM objects WHERE bucket = ?", (self.name,))
            connection.execute("UPDATE buckets SET revision = ? WHERE name = ?", (self.revision, self.name))

    def compact(self) -> None:
        """Forgets the history: watches can start from now at the earliest."""
        self._history.clear()
        self.oldest = self.revision

    def bump(self) -> int:
        """Takes a new revision without a change (what etcd's compaction or a lease write would do)."""
        self.revision += 1
        self._store.connection.execute("UPDATE buckets SET revision = ? WHERE name = ?", (self.revision, self.name))
        return self.revision

    def atomic(self) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        """Writes inside reach the disk together or not at all, those to other buckets of the store included."""
        return self._store.atomic()

    # --- watching

    def watch(self, collection: str, prefix: str = "", since: int | None = None) -> Watch:
        """Events of `collection` after revision `since` (None: from now on). Raises Compacted."""
        watch = Watch(self, collection, prefix)
        if since is not None and since < self.revision:
            if since < self.oldest:
                raise Compacted(since, self.oldest)
            past: list[Event] = []
            for event in reversed(self._history):
                if event.revision <= since:
                    break
                if event.collection == collection:
                    past.append(event)
            for event in reversed(past):
                watch.push(event)
        self._watches.setdefault(collection, set()).add(watch)
        return watch

    def end_watches(self) -> None:
        """Closes all watches."""
        for watches in list(self._watches.values()):
            for watch in list(watches):
                watch.close()

    def forget(self, watch: Watch) -> None:
        """Sends a watch, which is closed, nothing more."""
        self._watches.get(watch.collection, set()).discard(watch)

    # --- inside

    def _expect(self, collection: str, key: str, expected: int | None) -> Record:
        old = self.get(collection, key)
        if old is None:
            raise Missing(f"{collection} {key} does not exist")
        if expected is not None and old.revision != expected:
            raise Conflict(expected, old.revision)
        return old

    def _write(self, kind: EventType, collection: str, key: str, value: bytes | Build, old: Record | None) -> Record:
        revision = self.revision + 1
        data = value if isinstance(value, bytes) else value(revision)
        record = Record(key, data, revision, old.created if old else revision)
        with self._store.atomic() as connection:
            if kind == "DELETED":
                connection.execute(
                    "DELETE FROM objects WHERE bucket = ? AND collection = ? AND key = ?", (self.name, collection, key)
                )
            else:
                connection.execute(
                    "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?)",
                    (self.name, collection, key, record.created, revision, data),
                )
            connection.execute("UPDATE buckets SET revision = ? WHERE name = ?", (revision, self.name))
        self.revision = revision
        if kind == "DELETED":
            self._remove(collection, key)
        else:
            self._put(collection, record)
        event = Event(kind, collection, key, data, old.value if old else None, revision)
        self._tell(event)
        self._store.done(lambda: self._take_back(event, old))
        return record

    def _tell(self, event: Event) -> None:
        self._history.append(event)
        if len(self._history) > HISTORY:
            self.oldest = self._history.popleft().revision
        for watch in self._watches.get(event.collection, ()):
            watch.push(event)

    def _take_back(self, event: Event, old: Record | None) -> None:
        """Puts memory back to before a write that did not reach the disk; watches, which know of it, are told."""
        self.revision += 1
        if old is None:
            self._remove(event.collection, event.key)
        else:
            self._put(event.collection, old)
        kind: EventType = "DELETED" if old is None else "ADDED" if event.type == "DELETED" else "MODIFIED"
        value = event.value if old is None else old.value
        self._tell(Event(kind, event.collection, event.key, value, event.value, self.revision))

    def _remove(self, collection: str, key: str) -> None:
        found = self._collections[collection]
        del found.records[key]
        del found.keys[bisect_left(found.keys, key)]

    def _put(self, collection: str, record: Record) -> None:
        found = self._collections.setdefault(collection, _Collection())
        if record.key not in found.records:
            insort(found.keys, record.key)
        found.records[record.key] = record


class Store:
    """All state of a sandbox, in one SQLite file (or in memory, for a cluster that is thrown away).

    Raises Unusable for a file that is damaged, or of a newer program.
    """

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
        self.connection = sqlite3.connect(path or ":memory:", isolation_level=None)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self.connection.close()
            if isinstance(error, sqlite3.OperationalError):  # the disk's fault, not the file's
                raise
            raise Unusable(f"{path} is damaged ({error})") from None
        except Unusable:
            self.connection.close()
            raise
        self._buckets: dict[str, Bucket] = {}
        self._depth = 0
        self._undo: list[Callable[[], None]] = []  # of the writes in the transaction that is open

    def _open(self) -> None:
        (found,) = self.connection.execute("PRAGMA user_version").fetchone()
        if found > FORMAT:
            raise Unusable(
                f"the state was written by a newer azsandbox: its format is {found}, and this one knows up to {FORMAT}"
            )
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=NORMAL")
        self.connection.executescript(_TABLES)
        if found < FORMAT:
            self.connection.execute(f"PRAGMA user_version = {FORMAT}")

    def bucket(self, name: str) -> Bucket:
        """The bucket of that name, made if new."""
        if name not in self._buckets:
            self._buckets[name] = Bucket(self, name)
        return self._buckets[name]

    def drop(self, name: str) -> None:
        """Deletes a bucket and everything in it."""
        self.bucket(name).clear()
        self.connection.execute("DELETE FROM buckets WHERE name = ?", (name,))
        del self._buckets[name]

    @contextlib.contextmanager
    def atomic(self) -> Iterator[sqlite3.Connection]:
        """Writes inside reach the disk together or not at all. Where they do not (what is inside raises, or the disk is
        full), memory goes back to what it was, and watches that were told of them are told so. Raises CannotWrite."""
        if self._depth:
            self._depth += 1
            try:
                yield self.connection
            finally:
                self._depth -= 1
            return
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            self._depth = 1
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException as error:
            if self.connection.in_transaction:  # SQLite ends some by itself
                self.connection.execute("ROLLBACK")
            for undo in reversed(self._undo):
                undo()
            if isinstance(error, sqlite3.OperationalError):
                raise CannotWrite(
                    f"The state of the sandbox cannot be written: {error}. Make room, and try again"
                ) from error
            raise
        finally:
            self._depth = 0
            self._undo.clear()

    def done(self, undo: Callable[[], None]) -> None:
        """Keeps how memory is put back, should the transaction that is open, if any, not end well."""
        if self._depth:
            self._undo.append(undo)

    def close(self) -> None:
        """Closes the file. Buckets must not be used afterwards."""
        self.connection.close()
