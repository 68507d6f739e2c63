"""The report as JSON, for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from labkit.checks.core import Status

if TYPE_CHECKING:
    from labkit.reports.model import Report


def write(report: Report) -> str:
    """A JSON document: what was checked, the counts, and each result with its findings."""
    document = {
        "schema": "labkit-report/1",
        "moment": report.moment.isoformat(timespec="seconds"),
        "place": report.place,
        "resourceGroup": report.resource_group,
        "cluster": report.cluster,
        "profile": report.profile,
        "counts": {status.value: report.count(status) for status in Status},
        "results": [result.as_dict() for result in report.results],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
