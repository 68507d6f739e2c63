"""Rows of the core group, pods first among them."""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.tables.cells import (
    NONE,
    UNKNOWN,
    Age,
    Row,
    age,
    containers,
    labels,
    moment,
    more,
    name,
    since,
    spec,
    status,
)

_DONE = {
    "Succeeded": "The pod has completed successfully.",
    "Failed": "The pod failed.",
}
_REASONS = {"Succeeded": "Succeeded", "Failed": "Failed"}


def pod_row_conditions(pod: Object) -> list[Object]:
    """A row of a pod that is done says so, so that clients can leave it out."""
    phase = status(pod).get("phase")
    if phase not in _DONE:
        return []
    return [{"type": "Completed", "status": "True", "reason": _REASONS[phase], "message": _DONE[phase]}]


class _PodState:
    """What the columns READY, STATUS and RESTARTS say of a pod."""

    def __init__(self, pod: Object) -> None:
        self.pod, self.status = pod, status(pod)
        inits = spec(pod).get("initContainers") or []
        self.sidecars = {c["name"] for c in inits if c.get("restartPolicy") == "Always"}
        self.inits = len(inits)
        self.total = len(spec(pod)["containers"]) + len(self.sidecars)
        self.ready = self.restarts = self.sidecar_restarts = 0
        self.last: Any = None
        self.sidecar_last: Any = None
        self.reason = self.status.get("reason") or self.status.get("phase", "")
        if any(c["type"] == "PodScheduled" and c.get("reason") == "SchedulingGated" for c in self.conditions):
            self.reason = "SchedulingGated"
        initializing = self._initializing()
        if not initializing or self._condition("Initialized"):
            self._running()
        if pod["metadata"].get("deletionTimestamp"):
            if self.status.get("reason") == "NodeLost":
                self.reason = "Unknown"
            elif self.status.get("phase") not in ("Succeeded", "Failed"):
                self.reason = "Terminating"

    @property
    def conditions(self) -> list[Object]:
        return self.status.get("conditions") or []

    def _condition(self, kind: str) -> bool:
        return any(c["type"] == kind and c["status"] == "True" for c in self.conditions)

    def _initializing(self) -> bool:
        for index, found in enumerate(self.status.get("initContainerStatuses") or ()):
            sidecar = found["name"] in self.sidecars
            count, ended = found.get("restartCount", 0), _last_end(found)
            self.restarts += count
            self.last = _later(self.last, ended)
            if sidecar:
                self.sidecar_restarts += count
                self.sidecar_last = _later(self.sidecar_last, ended)
            state = found.get("state") or {}
            terminated, waiting = state.get("terminated"), state.get("waiting") or {}
            if terminated is not None and terminated.get("exitCode", 0) == 0:
                continue
            if sidecar and found.get("started"):
                self.ready += bool(found.get("ready"))
                continue
            if terminated is not None:
                self.reason = f"Init:{_ended(terminated)}"
            elif waiting.get("reason") and waiting["reason"] != "PodInitializing":
                self.reason = f"Init:{waiting['reason']}"
            else:
                self.reason = f"Init:{index}/{self.inits}"
            return True
        return False

    def _running(self) -> None:
        self.restarts, self.last = self.sidecar_restarts, self.sidecar_last
        running, failed = False, ""
        for found in reversed(self.status.get("containerStatuses") or []):
            self.restarts += found.get("restartCount", 0)
            self.last = _later(self.last, _last_end(found))
            state = found.get("state") or {}
            if (state.get("waiting") or {}).get("reason"):
                self.reason = state["waiting"]["reason"]
            elif state.get("terminated") is not None:
                self.reason = _ended(state["terminated"])
                if state["terminated"].get("exitCode"):
                    failed = self.reason
            elif found.get("ready") and state.get("running") is not None:
                running = True
                self.ready += 1
        if self.reason == "Completed":
            if running and self._condition("Ready"):
                self.reason = "Running"
            elif failed:
                self.reason = failed
            elif running:
                self.reason = "NotReady"

    @property
    def restarts_text(self) -> Age | str:
        if self.restarts and self.last:
            return Age(self.last.timestamp(), f"{self.restarts} (%s ago)")
        return str(self.restarts)


