"""What containers write whose programs the sandbox acts for: Flux's controllers, for one."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable

Line = tuple[dt.datetime, str]
KEPT = 2000  # lines of a program


def program_of(image: str) -> str:
    """The name of the program that an image is of: its repository's last part."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


class ContainerOutput:
    """Lines by program. The kubelet shows them as the log of the containers that have the program's image."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Line]] = {}
        self._listeners: list[Callable[[str], None]] = []

    def write(self, program: str, line: str) -> None:
        """Adds a line, with the time of now."""
        self._lines.setdefault(program, deque(maxlen=KEPT)).append((dt.datetime.now(dt.UTC), line))
        for listener in list(self._listeners):
            listener(program)

    def lines(self, image: str, since: dt.datetime) -> list[Line]:
        """What the program of an image has written since a container of it started."""
        return [line for line in self._lines.get(program_of(image), ()) if line[0] >= since]

    def knows(self, image: str) -> bool:
        """Whether the sandbox acts for the program of an image."""
        return program_of(image) in self._lines

    def listen(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Calls `listener` with the name of each program that writes; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
