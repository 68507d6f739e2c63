"""Replays the recorded cases, prints a table, renews docs/fidelity.md: `python -m tests.fidelity [--check]`."""

from __future__ import annotations

import argparse
import sys
import time

from tests.fidelity import report
from tests.fidelity.cases import known_differences, load
from tests.fidelity.compare import Outcome
from tests.fidelity.services import SERVICES, Playing
from tests.fidelity.steps import has_flux, needs_flux


def _is_wrong(outcome: Outcome) -> bool:
    listed = known_differences().get(outcome.case)
    return not outcome.good if listed is None else outcome.good and not listed.sometimes


def main() -> int:
    """Exit status 0 when what differs is what is listed."""
    parser = argparse.ArgumentParser(prog="tests.fidelity", description=__doc__)
    parser.add_argument("--check", action="store_true", help="leave docs/fidelity.md as it is")
    parser.add_argument("--only", default="", help="only the cases whose id has this word (implies --check)")
    options = parser.parse_args()
    found: dict[str, list[Outcome]] = {}
    begun = time.monotonic()
    for service in SERVICES:
        cases = [case for case in load(service) if options.only in case.id and (has_flux() or not needs_flux(case))]
        if not cases:
            continue
        with SERVICES[service]() as player:
            playing = Playing(player, cases)
            found[service] = [playing.outcome(case) for case in cases]
            playing.end()
        for name in playing.again:
            print(f"played twice  {name}")
    wrong = [outcome for outcomes in found.values() for outcome in outcomes if _is_wrong(outcome)]
    for outcome in wrong:
        print(f"{'equal, yet listed' if outcome.good else 'DIFFERS'}  {outcome.case}", *outcome.notes, sep="\n")
    for service, outcomes in found.items():
        print(f"\n{report.table(service, outcomes)}")
    print(f"\n{time.monotonic() - begun:.0f} s")
    if not options.check and not options.only:
        report.renew(found)
        print(f"renewed {report.DOCUMENT.name}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
