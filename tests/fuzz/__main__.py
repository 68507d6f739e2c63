"""python -m tests.fuzz [--requests N] [--seed N]: sends odd requests to a cluster of its own until one is a fault."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fidelity.services import cluster
from tests.fuzz.requests import Sent
from tests.fuzz.server import Fault, Line, api_of, send


def run(line: Line, requests: int, start: int) -> Counter[int]:
    """Sends `requests` requests made from a seed; returns how often each status was answered. Raises Fault."""
    api = api_of(line)
    seen: Counter[int] = Counter()

    @seed(start)
    @settings(
        max_examples=requests,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(api.requests())
    def each(sent: Sent) -> None:
        seen[send(line, sent)] += 1

    each()
    return seen


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="how many (default 20,000)")
    parser.add_argument("--seed", type=int, default=0, help="another seed makes other requests (default 0)")
    asked = parser.parse_args()
    with line() as to:
        begun = time.monotonic()
        try:
            seen = run(to, asked.requests, asked.seed)
        except Fault as fault:
            print(fault, file=sys.stderr)
            return 1
        seconds = time.monotonic() - begun
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(seen.items()) if status)
    print(f"{sum(seen.values())} requests in {seconds:.0f} s, no fault; answers {statuses}")
    return 0


@contextlib.contextmanager
def line() -> Iterator[Line]:
    """A connection to a cluster that ends with it."""
    with cluster() as found:
        yield Line(found.kubeconfig)


if __name__ == "__main__":
    raise SystemExit(main())
