"""The public addresses that LoadBalancer Services have: what comes to one goes on to the Service's pods.

So a web hook reaches a program in a cluster as it does on Azure, by http://ADDRESS/PATH. A request goes the way of the
API server's proxy to Services; where no program listens, it is answered as that proxy answers.
"""

from __future__ import annotations

import ipaddress
import json
import urllib.parse
from collections.abc import Callable, Iterable
from typing import Any

from azsandbox.cluster import Cluster
from azsandbox.dispatch import App, Receive, Scope, Send, header
from azsandbox.kubernetes.request import MASTER, Request
from azsandbox.request_bodies import read_whole

LARGEST = 25 * 1024 * 1024  # bytes of a body: GitHub's payloads are no larger
_PORTS = {"http": 80, "https": 443}


class PublicAddresses:
    """Finds the Service that an address was given to, among the clusters that `clusters` gives: those that run."""

    def __init__(self, clusters: Callable[[], Iterable[Cluster]]) -> None:
        self._clusters = clusters

    def find(self, host: str) -> App | None:
        """What answers at an address, or None for one that no Service has."""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return None
        for cluster in self._clusters():
            for service in cluster.listed("v1", "services"):
                given = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
                if any(entry.get("ip") == host for entry in given):
                    return _balancer(cluster, service)
        return None


def _balancer(cluster: Cluster, service: dict[str, Any]) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            body = await read_whole(receive, LARGEST, ValueError("the body is larger than 25 MiB\n"))
        except ValueError as error:
            await _send(send, 413, str(error).encode(), {"content-type": "text/plain"})
            return
        metadata = service["metadata"]
        place = f"/api/v1/namespaces/{metadata['namespace']}/services/{metadata['name']}:{_port(scope)}/proxy"
        path = urllib.parse.quote(scope["path"], safe="/!$&'()*+,;=:@~-._")
        query = scope.get("query_string", b"").decode("latin-1")
        url = place + path + (f"?{query}" if query else "")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        headers.pop("authorization", None)  # it would be taken for one of the API server's
        response = await cluster.server.handle(Request.to(scope["method"], url, body, headers, MASTER))
        answered = response.body if isinstance(response.body, bytes) else json.dumps(response.body).encode()
        await _send(send, response.status, answered, {**response.headers, "content-type": response.content_type})

    return app


def _port(scope: Scope) -> int:
    """The port that the client means: that of the address, or its scheme's."""
    _, _, port = header(scope, b"host").rpartition("]")[2].partition(":")
    return int(port) if port.isdigit() else _PORTS.get(scope.get("scheme", "http"), 80)


async def _send(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    given = {**headers, "content-length": str(len(body))}
    encoded = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in given.items() if value]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
