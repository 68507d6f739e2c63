"""The admission controllers in the order of kube-apiserver."""

from __future__ import annotations

from typing import Protocol

from azsandbox.kubernetes.admission.attributes import Attributes
from azsandbox.kubernetes.request import Object


class Reader(Protocol):
    """What admission needs of the API server: reads that pass no authorization."""

    def peek(self, resource: str, namespace: str, name: str) -> Object | None:
        """An object, or None. `resource` is `pods`, or `storageclasses.storage.k8s.io`."""

    def peek_list(self, resource: str, namespace: str = "") -> list[Object]:
        """All objects of a resource, of one namespace if that is named."""


class Plugin(Protocol):
    """One admission controller; it has either method or both."""

    async def mutate(self, attrs: Attributes) -> None: ...

    async def validate(self, attrs: Attributes) -> None: ...


class Admission:
    """Runs all admission controllers."""

    def __init__(self, server: Reader) -> None:
        self.server = server
        self.plugins: list[Plugin] = []

    async def mutate(self, attrs: Attributes) -> None:
        """Changes `attrs.obj` in place. Raises StatusError if it may not come in."""
        for plugin in self.plugins:
            await plugin.mutate(attrs)

    async def validate(self, attrs: Attributes) -> None:
        """Raises StatusError if `attrs` may not come in."""
        for plugin in self.plugins:
            await plugin.validate(attrs)
