"""The kernels that `labkit verify` runs lessons in: forked from a process that has imported what lessons import.

A kernel that starts by itself, and its lesson, spend more processor time on imports than on all else. So they are done
once, in the fork server (labkit/forkserver.py), and a kernel is there in a fraction of a second, the same in all that a
lesson can see. Where nothing can be forked, kernels start as `jupyter_client` starts them: on Windows, which has no fork;
on macOS, whose system libraries may start threads of which a forked process has only the locks (Python's documentation
of `multiprocessing`, "Contexts and start methods"); and if what lessons import starts threads.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from jupyter_core.utils import run_sync

from labkit.forkserver import Ended, Order, Ready, Started, Word

FORKS = hasattr(os, "fork") and sys.platform != "darwin"
SERVER = "import sys; folder = sys.path.pop(0); from labkit.forkserver import main; main(folder)"
IMPORT_SECONDS = 120.0
"""How long the fork server may take to import; after that, kernels start by themselves."""
KILLED_SECONDS = 5.0
"""How long the end of a kernel that was killed may take."""


class Kernels:
    """The kernels of a run, none of which outlives it: not if it fails, not after Ctrl-C, not after SIGTERM.

    Used with `with`, in the main thread, whose handlers of the two signals it puts back at the end.
    """

    def __init__(self, folder: Path, home: Path, notebooks: Sequence[Path] = ()) -> None:
        """Kernels work in `folder`; `home` is the folder of lab.toml; `notebooks` are those that will run."""
        self._folder, self._home, self._notebooks = folder.resolve(), home.resolve(), notebooks
        self._server: ForkServer | None = None
        self._alive: list[Any] = []
        self._starting = False
        self._signal = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Kernels:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for kernel in list(self._alive):
            self.end(kernel)
        if self._server is not None:
            self._server.close()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def start(self, notebook: Path | None = None) -> Any:
        """A kernel that is starting. What lessons import is imported before its lesson runs: of all of them where it is
        forked, else of `notebook`. No name is bound: a lesson that forgets an import still fails."""
        environment = {**os.environ, "LABKIT_HEADLESS": "1", "PYTHONPATH": python_path()}
        environment.setdefault("LABKIT_SETTINGS", str(self._home / "lab.toml"))
        # What lessons do is no part of what the learner typed, which IPython keeps.
        arguments = ["--IPKernelApp.log_level=ERROR", "--HistoryManager.hist_file=:memory:"]
        if notebook is not None and not FORKS:
            ahead = f"__import__('labkit.imports').imports.ahead({str(notebook.resolve())!r})"
            arguments.append(f"--IPKernelApp.exec_lines={ahead}")
        # Asynchronous: with a manager that is not, nbclient waits for a cell for ever, whatever its limit.
        manager = AsyncKernelManager(kernel_name="python3")
        manager.provisioner = ForkingProvisioner(kernel_spec=manager.kernel_spec, parent=manager)
        manager.provisioner.server = self._fork_server
        self._starting = True  # a signal waits until the new process is known, and so can be ended
        try:
            run_sync(manager.start_kernel)(env=environment, cwd=str(self._folder), extra_arguments=arguments)
            self._alive.append(manager)
        finally:
            self._starting = False
        if self._signal:
            self._raise(self._signal)
        return manager

    def _fork_server(self, command: Sequence[str], environment: Mapping[str, str]) -> ForkServer | None:
        """The fork server for kernels of this command; a new one for the first, and None if there is none."""
        if self._server is None and FORKS:
            self._server = ForkServer(command, environment, self._folder, self._notebooks)
        return self._server if self._server is not None and self._server.serves(command) else None

    def end(self, kernel: Any) -> None:
        """Ends a kernel at once, with the programs that it runs; one that has ended is nothing to do."""
        if kernel in self._alive:
            self._alive.remove(kernel)
        if kernel is not None and kernel.has_kernel:
            run_sync(kernel.shutdown_kernel)(now=True)

    def _on_signal(self, number: int, _: Any) -> None:
        if self._starting:
            self._signal = number
        else:
            self._raise(number)

    @staticmethod
    def _raise(number: int) -> None:
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)


class ForkServer:
    """The process that has imported what `notebooks` import, seen from the one that asks it for kernels."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], folder: Path, notebooks: Sequence[Path]
    ) -> None:
        """Starts it with the interpreter and options of `command`, and the environment and folder of its kernels."""
        self._interpreter = _interpreter(command)
        self._lock = threading.Lock()  # a lesson's thread asks whether its kernel is alive
        self._codes: dict[int, int] = {}
        self._refused: str | None = None
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*self._interpreter, "-c", SERVER, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for verify alone, which ends its kernels and this
            )
        self._connection: Connection[tuple[str, ...] | Order, Word] = Connection(ours.detach())
        self._connection.send(tuple(str(path.resolve()) for path in notebooks))

    def serves(self, command: Sequence[str]) -> bool:
        """Whether a kernel of this command can be forked from it; waits until it has imported."""
        if self._interpreter != _interpreter(command):
            return False
        if self._refused is None:
            self._refused = self._readiness()
        return not self._refused

    def _readiness(self) -> str:
        with contextlib.suppress(EOFError, OSError):
            if not self._connection.poll(IMPORT_SECONDS):
                return f"it imported for {IMPORT_SECONDS:.0f} s"
            word = self._connection.recv()
            if isinstance(word, Ready):
                return word.refused
        return "it ended"

    def fork(self, command: Sequence[str], environment: Mapping[str, str], folder: str) -> ForkedKernel | None:
        """A kernel with these arguments, environment and folder; None if the server has ended."""
        module, *arguments = command[len(self._interpreter) + 1 :]
        with self._lock, self._while_it_lives():
            self._connection.send(Order(module, arguments, folder, environment))
            while not isinstance(word := self._connection.recv(), Started):
                self._note(word)
            return ForkedKernel(self, word.pid)
        return None

    def code(self, pid: int, seconds: float = 0) -> int | None:
        """With which code its kernel `pid` has ended; None if it has not, also not `seconds` from now.

        A kernel of a server that was ended by somebody is killed: its end could not be known.
        """
        until = time.monotonic() + seconds
        with self._lock, self._while_it_lives():
            while pid not in self._codes and self._connection.poll(max(0.0, until - time.monotonic())):
                self._note(self._connection.recv())
        if self._refused and pid not in self._codes:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            self._codes[pid] = -signal.SIGKILL
        return self._codes.get(pid)

    @contextlib.contextmanager
    def _while_it_lives(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError):
            self._refused = "it ended"

    def _note(self, word: Word) -> None:
        if isinstance(word, Ended):
            self._codes[word.pid] = word.code

    def close(self) -> None:
        """End it, and its kernels if there are any."""
        self._connection.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # it still imports
            self._process.kill()
            self._process.wait()


