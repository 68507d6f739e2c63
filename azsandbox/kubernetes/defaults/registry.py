"""Which function fills in the defaults of which kind."""

from __future__ import annotations

from collections.abc import Callable

from azsandbox.kubernetes.request import Object

Default = Callable[[Object], None]
DEFAULTS: dict[tuple[str, str, str], Default] = {}  # (group, version or "" for any, kind)


def defaults(group: str, *kinds: str, version: str = "") -> Callable[[Default], Default]:
    """Enters a function (object) -> None for kinds of a group."""

    def enter(function: Default) -> Default:
        for kind in kinds:
            DEFAULTS[group, version, kind] = function
        return function

    return enter
