"""What is read of logs, roles, the registry, Defender and policy."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from labkit.checks import diagnostics
from labkit.checks.collector import Collector, Reader, bounded
from labkit.checks.core import Status, Unread
from labkit.checks.evidence import Object, api_versions, registry_path, workspace_path
from labkit.checks.lookup import at
from labkit.errors import ReadError

AUTHORIZATION = "providers/Microsoft.Authorization"
INSIGHTS = "providers/Microsoft.Insights"
CONSTRAINTS = "/apis/constraints.gatekeeper.sh/v1beta1"
AT_SCOPE = f"$filter={quote('atScope()')}"
"""Of an Azure list: what is assigned at the scope and above it, and nothing below."""


def read_workspaces(collector: Collector) -> dict[str, Object]:
    """The lab's two workspaces by what they are for: "cluster" and "audit"; one that is not there is left out."""
    settings, subscription = collector.evidence.settings, collector.evidence.subscription_id
    wanted = {
        "cluster": workspace_path(subscription, settings.resource_group, settings.workspace),
        "audit": workspace_path(subscription, settings.audit_resource_group, settings.audit_workspace),
    }
    found = {}
    for use, path in wanted.items():
        try:
            found[use] = collector.arm().get(path, api_versions()["workspaces"])
        except ReadError as error:
            if not error.missing:
                raise
    return found


def read_diagnostic_settings(collector: Collector) -> list[Object]:
    """The diagnostic settings of the cluster."""
    path = f"{collector.cluster()['id']}/{INSIGHTS}/diagnosticSettings"
    return bounded(collector.arm().pages(path, api_versions()["diagnosticSettings"]), "diagnostic settings")


def read_diagnostic_categories(collector: Collector) -> list[Object]:
    """The categories of logs and metrics that the cluster can send."""
    path = f"{collector.cluster()['id']}/{INSIGHTS}/diagnosticSettingsCategories"
    return bounded(collector.arm().pages(path, api_versions()["diagnosticSettings"]), "diagnostic categories")


def read_audit_rows(collector: Collector) -> Object:
    """How many audit rows of the cluster reached a workspace in the last two hours, and by which query."""
    workspaces = collector.needed("workspaces")
    settings = collector.needed("diagnostic-settings")
    for use in ("audit", "cluster"):
        if use not in workspaces:
            continue
        workspace = workspaces[use]
        query = diagnostics.audit_query(
            diagnostics.targeting(settings, [workspace]), str(collector.cluster().get("id", ""))
        )
        if query:
            return {"workspace": use, "query": query, **_counted(collector, workspace, query)}
    raise Unread(
        Status.SKIP, "no diagnostic setting sends audit logs to a workspace of the lab; see governance.audit-logs"
    )


def _counted(collector: Collector, workspace: Object, query: str) -> Object:
    try:
        rows = collector.logs().query(str(at(workspace, "properties.customerId")), query)
    except ReadError as error:
        # A table appears with its first row; until then the service does not know its name (SEM0100).
        if error.status == 400 and "resolve table" in error.message.lower():
            return {"table": False, "count": 0}
        raise
    return {"table": True, "count": int(rows[0][0]) if rows and rows[0] else 0}


def read_role_assignments(collector: Collector) -> list[Object]:
    """Role assignments at the cluster and above it."""
    return _roles(collector, str(collector.cluster()["id"]))


def read_namespace_roles(collector: Collector) -> dict[str, list[Object]]:
    """Role assignments at each application namespace of the cluster and above it, by namespace.

    The portal does not show those of a namespace; the API lists them like others (AKS docs, "Use Azure RBAC for
    Kubernetes authorization").
    """
    cluster_id = str(collector.cluster()["id"])
    namespaces = collector.evidence.settings.application_namespaces
    return {name: _roles(collector, f"{cluster_id}/namespaces/{name}") for name in namespaces}


def _roles(collector: Collector, scope: str) -> list[Object]:
    path = f"{scope}/{AUTHORIZATION}/roleAssignments?{AT_SCOPE}"
    return bounded(collector.arm().pages(path, api_versions()["roleAssignments"]), "role assignments")


def read_registry(collector: Collector) -> Object:
    """The lab's container registry; skips what depends on it when there is none."""
    settings = collector.evidence.settings
    path = registry_path(collector.evidence.subscription_id, settings)
    try:
        return collector.arm().get(path, api_versions()["registries"])
    except ReadError as error:
        if not error.missing:
            raise
        reason = f"there is no registry {settings.registry!r} in the group {settings.registry_resource_group!r}"
        raise Unread(Status.SKIP, reason, path) from error


