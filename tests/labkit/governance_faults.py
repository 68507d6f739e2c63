"""Faults of governance, one a row, as in `faults`."""

from __future__ import annotations

from typing import Any

from labkit.checks.evidence import Evidence, Problem
from tests.labkit import healthy_governance as healthy
from tests.labkit.faults import (
    DENIED,
    FAIL,
    GONE,
    PASS,
    SKIP,
    UNKNOWN,
    WARN,
    Seed,
    both,
    cluster,
    drop_workload,
    put,
    setting,
    source,
    workload,
)

NO_REGISTRY = Problem(SKIP, "there is no registry 'acraksbaseline' in the group 'rg-aks-baseline-acr'", "/x")
NEW = "2026-11-22T11:45:00Z"
"""A quarter of an hour before the moment of the evidence."""
SCOPE = healthy.CLUSTER.replace("resourcegroups", "resourceGroups")


def space(use: str, path: str, value: Any) -> Seed:
    return put("workspaces", f"{use}.properties.{path}", value)


def sends(path: str, value: Any) -> Seed:
    return put("diagnostic-settings", f"0.properties.{path}", value)


def groups(*names: str) -> Seed:
    """A setting that names category groups in place of categories."""
    return sends("logs", [{"category": None, "categoryGroup": name, "enabled": True} for name in names])


def without(category: str) -> Seed:
    def seed(evidence: Evidence) -> None:
        logs = evidence.sources["diagnostic-settings"][0]["properties"]["logs"]
        logs[:] = [entry for entry in logs if entry["category"] != category]

    return seed


def rows(**values: Any) -> Seed:
    return lambda evidence: evidence.sources["audit-rows"].update(values)


def role(name: str, guid: str, principal: str, kind: str, scope: str = SCOPE) -> Seed:
    """One more role assignment at the cluster."""
    return lambda evidence: evidence.sources["role-assignments"].append(
        healthy.assignment(name, guid, principal, kind, scope)
    )


def pulls(*roles: str, scope: str = healthy.REGISTRY, kind: str = "ServicePrincipal") -> Seed:
    """What the kubelet's identity holds on the registry."""
    return source("registry-roles", [healthy.assignment(name, name, "o", kind, scope) for name in roles])


