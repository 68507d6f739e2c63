"""Tables: columns with types, and rows; and where a query finds those that it names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

Row = tuple[Any, ...]


class Column(NamedTuple):
    """A column: its name, and one of Kusto's types."""

    name: str
    type: str


class Table:
    """Columns and rows; a row has a value for each column, None where there is none."""

    def __init__(self, columns: Iterable[Column], rows: Sequence[Row] = (), name: str = "PrimaryResult") -> None:
        self.columns, self.rows, self.name = tuple(columns), rows, name

    def index(self, name: str) -> int | None:
        """Where a column is, or None."""
        return next((i for i, column in enumerate(self.columns) if column.name == name), None)

    def with_rows(self, rows: Sequence[Row]) -> Table:
        """Other rows under the same columns."""
        return Table(self.columns, rows)

    def cut(self, most: int) -> Table:
        """The same with the first `most` rows."""
        return Table(self.columns, self.rows[:most], self.name)


class Source(Protocol):
    """Where the tables of a query come from."""

    def find(self, name: str) -> Table | None:
        """The table of that name, or None."""
