"""Answers in the form that the client asked for: the object, a Table of it, or its metadata alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from azsandbox.kubernetes import errors, negotiation, protobuf
from azsandbox.kubernetes.negotiation import Accepted
from azsandbox.kubernetes.registry import head
from azsandbox.kubernetes.request import Object, Request, Response
from azsandbox.kubernetes.resources import Resource
from azsandbox.store import Event, Record

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer


def respond(request: Request, value: Object | bytes, status: int = 200, accepted: Accepted | None = None) -> Response:
    """An answer with a value as it is."""
    found = accepted or negotiation.accepted(request, tables=False)
    body = negotiation.encode(value, found.media, negotiation.pretty(request))
    return Response(status, body, content_type=found.content_type, warnings=request.warnings)


async def obj(server: ApiServer, request: Request, resource: Resource, value: Object, status: int = 200) -> Response:
    """An answer with one object."""
    accepted = negotiation.accepted(request, custom=resource.custom)
    if accepted.form == "Table":
        metadata = {"resourceVersion": value["metadata"].get("resourceVersion", "")}
        table = _table(server, request, resource, [value], metadata, accepted)
        return respond(request, table, status, accepted)
    if accepted.form == "PartialObjectMetadataList":
        raise _of_other_number(accepted.form, resource, "not a list", resource.kind)
    if accepted.form == "PartialObjectMetadata":
        return respond(request, _partial(value, accepted), status, accepted)
    return respond(request, value, status, accepted)


async def stored(server: ApiServer, request: Request, resource: Resource, value: bytes) -> Response:
    """An answer with one stored object, its bytes unchanged where they can be."""
    accepted = negotiation.accepted(request, custom=resource.custom)
    if accepted.form:
        return await obj(server, request, resource, server.registry.load(resource, value))
    return respond(request, server.registry.bytes_of(resource, value), 200, accepted)


async def stored_list(
    server: ApiServer, request: Request, resource: Resource, records: list[Record], metadata: dict[str, Any]
) -> Response:
    """An answer with a list."""
    accepted = negotiation.accepted(request, custom=resource.custom)
    registry = server.registry
    if accepted.form == "Table" and not resource.custom and request.param("includeObject") in ("", "Metadata"):
        from azsandbox.kubernetes import tables

        return respond(
            request, tables.stored_table(server, resource, records, metadata, accepted.form_version), 200, accepted
        )
    if accepted.form == "Table":
        items = [registry.load(resource, record.value) for record in records]
        table = _table(server, request, resource, items, metadata, accepted)
        return respond(request, table, 200, accepted)
    if accepted.form == "PartialObjectMetadata":
        raise _of_other_number(accepted.form, resource, "a list", resource.list_kind or f"{resource.kind}List")
    if accepted.form:
        items = [_partial(registry.load(resource, record.value), accepted) for record in records]
        value: Object = {
            "kind": "PartialObjectMetadataList",
            "apiVersion": f"meta.k8s.io/{accepted.form_version}",
            "metadata": metadata,
            "items": items,
        }
        return respond(request, value, 200, accepted)
    if resource.custom:
        metadata = {"continue": "", **metadata}
    kind = (resource.list_kind or f"{resource.kind}List").encode()
    body = b"".join(
        (
            b'{"kind":"%s","apiVersion":"%s","metadata":' % (kind, resource.api_version.encode()),
            orjson.dumps(metadata),
            b',"items":[',
            b",".join([registry.item_bytes(resource, record.value) for record in records]),
            b"]}",
        )
    )
    return respond(request, body, 200, accepted)


def _of_other_number(form: str, resource: Resource, what: str, kind: str) -> errors.StatusError:
    """406: metadata of one object was asked for and there is a list, or the other way round."""
    package = {"": "core", "events.k8s.io": "core"}.get(resource.group) or resource.group.partition(".")[0]
    type_ = f"unstructured.Unstructured{'List' if what == 'a list' else ''}" if resource.custom else f"{package}.{kind}"
    text = f"you requested {form}, but the requested object is {what} (*{type_})"
    return errors.StatusError(406, "NotAcceptable", text)


def _table(
    server: ApiServer, request: Request, resource: Resource, items: list[Object], metadata: Object, accepted: Accepted
) -> Object:
    """A Table of objects, with of each what includeObject says: its metadata, the whole, or nothing. Raises 400."""
    from azsandbox.kubernetes import tables

    include = request.param("includeObject") or "Metadata"
    if include not in ("Metadata", "Object", "None"):
        raise errors.bad_request(
            f'Unable to convert to Table as requested: includeObject: Invalid value: "{include}": '
            "must be 'Metadata', 'Object', 'None', or empty"
        )
    table = tables.render(server, resource, items, metadata, include)
    table["apiVersion"] = f"meta.k8s.io/{accepted.form_version}"
    return table


def _partial(value: Object, accepted: Accepted) -> Object:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{accepted.form_version}",
        "metadata": value["metadata"],
    }


class EventShape:
    """Makes the lines of a watch in one form. A line made for one watch serves all of the same form."""

    def __init__(self, server: ApiServer, request: Request, resource: Resource, accepted: Accepted) -> None:
        self.server, self.request, self.resource, self.accepted = server, request, resource, accepted
        include = request.param("includeObject", "Metadata") if accepted.form == "Table" else ""
        self.protobuf = accepted.media == negotiation.PROTOBUF
        self.key = (resource.api_version, resource.kind, accepted.form, accepted.form_version, include, self.protobuf)
        self._columns_sent = False

    def value(self, stored: bytes) -> bytes:
        """The object of an event in this form."""
        if not self.accepted.form:
            return self.server.registry.bytes_of(self.resource, stored)
        found = self.server.registry.load(self.resource, stored)
        return self.formed(found)

    def formed(self, found: Object) -> bytes:
        if self.accepted.form == "Table":
            metadata = {"resourceVersion": found["metadata"].get("resourceVersion", "")}
            table = _table(self.server, self.request, self.resource, [found], metadata, self.accepted)
            if self._columns_sent:
                table["columnDefinitions"] = None  # only the first event names the columns
            self._columns_sent = True
            return orjson.dumps(table)
        return orjson.dumps(_partial(found, self.accepted))

    def line(self, kind: str, stored: bytes) -> bytes:
        return self.enclosed(kind, self.value(stored))

    def enclosed(self, kind: str, value: bytes) -> bytes:
        """An object, given as JSON, as an event of the stream."""
        if self.protobuf:
            return protobuf.frame(kind, negotiation.encode(value, negotiation.PROTOBUF))
        return b'{"type":"%s","object":%s}\n' % (kind.encode(), value)

    def event(self, event: Event, kind: str) -> bytes:
        """The line of an event, as `kind`."""
        if self.accepted.form == "Table":
            return self.line(kind, event.value)
        line: bytes | None = event.encoded.get((self.key, kind))
        if line is None:
            line = event.encoded[self.key, kind] = self.line(kind, event.value)
        return line

    def left(self, event: Event) -> bytes:
        """DELETED for an object that left the selection: its old state, with the version of now."""
        assert event.previous is not None
        found = orjson.loads(event.previous)
        found["metadata"]["resourceVersion"] = str(event.revision)
        return self.line("DELETED", orjson.dumps(found))

    def bookmark(self, revision: int, annotations: dict[str, str] | None) -> bytes:
        metadata: Object = {"resourceVersion": str(revision), "creationTimestamp": None}
        metadata.pop("creationTimestamp")
        if annotations:
            metadata["annotations"] = annotations
        bare = {"metadata": metadata}
        if self.accepted.form:
            obj = {"kind": self.resource.kind, "apiVersion": self.resource.api_version, **bare}
            value = self.formed(obj)
        else:
            value = head(self.resource.gvk) + orjson.dumps({**self.server.empty(self.resource), **bare})[1:]
        return self.enclosed("BOOKMARK", value)


async def event_shape(server: ApiServer, request: Request, resource: Resource, accepted: Accepted) -> EventShape:
    """The shape of a watch's events; what it takes to make Tables is ready when this returns."""
    return EventShape(server, request, resource, accepted)
