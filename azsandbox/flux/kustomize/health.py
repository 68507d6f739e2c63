"""Waiting until objects are as they should be (fluxcd/pkg/ssa, WaitForSet; cli-utils, kstatus/polling).

Every object is read once, and again whenever a watch tells of a change or the interval has passed: Flux asks every
five seconds, which would only make a learner wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from azsandbox.controllers.client import KubeClient, Object, Objects
from azsandbox.flux import kstatus
from azsandbox.flux.expressions import BadExpression, Expression
from azsandbox.flux.kstatus import CURRENT, FAILED, IN_PROGRESS, NOT_FOUND, UNKNOWN, Status
from azsandbox.flux.kustomize.identity import Identity, split_version
from azsandbox.flux.kustomize.mapping import Mapping, NoMatch, Resource
from azsandbox.kubernetes.errors import StatusError

INTERVAL = 5.0  # seconds, of a health check
STAGE_INTERVAL, STAGE_TIMEOUT = 2.0, 60.0  # seconds, of waiting for a stage of an apply
SETTLE = 0.02  # seconds in which further changes are collected before objects are read again


class Unhealthy(Exception):
    """Objects that failed or did not become ready in time; the message is Flux's."""


class HealthExpressions:
    """spec.healthCheckExprs: by group and kind, what makes an object current, failed or in progress."""

    def __init__(self, checks: Iterable[Object]) -> None:
        """Compiles the expressions. Raises BadExpression."""
        self._by_kind: dict[tuple[str, str], dict[str, Expression]] = {}
        for index, check in enumerate(checks):
            group, _ = split_version(check["apiVersion"])
            kind = check.get("kind") or ""
            if (group, kind) in self._by_kind:
                shown = f"{kind}.{group}" if group else kind
                raise BadExpression(f"duplicate custom health check for GroupKind {shown} at healthchecks[{index}]")
            found: dict[str, Expression] = {}
            for name, status in (("current", CURRENT), ("failed", FAILED), ("inProgress", IN_PROGRESS)):
                if check.get(name):
                    try:
                        found[status] = Expression(check[name])
                    except BadExpression as error:
                        word = name[0].upper() + name[1:]
                        raise BadExpression(
                            f"failed to create custom status evaluator for healthchecks[{index}]: "
                            f"failed to parse the expression {word}: {error}"
                        ) from None
            self._by_kind[group, kind] = found

    def status(self, obj: Object, who: Identity) -> Status | None:
        """The status of an object by its expressions, or None where there are none for it."""
        found = self._by_kind.get((who.group, who.kind)) or self._by_kind.get((who.group, ""))
        if found is None:
            return None
        generation, observed = kstatus.field(obj, "metadata", "generation"), kstatus.field(
            obj, "status", "observedGeneration"
        )  # fmt: skip
        if isinstance(observed, int) and isinstance(generation, int) and observed != generation:
            return Status(IN_PROGRESS)
        for status in (IN_PROGRESS, FAILED, CURRENT):
            if status in found and found[status].holds(obj):
                return Status(status)
        return Status(IN_PROGRESS)


