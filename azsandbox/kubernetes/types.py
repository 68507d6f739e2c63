"""Built-in types at work: bodies decoded, defaults filled in, fields owned, patches applied."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from azsandbox.kubernetes import conversion, defaults, errors, validation
from azsandbox.kubernetes.registry import now
from azsandbox.kubernetes.request import GroupVersionKind, Object, Request, Response
from azsandbox.kubernetes.resources import Resource

if TYPE_CHECKING:
    from azsandbox.kubernetes.apply.typed import Comparison
    from azsandbox.kubernetes.schema.decode import Decoded
    from azsandbox.kubernetes.schema.definitions import Definitions, Type
    from azsandbox.kubernetes.schema.openapi import OpenApi
    from azsandbox.kubernetes.server import ApiServer
    from azsandbox.kubernetes.validation.errors import FieldError

READABLE = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")


class Types:
    """The built-in types of a Kubernetes minor version."""

    def __init__(self, minor: str) -> None:
        self.minor = minor
        self._openapi: OpenApi | None = None

    @cached_property
    def definitions(self) -> Definitions:
        """What is known of them, read when it is first needed."""
        from azsandbox.kubernetes.schema.definitions import definitions

        return definitions(self.minor)

    def type_of(self, resource: Resource) -> Type:
        """The Type of a built-in resource's objects."""
        return self.named(resource.gvk)

    def named(self, gvk: GroupVersionKind) -> Type:
        found = self.definitions.type_of(gvk)
        if found is None:
            raise errors.internal(f"no type is known for {gvk.api_version} {gvk.kind}")
        return found

    def decode(self, request: Request, gvk: GroupVersionKind) -> Decoded:
        """The object in a request's body, of a type. Raises 400 or 415."""
        return read(request, self.definitions, gvk)

    def default(self, resource: Resource, obj: Object) -> None:
        defaults.apply(resource.gvk, obj)

    def as_stored(self, resource: Resource, obj: Object) -> None:
        """Makes `obj` what it is when it is read back from storage, in place."""
        from azsandbox.kubernetes.schema import stored

        if resource.group not in stored.JSON_GROUPS:
            stored.null_where_empty(self.type_of(resource), obj)

    def validate_create(self, resource: Resource, obj: Object) -> list[FieldError]:
        return validation.create(resource, obj)

    def validate_update(self, resource: Resource, new: Object, old: Object, subresource: str) -> list[FieldError]:
        return validation.update(resource, new, old, subresource)

    def record_update(
        self,
        type_: Type,
        resource: Resource,
        new: Object,
        old: Object | None,
        manager: str,
        subresource: str,
        api_version: str = "",
    ) -> None:
        """Notes in managedFields what `manager` changed from `old` to `new`, objects of the resource's version or
        another."""
        from azsandbox.kubernetes.apply import record_update, reset_fields

        reset = reset_fields(resource, subresource)
        version = api_version or resource.api_version

        def elsewhere(other: str) -> Comparison | None:
            return self._in_version(resource, version, other, new, old)

        record_update(new, old, manager, version, subresource, now(), type_, reset, elsewhere=elsewhere)

    def _in_version(
        self, resource: Resource, version: str, other: str, new: Object, old: Object | None
    ) -> Comparison | None:
        """A change as it is in an API version where the kind has other fields; None where it has the same."""
        from azsandbox.kubernetes.apply import typed

        if old is None or not conversion.differs(version, other, resource.kind):
            return None
        group, _, name = other.rpartition("/")
        target = GroupVersionKind(group, name, resource.kind)
        before, after = (conversion.convert({**obj, "apiVersion": version}, target) for obj in (old, new))
        return typed.compare(self.named(target), before, after)

    def apply(self, server: ApiServer, request: Request, resource: Resource, old: Object | None) -> Object:
        """Server-side apply of a request's body on `old`. Raises 409 for conflicts, 400, 500."""
        from azsandbox.kubernetes.apply import apply_request

        return apply_request(server, request, resource, old)

    def patched(self, server: ApiServer, request: Request, resource: Resource, media: str, old: Object) -> Object:
        """`old` with the patch of a request applied, and read anew. Raises 400, 422, 500."""
        from azsandbox.kubernetes.patch import apply_patch
        from azsandbox.kubernetes.schema.decode import patch_reader

        validation_mode = request.param("fieldValidation") or "Warn"
        if resource.custom:
            type_, reader = None, server.custom.patch_reader(resource)
        else:
            type_, reader = self.named(resource.gvk), patch_reader(self.definitions, resource.gvk, request.emptied)
        obj, warnings = apply_patch(media, old, request.body, type_, reader, validation_mode)
        request.warnings += warnings
        return obj

    def empty(self, resource: Resource) -> Object:
        """What a built-in kind holds besides metadata when nothing is set."""
        return {}

    def openapi(self, server: ApiServer, request: Request) -> Response:
        """Answers below /openapi."""
        from azsandbox.kubernetes.schema.openapi import OpenApi

        if self._openapi is None:
            self._openapi = OpenApi(server)
        return self._openapi.answer(request)


def body_media(request: Request) -> str:
    """The media type of a body: JSON if nothing is said, "" if it is no media type."""
    said = request.headers.get("content-type", "")
    return said.partition(";")[0].strip().lower() if said.strip() else "application/json"


def read(request: Request, definitions: Definitions, gvk: GroupVersionKind, media: str = "") -> Decoded:
    """A body read as a type. Raises 400 for what cannot be read, 415 for an unknown media type."""
    from azsandbox.kubernetes.schema.decode import decode, refusal

    media = media or body_media(request)
    if media not in READABLE and media != "application/x-yaml":
        raise errors.unsupported_media_type(READABLE)
    body = request.body
    if media == "application/vnd.kubernetes.protobuf":
        import orjson

        from azsandbox.kubernetes import protobuf

        try:
            body, media = orjson.dumps(protobuf.decode(body)), "application/json"
        except protobuf.BadMessage as error:
            raise refusal(gvk, error.kind, body, str(error)) from None
    return decode(definitions, gvk, body, media, request.param("fieldValidation") or "Warn")
