"""Sub-resources that are no mere part of an object, a file each. Those that are (status …) take the ordinary verbs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from azsandbox.kubernetes.request import Request, Response
from azsandbox.kubernetes.resources import Resource

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

Handler = Callable[["ApiServer", Request], Awaitable[Response]]


def find(resource: Resource, subresource: str) -> Handler | None:
    """What answers a sub-resource in its own way, or None."""
    if not subresource:
        return None
    from azsandbox.kubernetes.subresources import binding, connect, eviction, scale, token

    if subresource == "scale" and resource.subresource("scale"):
        return scale.answer
    handlers: dict[tuple[str, str], Handler] = {
        ("pods", "binding"): binding.answer,
        ("pods", "eviction"): eviction.answer,
        ("pods", "log"): connect.log,
        ("pods", "exec"): connect.stream,
        ("pods", "attach"): connect.stream,
        ("pods", "portforward"): connect.stream,
        ("pods", "proxy"): connect.proxy,
        ("services", "proxy"): connect.proxy,
        ("nodes", "proxy"): connect.proxy,
        ("serviceaccounts", "token"): token.answer,
    }
    return handlers.get((resource.qualified, subresource))
