"""Waiting for Azure and for Kubernetes, with a bar that shows what is known and nothing else."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from labkit.errors import OperationFailed, ReadError
from labkit.readers import Arm
from labkit.views.progress import Progress

LOOK = 1.0
"""Seconds between two looks at the resource while an operation runs."""

SOON, GROWTH, SHARE = 0.05, 0.3, 0.01
"""When a question is asked again: at first after SOON seconds, then after a part of the time that has passed, GROWTH until
the usual pause is reached and SHARE beyond it. What comes soon is seen soon; what takes its time is not asked for all the time.
"""

Question = Callable[[], "bool | str"]


class Poller(Protocol):
    """What every LROPoller of the Azure SDKs can do."""

    def done(self) -> bool:
        """True once the operation is over."""

    def status(self) -> str:
        """The service's word for where it stands."""

    def wait(self, timeout: float | None = None) -> None:
        """Returns once the operation is over, at the latest after `timeout` seconds; may raise its error."""

    def result(self) -> Any:
        """The resource, or the error that ended the operation."""


def for_operation(
    poller: Poller,
    title: str,
    *,
    arm: Arm | None = None,
    revive: Callable[[], object] | None = None,
    look: float = LOOK,
    timeout: float | None = None,
) -> Any:
    """Wait until `poller` is done, and return its result; for at most `timeout` seconds, if there is one.

    With `arm` the resource itself is read meanwhile, and its states (and its node pools') are shown as they were
    seen. When the endpoint goes away, `revive` is called to bring it back, and the same operation is followed on:
    the service goes on with what it had accepted. Raises OperationFailed with the service's own code and text.
    """
    started, progress = time.monotonic(), Progress(title)
    target = _target(poller)
    states: dict[str, str] = {}
    while True:
        if not _follow(poller, progress, started, states, arm, target, look, timeout):
            found = ", ".join(f"{name} {state}" for name, state in states.items()) or poller.status()
            progress.finish(False, "not done", time.monotonic() - started)
            message = f"{title}: expected to be done within {timeout:.0f} s; found {found}, and it goes on."
            raise OperationFailed(message, "labkit status; then run the cell again")
        try:
            result = poller.result()
        except Exception as error:
            if revive is not None and _unreachable(error):
                revive()
                resumed = _resumed(poller)
                if resumed is not None:
                    poller, revive = resumed, None
                    continue
            progress.finish(False, _reason(error), time.monotonic() - started)
            raise OperationFailed(
                f"{title}: {_reason(error)}", "read the reason above, correct it, and run the cell again"
            ) from error
        states = _states(arm, target) or states
        progress.finish(True, poller.status(), time.monotonic() - started, states)
        return result


def _follow(
    poller: Poller,
    progress: Progress,
    started: float,
    states: dict[str, str],
    arm: Arm | None,
    target: tuple[str, str] | None,
    look: float,
    timeout: float | None,
) -> bool:
    """Follows the operation; returns False if it is not done in time."""
    # Short operations are the rule on loopback, so the first looks come soon and then settle at `look`. The end is not
    # looked for but waited for: the poller knows it at once.
    pause = 0.05
    while not poller.done():
        seen = _states(arm, target) if pause >= 0.2 else None
        if seen is not None:
            states.clear()
            states.update(seen)
        elapsed = time.monotonic() - started
        if timeout is not None and elapsed >= timeout:
            states.update(_states(arm, target) or {})
            return False
        progress.update(poller.status(), elapsed, share=_share(poller, states), states=states)
        with contextlib.suppress(Exception):  # the operation's own error, which `result` raises again
            poller.wait(pause)
        pause = min(look, pause * 2)
    return True


