"""The model of a check: a pure function of evidence, its texts, and what it found.

A check function takes the Evidence and returns Findings. It never reads by itself: whoever wants to run it asks
`evidence.collect` for the sources that it names. So each check can be shown a healthy cluster and a broken one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.checks.evidence import Evidence


class Status(StrEnum):
    """What a check says; ordered by `rank`, the worst last."""

    PASS = "pass"  # noqa: S105
    SKIP = "skip"
    UNKNOWN = "unknown"
    WARN = "warn"
    FAIL = "fail"

    @property
    def rank(self) -> int:
        """Place in the order in which the worst of several findings is chosen."""
        return RANKS[self]

    @property
    def words(self) -> str:
        """The status for a reader, who may not see colours."""
        return WORDS[self]


RANKS = {Status.SKIP: 0, Status.PASS: 1, Status.UNKNOWN: 2, Status.WARN: 3, Status.FAIL: 4}
WORDS = {
    Status.PASS: "Passed",
    Status.SKIP: "Skipped",
    Status.UNKNOWN: "Not known",
    Status.WARN: "Works, with a warning",
    Status.FAIL: "Failed",
}
SEVERITIES = ("critical", "high", "medium", "low")
ERAS = ("2021", "2021, updated", "modern")
PROFILES = ("modern", "2021")
SHOWN = 4
"""Findings that a result tells of in words; the report has them all."""


@dataclass(frozen=True)
class Finding:
    """What a check saw of one object."""

    status: Status
    observed: str
    expected: str
    reason: str = ""
    object_id: str = ""


def passed(observed: object, expected: str, object_id: str = "", reason: str = "") -> Finding:
    """As it should be."""
    return Finding(Status.PASS, shown(observed), expected, reason, object_id)


def warned(observed: object, expected: str, reason: str, object_id: str = "") -> Finding:
    """It works, but against advice, near a date, or as a compromise."""
    return Finding(Status.WARN, shown(observed), expected, reason, object_id)


def failed(observed: object, expected: str, reason: str, object_id: str = "") -> Finding:
    """Not as it should be."""
    return Finding(Status.FAIL, shown(observed), expected, reason, object_id)


def skipped(reason: str, expected: str = "", object_id: str = "") -> Finding:
    """The check does not apply here; `reason` says why."""
    return Finding(Status.SKIP, "not looked at", expected, reason, object_id)


def unknown(reason: str, expected: str = "", object_id: str = "") -> Finding:
    """It could not be read, so nothing is said about it."""
    return Finding(Status.UNKNOWN, "not readable", expected, reason, object_id)


def shown(value: object) -> str:
    """A value in an observation: absent, true and lists in words."""
    if value is None:
        return "absent"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value) or "none"
    return str(value)


Judge = Callable[["Evidence"], "Finding | Iterable[Finding]"]


@dataclass(frozen=True)
class Check:
    """One check: its texts, what it reads, and the function that judges."""

    id: str
    title: str
    severity: str
    era: str
    lesson: str
    why: str
    next: str
    hints: tuple[str, str, str]
    references: tuple[str, ...]
    reads: tuple[str, ...]
    also: tuple[str, ...]
    judge: Judge = field(repr=False)

    @property
    def part(self) -> str:
        """cluster, governance, gitops, identity or workload."""
        return self.id.split(".")[0]


@dataclass(frozen=True)
class Result:
    """What a check found, with all that a reader needs to act on it."""

    id: str
    title: str
    status: Status
    severity: str
    era: str
    observed: str
    expected: str
    object_id: str
    reason: str
    why: str
    next_command: str
    hints: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing is broken: passed, passed with a warning, or does not apply."""
        return self.status in (Status.PASS, Status.WARN, Status.SKIP)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for reports."""
        return {
            "id": self.id,
            "title": self.title,
            "status": self.status.value,
            "severity": self.severity,
            "era": self.era,
            "observed": self.observed,
            "expected": self.expected,
            "objectId": self.object_id,
            "reason": self.reason,
            "why": self.why,
            "nextCommand": self.next_command,
            "hints": list(self.hints),
            "references": list(self.references),
            "findings": [
                {
                    "status": finding.status.value,
                    "observed": finding.observed,
                    "expected": finding.expected,
                    "reason": finding.reason,
                    "objectId": finding.object_id,
                }
                for finding in self.findings
            ],
        }


class Unread(Exception):
    """A check needs a source that was not read; carries the status that this leads to.

    Denied (403) or not answered gives unknown; what does not exist, or does not apply, gives skip. `next_command` is
    what makes it readable: the check's own remedy would be for a fault that nobody has seen.
    """

    def __init__(self, status: Status, reason: str, object_id: str = "", next_command: str = "") -> None:
        self.status = status
        self.reason = reason
        self.object_id = object_id
        self.next_command = next_command
        super().__init__(reason)


def run(check: Check, evidence: Evidence) -> Result:
    """The result of `check` on `evidence`: the worst of its findings decides, and those like it are told with it."""
    readable = ""
    try:
        answer = check.judge(evidence)
        findings = (answer,) if isinstance(answer, Finding) else tuple(answer)
    except Unread as unread:
        observed = "not readable" if unread.status is Status.UNKNOWN else "not looked at"
        findings = (Finding(unread.status, observed, "", unread.reason, unread.object_id),)
        readable = unread.next_command
    if not findings:
        findings = (skipped("there is nothing that this check looks at"),)
    worst = max(findings, key=lambda finding: finding.status.rank)
    alike = [finding for finding in findings if finding.status is worst.status]
    names = evidence.names
    wrong = worst.status in (Status.WARN, Status.FAIL)
    return Result(
        id=check.id,
        title=check.title,
        status=worst.status,
        severity=check.severity,
        era=check.era,
        observed=_joined([finding.observed for finding in alike]),
        expected=worst.expected,
        object_id=worst.object_id or evidence.cluster_id,
        reason=_joined([finding.reason for finding in alike]),
        why=check.why,
        next_command=_filled(check.next, names) if wrong else readable,
        hints=tuple(_filled(hint, names) for hint in check.hints) if wrong else (),
        references=check.references,
        findings=findings,
    )


def _joined(texts: list[str]) -> str:
    """`texts` that differ, the first few of them: a cluster can have a thousand nodes."""
    distinct = list(dict.fromkeys(text for text in texts if text))
    more = f"; and {len(distinct) - SHOWN} more" if len(distinct) > SHOWN else ""
    return "; ".join(distinct[:SHOWN]) + more


def _filled(text: str, names: Mapping[str, str]) -> str:
    """`text` with <cluster>, <group> and the like replaced by the lab's names."""
    for name, value in names.items():
        text = text.replace(f"<{name}>", value)
    return text