def _ended(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _last_end(found: Object) -> Any:
    return moment(((found.get("lastState") or {}).get("terminated") or {}).get("finishedAt"))


def _later(one: Any, other: Any) -> Any:
    return max((t for t in (one, other) if t), default=None)


def _pod(pod: Object) -> list[Any]:
    state = _PodState(pod)
    gates = spec(pod).get("readinessGates") or []
    met = sum(state._condition(gate["conditionType"]) for gate in gates)
    addresses = state.status.get("podIPs") or [{}]
    return [
        name(pod),
        f"{state.ready}/{state.total}",
        state.reason,
        state.restarts_text,
        age(pod),
        addresses[0].get("ip") or NONE,
        spec(pod).get("nodeName") or NONE,
        state.status.get("nominatedNodeName") or NONE,
        f"{met}/{len(gates)}" if gates else NONE,
    ]


def _node(node: Object) -> list[Any]:
    found = status(node)
    ready = next((c for c in found.get("conditions") or () if c["type"] == "Ready"), None)
    words = ["Unknown"] if ready is None else ["Ready" if ready["status"] == "True" else "NotReady"]
    if spec(node).get("unschedulable"):
        words.append("SchedulingDisabled")
    roles = set()
    for key, value in (node["metadata"].get("labels") or {}).items():
        if key.startswith("node-role.kubernetes.io/") and key != "node-role.kubernetes.io/":
            roles.add(key.removeprefix("node-role.kubernetes.io/"))
        elif key == "kubernetes.io/role" and value:
            roles.add(value)
    info = found.get("nodeInfo") or {}

    def address(kind: str) -> str:
        return next((a["address"] for a in found.get("addresses") or () if a["type"] == kind), NONE)

    return [
        name(node),
        ",".join(words),
        ",".join(sorted(roles)) or NONE,
        age(node),
        info.get("kubeletVersion", ""),
        address("InternalIP"),
        address("ExternalIP"),
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


def balancer(found: Object) -> str:
    """Addresses of a load balancer's status."""
    ingress = (found.get("loadBalancer") or {}).get("ingress") or []
    return ",".join(sorted({i.get("ip") or i.get("hostname") for i in ingress if i.get("ip") or i.get("hostname")}))


def _external(service: Object) -> str:
    kind, addresses = spec(service).get("type"), list(spec(service).get("externalIPs") or [])
    if kind in ("ClusterIP", "NodePort"):
        return ",".join(addresses) or NONE
    if kind == "LoadBalancer":
        found = balancer(status(service))
        return ",".join(([found] if found else []) + addresses) or "<pending>"
    if kind == "ExternalName":
        return str(spec(service).get("externalName", ""))
    return UNKNOWN


def _service(service: Object) -> list[Any]:
    ports = []
    for port in spec(service).get("ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        ports.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    addresses = spec(service).get("clusterIPs") or [NONE]
    return [
        name(service),
        spec(service).get("type", ""),
        addresses[0],
        _external(service),
        ",".join(ports) or NONE,
        age(service),
        labels(spec(service).get("selector")),
    ]


def _endpoints(obj: Object) -> list[Any]:
    found: list[str] = []
    for subset in obj.get("subsets") or ():
        addresses = [a["ip"] for a in subset.get("addresses") or ()]
        ports = subset.get("ports")
        if not ports:
            found += addresses
        for port in ports or ():
            found += [f"[{a}]:{port['port']}" if ":" in a else f"{a}:{port['port']}" for a in addresses]
    return [name(obj), more(found) if obj.get("subsets") else NONE, age(obj)]


def _event(event: Object) -> list[Any]:
    involved = event.get("involvedObject") or event.get("regarding") or {}
    first = event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp") or event.get("eventTime")
    last = event.get("lastTimestamp") or event.get("deprecatedLastTimestamp") or first
    count = event.get("count") or event.get("deprecatedCount") or 1
    series = event.get("series")
    if series:
        last, count = series.get("lastObservedTime"), series.get("count", count)
    kind = str(involved.get("kind", "")).lower()
    source = event.get("source") or event.get("deprecatedSource") or {}
    component = source.get("component") or event.get("reportingComponent") or event.get("reportingController") or ""
    instance = source.get("host") or event.get("reportingInstance") or ""
    return [
        since(last),
        event.get("type", ""),
        event.get("reason", ""),
        f"{kind}/{involved['name']}" if involved.get("name") else kind,
        involved.get("fieldPath", ""),
        f"{component}, {instance}" if instance else component,
        str(event.get("message") or event.get("note") or "").strip(),
        since(first),
        count,
        name(event),
    ]


def _namespace(obj: Object) -> list[Any]:
    return [name(obj), status(obj).get("phase", ""), age(obj)]


def _data(obj: Object) -> int:
    return len(obj.get("data") or ()) + len(obj.get("binaryData") or ())


def _config_map(obj: Object) -> list[Any]:
    return [name(obj), _data(obj), age(obj)]


def _secret(obj: Object) -> list[Any]:
    return [name(obj), obj.get("type", ""), len(obj.get("data") or ()), age(obj)]


def _service_account(obj: Object) -> list[Any]:
    return [name(obj), age(obj)]


def _pod_template(obj: Object) -> list[Any]:
    template = obj.get("template") or {}
    names, images = containers(template.get("spec") or {})
    return [name(obj), names, images, labels((template.get("metadata") or {}).get("labels"))]


def _resource_quota(obj: Object) -> list[Any]:
    hard, used = status(obj).get("hard") or {}, status(obj).get("used") or {}
    requests = [f"{k}: {used.get(k, '0')}/{v}" for k, v in sorted(hard.items()) if not k.startswith("limits.")]
    limits = [f"{k}: {used.get(k, '0')}/{v}" for k, v in sorted(hard.items()) if k.startswith("limits.")]
    return [name(obj), ", ".join(requests), ", ".join(limits), age(obj)]


def _component_status(obj: Object) -> list[Any]:
    healthy: Object = next((c for c in obj.get("conditions") or () if c["type"] == "Healthy"), {})
    word = {"True": "Healthy"}.get(healthy.get("status", ""), "Unhealthy" if healthy else "Unknown")
    return [name(obj), word, healthy.get("message", ""), healthy.get("error", "")]


ROWS: dict[str, Row] = {
    "pods": _pod,
    "nodes": _node,
    "services": _service,
    "endpoints": _endpoints,
    "events": _event,
    "events.events.k8s.io": _event,
    "namespaces": _namespace,
    "configmaps": _config_map,
    "secrets": _secret,
    "serviceaccounts": _service_account,
    "podtemplates": _pod_template,
    "resourcequotas": _resource_quota,
    "componentstatuses": _component_status,
}
