"""Waiting for objects to become ready, or to go (fluxcd/pkg/ssa, manager_wait.go).

Flux polls. Here each object that is not ready yet is watched, so that a change is seen when it happens; where a watch
is refused, and for what changes with time alone, objects are read again at Flux's own interval.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.flux.expressions import FailedExpression
from azsandbox.flux.kstatus import Result, Rule, Status, compute, pod_has_failed
from azsandbox.flux.object_refs import ObjectRef, group_of
from azsandbox.flux.rest_mapping import NoMatch, RestMapping
from azsandbox.kubernetes.errors import StatusError
from azsandbox.tasks import end

INTERVAL = 5.0  # seconds between two reads (kustomize-controller, helm-controller)
_MANY = 8  # objects of one kind and namespace from which on one watch serves them all

Readers = Callable[[str, str], Rule | None]  # group and kind → how its status is computed


class WaitFailed(Exception):
    """Not everything became ready, or went, in time; the message is Flux's."""


@dataclass
class _Seen:
    """What is known of an object: its status, or the error that reading it gave."""

    status: Status
    error: str = ""


@dataclass
class _Wait:
    client: KubeClient
    mapping: RestMapping
    refs: list[ObjectRef]
    reader: Readers
    fail_fast: bool
    vanishing: frozenset[ObjectRef]  # Jobs with a TTL: not being there means that they are through
    interval: float
    seen: dict[ObjectRef, _Seen] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Returns when the objects are settled; never, if they never are."""
        await asyncio.gather(*(self.read(ref) for ref in self.refs))
        tasks: list[asyncio.Task[None]] = []
        try:
            if not self.settled():
                tasks = await self.watches()
                tasks.append(asyncio.create_task(self.reread(), name="status reread"))
            while not self.settled():
                await self.changed.wait()
                self.changed.clear()
        finally:
            await end(tasks)

    def settled(self) -> bool:
        counts = {self.effective(ref) for ref in self.refs}
        if counts <= {Status.CURRENT, Status.FAILED}:
            return True
        return self.fail_fast and Status.FAILED in counts

    def effective(self, ref: ObjectRef) -> Status:
        status = self.seen[ref].status
        return Status.CURRENT if status == Status.NOT_FOUND and ref in self.vanishing else status

    def note(self, ref: ObjectRef, obj: Object | None) -> None:
        """What an object's present state, or its absence, says."""
        if obj is None:
            found = _Seen(Status.NOT_FOUND)
        else:
            try:
                found = _Seen(self.status_of(obj).status)
            except FailedExpression as error:
                found = _Seen(Status.UNKNOWN, str(error))
        if self.seen.get(ref) != found:
            self.seen[ref] = found
            self.changed.set()

    def status_of(self, obj: Object) -> Result:
        rule = self.reader(group_of(obj["apiVersion"]), obj["kind"])
        return (rule or compute)(obj)

    async def read(self, ref: ObjectRef) -> None:
        try:
            resource = await self.mapping.preferred(ref)
            obj = await self.client.find(resource.path(ref.namespace, ref.name))
        except (NoMatch, StatusError) as error:
            self.seen[ref] = _Seen(Status.UNKNOWN, error.args[0] if isinstance(error, NoMatch) else error.message)
        else:
            self.note(ref, obj)
            if obj is not None and self.seen[ref].status == Status.IN_PROGRESS and _makes_pods(ref):
                await self.read_pods(ref, obj)

    async def read_pods(self, ref: ObjectRef, obj: Object) -> None:
        """Pods that will not come up by themselves make what has made them Failed (cli-utils, pod_controller.go)."""
        url = path("v1", "pods", ref.namespace)
        try:
            pods = await self.client.list(url, labelSelector=_selector(obj["spec"].get("selector") or {}))
        except StatusError as error:
            self.seen[ref] = _Seen(Status.UNKNOWN, error.message)
            return
        if any(pod_has_failed({**pod, "apiVersion": "v1", "kind": "Pod"}) for pod in pods):
            self.seen[ref] = _Seen(Status.FAILED)
            self.changed.set()

    async def reread(self) -> None:
        while True:
            await asyncio.sleep(self.interval)
            await asyncio.gather(*(self.read(ref) for ref in self.refs if self.seen[ref].status != Status.CURRENT))

    async def watches(self) -> list[asyncio.Task[None]]:
        """A watch for each object that is not ready, or one for many of a kind in a namespace."""
        groups: dict[str, dict[str, ObjectRef]] = {}
        for ref in self.refs:
            if self.seen[ref].status not in (Status.CURRENT, Status.UNKNOWN):
                resource = await self.mapping.preferred(ref)
                groups.setdefault(resource.path(ref.namespace), {})[ref.name] = ref
        found = []
        for url, refs in groups.items():
            parts = [refs] if len(refs) >= _MANY else [{name: ref} for name, ref in refs.items()]
            found += [asyncio.create_task(self.follow(url, part), name=f"status {url}") for part in parts]
        return found

    async def follow(self, url: str, refs: dict[str, ObjectRef]) -> None:
        """Notes what happens to objects of one kind in one namespace. A refused watch leaves them to be read."""
        query = {"fieldSelector": f"metadata.name={next(iter(refs))}"} if len(refs) == 1 else {}
        while True:
            with contextlib.suppress(StatusError):
                async with contextlib.aclosing(self.client.watch(url, **query)) as events:
                    async for event in events:
                        ref = refs.get(event["object"].get("metadata", {}).get("name", ""))
                        if ref is not None and _makes_pods(ref):
                            await self.read(ref)
                        elif ref is not None and event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                            self.note(ref, None if event["type"] == "DELETED" else event["object"])
            await asyncio.sleep(INTERVAL)

    def failure(self, timed_out: bool) -> str:
        """What did not become ready, in Flux's words, or empty."""
        wrong = []
        for ref in self.refs:
            seen = self.seen.get(ref)
            if seen is None:
                wrong.append(f"can't determine status for {ref}")
            elif self.effective(ref) == Status.FAILED or (timed_out and self.effective(ref) != Status.CURRENT):
                wrong.append(f"{ref} status: '{seen.status}'" + (f": {seen.error}" if seen.error else ""))
        if not wrong:
            return ""
        if self.fail_fast and not timed_out:
            del wrong[1:]  # the first ends the wait, before the others are known
        return (
            f"{'timeout waiting for' if timed_out else 'failed early due to stalled resources'}: [{', '.join(wrong)}]"
        )


