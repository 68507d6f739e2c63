"""What the sandbox knows of GitHub beforehand (data/git): its facts, and the public repositories of others."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any


@cache
def github() -> dict[str, Any]:
    """The file, parsed once: accounts, the forms of URLs, scopes, events, limits."""
    text = resources.files("azsandbox").joinpath("data", "git", "github.json").read_text(encoding="utf-8")
    parsed: dict[str, Any] = json.loads(text)
    return parsed


@cache
def public() -> dict[str, Any]:
    """data/git/public.json, parsed once: owners with their names, and repositories."""
    text = resources.files("azsandbox").joinpath("data", "git", "public.json").read_text(encoding="utf-8")
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def organization() -> str:
    """The login of the organization that the lab's repositories belong to."""
    return str(github()["organization"]["login"])