class ForkedKernel:
    """A kernel that was forked, with what `jupyter_client` uses of a `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, server: ForkServer, pid: int) -> None:
        """`pid` is a child of `server`, and the first of its process group."""
        self._server = server
        self.pid = pid

    def poll(self) -> int | None:
        """The code that it ended with, or None."""
        return self._server.code(self.pid)

    def wait(self, timeout: float = math.inf) -> int | None:
        """The code that it ended with, in `timeout` seconds; else None."""
        return self._server.code(self.pid, timeout)

    def send_signal(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Asks it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it."""
        self.send_signal(signal.SIGKILL)


class ForkingProvisioner(LocalProvisioner):
    """Provides a kernel that is forked, or one that starts by itself where none can be."""

    server: Callable[[Sequence[str], Mapping[str, str]], ForkServer | None]
    process: Any  # a Popen, or what is used of one

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork the kernel of the command `cmd`, or start it."""
        server = self.server(cmd, kwargs["env"])
        kernel = server.fork(cmd, kwargs["env"], kwargs["cwd"]) if server is not None else None
        if kernel is None:
            return await super().launch_kernel(cmd, **kwargs)
        self.process = kernel
        self.pid = self.pgid = kernel.pid
        self.cwd = kwargs["cwd"]
        return self.connection_info

    async def kill(self, restart: bool = False) -> None:
        """Kill it and its programs; a forked one is gone then, and need not be looked after every tenth of a second."""
        await super().kill(restart)
        if isinstance(self.process, ForkedKernel):
            self.process.wait(KILLED_SECONDS)


def _interpreter(command: Sequence[str]) -> list[str]:
    """The interpreter and its options in a command of a kernel: what comes before `-m` and the module."""
    return list(command[: command.index("-m")]) if "-m" in command else []


def python_path() -> str:
    """The PYTHONPATH by which another process of this interpreter finds this labkit, installed or not."""
    root = str(Path(__file__).resolve().parent.parent)
    known = os.environ.get("PYTHONPATH")
    return f"{root}{os.pathsep}{known}" if known else root
