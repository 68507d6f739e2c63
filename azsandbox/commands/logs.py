"""`azsandbox logs`: prints what the sandbox did."""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque

from azsandbox.commands import CommandError, home_of


def define(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("-f", "--follow", action="store_true", help="go on as more comes, until interrupted")
    parser.add_argument("-n", "--lines", type=int, default=200, help="how many of the last lines (default 200)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the last lines, then, if asked, each new one."""
    path = home_of(options).log
    if not path.exists():
        raise CommandError(f"there is no log at {path}. Start the sandbox: azsandbox up")
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in deque(file, maxlen=max(options.lines, 0)):
            sys.stdout.write(line)
        sys.stdout.flush()
        while options.follow:
            line = file.readline()
            if line:
                sys.stdout.write(line)
                sys.stdout.flush()
            elif path.stat().st_size < file.tell():
                file.seek(0)  # the log was moved aside
            else:
                time.sleep(0.2)
    return 0
