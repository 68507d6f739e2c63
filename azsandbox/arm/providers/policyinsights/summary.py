"""The summary of policy states: counts for all, for each assignment, its definitions and its groups."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from azsandbox.arm.call import Call
from azsandbox.arm.resources import Document

HOST = "https://management.azure.com"


def summarize(call: Call, scope: str, rows: list[Document], top: int | None) -> Document:
    """The one entry of the answer."""
    address = _address(call, scope)
    assignments = _grouped(rows, "policyAssignmentId")
    listed = sorted(assignments.items(), key=lambda item: (-len(_bad(item[1])), item[0]))
    return {
        "results": _results(rows, address("")) | {"nonCompliantPolicies": _policies(_bad(rows))},
        "policyAssignments": [_assignment(id_, held, address) for id_, held in listed[:top]],
    }


def _assignment(id_: str, rows: list[Document], address: Callable[[str], str]) -> Document:
    mine = f"PolicyAssignmentId eq '{id_}'"
    initiative = rows[0]["policySetDefinitionId"]
    definitions = []
    for held in _grouped(rows, "policyDefinitionId", "policyDefinitionReferenceId").values():
        first = held[0]
        condition = f"{mine} and PolicyDefinitionId eq '{first['policyDefinitionId']}'"
        if first["policyDefinitionReferenceId"]:
            condition += f" and PolicyDefinitionReferenceId eq '{first['policyDefinitionReferenceId']}'"
        definitions.append(
            {
                "policyDefinitionId": first["policyDefinitionId"],
                "policyDefinitionReferenceId": first["policyDefinitionReferenceId"],
                "policyDefinitionGroupNames": first["policyDefinitionGroupNames"],
                "effect": first["policyDefinitionAction"],
                "results": _results(held, address(condition)),
            }
        )
    groups = []
    for name in sorted({g for r in rows for g in r["policyDefinitionGroupNames"]}):
        held = [r for r in rows if name in r["policyDefinitionGroupNames"]]
        condition = f"{mine} and PolicySetDefinitionId eq '{initiative}' and '{name}' in PolicyDefinitionGroupNames"
        groups.append({"policyGroupName": name, "results": _results(held, address(condition))})
    return {
        "policyAssignmentId": id_,
        "policySetDefinitionId": initiative,
        "results": _results(rows, address(mine)) | {"nonCompliantPolicies": _policies(_bad(rows))},
        "policyDefinitions": definitions,
        "policyGroups": groups,
    }


def _results(rows: list[Document], address: str) -> Document:
    return {
        "queryResultsUri": address,
        "nonCompliantResources": len({r["resourceId"] for r in _bad(rows)}),
        "resourceDetails": _details(rows, "resourceId"),
        "policyDetails": _details(rows, "policyAssignmentId", "policyDefinitionId", "policyDefinitionReferenceId"),
        "policyGroupDetails": _group_details(rows),
    }


def _details(rows: list[Document], *keys: str) -> list[Document]:
    """How many are in each state; what is in several counts as the worst."""
    return _counted([[str(r["complianceState"]) for r in held] for held in _grouped(rows, *keys).values()])


def _group_details(rows: list[Document]) -> list[Document]:
    names = {(r["policyAssignmentId"], g) for r in rows for g in r["policyDefinitionGroupNames"]}
    return _counted(
        [
            [
                str(r["complianceState"])
                for r in rows
                if r["policyAssignmentId"] == a and g in r["policyDefinitionGroupNames"]
            ]
            for a, g in names
        ]
    )


def _counted(held: list[list[str]]) -> list[Document]:
    counts: dict[str, int] = {}
    for states in held:
        worst = min(states, key=("NonCompliant", "Error", "Compliant", "Exempt").index)
        counts[worst] = counts.get(worst, 0) + 1
    order = [s for s in ("NonCompliant", "Compliant", "Exempt", "Error") if s in counts]
    return [{"complianceState": s.lower(), "count": counts[s]} for s in order]


def _grouped(rows: list[Document], *keys: str) -> dict[str, list[Document]]:
    out: dict[str, list[Document]] = {}
    for row in rows:
        out.setdefault("|".join(str(row[k]) for k in keys), []).append(row)
    return out


def _bad(rows: list[Document]) -> list[Document]:
    return [r for r in rows if r["complianceState"] == "NonCompliant"]


def _policies(rows: list[Document]) -> int:
    return len(_grouped(rows, "policyAssignmentId", "policyDefinitionId", "policyDefinitionReferenceId"))


def _address(call: Call, scope: str) -> Callable[[str], str]:
    """Makes the addresses that lead from a number to the records behind it."""
    now = call.arm.services.clock.now()
    start = call.query.get("$from") or f"{now - dt.timedelta(days=1):%Y-%m-%d %H:%M:%SZ}"
    end = call.query.get("$to") or f"{now:%Y-%m-%d %H:%M:%SZ}"
    asked = call.query.get("$filter", "")
    base = f"{HOST}{scope}/providers/Microsoft.PolicyInsights/policyStates/latest/queryResults?api-version={call.api_version}&$from={start}&$to={end}"

    def address(condition: str) -> str:
        terms = [f"({asked})"] if asked else []
        terms += [condition] if condition else []
        text = base + (f"&$filter={' and '.join(terms)}" if terms else "")
        return text.replace(" ", "%20")

    return address
