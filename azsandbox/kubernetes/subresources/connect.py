"""What reaches into a running pod: logs, exec, attach, port-forward, and proxies.

What they answer comes from `server.pods`, which the kubelet of the cluster provides; an API
server without one says that no kubelet is there.
"""

from __future__ import annotations

import random
import urllib.parse
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.program_http import HttpAnswer, HttpRequest
from azsandbox.kubernetes.request import Object, Request, Response

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

TEXT = "text/plain"


class Pods(Protocol):
    """Reaches into the pods of a cluster: what the API server asks of kubelets."""

    async def log(self, pod: Object, container: str, request: Request) -> bytes | AsyncIterator[bytes]:
        """A container's log, as it is or as it comes. Raises StatusError."""

    async def stream(self, pod: Object, container: str, request: Request) -> None:
        """Exec and attach, over the request's WebSocket. Raises StatusError."""

    async def call(self, pod: Object, port: int, request: HttpRequest) -> HttpAnswer | None:
        """What a program in a pod answers on a port; None where nothing listens."""

    def listens(self, pod: Object) -> bool:
        """Whether a program in a pod listens on any port."""

    async def forward(self, pod: Object, request: Request) -> None:
        """Forwards ports of a pod over the request's WebSocket. Raises StatusError."""


def container_of(request: Request, pod: Object, parameter: str = "container") -> str:
    """The container that a request means. Raises 400 in the words of pkg/registry/core/pod/strategy.go."""
    asked = request.param(parameter)
    names = [c["name"] for c in pod["spec"]["containers"]]
    inits = [c["name"] for c in pod["spec"].get("initContainers") or ()]
    ephemerals = [c["name"] for c in pod["spec"].get("ephemeralContainers") or ()]
    name = pod["metadata"]["name"]
    if asked:
        if asked not in names + inits + ephemerals:
            raise errors.bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(names) == 1:
        return str(names[0])
    choices = f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]"
    if inits:
        choices += f" or one of the init containers: [{' '.join(inits)}]"
    raise errors.bad_request(choices)


async def log(server: ApiServer, request: Request) -> Response:
    """GET pods/log."""
    resource = request.resource
    assert resource is not None
    if request.verb != "get":
        raise errors.method_not_allowed()
    pod = server.registry.get(resource, request.namespace, request.name)
    container = container_of(request, pod)
    if not pod["spec"].get("nodeName"):
        return Response(204, b"", content_type=TEXT)
    if server.pods is None:
        raise errors.internal(f"no kubelet answers for node {pod['spec']['nodeName']}")
    text: bytes | AsyncIterator[bytes] = await server.pods.log(pod, container, request)
    if isinstance(text, bytes):
        return Response(200, text, content_type=TEXT)
    return Response(200, stream=text, content_type=TEXT)


async def stream(server: ApiServer, request: Request) -> Response:
    """exec, attach and port-forward over a WebSocket; ports only of pods whose programs the sandbox acts for."""
    resource = request.resource
    assert resource is not None
    pod = server.registry.get(resource, request.namespace, request.name)
    container = ""
    if request.subresource != "portforward":
        container = container_of(request, pod)
    if not pod["spec"].get("nodeName"):
        raise errors.bad_request(f"pod {request.name} does not have a host assigned")
    forwards = request.subresource == "portforward"
    if forwards and not (server.pods and server.pods.listens(pod)):
        raise _nothing_listens(f"pods {request.name}", "no port can be forwarded")
    if request.socket is None:
        if request.headers.get("upgrade", "").upper().startswith("SPDY/"):
            text = f"{request.subresource} is served over WebSockets alone, which kubectl 1.31 and newer use; not over SPDY"
            raise errors.bad_request(text)
        raise errors.bad_request("Upgrade request required")
    if server.pods is None:
        raise errors.internal(f"no kubelet answers for node {pod['spec']['nodeName']}")
    if forwards:
        await server.pods.forward(pod, request)
    else:
        await server.pods.stream(pod, container, request)
    return Response(101)


