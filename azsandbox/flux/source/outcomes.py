"""How a reconciliation of a source can end other than well (source-controller's internal/error)."""

from __future__ import annotations


class Failed(Exception):
    """It is tried again, later and later. `condition` is set to `status` with the reason and message, if named."""

    def __init__(self, reason: str, message: str, condition: str = "", status: str = "True") -> None:
        super().__init__(message)
        self.reason, self.condition, self.status = reason, condition, status


class Stalled(Failed):
    """Nothing but a change of the object can help."""


class Waiting(Failed):
    """It waits for something else, and looks again after `seconds` (0: after the interval)."""

    def __init__(self, reason: str, message: str, condition: str = "", seconds: float = 0) -> None:
        super().__init__(reason, message, condition)
        self.seconds = seconds


class NotYet(Failed):
    """It cannot begin yet; it is tried again, later and later, but nothing has gone wrong."""


class NoChange(Exception):
    """Nothing is new upstream, which is as good as a success. `stored` is what the end of a failure is told with."""

    def __init__(self, reason: str, message: str, stored: str) -> None:
        super().__init__(message)
        self.reason, self.stored = reason, stored


NOT_SUPPORTED = "NotSupportedInSandbox"


def not_supported(what: str, condition: str, status: str = "True") -> Stalled:
    """The refusal of something that the real controller does and this one does not."""
    return Stalled(NOT_SUPPORTED, f"{what} is not supported by the sandbox's source-controller", condition, status)
