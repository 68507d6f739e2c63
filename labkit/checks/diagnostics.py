"""What the diagnostic settings of the cluster send to the lab's workspaces: read by checks and by the collector."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.checks.evidence import Object
from labkit.checks.facts import governance
from labkit.checks.lookup import at, is_on, same


def dedicated(destination: object) -> bool:
    """True when rows go to the tables of their own rather than to AzureDiagnostics."""
    return same(destination, "Dedicated")


def targeting(settings: Iterable[Object], workspaces: Iterable[Object]) -> list[Object]:
    """Those of the diagnostic `settings` that send to one of the `workspaces`."""
    ids = {str(at(workspace, "id")).lower() for workspace in workspaces}
    return [item for item in settings if str(at(item, "properties.workspaceId") or "").lower() in ids]


def enabled(settings: Iterable[Object], kind: str, groups: Mapping[str, set[str]]) -> set[str]:
    """The categories of `kind` ("logs" or "metrics") that any of `settings` collects, in lower case.

    `groups` are the categories of each category group; allLogs is all that the lab knows of, without it.
    """
    found: set[str] = set()
    for setting in settings:
        for entry in at(setting, f"properties.{kind}") or []:
            if not is_on(at(entry, "enabled")):
                continue
            group = str(at(entry, "categoryGroup") or "").lower()
            if group:
                found |= groups.get(group, set())
                if group == "alllogs":
                    found |= known()
            elif at(entry, "category"):
                found.add(str(at(entry, "category")).lower())
    return found


def groups(categories: Iterable[Object]) -> dict[str, set[str]]:
    """The categories of each category group, all in lower case."""
    found: dict[str, set[str]] = {}
    for category in categories:
        for group in at(category, "properties.categoryGroups") or []:
            found.setdefault(str(group).lower(), set()).add(str(at(category, "name")).lower())
    return found


def uses_group(settings: Iterable[Object], group: str) -> bool:
    """True if any of `settings` has the category group on."""
    entries = [entry for setting in settings for entry in at(setting, "properties.logs") or []]
    return any(same(at(entry, "categoryGroup"), group) and is_on(at(entry, "enabled")) for entry in entries)


def known() -> set[str]:
    """The categories that the checks ask for, in lower case."""
    logs = governance("logs")
    return {str(name).lower() for name in [logs["guard"], *logs["audit"], *logs["platform"], *logs["information"]]}


def audit_query(settings: Iterable[Object], cluster_id: str) -> str:
    """The query that counts the audit rows of the last two hours, by where the `settings` send them; or empty.

    Rows of settings with the destination Dedicated are in a table a category, others in AzureDiagnostics
    (AKS docs, "Monitor AKS").
    """
    tables = governance("logs")["tables"]
    own = [item for item in settings if dedicated(at(item, "properties.logAnalyticsDestinationType"))]
    quoted = cluster_id.replace("\\", "\\\\").replace("'", "\\'")
    collected = enabled(own, "logs", {"audit": set(tables), "alllogs": set(tables)})
    for category, table in tables.items():
        if category in collected:
            return f"{table} | where TimeGenerated > ago(2h) | where _ResourceId =~ '{quoted}' | count"
    if not enabled(settings, "logs", {"audit": set(tables), "alllogs": set(tables)}) & {*tables, "guard"}:
        return ""
    return (
        f"AzureDiagnostics | where TimeGenerated > ago(2h) | where ResourceId =~ '{quoted}' "
        "| where Category in ('kube-audit-admin','guard') | count"
    )
