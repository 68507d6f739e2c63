"""Checks of Flux itself: that it is there, by one route, healthy, supported and locked down."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.checks.core import Finding, failed, passed, skipped, unknown, warned
from labkit.checks.evidence import Evidence, Object
from labkit.checks.facts import flux
from labkit.checks.lookup import at, is_on, same
from labkit.checks.registry import judges

ROOT = "flux-system"
ALWAYS = ("source-controller", "kustomize-controller")
AGENTS = ("fluxconfig-agent", "fluxconfig-controller")
LOCKED = ("kustomize-controller", "helm-controller", "notification-controller")
POLICIES = ("allow-egress", "allow-scraping", "allow-webhooks")


def extension(evidence: Evidence) -> Object | None:
    """The extension that keeps Flux, or None; without Azure nothing is known of it, so None."""
    found = evidence.maybe("extensions") or []
    return next((item for item in found if same(at(item, "properties.extensionType"), "microsoft.flux")), None)


def _bootstrapped(evidence: Evidence) -> bool:
    labelled = [d for d in evidence.read("flux-deployments") if d["labels"].get("app.kubernetes.io/part-of") == "flux"]
    root = any(k["name"] == ROOT and k["namespace"] == ROOT for k in evidence.read("kustomizations"))
    return bool(labelled) and root


@judges("gitops.installed", reads=("flux-deployments", "kustomizations"), also=("extensions",))
def installed(evidence: Evidence) -> Finding:
    """By the extension or by bootstrap, and not by both."""
    expected = "one route: the extension microsoft.flux, or a bootstrap"
    by_azure, by_hand = extension(evidence), _bootstrapped(evidence)
    if by_azure and by_hand:
        reason = "both reconcile the controllers of flux-system, and each undoes what the other did"
        return failed("the extension and a bootstrap", expected, reason, evidence.cluster_id)
    if by_azure:
        return passed(f"extension {by_azure.get('name')}", expected, str(by_azure.get("id") or evidence.cluster_id))
    if by_hand:
        return passed("a bootstrap, flux-system/flux-system", expected, evidence.cluster_id)
    names = {deployment["name"] for deployment in evidence.read("flux-deployments")}
    if evidence.problem("extensions") and names.issuperset(AGENTS):
        # Azure was not readable; its agents in the cluster say the same.
        return passed(f"the extension, by its agents {' and '.join(AGENTS)}", expected, evidence.cluster_id)
    if names:
        reason = "the controllers are there, and follow no repository that would keep them"
        return failed("controllers without a root Kustomization", expected, reason, evidence.cluster_id)
    return failed("no Flux", expected, "nothing in the cluster follows a repository", evidence.cluster_id)


@judges("gitops.extension-health", reads=("extensions",))
def extension_health(evidence: Evidence) -> Iterator[Finding]:
    """Azure's own Flux is well, and keeps itself up to date."""
    evidence.read("extensions")
    found = extension(evidence)
    expected = "Succeeded, autoUpgradeMinorVersion, release train Stable, a recent version"
    if found is None:
        yield skipped("Flux is not there as an extension", expected, evidence.cluster_id)
        return
    properties, object_id = found.get("properties") or {}, str(found.get("id") or evidence.cluster_id)
    state, error = at(properties, "provisioningState"), at(properties, "errorInfo")
    if not same(state, "Succeeded") or error:
        reason = str(at(error, "message") or f"the extension's last operation ended {state}")
        yield failed(f"provisioningState {state}", expected, reason, object_id)
    if not is_on(at(properties, "autoUpgradeMinorVersion")):
        reason = "the extension stays at its version until somebody upgrades it by hand"
        yield failed("autoUpgradeMinorVersion is off", expected, reason, object_id)
    if not same(at(properties, "releaseTrain") or "Stable", "Stable"):
        observed = f"release train {at(properties, 'releaseTrain')}"
        yield failed(observed, expected, "a preview train is for trying things out", object_id)
    yield _recent(str(at(properties, "currentVersion") or at(properties, "version") or ""), expected, object_id)


def _recent(version: str, expected: str, object_id: str) -> Finding:
    newest = str(flux()["newest_extension"])
    have, want = _numbers(version), _numbers(newest)
    if have is None or want is None:
        return unknown("the answer holds no currentVersion", expected, object_id)
    observed = f"extension {version}"
    if have[0] == want[0] and want[1] - have[1] > 2:
        return failed(observed, expected, f"{newest} is the newest; two minor versions behind is the most", object_id)
    return passed(observed, expected, object_id)


