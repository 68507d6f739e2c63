"""`azsandbox controllers`: the sandbox's controllers against another API server, over the network."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from pathlib import Path

from azsandbox.commands import CommandError


def define(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--kubeconfig", required=True, metavar="FILE", help="the API server to work against")
    parser.add_argument("--context", default="", help="a context of it (default: the current one)")
    parser.add_argument("--profile", choices=["kwok"], help="behave as kwok's kubelets, not as a node of AKS")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Works until interrupted. Raises CommandError where the kubeconfig cannot be used."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(Path(options.kubeconfig), options.context, options.profile))
    return 0


async def _work(kubeconfig: Path, context: str, profile: str | None) -> None:
    from azsandbox import garbage

    garbage.wait()
    from azsandbox.cluster import run_controllers
    from azsandbox.controllers.transports import Network

    garbage.tune()

    try:
        transport = Network(kubeconfig, context)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise CommandError(f"{kubeconfig} is no kubeconfig that can be used: {error}") from None
    task = asyncio.create_task(run_controllers(transport, {"profile": profile} if profile else {}))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    print(f"The controllers work against {transport.server}. End them with Ctrl+C.", flush=True)
    with contextlib.suppress(asyncio.CancelledError):
        await task