def _share(poller: Poller, states: Mapping[str, str]) -> float | None:
    """The part that is done: what the service reports, else how many of several resources are ready."""
    method = poller.polling_method() if hasattr(poller, "polling_method") else None
    response = getattr(getattr(method, "_pipeline_response", None), "http_response", None)
    try:
        reported = response.json().get("percentComplete") if response is not None else None
    except (ValueError, AttributeError, TypeError):
        reported = None
    if isinstance(reported, int | float):
        return min(1.0, max(0.0, reported / 100))
    if len(states) > 1:
        return sum(state == "Succeeded" for state in states.values()) / len(states)
    return None


def _target(poller: Poller) -> tuple[str, str] | None:
    """Path and api-version of the resource that the operation is about, from the request that began it."""
    method = poller.polling_method() if hasattr(poller, "polling_method") else None
    request = getattr(getattr(getattr(method, "_initial_response", None), "http_response", None), "request", None)
    if request is None or request.method not in ("PUT", "PATCH", "DELETE"):
        return None
    parts = urlsplit(request.url)
    version = parse_qs(parts.query).get("api-version", [""])[0]
    return (parts.path, version) if version else None


def _states(arm: Arm | None, target: tuple[str, str] | None) -> dict[str, str] | None:
    if arm is None or target is None:
        return None
    try:
        resource = arm.get(*target)
    except ReadError as error:
        return {target[0].rsplit("/", 1)[-1]: "not there"} if error.missing else None
    properties = resource.get("properties") or {}
    states = {str(resource.get("name")): str(properties.get("provisioningState", "there"))}
    for pool in properties.get("agentPoolProfiles") or []:
        states[f"pool {pool.get('name')}"] = str(pool.get("provisioningState", "there"))
    return states


def _unreachable(error: Exception) -> bool:
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError

    return isinstance(error, ServiceRequestError | ServiceResponseError)


def _resumed(poller: Poller) -> Poller | None:
    """A poller that follows the operation on; the SDK's own has ended with its thread."""
    method = poller.polling_method() if hasattr(poller, "polling_method") else None
    return _Resumed(method) if method is not None else None


class _Resumed:
    """Runs a polling method of the SDK once more, from where it stood."""

    def __init__(self, method: Any) -> None:
        self._method = method
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._method.run()
        except Exception as error:
            self._error = error

    def polling_method(self) -> Any:
        return self._method

    def done(self) -> bool:
        return not self._thread.is_alive()

    def wait(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)

    def status(self) -> str:
        return str(self._method.status())

    def result(self) -> Any:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._method.resource()


def _reason(error: Exception) -> str:
    """The service's code and message, without the SDK's repetitions."""
    inner = getattr(error, "error", None)
    code, message = getattr(inner, "code", None), getattr(inner, "message", None)
    if code and message:
        return f"{code}: {message}"
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def until(
    question: Question,
    title: str,
    *,
    timeout: float = 600,
    every: float = 0.5,
    revive: Callable[[], object] | None = None,
) -> None:
    """Ask `question` until it answers True; when nobody answers at all, `revive` is called, and it is asked again.

    Between two questions lie `every` seconds, fewer at the beginning and more in a long wait. An answer in words says
    where it stands, and is shown; False is shown as waiting. Raises OperationFailed after
    `timeout` seconds, with the last words; a question that has a `next_command` has that in the error.
    """
    started, progress = time.monotonic(), Progress(title)
    while True:
        try:
            answer = question()
        except ReadError as error:
            if revive is None or error.status != 0:
                raise
            revive()
            answer = f"asking again: {error.message}"
        elapsed = time.monotonic() - started
        if answer is True:
            progress.finish(True, "it holds", elapsed)
            return
        words = answer if isinstance(answer, str) and answer else "waiting"
        if elapsed >= timeout:
            progress.finish(False, words, elapsed)
            following = getattr(question, "next_command", "labkit status")
            raise OperationFailed(f"{title}: not after {timeout:.0f} s; last seen: {words}.", following)
        progress.update(words, elapsed)
        time.sleep(max(min(every, max(SOON, elapsed * GROWTH)), elapsed * SHARE))
