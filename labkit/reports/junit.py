"""The report as JUnit XML, which every CI system shows: a check is a test case.

Failed is a failure, not known an error, skipped a skip; a warning passes, with its text in system-out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from labkit.checks.core import Result, Status

if TYPE_CHECKING:
    from labkit.reports.model import Report

# XML 1.0 cannot hold these, not even escaped.
FORBIDDEN = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(report: Report) -> str:
    """An XML document with one suite a part (cluster, governance …)."""
    root = ElementTree.Element("testsuites", name=f"AKS baseline: {report.resource_group}/{report.cluster}")
    parts = dict.fromkeys(result.id.split(".")[0] for result in report.results)
    for part in parts:
        results = [result for result in report.results if result.id.split(".")[0] == part]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=part,
            tests=str(len(results)),
            failures=_count(results, Status.FAIL),
            errors=_count(results, Status.UNKNOWN),
            skipped=_count(results, Status.SKIP),
            time="0",
            timestamp=report.moment.strftime("%Y-%m-%dT%H:%M:%S"),
        )
        for result in results:
            _case(suite, result)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _count(results: list[Result], status: Status) -> str:
    return str(sum(result.status is status for result in results))


def _case(suite: ElementTree.Element, result: Result) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=result.id.split(".")[0], name=result.id, time="0")
    text = _clean(
        f"{result.title}\nseen: {result.observed}\nexpected: {result.expected}\nreason: {result.reason}\n"
        f"object: {result.object_id}\nnext: {result.next_command}"
    )
    message = _clean(result.reason or result.observed)
    if result.status is Status.FAIL:
        ElementTree.SubElement(case, "failure", message=message, type=result.severity).text = text
    elif result.status is Status.UNKNOWN:
        ElementTree.SubElement(case, "error", message=message, type="unknown").text = text
    elif result.status is Status.SKIP:
        ElementTree.SubElement(case, "skipped", message=message)
    elif result.status is Status.WARN:
        ElementTree.SubElement(case, "system-out").text = f"warning\n{text}"


def _clean(text: str) -> str:
    return FORBIDDEN.sub("\ufffd", text)
