"""POST: a new object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azsandbox.kubernetes import answers, errors, negotiation, options, strategy
from azsandbox.kubernetes.request import Request, Response
from azsandbox.kubernetes.verbs import writing

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer


async def create(server: ApiServer, request: Request) -> Response:
    """Stores the object in the body and answers 201 with it. Raises 400, 403, 404, 409 or 422."""
    resource = request.resource
    assert resource is not None
    negotiation.accepted(request, custom=resource.custom)  # refuse before anything is done
    options.write_options(request, "CreateOptions")
    obj = writing.read_body(server, request, resource.gvk)
    writing.check_names(request, resource, obj, "")
    metadata = obj["metadata"]
    if _is_set(metadata.get("resourceVersion") or ""):
        raise errors.plain_500("resourceVersion should not be set on objects to be created")
    for name in ("resourceVersion", "uid", "deletionTimestamp", "deletionGracePeriodSeconds"):
        metadata.pop(name, None)
    server.default(resource, obj)
    writing.record_owner(server, request, resource, obj, None)
    generated = bool(metadata.get("generateName")) and not metadata.get("name")
    if generated:
        metadata["name"] = strategy.generated_name(metadata["generateName"])
    stored = await writing.store_new(server, request, resource, obj)
    return await answers.obj(server, request, resource, stored, 201)


def _is_set(version: str) -> bool:
    """Whether a resourceVersion is a number above zero; the storage passes over any other text."""
    try:
        return options.parse_uint(version) > 0
    except ValueError:
        return False