def binds(**subject: str) -> Seed:
    """One more subject of a binding to cluster-admin."""
    binding = {"name": "mine", "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}, "subjects": [subject]}
    return lambda evidence: evidence.sources["cluster-role-bindings"].append(binding)


LOG_FAULTS: list[tuple[str, str, Any, Seed]] = [
    ("governance.log-workspace", "no workspace for audit", FAIL, put("workspaces", "audit", GONE)),
    ("governance.log-workspace", "no workspace at all", FAIL, source("workspaces", {})),
    ("governance.log-workspace", "denied", UNKNOWN, source("workspaces", DENIED)),
    ("governance.log-workspace", "creation failed", FAIL, space("audit", "provisioningState", "Failed")),
    ("governance.log-workspace", "29 days", FAIL, space("audit", "retentionInDays", 29)),
    ("governance.log-workspace", "31 days", PASS, space("audit", "retentionInDays", 31)),
    ("governance.log-workspace", "a cap", WARN, space("cluster", "workspaceCapping", {"dailyQuotaGb": 0.5})),
    ("governance.log-workspace", "no word of a cap", PASS, space("cluster", "workspaceCapping", GONE)),
    ("governance.diagnostic-setting", "none", FAIL, source("diagnostic-settings", [])),
    ("governance.diagnostic-setting", "denied", UNKNOWN, source("diagnostic-settings", DENIED)),
    ("governance.diagnostic-setting", "another workspace", FAIL, sends("workspaceId", "/other")),
    ("governance.diagnostic-setting", "a storage account only", FAIL, sends("workspaceId", None)),
    ("governance.diagnostic-setting", "the cluster's workspace", WARN, sends("workspaceId", healthy.WORKSPACE)),
    ("governance.diagnostic-setting", "AzureDiagnostics", WARN, sends("logAnalyticsDestinationType", None)),
    ("governance.diagnostic-setting", "by that name", WARN, sends("logAnalyticsDestinationType", "AzureDiagnostics")),
    ("governance.audit-logs", "no guard", FAIL, without("guard")),
    ("governance.audit-logs", "no audit", FAIL, without("kube-audit-admin")),
    ("governance.audit-logs", "guard is off", FAIL, sends("logs.1.enabled", False)),
    ("governance.audit-logs", "kube-audit too", WARN, sends("logs.6.enabled", True)),
    ("governance.audit-logs", "no setting", FAIL, source("diagnostic-settings", [])),
    ("governance.audit-logs", "sent elsewhere", FAIL, sends("workspaceId", "/other")),
    ("governance.audit-logs", "all logs", WARN, groups("allLogs")),
    ("governance.audit-logs", "the group audit, with kube-audit in it", WARN, groups("audit")),
    (
        "governance.audit-logs",
        "the group audit, unread",
        UNKNOWN,
        both(groups("audit"), source("diagnostic-categories", DENIED)),
    ),
    (
        "governance.audit-logs",
        "the group audit without guard",
        FAIL,
        both(groups("audit"), source("diagnostic-categories", [healthy.category("kube-audit-admin", "audit")])),
    ),
    ("governance.platform-logs", "no autoscaler", FAIL, without("cluster-autoscaler")),
    ("governance.platform-logs", "no controllers", FAIL, without("kube-controller-manager")),
    ("governance.platform-logs", "no metrics", FAIL, sends("metrics", [])),
    ("governance.platform-logs", "metrics are off", FAIL, sends("metrics.0.enabled", False)),
    ("governance.platform-logs", "no API server", PASS, both(without("kube-apiserver"), without("kube-scheduler"))),
    ("governance.platform-logs", "all logs", PASS, groups("allLogs")),
    ("governance.platform-logs", "denied", UNKNOWN, source("diagnostic-settings", DENIED)),
    ("governance.logs-arriving", "no rows", FAIL, rows(count=0)),
    ("governance.logs-arriving", "one row", PASS, rows(count=1)),
    ("governance.logs-arriving", "denied", UNKNOWN, source("audit-rows", DENIED)),
    ("governance.logs-arriving", "no table yet", UNKNOWN, rows(count=0, table=False)),
    (
        "governance.logs-arriving",
        "a new workspace",
        UNKNOWN,
        both(rows(count=0), space("audit", "createdDate", "2026-11-22T11:00:01.5Z")),
    ),
    (
        "governance.logs-arriving",
        "an hour old",
        FAIL,
        both(rows(count=0), space("audit", "createdDate", "2026-11-22T11:00:00Z")),
    ),
    (
        "governance.logs-arriving",
        "a new cluster",
        UNKNOWN,
        both(rows(count=0), put("cluster", "systemData", {"createdAt": NEW})),
    ),
    (
        "governance.logs-arriving",
        "a new setting",
        UNKNOWN,
        both(rows(count=0), put("diagnostic-settings", "0.systemData", {"createdAt": NEW})),
    ),
    ("governance.container-insights", "absent", FAIL, cluster("addonProfiles.omsAgent", GONE)),
    ("governance.container-insights", "no add-ons", FAIL, cluster("addonProfiles", GONE)),
    ("governance.container-insights", "off", FAIL, cluster("addonProfiles.omsAgent.enabled", False)),
    ("governance.container-insights", "no workspace", FAIL, cluster("addonProfiles.omsAgent.config", None)),
    ("governance.container-insights", "by key", WARN, cluster("addonProfiles.omsAgent.config.useAADAuth", "false")),
    (
        "governance.container-insights",
        "by key, unsaid",
        WARN,
        cluster("addonProfiles.omsAgent.config.useAADAuth", GONE),
    ),
    ("governance.container-insights", "no agents", FAIL, drop_workload("ama-logs")),
    ("governance.container-insights", "an agent is not ready", FAIL, workload("ama-logs", ready=5)),
    ("governance.container-insights", "agents unread", PASS, source("workloads", DENIED)),
    ("governance.managed-prometheus", "absent", FAIL, cluster("azureMonitorProfile", GONE)),
    ("governance.managed-prometheus", "off", FAIL, cluster("azureMonitorProfile.metrics.enabled", False)),
    ("governance.managed-prometheus", "no agents", FAIL, drop_workload("ama-metrics-node")),
    ("governance.managed-prometheus", "one of two", FAIL, workload("ama-metrics", ready=1)),
    ("governance.managed-prometheus", "agents unread", PASS, source("workloads", DENIED)),
]

ACCESS_FAULTS: list[tuple[str, str, Any, Seed]] = [
    ("governance.rbac-admin-group", "no group", FAIL, put("role-assignments", "1", GONE)),
    ("governance.rbac-admin-group", "nothing assigned", FAIL, source("role-assignments", [])),
    ("governance.rbac-admin-group", "denied", UNKNOWN, source("role-assignments", DENIED)),
    (
        "governance.rbac-admin-group",
        "a person in place of it",
        FAIL,
        put("role-assignments", "1.properties.principalType", "User"),
    ),
    ("governance.rbac-admin-group", "a person besides", FAIL, role("x", healthy.READER, "ada", "User")),
    ("governance.rbac-admin-group", "an application", WARN, role("x", healthy.ADMIN, "robot", "ServicePrincipal")),
    (
        "governance.rbac-admin-group",
        "an application that may",
        PASS,
        both(role("x", healthy.ADMIN, "robot", "ServicePrincipal"), setting("allowed_principals", ["ROBOT"])),
    ),
    (
        "governance.rbac-admin-group",
        "a person above the cluster",
        PASS,
        role("x", healthy.ADMIN, "ada", "User", healthy.GROUP),
    ),
    ("governance.rbac-admin-group", "inherited", PASS, put("role-assignments", "1.properties.scope", healthy.GROUP)),
    (
        "governance.rbac-admin-group",
        "a group at a namespace only",
        FAIL,
        put("role-assignments", "1.properties.scope", f"{SCOPE}/namespaces/staging"),
    ),
    ("governance.rbac-namespace-group", "no role in one", FAIL, put("namespace-roles", "staging.3", GONE)),
    ("governance.rbac-namespace-group", "denied", UNKNOWN, source("namespace-roles", DENIED)),
    ("governance.rbac-namespace-group", "no kubeconfig", FAIL, put("role-assignments", "2", GONE)),
    (
        "governance.rbac-namespace-group",
        "another group's kubeconfig",
        FAIL,
        put("role-assignments", "2.properties.principalId", healthy.ADMINS),
    ),
    (
        "governance.rbac-namespace-group",
        "at the whole cluster",
        FAIL,
        put("namespace-roles", "staging.3.properties.scope", SCOPE),
    ),
    (
        "governance.rbac-namespace-group",
        "a person",
        FAIL,
        put("namespace-roles", "production.3.properties.principalType", "User"),
    ),
    (
        "governance.rbac-namespace-group",
        "too much",
        FAIL,
        put("namespace-roles", "production.3.properties.roleDefinitionId", f"{healthy.ROLES}/{healthy.ADMIN}"),
    ),
    (
        "governance.rbac-namespace-group",
        "RBAC Reader",
        PASS,
        put("namespace-roles", "production.3.properties.roleDefinitionId", f"{healthy.ROLES}/{healthy.READER}".upper()),
    ),
    ("governance.rbac-namespace-group", "no namespaces", SKIP, source("namespace-roles", {})),
    ("governance.cluster-admin-bindings", "a person", FAIL, binds(kind="User", name="ada@contoso.com")),
    ("governance.cluster-admin-bindings", "denied", UNKNOWN, source("cluster-role-bindings", DENIED)),
    ("governance.cluster-admin-bindings", "everybody", FAIL, binds(kind="Group", name="system:authenticated")),
    (
        "governance.cluster-admin-bindings",
        "everybody, though listed",
        FAIL,
        both(
            binds(kind="Group", name="system:unauthenticated"),
            setting("cluster_admins", ["Group:system:unauthenticated"]),
        ),
    ),
    ("governance.cluster-admin-bindings", "nobody at all", FAIL, binds(kind="User", name="system:anonymous")),
    (
        "governance.cluster-admin-bindings",
        "an application's account",
        FAIL,
        binds(kind="ServiceAccount", namespace="staging", name="default"),
    ),
    (
        "governance.cluster-admin-bindings",
        "another account of Flux",
        FAIL,
        binds(kind="ServiceAccount", namespace="flux-system", name="default"),
    ),
    (
        "governance.cluster-admin-bindings",
        "the extension's",
        PASS,
        binds(kind="ServiceAccount", namespace="flux-system", name="flux-applier"),
    ),
    (
        "governance.cluster-admin-bindings",
        "the platform's",
        PASS,
        binds(kind="ServiceAccount", namespace="kube-system", name="anything"),
    ),
    (
        "governance.cluster-admin-bindings",
        "listed",
        PASS,
        both(binds(kind="Group", name="operators"), setting("cluster_admins", ["Group:operators"])),
    ),
    (
        "governance.cluster-admin-bindings",
        "the cluster's own administrators",
        PASS,
        both(cluster("aadProfile.adminGroupObjectIDs", ["g1"]), binds(kind="Group", name="g1")),
    ),
]

REGISTRY_FAULTS: list[tuple[str, str, Any, Seed]] = [
    ("governance.acr-admin-user", "on", FAIL, put("registry", "properties.adminUserEnabled", True)),
    ("governance.acr-admin-user", "absent", PASS, put("registry", "properties.adminUserEnabled", GONE)),
    ("governance.acr-admin-user", "no registry", SKIP, source("registry", NO_REGISTRY)),
    ("governance.acr-admin-user", "denied", UNKNOWN, source("registry", DENIED)),
    ("governance.acr-anonymous-pull", "on", FAIL, put("registry", "properties.anonymousPullEnabled", True)),
    ("governance.acr-anonymous-pull", "absent", PASS, put("registry", "properties.anonymousPullEnabled", GONE)),
    ("governance.acr-anonymous-pull", "no registry", SKIP, source("registry", NO_REGISTRY)),
    ("governance.acr-network", "open", FAIL, put("registry", "properties.networkRuleSet.defaultAction", "Allow")),
    (
        "governance.acr-network",
        "private",
        PASS,
        both(
            put("registry", "properties.networkRuleSet", None),
            put("registry", "properties.publicNetworkAccess", "Disabled"),
        ),
    ),
    ("governance.acr-network", "Standard", WARN, put("registry", "sku.name", "Standard")),
    ("governance.acr-network", "Basic", WARN, put("registry", "sku.name", "Basic")),
    ("governance.acr-network", "no registry", SKIP, source("registry", NO_REGISTRY)),
    ("governance.acr-network", "denied", UNKNOWN, source("registry", DENIED)),
    ("governance.acr-pull", "no role", FAIL, source("registry-roles", [])),
    ("governance.acr-pull", "denied", UNKNOWN, source("registry-roles", DENIED)),
    ("governance.acr-pull", "no registry", FAIL, source("registry", NO_REGISTRY)),
    ("governance.acr-pull", "may push", FAIL, pulls(healthy.PULL, healthy.PUSH)),
    ("governance.acr-pull", "contributor of the group", FAIL, pulls(healthy.PULL, healthy.CONTRIBUTOR)),
    ("governance.acr-pull", "inherited", PASS, pulls(healthy.PULL, scope=healthy.REGISTRY.split("/providers")[0])),
    ("governance.acr-pull", "by a group", PASS, pulls(healthy.PULL, kind="Group")),
    ("governance.acr-pull", "of another registry", FAIL, pulls(healthy.PULL, scope=f"{healthy.REGISTRY}2")),
    ("governance.acr-pull", "no kubelet identity", FAIL, cluster("identityProfile", GONE)),
    ("governance.acr-pull", "mode unsaid", PASS, put("registry", "properties.roleAssignmentMode", GONE)),
    (
        "governance.acr-pull",
        "AcrPull in ABAC mode",
        FAIL,
        put("registry", "properties.roleAssignmentMode", "AbacRepositoryPermissions"),
    ),
    (
        "governance.acr-pull",
        "ABAC",
        PASS,
        both(
            put("registry", "properties.roleAssignmentMode", "AbacRepositoryPermissions"),
            pulls(healthy.REPOSITORY_READER),
        ),
    ),
    ("governance.acr-pull", "ABAC's role in legacy mode", FAIL, pulls(healthy.REPOSITORY_READER)),
    ("governance.defender-plan", "free", FAIL, put("defender-plan", "properties.pricingTier", "Free")),
    ("governance.defender-plan", "denied", UNKNOWN, source("defender-plan", DENIED)),
    (
        "governance.defender-plan",
        "free, as it may be",
        WARN,
        both(put("defender-plan", "properties.pricingTier", "Free"), setting("defender_plan_optional", True)),
    ),
    ("governance.defender-sensor", "a new cluster", FAIL, cluster("securityProfile", {})),
    ("governance.defender-sensor", "off", FAIL, cluster("securityProfile.defender.securityMonitoring.enabled", False)),
    ("governance.defender-sensor", "no sensor", FAIL, drop_workload("microsoft-defender-collector-ds")),
    ("governance.defender-sensor", "not on every node", FAIL, workload("microsoft-defender-collector-ds", ready=5)),
    ("governance.defender-sensor", "unread", PASS, source("workloads", DENIED)),
]

GOVERNANCE_FAULTS = [*LOG_FAULTS, *ACCESS_FAULTS, *REGISTRY_FAULTS]
