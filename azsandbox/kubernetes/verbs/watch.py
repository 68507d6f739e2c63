"""WATCH: events of a collection as a stream."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import orjson

from azsandbox.kubernetes import answers, errors, negotiation, options
from azsandbox.kubernetes.request import Object, Request, Response
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.selectors import FieldSelector, LabelSelector
from azsandbox.kubernetes.verbs.list import selectors
from azsandbox.store import Compacted, Event, Watch

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

BOOKMARK_PERIOD = 60.0  # seconds
MOST_RECENT = 256  # objects of events that are kept for other watches
LEAST_TIMEOUT = 1800.0  # seconds; kube-apiserver's --min-request-timeout, with up to as much again by chance

Shape = Callable[[str, Object | bytes, Resource], bytes]  # event type, object → a line


async def watch(server: ApiServer, request: Request) -> Response:
    """Answers with a stream of events, one JSON object a line."""
    resource = request.resource
    assert resource is not None
    labels, fields = selectors(request, resource)
    options.list_options(request)
    version = request.param("resourceVersion")
    try:
        asked = options.resource_version(version) if version else 0
    except ValueError as error:
        raise errors.plain_500(str(error)) from None
    accepted = negotiation.accepted(request, custom=resource.custom)
    if accepted.media == negotiation.YAML:
        raise errors.not_acceptable(negotiation.STREAMS)
    text = request.param("timeoutSeconds")
    seconds = float(text) if text.isdigit() and int(text) else LEAST_TIMEOUT * (1 + random.random())  # noqa: S311
    shape = await answers.event_shape(server, request, resource, accepted)
    stream = _Stream(server, request, resource, labels, fields, shape)
    lines = stream.lines(asked, seconds)
    return Response(200, stream=lines, content_type=accepted.stream_type, warnings=request.warnings)


class _Stream:
    """One watch: selectors decide what the client sees of each event."""

    def __init__(
        self,
        server: ApiServer,
        request: Request,
        resource: Resource,
        labels: LabelSelector,
        fields: FieldSelector,
        shape: answers.EventShape,
    ) -> None:
        self.server, self.request, self.resource = server, request, resource
        self.labels, self.fields, self.shape = labels, fields, shape
        self.bookmarks = request.flag("allowWatchBookmarks")
        self.prefix, self.only = resource.prefix(request.namespace), ""
        named = fields.name and not labels and len(fields.requirements) == 1
        if named and (request.namespace or not resource.namespaced):
            self.prefix = self.only = resource.key(request.namespace, fields.name)  # one object, told by its key
        self.selective = not self.only and (bool(labels) or bool(fields))

    async def lines(self, since: int, seconds: float) -> AsyncIterator[bytes]:
        bucket = self.server.registry.bucket
        streaming = self.request.flag("sendInitialEvents")
        skip_initial = "sendInitialEvents" in self.request.query and not streaming
        initial = streaming or (since == 0 and not skip_initial)
        start = bucket.revision if initial or since == 0 else since
        ends = asyncio.get_running_loop().time() + seconds
        try:
            events = bucket.watch(self.resource.collection, self.prefix, min(start, bucket.revision))
        except Compacted as error:
            status = errors.expired(f"too old resource version: {since} ({error.oldest})").status
            yield self.shape.enclosed("ERROR", orjson.dumps(status))
            return
        try:
            yield b""  # the headers go out at once
            if initial:
                for record in bucket.list(self.resource.collection, self.prefix):
                    if self.only not in ("", record.key):
                        continue
                    if not self.selective or self.sees(self.server.registry.load(self.resource, record.value)):
                        yield self.shape.line("ADDED", record.value)
                if streaming and self.bookmarks:
                    yield self.shape.bookmark(bucket.revision, {"k8s.io/initial-events-end": "true"})
            async for line in self.follow(events, ends, since):
                yield line
        finally:
            events.close()

    async def follow(self, events: Watch, ends: float, since: int) -> AsyncIterator[bytes]:
        """Lines for events until time `ends` or the server stops."""
        loop = asyncio.get_running_loop()
        bookmark = min(loop.time() + BOOKMARK_PERIOD, max(ends - 2, loop.time() + 0.8))
        while not events.closed and not self.server.stopping.is_set():
            now = loop.time()
            if now >= ends:
                return
            if self.bookmarks and now >= bookmark:
                yield self.shape.bookmark(self.server.registry.bucket.revision, None)
                bookmark = now + BOOKMARK_PERIOD
            found = await events.until(min(ends, bookmark) if self.bookmarks else ends)
            lines = b"".join([self.line(event) for event in found if event.revision > since])
            if lines:
                yield lines

    def sees(self, obj: Object) -> bool:
        return self.labels.matches(obj) and self.fields.matches(obj)

    def loaded(self, event: Event, state: str) -> Object:
        """The object of an event, "now" or "before", read once for all watches of the resource."""
        key = (event.revision, state, self.resource.gvk)
        recent = self.server.recent
        found = recent.get(key)
        if found is None:
            value = event.value if state == "now" else event.previous
            assert value is not None
            if len(recent) >= MOST_RECENT:
                del recent[next(iter(recent))]
            found = recent[key] = self.server.registry.load(self.resource, value)
        return found

    def line(self, event: Event) -> bytes:
        """What the client sees of an event; an object that leaves the selection is DELETED, one that enters ADDED."""
        if self.only not in ("", event.key):
            return b""
        if not self.selective:
            return self.shape.event(event, event.type)
        now = event.type != "DELETED" and self.sees(self.loaded(event, "now"))
        before = event.type != "ADDED" and event.previous is not None and self.sees(self.loaded(event, "before"))
        if now:
            return self.shape.event(event, "MODIFIED" if before else "ADDED")
        if before:
            if event.type == "DELETED":
                return self.shape.event(event, "DELETED")
            return self.shape.left(event)
        return b""
