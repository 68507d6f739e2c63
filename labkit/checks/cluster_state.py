"""Checks of the cluster as a whole: is it there, on which version, on which tier."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.checks.core import Finding, Status, failed, passed, unknown, warned
from labkit.checks.evidence import Evidence, Object
from labkit.checks.facts import end_of_life, retirement
from labkit.checks.lookup import at, is_on, same
from labkit.checks.registry import judges

TRANSIENT = ("creating", "updating", "upgrading", "scaling", "starting", "stopping", "deleting")
NEAR = 60
"""Days before the end of a version's support from which on a check warns (catalogue, `cluster.kubernetes-version`)."""


@judges("cluster.provisioning-state")
def provisioning_state(evidence: Evidence) -> Iterator[Finding]:
    """Cluster and pools are Succeeded and Running."""
    problem = evidence.problem("cluster")
    if problem is not None and problem.status is Status.SKIP:
        yield failed("not there", "Succeeded, Running", problem.reason, problem.object_id)
        return
    cluster = evidence.cluster
    yield _state(str(cluster.get("name")), cluster.get("properties") or {}, evidence.cluster_id)
    for pool in evidence.pools:
        yield _state(f"pool {pool.get('name')}", pool, evidence.pool_id(pool))


def _state(what: str, properties: Object, object_id: str) -> Finding:
    state, power = at(properties, "provisioningState"), at(properties, "powerState.code")
    observed, expected = f"{what}: {state}, {power}", "Succeeded, Running"
    if same(power, "Stopped"):
        return failed(observed, expected, f"{what} is stopped", object_id)
    if str(state).lower() in TRANSIENT:
        return warned(observed, expected, f"{what} is being changed; look again when that is over", object_id)
    if not same(state, "Succeeded"):
        return failed(observed, expected, f"the last operation on {what} ended as {state}", object_id)
    if not same(power, "Running"):
        return failed(observed, expected, f"{what} is not running", object_id)
    return passed(observed, expected, object_id)


def numbers(version: object) -> tuple[int, ...]:
    """A version as numbers: "1.35.4" and "v1.35.4" as (1, 35, 4); empty for what is no version."""
    found = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", str(version or ""))
    return tuple(int(part) for part in found.groups() if part is not None) if found else ()


@judges("cluster.kubernetes-version", also=("versions",))
def kubernetes_version(evidence: Evidence) -> Finding:
    """The version is offered under the cluster's support plan, or its end is more than 60 days away."""
    properties = evidence.cluster.get("properties") or {}
    version = at(properties, "currentKubernetesVersion") or at(properties, "kubernetesVersion")
    plan = str(at(properties, "supportPlan") or "KubernetesOfficial")
    parts = numbers(version)
    expected = f"a version that AKS supports under {plan}"
    if len(parts) < 2:
        return unknown("the answer names no version", expected, evidence.cluster_id)
    minor = f"{parts[0]}.{parts[1]}"
    offered = evidence.maybe("versions")
    if offered:
        return _offered(evidence, minor, version, plan, offered, expected)
    end = end_of_life(minor, plan)
    if end is None:
        reason = f"the live list was not read, and the table of 21 Aug 2026 does not know {minor}"
        return unknown(reason, expected, evidence.cluster_id)
    days = (end - evidence.now.date()).days
    observed = f"{version}, supported until {end:%d %b %Y}"
    if days < 0:
        return failed(observed, expected, f"support under {plan} ended on {end:%d %b %Y}", evidence.cluster_id)
    if days <= NEAR:
        return warned(observed, expected, f"support under {plan} ends in {days} days", evidence.cluster_id)
    return passed(observed, expected, evidence.cluster_id)


def _offered(
    evidence: Evidence, minor: str, version: object, plan: str, offered: list[Object], expected: str
) -> Finding:
    entry = next((item for item in offered if str(at(item, "version")) == minor), None)
    if entry is None:
        listed = ", ".join(sorted((str(at(item, "version")) for item in offered), key=numbers))
        return failed(
            version, expected, f"{evidence.settings.region} offers {listed}, and not {minor}", evidence.cluster_id
        )
    if is_on(at(entry, "isPreview")):
        return failed(f"{version}, a preview", expected, f"{minor} is in preview", evidence.cluster_id)
    plans = at(entry, "capabilities.supportPlan") or []
    if not any(same(plan, item) for item in plans):
        reason = f"{minor} is supported under {', '.join(plans) or 'no plan'} only, and the cluster is under {plan}"
        return failed(version, expected, reason, evidence.cluster_id)
    return passed(f"{version}, offered under {plan}", expected, evidence.cluster_id)


