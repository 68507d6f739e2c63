"""`azsandbox status`: says whether the sandbox runs, and where."""

from __future__ import annotations

import argparse
import json

from azsandbox.commands import home_of

SHOWN = ("home", "pid", "speed", "started", "arm_endpoint", "proxy", "subscription_id", "tenant_id", "user", "log")


def define(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--json", action="store_true", help="print an object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Exit status 0 when it runs, 1 when not."""
    home = home_of(options)
    described = home.running()
    if options.json:
        found = {"running": described is not None, "home": str(home.path)}
        if described is not None:
            found |= {name: described[name] for name in SHOWN}
        print(json.dumps(found, indent=1))
    elif described is None:
        print(f"No sandbox runs on {home.path}. Start it: azsandbox up")
    else:
        print("The sandbox is up.")
        for name in SHOWN:
            print(f"  {name:16} {described[name]}")
    return 0 if described is not None else 1