def _numbers(version: str) -> tuple[int, int] | None:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found.group(1)), int(found.group(2))) if found else None


@judges(
    "gitops.controllers-ready",
    reads=("flux-deployments", "helm-releases", "notifications"),
    also=("extensions",),
)
def controllers_ready(evidence: Evidence) -> Iterator[Finding]:
    """Every controller that something in the cluster needs has a pod."""
    deployments = {d["name"]: d for d in evidence.read("flux-deployments")}
    needed = dict.fromkeys(ALWAYS, "Flux does nothing without it")
    if evidence.read("helm-releases"):
        needed["helm-controller"] = "there are HelmReleases that nobody installs"
    if evidence.read("notifications"):
        needed["notification-controller"] = "there are Receivers or Alerts that nobody serves"
    if extension(evidence):
        needed |= dict.fromkeys(AGENTS, "Azure hears nothing of the cluster, and the cluster nothing of Azure")
    for name, without in needed.items():
        found = deployments.get(name)
        if found is None:
            yield failed(f"{name} is not there", "available", without, evidence.cluster_id)
        elif not found["available"]:
            yield failed(f"{name} has no pod", "available", without, evidence.cluster_id)
        else:
            yield passed(f"{name} is available", "available", evidence.cluster_id)


@judges("gitops.flux-version", reads=("flux-deployments",), also=("cluster", "extensions"))
def flux_version(evidence: Evidence) -> Finding:
    """One of the newest three minor versions, and tested with this Kubernetes."""
    known = flux()
    release = _release(evidence)
    expected = f"Flux {known['supported'][-1]} or newer, tested with this Kubernetes"
    if not release:
        if not evidence.read("flux-deployments"):
            return skipped("there is no Flux", expected, evidence.cluster_id)
        return unknown("neither a label nor the extension says which Flux it is", expected, evidence.cluster_id)
    numbers = _numbers(release)
    minor = f"{numbers[0]}.{numbers[1]}" if numbers else release
    observed, object_id = f"Flux {release.lstrip('v')}", evidence.cluster_id
    if minor not in known["supported"]:
        newest = known["supported"][0]
        if numbers and numbers > (_numbers(newest) or (0, 0)):
            return passed(observed, expected, object_id, "newer than what the lab knows of")
        return failed(observed, expected, f"Flux supports its newest three minor versions; {newest} is one", object_id)
    kubernetes = _numbers(str(at(evidence.maybe("cluster"), "properties.currentKubernetesVersion") or ""))
    tested = known["kubernetes"][minor]
    if kubernetes and f"{kubernetes[0]}.{kubernetes[1]}" not in tested:
        reason = f"Flux {minor} is tested with Kubernetes {', '.join(tested)}"
        return warned(f"{observed} on Kubernetes {kubernetes[0]}.{kubernetes[1]}", expected, reason, object_id)
    return passed(observed, expected, object_id)


def _release(evidence: Evidence) -> str:
    """The release of Flux: by label, by the extension's version, or by the image of source-controller."""
    by_azure = extension(evidence)
    if by_azure:
        version = _numbers(str(at(by_azure, "properties.currentVersion") or ""))
        carried = flux()["extension"].get(f"{version[0]}.{version[1]}") if version else None
        if carried:
            return str(carried)
    for deployment in evidence.read("flux-deployments"):
        label = deployment["labels"].get("app.kubernetes.io/version")
        if label and deployment["labels"].get("app.kubernetes.io/part-of") == "flux":
            return str(label)
    for deployment in evidence.read("flux-deployments"):
        image = str((deployment["containers"] or [{}])[0].get("image") or "")
        if deployment["name"] == "source-controller" and _numbers(image.rpartition(":")[2]):
            minor = _numbers(image.rpartition(":")[2])
            carried = flux()["source_controller"].get(f"{minor[0]}.{minor[1]}") if minor else None
            return str(carried or "")
    return ""


