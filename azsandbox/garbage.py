"""Python's garbage collector in a process that keeps much for as long as it lives.

A full collection looks at every object that there is. A sandbox with one cluster has over a hundred thousand, nearly all
of them code, types and facts, and one such look took a tenth of a second, again and again.
"""

from __future__ import annotations

import gc

YOUNG = 5_000
"""Objects that are made before the youngest are looked at; Python's own 700 is meant for small programs."""

LEAST = 20_000
"""Objects that are worth to be set aside."""


def wait() -> None:
    """Has the collector wait for `tune`: a start makes little garbage, and what it loads stays."""
    gc.disable()


def tune() -> None:
    """Has the collector set aside what there is now, and after a full collection what has proved to last by then: it is not
    looked at again.

    It does so only when that much has come that what is set aside grows by half, so that what becomes garbage there later
    stays a part of the whole.
    """
    gc.freeze()
    gc.enable()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
    if _set_aside not in gc.callbacks:
        gc.callbacks.append(_set_aside)


def _set_aside(phase: str, info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] == 2:
        lasting = len(gc.get_objects(2))
        if lasting > max(LEAST, gc.get_freeze_count() // 2):
            gc.freeze()
