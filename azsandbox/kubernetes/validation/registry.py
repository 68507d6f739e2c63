"""Which function validates which kind. Each module of this package enters its own."""

from __future__ import annotations

from collections.abc import Callable

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation.errors import Errors

Create = Callable[[Object], Errors]
Update = Callable[[Object, Object], Errors]

CREATE: dict[tuple[str, str], Create] = {}
UPDATE: dict[tuple[str, str, str], Update] = {}
METADATA_TOO: set[Create | Update] = set()  # functions that validate metadata at a place of their own


def on_create(group: str, *kinds: str, validates_metadata: bool = False) -> Callable[[Create], Create]:
    """Enters a function (object) -> errors for kinds. Metadata is validated before it is called, or by itself."""

    def enter(function: Create) -> Create:
        for kind in kinds:
            CREATE[group, kind] = function
        if validates_metadata:
            METADATA_TOO.add(function)
        return function

    return enter


def on_update(
    group: str, *kinds: str, subresource: str = "", validates_metadata: bool = False
) -> Callable[[Update], Update]:
    """Enters a function (new, old) -> errors for an update of kinds, or of a subresource of theirs."""

    def enter(function: Update) -> Update:
        for kind in kinds:
            UPDATE[group, kind, subresource] = function
        if validates_metadata:
            METADATA_TOO.add(function)
        return function

    return enter
