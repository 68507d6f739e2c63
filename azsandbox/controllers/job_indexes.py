"""Sets of completion indexes, written as Kubernetes writes them: "0-2,5,7".

Source of the rules: Kubernetes 1.35, pkg/controller/job, indexed_job_utils.go.
"""

from __future__ import annotations

from azsandbox.controllers.client import Object
from azsandbox.controllers.objects import annotations_of

INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"


def parse(text: str | None, completions: int) -> set[int]:
    """Indexes below `completions` that a text names; parts that are no numbers are left out."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (not last or last.isdigit()):
            found.update(range(int(first), min(int(last or first), completions - 1) + 1))
    return found


def text_of(indexes: set[int]) -> str:
    """Indexes as a text: runs of three and more as "first-last"."""
    parts: list[str] = []
    ordered = sorted(indexes)
    start = 0
    for position, index in enumerate(ordered):
        if position + 1 < len(ordered) and ordered[position + 1] == index + 1:
            continue
        first = ordered[start]
        if first == index:
            parts.append(str(first))
        else:
            parts.append(f"{first},{index}" if index == first + 1 else f"{first}-{index}")
        start = position + 1
    return ",".join(parts)


def index_of(pod: Object) -> int:
    """The completion index of a pod; -1 if it has none."""
    return _number(pod, INDEX, -1)


def failures_of(pod: Object) -> int:
    """Failures of the pod's index before it that count."""
    return _number(pod, FAILURES, 0)


def all_failures_of(pod: Object) -> int:
    """Failures of the pod's index before it, the ignored ones too."""
    return failures_of(pod) + _number(pod, IGNORED_FAILURES, 0)


def _number(pod: Object, annotation: str, default: int) -> int:
    text = annotations_of(pod).get(annotation, "")
    return int(text) if text.isdigit() else default
