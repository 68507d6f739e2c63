"""`azsandbox up`: starts the sandbox, in the background unless told otherwise."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from typing import Any

from azsandbox.commands import CommandError, home_of
from azsandbox.home import Home

START_SECONDS = 20.0


def define(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--foreground", action="store_true", help="serve in this process until interrupted")
    parser.add_argument("--speed", choices=["fast", "real", "stepped"], help="how fast Azure's minutes pass")
    parser.add_argument("--port", type=int, help="TLS port to listen on (default: that of the last start)")
    parser.add_argument("--tunnel", action="store_true", help="let the proxy pass requests to other hosts on")
    parser.add_argument("--quiet", action="store_true", help="print nothing when it is up")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Starts it, or says that it runs already."""
    home = home_of(options)
    if options.foreground:
        return _serve(home, options)
    described = home.running()
    started = described is None
    if described is None:
        described = start(home, _flags(options))
    if not options.quiet:
        print(_summary(described, started))
    return 0


def start(home: Home, flags: list[str]) -> dict[str, Any]:
    """Starts a sandbox in the background and waits until it listens. Raises CommandError."""
    home.make()
    descriptor = os.open(home.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    begin = os.lseek(descriptor, 0, os.SEEK_END)
    command = [sys.executable, "-m", "azsandbox", "--home", str(home.path), "up", "--foreground", *flags]
    with os.fdopen(descriptor, "ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        described = home.running()
        if described is not None:  # this process's, or one that another command started at the same time
            return described
        if process.poll() is not None:
            break
        time.sleep(0.02)
    described = home.running()
    if described is not None:
        return described
    said = home.log.read_bytes()[begin:].decode("utf-8", "replace").strip().splitlines()
    found = f"it ended with status {process.poll()}" if process.poll() is not None else "it is still starting"
    last = said[-1] if said else "it logged nothing"
    raise CommandError(
        f"the sandbox does not listen after {START_SECONDS:.0f} s ({found}): {last}. See: azsandbox logs"
    )


def _flags(options: argparse.Namespace) -> list[str]:
    flags = ["--speed", options.speed] if options.speed else []
    flags += ["--port", str(options.port)] if options.port else []
    return flags + (["--tunnel"] if options.tunnel else [])


def _serve(home: Home, options: argparse.Namespace) -> int:
    from azsandbox import garbage

    garbage.wait()
    from azsandbox.host import HostError, serve
    from azsandbox.logs import set_up

    home.make()
    set_up(home.log, to_terminal=sys.stderr.isatty())
    try:
        serve(home, options.speed, port=options.port, tunnel=options.tunnel)
    except HostError as error:
        raise CommandError(str(error)) from None
    return 0


def _summary(described: dict[str, Any], started: bool) -> str:
    return "\n".join(
        [
            f"The sandbox {'is up' if started else 'was up already'} (pid {described['pid']}, {described['speed']}).",
            f"  Resource Manager  {described['arm_endpoint']}",
            f"  proxy             {described['proxy']}",
            f"  subscription      {described['subscription_id']}",
            f"  signed in         {described['user']}",
            "",
            "Use it:  azsandbox exec -- CMD…     a command whose Azure is the sandbox",
            '         eval "$(azsandbox env)"    this shell',
            "End it:  azsandbox down",
        ]
    )
