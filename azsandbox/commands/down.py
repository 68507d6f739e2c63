"""`azsandbox down`: stops the sandbox."""

from __future__ import annotations

import argparse
import os
import signal
import time

from azsandbox.commands import CommandError, home_of
from azsandbox.home import Home

STOP_SECONDS = 10.0


def define(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Stops it; it is no error that none runs."""
    home = home_of(options)
    print("The sandbox is down." if stop(home) else f"No sandbox runs on {home.path}.")
    return 0


def stop(home: Home) -> bool:
    """Stops the sandbox that runs on `home` and waits for its end; whether one ran. Raises CommandError."""
    described = home.running()
    if described is None:
        return False
    pid = int(described["pid"])
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return False
    until = time.monotonic() + STOP_SECONDS
    while time.monotonic() < until:
        if home.running() is None:
            return True
        time.sleep(0.02)
    raise CommandError(
        f"process {pid} still runs {STOP_SECONDS:.0f} s after SIGTERM. End it: kill -9 {pid}; it loses nothing"
    )
