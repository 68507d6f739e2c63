"""Lines of the controllers' logs, as their JSON encoder writes them."""

from __future__ import annotations

import json
from typing import Any

from azsandbox.controllers.events import micro_timestamp


def line(level: str, message: str, /, **fields: Any) -> str:
    """A line of `level` info or error; a field `logger` comes before the message."""
    head = {"level": level, "ts": micro_timestamp()[:23] + "Z"}
    if "logger" in fields:
        head["logger"] = fields.pop("logger")
    return json.dumps({**head, "msg": message, **fields}, separators=(",", ":"))
