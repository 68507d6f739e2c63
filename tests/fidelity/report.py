"""The tables of docs/fidelity.md, between its marks; the text around them is written by hand."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from azsandbox.cluster import DEFAULT_VERSION
from tests.fidelity.cases import known_differences
from tests.fidelity.compare import Outcome

DOCUMENT = Path(__file__).parents[2] / "docs" / "fidelity.md"


def table(service: str, outcomes: Iterable[Outcome]) -> str:
    """A row an area: equal and all cases, equal and all compared steps."""
    areas: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        areas.setdefault(outcome.case.split("/")[1], []).append(outcome)
    everything = [outcome for found in areas.values() for outcome in found]
    rows = [_row(area, found) for area, found in sorted(areas.items())]
    head = [f"| {service} | cases equal | | steps equal |", "|---|---:|---:|---:|"]
    return "\n".join([*head, *rows, _row("**all**", everything)])


def _row(area: str, found: list[Outcome]) -> str:
    good = sum(outcome.good for outcome in found)
    equal, steps = (sum(getattr(outcome, name) for outcome in found) for name in ("equal", "steps"))
    return f"| {area} | {good}/{len(found)} | {100 * good / len(found):.0f} % | {equal}/{steps} |"


def renew(found: dict[str, list[Outcome]]) -> None:
    """Puts the figures of today into the document."""
    text = DOCUMENT.read_text()
    for service, outcomes in found.items():
        text = _put(text, f"table {service}", table(service, outcomes))
    text = _put(text, "made", _made())
    DOCUMENT.write_text(_put(text, "differences", _differences()))


def _put(text: str, name: str, content: str) -> str:
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{DOCUMENT.name} has no place for {name!r}")
    return pattern.sub(lambda marks: f"{marks[1]}{content}\n{marks[2]}", text)


def _made() -> str:
    kubectl = "no kubectl"
    if shutil.which("kubectl"):
        said = subprocess.run(["kubectl", "version", "--client"], capture_output=True, text=True).stdout
        kubectl = "kubectl " + said.split("Version: ")[1].split()[0]
    return (
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}; the sandbox's Kubernetes {DEFAULT_VERSION}, {kubectl}, "
        f"Python {platform.python_version()}, {platform.system()} with {os.cpu_count()} cores."
    )


def _differences() -> str:
    listed = sorted(known_differences().values(), key=lambda difference: difference.case)
    if not listed:
        return "None."
    head = ["| case | why it differs | what a learner would notice |", "|---|---|---|"]
    return "\n".join(head + [f"| {d.case} | {_cell(d.reason)} | {_cell(d.notice)} |" for d in listed])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
