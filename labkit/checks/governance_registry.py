"""Checks of the container registry and of Defender for Containers."""

from __future__ import annotations

from collections.abc import Iterator

from labkit.checks.core import Finding, Status, failed, passed, warned
from labkit.checks.evidence import Evidence, registry_path
from labkit.checks.facts import governance, role_name, roles
from labkit.checks.governance_access import encloses, holding, role_of
from labkit.checks.governance_logs import add_on
from labkit.checks.lookup import at, is_on, same
from labkit.checks.registry import judges

SENSOR = "microsoft-defender-collector-ds"


def _off(evidence: Evidence, key: str, reason: str) -> Finding:
    registry = evidence.read("registry")
    value, object_id = at(registry, f"properties.{key}"), str(at(registry, "id"))
    observed = f"{key} {'absent' if value is None else str(value).lower()}"
    if is_on(value):
        return failed(observed, "false or absent", reason, object_id)
    return passed(observed, "false or absent", object_id)


@judges("governance.acr-admin-user", reads=("registry",))
def acr_admin_user(evidence: Evidence) -> Finding:
    """No password that everybody shares."""
    return _off(evidence, "adminUserEnabled", "one password may push and pull everything, and no log says who used it")


@judges("governance.acr-anonymous-pull", reads=("registry",))
def acr_anonymous_pull(evidence: Evidence) -> Finding:
    """Whoever pulls has signed in."""
    return _off(evidence, "anonymousPullEnabled", "everybody on the internet may pull the images")


@judges("governance.acr-network", reads=("registry",))
def acr_network(evidence: Evidence) -> Finding:
    """Closed to the internet, which only the Premium tier can be."""
    registry = evidence.read("registry")
    object_id, sku = str(at(registry, "id")), str(at(registry, "sku.name") or "absent")
    public = at(registry, "properties.publicNetworkAccess") or "absent"
    action = at(registry, "properties.networkRuleSet.defaultAction") or "absent"
    zones = at(registry, "properties.zoneRedundancy") or "absent"
    observed = f"{sku}, public network access {public}, default action {action}, zone redundancy {zones}"
    expected = "Premium, with public network access Disabled or default action Deny"
    if not same(sku, "Premium"):
        reason = f"the tier {sku} has no network rules, so that the registry is open to every address"
        if same(sku, "Basic"):
            reason += "; Basic has no zones and the least throughput besides"
        return warned(observed, expected, reason, object_id)
    if same(public, "Disabled") or same(action, "Deny"):
        return passed(observed, expected, object_id)
    return failed(observed, expected, "the registry answers every address, though its tier could refuse", object_id)


@judges("governance.acr-pull", reads=("cluster", "registry", "registry-roles"))
def acr_pull(evidence: Evidence) -> Iterator[Finding]:
    """The nodes may pull, by the role that the registry's mode looks at, and may do no more."""
    cluster = evidence.cluster
    problem = evidence.problem("registry")
    if problem is not None and problem.status is Status.SKIP:
        path = registry_path(evidence.subscription_id, evidence.settings)
        yield failed("no registry", "a registry that the nodes may pull from", problem.reason, path)
        return
    registry = evidence.read("registry")
    object_id = str(at(registry, "id"))
    identity = str(at(cluster, "properties.identityProfile.kubeletidentity.objectId") or "")
    abac = same(at(registry, "properties.roleAssignmentMode"), "AbacRepositoryPermissions")
    role = role_name(roles("pull-abac" if abac else "pull-legacy")[0])
    expected = f"{role} for the kubelet's identity, and nothing that may push"
    if not identity:
        yield failed("no kubelet identity", expected, "the nodes have no identity to pull with", evidence.cluster_id)
        return
    assignments = [
        item
        for item in evidence.read("registry-roles")
        if encloses(at(item, "properties.scope"), object_id)
        and (same(at(item, "properties.principalId"), identity) or same(at(item, "properties.principalType"), "Group"))
    ]
    held = ", ".join(role_name(role_of(item)) for item in assignments) or "no role"
    too_much = holding(assignments, "push")
    for item in too_much:
        reason = f"with {role_name(role_of(item))} whoever breaks out of a pod can replace the images of all others"
        yield failed(f"kubelet: {held}", expected, reason, str(at(item, "id") or object_id))
    if not holding(assignments, "pull-abac" if abac else "pull-legacy"):
        ignored = abac and holding(assignments, "pull-legacy")
        reason = f"the kubelet's identity {identity} does not hold {role}, so pods end in ImagePullBackOff"
        if ignored:
            reason = "the registry is in ABAC mode, which ignores AcrPull, so pods end in ImagePullBackOff"
        yield failed(f"kubelet: {held}", expected, reason, object_id)
    elif not too_much:
        yield passed(f"kubelet: {held}", expected, object_id)


@judges("governance.defender-plan", reads=("defender-plan",))
def defender_plan(evidence: Evidence) -> Finding:
    """The plan of the subscription, which scans images and watches clusters."""
    plan = evidence.read("defender-plan")
    tier, object_id = at(plan, "properties.pricingTier"), str(at(plan, "id") or evidence.cluster_id)
    known = governance("defender")["extensions"]
    on = [
        str(at(item, "name"))
        for item in at(plan, "properties.extensions") or []
        if is_on(at(item, "isEnabled")) and any(same(at(item, "name"), name) for name in known)
    ]
    observed, expected = (
        f"pricingTier {tier or 'absent'}, extensions: {', '.join(on) or 'none'}",
        "pricingTier Standard",
    )
    if same(tier, "Standard"):
        return passed(observed, expected, object_id)
    reason = "images are not scanned, and nothing watches what the cluster does"
    if evidence.settings.defender_plan_optional:
        return warned(observed, expected, f"{reason}; the lab's settings allow it, since the plan costs", object_id)
    return failed(observed, expected, reason, object_id)


@judges("governance.defender-sensor", also=("workloads",))
def defender_sensor(evidence: Evidence) -> Iterator[Finding]:
    """The sensor that sees what runs on the nodes."""
    defender = at(evidence.cluster, "properties.securityProfile.defender")
    enabled = at(defender, "securityMonitoring.enabled")
    expected, object_id = f"securityMonitoring on, DaemonSet {SENSOR} ready", evidence.cluster_id
    if not is_on(enabled):
        observed = f"securityMonitoring {'absent' if enabled is None else 'false'}"
        yield failed(observed, expected, "what happens inside the nodes is seen by nobody", object_id)
        return
    broken = list(add_on(evidence, "defender-sensor", expected))
    yield from broken
    if not broken:
        workspace = str(at(defender, "logAnalyticsWorkspaceResourceId") or "").rsplit("/", 1)[-1]
        yield passed(f"securityMonitoring on, workspace {workspace or 'absent'}", expected, object_id)
