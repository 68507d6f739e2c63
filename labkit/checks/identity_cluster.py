"""Checks of what a cluster needs for workload identity, and of what it replaced."""

from __future__ import annotations

from collections.abc import Iterator

from labkit.checks.core import Finding, failed, passed, skipped, warned
from labkit.checks.evidence import Evidence, Object
from labkit.checks.facts import identity
from labkit.checks.governance_logs import add_on
from labkit.checks.lookup import at, is_on, same
from labkit.checks.registry import judges


def _shown(value: object) -> str:
    return "absent" if value is None else str(value).lower()


def workload_identity_on(cluster: Object) -> bool:
    """Whether the webhook is switched on."""
    return is_on(at(cluster, "properties.securityProfile.workloadIdentity.enabled"))


@judges("identity.oidc-issuer")
def oidc_issuer(evidence: Evidence) -> Finding:
    """The address under which Entra finds the cluster's keys."""
    profile = at(evidence.cluster, "properties.oidcIssuerProfile") or {}
    enabled, issuer = profile.get("enabled"), str(profile.get("issuerURL") or "")
    expected, object_id = "enabled, with an https issuer", evidence.cluster_id
    observed = f"enabled {_shown(enabled)}, issuer {issuer or 'absent'}"
    if is_on(enabled) and issuer.startswith("https://"):
        return passed(observed, expected, object_id)
    return failed(observed, expected, "nobody outside can check the tokens of service accounts", object_id)


@judges("identity.workload-identity")
def workload_identity(evidence: Evidence) -> Finding:
    """The webhook that gives pods their token and tells them where Entra is."""
    enabled = at(evidence.cluster, "properties.securityProfile.workloadIdentity.enabled")
    observed, object_id = f"workloadIdentity {_shown(enabled)}", evidence.cluster_id
    if is_on(enabled):
        return passed(observed, "true", object_id)
    return failed(observed, "true", "pods get no token that Entra takes, so they need a secret of their own", object_id)


@judges("identity.webhook-ready", reads=("cluster", "workloads"))
def webhook_ready(evidence: Evidence) -> Finding:
    """Two webhooks: while there is none, pods that opt in are not admitted."""
    facts, object_id = identity(), evidence.cluster_id
    name, least = facts["webhook"], int(facts["least_webhook"])
    expected = f"Deployment {name} with at least {least} replicas, all available"
    if not workload_identity_on(evidence.cluster):
        return skipped("workload identity is off; see identity.workload-identity", expected, object_id)
    found = next((w for w in evidence.read("workloads") if f"{w['namespace']}/{w['name']}" == name), None)
    if found is None:
        return failed("no such Deployment", expected, "pods that opt in are not admitted", object_id)
    observed = f"{found['ready']} of {found['wanted']} available"
    if found["ready"] >= max(least, found["wanted"]):
        return passed(observed, expected, f"Deployment/{name}")
    reason = "with the last of them gone, no pod that opts in is admitted (failurePolicy Fail)"
    return failed(observed, expected, reason, f"Deployment/{name}")


@judges("identity.pod-identity-removed", reads=("cluster", "pod-identity", "daemonsets", "pods"))
def pod_identity_removed(evidence: Evidence) -> Iterator[Finding]:
    """What the series of 2021 used, and AKS no longer patches."""
    facts, expected, object_id = identity(), "nothing of Entra pod-managed identity", evidence.cluster_id
    why = "aad-pod-identity is archived since September 2023 and gets no fixes"
    enabled = at(evidence.cluster, "properties.podIdentityProfile.enabled")
    found = [("podIdentityProfile.enabled true", object_id)] if is_on(enabled) else []
    if evidence.read("pod-identity"):
        found.append((f"kinds of {facts['pod_identity_group']}", object_id))
    for item in evidence.read("daemonsets"):
        if item["name"] == facts["pod_identity_daemonset"]:
            found.append(
                (f"DaemonSet {item['namespace']}/{item['name']}", f"DaemonSet/{item['namespace']}/{item['name']}")
            )
    for pod in evidence.read("pods"):
        if facts["pod_identity_label"] in pod["labels"]:
            place = f"{pod['namespace']}/{pod['name']}"
            found.append((f"pod {place} with the label {facts['pod_identity_label']}", f"Pod/{place}"))
    for observed, where in found:
        yield failed(observed, expected, why, where)
    if not found:
        yield passed("none", expected, object_id)


@judges("identity.keyvault-addon", also=("workloads",))
def keyvault_addon(evidence: Evidence) -> Iterator[Finding]:
    """Secrets of a vault as files, and new versions of them without a restart."""
    add_ons = at(evidence.cluster, "properties.addonProfiles") or {}
    found = [value for key, value in add_ons.items() if same(key, "azureKeyvaultSecretsProvider")]
    profile: Object = (found[0] if found else None) or {}
    expected, object_id = 'enabled, enableSecretRotation "true", both DaemonSets ready', evidence.cluster_id
    if not is_on(profile.get("enabled")):
        observed = "absent" if not profile else "enabled false"
        reason = "pods that cannot ask a vault themselves get its secrets by hand, and keep old ones"
        yield failed(observed, expected, reason, object_id)
        return
    broken = list(add_on(evidence, "key-vault", expected))
    yield from broken
    config = profile.get("config") or {}
    rotation = next((v for k, v in config.items() if same(k, "enableSecretRotation")), None)
    observed = f"enabled, enableSecretRotation {_shown(rotation)}"
    if not same(rotation, "true"):
        yield warned(observed, expected, "a secret that was changed in the vault stays old in the pods", object_id)
    elif not broken:
        yield passed(observed, expected, object_id)
