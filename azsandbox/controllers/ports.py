"""Ports that programs of containers listen on, where the sandbox acts for the program: Flux's controllers, for one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from azsandbox.controllers.client import Object
from azsandbox.controllers.output import program_of
from azsandbox.kubernetes.program_http import HttpAnswer, HttpRequest

Program = Callable[[HttpRequest], Awaitable[HttpAnswer]]
NOT_FOUND = HttpAnswer(404, b"404 page not found\n", {"content-type": "text/plain; charset=utf-8"})  # Go's ServeMux


class ProgramPorts:
    """What answers on a port of a program."""

    def __init__(self) -> None:
        self._programs: dict[tuple[str, int], Program] = {}

    def listen(self, program: str, port: int, answer: Program) -> Callable[[], None]:
        """Has `answer` serve a port of a program; returns what ends that."""
        self._programs[program, port] = answer

        def close() -> None:
            if self._programs.get((program, port)) is answer:
                del self._programs[program, port]

        return close

    def of(self, pod: Object, port: int) -> Program | None:
        """What listens on a port of a pod, in any of its containers; or None."""
        return next((self._programs[name, port] for name in _programs(pod) if (name, port) in self._programs), None)

    def any(self, pod: Object) -> bool:
        """Whether anything listens in a pod."""
        names = _programs(pod)
        return any(name in names for name, _ in self._programs)


def _programs(pod: Object) -> list[str]:
    return [program_of(container["image"]) for container in pod["spec"]["containers"]]
