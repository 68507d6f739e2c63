"""APIServices: which group and version is served here, and which by a Service behind the API server.

Every built-in version has one from the start (bootstrap), every version of a CRD gets one. One that names a
Service is available while that has ready endpoints; what answers for it is an extension (see ApiServer.extensions),
since no program runs in the pods behind the Service. Rules and texts: k8s.io/kube-aggregator,
pkg/controllers/status, pkg/apiserver; pkg/controlplane/controller/crdregistration.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import logging
import uuid
from typing import TYPE_CHECKING, Protocol

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.registry import now
from azsandbox.kubernetes.request import Object, Request, Response
from azsandbox.kubernetes.resources import Resource
from azsandbox.tasks import end

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

log = logging.getLogger(__name__)

SERVICES = "apiservices.apiregistration.k8s.io"
DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
AUTOMANAGED = "kube-aggregator.kubernetes.io/automanaged"
CRD_GROUP_PRIORITY, CRD_VERSION_PRIORITY = 1000, 100
_MANAGER = "kube-apiserver"


class Extension(Protocol):
    """What answers for the version of a group in the place of the pods behind an APIService's Service."""

    resources: tuple[Resource, ...]

    async def answer(self, server: ApiServer, request: Request) -> Response:
        """Answers a request for one of the resources; it is authorized already."""