async def proxy(server: ApiServer, request: Request) -> Response:
    """Proxies to pods, services and nodes. Only the programs that the sandbox acts for listen; the rest is refused.

    What a server refuses before it connects is refused in its own words (pkg/registry/core: pod, service).
    """
    resource = request.resource
    assert resource is not None
    if resource.name == "nodes":
        server.registry.get(resource, "", request.name.rpartition(":")[0] or request.name)
        raise _nothing_listens(f"nodes {request.name}", "nothing can be proxied")
    name, port = _name_and_port(resource.singular, request.name)
    found = server.registry.get(resource, request.namespace, name)
    pod: Object | None = found
    if resource.name == "pods":
        if not (found.get("status") or {}).get("podIP"):
            raise errors.bad_request("address not allowed")
        number = _port_of(found, port)
    else:
        pod, number = _endpoint(server, request, found, port)
    if not request.proxy_path and not request.path.endswith("/") and request.method in ("GET", "HEAD"):
        return Response(301, b"", {"location": f"{request.path}/{_query(request)}"}, content_type="")
    answer = await server.pods.call(pod, number, _forwarded(request)) if server.pods and pod else None
    if answer is None:
        raise _nothing_listens(f"{resource.name} {request.name}", "nothing can be proxied")
    headers = dict(answer.headers)
    return Response(answer.status, answer.body, headers, content_type=headers.pop("content-type", ""))


_KEPT_BACK = ("authorization", "connection", "content-length", "te", "transfer-encoding", "upgrade")


def _query(request: Request) -> str:
    pairs = [(name, value) for name, values in request.query.items() for value in values]
    return f"?{urllib.parse.urlencode(pairs)}" if pairs else ""


def _forwarded(request: Request) -> HttpRequest:
    """The request as it goes on: the path behind `proxy`, and no credentials of the API server's."""
    headers = {name: value for name, value in request.headers.items() if name not in _KEPT_BACK}
    path = urllib.parse.quote("/" + request.proxy_path, safe="/!$&'()*+,;=:@~-._")
    return HttpRequest(request.method, path + _query(request), headers, request.body)


def _port_of(pod: Object, port: str) -> int:
    """The port of a pod that a proxy goes to: the one asked for, or the first that a container declares, or 80."""
    if port:
        return int(port) if port.isdigit() else 0
    declared = (p["containerPort"] for c in pod["spec"]["containers"] for p in c.get("ports") or ())
    return int(next(declared, 80))


def _name_and_port(kind: str, text: str) -> tuple[str, str]:
    """Name and port of `name`, `name:port` or `scheme:name:port`. Raises 400."""
    parts = text.split(":")
    if len(parts) == 1:
        return text, ""
    name, port = parts[-2:]
    known = len(parts) == 2 or (len(parts) == 3 and parts[0] in ("", "http", "https"))
    if not name or not known:
        raise errors.bad_request(f'invalid {kind} request "{text}"')
    return name, port


def _endpoint(server: ApiServer, request: Request, service: Object, port: str) -> tuple[Object | None, int]:
    """A pod that is ready behind a service's port, and the port that it listens on; no pod for an address without one.

    Raises 503 for a port that a service lacks, and for one that no pod is ready behind.
    """
    name = service["metadata"]["name"]
    if port.isdigit():
        ports = service["spec"].get("ports") or ()
        named = next((p.get("name", "") for p in ports if p["port"] == int(port)), None)
        if named is None:
            raise _unavailable(f'no service port {port} found for service "{name}"')
        port = named
    endpoints = server.registry.get(server.resource("endpoints"), request.namespace, name)
    subsets = endpoints.get("subsets") or ()
    if not subsets:
        raise _unavailable(f'no endpoints available for service "{name}"')
    found = [
        (address, target["port"])
        for subset in subsets
        for target in subset.get("ports") or ()
        if target.get("name", "") == port
        for address in subset.get("addresses") or ()
    ]
    if not found:
        raise _unavailable(f'no endpoints available for service "{request.name}"')
    address, number = random.choice(found)  # noqa: S311 - a pod, not a secret
    target = address.get("targetRef") or {}
    if target.get("kind") != "Pod":
        return None, number
    return server.registry.find(server.resource("pods"), request.namespace, target["name"]), number


def _unavailable(text: str) -> errors.StatusError:
    return errors.StatusError(503, "ServiceUnavailable", text)


def _nothing_listens(what: str, so: str) -> errors.StatusError:
    text = f"{what}: pods of this cluster are simulated and listen on no port, so {so}"
    return errors.StatusError(503, "ServiceUnavailable", text)
