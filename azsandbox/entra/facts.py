"""What the sandbox knows of Entra ID beforehand: personas, first-party applications, Graph's default properties."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_DATA = Path(__file__).resolve().parent.parent / "data"


@cache
def personas() -> dict[str, Any]:
    """The people and groups of the lab (data/personas.json)."""
    return _read("personas.json")


@cache
def resources() -> dict[str, Any]:
    """Applications of Microsoft's own that tokens are asked for, public clients, directory roles."""
    return _read("entra/resources.json")


@cache
def shapes() -> dict[str, Any]:
    """The properties that Graph's entities have by default, with their first values."""
    return _read("entra/graph-shapes.json")


def _read(name: str) -> dict[str, Any]:
    found = json.loads((_DATA / name).read_bytes())
    return found if isinstance(found, dict) else {}
