"""One model of results, four formats, each valid and each saying the same."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from labkit.checks import catalogue
from labkit.checks.core import Status, run
from labkit.errors import LabError
from labkit.reports.model import Report
from tests.labkit.faults import DENIED
from tests.labkit.healthy import evidence


@pytest.fixture(scope="module")
def report() -> Report:
    """A report with every status in it, and text that every format must escape."""
    seen = evidence()
    cluster = seen.sources["cluster"]
    cluster["sku"]["tier"] = '<Free & "easy"\'>\x07'
    cluster["properties"]["agentPoolProfiles"][0]["upgradeSettings"]["maxSurge"] = "10%"
    del cluster["properties"]["aadProfile"]
    seen.sources["maintenance"] = DENIED
    results = tuple(run(check, seen) for check in catalogue.select())
    found = Report(results, "a place", "aks-baseline", "rg-aks-baseline", "modern", datetime(2026, 11, 22, tzinfo=UTC))
    assert all(found.count(status) for status in Status)
    return found


class Outline(HTMLParser):
    """Collects what a reader of an HTML document depends on."""

    VOID = ("meta", "br", "wbr", "rect")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def outline(text: str) -> Outline:
    parser = Outline()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser


def test_the_html_report_stands_alone(report: Report) -> None:
    text = report.text("html")
    parsed = outline(text)
    assert not [tag for tag, _ in parsed.tags if tag in ("script", "link", "img", "iframe")]
    assert not [value for _, attrs in parsed.tags for name, value in attrs.items() if name in ("src", "href")]
    assert "url(" not in text
    assert "@import" not in text


def test_the_html_report_can_be_read_without_seeing_colours(report: Report) -> None:
    parsed = outline(report.text("html"))
    tags = dict(parsed.tags)
    assert tags["html"]["lang"] == "en"
    assert [tag for tag, _ in parsed.tags].count("h1") == 1
    assert f"Of {len(report.results)} checks:" in str(tags["svg"]["aria-label"])
    assert tags["svg"]["role"] == "img"
    assert all("scope" in attrs for tag, attrs in parsed.tags if tag == "th")
    for result in report.results:
        assert f"{result.status.words}: {result.title}" in parsed.text


def test_the_html_report_escapes_what_it_was_given(report: Report) -> None:
    assert "<Free" not in report.text("html")
    assert "<Free & " in outline(report.text("html")).text


def test_what_needs_attention_comes_first(report: Report) -> None:
    text = report.text("html")
    assert text.index("<h3>Failed") < text.index("<h3>Not known") < text.index("<h3>Works") < text.index("<h3>Passed")


def test_the_junit_report_counts_what_it_holds(report: Report) -> None:
    root = ElementTree.fromstring(report.text("junit"))
    suites = root.findall("testsuite")
    assert [suite.get("name") for suite in suites] == ["cluster", "governance", "gitops", "identity", "workload"]
    cases = root.findall("testsuite/testcase")
    assert sum(int(suite.get("tests", "0")) for suite in suites) == len(cases) == len(report.results)
    for attribute, tag, status in (
        ("failures", "failure", Status.FAIL),
        ("errors", "error", Status.UNKNOWN),
        ("skipped", "skipped", Status.SKIP),
    ):
        told = sum(int(suite.get(attribute, "-1")) for suite in suites)
        assert told == len(root.findall(f"testsuite/testcase/{tag}")) == report.count(status)
    assert len(root.findall("testsuite/testcase/system-out")) == report.count(Status.WARN)
    assert all(case.get("name") and case.get("classname") for case in cases)


def test_the_sarif_report_keeps_the_rules_of_2_1_0(report: Report) -> None:
    log = json.loads(report.text("sarif"))
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (one,) = log["runs"]
    rules = one["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules) == len(one["results"])
    for result, ours in zip(one["results"], report.results, strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == ours.id
        assert result["kind"] in ("pass", "open", "notApplicable", "fail", "informational", "review")
        assert result["level"] in ("none", "note", "warning", "error")
        # 3.27.10: a level other than none only for results of kind fail.
        assert (result["level"] == "none") == (result["kind"] != "fail")
        assert result["message"]["text"]
        assert (result["kind"] == "fail") == (ours.status in (Status.FAIL, Status.WARN))
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert not re.match(r"[a-z]+:|/", uri)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one["invocations"][0]["endTimeUtc"])


def test_the_json_report_says_all_there_is(report: Report) -> None:
    document = json.loads(report.text("json"))
    assert sum(document["counts"].values()) == len(document["results"]) == len(catalogue.checks())
    for result, ours in zip(document["results"], report.results, strict=True):
        assert result == ours.as_dict()
        assert {"observed", "expected", "objectId", "reason", "nextCommand", "hints", "references"} <= set(result)


def test_the_ending_of_the_file_chooses_the_form(report: Report, tmp_path: Path) -> None:
    for name, beginning in (("r.html", "<!doctype"), ("r.xml", "<?xml"), ("r.sarif", "{"), ("deep/r.json", "{")):
        assert report.save(tmp_path / name).read_text().startswith(beginning)
    with pytest.raises(LabError, match=r"r\.pdf says no form"):
        report.save(tmp_path / "r.pdf")
    with pytest.raises(LabError, match="no report is written as 'pdf'"):
        report.text("pdf")
