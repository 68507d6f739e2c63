"""The resource providers of the sandbox, a module or package a namespace."""

from __future__ import annotations

from azsandbox.arm.provider import Provider


def built_in() -> list[Provider]:
    """A new instance of each provider."""
    from azsandbox.arm.providers.authorization import Authorization
    from azsandbox.arm.providers.resources import Resources

    return [Resources(), Authorization()]
