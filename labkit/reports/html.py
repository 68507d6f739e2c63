"""The report as one HTML file: no script, no request, readable without colours and by a screen reader."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from labkit.checks.core import Result, Status

if TYPE_CHECKING:
    from labkit.reports.model import Report

STYLE = """
:root{color-scheme:light dark;--edge:#767676;--page:#fff;--ink:#1a1a1a}
@media (prefers-color-scheme:dark){:root{--page:#181818;--ink:#ececec;--edge:#8a8a8a}}
body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;background:var(--page);color:var(--ink)}
table{border-collapse:collapse;width:100%}caption{text-align:left;font-weight:600;padding:.3rem 0}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid var(--edge);overflow-wrap:anywhere}
article{border:1px solid var(--edge);border-left-width:.5rem;padding:.4rem 1rem;margin:.8rem 0}
h3{margin:.2rem 0;font-size:1.05rem}dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:.4rem 0}
dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}code,pre{font-family:ui-monospace,monospace;white-space:pre-wrap}
.fail{border-left-style:solid;border-left-color:#d32f2f}.warn{border-left-style:dashed;border-left-color:#b26a00}
.pass{border-left-style:solid;border-left-color:#2e7d32}.skip,.unknown{border-left-style:dotted}
"""
ORDER = (Status.FAIL, Status.UNKNOWN, Status.WARN, Status.PASS, Status.SKIP)


def write(report: Report) -> str:
    """The whole document; what needs attention comes first."""
    title = f"AKS baseline report: {report.cluster} in {report.resource_group}"
    ordered = sorted(report.results, key=lambda result: ORDER.index(result.status))
    cards = "".join(_card(result) for result in ordered)
    moment = report.moment.strftime("%Y-%m-%d %H:%M UTC")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><main><h1>{escape(title)}</h1>"
        f"<p>Read on {escape(report.place)}, {moment}, by the expectations of the profile "
        f"“{escape(report.profile)}”.</p>{_chart(report)}{_counts(report)}"
        f"<h2>Checks</h2>{cards}</main></body></html>\n"
    )


def _counts(report: Report) -> str:
    rows = "".join(f'<tr><th scope="row">{status.words}</th><td>{report.count(status)}</td></tr>' for status in ORDER)
    return (
        f"<table><caption>{len(report.results)} checks by what they found</caption><thead><tr>"
        f'<th scope="col">Status</th><th scope="col">Checks</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _chart(report: Report) -> str:
    """A bar of the shares, which the description says in words."""
    total = max(1, len(report.results))
    said = ", ".join(f"{report.count(status)} {status.words.lower()}" for status in ORDER if report.count(status))
    fills = {
        Status.FAIL: "#d32f2f",
        Status.UNKNOWN: "#7b6ba8",
        Status.WARN: "#b26a00",
        Status.PASS: "#2e7d32",
        Status.SKIP: "#8a8a8a",
    }
    left, parts = 0.0, []
    for status in ORDER:
        width = 600 * report.count(status) / total
        if width:
            parts.append(f'<rect x="{left:.1f}" width="{width:.1f}" height="22" fill="{fills[status]}" stroke="#fff"/>')
        left += width
    return (
        f'<svg role="img" aria-label="{escape(f"Of {len(report.results)} checks: {said}", quote=True)}" '
        f'viewBox="0 0 600 22" style="width:100%;height:22px" preserveAspectRatio="none">{"".join(parts)}</svg>'
    )


def _card(result: Result) -> str:
    facts = (
        ("Seen", escape(result.observed)),
        ("Expected", escape(result.expected)),
        ("Reason", escape(result.reason)),
        ("Object", escape(result.object_id)),
        ("Next", f"<code>{escape(result.next_command)}</code>" if result.next_command else ""),
        ("Why", escape(result.why)),
        ("Sources", escape("; ".join(result.references))),
    )
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts if value)
    return (
        f'<article class="{result.status.value}"><h3>{result.status.words}: {escape(result.title)}</h3>'
        f"<p><code>{escape(result.id)}</code>, severity {escape(result.severity)}, era {escape(result.era)}</p>"
        f"<dl>{rows}</dl>{_findings(result)}</article>"
    )


def _findings(result: Result) -> str:
    if len(result.findings) < 2:
        return ""
    rows = "".join(
        f"<tr><td>{finding.status.words}</td><td>{escape(finding.object_id.rsplit('/', 1)[-1])}</td>"
        f"<td>{escape(finding.observed)}</td><td>{escape(finding.reason)}</td></tr>"
        for finding in result.findings
    )
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("Status", "Object", "Seen", "Reason"))
    return (
        f"<details><summary>{len(result.findings)} objects</summary><table><caption>By object</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></details>"
    )
