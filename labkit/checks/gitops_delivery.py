"""Checks of what Flux delivers: sources, Kustomizations, releases, and what Azure says of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from labkit.checks.core import Finding, failed, passed, skipped, warned
from labkit.checks.evidence import Evidence, Object
from labkit.checks.gitops_flux import extension
from labkit.checks.lookup import at, is_on, same
from labkit.checks.registry import judges

GRACE = timedelta(minutes=2)
"""What a reconciliation may take beyond its interval."""

PENDING = timedelta(minutes=10)
"""How long a Flux configuration may be Pending after it was made."""

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def duration(text: object) -> timedelta:
    """A duration of Go, such as 1h30m or 10m0s."""
    parts = re.findall(r"([\d.]+)(ms|h|m|s)", str(text or ""))
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))


def condition(item: Object, kind: str) -> Object:
    """The condition of a type, or an empty one."""
    found = at(item, "status.conditions") or []
    return next((c for c in found if c.get("type") == kind), {})


def _title(item: Object) -> str:
    return f"{item['kind']} {item['namespace']}/{item['name']}"


def _id(evidence: Evidence, item: Object) -> str:
    return f"{evidence.cluster_id}#{item['kind']}/{item['namespace']}/{item['name']}"


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None


def _ready(evidence: Evidence, item: Object, expected: str) -> Finding | None:
    """What is wrong with an object by its own account, or None."""
    object_id = _id(evidence, item)
    if is_on(at(item, "spec.suspend")):
        return failed(f"{_title(item)} is suspended", expected, "nothing that is pushed arrives", object_id)
    ready = condition(item, "Ready")
    if not ready:
        return failed(f"{_title(item)} says nothing of itself", expected, "no controller has seen it", object_id)
    if ready.get("status") != "True":
        observed = f"{_title(item)}: Ready {ready.get('status')}, {ready.get('reason')}"
        return failed(observed, expected, str(ready.get("message") or ready.get("reason")), object_id)
    if at(item, "status.observedGeneration") != item["generation"]:
        reason = "what its spec says now was not acted upon yet"
        return failed(f"{_title(item)}: generation {item['generation']} not observed", expected, reason, object_id)
    return None


@judges("gitops.source-ready", reads=("git-sources",), also=("repository",))
def source_ready(evidence: Evidence) -> Iterator[Finding]:
    """Each source was fetched, as it is asked for now."""
    expected = "Ready, fetched, not suspended"
    sources = evidence.read("git-sources")
    if not sources:
        yield failed("no source", expected, "Flux has nothing to follow", evidence.cluster_id)
    for item in sources:
        wrong = _ready(evidence, item, expected)
        revision = at(item, "status.artifact.revision")
        if wrong:
            yield wrong
        elif not revision:
            yield failed(f"{_title(item)}: no artifact", expected, "nothing was fetched yet", _id(evidence, item))
        else:
            yield passed(f"{_title(item)} at {revision}", expected, _id(evidence, item))


@judges("gitops.source-auth", reads=("git-sources",))
def source_auth(evidence: Evidence) -> Iterator[Finding]:
    """Over https or ssh, and no password in the address."""
    expected = "https or ssh, no credentials in the URL"
    for item in evidence.read("git-sources"):
        if item["kind"] != "GitRepository":
            continue
        url = str(at(item, "spec.url") or "")
        parts = urlsplit(url)
        object_id = _id(evidence, item)
        if parts.password or (parts.username and parts.scheme == "https"):
            reason = "everyone who may read GitRepositories reads the password; take it back, then make a Secret"
            yield failed(f"{_title(item)}: credentials in the URL", expected, reason, object_id)
        elif parts.scheme not in ("https", "ssh"):
            reason = "whoever is on the way can change what the cluster applies"
            yield failed(f"{_title(item)}: {parts.scheme or 'no scheme'}", expected, reason, object_id)
        else:
            by = at(item, "spec.secretRef.name") or at(item, "spec.provider") or "nobody"
            verified = ", commits verified" if at(item, "spec.verify") else ""
            yield passed(f"{_title(item)}: {parts.scheme}, signed in as {by}{verified}", expected, object_id)


@judges("gitops.kustomizations-ready", reads=("kustomizations", "git-sources"))
def kustomizations_ready(evidence: Evidence) -> Iterator[Finding]:
    """Each is applied, at the revision that its source has."""
    expected = "Ready, at the revision of its source"
    kustomizations = evidence.read("kustomizations")
    if not kustomizations:
        yield failed("no Kustomization", expected, "nothing of the repository is applied", evidence.cluster_id)
    sources = {(s["kind"], s["namespace"], s["name"]): s for s in evidence.read("git-sources")}
    for item in kustomizations:
        yield _ready(evidence, item, expected) or _applied(evidence, item, sources, expected)


def _applied(evidence: Evidence, item: Object, sources: dict[tuple[str, str, str], Object], expected: str) -> Finding:
    ref = at(item, "spec.sourceRef") or {}
    source = sources.get((ref.get("kind", ""), ref.get("namespace") or item["namespace"], ref.get("name", "")))
    have = at(item, "status.lastAppliedRevision")
    want = at(source, "status.artifact.revision") if source else None
    observed, object_id = f"{_title(item)} at {have}", _id(evidence, item)
    if not want or have == want:
        return passed(observed, expected, object_id)
    fetched = _time(at(source, "status.artifact.lastUpdateTime"))
    age = evidence.now - fetched if fetched else timedelta.max
    if age <= duration(at(item, "spec.interval")) + GRACE:
        return warned(observed, f"{want}", "the source has a newer revision, which is on its way", object_id)
    return failed(observed, f"{want}", "the source has a newer revision that never arrived", object_id)


@judges("gitops.kustomization-prune", reads=("kustomizations",), also=("flux-configurations",))
def kustomization_prune(evidence: Evidence) -> Iterator[Finding]:
    """What is deleted in Git is deleted in the cluster."""
    for item in evidence.read("kustomizations"):
        yield _pruned(is_on(at(item, "spec.prune")), _title(item), _id(evidence, item))
    for configuration in evidence.maybe("flux-configurations") or []:
        for name, kustomization in (at(configuration, "properties.kustomizations") or {}).items():
            title = f"kustomization {name} of {configuration.get('name')}"
            yield _pruned(is_on(at(kustomization, "prune")), title, str(configuration.get("id") or ""))


def _pruned(on: bool, title: str, object_id: str) -> Finding:
    if on:
        return passed(f"{title}: prune", "prune: true", object_id)
    reason = "a manifest that is deleted in Git lives on in the cluster, and nobody owns it"
    return failed(f"{title}: no prune", "prune: true", reason, object_id)


@judges("gitops.kustomization-order", reads=("kustomizations",))
def kustomization_order(evidence: Evidence) -> Iterator[Finding]:
    """Applications wait for the infrastructure that they need."""
    items = {(k["namespace"], k["name"]): k for k in evidence.read("kustomizations")}
    expected = "apps depend on infrastructure, which has wait or healthChecks"
    for key, item in items.items():
        object_id = _id(evidence, item)
        before, cycle = _before(key, items)
        if cycle:
            observed = f"{_title(item)} depends on itself"
            yield failed(observed, "no cycle", "each waits for the other, and neither is ever applied", object_id)
            continue
        layers = {_layer(items[other]) for other in before if other in items}
        if _layer(item) == "apps":
            if "infrastructure" in layers:
                yield passed(f"{_title(item)} waits for infrastructure", expected, object_id)
            else:
                reason = "an application may come before the definitions and controllers that it needs"
                yield failed(f"{_title(item)} waits for no infrastructure", expected, reason, object_id)
    for key in {other for item in items.values() for other in _depends(item)} & items.keys():
        item = items[key]
        if not is_on(at(item, "spec.wait")) and not at(item, "spec.healthChecks"):
            reason = "others wait until it is applied, and not until what it applies is well"
            observed = f"{_title(item)}: neither wait nor healthChecks"
            yield failed(observed, expected, reason, _id(evidence, item))
    for item in items.values():
        missing = [field for field in ("timeout", "retryInterval") if not at(item, f"spec.{field}")]
        if missing:
            reason = "a failure is tried again only after the whole interval, and a wait may last as long"
            observed = f"{_title(item)}: no {' and no '.join(missing)}"
            yield warned(observed, "timeout and retryInterval", reason, _id(evidence, item))


def _depends(item: Object) -> list[tuple[str, str]]:
    return [(d.get("namespace") or item["namespace"], d["name"]) for d in at(item, "spec.dependsOn") or []]


def _before(key: tuple[str, str], items: dict[tuple[str, str], Object]) -> tuple[set[tuple[str, str]], bool]:
    """What an object waits for, directly and beyond; and whether it waits for itself."""
    seen: set[tuple[str, str]] = set()
    todo = _depends(items[key])
    while todo:
        other = todo.pop()
        if other == key:
            return seen, True
        if other not in seen:
            seen.add(other)
            todo += _depends(items[other]) if other in items else []
    return seen, False


def _layer(item: Object) -> str:
    """apps or infrastructure, by the path that a Kustomization is of."""
    path = str(at(item, "spec.path") or "").removeprefix("./")
    return next((layer for layer in ("apps", "infrastructure") if path.split("/")[0] == layer), "")


@judges("gitops.fluxconfig-compliant", reads=("flux-configurations",), also=("extensions",))
def fluxconfig_compliant(evidence: Evidence) -> Iterator[Finding]:
    """Azure says that what the repository asks for is so."""
    expected = "Succeeded, Compliant, not suspended"
    configurations = evidence.read("flux-configurations")
    if not configurations and not extension(evidence):
        yield skipped("Flux is not there as an extension", expected, evidence.cluster_id)
        return
    if not configurations:
        yield failed("no Flux configuration", expected, "the extension follows no repository", evidence.cluster_id)
    for item in configurations:
        yield _compliant(evidence, item, expected)


def _compliant(evidence: Evidence, item: Object, expected: str) -> Finding:
    properties, object_id, name = item.get("properties") or {}, str(item.get("id") or ""), item.get("name")
    state = at(properties, "complianceState")
    observed = f"{name}: {at(properties, 'provisioningState')}, {state}"
    if not same(at(properties, "provisioningState"), "Succeeded"):
        reason = str(at(properties, "errorMessage") or "the last operation on it has not succeeded")
        return failed(observed, expected, reason, object_id)
    if is_on(at(properties, "suspend")):
        return failed(f"{name}: suspended", expected, "nothing that is pushed arrives", object_id)
    if same(state, "Pending"):
        created = _time(at(item, "systemData.createdAt"))
        if created and evidence.now - created <= PENDING:
            return warned(observed, expected, "it was just made, and the cluster is at it", object_id)
    if not same(state, "Compliant"):
        return failed(observed, expected, _first_problem(properties), object_id)
    updated = _time(at(properties, "statusUpdatedAt"))
    if updated and evidence.now - updated > timedelta(hours=1):
        reason = f"the cluster has last said so at {updated:%Y-%m-%d %H:%M}Z; ask fluxconfig-agent why"
        return warned(observed, expected, reason, object_id)
    return passed(observed, expected, object_id)


def _first_problem(properties: Object) -> str:
    for status in at(properties, "statuses") or []:
        if not same(at(status, "complianceState"), "Compliant"):
            said = next((c.get("message") for c in at(status, "statusConditions") or [] if c.get("message")), "")
            return f"{at(status, 'kind')} {at(status, 'name')}: {said or at(status, 'complianceState')}"
    return str(at(properties, "errorMessage") or "no object says why")


@judges("gitops.helm-source", reads=("helm-releases", "helm-repositories", "git-sources"))
def helm_source(evidence: Evidence) -> Iterator[Finding]:
    """Charts come out of the lab's own registry."""
    expected = "at least one chart from oci://<registry>.azurecr.io"
    releases = evidence.read("helm-releases")
    if not releases:
        yield skipped("there are no HelmReleases", expected, evidence.cluster_id)
        return
    charts = [s for s in evidence.read("git-sources") if s["kind"] == "OCIRepository"]
    repositories = evidence.read("helm-repositories")
    own = r"oci://[^/]+\.azurecr\.io(/|$)"
    found = False
    for item in [*charts, *repositories]:
        url, object_id = str(at(item, "spec.url") or ""), _id(evidence, item)
        if re.match(r"https://[^/]+\.azurecr\.io/helm/v1/repo", url):
            reason = "az acr helm was retired on 15 Sep 2025; push the chart as an OCI artifact"
            yield failed(f"{_title(item)}: {url}", expected, reason, object_id)
        elif re.match(own, url):
            wrong = _ready(evidence, item, expected) if item["kind"] == "OCIRepository" else None
            note = "" if item["kind"] == "OCIRepository" else "a HelmRepository of this type has no status"
            found = True
            yield wrong or passed(f"{_title(item)}: {url}", expected, object_id, note)
    if not found:
        shown = sorted({str(at(item, "spec.url")) for item in [*charts, *repositories]})
        reason = "what the cluster runs depends on a registry that is not yours"
        yield failed(f"charts from {', '.join(shown) or 'elsewhere'}", expected, reason, evidence.cluster_id)


@judges("gitops.helmreleases-ready", reads=("helm-releases",))
def helmreleases_ready(evidence: Evidence) -> Iterator[Finding]:
    """Each release is installed, tested where it has tests, and pinned."""
    expected = "Ready, not stalled, a version named"
    releases = evidence.read("helm-releases")
    if not releases:
        yield skipped("there are no HelmReleases", expected, evidence.cluster_id)
    for item in releases:
        object_id = _id(evidence, item)
        wrong = _ready(evidence, item, expected)
        stalled = condition(item, "Stalled")
        if stalled.get("status") == "True":
            yield failed(f"{_title(item)} has stalled", expected, str(stalled.get("message")), object_id)
        elif wrong:
            yield wrong
        elif at(item, "spec.chart") and str(at(item, "spec.chart.spec.version") or "*") == "*":
            reason = "whatever is published next is installed next"
            yield warned(f"{_title(item)}: any version", expected, reason, object_id)
        else:
            yield passed(f"{_title(item)}: {condition(item, 'Ready').get('reason')}", expected, object_id)
