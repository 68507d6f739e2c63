"""Logs of containers that do not run: they say so, and what a container's command surely prints."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable

from azsandbox.controllers.client import Object
from azsandbox.controllers.kubelet.commands import Outcome, outcome_of
from azsandbox.controllers.objects import time_of
from azsandbox.controllers.output import ContainerOutput
from azsandbox.kubernetes import errors
from azsandbox.kubernetes.request import Request

Judge = Callable[[Object, Object], Outcome]  # what a container of a pod comes to


def _status_of(pod: Object, container: str) -> Object | None:
    status = pod.get("status") or {}
    lists = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    return next((s for key in lists for s in status.get(key) or () if s["name"] == container), None)


def _spec_of(pod: Object, container: str) -> Object:
    lists = ("containers", "initContainers", "ephemeralContainers")
    found: Object = next((c for key in lists for c in pod["spec"].get(key) or () if c["name"] == container), {})
    return found


def _state(pod: Object, container: str, previous: bool) -> Object:
    """The state that the logs are of. Raises 400 if there is none."""
    status = _status_of(pod, container) or {}
    name = pod["metadata"]["name"]
    if previous:
        ended: Object | None = (status.get("lastState") or {}).get("terminated")
        if ended is None:
            raise errors.bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
        return ended
    state = status.get("state") or {}
    found: Object | None = state.get("running") or state.get("terminated")
    if found is not None:
        return found
    ended = (status.get("lastState") or {}).get("terminated")
    if ended is not None:
        return ended
    reason = (state.get("waiting") or {}).get("reason")
    if reason in ("ErrImagePull", "ImagePullBackOff"):
        detail = "trying and failing to pull image"
        if reason == "ImagePullBackOff":
            raise errors.bad_request(f'container "{container}" in pod "{name}" is waiting to start: {detail}')
        raise errors.bad_request(f'container "{container}" in pod "{name}" is waiting to start: {detail}')
    if reason:
        raise errors.bad_request(f'container "{container}" in pod "{name}" is waiting to start: {reason}')
    raise errors.bad_request(f'container "{container}" in pod "{name}" is not available')


def log_lines(
    pod: Object,
    container: str,
    previous: bool = False,
    output: ContainerOutput | None = None,
    outcome: Judge = outcome_of,
) -> list[tuple[dt.datetime, str]]:
    """Lines with their times; of a program that the sandbox acts for, what that wrote to `output`.

    `outcome` says what a container comes to, and what it prints.

    Raises 400 for a container that has not started.
    """
    state = _state(pod, container, previous)
    spec = _spec_of(pod, container)
    began = time_of(state.get("startedAt")) or dt.datetime.now(dt.UTC)
    image = spec.get("image", "")
    if output is not None and output.knows(image):
        return output.lines(image, began)
    found = outcome(pod, spec)
    if found.whole:
        return [(began, line) for line in found.lines]
    text = (
        f'[azsandbox] container "{container}" of image {image} is simulated: no program runs, and this log is made up.'
    )
    lines = [(began, text)]
    lines += [(began, line) for line in found.lines]
    if "exitCode" in state:
        ended = time_of(state.get("finishedAt")) or began
        lines.append((ended, f"[azsandbox] simulated exit with code {state['exitCode']}."))
    return lines


def is_running(pod: Object, container: str) -> bool:
    """Whether a container of a pod runs."""
    return "running" in ((_status_of(pod, container) or {}).get("state") or {})


def answer(
    pod: Object,
    container: str,
    request: Request,
    ended: Callable[[], Awaitable[Object | None]],
    output: ContainerOutput | None = None,
    outcome: Judge = outcome_of,
) -> bytes | AsyncIterator[bytes]:
    """The answer to GET pods/log with the request's options: previous, timestamps, tailLines, sinceSeconds, follow …

    `ended` returns once the container has ended: the pod as it is then, or None if that is gone.
    """
    lines = log_lines(pod, container, request.flag("previous"), output, outcome)
    since = None
    if request.param("sinceSeconds"):
        since = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=int(request.param("sinceSeconds")))
    elif request.param("sinceTime"):
        since = time_of(request.param("sinceTime"))
    if since is not None:
        lines = [line for line in lines if line[0] >= since]
    if request.param("tailLines"):
        count = int(request.param("tailLines"))
        lines = lines[-count:] if count else []
    data = _text(lines, request).encode()
    if request.param("limitBytes"):
        data = data[: int(request.param("limitBytes"))]
    if request.flag("follow") and not request.flag("previous") and is_running(pod, container):
        image = _spec_of(pod, container).get("image", "")
        if output is not None and output.knows(image):
            return _follow_output(data, lines[-1][0] if lines else None, image, output, request, ended)
        return _follow(data, pod, container, request, ended, outcome)
    return data


def _text(lines: list[tuple[dt.datetime, str]], request: Request) -> str:
    stamped = request.flag("timestamps")
    return "".join(f"{when:%Y-%m-%dT%H:%M:%S.%f000Z} {line}\n" if stamped else f"{line}\n" for when, line in lines)


async def _follow_output(
    data: bytes,
    last: dt.datetime | None,
    image: str,
    output: ContainerOutput,
    request: Request,
    ended: Callable[[], Awaitable[Object | None]],
) -> AsyncIterator[bytes]:
    """What there is, and what the program writes until its container has ended."""
    if data:
        yield data
    seen = last or dt.datetime.now(dt.UTC)
    written = asyncio.Event()
    stop = output.listen(lambda program: written.set())
    ending = asyncio.ensure_future(ended())
    ending.add_done_callback(lambda _: written.set())
    try:
        while not ending.done():
            await written.wait()
            written.clear()
            fresh = [line for line in output.lines(image, seen) if line[0] > seen]
            if fresh:
                seen = fresh[-1][0]
                yield _text(fresh, request).encode()
    finally:
        stop()
        ending.cancel()


async def _follow(
    data: bytes,
    pod: Object,
    container: str,
    request: Request,
    ended: Callable[[], Awaitable[Object | None]],
    outcome: Judge,
) -> AsyncIterator[bytes]:
    """What there is, and when the container has ended what came last."""
    if data:
        yield data
    last = await ended()
    if last is not None:
        known = len(log_lines(pod, container, outcome=outcome))
        with contextlib.suppress(errors.StatusError):
            rest = _text(log_lines(last, container, outcome=outcome)[known:], request)
            if rest:
                yield rest.encode()
