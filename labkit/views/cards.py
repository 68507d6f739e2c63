"""Check cards: status in words, what was seen, what is expected, why, what next, and hints that open one by one."""

from __future__ import annotations

from collections.abc import Iterable

from labkit.checks.core import Result, Status
from labkit.views.surface import AS_IT_IS, BORDER, STYLE, escape, show

MARKS = {Status.PASS: "✓", Status.WARN: "!", Status.FAIL: "✗", Status.SKIP: "–", Status.UNKNOWN: "?"}
# Each is at least 3:1 against white and against JupyterLab's dark background; the word beside it says the same.
EDGES = {
    Status.PASS: "#2e7d32",
    Status.WARN: "#b26a00",
    Status.FAIL: "#d32f2f",
    Status.SKIP: "#757575",
    Status.UNKNOWN: "#7b6ba8",
}
HINTS = ("A hint", "A second hint", "The solution")


QUIET = (Status.PASS, Status.SKIP)
"""What asks nothing of the reader: such a card shows what was seen, and the rest when it is opened."""


def card_html(result: Result) -> str:
    """One result as a card; its hints are closed until the reader opens them, and so is the rest of what passed."""
    edge = EDGES[result.status]
    seen = [("Seen", result.observed), ("Reason", result.reason)]
    wanted = [("Expected", result.expected), ("Object", _short(result.object_id))]
    if result.status in QUIET:
        shown, folded = seen, wanted
    else:
        shown, folded = [seen[0], wanted[0], seen[1], wanted[1]], []
    return (
        f'<section {AS_IT_IS} aria-label="{escape(f"{result.status.words}: {result.title}", quote=True)}" '
        f'style="{STYLE};border:1px solid {BORDER};border-left:6px solid {edge};padding:4px 12px;margin:6px 0">'
        f'<div><strong><span aria-hidden="true">{MARKS[result.status]}</span> {result.status.words}</strong> '
        f"{escape(result.title)} <small>({escape(result.id)}, {escape(result.severity)})</small></div>"
        f"{_facts(shown)}{_next(result)}{_why(result, folded)}</section>"
    )


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    # JupyterLab has rules of its own for lists of definitions: a float, a fifth of the width for the words.
    cell = "margin:0;padding:0;float:none;width:auto"
    rows = "".join(
        f'<dt style="{cell};font-weight:600">{label}</dt><dd style="{cell};overflow-wrap:anywhere">{escape(value)}</dd>'
        for label, value in facts
        if value
    )
    return f'<dl style="display:grid;grid-template-columns:5em 1fr;gap:1px 12px;margin:2px 0">{rows}</dl>'


def _short(object_id: str) -> str:
    """An id of Azure from its provider's types on: all else is the same for everything in a lab."""
    _, found, rest = object_id.rpartition("/providers/")
    return rest.partition("/")[2] if found else object_id


def _next(result: Result) -> str:
    if not result.next_command:
        return ""
    hints = "".join(
        f'<details><summary>{label}</summary><pre style="white-space:pre-wrap;margin:2px 0 6px 14px">{escape(hint)}</pre>'
        "</details>"
        for label, hint in zip(HINTS, result.hints, strict=False)
    )
    return f'<div><strong>Next:</strong> <code style="overflow-wrap:anywhere">{escape(result.next_command)}</code></div>{hints}'


def _why(result: Result, folded: Iterable[tuple[str, str]]) -> str:
    facts, sources = list(folded), "; ".join(result.references)
    label = "What was expected, and why" if facts else "Why"
    whole = f"<br>{escape(result.object_id)}" if result.object_id != _short(result.object_id) else ""
    return (
        f'<details><summary>{label}</summary><div style="margin:2px 0 6px 14px">{_facts(facts) if facts else ""}'
        f'{escape(result.why)}<br><small style="overflow-wrap:anywhere">{escape(sources)}{whole}</small></div></details>'
    )


def card_text(result: Result) -> str:
    """The card in plain text; hints are left to `labkit check --hints`."""
    lines = [f"{MARKS[result.status]} {result.status.words}: {result.title} ({result.id}, {result.severity})"]
    if result.observed:
        lines.append(f"    seen: {result.observed}")
    if result.expected:
        lines.append(f"    expected: {result.expected}")
    if result.reason:
        lines.append(f"    reason: {result.reason}")
    if result.next_command:
        lines.append(f"    next: {result.next_command}")
    return "\n".join(lines)


def summary(results: Iterable[Result]) -> str:
    """How many results there are of each status, in words."""
    counted = [result.status for result in results]
    parts = [
        f"{counted.count(status)} {status.value}"
        for status in (Status.PASS, Status.WARN, Status.FAIL, Status.UNKNOWN, Status.SKIP)
        if status in counted
    ]
    noun = "check" if len(counted) == 1 else "checks"
    return f"{len(counted)} {noun}: {', '.join(parts)}" if counted else "no checks"


class Results(tuple[Result, ...]):
    """The results of one run, in the order asked for; shows itself as cards."""

    displayed = False
    """True once they were shown below a cell, so that a notebook does not show them a second time."""

    @property
    def ok(self) -> bool:
        """True if nothing failed and nothing is unknown."""
        return all(result.ok for result in self)

    def show(self) -> None:
        """Show a card each, after a line that counts them."""
        show(self._html(), repr(self))

    def _ipython_display_(self) -> None:
        if not self.displayed:
            self.show()

    def _html(self) -> str:
        return f'<p style="{STYLE}">{escape(summary(self))}</p>' + "".join(card_html(result) for result in self)

    def __repr__(self) -> str:
        return "\n".join([summary(self), *(card_text(result) for result in self)])
