"""A table of rows, as HTML with a caption and headers, and as aligned text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from labkit.views.surface import AS_IT_IS, BORDER, STYLE, escape, show

Row = Mapping[str, object]

LONG = 30
"""Rows of a table that stays below the cell as it is; a longer one scrolls in a box of about that height."""
WORD, TITLE = 20, 60
"""Characters of a word, and of a title, that are not broken over lines."""


@dataclass(frozen=True)
class Table:
    """Rows under column names; the last expression of a cell, or printed, or `show()`n."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    @classmethod
    def of(cls, rows: Iterable[Row], columns: Sequence[str] = (), title: str = "") -> Table:
        """A table of `rows`; without `columns`, those of the rows in the order in which they first appear."""
        listed = tuple(rows)
        names = tuple(columns) or tuple(dict.fromkeys(name for row in listed for name in row))
        return cls(title, names, listed)

    def text(self) -> str:
        """Aligned columns, two spaces apart; says so when there are no rows."""
        head = f"{self.title}\n" if self.title else ""
        if not self.rows:
            return f"{head}(nothing to show)"
        cells = [[name.upper() for name in self.columns]]
        cells += [[_plain(row.get(name)) for name in self.columns] for row in self.rows]
        widths = [max(len(line[index]) for line in cells) for index in range(len(self.columns))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
        ]
        return head + "\n".join(lines)

    def html(self) -> str:
        """An HTML table: caption, column headers with scope, cells escaped."""
        cell = f"padding:2px 10px 2px 4px;border-bottom:1px solid {BORDER};text-align:left;vertical-align:top"
        head = "".join(f'<th scope="col" style="{cell}">{escape(name)}</th>' for name in self.columns)
        body = "".join(
            "<tr>"
            + "".join(f'<td style="{cell}">{_breakable(_plain(row.get(name)))}</td>' for name in self.columns)
            + "</tr>"
            for row in self.rows
        )
        if not self.rows:
            body = f'<tr><td colspan="{max(1, len(self.columns))}" style="{cell}">nothing to show</td></tr>'
        room = "white-space:nowrap" if len(self.title) <= TITLE else ""
        caption = (
            f'<caption style="text-align:left;font-weight:600;{room}">{escape(self.title)}</caption>'
            if self.title
            else ""
        )
        table = (
            f'<table {AS_IT_IS} style="{STYLE};font-size:13px;border-collapse:collapse">{caption}'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )
        return table if len(self.rows) <= LONG else self._boxed(table)

    def _boxed(self, table: str) -> str:
        """A long `table` in a box that scrolls, also by the keys, below a line that says how much there is."""
        said = escape(f"{self.title or 'A table'}: {len(self.rows)} rows", quote=True)
        return (
            f'<div role="region" tabindex="0" aria-label="{said}" style="max-height:46em;overflow-y:auto">{table}</div>'
            f'<small style="{STYLE};font-size:12px">{len(self.rows)} rows; scroll for more</small>'
        )

    def show(self) -> None:
        """Show it below the cell."""
        show(self.html(), self.text())

    def _repr_html_(self) -> str:
        return self.html()

    def __repr__(self) -> str:
        return self.text()

    def __len__(self) -> int:
        return len(self.rows)


def _plain(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, Enum):
        # The SDKs' enums are texts as well, but print as the name that Python has for them.
        return str(value.value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {item}" for key, item in value.items()) or "-"
    if isinstance(value, list | tuple | set):
        return ", ".join(str(item) for item in value) or "-"
    return str(value)


def _breakable(text: str) -> str:
    """`text` as HTML, its long words with places where a line may end, so that a wide table fits the page."""
    words = (
        re.sub(r"(?<=\S)([/.=:,;@_&?-]+)(?=\S)", "\\1\u200b", word) if len(word) > WORD else word
        for word in re.split(r"(\s+)", text)
    )
    return escape("".join(words)).replace("\u200b", "<wbr>")
