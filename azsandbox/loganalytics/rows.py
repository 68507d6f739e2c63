"""Rows of workspaces, in the one SQLite file of the sandbox; none of them stay in memory.

The oldest rows give way: those older than the workspace keeps them, and those past the bounds below, which keep a lab
that runs for weeks small.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from azsandbox.store import Store

Row = dict[str, Any]

MOST_ROWS = 20_000
"""Rows of one table of one workspace."""

MOST_BYTES = 64 * 1024 * 1024
"""Bytes of all rows of one workspace."""

ROOM = 0.9
"""What is left of a bound once it was passed, so that not every batch deletes."""

_TABLES = """
CREATE TABLE IF NOT EXISTS log_rows (
    id INTEGER PRIMARY KEY, workspace TEXT NOT NULL, name TEXT NOT NULL, time INTEGER NOT NULL,
    size INTEGER NOT NULL, value BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS log_rows_by_time ON log_rows (workspace, name, time);
"""


def stamp(moment: dt.datetime) -> str:
    """A time as rows hold it, in microseconds."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def micros(text: str) -> int:
    """Microseconds since 1970 of such a time."""
    return int(dt.datetime.fromisoformat(text).timestamp() * 1_000_000)


@dataclass
class _Size:
    rows: int = 0
    bytes: int = 0


class Rows:
    """All rows of a sandbox. A workspace is named by its customer id."""

    def __init__(self, store: Store) -> None:
        self._store = store
        store.connection.executescript(_TABLES)
        self._sizes: dict[tuple[str, str], _Size] = {}
        counted = store.connection.execute(
            "SELECT workspace, name, COUNT(*), SUM(size) FROM log_rows GROUP BY workspace, name"
        )
        for workspace, name, rows, size in counted:
            self._sizes[workspace, name] = _Size(rows, size)

    def add(self, batch: Iterable[tuple[str, str, Row]]) -> None:
        """Writes rows, given as workspace, table and columns; all of them or none."""
        values = []
        for workspace, name, row in batch:
            data = orjson.dumps(row)
            values.append((workspace, name, micros(row["TimeGenerated"]), len(data), data))
            size = self._sizes.setdefault((workspace, name), _Size())
            size.rows += 1
            size.bytes += len(data)
        if not values:
            return
        with self._store.atomic() as connection:
            connection.executemany(
                "INSERT INTO log_rows (workspace, name, time, size, value) VALUES (?, ?, ?, ?, ?)", values
            )
            for workspace in {value[0] for value in values}:
                self._bound(workspace)

    def _bound(self, workspace: str) -> None:
        for (owner, name), size in list(self._sizes.items()):
            if owner == workspace and size.rows > MOST_ROWS:
                self._drop_oldest(workspace, name, size.rows - int(MOST_ROWS * ROOM))
        total = sum(size.bytes for (owner, _), size in self._sizes.items() if owner == workspace)
        while total > MOST_BYTES:
            name, size = max(
                ((name, size) for (owner, name), size in self._sizes.items() if owner == workspace),
                key=lambda one: one[1].bytes,
            )
            before = size.bytes
            self._drop_oldest(workspace, name, max(1, int(size.rows * (1 - ROOM))))
            total -= before - self._sizes[workspace, name].bytes

    def _drop_oldest(self, workspace: str, name: str, count: int) -> None:
        connection = self._store.connection
        connection.execute(
            "DELETE FROM log_rows WHERE id IN (SELECT id FROM log_rows WHERE workspace = ? AND name = ? "
            "ORDER BY time, id LIMIT ?)",
            (workspace, name, count),
        )
        self._count(workspace, name)

    def _count(self, workspace: str, name: str) -> None:
        found = self._store.connection.execute(
            "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM log_rows WHERE workspace = ? AND name = ?", (workspace, name)
        ).fetchone()
        self._sizes[workspace, name] = _Size(*found)

    def expire(self, workspace: str, before: dt.datetime) -> None:
        """Forgets what a workspace has from before a time."""
        with self._store.atomic() as connection:
            for owner, name in list(self._sizes):
                if owner == workspace:
                    connection.execute(
                        "DELETE FROM log_rows WHERE workspace = ? AND name = ? AND time < ?",
                        (workspace, name, int(before.timestamp() * 1_000_000)),
                    )
                    self._count(workspace, name)

    def forget(self, workspace: str) -> None:
        """Forgets all rows of a workspace."""
        with self._store.atomic() as connection:
            connection.execute("DELETE FROM log_rows WHERE workspace = ?", (workspace,))
        for key in [key for key in self._sizes if key[0] == workspace]:
            del self._sizes[key]

    def workspaces(self) -> set[str]:
        """Those that have rows, or had some."""
        return {owner for owner, _ in self._sizes}

    def count(self, workspace: str, name: str) -> int:
        """How many rows a table has."""
        return self._sizes.get((workspace, name), _Size()).rows

    def read(self, workspace: str, name: str, since: int | None = None, until: int | None = None) -> list[bytes]:
        """The rows of a table, oldest first, as JSON; of a time in microseconds on, and up to one."""
        lowest, highest = -(2**62) if since is None else since, 2**62 if until is None else until
        found = self._store.connection.execute(
            "SELECT value FROM log_rows WHERE workspace = ? AND name = ? AND time >= ? AND time <= ? ORDER BY time, id",
            (workspace, name, lowest, highest),
        )
        return [row[0] for row in found]
