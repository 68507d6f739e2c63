"""DELETE of a collection: every object that the selectors choose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azsandbox.kubernetes import answers, negotiation, options
from azsandbox.kubernetes.delete_options import DeleteOptions
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.fields import parse_fields
from azsandbox.kubernetes.request import Request, Response
from azsandbox.kubernetes.selectors import parse_labels
from azsandbox.kubernetes.verbs.delete import delete_object
from azsandbox.kubernetes.verbs.list import page
from azsandbox.store import Record

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer


async def delete_collection(server: ApiServer, request: Request) -> Response:
    """Deletes what the selectors choose and answers with the list of it."""
    resource = request.resource
    assert resource is not None
    negotiation.accepted(request, custom=resource.custom)  # refuse before anything is done
    labels = parse_labels(request.param("labelSelector"))
    options.list_options(request)
    fields = parse_fields(request.param("fieldSelector"), resource)
    asked = DeleteOptions(request)
    records, metadata = page(server, request, resource, labels, fields)
    gone: list[Record] = []
    for record in records:
        try:
            await delete_object(server, request, resource, server.registry.load(resource, record.value), asked)
        except StatusError as error:
            if error.code == 404:
                continue
            raise
        gone.append(record)  # the answer shows it as it was
    return await answers.stored_list(server, request, resource, gone, metadata)
