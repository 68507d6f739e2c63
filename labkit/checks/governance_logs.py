"""Checks of logs and metrics: where they go, which are collected, and that they arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from labkit.checks import diagnostics
from labkit.checks.core import Finding, failed, passed, unknown, warned
from labkit.checks.evidence import Evidence, Object, workspace_path
from labkit.checks.facts import governance, system_workloads
from labkit.checks.lookup import at, is_on, same
from labkit.checks.registry import judges

FIRST_ROWS = timedelta(hours=1)
"""How long rows may keep one waiting after the setting was made (catalogue, `governance.logs-arriving`)."""


@judges("governance.log-workspace", reads=("workspaces",))
def log_workspace(evidence: Evidence) -> Iterator[Finding]:
    """A workspace for the cluster, and another one for the control plane's logs; both keep what they get."""
    settings = evidence.settings
    wanted = {
        "cluster": (settings.resource_group, settings.workspace),
        "audit": (settings.audit_resource_group, settings.audit_workspace),
    }
    found: dict[str, Object] = evidence.read("workspaces")
    for use, (group, name) in wanted.items():
        object_id = workspace_path(evidence.subscription_id, group, name)
        if use not in found:
            what = "the control plane's logs" if use == "audit" else "the logs of the containers"
            expected = f"the workspace {name} in {group}"
            yield failed(f"no {name}", expected, f"there is no workspace {name!r} to keep {what}", object_id)
        else:
            yield _workspace(name, found[use].get("properties") or {}, str(at(found[use], "id") or object_id))


def _workspace(name: str, properties: Object, object_id: str) -> Finding:
    least = int(governance("logs")["least_retention"])
    expected = f"Succeeded, kept {least} days or more, no daily cap"
    state, days = at(properties, "provisioningState"), int(at(properties, "retentionInDays") or 0)
    cap = at(properties, "workspaceCapping.dailyQuotaGb")
    observed = f"{name}: {state}, {days} days, cap {'none' if cap in (None, -1) else f'{cap} GB a day'}"
    if not same(state, "Succeeded"):
        return failed(observed, expected, f"the last operation on the workspace ended {state}", object_id)
    if days < least:
        return failed(observed, expected, f"rows are gone after {days} days, before most incidents are seen", object_id)
    if cap not in (None, -1):
        return warned(
            observed, expected, "rows that come after the cap is reached are dropped, audit rows too", object_id
        )
    return passed(observed, expected, object_id)


def _targeting(evidence: Evidence) -> list[Object]:
    """The diagnostic settings that send to one of the lab's workspaces."""
    return diagnostics.targeting(evidence.read("diagnostic-settings"), evidence.read("workspaces").values())


@judges("governance.diagnostic-setting", reads=("cluster", "diagnostic-settings", "workspaces"))
def diagnostic_setting(evidence: Evidence) -> Iterator[Finding]:
    """A setting sends the control plane's logs to the workspace that is for them."""
    settings = evidence.settings
    every, workspaces = evidence.read("diagnostic-settings"), evidence.read("workspaces")
    expected = f"a setting with the workspace {settings.audit_workspace} and the destination Dedicated"
    dedicated = [workspaces["audit"]] if "audit" in workspaces else []
    right = diagnostics.targeting(every, dedicated)
    if not right:
        beside = diagnostics.targeting(every, workspaces.values())
        names = [str(at(item, "name")) for item in beside or every]
        if beside:
            reason = f"the logs lie in {settings.workspace}, beside those of the containers and for the same readers"
            yield warned(f"setting {', '.join(names)}", expected, reason, evidence.cluster_id)
        else:
            reason = "what the API server is asked, and by whom, is kept nowhere"
            if every:
                reason = f"no setting sends to {settings.audit_workspace}"
            yield failed(f"settings: {', '.join(names) or 'none'}", expected, reason, evidence.cluster_id)
    for setting in right:
        destination = at(setting, "properties.logAnalyticsDestinationType")
        observed = f"setting {at(setting, 'name')}, destination {destination or 'absent'}"
        object_id = str(at(setting, "id") or evidence.cluster_id)
        if diagnostics.dedicated(destination):
            yield passed(observed, expected, object_id)
        else:
            reason = "rows land in AzureDiagnostics, and not in AKSAudit, AKSAuditAdmin and AKSControlPlane"
            yield warned(observed, expected, reason, object_id)


