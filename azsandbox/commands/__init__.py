"""The commands, a module each: `define(parser)` adds the options and sets `run`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from azsandbox.home import Home


class CommandError(Exception):
    """A command cannot do its work; the message says what was expected, what was found, and the next command."""


def home_of(options: argparse.Namespace) -> Home:
    """The home that the options name."""
    return Home(Path(options.home) if options.home else None)


def running(options: argparse.Namespace) -> dict[str, Any]:
    """The environment of the running sandbox. Raises CommandError when none runs."""
    home = home_of(options)
    found = home.running()
    if found is None:
        raise CommandError(f"no sandbox runs on {home.path}. Start it: azsandbox up")
    return found


def persona_header(described: dict[str, Any], persona: str | None) -> str:
    """The identity header of a persona, or the learner's. Raises CommandError."""
    if persona is None:
        return str(described["identity_header"])
    found = described["personas"].get(persona)
    if found is None:
        known = ", ".join(described["personas"])
        raise CommandError(f"there is no persona {persona!r}; the sandbox has {known}")
    return str(found["identity_header"])