@dataclass
class HealthCheck:
    """Waits for a set of objects. `finished` are Jobs that the cluster deletes when they are done: gone is ready."""

    client: KubeClient
    mapping: Mapping
    expressions: HealthExpressions = field(default_factory=lambda: HealthExpressions(()))
    finished: Collection[Identity] = ()
    fail_fast: bool = False

    async def wait(self, objects: Iterable[Identity], seconds: float, interval: float) -> None:
        """Waits until all are current, at most `seconds`. Raises Unhealthy."""
        wanted = list(dict.fromkeys(objects))
        if not wanted:
            return
        resources = await self._resources(wanted)
        statuses: dict[Identity, Status] = {}
        due = set(wanted)
        deadline = time.monotonic() + seconds
        async with _Watches(self.client, resources) as watches:
            while True:
                for who in [who for who in wanted if who in due]:
                    statuses[who] = await self._status(who, resources.get(who))
                    if statuses[who].status == FAILED and self.fail_fast:
                        raise Unhealthy(f"failed early due to stalled resources: [{_shown(who, statuses[who])}]")
                done = {self._effective(who, status) for who, status in statuses.items()}
                if done == {CURRENT}:
                    return
                if done <= {CURRENT, FAILED}:
                    failed = [_shown(w, s) for w, s in statuses.items() if s.status == FAILED]
                    raise Unhealthy(f"failed early due to stalled resources: [{', '.join(failed)}]")
                left = deadline - time.monotonic()
                if left <= 0:
                    late = [_shown(w, s) for w, s in statuses.items() if self._effective(w, s) != CURRENT]
                    raise Unhealthy(f"timeout waiting for: [{', '.join(late)}]")
                await watches.changed(min(interval, left))
                # A watch says that something of a kind has changed; the others are read for what no watch tells
                due = {who for who in wanted if statuses[who].status != CURRENT} | watches.touched(wanted)

    def _effective(self, who: Identity, status: Status) -> str:
        return CURRENT if status.status == NOT_FOUND and who in self.finished else status.status

    async def _resources(self, wanted: list[Identity]) -> dict[Identity, Resource | Exception]:
        """The resource of each object, or why there is none. Raises Unhealthy for one that lacks its namespace."""
        found: dict[Identity, Resource | Exception] = {}
        for who in wanted:
            try:
                resource = await self.mapping.preferred(who.group, who.kind)
            except (NoMatch, StatusError) as error:
                found[who] = error
                continue
            if resource.namespaced and not who.namespace:
                kind = f"{who.kind}.{who.group}" if who.group else who.kind
                raise Unhealthy(f"resource {kind} {who.name} is namespace scoped, but namespace is not set")
            found[who] = resource
        return found

    async def _status(self, who: Identity, resource: Resource | Exception | None) -> Status:
        """Reads one object, and whatever its status depends on."""
        if not isinstance(resource, Resource):
            try:  # the kind may have come meanwhile
                resource = await self.mapping.preferred(who.group, who.kind)
            except (NoMatch, StatusError) as error:
                return Status(UNKNOWN, error=str(error))
        try:
            obj = await self.client.find(resource.path(who.namespace, who.name))
            if obj is None:
                return Status(NOT_FOUND, "Resource not found")
            obj.setdefault("kind", who.kind)
            obj.setdefault("apiVersion", resource.api_version)
            return self.expressions.status(obj, who) or await self._computed(obj, who)
        except (StatusError, BadExpression, ValueError) as error:
            return Status(UNKNOWN, error=str(error))

    async def _computed(self, obj: Object, who: Identity) -> Status:
        """The status that kstatus computes; that of what makes pods also depends on the pods."""
        status = kstatus.compute(obj)
        if who.group == "apps" and who.kind in ("StatefulSet", "ReplicaSet") and status.status == IN_PROGRESS:
            failed = [pod for pod in await self._pods(obj) if _has_failed(pod)]
            if failed:
                return Status(FAILED, f"{len(failed)} pods have failed")
        return status

    async def _pods(self, owner: Object) -> Objects:
        selector = _selector_text((owner.get("spec") or {}).get("selector") or {})
        pods = await self.client.list(
            f"/api/v1/namespaces/{owner['metadata']['namespace']}/pods", labelSelector=selector
        )
        for pod in pods:
            pod.update(apiVersion="v1", kind="Pod")
        return pods


def _has_failed(pod: Object) -> bool:
    """Whether a pod will not come up by itself: one that goes, or that a new node would help, does not count."""
    if "deletionTimestamp" in pod["metadata"] or kstatus.is_unschedulable(pod):
        return False
    return kstatus.compute(pod).status == FAILED


def _selector_text(selector: Object) -> str:
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for item in selector.get("matchExpressions") or []:
        values = ",".join(item.get("values") or [])
        operator = item["operator"]
        if operator in ("In", "NotIn"):
            parts.append(f"{item['key']} {operator.lower()} ({values})")
        else:
            parts.append(item["key"] if operator == "Exists" else f"!{item['key']}")
    return ",".join(parts)


def _shown(who: Identity, status: Status) -> str:
    return f"{who.subject} status: '{status.status}'" + (f": {status.error}" if status.error else "")


class _Watches:
    """Watches of the resources of objects, a watch a resource and namespace, for as long as the block lasts."""

    def __init__(self, client: KubeClient, resources: dict[Identity, Resource | Exception]) -> None:
        self.client = client
        self._places = {
            (resource, who.namespace if resource.namespaced else "")
            for who, resource in resources.items()
            if isinstance(resource, Resource)
        }
        self._by_name: dict[tuple[str, str, str, str], Identity] = {
            (resource.api_version, resource.plural, who.namespace, who.name): who
            for who, resource in resources.items()
            if isinstance(resource, Resource)
        }
        self._touched: set[Identity] = set()
        self._event = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> _Watches:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def changed(self, seconds: float) -> None:
        """Waits for a change, at most `seconds`. The watches start with the first wait: most checks need none."""
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._watch(*place)) for place in self._places]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
            await asyncio.sleep(SETTLE)
        self._event.clear()

    def touched(self, wanted: list[Identity]) -> set[Identity]:
        """The objects that changed since this was last asked."""
        found, self._touched = self._touched, set()
        return found & set(wanted)

    async def _watch(self, resource: Resource, namespace: str) -> None:
        """Follows a resource. Where that is not allowed the interval alone counts."""
        while True:
            with contextlib.suppress(StatusError):
                async with contextlib.aclosing(self.client.watch(resource.path(namespace))) as events:
                    async for event in events:
                        metadata = event["object"].get("metadata") or {}
                        name = (
                            resource.api_version,
                            resource.plural,
                            metadata.get("namespace", ""),
                            metadata.get("name", ""),
                        )
                        who = self._by_name.get(name)
                        if who is not None:
                            self._touched.add(who)
                            self._event.set()
            await asyncio.sleep(1)
