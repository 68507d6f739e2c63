"""Which function judges which check, and what it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labkit.checks.core import Judge


@dataclass(frozen=True)
class Entry:
    """A judging function, the sources that it cannot do without, and those that only confirm."""

    judge: Judge
    reads: tuple[str, ...]
    also: tuple[str, ...]


ENTRIES: dict[str, Entry] = {}


def judges(
    check_id: str, *, reads: tuple[str, ...] = ("cluster",), also: tuple[str, ...] = ()
) -> Callable[[Judge], Judge]:
    """Register the decorated function as the one that judges `check_id`."""

    def register(judge: Judge) -> Judge:
        if check_id in ENTRIES:
            message = f"two functions judge {check_id}"
            raise ValueError(message)
        ENTRIES[check_id] = Entry(judge, reads, also)
        return judge

    return register