def _collected(evidence: Evidence, kind: str) -> set[str]:
    """The categories that reach the lab's workspaces; category groups are looked up where one is used."""
    settings = _targeting(evidence)
    groups: dict[str, set[str]] = {}
    if diagnostics.uses_group(settings, "audit"):
        groups = diagnostics.groups(evidence.read("diagnostic-categories"))
    return diagnostics.enabled(settings, kind, groups)


LOG_SOURCES = ("cluster", "diagnostic-settings", "workspaces")


@judges("governance.audit-logs", reads=LOG_SOURCES, also=("diagnostic-categories",))
def audit_logs(evidence: Evidence) -> Finding:
    """Who changed what, and who signed in."""
    logs = governance("logs")
    have = _collected(evidence, "logs")
    audit = [name for name in logs["audit"] if name in have]
    missing = ([] if logs["guard"] in have else [logs["guard"]]) + ([] if audit else [" or ".join(logs["audit"])])
    observed = ", ".join(name for name in [logs["guard"], *logs["audit"]] if name in have) or "neither"
    expected, object_id = f"{logs['guard']} and {logs['audit'][0]}", evidence.cluster_id
    if missing:
        return failed(observed, expected, f"not collected: {', '.join(missing)}", object_id)
    if "kube-audit" in have:
        reason = "kube-audit holds every get and list as well, which costs more than all other logs together"
        return warned(observed, expected, reason, object_id)
    return passed(observed, expected, object_id)


@judges("governance.platform-logs", reads=LOG_SOURCES, also=("diagnostic-categories",))
def platform_logs(evidence: Evidence) -> Finding:
    """What the controllers and the autoscaler did, and the platform's metrics."""
    logs = governance("logs")
    have, metrics = _collected(evidence, "logs"), _collected(evidence, "metrics")
    wanted = str(logs["metrics"])
    missing = [name for name in logs["platform"] if name not in have]
    if wanted.lower() not in metrics:
        missing.append(f"the metric {wanted}")
    shown = [*sorted(have & diagnostics.known()), *([wanted] if wanted.lower() in metrics else [])]
    observed = ", ".join(shown) or "none"
    expected, object_id = f"{', '.join(logs['platform'])} and the metric {logs['metrics']}", evidence.cluster_id
    if missing:
        return failed(observed, expected, f"not collected: {', '.join(missing)}", object_id)
    beside = [name for name in logs["information"] if name not in have]
    note = f"for your information: {', '.join(beside)} not collected, which the baseline does not ask for"
    return passed(observed, expected, object_id, note if beside else "")


@judges("governance.logs-arriving", reads=("cluster", "audit-rows"), also=("workspaces", "diagnostic-settings"))
def logs_arriving(evidence: Evidence) -> Finding:
    """Rows of the last two hours; in the first hour of a setting nothing is said."""
    rows = evidence.read("audit-rows")
    expected = "audit rows of the last two hours"
    workspaces = evidence.maybe("workspaces") or {}
    object_id = str(at(workspaces.get(rows["workspace"]), "id") or evidence.cluster_id)
    if not rows["table"]:
        return unknown("the table is not there yet: it appears with the first row", expected, object_id)
    observed = f"{rows['count']} rows"
    if rows["count"] > 0:
        return passed(observed, expected, object_id)
    if _young(evidence, workspaces.get(rows["workspace"])):
        return unknown("no row yet, and the setting is younger than an hour", expected, object_id)
    reason = "the setting is on and nothing arrives: rights, a cap that is reached, or nobody changed anything"
    return failed(observed, expected, reason, object_id)


