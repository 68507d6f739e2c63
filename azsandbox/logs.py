"""The sandbox's log: one file, two generations, no secrets in it."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
from pathlib import Path

SIZE = 5 * 1024 * 1024  # bytes, then the file is moved aside once
# Characters that a terminal obeys, or that begin a line: a path of a request may have any of them
_SHOWN = {code: f"\\x{code:02x}" for code in (*range(32), *range(0x7F, 0xA0))} | {0x2028: "\\u2028", 0x2029: "\\u2029"}
_LINES = {code: shown for code, shown in _SHOWN.items() if chr(code) != "\n"}


class OneLine(logging.Formatter):
    """Writes what is logged in one line each, whatever clients put into it, and the lines of an error below it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - its name
        return super().formatMessage(record).translate(_SHOWN)

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).translate(_LINES)


def set_up(path: Path, *, to_terminal: bool = False) -> None:
    """Has everything that the sandbox logs written to `path`, and to the terminal if asked."""
    path.touch(mode=0o600)
    file = logging.handlers.RotatingFileHandler(path, maxBytes=SIZE, backupCount=1, encoding="utf-8")
    file.setFormatter(OneLine("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    handlers: list[logging.Handler] = [file]
    if to_terminal:
        terminal = logging.StreamHandler(sys.stderr)
        terminal.setFormatter(OneLine("%(asctime)s %(message)s", "%H:%M:%S"))
        handlers.append(terminal)
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    logging.getLogger("azsandbox").setLevel(os.environ.get("AZSANDBOX_LOG_LEVEL", "INFO").upper())
