"""Programs that the sandbox runs, on both event loops that it may have."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from azsandbox import programs

Work = Callable[[], Coroutine[Any, Any, Any]]
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=sorted(LOOPS))
def on_loop(request: pytest.FixtureRequest) -> Callable[[Work], Any]:
    def run(work: Work) -> Any:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            return runner.run(work())

    return run


def python(code: str, **options: Any) -> Coroutine[Any, Any, tuple[int, bytes, bytes]]:
    return programs.run(sys.executable, "-c", code, **options)


def test_status_and_both_outputs_come_back(on_loop: Callable[[Work], Any]) -> None:
    code = "import os, sys; print(os.environ['X'], os.getcwd()); print('no', file=sys.stderr); sys.exit(3)"
    found = on_loop(lambda: python(code, env={"X": "y"}, cwd="/"))
    assert found == (3, b"y /\n", b"no\n")


def test_input_and_output_of_megabytes_do_not_wait_for_each_other(on_loop: Callable[[Work], Any]) -> None:
    given = os.urandom(3_000_000)
    code = "import sys\nwhile d := sys.stdin.buffer.read(65536): sys.stdout.buffer.write(d * 2)"
    status, out, _ = on_loop(lambda: python(code, given=given))
    assert status == 0 and len(out) == 2 * len(given)


def test_a_program_that_does_not_read_its_input_is_no_error(on_loop: Callable[[Work], Any]) -> None:
    status, out, _ = on_loop(lambda: python("print('done')", given=b"x" * 5_000_000))
    assert (status, out) == (0, b"done\n")


def test_both_outputs_can_be_one(on_loop: Callable[[Work], Any]) -> None:
    code = "import sys; print('a', flush=True); print('b', file=sys.stderr)"
    assert on_loop(lambda: python(code, joined=True)) == (0, b"a\nb\n", b"")


def test_a_program_that_is_not_there_is_told(on_loop: Callable[[Work], Any]) -> None:
    with pytest.raises(FileNotFoundError):
        on_loop(lambda: programs.run("no-such-program"))


def test_a_program_that_was_killed_has_the_signal_as_its_status(on_loop: Callable[[Work], Any]) -> None:
    status, _, _ = on_loop(lambda: python("import os; os.kill(os.getpid(), 9)"))
    assert status == -9


def test_a_program_ends_with_whoever_waits_for_it(on_loop: Callable[[Work], Any]) -> None:
    async def work() -> int:
        process = await programs.start(
            sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
        )
        assert process.stdout is not None
        waiting = asyncio.create_task(python("import time; time.sleep(60)"))
        await process.stdout.readline()
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        process.terminate()
        return await process.wait()

    assert on_loop(work) == -15


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_start_that_is_cancelled_closes_no_file_of_others(on_loop: Callable[[Work], Any], steps: int) -> None:
    """Its pipes were closed twice under uvloop, the second time whatever had their numbers by then."""

    async def work() -> list[int]:
        held: list[int] = []
        for _ in range(10):
            running = asyncio.create_task(programs.run("git", "--version"))
            for _ in range(steps):
                await asyncio.sleep(0)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            held += [os.open(os.devnull, os.O_RDONLY) for _ in range(4)]
        del running
        gc.collect()
        return held

    for descriptor in on_loop(work):
        os.close(descriptor)  # raises for one that is not open


def test_many_programs_at_once_all_end(on_loop: Callable[[Work], Any]) -> None:
    async def work() -> list[tuple[int, bytes, bytes]]:
        return list(await asyncio.gather(*(programs.run("git", "--version") for _ in range(30))))

    version = subprocess.run(["git", "--version"], capture_output=True, check=True).stdout
    open_files = Path("/proc/self/fd")
    before = len(list(open_files.iterdir())) if open_files.is_dir() else 0
    assert on_loop(work) == [(0, version, b"")] * 30
    assert not before or len(list(open_files.iterdir())) <= before
