"""LimitRanger: what a container or claim may ask for in a namespace, and what it gets when it asks for nothing."""

from __future__ import annotations

from collections.abc import Iterator

from azsandbox.kubernetes.admission.attributes import CREATE, UPDATE, Attributes
from azsandbox.kubernetes.admission.chain import Plugin
from azsandbox.kubernetes.pod_resources import pod_limits, pod_requests
from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object

ANNOTATION = "kubernetes.io/limit-ranger"
Amounts = dict[str, Quantity]


class LimitRanger(Plugin):
    """Fills in defaults of containers and refuses what is outside of the ranges."""

    async def mutate(self, attrs: Attributes) -> None:
        if not self._applies(attrs) or not attrs.of("", "Pod") or attrs.subresource or attrs.obj is None:
            return
        for limits in self._ranges(attrs):
            _fill(attrs.obj, limits)

    async def validate(self, attrs: Attributes) -> None:
        if not self._applies(attrs) or attrs.obj is None:
            return
        for limits in self._ranges(attrs):
            faults = list(_pod_faults(attrs.obj, limits) if attrs.of("", "Pod") else _claim_faults(attrs.obj, limits))
            if faults:
                unique = list(dict.fromkeys(faults))
                raise attrs.forbidden(unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]")

    @staticmethod
    def _applies(attrs: Attributes) -> bool:
        if attrs.of("", "Pod"):
            return (attrs.subresource == "resize" and attrs.operation == UPDATE) or (
                not attrs.subresource and attrs.operation == CREATE
            )
        claim = attrs.of("", "PersistentVolumeClaim") and not attrs.subresource
        return claim and attrs.operation in (CREATE, UPDATE) and not _going(attrs)

    def _ranges(self, attrs: Attributes) -> list[list[Object]]:
        found = self.server.peek_list("limitranges", attrs.namespace)
        return [(item.get("spec") or {}).get("limits") or [] for item in found]


def _going(attrs: Attributes) -> bool:
    return bool(((attrs.old or {}).get("metadata") or {}).get("deletionTimestamp"))


def _fill(pod: Object, limits: list[Object]) -> None:
    requests: Object = {}
    maxima: Object = {}
    for item in limits:
        if item.get("type") == "Container":
            requests |= item.get("defaultRequest") or {}
            maxima |= item.get("default") or {}
    said: list[str] = []
    spec = pod.setdefault("spec", {})
    for key, word in (("containers", "container"), ("initContainers", "init container")):
        for container in spec.get(key) or []:
            said += _merge(container, requests, maxima, word)
    if said:
        meta = pod.setdefault("metadata", {})
        text = "LimitRanger plugin set: " + "; ".join(said)
        meta["annotations"] = {**(meta.get("annotations") or {}), ANNOTATION: text}


def _merge(container: Object, requests: Object, limits: Object, word: str) -> list[str]:
    resources = container["resources"] = container.get("resources") or {}
    said = []
    for key, defaults, name in (("limits", limits, "limit"), ("requests", requests, "request")):
        present = resources.get(key) or {}
        added = sorted(set(defaults) - set(present))
        if added:
            resources[key] = {**present, **{item: defaults[item] for item in added}}
            said.append(f"{', '.join(added)} {name} for {word} {container.get('name')}")
    return said[::-1]


def _parse(amounts: Object | None) -> Amounts:
    return {name: Quantity.parse(text) for name, text in (amounts or {}).items()}


def _pod_faults(pod: Object, limits: list[Object]) -> Iterator[str]:
    spec = pod.get("spec") or {}
    for item in limits:
        kind = item.get("type") or ""
        if kind == "Container":
            for key in ("containers", "initContainers"):
                for container in spec.get(key) or []:
                    resources = container.get("resources") or {}
                    yield from _faults(kind, item, _parse(resources.get("requests")), _parse(resources.get("limits")))
        elif kind == "Pod":
            yield from _faults(kind, item, pod_requests(spec, overhead=False), pod_limits(spec, overhead=False))


def _faults(kind: str, item: Object, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, bound in _parse(item.get("min")).items():
        yield from _below(kind, name, bound, requests.get(name), limits.get(name))
    for name, bound in _parse(item.get("max")).items():
        yield from _above(kind, name, bound, requests.get(name), limits.get(name))
    for name, bound in _parse(item.get("maxLimitRequestRatio")).items():
        yield from _ratio(kind, name, bound, requests.get(name), limits.get(name))


def _below(kind: str, name: str, bound: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    said = f"minimum {name} usage per {kind} is {bound}"
    if request is None:
        yield f"{said}.  No request is specified"
    elif request < bound:
        yield f"{said}, but request is {request}"
    elif limit is not None and limit < bound:
        yield f"{said}, but limit is {limit}"


def _above(kind: str, name: str, bound: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    said = f"maximum {name} usage per {kind} is {bound}"
    if limit is None:
        yield f"{said}.  No limit is specified"
    elif limit > bound:
        yield f"{said}, but limit is {limit}"
    elif request is not None and request > bound:
        yield f"{said}, but request is {request}"


def _ratio(kind: str, name: str, bound: Quantity, request: Quantity | None, limit: Quantity | None) -> Iterator[str]:
    said = f"{name} max limit to request ratio per {kind} is {bound}, but"
    if not request or not request.nano:
        yield f"{said} no request is specified or request is 0"
    elif not limit or not limit.nano:
        yield f"{said} no limit is specified or limit is 0"
    elif limit.milli * 1000 > bound.milli * request.milli:
        yield f"{said} provided ratio is {limit.milli / request.milli:f}"


def _claim_faults(claim: Object, limits: list[Object]) -> Iterator[str]:
    requests = _parse(((claim.get("spec") or {}).get("resources") or {}).get("requests"))
    for item in limits:
        kind = item.get("type") or ""
        if kind != "PersistentVolumeClaim":
            continue
        for name, bound in _parse(item.get("min")).items():
            yield from _below(kind, name, bound, requests.get(name), None)
        for name, bound in _parse(item.get("max")).items():
            said = f"maximum {name} usage per {kind} is {bound}"
            request = requests.get(name)
            if request is None:
                yield f"{said}.  No request is specified"
            elif request > bound:
                yield f"{said}, but request is {request}"
