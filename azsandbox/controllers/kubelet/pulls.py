"""Pulls of images: which node has which image, what is being pulled, and the back-off after a failure.

Rules and texts: k8s.io/kubernetes, pkg/kubelet/images.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from azsandbox.controllers.client import Object
from azsandbox.controllers.kubelet.images import (
    Image,
    ImageSource,
    Puller,
    PullFailed,
    error_text,
    full_name,
    pull_seconds,
)
from azsandbox.controllers.kubelet.pull_secrets import credentials
from azsandbox.controllers.kubelet.references import References

FIRST_BACKOFF, LAST_BACKOFF = 10.0, 300.0  # seconds
REPORT_SECONDS, LEAST_REPORT = (
    1.0,
    0.5,
)  # how long ErrImagePull shows before ImagePullBackOff; at any pace long enough to be seen

Event = tuple[str, str, str]  # type, reason, message


@dataclass
class Pull:
    """A pull for one pod: under way, or how it ended."""

    began: float
    task: asyncio.Task[Image] | None
    failures: int = 0
    error: str = ""
    reported: bool = False
    backing_off: bool = False
    until: float = 0.0  # monotonic time of the next try


@dataclass
class Answer:
    """Whether a container can start: with `image`, or else it waits with `reason` and `message`."""

    image: Image | None = None
    reason: str = ""
    message: str = ""
    events: list[Event] = field(default_factory=list)
    wake: float | None = None  # seconds until it is worth asking again


class Pulls:
    """Images of all nodes."""

    def __init__(
        self,
        source: ImageSource,
        references: References,
        node_of: Callable[[str], Object | None] = lambda _: None,
        pace: float = 1.0,
    ) -> None:
        """`pace` is the part of the kubelet's waits after a failed pull that is waited for."""
        self.source, self.references, self.node_of, self.pace = source, references, node_of, pace
        self._present: dict[str, dict[str, Image]] = {}  # node → full name → image
        self._pulls: dict[tuple[str, str], Pull] = {}  # pod uid, image

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        for key in [key for key in self._pulls if key[0] == uid]:
            pull = self._pulls.pop(key)
            if pull.task is not None:
                pull.task.cancel()

    def ask(self, pod: Object, container: Object, waiting: str, done: Callable[[], None]) -> Answer:
        """What becomes of a container's image; calls `done` when a pull that this starts has ended."""
        given, policy = container["image"], container.get("imagePullPolicy") or "IfNotPresent"
        name = full_name(given)
        if name is None:
            text = f'Failed to apply default image tag "{given}": couldn\'t parse image name "{given}": invalid reference format'
            events = [("Warning", "InspectFailed", text), ("Warning", "Failed", "Error: InvalidImageName")]
            return Answer(None, "InvalidImageName", text, events, 10.0)
        present = self._present.get(pod["spec"]["nodeName"], {}).get(name)
        if present is not None and policy != "Always":
            text = f'Container image "{given}" already present on machine and can be accessed by the pod'
            return Answer(present, events=[("Normal", "Pulled", text)])
        if policy == "Never":
            text = f'Container image "{given}" is not present with pull policy of Never'
            events = [("Warning", "ErrImageNeverPull", text), ("Warning", "Failed", "Error: ErrImageNeverPull")]
            return Answer(None, "ErrImageNeverPull", text, events, 10.0)
        return self._pull(pod, given, name, waiting, done)

    def _pull(self, pod: Object, given: str, name: str, waiting: str, done: Callable[[], None]) -> Answer:
        key = (pod["metadata"]["uid"], name)
        pull = self._pulls.get(key)
        now = time.monotonic()
        if pull is None or (pull.error and pull.until <= now and pull.reported):
            puller, missing = self._puller(pod)
            task = asyncio.create_task(self._work(name, puller))
            task.add_done_callback(lambda _: done())
            self._pulls[key] = Pull(now, task, pull.failures if pull else 0)
            events = [("Normal", "Pulling", f'Pulling image "{given}"')]
            if missing:
                text = (
                    f"Unable to retrieve some image pull secrets ({', '.join(missing)}); "
                    "attempting to pull the image may not succeed."
                )
                events.insert(0, ("Warning", "FailedToRetrieveImagePullSecret", text))
            return Answer(None, waiting, "", events)
        if pull.task is not None:
            if not pull.task.done():
                return Answer(None, waiting)
            try:
                image = pull.task.result()
            except (PullFailed, asyncio.CancelledError) as error:
                runtime = self._runtime(pod["spec"]["nodeName"])
                pull.error = error_text(error, runtime) if isinstance(error, PullFailed) else "context canceled"
            except Exception as error:
                pull.error = str(error)
            else:
                del self._pulls[key]
                self._present.setdefault(pod["spec"]["nodeName"], {})[name] = image
                took = f"{now - pull.began:.3f}s" if now - pull.began >= 1 else f"{(now - pull.began) * 1000:.0f}ms"
                text = (
                    f'Successfully pulled image "{given}" in {took} ({took} including waiting). '
                    f"Image size: {image.size} bytes."
                )
                return Answer(image, events=[("Normal", "Pulled", text)])
            pull.task = None
            pull.failures += 1
            pull.until = now + min(FIRST_BACKOFF * 2.0 ** (pull.failures - 1), LAST_BACKOFF) * self.pace
        if not pull.reported:
            pull.reported = True
            events = [
                ("Warning", "Failed", f'Failed to pull image "{given}": {pull.error}'),
                ("Warning", "Failed", "Error: ErrImagePull"),
            ]
            return Answer(None, "ErrImagePull", pull.error, events, max(REPORT_SECONDS * self.pace, LEAST_REPORT))
        text = f'Back-off pulling image "{given}"'
        events = []
        if not pull.backing_off:
            pull.backing_off = True
            events = [("Normal", "BackOff", text), ("Warning", "Failed", "Error: ImagePullBackOff")]
        message = f"{text}: ErrImagePull: {pull.error}"
        return Answer(None, "ImagePullBackOff", message, events, pull.until - now)

    def _puller(self, pod: Object) -> tuple[Puller, list[str]]:
        """For whom a pull is, and the names of pull secrets that are not there."""
        found, missing = credentials(pod, self.references)
        return Puller(pod, self.node_of(pod["spec"]["nodeName"]) or {}, found), missing

    def _runtime(self, node: str) -> str:
        status = (self.node_of(node) or {}).get("status") or {}
        return str((status.get("nodeInfo") or {}).get("containerRuntimeVersion") or "")

    async def _work(self, name: str, puller: Puller) -> Image:
        image = await self.source.pull(name, puller)
        await asyncio.sleep(pull_seconds(image))
        return image
