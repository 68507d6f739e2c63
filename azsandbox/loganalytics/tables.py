"""The tables of a workspace, as queries find them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from azsandbox.arm.facts import read
from azsandbox.loganalytics.kql import Column, Table, values

if TYPE_CHECKING:
    from azsandbox.loganalytics.rows import Rows


@functools.cache
def known() -> dict[str, tuple[Column, ...]]:
    """The tables that the sandbox knows, with their columns (data/azure/log-tables.json)."""
    found: dict[str, list[str]] = read("log-tables.json")["tables"]
    return {name: tuple(Column(*text.split(":")) for text in columns) for name, columns in found.items()}


class Content:
    """Rows of some workspaces, taken from the state before a query runs; it may then run in another thread.

    Only tables that `query` may name are taken. `since` and `until` are microseconds; `keep` says of a row's
    _ResourceId whether the row may be seen.
    """

    def __init__(
        self, rows: Rows, workspaces: list[str], query: str, since: int | None, until: int | None,
        keep: Callable[[str], bool] | None = None,
    ) -> None:  # fmt: skip
        words = set(re.findall(r"\w+", query))
        self._keep = keep
        self._taken = {
            name: [(workspace, rows.read(workspace, name, since, until)) for workspace in workspaces]
            for name in known()
            if name in words
        }
        hidden: dict[str, list[str]] = read("log-tables.json")["onlyWithRows"]
        self._hidden = {
            name: set(columns)
            for name, columns in hidden.items()
            if not any(rows.count(workspace, name) for workspace in workspaces)
        }
        self.names: set[str] = set()  # those that the query found
        self.scanned = 0

    def find(self, name: str) -> Table | None:
        """The table of that name."""
        columns = known().get(name)
        if columns is None:
            return None
        self.names.add(name)
        shown = tuple(c for c in columns if c.name not in self._hidden.get(name, ()))
        made = []
        for workspace, blobs in self._taken.get(name, ()):
            for blob in blobs:
                row = orjson.loads(blob)
                if self._keep is None or self._keep(str(row.get("_ResourceId", ""))):
                    row |= {"TenantId": workspace, "Type": name}
                    made.append(tuple(_cell(row.get(c.name), c.type) for c in shown))
        self.scanned += len(made)
        return Table(shown, made)


def _cell(value: Any, kind: str) -> Any:
    if kind == "string":
        return "" if value is None else str(value)
    return values.to_datetime(value) if kind == "datetime" else value
