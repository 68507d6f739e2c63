"""Pods that wait to be scheduled: those to be tried now, by priority, and those that nothing has changed for.

Rules: k8s.io/kubernetes, pkg/scheduler/backend/queue. The first back-off is shorter here.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from dataclasses import dataclass, field

from azsandbox.controllers.scheduler.snapshot import PodInfo

FIRST_BACKOFF, LAST_BACKOFF = 0.1, 10.0  # seconds
LEFT_OVER = 300.0  # seconds after which a pod is tried again though nothing changed


@dataclass
class Waiting:
    """A pod that waits, with what refused it last."""

    pod: PodInfo
    attempts: int = 0
    plugins: set[str] = field(default_factory=set)
    tried: float = 0.0  # loop time of the last attempt

    @property
    def backoff(self) -> float:
        """Seconds between attempts, doubling."""
        return min(FIRST_BACKOFF * 2.0 ** max(self.attempts - 1, 0), LAST_BACKOFF) if self.attempts else 0.0


class SchedulingQueue:
    """Gives out pods by priority, then in the order they came."""

    def __init__(self) -> None:
        self._pods: dict[str, Waiting] = {}  # uid → all that are known
        self._heap: list[tuple[int, int, str]] = []
        self._active: set[str] = set()
        self._busy: set[str] = set()  # being scheduled or bound
        self._moved: set[str] = set()  # busy ones for which something changed meanwhile
        self._order = itertools.count()
        self._ready = asyncio.Event()
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._pods)

    def put(self, pod: PodInfo, changed: bool = True) -> None:
        """Adds a pod, or takes its newest state; `changed` in what matters, it is tried again."""
        waiting = self._pods.get(pod.uid)
        if waiting is None:
            waiting = self._pods[pod.uid] = Waiting(pod)
            self._activate(pod.uid)
            return
        waiting.pod = pod
        if changed:
            self._retry(pod.uid)

    def remove(self, uid: str) -> None:
        """Forgets a pod: it is bound or gone."""
        self._pods.pop(uid, None)
        self._active.discard(uid)
        self._busy.discard(uid)
        self._moved.discard(uid)
        timer = self._timers.pop(uid, None)
        if timer is not None:
            timer.cancel()

    async def take(self) -> Waiting:
        """The next pod to try."""
        while True:
            while self._heap:
                uid = heapq.heappop(self._heap)[2]
                if uid in self._active:
                    self._active.discard(uid)
                    self._busy.add(uid)
                    waiting = self._pods[uid]
                    waiting.attempts += 1
                    return waiting
            self._ready.clear()
            await self._ready.wait()

    def failed(self, waiting: Waiting, plugins: set[str]) -> None:
        """The attempt came to nothing; the pod waits until something changes that `plugins` look at."""
        uid = waiting.pod.uid
        if uid not in self._pods:
            return
        self._busy.discard(uid)
        loop = asyncio.get_running_loop()
        waiting.plugins, waiting.tried = plugins, loop.time()
        if uid in self._moved or not plugins:
            self._moved.discard(uid)
            self._later(uid, waiting.backoff)
        else:
            self._later(uid, LEFT_OVER)

    def changed(self, plugins: set[str] | None = None) -> None:
        """Something changed that `plugins` (None: any) look at: what they refused is tried again."""
        for uid, waiting in self._pods.items():
            if uid in self._busy:
                self._moved.add(uid)
            elif uid not in self._active and (plugins is None or waiting.plugins & plugins):
                self._retry(uid)

    def _retry(self, uid: str) -> None:
        if uid in self._busy:
            self._moved.add(uid)
        elif uid not in self._active:
            waiting = self._pods[uid]
            self._later(uid, waiting.tried + waiting.backoff - asyncio.get_running_loop().time())

    def _later(self, uid: str, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        timer = self._timers.get(uid)
        if timer is not None:
            if timer.when() <= loop.time() + max(seconds, 0.0):
                return
            timer.cancel()
            del self._timers[uid]
        if seconds <= 0:
            self._activate(uid)
        else:
            self._timers[uid] = loop.call_later(seconds, self._activate, uid)

    def _activate(self, uid: str) -> None:
        timer = self._timers.pop(uid, None)
        if timer is not None:
            timer.cancel()
        waiting = self._pods.get(uid)
        if waiting is None or uid in self._active or uid in self._busy:
            return
        self._active.add(uid)
        heapq.heappush(self._heap, (-waiting.pod.priority, next(self._order), uid))
        self._ready.set()
