"""Prints the benchmarks: `python -m benchmarks [--quick] [--kubeconfig FILE]`."""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

from benchmarks import access, api_server, audit, azure, flux, git_host, policies


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer objects, fewer clusters")
    parser.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="measure only the API server that a kubeconfig names"
    )
    asked = parser.parse_args()
    quick = asked.quick
    load = os.getloadavg()[0]
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f} before; real: kube-apiserver 1.35.4 with etcd\n"
    )
    if asked.kubeconfig:
        api_server.run_against(asked.kubeconfig, pods=1000 if quick else 5000, watches=200 if quick else 1000)
        return
    azure.run(clusters=2 if quick else 5)
    print()
    api_server.run(pods=1000 if quick else 5000, watches=200 if quick else 1000)
    print()
    audit.run(requests=500 if quick else 3000)
    print()
    access.run(times=300 if quick else 2000)
    print()
    git_host.run(pushes=20 if quick else 100)
    print()
    flux.run(pushes=20 if quick else 100)
    print()
    policies.run(pods=100 if quick else 400)


if __name__ == "__main__":
    main()