def _makes_pods(ref: ObjectRef) -> bool:
    return ref.group == "apps" and ref.kind in ("StatefulSet", "ReplicaSet")


def _selector(selector: Object) -> str:
    """A selector of labels as a query has it."""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for item in selector.get("matchExpressions") or ():
        key, operator, values = item["key"], item["operator"], ",".join(item.get("values") or ())
        simple = {"Exists": key, "DoesNotExist": f"!{key}"}
        parts.append(simple.get(operator) or f"{key} {operator.lower()} ({values})")
    return ",".join(parts)


async def _check_namespaces(mapping: RestMapping, refs: Iterable[ObjectRef]) -> None:
    """Raises WaitFailed for a reference to an object of a namespaced kind that names no namespace."""
    for ref in refs:
        if not ref.namespace:
            with contextlib.suppress(NoMatch, StatusError):  # a kind that comes later is waited for
                if (await mapping.preferred(ref)).namespaced:
                    kind = f"{ref.kind}.{ref.group}" if ref.group else ref.kind
                    raise WaitFailed(f"resource {kind} {ref.name} is namespace scoped, but namespace is not set")


def _no_reader(group: str, kind: str) -> Rule | None:
    return None


async def wait_until_ready(
    client: KubeClient,
    mapping: RestMapping,
    refs: Iterable[ObjectRef],
    timeout: float,
    *,
    reader: Readers = _no_reader,
    fail_fast: bool = False,
    vanishing: Iterable[ObjectRef] = (),
    interval: float = INTERVAL,
) -> None:
    """Waits until every object is Current by kstatus, `timeout` seconds at most.

    `reader` names the rule for a kind where kstatus's is not to be used. With `fail_fast` the first object that is
    Failed ends the wait. `vanishing` are Jobs that a TTL removes once they are through. What no watch tells is read
    again every `interval` seconds. Raises WaitFailed.
    """
    wait = _Wait(client, mapping, list(dict.fromkeys(refs)), reader, fail_fast, frozenset(vanishing), interval)
    if not wait.refs:
        return
    await _check_namespaces(mapping, wait.refs)
    timed_out = False
    try:
        async with asyncio.timeout(timeout):
            await wait.run()
    except TimeoutError:
        timed_out = True
    failure = wait.failure(timed_out)
    if failure:
        raise WaitFailed(failure)


async def wait_until_gone(
    client: KubeClient, mapping: RestMapping, refs: Iterable[ObjectRef], timeout: float, interval: float = 2.0
) -> None:
    """Waits until no object is there, `timeout` seconds at most. Raises WaitFailed, StatusError and NoMatch."""
    deadline = asyncio.get_running_loop().time() + timeout
    for ref in refs:
        url = (await mapping.preferred(ref)).path(ref.namespace, ref.name)
        try:
            async with asyncio.timeout_at(deadline):
                while await client.find(url) is not None:
                    await _deleted(client, url, ref.name, interval)
        except TimeoutError:
            raise WaitFailed(f"{ref} termination timeout: context deadline exceeded") from None


async def _deleted(client: KubeClient, url: str, name: str, seconds: float) -> None:
    """Returns when an object is deleted, or after a while."""
    with contextlib.suppress(StatusError, TimeoutError):
        async with asyncio.timeout(seconds):
            watch = client.watch(url.rpartition("/")[0], fieldSelector=f"metadata.name={name}")
            async with contextlib.aclosing(watch) as events:
                async for event in events:
                    if event["type"] == "DELETED":
                        return
            await asyncio.sleep(seconds)
