"""The process that kernels are forked from: it has imported what lessons import, and has opened nothing.

labkit/kernels.py starts it, with the environment of a kernel, and speaks to it over the socket that the first argument
names. Its first message is the paths of the notebooks whose imports are to be done; each further one is an Order, for
which a kernel is forked: a session of its own, as `jupyter_client` gives each kernel, the order's folder, environment
and arguments, and from there on what `python -m ipykernel_launcher` does. The end of each kernel is told. When the
socket closes, because who started this has ended, however it ended, the kernels and their programs are killed.

A fork takes over the memory and only one thread, so there must be no other: it would be in the middle of something in the
kernel for ever, with its locks held. Python itself renews in a fork what must not be shared (`os.register_at_fork`:
the seeds of `random`, the locks of logging and threading), and OpenSSL its generator of random numbers.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import os
import runpy
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from labkit import imports

PARENT = "JPY_PARENT_PID"
"""What ipykernel reads when it is imported: the process whose end is to be the kernel's."""

KERNEL = ("ipykernel.ipkernel", "ipykernel.kernelapp", "ipykernel.zmqshell", "stack_data", "debugpy")


@dataclass(frozen=True)
class Order:
    """A kernel that is to be: the module that it runs, its arguments, folder and environment."""

    module: str
    arguments: Sequence[str]
    folder: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Ready:
    """The imports are done, and kernels can be forked; or why they cannot."""

    refused: str = ""


@dataclass(frozen=True)
class Started:
    """The kernel of the last order runs as process `pid`, in a session and a group of that number."""

    pid: int


@dataclass(frozen=True)
class Ended:
    """The kernel `pid` has ended: with an exit code, or with minus the number of a signal."""

    pid: int
    code: int


Word = Ready | Started | Ended


def main(folder: str) -> None:
    """Import, and fork a kernel for each order until the socket closes. In a kernel: be the kernel.

    `folder` is the entry of sys.path that lessons find their own modules by. It comes after what a kernel is made of, of
    which they hide nothing (`ipykernel_launcher` does the same).
    """
    connection: Connection[Word, tuple[str, ...] | Order] = Connection(int(sys.argv[1]))
    os.environ[PARENT] = str(os.getpid())
    try:
        order = _Server(connection).serve() if _imported(connection, folder) else None
    except (EOFError, OSError):  # the socket closed meanwhile
        order = None
    if order is None:
        os._exit(0)  # there is nothing to put away but modules, one by one
    _become(order)


def _imported(connection: Connection[Word, tuple[str, ...] | Order], folder: str) -> bool:
    """Imports what is asked for; tells, and returns, whether kernels can be forked."""
    paths = connection.recv()
    assert isinstance(paths, tuple)
    gc.disable()  # nothing of this is garbage; and what is frozen is left alone by a kernel, and so stays shared
    imports.load(KERNEL)
    sys.path.insert(0, folder)
    imports.ahead(*paths)
    # The first traceback asks of which module its code is, and for that looks at the files of all: once for all kernels.
    inspect.getmodule(inspect.currentframe())
    gc.freeze()
    gc.enable()
    refused = _refused()
    connection.send(Ready(refused))
    return not refused


def _refused() -> str:
    """Why no kernel can be forked from this process; "" if one can."""
    tasks = Path("/proc/self/task")  # where there is one, it knows of threads that are not Python's as well
    others = (len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()) - 1
    return f"what lessons import has started {others} threads" if others else ""


class _Server:
    def __init__(self, connection: Connection[Word, tuple[str, ...] | Order]) -> None:
        self._connection = connection
        self._kernels: set[int] = set()
        self._wake, self._woken = os.pipe()
        for end in (self._wake, self._woken):
            os.set_blocking(end, False)

    def serve(self) -> Order | None:
        """Serves until the socket closes, and returns None; in each kernel that it forks, returns the kernel's order."""
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            while True:
                readable = wait([self._connection, self._wake])
                if self._wake in readable:
                    os.read(self._wake, 4096)
                    self._reap()
                if self._connection in readable:
                    order = self._connection.recv()
                    assert isinstance(order, Order)
                    if self._fork(order):
                        return order
        except (EOFError, OSError):
            self._kill()
        return None

    def _fork(self, order: Order) -> bool:
        """Forks; True in the kernel. The server goes on when the kernel has a session of its own."""
        settled, settle = os.pipe()
        pid = os.fork()
        if pid:
            os.close(settle)
            os.read(settled, 1)
            os.close(settled)
            self._kernels.add(pid)
            self._connection.send(Started(pid))
            return False
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for end in (settled, settle, self._wake, self._woken):
            os.close(end)
        self._connection.close()
        return True

    def _reap(self) -> None:
        for pid in list(self._kernels):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._kernels.discard(pid)
                self._connection.send(Ended(pid, os.waitstatus_to_exitcode(status)))

    def _kill(self) -> None:
        for pid in self._kernels:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)


def _become(order: Order) -> None:
    """Be the kernel: what follows is what a new interpreter does with the same command."""
    reading, writing = os.pipe()  # a kernel's standard input is at its end from the beginning
    os.close(writing)
    os.dup2(reading, 0)
    os.close(reading)
    os.chdir(order.folder)
    os.environ.clear()
    os.environ.update({**order.environment, PARENT: str(os.getppid())})
    sys.argv = [order.module, *order.arguments]
    runpy.run_module(order.module, run_name="__main__", alter_sys=True)
