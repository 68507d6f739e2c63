"""Says whether an answer is what was recorded: to the letter for Kubernetes, key by key for Resource Manager."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

KINDS = {
    "guid": r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?",
    "url": r"https?://\S+",
    "etag": r".+",
    "ip": r"(?:\d{1,3}\.){3}\d{1,3}",
    "base64": r"[A-Za-z0-9+/=_-]+",
    "int": r"\d+",
    "any": r"[\s\S]*",
}
_MARK = re.compile(f"<({'|'.join(KINDS)})>")


@dataclass(frozen=True)
class Outcome:
    """How a case went: compared steps, how many were equal, and what differed."""

    case: str
    steps: int
    equal: int
    notes: tuple[str, ...]

    @property
    def good(self) -> bool:
        return self.equal == self.steps and not self.notes


def same(wanted: Any, found: Any) -> bool:
    """Equal as JSON: true is not 1, and 1 is not 1.0."""
    return json.dumps(wanted, sort_keys=True) == json.dumps(found, sort_keys=True)


def difference(wanted: Any, found: Any, lines: int = 40) -> str:
    """The difference as text, at most `lines` long."""
    recorded, here = [
        json.dumps(side, indent=1, sort_keys=True).replace("\\n", "\n    ").splitlines() for side in (wanted, found)
    ]
    delta = difflib.unified_diff(recorded, here, "recorded", "here", n=2, lineterm="")
    return "\n".join(list(delta)[:lines])


def missing(wanted: Any, found: Any, where: str = "body") -> Iterator[str]:
    """What of `wanted` is not in `found`, which may hold more. Strings may hold marks; ids match in any case."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, value in wanted.items():
            if key in found:
                yield from missing(value, found[key], f"{where}.{key}")
            elif value is not None:
                yield f"{where}.{key}: missing; recorded {value!r:.160}"
    elif isinstance(wanted, list) and isinstance(found, list):
        if len(found) < len(wanted):
            yield f"{where}: {len(found)} items; recorded {len(wanted)}"
            return
        for index, value in enumerate(wanted):
            yield from missing(value, _partner(value, found, index), f"{where}[{index}]")
    elif not _matches(wanted, found):
        yield f"{where}: {found!r:.160}; recorded {wanted!r:.160}"


def _partner(wanted: Any, found: list[Any], index: int) -> Any:
    name = wanted.get("name") if isinstance(wanted, dict) else None
    if name:
        return next((item for item in found if isinstance(item, dict) and item.get("name") == name), found[index])
    return found[index]


def _matches(wanted: Any, found: Any) -> bool:
    if not isinstance(wanted, str):
        return bool(wanted == found)
    if wanted == "<any>" or (wanted == "<int>" and isinstance(found, int)):
        return True
    parts = _MARK.split(wanted)  # text and kinds take turns
    pattern = "".join(f"(?:{KINDS[part]})" if index % 2 else re.escape(part) for index, part in enumerate(parts))
    flags = re.IGNORECASE if wanted.lower().startswith("/subscriptions/") else 0
    return isinstance(found, str) and re.fullmatch(pattern, found, flags) is not None