def _young(evidence: Evidence, workspace: Object | None) -> bool:
    """True if the setting cannot be an hour old: itself, or the workspace or the cluster that it joins, is not."""
    settings = evidence.maybe("diagnostic-settings") or []
    ours = diagnostics.targeting(settings, [workspace] if workspace else [])
    moments = [at(item, "systemData.createdAt") for item in [*ours, evidence.cluster]]
    return any(
        evidence.now - moment < FIRST_ROWS for moment in times([*moments, at(workspace, "properties.createdDate")])
    )


def times(values: Iterable[object]) -> list[datetime]:
    """Those of `values` that are moments in ISO 8601, with a time zone."""
    found = []
    for value in values:
        try:
            moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        except ValueError:
            continue
        if moment.tzinfo is not None:
            found.append(moment)
    return found


def add_on(evidence: Evidence, feature: str, expected: str) -> Iterator[Finding]:
    """The workloads of an add-on that is on, as far as the API server lets one see them: each there and ready."""
    running = {
        (item["kind"], f"{item['namespace']}/{item['name']}"): item for item in evidence.maybe("workloads") or []
    }
    if evidence.maybe("workloads") is None:
        return
    for kind, name in system_workloads(feature):
        item = running.get((kind, name))
        if item is None:
            yield failed(f"no {kind} {name}", expected, f"the add-on is on, and {name} is missing", evidence.cluster_id)
        elif item["ready"] < item["wanted"] or not item["wanted"]:
            observed = f"{kind} {name}: {item['ready']} of {item['wanted']}"
            yield failed(observed, expected, f"{name} is not fully ready", evidence.cluster_id)


@judges("governance.container-insights", also=("workloads",))
def container_insights(evidence: Evidence) -> Iterator[Finding]:
    """The monitoring add-on, with an identity in place of a key, and its agents ready."""
    profile = at(evidence.cluster, "properties.addonProfiles.omsagent")
    expected, object_id = "the add-on with a workspace and useAADAuth, its agents ready", evidence.cluster_id
    if not is_on(at(profile, "enabled")):
        observed = "omsagent off" if profile else "omsagent absent"
        yield failed(observed, expected, "what containers write is gone with them", object_id)
        return
    workspace = at(profile, "config.logAnalyticsWorkspaceResourceID")
    if not workspace:
        yield failed("omsagent without a workspace", expected, "the agents have nowhere to send to", object_id)
        return
    observed = f"omsagent on, workspace {str(workspace).rsplit('/', 1)[-1]}"
    broken = list(add_on(evidence, "container-insights", expected))
    yield from broken
    if not is_on(at(profile, "config.useAADAuth")):
        reason = "the agents sign in with the workspace's key, which does not expire and is shared"
        yield warned(
            f"{observed}, useAADAuth {at(profile, 'config.useAADAuth') or 'absent'}", expected, reason, object_id
        )
    elif not broken:
        yield passed(f"{observed}, useAADAuth true", expected, object_id)


@judges("governance.managed-prometheus", also=("workloads",))
def managed_prometheus(evidence: Evidence) -> Iterator[Finding]:
    """Metrics in Prometheus' form, kept by Azure Monitor."""
    metrics = at(evidence.cluster, "properties.azureMonitorProfile.metrics.enabled")
    expected, object_id = "azureMonitorProfile.metrics.enabled true, its agents ready", evidence.cluster_id
    if not is_on(metrics):
        observed = f"metrics.enabled {'absent' if metrics is None else 'false'}"
        yield failed(observed, expected, "nobody keeps the metrics of nodes and pods", object_id)
        return
    broken = list(add_on(evidence, "managed-prometheus", expected))
    yield from broken
    if not broken:
        yield passed("metrics.enabled true", expected, object_id)
