"""PATCH: a change to an object, as JSON patch, merge patch, strategic merge patch or server-side apply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azsandbox.kubernetes import answers, errors, negotiation, options
from azsandbox.kubernetes.copies import copy_of
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.request import Object, Request, Response
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.verbs import writing
from azsandbox.kubernetes.verbs.update import check_number

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

JSON, MERGE = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"
ATTEMPTS = 5  # a patch that names no resourceVersion is tried anew when someone else writes in between


def media_of(request: Request) -> str:
    """The media type of a patch. Raises 415 for one that the resource does not take."""
    resource = request.resource
    assert resource is not None
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    known = [JSON, MERGE, *([] if resource.custom else [STRATEGIC]), APPLY]
    if media not in known and resource.custom:
        raise errors.unsupported_media_type(known)
    if media not in known:
        raise errors.StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    return media


async def patch(server: ApiServer, request: Request) -> Response:
    """Applies the patch in the body and stores what comes of it."""
    resource = request.resource
    assert resource is not None
    media = media_of(request)
    negotiation.accepted(request, custom=resource.custom)
    options.write_options(request, "PatchOptions")
    for attempt in range(ATTEMPTS):
        old = server.registry.find(resource, request.namespace, request.name)
        if old is None and media != APPLY:
            raise errors.not_found(resource.name, request.name, resource.group)
        if old is None and request.subresource:
            raise errors.not_found(resource.name, request.name, resource.group)
        new = _patched(server, request, resource, media, old)
        try:
            if old is None:
                stored = await _create(server, request, resource, new)
                return await answers.obj(server, request, resource, stored, 201)
            stored = await _update(server, request, resource, media, new, old)
            return await answers.obj(server, request, resource, stored)
        except StatusError as error:
            meanwhile = server.registry.record(resource, request.namespace, request.name)
            raced = old is not None and meanwhile and str(meanwhile.revision) != old["metadata"]["resourceVersion"]
            if error.code != 409 or attempt == ATTEMPTS - 1 or not raced:
                raise
    raise errors.modified(resource.name, request.name, resource.group)


def _patched(server: ApiServer, request: Request, resource: Resource, media: str, old: Object | None) -> Object:
    """The object as the patch makes it, decoded and defaulted."""
    if media == APPLY:
        return server.apply(request, resource, old)
    assert old is not None
    new = server.patched(request, resource, media, copy_of(old))
    server.default(resource, new)
    return new


def _check_name(metadata: Object, name: str) -> None:
    """A patched object must still have the name of its path."""
    found = metadata.get("name")
    if not found:
        text = f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
        raise errors.bad_request(text)
    if found != name:
        raise errors.bad_request(f"the name of the object ({found}) does not match the name on the URL ({name})")


async def _create(server: ApiServer, request: Request, resource: Resource, new: Object) -> Object:
    """Server-side apply of an object that is not there yet."""
    _check_name(new.setdefault("metadata", {}), request.name)
    writing.check_names(request, resource, new, request.name)
    if new["metadata"].get("uid"):
        cause = f"uid mismatch: the provided object specified uid {new['metadata']['uid']}, and no existing object was found"
        raise errors.conflict(resource.name, request.name, cause, resource.group)
    new["metadata"].pop("resourceVersion", None)
    return await writing.store_new(server, request, resource, new)


async def _update(
    server: ApiServer, request: Request, resource: Resource, media: str, new: Object, old: Object
) -> Object:
    metadata, before = new.setdefault("metadata", {}), old["metadata"]
    _check_name(metadata, before["name"])
    if resource.namespaced and metadata.setdefault("namespace", before["namespace"]) != before["namespace"]:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    version = metadata.get("resourceVersion")
    if version and version != before["resourceVersion"]:
        check_number(version)
        raise errors.modified(resource.name, request.name, resource.group)
    metadata["resourceVersion"] = before["resourceVersion"]
    metadata.setdefault("uid", before["uid"])
    if media != APPLY:
        writing.record_owner(server, request, resource, new, old)
    return await writing.store_changed(server, request, resource, new, old)
