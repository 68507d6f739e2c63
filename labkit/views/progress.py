"""A progress bar that says no more than is known: time, the service's own words, a share where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.views.surface import announced, escape, headless, html_widget, show_widget

WORDS = {True: "Done", False: "Failed"}


class Progress:
    """One operation as it goes on. `update` while it runs, `finish` once.

    With a front end this is a bar below the cell; headless it prints a line each time that what is known changes,
    and not for time alone.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._plain = headless()
        self._last: tuple[Any, ...] = ()
        self._bar: Any = None
        self._line: Any = None
        if not self._plain:
            self._open()

    def _open(self) -> None:
        import ipywidgets

        self._bar = ipywidgets.FloatProgress(value=0.0, min=0.0, max=1.0, bar_style="info")
        self._bar.layout.width, self._bar.layout.height = "98%", "16px"
        self._bar.tooltip = self.title
        self._line = html_widget(announced(escape(self.title)))
        show_widget(ipywidgets.VBox([self._line, self._bar]))

    def update(
        self, status: str, elapsed: float, *, share: float | None = None, states: Mapping[str, str] | None = None
    ) -> None:
        """Say where it stands: the service's `status`, seconds `elapsed`, the `share` done from 0 to 1 if it is
        known, and the `states` of the resources as they were last seen."""
        seen = dict(states or {})
        if self._plain:
            known = (status, share, tuple(seen.items()))
            if known != self._last:
                self._last = known
                print(self.text(status, elapsed, share, seen))
            return
        self._line.value = announced(self._html(status, elapsed, share, seen))
        # Without a share the bar stays empty: a bar that creeps by the clock would be a guess shown as a fact.
        self._bar.value = share or 0.0

    def finish(self, ok: bool, status: str, elapsed: float, states: Mapping[str, str] | None = None) -> None:
        """Say how it ended, in words and on the bar."""
        seen = dict(states or {})
        word = WORDS[ok]
        if self._plain:
            print(f"{self.title}: {word.lower()} after {elapsed:.0f} s ({status}){_listed(seen)}")
            return
        if ok:
            self._bar.value = 1.0
        self._bar.bar_style = "success" if ok else "danger"
        self._line.value = announced(
            f"<strong>{word}</strong>: {escape(self.title)}, {elapsed:.0f} s, {escape(status + _listed(seen))}"
        )

    def text(self, status: str, elapsed: float, share: float | None, states: Mapping[str, str]) -> str:
        """The line that a headless run prints."""
        part = f", {share:.0%}" if share is not None else ""
        return f"{self.title}: {status}{part}, {elapsed:.0f} s{_listed(states)}"

    def _html(self, status: str, elapsed: float, share: float | None, states: Mapping[str, str]) -> str:
        part = f", {share:.0%}" if share is not None else ""
        listed = "".join(f"<li>{escape(name)}: {escape(state)}</li>" for name, state in states.items())
        below = f'<ul style="margin:2px 0 2px 18px;padding:0">{listed}</ul>' if listed else ""
        return f"<strong>{escape(self.title)}</strong>: {escape(status)}{part}, {elapsed:.0f} s{below}"


def _listed(states: Mapping[str, str]) -> str:
    return "; " + ", ".join(f"{name} {state}" for name, state in states.items()) if states else ""
