"""`azsandbox cluster`: a bare Kubernetes cluster in the foreground, with no Azure around it."""

from __future__ import annotations

import argparse
from pathlib import Path

from azsandbox.commands import CommandError


def define(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--kubeconfig", required=True, metavar="FILE", help="where to write the administrator's kubeconfig"
    )
    parser.add_argument("--nodes", type=int, default=1, metavar="N", help="how many nodes (default 1)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serves until interrupted."""
    if options.nodes < 0:
        raise CommandError(f"--nodes is {options.nodes}; expected 0 or more")
    from azsandbox.cluster import run_bare

    run_bare(options.nodes, Path(options.kubeconfig))
    return 0