@judges("gitops.api-versions", reads=("flux-definitions",))
def api_versions(evidence: Evidence) -> Iterator[Finding]:
    """Nothing is stored in a version that the next Flux does not read."""
    expected = "stored in v1; HelmRelease in v2, Alert and Provider in v1beta3"
    for definition in evidence.read("flux-definitions"):
        if not str(definition["group"]).endswith("toolkit.fluxcd.io"):
            continue
        left = sorted(set(definition["stored"]) & set(flux()["removed_versions"]))
        observed = f"{definition['kind']}: {', '.join(definition['stored']) or 'none'}"
        if left:
            reason = f"{definition['kind']} still has objects stored as {', '.join(left)}"
            yield failed(observed, expected, reason, evidence.cluster_id)
        else:
            yield passed(observed, expected, evidence.cluster_id)


@judges(
    "gitops.tenancy-lockdown",
    reads=("flux-deployments", "flux-network-policies"),
    also=("extensions",),
)
def tenancy_lockdown(evidence: Evidence) -> Iterator[Finding]:
    """What one team's objects may not reach of another's."""
    by_azure = extension(evidence)
    if by_azure:
        value = at(by_azure, "properties.configurationSettings") or {}
        enforced = value.get("multiTenancy.enforce")
        observed, object_id = (
            f"multiTenancy.enforce is {enforced or 'absent, which is on'}",
            str(by_azure.get("id") or ""),
        )
        if enforced is None or is_on(enforced):
            yield passed(observed, "on", object_id)
        else:
            yield warned(observed, "on", "a Kustomization may act with the rights of the controller", object_id)
        return
    yield from _flags(evidence)
    missing = [name for name in POLICIES if name not in evidence.read("flux-network-policies")]
    if evidence.read("flux-deployments") and missing:
        reason = "any pod of the cluster may fetch every artifact from source-controller"
        yield warned(f"no network policy {', '.join(missing)}", ", ".join(POLICIES), reason, evidence.cluster_id)


def _flags(evidence: Evidence) -> Iterator[Finding]:
    expected = "--no-cross-namespace-refs=true, and --no-remote-bases=true of kustomize-controller"
    for deployment in evidence.read("flux-deployments"):
        name = deployment["name"]
        args = [arg for c in deployment["containers"] for arg in c.get("args") or []]
        for flag in ("--insecure-kubeconfig-exec=true", "--insecure-kubeconfig-tls=true"):
            if flag in args:
                yield failed(
                    f"{name} has {flag}", "not set", "a kubeconfig in Git may run programs", evidence.cluster_id
                )
        if name not in LOCKED:
            continue
        wanted = ["--no-cross-namespace-refs=true"]
        wanted += ["--no-remote-bases=true"] if name == "kustomize-controller" else []
        missing = [flag for flag in wanted if flag not in args]
        if missing:
            reason = "fine for one team; with several, one can use another's sources"
            yield warned(f"{name} lacks {', '.join(missing)}", expected, reason, evidence.cluster_id)
        else:
            yield passed(f"{name} is locked down", expected, evidence.cluster_id)


@judges("gitops.reboot-daemon", reads=("cluster", "reboot-daemon"))
def reboot_daemon(evidence: Evidence) -> Finding:
    """Kured where nothing else renews the nodes, and only there."""
    channel = str(at(evidence.cluster, "properties.autoUpgradeProfile.nodeOSUpgradeChannel") or "NodeImage")
    daemons = evidence.read("reboot-daemon")
    running = [d for d in daemons if d["ready"] >= d["wanted"] > 0]
    there = ", ".join(f"{d['namespace']}/{d['name']} {d['ready']}/{d['wanted']}" for d in daemons) or "no kured"
    observed, object_id = f"channel {channel}, {there}", evidence.cluster_id
    if evidence.profile == "2021":
        if running:
            return passed(observed, "kured, ready", object_id)
        return failed(observed, "kured, ready", "patches that need a reboot wait for somebody to do it", object_id)
    if same(channel, "Unmanaged"):
        if running:
            return passed(observed, "kured, ready", object_id)
        reason = "the nodes patch themselves at night, and nobody reboots them afterwards"
        return failed(observed, "kured, ready", reason, object_id)
    if daemons:
        reason = f"with {channel} nodes are replaced or patched by AKS, and kured never sees a reboot to do"
        return warned(observed, "no kured", reason, object_id)
    return passed(observed, "no kured", object_id)
