"""Checks of who may do what in the cluster: Azure's roles, and Kubernetes' own bindings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from labkit.checks.core import Finding, failed, passed, skipped, warned
from labkit.checks.evidence import Evidence, Object
from labkit.checks.facts import governance, role_name, roles
from labkit.checks.lookup import at, same
from labkit.checks.registry import judges


def role_of(assignment: Object) -> str:
    """GUID of the role that is assigned, in lower case."""
    return str(at(assignment, "properties.roleDefinitionId") or "").rsplit("/", 1)[-1].lower()


def encloses(scope: object, object_id: str) -> bool:
    """True if `scope` is `object_id` or above it."""
    outer, inner = str(scope or "").rstrip("/").lower(), object_id.rstrip("/").lower()
    return inner == outer or inner.startswith(f"{outer}/")


def holding(assignments: Iterable[Object], use: str) -> list[Object]:
    """Those of `assignments` whose role is one of those for `use`."""
    wanted = roles(use)
    return [item for item in assignments if role_of(item) in wanted]


@judges("governance.rbac-admin-group", reads=("cluster", "role-assignments"))
def rbac_admin_group(evidence: Evidence) -> Iterator[Finding]:
    """A group administers the cluster, and nobody holds a Kubernetes role by name."""
    assignments, object_id = evidence.read("role-assignments"), evidence.cluster_id
    role = role_name(roles("kubernetes-admin")[0])
    expected = f"{role} for a group; none of the four roles for a person"
    groups = [
        item
        for item in holding(assignments, "kubernetes-admin")
        if same(at(item, "properties.principalType"), "Group") and encloses(at(item, "properties.scope"), object_id)
    ]
    direct = list(_direct(evidence, assignments, expected))
    yield from direct
    if not groups:
        yield failed("no group", expected, f"no group holds {role} on the cluster", object_id)
        return
    at_cluster = [item for item in groups if same(at(item, "properties.scope"), object_id)]
    shown = at_cluster or groups
    observed = f"group {', '.join(str(at(item, 'properties.principalId')) for item in shown)}"
    note = "" if at_cluster else f"inherited from {at(groups[0], 'properties.scope')}"
    if not direct:
        yield passed(observed, expected, str(at(shown[0], "id") or object_id), note)


def _direct(evidence: Evidence, assignments: list[Object], expected: str) -> Iterator[Finding]:
    """People and applications that hold one of the four roles at the cluster itself, and are not expected to."""
    for item in holding(assignments, "kubernetes"):
        kind, principal = str(at(item, "properties.principalType") or ""), str(at(item, "properties.principalId"))
        known = any(same(principal, other) for other in evidence.settings.allowed_principals)
        if known or not same(at(item, "properties.scope"), evidence.cluster_id):
            continue
        observed, object_id = f"{kind} {principal}: {role_name(role_of(item))}", str(at(item, "id") or "")
        if same(kind, "User"):
            reason = f"the person {principal} keeps the role when they change teams; a group would not"
            yield failed(observed, expected, reason, object_id)
        elif same(kind, "ServicePrincipal"):
            reason = f"the application {principal} holds the role; name it in checks.allowed_principals if it should"
            yield warned(observed, expected, reason, object_id)


@judges("governance.rbac-namespace-group", reads=("cluster", "role-assignments", "namespace-roles"))
def rbac_namespace_group(evidence: Evidence) -> Iterator[Finding]:
    """Each team has its namespace, and may fetch the kubeconfig to reach it."""
    found: dict[str, list[Object]] = evidence.read("namespace-roles")
    if not found:
        yield skipped("the lab's settings name no application namespaces", "", evidence.cluster_id)
        return
    fetching = {
        str(at(item, "properties.principalId")).lower()
        for item in holding(evidence.read("role-assignments"), "kubeconfig")
        if encloses(at(item, "properties.scope"), evidence.cluster_id)
    }
    for namespace, assignments in found.items():
        yield _team(evidence, namespace, assignments, fetching)


def _team(evidence: Evidence, namespace: str, assignments: list[Object], fetching: set[str]) -> Finding:
    scope = f"{evidence.cluster_id}/namespaces/{namespace}"
    user = role_name(roles("kubeconfig")[0])
    expected = f"a group with RBAC Reader or Writer at {namespace}, and {user} on the cluster"
    teams = [
        item
        for item in holding(assignments, "kubernetes-namespace")
        if same(at(item, "properties.principalType"), "Group") and same(at(item, "properties.scope"), scope)
    ]
    if not teams:
        reason = f"no group holds RBAC Reader or RBAC Writer at the namespace {namespace}"
        return failed(f"{namespace}: no group", expected, reason, scope)
    for item in teams:
        principal = str(at(item, "properties.principalId"))
        if principal.lower() in fetching:
            return passed(f"{namespace}: group {principal}", expected, str(at(item, "id") or scope))
    reason = f"the group of {namespace} may read its namespace, and not the kubeconfig that leads there"
    names = ", ".join(str(at(item, "properties.principalId")) for item in teams)
    return failed(f"{namespace}: group {names} without {user}", expected, reason, scope)


@judges("governance.cluster-admin-bindings", reads=("cluster-role-bindings",), also=("cluster",))
def cluster_admin_bindings(evidence: Evidence) -> Iterator[Finding]:
    """Past Azure's roles, Kubernetes' own cluster-admin opens everything; only the platform has it."""
    expected = "system:masters, the platform's accounts, and who checks.cluster_admins names"
    count = 0
    for binding in evidence.read("cluster-role-bindings"):
        reference = binding["roleRef"]
        if reference.get("kind") != "ClusterRole" or reference.get("name") != "cluster-admin":
            continue
        count += 1
        for subject in binding["subjects"]:
            yield from _bound(evidence, binding["name"], subject, expected)
    yield passed(f"{count} binding{'' if count == 1 else 's'} of cluster-admin", expected, evidence.cluster_id)


def _bound(evidence: Evidence, binding: str, subject: Object, expected: str) -> Iterator[Finding]:
    known = governance("cluster-admins")
    kind, name, namespace = subject.get("kind"), str(subject.get("name", "")), subject.get("namespace")
    shown = f"{kind}:{namespace}/{name}" if kind == "ServiceAccount" else f"{kind}:{name}"
    object_id = f"clusterrolebindings/{binding}"
    if name in known["everybody"]:
        reason = f"whoever reaches the API server is its administrator, through {name}"
        yield failed(f"{binding} binds {shown}", expected, reason, object_id)
        return
    # AKS itself binds the groups that the cluster names as its administrators (aks-cluster-admin-binding-aad).
    named = at(evidence.maybe("cluster"), "properties.aadProfile.adminGroupObjectIDs") or []
    expected_ones = {
        *known["subjects"],
        *evidence.settings.cluster_admins,
        *(f"Group:{group}" for group in named),
    }
    platform = kind == "ServiceAccount" and namespace in known["namespaces"]
    if shown not in expected_ones and not platform:
        reason = f"{shown} may do everything, and no role in Azure shows it"
        yield failed(f"{binding} binds {shown}", expected, reason, object_id)
