"""metrics.k8s.io as a metrics-server serves it, with the made-up figures of `metrics`.

The API server asks it while an APIService of the group names a Service with ready endpoints, so a cluster has
metrics as soon as a metrics-server is installed in it, and loses them when its pods are gone. Texts and columns:
kubernetes-sigs/metrics-server 0.8, pkg/api.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from azsandbox.controllers import metrics
from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Informers, key_of
from azsandbox.controllers.kubelet.node_status import is_ready
from azsandbox.kubernetes import answers, errors, negotiation
from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Request, Response
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.selectors import parse_labels

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
API = f"{GROUP}/{VERSION}"


def _resource(name: str, kind: str, namespaced: bool) -> Resource:
    return Resource(GROUP, VERSION, name, "", kind, namespaced, ("get", "list"))


class MetricsServer:
    """Answers for nodes and pods of metrics.k8s.io. It knows the cluster's own by watches, as a metrics-server does:
    `informers` gives those of the cluster's controllers; while there are none, `client` lists.
    """

    resources: tuple[Resource, ...] = (_resource("nodes", "NodeMetrics", False), _resource("pods", "PodMetrics", True))

    def __init__(
        self,
        client: KubeClient,
        now: Callable[[], dt.datetime] | None = None,
        informers: Callable[[], Informers | None] | None = None,
    ) -> None:
        self.client = client.named("metrics-server")
        self.informers = informers or (lambda: None)
        self.now = now or (lambda: dt.datetime.now(dt.UTC))

    async def answer(self, server: ApiServer, request: Request) -> Response:
        """Get and list, as objects or as a Table. Raises 404, and 405 for all other verbs."""
        resource = request.resource
        assert resource is not None
        if request.verb not in resource.verbs or request.subresource:
            raise errors.method_not_allowed()
        if resource.namespaced and request.name and not request.namespace:
            raise errors.method_not_allowed()
        accepted = negotiation.accepted(request, custom=True)
        items = await self._nodes(request) if resource.name == "nodes" else await self._pods(request)
        gvk: Object = {"kind": resource.kind, "apiVersion": API}
        if request.name:
            if not items:
                name = f"{request.namespace}/{request.name}" if resource.namespaced else request.name
                raise errors.not_found(resource.kind.lower(), name, GROUP)
            body = {**gvk, **items[0]}
        else:
            body = {"kind": f"{resource.kind}List", "apiVersion": API, "metadata": {}, "items": items}
        if accepted.form == "Table":
            body = {**_table(items), "apiVersion": f"meta.k8s.io/{accepted.form_version}"}
        elif accepted.form:
            parts = [{**_PARTIAL, "metadata": item["metadata"]} for item in items]
            whole = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": {}}
            body = parts[0] if request.name else {**whole, "items": parts}
        return answers.respond(request, body, 200, accepted)

    async def _nodes(self, request: Request) -> list[Object]:
        """Metrics of the ready nodes that are asked for: a kubelet that is away cannot be scraped."""
        nodes = await self._known("nodes")
        wanted = [node for node in nodes if _selected(request, node) and is_ready(node)]
        pods = await self._known("pods") if wanted else []
        now = self.now()
        return [metrics.node_metrics(node, pods, now) for node in wanted]

    async def _pods(self, request: Request) -> list[Object]:
        now = self.now()
        pods = await self._known("pods", request.namespace)
        found = [metrics.pod_metrics(pod, now) for pod in pods if _selected(request, pod)]
        return [item for item in found if item is not None]

    async def _known(self, resource: str, namespace: str = "") -> list[Object]:
        """Nodes or pods, in the order of a list."""
        informers = self.informers()
        informer = informers.of("v1", resource) if informers is not None else None
        if informer is None or not informer.synced.is_set():
            return await self.client.list(path("v1", resource, namespace))
        return sorted(informer.list(namespace), key=key_of)


_PARTIAL: Object = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}


def _selected(request: Request, obj: Object) -> bool:
    """Whether an object has the name, labels and fields that a request asks for. Raises 400."""
    metadata = obj["metadata"]
    if request.name and metadata["name"] != request.name:
        return False
    selector = request.param("labelSelector")
    if selector and not parse_labels(selector).matches_labels(metadata.get("labels") or {}):
        return False
    for term in filter(None, request.param("fieldSelector").split(",")):
        field, _, value = term.replace("==", "=").partition("=")
        negated = field.endswith("!")
        known = {"metadata.name": metadata["name"], "metadata.namespace": metadata.get("namespace", "")}
        if field.rstrip("!") not in known:
            raise errors.bad_request(f"field label not supported: {field.rstrip('!')}")
        if (known[field.rstrip("!")] == value) == negated:
            return False
    return True


def _table(items: list[Object]) -> Object:
    """Name, one column a figure, and how long was measured."""
    columns: list[Object] = [
        {"name": "Name", "type": "string", "format": "name", "description": "Name of the resource", "priority": 0}
    ]
    names = ("cpu", "memory") if items else ()
    columns += [{"name": n, "type": "string", "format": "", "description": "", "priority": 0} for n in names]
    columns.append({"name": "Window", "type": "string", "format": "duration", "description": "", "priority": 0})
    rows = []
    for item in items:
        cells: list[Any] = [item["metadata"]["name"]]
        usages = [item["usage"]] if "usage" in item else [c["usage"] for c in item["containers"]]
        for name in names:
            total = Quantity.ZERO
            for usage in usages:
                total = total + Quantity.parse(usage[name])
            cells.append(str(total))
        rows.append({"cells": [*cells, item["window"]], "object": {**_PARTIAL, "metadata": item["metadata"]}})
    return {"kind": "Table", "metadata": {}, "columnDefinitions": columns if items else columns[:1], "rows": rows}
