"""Long-running operations: kept in the store, worked on by tasks, resumed after a crash.

A handler stores the operation with the resource, in one transaction, and answers. What then
happens is started by the stored operation: `Operations.run` sees it in the bucket and lets
the resource type perform it. After a restart the ones still in progress are performed
again, so a type's `perform` must be idempotent.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from azsandbox.arm import ids
from azsandbox.arm.errors import ArmError
from azsandbox.arm.resources import Stored, timestamp

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm, ResourceType

COLLECTION = "operations"
RUNNING = "InProgress"
REMEMBERED = 2000  # ended operations, at most
FINAL = ("Succeeded", "Failed", "Canceled")

log = logging.getLogger("azsandbox.arm")


@dataclass
class Operation:
    """One long-running operation on a resource."""

    id: str
    kind: str  # create, update, delete, or the name of an action
    resource: str  # id of the resource
    type: str  # its full type
    method: str  # of the request that began it
    status: str = RUNNING
    start: str = ""
    end: str | None = None
    seconds: float = 0.0  # that it takes Azure
    error: dict[str, Any] | None = None
    percent: float | None = None  # reported by `perform`; else told from the time
    step: str = ""
    location: str = ""
    api_version: str = ""
    data: dict[str, Any] = field(default_factory=dict)  # what `perform` needs to know, and what it found

    @property
    def running(self) -> bool:
        return self.status not in FINAL


Body = Callable[[Operation], dict[str, Any]]


def status_only(operation: Operation) -> dict[str, Any]:
    """Microsoft.Network: `{"status"}`, and `error` when it failed."""
    return _with_error(operation, {"status": operation.status})


def timed(operation: Operation) -> dict[str, Any]:
    """AKS: name, status, startTime, endTime."""
    out: dict[str, Any] = {"name": operation.id, "status": operation.status, "startTime": operation.start}
    if operation.end:
        out["endTime"] = operation.end
    return _with_error(operation, out)


def named(operation: Operation) -> dict[str, Any]:
    """KubernetesConfiguration and others: id, name, status."""
    out: dict[str, Any] = {"id": operation.data.get("path", ""), "name": operation.id, "status": operation.status}
    return _with_error(operation, out)


def _with_error(operation: Operation, body: dict[str, Any]) -> dict[str, Any]:
    if operation.error is not None:
        body["error"] = operation.error
    return body


@dataclass(frozen=True)
class Style:
    """How a provider shows its operations.

    status_path  what Azure-AsyncOperation names, "" for none; may hold {subscription}, {location}, {id}, {resource}
    result_path  what Location names
    *_on         the methods whose answers carry the header
    body         makes the body of the status
    running      the status while it runs (KubernetesConfiguration says Creating)
    done         HTTP status of the result for DELETE and POST; PUT and PATCH give 200 and the resource
    version      the api-version in the URLs; "" is that of the request
    """

    status_path: str = ""
    result_path: str = ""
    status_on: tuple[str, ...] = ("PUT", "PATCH", "POST", "DELETE")
    result_on: tuple[str, ...] = ("POST", "DELETE")
    body: Body = timed
    done: int = 200
    version: str = ""
    retry_after: int = 10
    headers: dict[str, str] = field(default_factory=dict)

    def paths(self, operation: Operation) -> dict[str, str]:
        """Header name → path, for the operation's method."""
        words = {
            "subscription": ids.of(operation.resource).subscription or "",
            "location": operation.location,
            "id": operation.id,
            "resource": operation.resource,
        }
        out = {}
        if self.status_path and operation.method in self.status_on:
            out["Azure-AsyncOperation"] = self.status_path.format(**words)
        if self.result_path and operation.method in self.result_on:
            out["Location"] = self.result_path.format(**words)
        return out

    def find(self, operation: Operation, path: str) -> str | None:
        """Which header named `path`: "Azure-AsyncOperation", "Location", or None."""
        return next((header for header, p in self.paths(operation).items() if ids.same(p, path)), None)


class Work:
    """What a type's `perform` gets: the operation, and ways to wait, tell progress, and write the resource."""

    def __init__(self, arm: Arm, operation: Operation) -> None:
        self.arm, self.operation = arm, operation

    @property
    def services(self) -> Any:
        return self.arm.services

    @property
    def resource(self) -> Stored | None:
        """The resource as it is stored now."""
        return self.arm.resources.get(self.operation.resource)

    def progress(self, percent: float, step: str) -> None:
        """Tells how far the operation is; kept in the store."""
        self.operation.percent, self.operation.step = percent, step
        self.arm.operations.save(self.operation)

    async def sleep(self, seconds: float) -> None:
        """Waits what takes Azure `seconds`."""
        await self.services.clock.sleep(seconds)

    async def wait(self) -> None:
        """Waits for what is left of the operation's `seconds`, also after a restart."""
        passed = elapsed(self.arm, self.operation)
        await self.services.clock.sleep(max(0.0, self.operation.seconds - passed))