class Aggregation:
    """Keeps the APIServices of one API server, and knows who answers for an aggregated group."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self._available: dict[tuple[str, str], bool] = {}  # aggregated group and version → whether it answers
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Judges the APIServices that there are, and from now on every change of them and of what they depend on."""
        for name in (SERVICES, DEFINITIONS, "services", "endpointslices.discovery.k8s.io"):
            self.server.registry.on_write(self.server.resource(name).collection, self._changed.set)
        self.refresh()
        self._task = asyncio.create_task(self._follow(), name="API services")

    async def stop(self) -> None:
        """Ends following changes."""
        if self._task is not None:
            await end([self._task])

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                self.refresh()
            except Exception:
                log.exception("API services")

    # --- serving

    def covers(self, path: str) -> tuple[str, str] | None:
        """The aggregated group and version that a path lies in."""
        if not self._available or not path.startswith("/apis/"):
            return None
        parts = path.strip("/").split("/")
        key = (parts[1], parts[2]) if len(parts) > 2 else None
        return key if key in self._available else None

    async def answer(self, key: tuple[str, str], request: Request) -> Response | None:
        """The answer of an aggregated version; None where discovery answers. 503 while its Service does not."""
        if not self._available[key]:
            return Response(503, b"service unavailable\n", content_type="text/plain; charset=utf-8")
        if request.resource is None:
            return None
        answer: Response = await self.server.extensions[key[0]].answer(self.server, request)
        return answer

    # --- keeping

    def refresh(self) -> None:
        """Makes and removes the APIServices of CRDs, and sets the condition Available of all."""
        resource = self.server.resource(SERVICES)
        objects = {obj["metadata"]["name"]: obj for obj in self.server.registry.unchanging(resource)}
        self._register_definitions(resource, objects)
        available: dict[tuple[str, str], bool] = {}
        for obj in objects.values():
            condition = self._condition(obj)
            self._set(resource, obj, condition)
            spec = obj["spec"]
            if spec.get("service"):
                available[spec.get("group", ""), spec["version"]] = condition["status"] == "True"
        if available != self._available:
            self._available = available
            served = [r for key in available if available[key] for r in self._resources(key)]
            self.server.resources.replace_aggregated(served, list(available))

    def _resources(self, key: tuple[str, str]) -> list[Resource]:
        extension: Extension | None = self.server.extensions.get(key[0])
        return [r for r in extension.resources if r.version == key[1]] if extension is not None else []

    def _register_definitions(self, resource: Resource, objects: dict[str, Object]) -> None:
        wanted: dict[str, tuple[str, str]] = {}
        for crd in self.server.registry.unchanging(self.server.resource(DEFINITIONS)):
            group = crd["spec"]["group"]
            for version in crd["spec"]["versions"]:
                if version.get("served"):
                    wanted[f"{version['name']}.{group}"] = (group, version["name"])
        for name, obj in list(objects.items()):
            if (obj["metadata"].get("labels") or {}).get(AUTOMANAGED) == "true" and name not in wanted:
                with contextlib.suppress(errors.StatusError):
                    self.server.registry.remove(resource, obj)
                del objects[name]
        for name, (group, version) in wanted.items():
            if name in objects:
                continue
            spec = {
                "group": group,
                "version": version,
                "groupPriorityMinimum": CRD_GROUP_PRIORITY,
                "versionPriority": CRD_VERSION_PRIORITY,
            }
            metadata: Object = {
                "name": name,
                "uid": str(uuid.uuid4()),
                "creationTimestamp": now(),
                "labels": {AUTOMANAGED: "true"},
            }
            obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata, "spec": spec}
            self.server.record_update(resource, obj, None, _MANAGER, "")
            with contextlib.suppress(errors.StatusError):
                objects[name] = self.server.registry.insert(resource, obj)

    def _set(self, resource: Resource, obj: Object, condition: Object) -> None:
        before = ((obj.get("status") or {}).get("conditions") or [None])[0]
        if before is not None and all(before.get(key) == value for key, value in condition.items()):
            return
        same = before is not None and before.get("status") == condition["status"]
        since = before["lastTransitionTime"] if before is not None and same else now()
        new = copy.deepcopy(obj)
        first = {"type": "Available", "status": condition["status"], "lastTransitionTime": since}
        new["status"] = {"conditions": [{**first, "reason": condition["reason"], "message": condition["message"]}]}
        if obj["metadata"].get("managedFields"):
            self.server.record_update(resource, new, obj, _MANAGER, "status")
        with contextlib.suppress(errors.StatusError):
            self.server.registry.replace(resource, new, obj["metadata"]["resourceVersion"])

    # --- judging

    def _condition(self, obj: Object) -> Object:
        """Status, reason and message of Available."""
        spec = obj["spec"]
        target = spec.get("service")
        if not target:
            return _condition("True", "Local", "Local APIServices are always available")
        namespace, name = target["namespace"], target["name"]
        where = f"service/{name} in {json.dumps(namespace)}"
        service = self.server.peek("services", namespace, name)
        if service is None:
            return _condition("False", "ServiceNotFound", f"{where} is not present")
        if service["spec"].get("type", "ClusterIP") == "ClusterIP":
            number = target.get("port", 443)
            port = next((p for p in service["spec"].get("ports") or () if p["port"] == number), None)
            if port is None:
                return _condition("False", "ServicePortError", f"{where} is not listening on port {number}")
            problem = self._endpoints(namespace, name, port.get("name", ""))
            if problem is not None:
                return problem
        key = (spec.get("group", ""), spec["version"])
        if not self._resources(key):
            address = f"https://{service['spec'].get('clusterIP', '')}:{target.get('port', 443)}/apis/{key[0]}/{key[1]}"
            text = f"failing or missing response from {address}: pods of this cluster are simulated, nothing listens"
            return _condition("False", "FailedDiscoveryCheck", text)
        return _condition("True", "Passed", "all checks passed")

    def _endpoints(self, namespace: str, name: str, port: str) -> Object | None:
        """What is wrong with a Service's endpoints."""
        where = f"service/{name} in {json.dumps(namespace)}"
        slices = [
            found
            for found in self.server.peek_list("endpointslices.discovery.k8s.io", namespace)
            if (found["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == name
        ]
        if not slices:
            return _condition("False", "EndpointsNotFound", f"cannot find endpointslices for {where}")
        for found in slices:
            if any((p.get("name") or "") == port for p in found.get("ports") or ()):
                for endpoint in found.get("endpoints") or ():
                    if (endpoint.get("conditions") or {}).get("ready") is not False:
                        return None
        text = f"endpointslices for {where} have no addresses with port name {json.dumps(port)}"
        return _condition("False", "MissingEndpoints", text)


def _condition(status: str, reason: str, message: str) -> Object:
    return {"status": status, "reason": reason, "message": message}
