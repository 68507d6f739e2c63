"""The report as SARIF 2.1.0 (OASIS, 2020), which code-scanning views read: a check is a rule."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from labkit.checks.core import Result, Status

if TYPE_CHECKING:
    from labkit.reports.model import Report

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
KINDS = {
    Status.PASS: "pass",
    Status.SKIP: "notApplicable",
    Status.UNKNOWN: "open",
    Status.WARN: "fail",
    Status.FAIL: "fail",
}
LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
# GitHub's scale for security-severity: above 9 critical, 7 high, 4 medium.
SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.0", "low": "2.0"}


def write(report: Report) -> str:
    """A SARIF log with one run."""
    from labkit import __version__

    rules = [_rule(result) for result in report.results]
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "labkit", "semanticVersion": __version__, "rules": rules}},
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "endTimeUtc": report.moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    }
                ],
                "properties": {"place": report.place, "profile": report.profile},
                "results": [_result(index, result) for index, result in enumerate(report.results)],
            }
        ],
    }
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _rule(result: Result) -> dict[str, Any]:
    return {
        "id": result.id,
        "shortDescription": {"text": result.title},
        "fullDescription": {"text": result.why},
        "help": {"text": "; ".join(result.references) or result.why},
        "defaultConfiguration": {"level": LEVELS[result.severity]},
        "properties": {
            "severity": result.severity,
            "era": result.era,
            "security-severity": SCORES[result.severity],
        },
    }


def _result(index: int, result: Result) -> dict[str, Any]:
    text = f"{result.title}: {result.status.words.lower()}. Seen: {result.observed}. Expected: {result.expected}."
    if result.reason:
        text += f" {result.reason}."
    if result.next_command:
        text += f" Next: {result.next_command}"
    kind = KINDS[result.status]
    # SARIF, 3.27.10: the level of a result that is not of kind "fail" is "none".
    level = "none" if kind != "fail" else "warning" if result.status is Status.WARN else LEVELS[result.severity]
    return {
        "ruleId": result.id,
        "ruleIndex": index,
        "kind": kind,
        "level": level,
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": "lab.toml"}},
                "logicalLocations": [{"fullyQualifiedName": result.object_id, "kind": "resource"}],
            }
        ],
        "partialFingerprints": {"check/v1": f"{result.id}:{result.object_id.lower()}"},
    }
