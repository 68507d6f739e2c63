"""`azsandbox cluster`: a bare Kubernetes cluster in the foreground, with no Azure around it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
from pathlib import Path

from azsandbox.commands import CommandError


def define(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--kubeconfig", required=True, metavar="FILE", help="where to write the kubeconfig")
    parser.add_argument("--nodes", type=int, default=3, metavar="N", help="how many nodes (default 3)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--no-controllers", action="store_true", help="only the API server: nothing schedules or runs")
    parser.add_argument("--flux", action="store_true", help="with Flux installed: its definitions and controllers")
    parser.add_argument(
        "--gatekeeper", action="store_true", help="with Gatekeeper installed: templates, constraints, audit"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serves until interrupted. Its state is kept in memory."""
    if options.nodes < 0:
        raise CommandError(f"--nodes is {options.nodes}; expected 0 or more")
    import uvloop

    os.umask(0o077)  # Flux's artifacts may hold what is not for everybody
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(options))
    return 0


async def _serve(options: argparse.Namespace) -> None:
    from azsandbox import garbage

    garbage.wait()
    from azsandbox.cluster import run_bare

    garbage.tune()
    kubeconfig, port = Path(options.kubeconfig), options.port

    ready = asyncio.Event()
    bare = run_bare(
        options.nodes,
        kubeconfig,
        port,
        ready,
        controllers=not options.no_controllers,
        flux=options.flux,
        gatekeeper=options.gatekeeper,
    )
    task = asyncio.create_task(bare)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    announced = asyncio.create_task(_announce(ready, kubeconfig))
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await task
    except OSError as error:
        raise CommandError(f"the cluster cannot listen on port {port or 'any'}: {error.strerror or error}") from None
    finally:
        announced.cancel()


async def _announce(ready: asyncio.Event, kubeconfig: Path) -> None:
    await ready.wait()
    print(f"The cluster is up. Use it: kubectl --kubeconfig {kubeconfig} get nodes; end it with Ctrl+C.", flush=True)
