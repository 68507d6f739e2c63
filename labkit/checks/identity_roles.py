"""Checks of what workload identities may do, and of the vaults that they read."""

from __future__ import annotations

from collections.abc import Iterator

from labkit.checks.core import Finding, failed, passed, skipped, warned
from labkit.checks.evidence import Evidence, Object
from labkit.checks.facts import role_name
from labkit.checks.governance_access import encloses, holding, role_of
from labkit.checks.identity_workloads import NOBODY
from labkit.checks.lookup import at, is_on, same
from labkit.checks.registry import judges


def is_wide(scope: object) -> bool:
    """Whether a scope is a resource group or above one."""
    text = str(scope or "").rstrip("/").lower()
    return "/providers/" not in text or "/providers/microsoft.management/" in text


@judges("identity.least-privilege", reads=("cluster", "identities", "identity-roles"))
def least_privilege(evidence: Evidence) -> Iterator[Finding]:
    """A role on the one resource that the application needs."""
    identities = evidence.read("identities")
    expected = "roles on single resources; none that manages or gives rights"
    if not identities:
        yield skipped(NOBODY, expected, evidence.cluster_id)
    for one in identities:
        assignments = evidence.read("identity-roles").get(one["principalId"], [])
        held = ", ".join(role_name(role_of(item)) for item in assignments) or "no role"
        observed, object_id = f"{one['name']}: {held}", str(one["id"])
        powerful = holding(assignments, "management")
        wide = [item for item in assignments if is_wide(at(item, "properties.scope"))]
        if powerful:
            reason = f"{role_name(role_of(powerful[0]))} on {at(powerful[0], 'properties.scope')} is what an attacker in the pod has"
            yield failed(observed, expected, reason, object_id)
        elif wide:
            reason = f"{role_name(role_of(wide[0]))} holds in all of {at(wide[0], 'properties.scope')}"
            yield warned(observed, expected, reason, object_id)
        else:
            yield passed(observed, expected, object_id)


@judges("identity.keyvault-access", reads=("vaults",), also=("identities", "identity-roles"))
def keyvault_access(evidence: Evidence) -> Iterator[Finding]:
    """Roles decide, what is deleted can come back, not everybody may knock, and who reads may only read."""
    vaults = evidence.read("vaults")
    if not vaults:
        yield skipped("the lab has no key vault", "", evidence.cluster_id)
    for vault in vaults:
        yield from _vault(evidence, vault)


def _vault(evidence: Evidence, vault: Object) -> Iterator[Finding]:
    properties, object_id, name = vault["properties"] or {}, str(vault["id"]), str(vault["name"])
    expected = "roles, soft delete, purge protection, network rules; readers hold Key Vault Secrets User and no more"
    problems = list(_protection(properties, name, expected, object_id))
    problems += list(_readers(evidence, name, expected, object_id))
    yield from problems
    if not problems:
        yield passed(f"{name}: roles, protected, closed", expected, object_id)


def _protection(properties: Object, name: str, expected: str, object_id: str) -> Iterator[Finding]:
    if not is_on(properties.get("enableRbacAuthorization")):
        reason = "access policies stand in the vault alone: no scope, no condition, no review of who may what"
        yield failed(f"{name}: enableRbacAuthorization false", expected, reason, object_id)
    if properties.get("enableSoftDelete") is False:
        yield failed(f"{name}: enableSoftDelete false", expected, "what is deleted is gone", object_id)
    if not is_on(properties.get("enablePurgeProtection")):
        reason = "whoever may purge can destroy what was deleted, before its time"
        yield warned(f"{name}: enablePurgeProtection absent", expected, reason, object_id)
    public, action = properties.get("publicNetworkAccess"), at(properties, "networkAcls.defaultAction")
    if not (same(public, "Disabled") or same(action, "Deny")):
        observed = f"{name}: public network access {public or 'absent'}, default action {action or 'absent'}"
        yield warned(observed, expected, "a token that leaks opens it from anywhere", object_id)


def _readers(evidence: Evidence, name: str, expected: str, object_id: str) -> Iterator[Finding]:
    """What the workload identities hold at the vault."""
    roles = evidence.maybe("identity-roles") or {}
    readers = 0
    for one in evidence.maybe("identities") or []:
        held = [
            item
            for item in roles.get(one["principalId"], [])
            if encloses(at(item, "properties.scope"), object_id)
            or str(at(item, "properties.scope")).lower().startswith(object_id.lower() + "/secrets/")
        ]
        too_much = holding(held, "vault-manage")
        readers += bool(holding(held, "vault-read"))
        if too_much:
            reason = f"with {role_name(role_of(too_much[0]))} the application may change what it should only read"
            yield failed(f"{name}: {one['name']}", expected, reason, object_id)
    if evidence.maybe("identities") and not readers:
        reason = "no workload identity holds Key Vault Secrets User here, so that the applications read nothing"
        yield failed(f"{name}: no reader", expected, reason, object_id)