def read_registry_roles(collector: Collector) -> list[Object]:
    """What the kubelet's identity may do with the registry."""
    identity = at(collector.cluster(), "properties.identityProfile.kubeletidentity.objectId")
    registry = collector.needed("registry")
    query = quote(f"assignedTo('{identity}')")
    path = f"{registry['id']}/{AUTHORIZATION}/roleAssignments?$filter={query}"
    return bounded(collector.arm().pages(path, api_versions()["roleAssignments"]), "role assignments")


def read_defender_plan(collector: Collector) -> Object:
    """The plan Defender for Containers of the subscription."""
    path = f"/subscriptions/{collector.evidence.subscription_id}/providers/Microsoft.Security/pricings/Containers"
    return collector.arm().get(path, api_versions()["pricings"])


def read_policy_assignments(collector: Collector) -> list[Object]:
    """Policy assignments at the cluster and above it."""
    path = f"{collector.cluster()['id']}/{AUTHORIZATION}/policyAssignments?{AT_SCOPE}"
    return bounded(collector.arm().pages(path, api_versions()["policyAssignments"]), "policy assignments")


def read_policy_definitions(collector: Collector) -> dict[str, Object]:
    """The definitions and initiatives that are assigned, by lower-case id.

    One that may not be read, or is gone, is left out: the checks then judge by the lab's own table.
    """
    found: dict[str, Object] = {}
    for assignment in collector.needed("policy-assignments"):
        definition = str(at(assignment, "properties.policyDefinitionId") or "")
        if not definition or definition.lower() in found:
            continue
        initiative = "/policysetdefinitions/" in definition.lower()
        version = api_versions()["policySetDefinitions" if initiative else "policyDefinitions"]
        try:
            found[definition.lower()] = _definition(collector.arm().get(definition, version))
        except ReadError as error:
            if not (error.missing or error.denied):
                raise
    return found


def _definition(item: Object) -> Object:
    """Parameters and members, without the rules and templates, which are long."""
    properties = item.get("properties") or {}
    members = [
        {key: member.get(key) for key in ("policyDefinitionId", "policyDefinitionReferenceId", "parameters")}
        for member in at(properties, "policyDefinitions") or []
    ]
    return {"id": item.get("id"), "parameters": at(properties, "parameters") or {}, "members": members}


def read_constraints(collector: Collector) -> list[Object]:
    """Gatekeeper's constraints of every kind; none where Gatekeeper is not."""
    kubernetes = collector.kubernetes()
    try:
        kinds = kubernetes.get(CONSTRAINTS).get("resources") or []
    except ReadError as error:
        if error.missing:
            return []
        raise
    found: list[Object] = []
    for kind in kinds:
        name = str(kind.get("name", ""))
        if "/" not in name:
            found += bounded(kubernetes.pages(f"{CONSTRAINTS}/{name}"), "constraints", keep=_constraint)
    return found


def _constraint(item: Object) -> Object:
    metadata, status = item.get("metadata") or {}, item.get("status")
    kept = None
    if status is not None:
        kept = {key: status.get(key) for key in ("totalViolations", "auditTimestamp")}
        kept["violations"] = [
            {key: violation.get(key) for key in ("kind", "namespace", "name", "message")}
            for violation in (status.get("violations") or [])[:VIOLATIONS]
        ]
    return {
        "kind": item.get("kind", ""),
        "name": metadata.get("name", ""),
        "annotations": metadata.get("annotations") or {},
        "enforcementAction": at(item, "spec.enforcementAction") or "deny",
        "parameters": at(item, "spec.parameters") or {},
        "excludedNamespaces": at(item, "spec.match.excludedNamespaces") or [],
        "status": kept,
    }


VIOLATIONS = 20
"""Violations kept of a constraint, and shown."""


def read_cluster_role_bindings(collector: Collector) -> list[Object]:
    """The cluster role bindings: whom they bind, and to what."""
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    return bounded(collector.kubernetes().pages(path), "cluster role bindings", keep=_binding)


def _binding(item: Object) -> Object:
    return {
        "name": (item.get("metadata") or {}).get("name", ""),
        "roleRef": item.get("roleRef") or {},
        "subjects": item.get("subjects") or [],
    }


READERS: Mapping[str, Reader] = {
    "workspaces": read_workspaces,
    "diagnostic-settings": read_diagnostic_settings,
    "diagnostic-categories": read_diagnostic_categories,
    "audit-rows": read_audit_rows,
    "role-assignments": read_role_assignments,
    "namespace-roles": read_namespace_roles,
    "registry": read_registry,
    "registry-roles": read_registry_roles,
    "defender-plan": read_defender_plan,
    "policy-assignments": read_policy_assignments,
    "policy-definitions": read_policy_definitions,
    "constraints": read_constraints,
    "cluster-role-bindings": read_cluster_role_bindings,
}
"""Each source of governance, and how it is read."""
