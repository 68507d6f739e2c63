"""DELETE of a collection: every object that the selectors choose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azsandbox.kubernetes import answers, options
from azsandbox.kubernetes.delete_options import DeleteOptions
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.request import Object, Request, Response
from azsandbox.kubernetes.verbs.delete import delete_object
from azsandbox.kubernetes.verbs.list import page, selectors

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer


async def delete_collection(server: ApiServer, request: Request) -> Response:
    """Deletes what the selectors choose and answers with the list of it."""
    resource = request.resource
    assert resource is not None
    asked = DeleteOptions(request)
    labels, fields = selectors(request, resource)
    options.list_options(request)
    records, metadata = page(server, request, resource, labels, fields)
    items: list[Object] = []
    for record in records:
        item = server.registry.load(resource, record.value)  # the answer shows it as it was
        try:
            await delete_object(server, request, resource, server.registry.load(resource, record.value), asked)
        except StatusError as error:
            if error.code == 404:
                continue
            raise
        items.append(item if resource.custom else {k: v for k, v in item.items() if k not in ("kind", "apiVersion")})
    if resource.custom:
        metadata = {"continue": "", **metadata}
    value: Object = {
        "kind": resource.list_kind or f"{resource.kind}List",
        "apiVersion": resource.api_version,
        "metadata": metadata,
        "items": items,
    }
    return answers.respond(request, value)
