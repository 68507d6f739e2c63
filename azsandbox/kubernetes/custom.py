"""Custom resources: CRDs made into resources, and their objects decoded, defaulted and validated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.request import Object, Request
from azsandbox.kubernetes.resources import Resource

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer
    from azsandbox.kubernetes.validation.errors import FieldError


class CustomResources:
    """The custom resources of one API server."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server

    async def start(self) -> None:
        return None

    async def stop(self) -> None:
        return None

    def type_of(self, resource: Resource) -> Any:
        raise errors.page_not_found()

    def decode(self, request: Request, resource: Resource) -> Any:
        raise errors.page_not_found()

    def default(self, resource: Resource, obj: Object) -> None:
        return None

    def validate_create(self, resource: Resource, obj: Object) -> list[FieldError]:
        return []

    def validate_update(self, resource: Resource, new: Object, old: Object, subresource: str) -> list[FieldError]:
        return []

    def scale_paths(self, resource: Resource) -> dict[str, str]:
        return {}
