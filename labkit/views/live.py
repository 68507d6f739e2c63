"""A table that follows the cluster: list once, then watch, until it is told to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from labkit.errors import ReadError
from labkit.readers import KubernetesReader
from labkit.views.surface import announced, escape, headless, html_widget, show_widget
from labkit.views.table import Row, Table

Shown = Callable[[Mapping[str, Any]], Row]
REDRAW = 0.25
"""Seconds between two drawings: a burst of events is drawn once."""


class LiveView:
    """A table of what a list of the API server holds, drawn anew as it changes.

    `view.stop()` ends it, and so does the end of the kernel; after `minutes` it ends by itself. Headless, it prints
    the table at the start and, if it has changed, at `stop()`.
    """

    def __init__(self, reader: KubernetesReader, path: str, row: Shown, title: str, *, minutes: float = 30) -> None:
        self.title = title
        self._reader = reader
        self._path = path
        self._row = row
        self._ends = time.monotonic() + minutes * 60
        self._objects: dict[str, dict[str, Any]] = {}
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._response: Any = None
        self._plain = headless()
        self._widget: Any = None
        self._drawn = 0.0
        self._printed = ""
        self.error = ""
        version = self._list()
        self._open()
        self._thread = threading.Thread(target=self._follow, args=(version,), name=f"view {title}", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """True until it was stopped or has ended by itself."""
        return self._thread.is_alive() and not self._stopped.is_set()

    def rows(self) -> list[Row]:
        """The rows as they stand, by namespace and name."""
        with self._lock:
            return [self._row(self._objects[key]) for key in sorted(self._objects)]

    def table(self) -> Table:
        """What it shows, as a table that stays as it is."""
        return Table.of(self.rows(), title=self.title)

    def stop(self) -> None:
        """End it; what it showed last stays below the cell."""
        self._stopped.set()
        self._disconnect()
        self._thread.join(timeout=5)
        self._reader.close()
        self._draw(force=True)

    def _open(self) -> None:
        if self._plain:
            self._printed = self.table().text()
            print(self._printed)
            return
        self._widget = html_widget(self._html())
        show_widget(self._widget)

    def _list(self) -> str:
        answer = self._reader.get(self._path)
        with self._lock:
            self._objects = {_key(item): item for item in answer.get("items") or []}
        return str((answer.get("metadata") or {}).get("resourceVersion", "0"))

    def _follow(self, version: str) -> None:
        """Watch, from where the last watch ended; after 410, or when the connection was lost, list again."""
        while not self._over():
            try:
                version = self._watch(version)
            except ReadError as error:
                self.error = error.message
                self._stopped.wait(1.0)
                version = self._relist() or version
            except Exception as error:
                # Closing the connection from stop() makes the reading thread fail in ways that depend on the
                # moment; unless it was stopped, the view goes on with a new list.
                if self._over():
                    return
                self.error = str(error)
                self._stopped.wait(1.0)
                version = self._relist() or version

    def _relist(self) -> str:
        try:
            version = self._list()
        except ReadError as error:
            self.error = error.message
            return ""
        self.error = ""
        self._draw(force=True)
        return version

    def _watch(self, version: str) -> str:
        for event in self._reader.watch(self._path, version, seconds=60, opened=self._opened):
            if self._over():
                return version
            item = event.get("object") or {}
            if event.get("type") == "ERROR":
                return self._relist() or version
            version = str((item.get("metadata") or {}).get("resourceVersion", version))
            self._take(str(event.get("type")), item)
            self._draw()
        self._draw(force=True)
        return version

    def _take(self, kind: str, item: dict[str, Any]) -> None:
        with self._lock:
            if kind == "DELETED":
                self._objects.pop(_key(item), None)
            elif kind in ("ADDED", "MODIFIED"):
                self._objects[_key(item)] = item

    def _draw(self, force: bool = False) -> None:
        if self._plain:
            text = self.table().text()
            if self._stopped.is_set() and text != self._printed:
                self._printed = text
                print(text)
            return
        if force or time.monotonic() - self._drawn >= REDRAW:
            self._drawn = time.monotonic()
            self._widget.value = self._html()
        else:
            threading.Timer(REDRAW, self._draw, kwargs={"force": True}).start()

    def _html(self) -> str:
        moment = datetime.now(UTC).strftime("%H:%M:%S UTC")
        state = "stopped" if self._stopped.is_set() else "live"
        note = f" The last read failed: {escape(self.error)}" if self.error else ""
        return announced(f"{self.table().html()}<small>{state}, as of {moment}.{note}</small>")

    def _opened(self, response: Any) -> None:
        self._response = response
        if self._stopped.is_set():
            self._disconnect()

    def _disconnect(self) -> None:
        response = self._response
        if response is None:
            return
        # Shutting the socket down wakes the thread that reads from it; close() alone would leave it waiting.
        connection = getattr(response, "connection", None) or getattr(response, "_connection", None)
        sock = getattr(connection, "sock", None)
        try:
            if sock is not None:
                import socket

                sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _over(self) -> bool:
        return self._stopped.is_set() or time.monotonic() >= self._ends

    def __repr__(self) -> str:
        return f"<{self.title}: {'live; stop it with .stop()' if self.running else 'stopped'}>"


def _key(item: Mapping[str, Any]) -> str:
    metadata = item.get("metadata") or {}
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
