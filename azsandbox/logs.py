"""The sandbox's log: one file, two generations, no secrets in it."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
from pathlib import Path

SIZE = 5 * 1024 * 1024  # bytes, then the file is moved aside once


def set_up(path: Path, *, to_terminal: bool = False) -> None:
    """Has everything that the sandbox logs written to `path`, and to the terminal if asked."""
    path.touch(mode=0o600)
    file = logging.handlers.RotatingFileHandler(path, maxBytes=SIZE, backupCount=1, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    handlers: list[logging.Handler] = [file]
    if to_terminal:
        terminal = logging.StreamHandler(sys.stderr)
        terminal.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        handlers.append(terminal)
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    logging.getLogger("azsandbox").setLevel(os.environ.get("AZSANDBOX_LOG_LEVEL", "INFO").upper())
