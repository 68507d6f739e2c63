"""Which pods stand behind a Service, and on which ports: what Endpoints and EndpointSlices share.

Rules: k8s.io/endpointslice and k8s.io/kubernetes, pkg/controller/endpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from azsandbox.controllers.client import Object
from azsandbox.controllers.informer import Informer, key_of
from azsandbox.controllers.pods import TERMINAL, is_ready

HEADLESS = "service.kubernetes.io/headless"


def selects(service: Object, labels: dict[str, str]) -> bool:
    """Whether the Service has a selector and it matches."""
    selector = service["spec"].get("selector")
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def is_headless(service: Object) -> bool:
    return service["spec"].get("clusterIP") == "None"


def services_of(services: Informer) -> Callable[[Object], Iterable[str]]:
    """Names the keys of the Services that select a pod."""

    def keys(pod: Object) -> Iterable[str]:
        labels = pod["metadata"].get("labels") or {}
        return [key_of(s) for s in services.list(pod["metadata"]["namespace"]) if selects(s, labels)]

    return keys


def pods_behind(service: Object, pods: Informer, terminating: bool) -> list[Object]:
    """Pods with an address that the Service selects, by name; those that are going only with `terminating`."""
    found = []
    for pod in pods.list(service["metadata"]["namespace"]):
        status = pod.get("status") or {}
        if not selects(service, pod["metadata"].get("labels") or {}):
            continue
        if not status.get("podIP") or status.get("phase") in TERMINAL:
            continue
        if pod["metadata"].get("deletionTimestamp") and not terminating:
            continue
        found.append(pod)
    return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))


def target_port(port: Object, pod: Object) -> int | None:
    """The number that a Service port means in a pod; None if the pod has no port of that name."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target or int(port["port"])
    containers = [*pod["spec"]["containers"]]
    containers += [c for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in containers:
        for named in container.get("ports") or ():
            if named.get("name") == target and named.get("protocol", "TCP") == port.get("protocol", "TCP"):
                return int(named["containerPort"])
    return None


def target_reference(pod: Object) -> Object:
    metadata = pod["metadata"]
    return {"kind": "Pod", "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]}


def hostname_of(pod: Object, service: Object) -> str:
    """The pod's host name, where the Service gives it a DNS name."""
    spec = pod["spec"]
    same = spec.get("subdomain") == service["metadata"]["name"]
    return str(spec["hostname"]) if spec.get("hostname") and same else ""


def serving(pod: Object) -> bool:
    return is_ready(pod)


def changed_for_services(pod: Object) -> tuple[object, ...]:
    """What of a pod decides over endpoints."""
    status = pod.get("status") or {}
    spec = pod["spec"]
    return (
        pod["metadata"].get("labels"),
        pod["metadata"].get("deletionTimestamp"),
        status.get("podIP"),
        status.get("phase"),
        is_ready(pod),
        spec.get("nodeName"),
        spec.get("hostname"),
        spec.get("subdomain"),
    )


def follow_pods(pods: Informer, services: Informer, add: Callable[[str], None]) -> None:
    """Calls `add` with each Service's key when a pod that it selects, or selected, changes in what matters."""
    keys = services_of(services)

    def changed(kind: str, pod: Object, old: Object | None) -> None:
        if kind != "DELETED" and old is not None and changed_for_services(old) == changed_for_services(pod):
            return
        for key in {*keys(pod), *(keys(old) if old is not None else ())}:
            add(key)

    pods.on_change(changed)
