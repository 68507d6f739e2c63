"""Which endpoint of Entra ID a path belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azsandbox.dispatch import Receive, Scope, Send, host_name
from azsandbox.entra import managed_identity
from azsandbox.entra.web import Answer, Request, read

if TYPE_CHECKING:
    from azsandbox.entra import Entra


async def answer(entra: Entra, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers one request."""
    if scope["type"] != "http":
        return
    try:
        request = await read(scope, receive)
    except ValueError as error:
        await Answer(413, {"error": "invalid_request", "error_description": str(error)}).send(send)
        return
    await _route(entra, request).send(send)


def _route(entra: Entra, request: Request) -> Answer:
    path = request.path.lower()
    if path == "/msi/token":
        return managed_identity.app_service(entra, request)
    if path.startswith("/metadata/"):
        return managed_identity.instance_metadata(entra, request)
    if host_name(request.headers.get("host", "")) == "graph.microsoft.com" or path.startswith(("/v1.0", "/beta")):
        from azsandbox.entra.graph import graph

        return graph.answer(entra, request)
    from azsandbox.entra import login

    return login.answer(entra, request)
