"""Faults of GitOps, one a row, as in `faults`."""

from __future__ import annotations

from typing import Any

from labkit.checks.evidence import Evidence, Problem
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
    profile_2021,
    put,
    source,
)

KURED = {"name": "kured", "namespace": "kured", "wanted": 3, "ready": 3}
BEHIND = ("status.lastAppliedRevision", "main@sha1:" + "f" * 40)
OLD_CHARTS = {
    "kind": "HelmRepository",
    "namespace": "flux-system",
    "name": "charts",
    "generation": 1,
    "spec": {"url": "https://acraksbaseline.azurecr.io/helm/v1/repo"},
    "status": {},
}


def flux_object(source: str, index: int, path: str, value: Any) -> Seed:
    """Set what is at `path` of the object that `source` holds at `index`."""
    return put(source, f"{index}.{path}", value)


def not_ready(source: str, index: int, reason: str) -> Seed:
    """An object of Flux that has failed."""
    condition = {"type": "Ready", "status": "False", "reason": reason, "message": "it says why"}
    return flux_object(source, index, "status.conditions", [condition])


def configuration(path: str, value: Any) -> Seed:
    return put("flux-configurations", f"0.properties.{path}", value)


def enforce(value: str) -> Seed:
    return put("extensions", "0.properties.configurationSettings", {"multiTenancy.enforce": value})


def drop_deployment(name: str) -> Seed:
    def seed(evidence: Evidence) -> None:
        found = evidence.sources["flux-deployments"]
        evidence.sources["flux-deployments"] = [item for item in found if item["name"] != name]

    return seed


def flux_release(version: str) -> Seed:
    def seed(evidence: Evidence) -> None:
        for item in evidence.sources["flux-deployments"]:
            item["labels"]["app.kubernetes.io/version"] = version
            item["containers"][0]["image"] = "source-controller"

    return seed


def flux_flags(*flags: str) -> Seed:
    def seed(evidence: Evidence) -> None:
        for item in evidence.sources["flux-deployments"]:
            item["containers"][0]["args"] = list(flags)

    return seed


def document(**fields: Any) -> Seed:
    """One more document in the repository."""

    def seed(evidence: Evidence) -> None:
        blank = {"file": "apps/more.yaml", "apiVersion": "v1", "kind": "ConfigMap", "name": "more", "namespace": ""}
        evidence.sources["repository"]["documents"].append({**blank, **fields})

    return seed


