"""GET of one object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azsandbox.kubernetes import answers, errors, options
from azsandbox.kubernetes.request import Request, Response

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer


async def get(server: ApiServer, request: Request) -> Response:
    """Answers with the stored bytes. Raises 404; 500 for a resourceVersion that is no number, 504 for one to come."""
    resource = request.resource
    assert resource is not None
    version = request.param("resourceVersion")
    if version and version != "0":
        try:
            asked = options.resource_version(version)
        except ValueError as error:
            raise errors.plain_500(str(error)) from None
        server.not_ahead(asked)
    record = server.registry.record(resource, request.namespace, request.name)
    if record is None:
        raise errors.not_found(resource.name, request.name, resource.group)
    return await answers.stored(server, request, resource, record.value)