class Operations:
    """Starts, finds, performs and ends operations."""

    def __init__(self, arm: Arm) -> None:
        self.arm, self.bucket = arm, arm.services.store
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._running = {o.id: o.resource for o in self.all() if o.running}

    def start(
        self, kind: str, resource: Stored, *, method: str, seconds: float, location: str = "", **data: Any
    ) -> Operation:
        """Stores a new operation; write it in one `arm.atomic()` with what it is about."""
        operation = Operation(
            str(uuid.uuid4()), kind, resource.id, resource.type, method, start=timestamp(self.arm.services.clock)
        )
        operation.seconds, operation.data = seconds, data
        operation.location = location or str(resource.body.get("location") or "")
        if self.bucket.count(COLLECTION) > REMEMBERED:
            self._forget(REMEMBERED // 2)
        self.save(operation)
        return operation

    def save(self, operation: Operation) -> None:
        """Writes the operation."""
        self.bucket.put(COLLECTION, operation.id, orjson.dumps(asdict(operation)))
        if operation.running:
            self._running[operation.id] = operation.resource
        else:
            self._running.pop(operation.id, None)

    def get(self, id_: str) -> Operation | None:
        """The operation of that id."""
        record = self.bucket.get(COLLECTION, id_.lower())
        return Operation(**orjson.loads(record.value)) if record else None

    def all(self) -> list[Operation]:
        """Every operation that is remembered."""
        return [Operation(**orjson.loads(r.value)) for r in self.bucket.list(COLLECTION)]

    def of(self, resource: str) -> list[Operation]:
        """Operations in progress on the resource itself."""
        found = [self.get(id_) for id_, on in self._running.items() if ids.same(on, resource)]
        return [o for o in found if o is not None]

    def below(self, resource: str) -> list[Operation]:
        """Operations in progress on the resource or anything below it."""
        found = [self.get(id_) for id_, on in self._running.items() if ids.within(on, resource)]
        return [o for o in found if o is not None]

    def cancel(self, operation: Operation, error: ArmError | None = None) -> None:
        """Ends an operation as Canceled; its task stops."""
        self._end(operation, "Canceled", error.error if error else None)
        task = self._tasks.pop(operation.id, None)
        if task:
            task.cancel()

    async def run(self) -> None:
        """Performs operations as they appear, beginning with those that a crash left in progress."""
        watch = self.bucket.watch(COLLECTION)
        self._forget()
        try:
            for operation in self.all():
                if operation.running:
                    self._perform(operation)
            async for event in watch:
                if event.type == "ADDED":
                    self._perform(Operation(**orjson.loads(event.value)))
        finally:
            watch.close()
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def percent(self, operation: Operation) -> float:
        """How far it is, 0 to 100: as reported, else as the time that has passed says."""
        if operation.status == "Succeeded":
            return 100.0
        if operation.percent is not None:
            return operation.percent
        if not operation.seconds:
            return 0.0
        return round(min(99.0, 100 * elapsed(self.arm, operation) / operation.seconds), 1)

    # --- inside

    def _perform(self, operation: Operation) -> None:
        latest = self.get(operation.id)
        if operation.id in self._tasks or latest is None or not latest.running:
            return
        operation = latest
        task = asyncio.create_task(self._work(operation), name=f"{operation.kind} {operation.resource}")
        self._tasks[operation.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(operation.id, None))

    async def _work(self, operation: Operation) -> None:
        type_: ResourceType = self.arm.type_of(operation.type)
        try:
            await type_.perform(Work(self.arm, operation))
        except ArmError as error:
            self._end(operation, "Failed", error.error)
        except Exception:
            log.exception("%s of %s failed", operation.kind, operation.resource)
            message = "An internal server error occurred."
            self._end(operation, "Failed", {"code": "InternalServerError", "message": message})
        else:
            self._end(operation, "Succeeded", None)

    def _end(self, operation: Operation, status: str, error: dict[str, Any] | None) -> None:
        latest = self.get(operation.id)
        if latest is None or not latest.running:
            return
        operation.status, operation.error = status, error
        operation.end = timestamp(self.arm.services.clock)
        with self.arm.atomic():
            self.arm.type_of(operation.type).ended(Work(self.arm, operation))
            self.save(operation)

    def _forget(self, keep: int = REMEMBERED) -> None:
        """Drops operations that ended more than a day ago, and the oldest of more than `keep`."""
        horizon = self.arm.services.clock.now() - dt.timedelta(days=1)
        ended = sorted((o for o in self.all() if o.end), key=lambda o: str(o.end))
        surplus = max(0, len(ended) - keep)
        for number, operation in enumerate(ended):
            if number < surplus or when(str(operation.end)) < horizon:
                self.bucket.delete(COLLECTION, operation.id)


def when(text: str) -> dt.datetime:
    """The time that `timestamp` wrote."""
    return dt.datetime.strptime(text[:26], "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=dt.UTC)


def elapsed(arm: Arm, operation: Operation) -> float:
    """Seconds of Azure's since the operation began."""
    clock = arm.services.clock
    passed: float = (clock.now() - when(operation.start)).total_seconds() / clock.scaled(1)
    return passed