GITOPS_FAULTS: list[tuple[str, str, Any, Seed]] = [
    ("gitops.installed", "Azure unread, its agents there", PASS, source("extensions", DENIED)),
    (
        "gitops.installed",
        "Azure unread, controllers alone",
        FAIL,
        both(source("extensions", DENIED), drop_deployment("fluxconfig-agent")),
    ),
    ("gitops.installed", "none", FAIL, both(source("extensions", []), source("flux-deployments", []))),
    ("gitops.installed", "controllers alone", FAIL, source("extensions", [])),
    ("gitops.installed", "both", FAIL, flux_object("kustomizations", 0, "name", "flux-system")),
    (
        "gitops.installed",
        "a bootstrap alone",
        PASS,
        both(source("extensions", []), flux_object("kustomizations", 0, "name", "flux-system")),
    ),
    ("gitops.extension-health", "failed", FAIL, put("extensions", "0.properties.provisioningState", "Failed")),
    (
        "gitops.extension-health",
        "stays as it is",
        FAIL,
        put("extensions", "0.properties.autoUpgradeMinorVersion", False),
    ),
    ("gitops.extension-health", "preview", FAIL, put("extensions", "0.properties.releaseTrain", "Preview")),
    ("gitops.extension-health", "old", FAIL, put("extensions", "0.properties.currentVersion", "1.21.0")),
    ("gitops.extension-health", "bootstrap", SKIP, source("extensions", [])),
    ("gitops.controllers-ready", "scaled to zero", FAIL, put("flux-deployments", "0.available", 0)),
    ("gitops.controllers-ready", "no helm-controller", FAIL, drop_deployment("helm-controller")),
    (
        "gitops.controllers-ready",
        "no helm-controller, no release",
        PASS,
        both(drop_deployment("helm-controller"), source("helm-releases", [])),
    ),
    (
        "gitops.controllers-ready",
        "an Alert, and nobody to send it",
        FAIL,
        both(drop_deployment("notification-controller"), source("notifications", [{"kind": "Alert"}])),
    ),
    ("gitops.controllers-ready", "no agent", FAIL, drop_deployment("fluxconfig-agent")),
    ("gitops.flux-version", "old", FAIL, flux_release("v2.6.4")),
    ("gitops.flux-version", "newer than known", PASS, flux_release("v2.10.0")),
    ("gitops.flux-version", "not tested with it", WARN, flux_release("v2.7.5")),
    (
        "gitops.flux-version",
        "the extension's",
        WARN,
        put("extensions", "0.properties.currentVersion", "1.24.1"),
    ),
    ("gitops.flux-version", "no label", UNKNOWN, flux_release("")),
    ("gitops.flux-version", "no Flux", SKIP, source("flux-deployments", [])),
    ("gitops.api-versions", "left over", FAIL, put("flux-definitions", "0.stored", ["v1beta2", "v1"])),
    ("gitops.api-versions", "a release's", FAIL, put("flux-definitions", "1.stored", ["v2beta2", "v2"])),
    ("gitops.tenancy-lockdown", "switched off", WARN, enforce("false")),
    ("gitops.tenancy-lockdown", "a bootstrap without flags", WARN, source("extensions", [])),
    (
        "gitops.tenancy-lockdown",
        "programs in kubeconfigs",
        FAIL,
        both(source("extensions", []), flux_flags("--insecure-kubeconfig-exec=true")),
    ),
    (
        "gitops.tenancy-lockdown",
        "no network policies",
        WARN,
        both(
            source("extensions", []),
            flux_flags("--no-cross-namespace-refs=true", "--no-remote-bases=true"),
            source("flux-network-policies", []),
        ),
    ),
    (
        "gitops.tenancy-lockdown",
        "a bootstrap with flags",
        PASS,
        both(source("extensions", []), flux_flags("--no-cross-namespace-refs=true", "--no-remote-bases=true")),
    ),
    ("gitops.reboot-daemon", "one too many", WARN, source("reboot-daemon", [KURED])),
    (
        "gitops.reboot-daemon",
        "missing",
        FAIL,
        cluster("autoUpgradeProfile.nodeOSUpgradeChannel", "Unmanaged"),
    ),
    ("gitops.reboot-daemon", "missing in 2021", FAIL, profile_2021),
    ("gitops.reboot-daemon", "there in 2021", PASS, both(profile_2021, source("reboot-daemon", [KURED]))),
    ("gitops.source-ready", "none", FAIL, source("git-sources", [])),
    ("gitops.source-ready", "not fetched", FAIL, not_ready("git-sources", 0, "GitOperationFailed")),
    ("gitops.source-ready", "suspended", FAIL, flux_object("git-sources", 0, "spec.suspend", True)),
    ("gitops.source-ready", "not observed", FAIL, flux_object("git-sources", 0, "status.observedGeneration", 1)),
    ("gitops.source-ready", "no artifact", FAIL, flux_object("git-sources", 0, "status.artifact", {})),
    ("gitops.source-ready", "never seen", FAIL, flux_object("git-sources", 0, "status.conditions", [])),
    ("gitops.source-auth", "http", FAIL, flux_object("git-sources", 0, "spec.url", "http://git.example.com/x")),
    (
        "gitops.source-auth",
        "a password in the address",
        FAIL,
        flux_object("git-sources", 0, "spec.url", "https://ada:secret@git.example.com/x"),
    ),
    ("gitops.kustomizations-ready", "none", FAIL, source("kustomizations", [])),
    ("gitops.kustomizations-ready", "failed", FAIL, not_ready("kustomizations", 1, "BuildFailed")),
    ("gitops.kustomizations-ready", "suspended", FAIL, flux_object("kustomizations", 1, "spec.suspend", True)),
    ("gitops.kustomizations-ready", "on its way", WARN, flux_object("kustomizations", 1, *BEHIND)),
    (
        "gitops.kustomizations-ready",
        "left behind",
        FAIL,
        both(
            flux_object("kustomizations", 1, *BEHIND),
            flux_object("git-sources", 0, "status.artifact.lastUpdateTime", "2026-11-22T08:00:00Z"),
        ),
    ),
    ("gitops.kustomization-prune", "off", FAIL, flux_object("kustomizations", 2, "spec.prune", False)),
    (
        "gitops.kustomization-prune",
        "Azure's default",
        FAIL,
        put("flux-configurations", "0.properties.kustomizations.cluster.prune", GONE),
    ),
    ("gitops.kustomization-order", "no order", FAIL, flux_object("kustomizations", 2, "spec.dependsOn", [])),
    ("gitops.kustomization-order", "no wait", FAIL, flux_object("kustomizations", 1, "spec.wait", False)),
    ("gitops.kustomization-order", "no timeout", WARN, flux_object("kustomizations", 1, "spec.timeout", "")),
    (
        "gitops.kustomization-order",
        "a circle",
        FAIL,
        flux_object("kustomizations", 1, "spec.dependsOn", [{"name": "apps-staging"}]),
    ),
    ("gitops.fluxconfig-compliant", "not so", FAIL, configuration("complianceState", "Non-Compliant")),
    ("gitops.fluxconfig-compliant", "failed", FAIL, configuration("provisioningState", "Failed")),
    ("gitops.fluxconfig-compliant", "suspended", FAIL, configuration("suspend", True)),
    ("gitops.fluxconfig-compliant", "silent", WARN, configuration("statusUpdatedAt", "2026-11-22T09:00:00Z")),
    ("gitops.fluxconfig-compliant", "pending for hours", FAIL, configuration("complianceState", "Pending")),
    (
        "gitops.fluxconfig-compliant",
        "just made",
        WARN,
        both(
            configuration("complianceState", "Pending"),
            put("flux-configurations", "0.systemData.createdAt", "2026-11-22T11:55:00Z"),
        ),
    ),
    ("gitops.fluxconfig-compliant", "none", FAIL, source("flux-configurations", [])),
    (
        "gitops.fluxconfig-compliant",
        "bootstrap",
        SKIP,
        both(source("flux-configurations", []), source("extensions", [])),
    ),
    (
        "gitops.helm-source",
        "somebody else's",
        FAIL,
        flux_object("git-sources", 1, "spec.url", "oci://ghcr.io/kubereboot/charts/kured"),
    ),
    (
        "gitops.helm-source",
        "az acr helm",
        FAIL,
        source("helm-repositories", [OLD_CHARTS]),
    ),
    ("gitops.helm-source", "not fetched", FAIL, not_ready("git-sources", 1, "OCIPullFailed")),
    ("gitops.helm-source", "no releases", SKIP, source("helm-releases", [])),
    ("gitops.helmreleases-ready", "failed", FAIL, not_ready("helm-releases", 0, "InstallFailed")),
    (
        "gitops.helmreleases-ready",
        "stalled",
        FAIL,
        flux_object(
            "helm-releases",
            0,
            "status.conditions",
            [{"type": "Stalled", "status": "True", "reason": "RetriesExceeded", "message": "gave up"}],
        ),
    ),
    (
        "gitops.helmreleases-ready",
        "any version",
        WARN,
        flux_object("helm-releases", 0, "spec", {"chart": {"spec": {"chart": "kured", "version": "*"}}}),
    ),
    ("gitops.helmreleases-ready", "none", SKIP, source("helm-releases", [])),
    ("gitops.repo-api-versions", "a beta of Flux", FAIL, document(apiVersion="helm.toolkit.fluxcd.io/v2beta2")),
    (
        "gitops.repo-api-versions",
        "a beta of Kubernetes",
        FAIL,
        document(apiVersion="policy/v1beta1", kind="PodDisruptionBudget"),
    ),
    (
        "gitops.repo-api-versions",
        "an Alert of today",
        PASS,
        document(apiVersion="notification.toolkit.fluxcd.io/v1beta3", kind="Alert"),
    ),
    (
        "gitops.repo-api-versions",
        "no YAML",
        FAIL,
        put("repository", "broken", [{"file": "apps/a.yaml", "problem": "it is no YAML in line 3"}]),
    ),
    ("gitops.repo-api-versions", "no checkout", SKIP, source("repository", Problem(SKIP, "no checkout"))),
    ("gitops.repo-layout", "no infrastructure", FAIL, put("repository", "folders", ["apps", "clusters/aks-baseline"])),
    (
        "gitops.repo-layout",
        "a path that leads nowhere",
        FAIL,
        document(apiVersion="kustomize.toolkit.fluxcd.io/v1", kind="Kustomization", spec={"path": "./gone"}),
    ),
    (
        "gitops.repo-layout",
        "another cluster's part",
        WARN,
        both(
            flux_object("kustomizations", 0, "name", "flux-system"),
            flux_object("kustomizations", 0, "spec.path", "./clusters/other"),
        ),
    ),
    (
        "gitops.plaintext-secrets",
        "in clear",
        FAIL,
        document(kind="Secret", keys={"password": "plain"}, sops=False),
    ),
    (
        "gitops.plaintext-secrets",
        "encrypted, and nobody to decrypt it",
        FAIL,
        document(kind="Secret", keys={"password": "encrypted"}, sops=True),
    ),
    (
        "gitops.plaintext-secrets",
        "encrypted",
        PASS,
        both(
            document(kind="Secret", keys={"password": "encrypted"}, sops=True),
            document(
                apiVersion="kustomize.toolkit.fluxcd.io/v1",
                kind="Kustomization",
                spec={"decryption": {"provider": "sops"}},
            ),
        ),
    ),
    ("gitops.plaintext-secrets", "a generator", FAIL, document(kind="Kustomization", literals=1)),
]
