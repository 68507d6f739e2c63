"""Caches that follow the API server, and queues of what changed: how every controller works.

An Informer lists a resource once and watches it from there; when the server ends the watch
it goes on, and when it says 410 it lists again. A Controller takes keys from a queue, one
at a time for the same key, and tries again, later and later, what failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from azsandbox.controllers.client import STRATEGIC, KubeClient, Object, Objects, path
from azsandbox.kubernetes.errors import StatusError
from azsandbox.tasks import end

log = logging.getLogger(__name__)

Handler = Callable[[str, Object, Object | None], None]  # event type, object, what it was before

CONTROLLER_MANAGER = "kube-controller-manager"
FIRST_RETRY, LAST_RETRY = 0.02, 60.0  # seconds
PAUSE = 0.05  # seconds between two watches: a server that ends them at once must not take the whole event loop


def key_of(obj: Object) -> str:
    """`namespace/name`, or `name` for a cluster-wide object."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else metadata["name"]


def split_key(key: str) -> tuple[str, str]:
    """Namespace ("" if none) and name of a key."""
    namespace, _, name = key.rpartition("/")
    return namespace, name


class Informer:
    """A cache of one resource in all namespaces. The objects in it must not be changed by readers."""

    def __init__(self, client: KubeClient, api_version: str, resource: str, **query: str) -> None:
        self.client, self.api_version, self.resource = client, api_version, resource
        self.url = path(api_version, resource)
        self.query = query
        self.objects: dict[str, Object] = {}
        self.by_namespace: dict[str, dict[str, Object]] = {}
        self.by_owner: dict[str, dict[str, Object]] = {}  # uid of the controlling owner → objects
        self.synced = asyncio.Event()
        self.version = 0  # the newest resource version that was heard of
        self._handlers: list[Handler] = []
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def on_change(self, handler: Handler) -> None:
        """Calls `handler` for every event from now on, and at once with ADDED for what the cache holds."""
        self._handlers.append(handler)
        for obj in list(self.objects.values()):
            handler("ADDED", obj, None)

    def get(self, key: str) -> Object | None:
        return self.objects.get(key)

    def path_of(self, obj: Object, subresource: str = "") -> str:
        """URL path of one of its objects."""
        metadata = obj["metadata"]
        return path(self.api_version, self.resource, metadata.get("namespace", ""), metadata["name"], subresource)

    def list(self, namespace: str = "") -> Objects:
        """Objects of a namespace, or all."""
        return list((self.by_namespace.get(namespace, {}) if namespace else self.objects).values())

    def owned_by(self, uid: str) -> Objects:
        """Objects whose controlling owner has this uid."""
        return list(self.by_owner.get(uid, {}).values())

    def orphans(self, namespace: str) -> Objects:
        """Objects of a namespace that no owner controls."""
        return list(self.by_owner.get(f"/{namespace}", {}).values())

    async def until(self, seen: Callable[[], bool], seconds: float = 5.0) -> bool:
        """Waits until `seen` is true of the cache, at most `seconds`; returns whether it is."""
        if seen():
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (seen, future)
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            log.debug("informer %s: a write was not seen in %s s", self.url, seconds)
            return False
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
        return True

    def _heard(self, version: str) -> None:
        if version.isdigit():
            self.version = max(self.version, int(version))
        for seen, future in self._waiting:
            if not future.done() and seen():
                future.set_result(None)

    async def run(self) -> None:
        """Follows the server until cancelled."""
        version = ""
        while True:
            try:
                if not version:
                    version = await self._list()
                    self.synced.set()
                version = await self._watch(version)
                await asyncio.sleep(PAUSE)
            except asyncio.CancelledError:
                raise
            except StatusError as error:
                await asyncio.sleep(1 if error.code in (403, 404, 405) else PAUSE)  # 404: a CRD that is not there (yet)
                version = ""
            except Exception as error:  # the server is away: try until it is back
                log.debug("informer %s: %s", self.url, error)
                version = ""
                await asyncio.sleep(0.5)

    async def _list(self) -> str:
        answer = await self.client.request("GET", self.url, query=self.query or None)
        items = answer.get("items") or []
        kind = answer.get("kind", "List").removesuffix("List")
        found: dict[str, Object] = {}
        for item in items:
            item.setdefault("kind", kind)
            item.setdefault("apiVersion", self.api_version)
            found[key_of(item)] = item
        for key in [key for key in self.objects if key not in found]:
            self._tell("DELETED", self.objects[key])
        for item in found.values():
            self._tell("MODIFIED" if key_of(item) in self.objects else "ADDED", item)
        version = str(answer["metadata"]["resourceVersion"])
        self._heard(version)
        return version

    async def _watch(self, version: str) -> str:
        query = {**self.query, "resourceVersion": version, "allowWatchBookmarks": "true"}
        async with contextlib.aclosing(self.client.watch(self.url, **query)) as events:
            async for event in events:
                obj = event["object"]
                if event["type"] == "ERROR":
                    return ""
                version = obj["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._tell(event["type"], obj)
                self._heard(version)
        return version

    def _tell(self, kind: str, obj: Object) -> None:
        key = key_of(obj)
        old = self.objects.get(key)
        if (
            old
            and old["metadata"].get("resourceVersion") == obj["metadata"].get("resourceVersion")
            and kind != "DELETED"
        ):
            return
        if old:
            self._forget(key, old)
        if kind != "DELETED":
            self.objects[key] = obj
            self.by_namespace.setdefault(obj["metadata"].get("namespace", ""), {})[key] = obj
            self.by_owner.setdefault(_index(obj), {})[key] = obj
        for handler in self._handlers:
            handler(kind, obj, old)

    def _forget(self, key: str, old: Object) -> None:
        self.objects.pop(key, None)
        namespace = old["metadata"].get("namespace", "")
        self.by_namespace.get(namespace, {}).pop(key, None)
        if not self.by_namespace.get(namespace):
            self.by_namespace.pop(namespace, None)
        owned = self.by_owner.get(_index(old), {})
        owned.pop(key, None)
        if not owned:
            self.by_owner.pop(_index(old), None)


def controller_of(obj: Object) -> Object | None:
    """The owner reference with controller: true."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return dict(owner)
    return None


def _index(obj: Object) -> str:
    owner = controller_of(obj)
    return str(owner["uid"]) if owner else f"/{obj['metadata'].get('namespace', '')}"


class Informers:
    """The informers of one process, a resource each, shared by all controllers."""

    def __init__(self, client: KubeClient) -> None:
        self.client = client
        self._informers: dict[tuple[str, ...], Informer] = {}
        self._tasks: dict[tuple[str, ...], asyncio.Task[None]] = {}

    def of(self, api_version: str, resource: str, **query: str) -> Informer:
        """The informer of a resource, or of what `query` selects of it; started when first asked for."""
        key = (api_version, resource, *(f"{name}={query[name]}" for name in sorted(query)))
        found = self._informers.get(key)
        if found is None:
            found = self._informers[key] = Informer(self.client, api_version, resource, **query)
            self._tasks[key] = asyncio.create_task(found.run(), name=f"informer {resource}")
        return found

    async def drop(self, api_version: str, resource: str) -> None:
        """Ends the informer of a resource that is there no more; it tells of no deletions."""
        if self._informers.pop((api_version, resource), None) is not None:
            task = self._tasks.pop((api_version, resource))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def synced(self) -> None:
        """Waits until every informer has listed once."""
        for informer in list(self._informers.values()):
            await informer.synced.wait()

    async def stop(self) -> None:
        await end(self._tasks.values())
        self._tasks.clear()


class Again(Exception):
    """Raised by a reconciliation that has said what went wrong: it is tried again, later and later."""


class Queue:
    """Keys to work on: each once at a time, again after failures with a delay that grows from `first` to `last` s."""

    def __init__(self, first: float = FIRST_RETRY, last: float = LAST_RETRY) -> None:
        self.first, self.last = first, last
        self._waiting: dict[str, None] = {}
        self._busy: set[str] = set()
        self._failures: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._ready = asyncio.Event()

    def add(self, key: str) -> None:
        self._waiting[key] = None
        self._ready.set()

    def add_after(self, key: str, seconds: float) -> None:
        """Adds `key` in `seconds`; an earlier time already set stands."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        when = loop.time() + max(seconds, 0)
        if timer and not timer.cancelled() and timer.when() <= when:
            return
        if timer:
            timer.cancel()
        self._timers[key] = loop.call_at(when, self._due, key)

    def again_in(self, key: str, seconds: float) -> None:
        """Adds `key` in `seconds`, whatever time was set before."""
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()
        self.add_after(key, seconds)

    def _due(self, key: str) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def retry(self, key: str) -> None:
        """Adds `key` after a delay that doubles with every failure."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        self.add_after(key, min(self.first * 2 ** min(failures - 1, 64), self.last))

    def forget(self, key: str) -> None:
        """It went well: the next failure waits the first delay again."""
        self._failures.pop(key, None)

    def failures(self, key: str) -> int:
        return self._failures.get(key, 0)

    async def take(self) -> str:
        """The next key that nobody works on."""
        while True:
            for key in self._waiting:
                if key not in self._busy:
                    del self._waiting[key]
                    self._busy.add(key)
                    return key
            self._ready.clear()
            await self._ready.wait()

    def done(self, key: str) -> None:
        """The work on `key` has ended; if it was added meanwhile it is due again."""
        self._busy.discard(key)
        if key in self._waiting:
            self._ready.set()


class Writes:
    """Writes that show in the writer's own cache before it goes on.

    So a controller never acts twice on what it has just done, and needs no count of
    what it still expects to see (client-go's expectations).
    """

    def __init__(self, client: KubeClient) -> None:
        self.client = client

    async def create(self, informer: Informer, obj: Object) -> Object:
        namespace = obj["metadata"].get("namespace", "")
        return await self._seen(
            informer, await self.client.create(path(informer.api_version, informer.resource, namespace), obj)
        )

    async def update(self, informer: Informer, obj: Object, subresource: str = "") -> Object:
        """PUT of an object, or of its `subresource`."""
        return await self._seen(informer, await self.client.update(informer.path_of(obj, subresource), obj))

    async def status(self, informer: Informer, obj: Object, status: Object) -> Object:
        """PUT of another status of an object."""
        return await self.update(informer, {**obj, "status": status}, "status")

    async def patch(
        self, informer: Informer, obj: Object, change: Object, content_type: str = STRATEGIC, subresource: str = ""
    ) -> Object:
        return await self._seen(
            informer, await self.client.patch(informer.path_of(obj, subresource), change, content_type)
        )

    async def delete(self, informer: Informer, obj: Object, options: Object | None = None) -> None:
        """Deletes, and waits until the cache has no such object, or has it on its way out."""
        await self.client.delete(informer.path_of(obj), options)
        key, uid = key_of(obj), obj["metadata"].get("uid")

        def going() -> bool:
            found = informer.get(key)
            return not found or found["metadata"].get("uid") != uid or "deletionTimestamp" in found["metadata"]

        await informer.until(going)

    async def _seen(self, informer: Informer, obj: Object) -> Object:
        version = str(obj.get("metadata", {}).get("resourceVersion") or "")
        if version.isdigit():
            await informer.until(lambda: informer.version >= int(version))
        return obj


class Controller:
    """Base of a controller: wire informers in `__init__`, do the work in `reconcile(key)`.

    Subclasses set `name`, and `account` where their service account of kube-system has another name. Those of
    kube-controller-manager name their account in the user agent, as client-go does for such clients.
    """

    name = "controller"
    account = ""
    workers = 2
    user_agent = CONTROLLER_MANAGER

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        account = f"/system:serviceaccount:kube-system:{self.account or self.name}"
        self.client = client.named(self.user_agent + (account if self.user_agent == CONTROLLER_MANAGER else ""))
        self.informers = informers
        self.options = options
        self.queue = Queue()
        self.writes = Writes(self.client)

    def now(self) -> dt.datetime:
        """The time, by the clock that was given or the machine's."""
        clock = self.options.get("clock")
        return clock.now() if clock else dt.datetime.now(dt.UTC)

    def follow(self, informer: Informer, to_keys: Callable[[Object], Iterable[str]] | None = None) -> Informer:
        """Queues the keys of what changes in `informer`: the object's own, or those `to_keys` names for it."""

        def changed(kind: str, obj: Object, old: Object | None) -> None:
            for key in to_keys(obj) if to_keys else (key_of(obj),):
                self.queue.add(key)
            if old and to_keys:
                for key in to_keys(old):
                    self.queue.add(key)

        informer.on_change(changed)
        return informer

    async def reconcile(self, key: str) -> None:
        """Brings what `key` names nearer to what it should be. What it raises is tried again."""
        raise TypeError(f"{type(self).__name__} does not say how to reconcile")

    async def close(self) -> None:
        """Lets go of what it holds besides the cluster, once it has ended."""

    async def run(self) -> None:
        """Works until cancelled."""
        await self.informers.synced()
        await asyncio.gather(*(self._work(self.reconcile) for _ in range(self.workers)))

    async def _work(self, reconcile: Callable[[str], Awaitable[None]]) -> None:
        while True:
            key = await self.queue.take()
            try:
                await reconcile(key)
            except Again:
                self.queue.retry(key)
            except StatusError as error:
                if error.code not in (404, 409):
                    log.info("%s %s: %s", self.name, key, error)
                self.queue.retry(key)
            except Exception:
                log.exception("%s %s", self.name, key)
                self.queue.retry(key)
            else:
                self.queue.forget(key)
            finally:
                self.queue.done(key)
