"""Node ports of Services.

Texts: k8s.io/kubernetes, pkg/registry/core/service/portallocator.
"""

from __future__ import annotations

import random

FIRST, LAST = 30000, 32767
_RANDOM = random.SystemRandom()


class PortError(Exception):
    """A port that cannot be had, in the API server's words."""


class NodePorts:
    """The node ports that one write takes, given those that others hold.

    A write that is not to be stored can ask for `any_number`.
    """

    def __init__(self, taken: set[int], any_number: bool = False) -> None:
        self.taken, self._any_number = taken, any_number

    def take(self, port: int) -> None:
        """Takes a port that was asked for. Raises PortError."""
        if not self._any_number and not FIRST <= port <= LAST:
            raise PortError(f"provided port is not in the valid range. The range of valid ports is {FIRST}-{LAST}")
        if port in self.taken:
            raise PortError("provided port is already allocated")
        self.taken.add(port)

    def next(self) -> int:
        """Takes any free port. Raises PortError when there is none."""
        free = LAST - FIRST + 1 - len(self.taken)
        if free <= 0:
            raise PortError("range is full")
        while True:
            port = _RANDOM.randint(FIRST, LAST)
            if port not in self.taken:
                self.taken.add(port)
                return port
