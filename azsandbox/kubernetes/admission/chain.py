"""The admission controllers in the order of kube-apiserver.

Rules: k8s.io/kubernetes, plugin/pkg/admission; order: pkg/kubeapiserver/options/plugins.go.
"""

from __future__ import annotations

from typing import Any, Protocol

from azsandbox.kubernetes.admission.attributes import Attributes
from azsandbox.kubernetes.admission.local_services import LocalServices
from azsandbox.kubernetes.request import Object


class Reader(Protocol):
    """What admission needs of the API server: reads that pass no authorization, and its registry for quotas."""

    registry: Any
    authorization: Any
    local_services: LocalServices

    def peek(self, name: str, namespace: str, key: str) -> Object | None:
        """An object, or None. `name` is `pods`, or `storageclasses.storage.k8s.io`."""

    def peek_list(self, name: str, namespace: str = "") -> list[Object]:
        """All objects of a resource, of one namespace if that is named."""

    def resource(self, name: str) -> Any:
        """A Resource by qualified name."""


class Plugin:
    """One admission controller; it overrides either method or both."""

    def __init__(self, server: Reader) -> None:
        self.server = server

    async def mutate(self, attrs: Attributes) -> None:
        """Changes `attrs.obj` in place. Raises StatusError if it may not come in."""

    async def validate(self, attrs: Attributes) -> None:
        """Raises StatusError if `attrs` may not come in."""


class Admission:
    """Runs all admission controllers."""

    def __init__(self, server: Reader) -> None:
        from azsandbox.kubernetes.admission.plugins import PLUGINS
        from azsandbox.kubernetes.allocators import ServiceAllocation

        self.server = server
        self.plugins: list[Plugin] = [plugin(server) for plugin in PLUGINS]
        self.allocation = ServiceAllocation(server)

    async def mutate(self, attrs: Attributes) -> None:
        """Changes `attrs.obj` in place. Raises StatusError if it may not come in.

        A Service gets its addresses and ports last, as nothing may change them before they are validated.
        """
        for plugin in self.plugins:
            await plugin.mutate(attrs)
        if attrs.of("", "Service") and not attrs.subresource and attrs.obj is not None:
            self.allocation.allocate(attrs)

    async def validate(self, attrs: Attributes) -> None:
        """Raises StatusError if `attrs` may not come in."""
        attrs.mutating = False
        for plugin in self.plugins:
            await plugin.validate(attrs)
