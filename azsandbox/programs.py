"""Running other programs (git, kubectl) without copying this process first.

uvloop starts a program by fork, which copies the page tables of the whole sandbox: measured with 150 MB in memory, 14 ms
of a processor and, on a busy machine, a tenth of a second. Python's own subprocess lends its memory to the child until
that has become the other program (vfork), which takes under 1 ms. So programs are started with it, and their pipes are
handed to the event loop, which alone closes them: a descriptor that is closed twice may be another's the second time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO

LIMIT = 256 * 1024  # bytes that are read ahead of whoever takes them


class Process:
    """A program that runs. `stdin` is None unless it was asked for; all that it writes must be read."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._transports: list[asyncio.BaseTransport] = []
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, below zero for a signal; None until `wait` has seen the end."""
        return self._popen.returncode

    async def wait(self) -> int:
        """Waits for the end; the exit status."""
        if self._popen.returncode is None:
            await _ended(self._popen)
        for transport in self._transports:
            transport.close()
        return self._popen.wait()

    async def communicate(self, given: bytes | None = None) -> tuple[bytes, bytes]:
        """Gives it its input, reads all that it writes and waits for its end."""
        _, out, problems = await asyncio.gather(self._give(given), _all(self.stdout), _all(self.stderr))
        await self.wait()
        return out, problems

    def terminate(self) -> None:
        """Asks it to end."""
        with contextlib.suppress(ProcessLookupError):
            self._popen.terminate()

    def kill(self) -> None:
        """Ends it."""
        with contextlib.suppress(ProcessLookupError):
            self._popen.kill()

    async def _give(self, given: bytes | None) -> None:
        if self.stdin is None:
            return
        try:
            if given:
                self.stdin.write(given)
                await self.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has read what it wants
        finally:
            self.stdin.close()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        popen = self._popen
        if popen.stdin is not None:
            idle = asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=loop), loop=loop)
            writing, _ = await loop.connect_write_pipe(lambda: idle, _Pipe(popen.stdin))
            self.stdin = asyncio.StreamWriter(writing, idle, None, loop)
            self._transports.append(writing)
        for name in ("stdout", "stderr"):
            pipe = getattr(popen, name)
            if pipe is not None:
                reader = asyncio.StreamReader(limit=LIMIT, loop=loop)
                protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
                reading, _ = await loop.connect_read_pipe(lambda protocol=protocol: protocol, _Pipe(pipe))  # type: ignore[misc]
                setattr(self, name, reader)
                self._transports.append(reading)


class _Pipe:
    """One end of a pipe, taken over from a file for the event loop.

    uvloop closes the descriptor itself, and then the file that it was given; when a connect is cancelled it closes the
    descriptor and leaves the file, which closes it again once it is collected. In between any thread may have opened
    something under the same number: that was closed, and libuv ends the process when it meets what is gone.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._descriptor = os.dup(file.fileno())
        file.close()
        self._closed_by_loop = type(asyncio.get_running_loop()).__module__.startswith("uvloop")

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        """What asyncio's own loop calls, and it alone must do."""
        if not self._closed_by_loop:
            os.close(self._descriptor)


async def start(
    *command: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | str | None = None,
    takes_input: bool = False,
    joined: bool = False,
) -> Process:
    """Starts a program, with no shell. `takes_input` opens its input, `joined` has it write both outputs to one.

    Raises FileNotFoundError when there is no such program.
    """
    popen = subprocess.Popen(  # noqa: ASYNC220 - see above: it is this call that takes under 1 ms
        command,
        stdin=subprocess.PIPE if takes_input else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if joined else subprocess.PIPE,
        env=env,
        cwd=cwd,
        bufsize=0,
    )
    process = Process(popen)
    try:
        await process._connect()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return process


async def run(
    *command: str,
    given: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | str | None = None,
    joined: bool = False,
) -> tuple[int, bytes, bytes]:
    """Runs a program to its end: exit status, output, and what it complained of. It ends when the caller is cancelled.

    Raises FileNotFoundError when there is no such program.
    """
    process = await start(*command, env=env, cwd=cwd, takes_input=given is not None, joined=joined)
    try:
        out, problems = await process.communicate(given)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out, problems


async def _all(reader: asyncio.StreamReader | None) -> bytes:
    return await reader.read() if reader is not None else b""


async def _ended(popen: subprocess.Popen[bytes]) -> None:
    """Waits until a process has ended."""
    if not hasattr(os, "pidfd_open"):
        await asyncio.to_thread(popen.wait)
        return
    loop = asyncio.get_running_loop()
    descriptor = os.pidfd_open(popen.pid)
    over: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, lambda: None if over.done() else over.set_result(None))
    try:
        await over
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
