"""What a lesson showed, made comparable: without what differs from run to run, and without cells that do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from labkit import verify

VARIES = "varies"
"""In the metadata of a recorded cell: its output was not the same in all runs, and is not compared."""
UNSTEADY = (
    "cluster.autoscaling",
    "cluster.kubernetes-version",
    "cluster.node-image-current",
    "cluster.node-os",
    "cluster.nodes-ready",
    "cluster.retired-features",
    "cluster.system-workloads",
    "cluster.user-pool",
    "cluster.version-skew",
    "gitops.flux-version",
    "gitops.fluxconfig-compliant",
    "gitops.reboot-daemon",
    "governance.logs-arriving",
    "preflight.version",
    "workload.pods-healthy",
)
"""Checks that judge by the date or the moment: what they say is true today, and need not be tomorrow."""
DATED = ("trial left",)
FAILING = (": Ready False, ",)
"""What a check says of an object of Flux that fails; how far the others have come by then is chance."""
LIVE = (
    ".watch",
    ".pods(",
    ".nodes(",
    ".events(",
    ".diagram(",
    ".tree(",
    ".pools(",
    "list_pod",
    "policies.table(",
    "get_statuses(",
    "state()",
    "results",
    "counted",
    "gitops.table",
    "gitops.difference",
    "lab.logs(",
    'kubectl("get ',
    'kubectl(f"get ',
    'kubectl("events',
    'kubectl("rollout',
    "wait --for delete",
    "wrong[",
    "baseline.json",
)
"""Code whose output depends on how far the cluster or the clock has come; it is run, and not compared."""
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # of names that Kubernetes makes up (apimachinery, util/rand)
VOLATILE = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "ID"),
    (r"\S+/lab\.toml", "lab.toml"),
    (r"\S+/\.labkit/", ".labkit/"),
    (r"\x1b\[[0-9;]*m", ""),
    (r"(?m)(^.*: (.*, \d+ s|done after \d+ s)\b.*\n?)+", "PROGRESS\n"),
    (r"\b[A-Z][a-z]{2} [A-Z][a-z]{2} +\d{1,2} \d\d:\d\d:\d\d \d{4} [+-]\d{4}\b", "TIME"),
    (r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?)?", "TIME"),
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (rf"-[{ALPHABET}0-9]{{8,10}}(?=-[{ALPHABET}]{{5}}\b)", "-SET"),
    (r"\b[0-9a-f]{7,64}\b", "HEX"),
    (r"(?<![\w-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*\d)[\w-]{43}(?![\w-])", "KEY"),
    (r"\b\d+(\.\d+)?(ms|µs|s)\b|\b\d+(\.\d+)? s\b", "SECONDS"),
    (r"\bP\d+D(T[\dHMS]+)?\b", "LEFT"),
    (r"\b\d+[mhd](\d+[sm])?\b|<invalid>", "AGE"),
    (rf"-[{ALPHABET}]{{5}}\b", "-POD"),
    (r"[ \t]+(?=\n|$)", ""),
    (r"(?<=\S)[ \t]{2,}", "  "),
    (r"\b(PROGRESS\n)+", "PROGRESS\n"),
]


def read(path: Path) -> Any:
    """The notebook at `path` as nbformat reads it."""
    return verify.read(path)


def ended(run: Any) -> bool:
    """Whether every cell of code was run."""
    return all(cell.execution_count is not None for cell in run.cells if cell.cell_type == "code" and cell.source)


def normalised(notebook: Any) -> Any:
    """`notebook` with what differs from run to run replaced, and without what no reader sees; changed in place."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.execution_count = None
        cell.outputs = [output for output in coalesced(cell.outputs) if not _progress(output)]
        for output in cell.outputs:
            output.pop("execution_count", None)
            output.pop("metadata", None)
            if output.output_type == "stream":
                output.text = _replaced(output.text)
            elif output.output_type == "error":
                output.traceback = []  # names files of the machine
                output.evalue = _replaced(output.evalue)
            else:
                output.data = {"text/plain": _replaced(output.data.get("text/plain", ""))}
    return notebook


def coalesced(outputs: list[Any]) -> list[Any]:
    """Outputs with neighbouring pieces of one stream joined: how it was cut is chance."""
    joined: list[Any] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last is not None and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def _progress(output: Any) -> bool:
    return bool(output.output_type == "stream" and _replaced(output.text).strip() in ("", "PROGRESS"))


def _replaced(text: str) -> str:
    for pattern, name in VOLATILE:
        text = re.sub(pattern, name, text)
    return text


def agreed(runs: Sequence[Any]) -> Any:
    """The first of `runs`, normalised; cells that showed something else in another one, or what will age, are marked."""
    first, *others = (normalised(run) for run in runs)
    shown = [{cell.id: (cell.source, cell.outputs) for cell in other.cells if "outputs" in cell} for other in others]
    for cell in first.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        chance = any(other.get(cell.id) != (cell.source, cell.outputs) for other in shown)
        if chance or _live(cell.source) or _ages(cell.outputs):
            cell.metadata["recorded"] = VARIES
            cell.outputs = []
    return first


def _live(source: str) -> bool:
    return any(word in source for word in LIVE)


def _ages(outputs: Sequence[Any]) -> bool:
    text = str(outputs)
    return any(f"({check}, " in text for check in UNSTEADY) or any(word in text for word in DATED + FAILING)


def compared(recorded: Any, ran: Any) -> tuple[Any, Any]:
    """The cells of both that can be compared, in two notebooks: what is in both as it was recorded, and does not vary."""
    pairs = list(_pairs(recorded, normalised(ran)))
    for notebook, cells in zip((recorded, ran), zip(*pairs, strict=True), strict=True):
        notebook.cells = list(cells)
    ran.metadata, ran.nbformat_minor = recorded.metadata, recorded.nbformat_minor
    return recorded, ran


def _pairs(recorded: Any, ran: Any) -> Iterator[tuple[Any, Any]]:
    known = {cell.id: cell for cell in ran.cells if cell.cell_type == "code"}
    for kept in recorded.cells:
        cell = known.get(kept.id)
        if cell is not None and cell.source == kept.source and kept.metadata.get("recorded") != VARIES:
            cell.metadata = kept.metadata
            yield kept, cell


def share(recorded: Any, lesson: Any) -> float:
    """The part of a lesson's cells of code that are in its recording as they are, from 0 to 1."""
    code = [(cell.id, cell.source) for cell in lesson.cells if cell.cell_type == "code"]
    kept = {(cell.id, cell.source) for cell in recorded.cells}
    return sum(cell in kept for cell in code) / len(code)
