"""Kernels of `labkit verify`: forked where that can be, the same to a lesson, and none that outlives the run."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit import kernels, verify
from tests.labkit.test_verify import write

FACTS = """
import asyncio, gc, json, logging, os, signal, sys, threading, warnings
known = sorted(name for name in globals() if not name.startswith("_"))
facts = {
    "names": known, "name": __name__, "cwd": os.getcwd(), "path": sys.path, "flags": str(sys.flags),
    "argv": [sys.argv[0], sys.argv[1], sys.argv[3]], "executable": sys.executable,
    "environment": {name: value for name, value in os.environ.items() if name != "JPY_PARENT_PID"},
    "parent": int(os.environ["JPY_PARENT_PID"]) == os.getppid(),
    "session": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
    "threads": sorted(thread.name for thread in threading.enumerate()),
    "main": threading.current_thread() is threading.main_thread(),
    "signals": {number.name: str(signal.getsignal(number)) for number in signal.Signals},
    "blocked": str(signal.pthread_sigmask(signal.SIG_BLOCK, [])), "wakes": signal.set_wakeup_fd(-1) != -1,
    "stdin": [os.read(0, 1).decode(), repr(sys.stdin)], "collects": [gc.isenabled(), gc.get_threshold()],
    "warnings": sorted({str(each) for each in warnings.filters}), "log": [str(each) for each in logging.getLogger().handlers],
    "loop": str(type(asyncio.get_event_loop_policy())), "mask": os.umask(0o22), "writes": sys.dont_write_bytecode,
}
print(json.dumps(facts))
"""
CHANCE = """
import os, random, ssl, tempfile, uuid
print(random.random(), uuid.uuid4(), ssl.RAND_bytes(8).hex(), tempfile.mktemp())
"""
forked = pytest.mark.skipif(not kernels.FORKS, reason="kernels are not forked on this system")


def shown(folder: Path, name: str, number: int = 1, cell: int = 0) -> str:
    """What a cell printed in a run that was kept in `folder`."""
    text: str = verify.read(folder / f"{name}-run{number}.ipynb").cells[cell].outputs[0].text
    return text


@forked
def test_a_kernel_that_was_forked_is_to_a_lesson_as_one_that_started_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "00-facts", [("import azure.identity", {}), (FACTS, {})])
    found = {}
    for forks in (True, False):
        monkeypatch.setattr(kernels, "FORKS", forks)
        assert verify.run(tmp_path, times=1, save=tmp_path / str(forks)) == 0
        found[forks] = json.loads(shown(tmp_path / str(forks), "00-facts", cell=1))
    assert found[True] == found[False]
    assert found[True]["cwd"] == str(tmp_path)
    assert found[True]["environment"]["LABKIT_HEADLESS"] == "1"
    assert found[True]["parent"]


@forked
def test_what_is_imported_beforehand_gives_a_lesson_no_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = "import sys; assert 'azure.identity' in sys.modules, sorted(sys.modules)"
    write(tmp_path, "00-good", [(source, {}), ("azure", {}), ("import azure.identity", {})])
    assert verify.run(tmp_path, times=1) == 1
    assert "NameError: name 'azure' is not defined" in capsys.readouterr().out


@forked
def test_two_kernels_of_one_process_draw_other_numbers(tmp_path: Path) -> None:
    write(tmp_path, "00-chance", [(CHANCE, {})])
    verify.run(tmp_path, times=2, save=tmp_path)
    one, other = (shown(tmp_path, "00-chance", number).split() for number in (1, 2))
    assert len(one) == 4
    assert not {*one} & {*other}


@forked
def test_where_imports_start_threads_kernels_start_by_themselves(tmp_path: Path) -> None:
    """A thread of the process that is forked would hold its locks in the kernel for ever."""
    module = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()"
    (tmp_path / "threads_on_import.py").write_text(module)
    source = "import sys\nprint('threads_on_import' in sys.modules, sys.orig_argv[1:3])\nimport threads_on_import"
    write(tmp_path, "00-threads", [(source, {})])
    assert verify.run(tmp_path, times=1, save=tmp_path) == 0
    assert shown(tmp_path, "00-threads") == "False ['-m', 'ipykernel_launcher']\n"


@forked
def test_a_module_beside_the_lessons_stands_in_for_none_of_a_kernel(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("multiprocessing", "tornado"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not of the lesson')")
    (tmp_path / "beside.py").write_text("known = 1")
    write(tmp_path, "00-beside", [("import sys\nprint(sys.orig_argv[1], 'beside' in sys.modules)\nimport beside", {})])
    assert verify.run(tmp_path, times=1, save=tmp_path) == 0
    assert shown(tmp_path, "00-beside") == "-c True\n"
    assert capfd.readouterr().err == ""


def test_lessons_leave_the_history_of_what_the_learner_typed_alone(tmp_path: Path) -> None:
    write(tmp_path, "00-history", [("get_ipython().history_manager.hist_file", {})])
    verify.run(tmp_path, times=1, save=tmp_path)
    (output,) = verify.read(tmp_path / "00-history-run1.ipynb").cells[0].outputs
    assert output.data["text/plain"] == "':memory:'"


def test_a_kernel_that_dies_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "00-dies", [("import os; os._exit(3)", {})])
    assert verify.run(tmp_path, times=1) == 1
    assert "the kernel died" in capsys.readouterr().out


@pytest.fixture
def made(tmp_path: Path) -> Iterator[kernels.Kernels]:
    verify._quick_import()
    with kernels.Kernels(tmp_path, tmp_path) as made:
        yield made


@forked
def test_the_code_that_a_kernel_ended_with_is_known(made: kernels.Kernels) -> None:
    first, second = made.start(), made.start()
    asyncio.run(first.provisioner.send_signal(signal.SIGTERM))
    assert first.provisioner.process.wait(60) == -signal.SIGTERM
    assert second.provisioner.process.poll() is None
    made.end(second)
    assert not alive(second.provisioner.pid)


@forked
def test_when_the_process_of_the_imports_is_gone_its_kernels_are_and_the_next_start_by_themselves(
    made: kernels.Kernels,
) -> None:
    kernel = made.start()
    pid = kernel.provisioner.pid
    os.kill(parent(pid), signal.SIGKILL)
    until(lambda: kernel.provisioner.process.poll() is not None)
    assert kernel.provisioner.process.poll() == -signal.SIGKILL
    until(lambda: not alive(pid))
    following = made.start()
    assert isinstance(following.provisioner.process, subprocess.Popen)
    assert parent(following.provisioner.pid) == os.getpid()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """`labkit verify` with a lesson that goes on, and all processes that are its: of the lesson, of a program of it, of
    the kernel that waits for the next lesson."""
    noted = tmp_path / "pids"
    source = (
        f"import os, subprocess, time\nprogram = subprocess.Popen(['sleep', '600'])\n"
        f"with open({str(noted)!r}, 'a') as file: print(os.getpid(), program.pid, file=file)\ntime.sleep(600)"
    )
    for name in ("11-long", "12-next"):
        write(tmp_path, name, [(source, {})])
    command = [sys.executable, "-m", "labkit", "verify", "--times", "1", "--notebooks", str(tmp_path)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: noted.exists() and noted.read_text().endswith("\n"))
            kernel, program = map(int, noted.read_text().split())
            all_of_it = descendants(process.pid)
            assert {kernel, program} < {*all_of_it}
            assert len(all_of_it) == (4 if kernels.FORKS else 3)
            yield process, all_of_it
        finally:
            process.kill()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_no_kernel_outlives_a_run_that_is_ended(running: Any, number: int, code: int) -> None:
    """After SIGTERM the kernel went on with its lesson; after Ctrl-C the next lesson began."""
    process, all_of_it = running
    process.send_signal(number)
    assert process.wait(timeout=120) == code
    assert not [pid for pid in all_of_it if alive(pid)]


@forked
def test_no_kernel_outlives_a_run_that_is_killed(running: Any) -> None:
    process, all_of_it = running
    process.kill()
    process.wait()
    until(lambda: not any(map(alive, all_of_it)))


def until(holds: Any) -> None:
    """Waits until `holds()`; the test's own time limit ends it."""
    while not holds():
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs: one that has ended, and that nobody has asked for its code, does not."""
    try:
        return state(pid)[0] != "Z"
    except OSError:
        return False


def parent(pid: int) -> int:
    return int(state(pid)[1])


def state(pid: int) -> list[str]:
    """Of /proc/PID/stat, what follows the name: the state, the parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [each for child in children for each in descendants(child)]
