"""Small tools of the benchmarks: a sandbox and a cluster of their own, rates, memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent


@contextlib.contextmanager
def sandbox() -> Iterator[dict[str, Any]]:
    """A sandbox of its own; gives what `azsandbox env --json` says, and `pid` and `started` (seconds)."""
    with tempfile.TemporaryDirectory() as home:
        environ = {**os.environ, "AZSANDBOX_HOME": home}
        began = time.perf_counter()
        subprocess.run([BIN / "azsandbox", "up"], env=environ, check=True, capture_output=True)
        started = time.perf_counter() - began
        try:
            text = subprocess.run(
                [BIN / "azsandbox", "env", "--json"], env=environ, check=True, capture_output=True
            ).stdout
            status = subprocess.run(
                [BIN / "azsandbox", "status", "--json"], env=environ, check=True, capture_output=True
            )
            yield {**json.loads(text), **json.loads(status.stdout), "started": started, "AZSANDBOX_HOME": home}
        finally:
            subprocess.run([BIN / "azsandbox", "down"], env=environ, check=False, capture_output=True)


@contextlib.contextmanager
def bare_cluster(nodes: int = 3, *flags: str) -> Iterator[dict[str, Any]]:
    """A bare cluster with these flags; gives `kubeconfig`, `started` (seconds until it was ready) and `pid`."""
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder, "kubeconfig")
        command = [BIN / "azsandbox", "cluster", "--nodes", str(nodes), "--kubeconfig", kubeconfig, *flags]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        started = time.perf_counter() - began
        try:
            yield {"kubeconfig": kubeconfig, "started": started, "pid": process.pid}
        finally:
            process.terminate()
            process.wait(10)


def memory(pid: int) -> float:
    """Resident memory of a process, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


async def rate(work: Callable[[int], Awaitable[Any]], count: int, connections: int) -> dict[str, float]:
    """Does `work(0)` … `work(count - 1)` on some connections at a time; per second, and percentiles in ms."""
    times: list[float] = []
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            began = time.perf_counter()
            await work(number)
            times.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(connections)))
    seconds = time.perf_counter() - began
    times.sort()
    return {"rate": count / seconds, "p50": times[len(times) // 2], "p99": times[int(len(times) * 0.99) - 1]}


def show(title: str, value: float, unit: str, aim: str = "") -> None:
    print(f"{title:<58}{value:>10,.1f} {unit:<6}{aim}", flush=True)


def show_rate(title: str, found: dict[str, float], real: str = "") -> None:
    text = f"p50 {found['p50']:.1f} ms, p99 {found['p99']:.1f} ms"
    print(f"{title:<58}{found['rate']:>10,.0f} /s    {text}{'; real ' + real if real else ''}", flush=True)