@judges("cluster.version-skew", also=("nodes",))
def version_skew(evidence: Evidence) -> Iterator[Finding]:
    """No pool is newer than the control plane, and none more than three minors older."""
    control = at(evidence.cluster, "properties.currentKubernetesVersion") or at(
        evidence.cluster, "properties.kubernetesVersion"
    )
    for pool in evidence.pools:
        version = at(pool, "currentOrchestratorVersion") or at(pool, "orchestratorVersion")
        yield _skew(f"pool {pool.get('name')}", numbers(version), numbers(control), evidence.pool_id(pool))
    for node in evidence.maybe("nodes") or []:
        version = numbers(at(node, "nodeInfo.kubeletVersion"))
        # A node that agrees with its pool says nothing new; one that does not was left behind by an upgrade.
        finding = _skew(f"node {node['name']}", version, numbers(control), evidence.cluster_id)
        if finding.status is not Status.PASS:
            yield finding


def _skew(what: str, mine: tuple[int, ...], control: tuple[int, ...], object_id: str) -> Finding:
    shown = ".".join(map(str, mine)) or "no version"
    wanted = ".".join(map(str, control))
    observed, expected = f"{what}: {shown}", f"{wanted}, the control plane's"
    if not mine or not control:
        return unknown(f"{what} or the control plane names no version", expected, object_id)
    shortest = min(len(mine), len(control))
    if mine[:shortest] > control[:shortest]:
        return failed(
            observed, expected, f"{what} is newer than the control plane, which Kubernetes does not support", object_id
        )
    behind = control[1] - mine[1] if control[0] == mine[0] else 99
    if behind > 3:
        return failed(observed, expected, f"{what} is {behind} minor versions behind; three is the limit", object_id)
    if behind == 3:
        return warned(observed, expected, f"{what} is three minor versions behind: at the limit", object_id)
    if behind > 0:
        return warned(
            observed, expected, f"{what} is {behind} minor version{'s' if behind > 1 else ''} behind", object_id
        )
    return passed(observed, expected, object_id)


@judges("cluster.sku-tier")
def sku_tier(evidence: Evidence) -> Finding:
    """Standard or Premium; long-term support needs Premium."""
    tier, plan = at(evidence.cluster, "sku.tier"), at(evidence.cluster, "properties.supportPlan")
    expected = "Standard or Premium"
    if same(plan, "AKSLongTermSupport") and not same(tier, "Premium"):
        reason = "long-term support is part of the Premium tier only"
        return failed(f"{tier}, plan {plan}", "Premium", reason, evidence.cluster_id)
    # The lab reads with one API version, which is newer than 2023-02-01, so "Paid" cannot be a legitimate answer.
    if any(same(tier, name) for name in ("Standard", "Premium")):
        return passed(tier, expected, evidence.cluster_id)
    return failed(tier, expected, f"the {tier} tier has no uptime SLA", evidence.cluster_id)


@judges("cluster.retired-features")
def retired_features(evidence: Evidence) -> Iterator[Finding]:
    """Nothing is on that AKS has retired, or is about to."""
    properties = evidence.cluster.get("properties") or {}
    expected = "off"
    for addon in ("httpApplicationRouting", "kubeDashboard"):
        if is_on(at(properties, f"addonProfiles.{addon}.enabled")):
            yield failed(f"{addon} on", expected, f"the add-on {addon} is retired", evidence.cluster_id)
    if is_on(at(properties, "enablePodSecurityPolicy")):
        reason = "pod security policies are gone from Kubernetes since 1.25"
        yield failed("enablePodSecurityPolicy true", expected, reason, evidence.cluster_id)
    sku = at(properties, "networkProfile.loadBalancerSku")
    if not same(sku, "standard"):
        reason = "the basic load balancer is out of support since 30 Sep 2025"
        yield failed(f"load balancer {sku}", "standard", reason, evidence.cluster_id)
    for pool in evidence.pools:
        kind = at(pool, "type")
        if not any(same(kind, name) for name in ("VirtualMachineScaleSets", "VirtualMachines")):
            reason = f"pool {pool.get('name')} is of a type that is out of support since 30 Sep 2025"
            yield failed(f"{kind}", "VirtualMachineScaleSets or VirtualMachines", reason, evidence.pool_id(pool))
    yield _service_mesh(evidence, properties)


def _service_mesh(evidence: Evidence, properties: Object) -> Finding:
    if not is_on(at(properties, "addonProfiles.openServiceMesh.enabled")):
        return passed("no retired feature is on", "off", evidence.cluster_id)
    end = retirement("open-service-mesh")
    if evidence.now.date() > end:
        return failed("openServiceMesh on", "off", f"Open Service Mesh retired on {end:%d %b %Y}", evidence.cluster_id)
    return warned("openServiceMesh on", "off", f"Open Service Mesh retires on {end:%d %b %Y}", evidence.cluster_id)
