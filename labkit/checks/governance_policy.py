"""Checks of Azure Policy: the add-on, the three assignments of the series in Azure and in the cluster, compliance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from labkit.checks.core import Finding, failed, passed, skipped, unknown, warned
from labkit.checks.evidence import Evidence, Object
from labkit.checks.facts import policies
from labkit.checks.governance_logs import add_on, times
from labkit.checks.lookup import at, is_on, same
from labkit.checks.policy import Applied, applied, constraints_of, excluded
from labkit.checks.registry import judges

SYNC = timedelta(minutes=20)
"""How long an assignment may take to reach the cluster (AKS docs, "Azure Policy for Kubernetes")."""
AUDIT = timedelta(hours=1)
"""How old Gatekeeper's last audit may be (catalogue, `governance.policy-compliance`)."""
SHOWN = 20
"""Violations that a result lists."""
SERIES = ("privileged", "privilege-escalation", "allowed-images")
"""The three assignments of the series."""
ARM = ("cluster", "policy-assignments")
ALSO = ("policy-definitions",)


@judges("governance.policy-addon", reads=("cluster", "workloads"))
def policy_addon(evidence: Evidence) -> Iterator[Finding]:
    """The add-on is on, and what it runs is available: without it an assignment decides nothing."""
    enabled = at(evidence.cluster, "properties.addonProfiles.azurepolicy.enabled")
    expected = "azurepolicy enabled, its four Deployments available, two replicas of gatekeeper-controller"
    if not is_on(enabled):
        observed = f"azurepolicy {'absent' if enabled is None else 'off'}"
        yield failed(
            observed, expected, "assignments stay in Azure and decide nothing in the cluster", evidence.cluster_id
        )
        return
    running = {f"{item['namespace']}/{item['name']}": item for item in evidence.read("workloads")}
    broken = list(add_on(evidence, "azure-policy", expected))
    yield from broken
    controller = running.get("gatekeeper-system/gatekeeper-controller")
    if controller is not None and controller["ready"] < 2 and not broken:
        reason = "with one replica, nothing is decided while its node is upgraded"
        yield failed(f"gatekeeper-controller: {controller['ready']} ready", expected, reason, evidence.cluster_id)
    elif not broken:
        yield passed("azurepolicy enabled, Gatekeeper available", expected, evidence.cluster_id)


@judges("governance.policy-privileged", reads=(*ARM, "constraints"), also=ALSO)
def policy_privileged(evidence: Evidence) -> Iterator[Finding]:
    """Containers that are as mighty as their node are refused."""
    yield from _denied(evidence, "privileged")


@judges("governance.policy-privilege-escalation", reads=(*ARM, "constraints"), also=ALSO)
def policy_privilege_escalation(evidence: Evidence) -> Iterator[Finding]:
    """Programs that gain more rights than they were started with are refused."""
    for finding in _denied(evidence, "privilege-escalation"):
        first = next((item for item in applied(evidence, "privilege-escalation") if item.denies), None)
        forced = first is not None and is_on(at(first.parameters, "forcePrivilegeEscalationToBeFalse"))
        note = "" if forced else "containers that leave allowPrivilegeEscalation out are let pass"
        yield (
            passed(finding.observed, finding.expected, finding.object_id, note) if finding.status == "pass" else finding
        )


@judges("governance.policy-allowed-images", reads=(*ARM, "constraints"), also=ALSO)
def policy_allowed_images(evidence: Evidence) -> Iterator[Finding]:
    """Images come from the lab's registry and Microsoft's, and the pattern means what it seems to."""
    finding = next(_denied(evidence, "allowed-images"))
    if not any(item.denies for item in applied(evidence, "allowed-images")):
        yield finding
        return
    wrong = [*_patterns(evidence), *_other_patterns(evidence)]
    if finding.status != "pass":
        wrong.insert(0, finding)
    yield from wrong
    if not wrong:
        observed = f"{finding.observed}; pattern {' and '.join(image_patterns(evidence))}"
        yield passed(observed, finding.expected, finding.object_id)


def _denied(evidence: Evidence, key: str) -> Iterator[Finding]:
    """One Finding: assigned with Deny in Azure, and denied by a constraint in the cluster."""
    expected = f"an assignment of {policies()['definitions'][key]['id']} with Deny, and its constraint in the cluster"
    found = applied(evidence, key)
    if not found:
        name = policies()["definitions"][key]["name"]
        yield failed("not assigned", expected, f"nobody assigned {name!r} to the cluster or above", evidence.cluster_id)
        return
    first = found[0]
    if not first.denies:
        shown = "; ".join(f"{item.name}: {item.effect}" for item in found)
        reason = "; ".join(f"{item.name} does not deny: {item.why_not}" for item in found)
        yield failed(shown, expected, reason, first.object_id)
        return
    constraints = constraints_of(evidence.read("constraints"), key)
    actions = ", ".join(f"{item['kind']} {item['enforcementAction']}" for item in constraints) or "no constraint"
    observed = f"{first.name}: Deny; in the cluster: {actions}"
    if any(same(item["enforcementAction"], "deny") for item in constraints):
        yield passed(observed, expected, first.object_id)
        return
    if _syncing(evidence, key):
        yield warned(observed, expected, "not synced yet: an assignment takes up to 20 minutes", first.object_id)
    else:
        reason = "Azure says Deny and the cluster does not know of it; is the add-on on, and well?"
        yield failed(observed, expected, reason, first.object_id)


def _syncing(evidence: Evidence, key: str) -> bool:
    """True if an assignment that denies is so young that the cluster need not know of it."""
    moments = [item.changed() for item in applied(evidence, key) if item.denies]
    return any(moment is not None and evidence.now - moment < SYNC for moment in moments)


def image_patterns(evidence: Evidence) -> list[str]:
    """The patterns that images must match, each by an assignment that denies."""
    found = [
        at(item.parameters, "allowedContainerImagesRegex")
        for item in applied(evidence, "allowed-images")
        if item.denies
    ]
    return list(dict.fromkeys(str(pattern) for pattern in found if pattern))


def matches(pattern: str, image: str) -> bool:
    """True if `pattern` is found in `image`, as Gatekeeper's re_match looks for it; raises ValueError if it is none.

    The engine is RE2, as Go's is, so that a pattern means here what it means there.
    """
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options).search(image) is not None
    except re2.error as error:
        said = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        message = f"{pattern!r} is no regular expression: {said}"
        raise ValueError(message) from error


def _patterns(evidence: Evidence) -> Iterator[Finding]:
    """What is wrong with the patterns, taken together: an image must match each; nothing when all is well."""
    patterns = image_patterns(evidence)
    registry = f"{evidence.settings.registry}.azurecr.io"
    expected = f"^{registry.replace('.', chr(92) + '.')}/.+$ and what else is needed, each with ^ and escaped dots"
    first = next(item for item in applied(evidence, "allowed-images") if item.denies)
    observed, object_id = f"pattern {' and '.join(patterns)}", first.object_id

    def allowed(image: str) -> bool:
        return all(matches(pattern, image) for pattern in patterns)

    if not patterns:
        reason = "the assignment denies and says no allowedContainerImagesRegex, which the policy needs"
        yield failed("no pattern", expected, reason, object_id)
        return
    try:
        own, foreign = allowed(f"{registry}/x:1"), allowed("docker.io/attacker/x:1")
        unanchored = allowed(f"evil.io/{registry}/x:1")
        unescaped = allowed(f"{evidence.settings.registry}xazurecr.io/x:1")
    except ValueError as error:
        yield failed(observed, expected, str(error), object_id)
        return
    if not own:
        yield failed(observed, expected, f"{registry}/x:1 is refused, which is the lab's own registry", object_id)
    if foreign:
        yield failed(observed, expected, "docker.io/attacker/x:1 is let pass, so anybody's image is", object_id)
    if unanchored:
        yield warned(observed, expected, f"evil.io/{registry}/x:1 is let pass: no ^ at the start", object_id)
    if unescaped:
        reason = f"{evidence.settings.registry}xazurecr.io/x:1 is let pass: a dot without \\ is any character"
        yield warned(observed, expected, reason, object_id)


def _other_patterns(evidence: Evidence) -> Iterator[Finding]:
    """Patterns of denying constraints that the assignments do not have: what decides in the cluster is something else."""
    patterns = image_patterns(evidence)
    for item in constraints_of(evidence.read("constraints"), "allowed-images"):
        pattern = at(item["parameters"], "imageRegex")
        if not pattern or pattern in patterns or not same(item["enforcementAction"], "deny"):
            continue
        observed, object_id = f"in the cluster: pattern {pattern}", f"{item['kind']}/{item['name']}"
        expected = f"pattern {' and '.join(patterns)}"
        if _syncing(evidence, "allowed-images"):
            yield warned(observed, expected, "not synced yet: a change takes up to 20 minutes", object_id)
        else:
            yield failed(observed, expected, "the cluster decides by another pattern than Azure says", object_id)


@judges("governance.policy-excluded-namespaces", reads=ARM, also=(*ALSO, "constraints", "flux-deployments"))
def policy_excluded_namespaces(evidence: Evidence) -> Iterator[Finding]:
    """The platform's namespaces are left out, and no application's is."""
    found = [(key, item) for key in SERIES for item in applied(evidence, key)]
    if not found:
        yield skipped("none of the three policies is assigned", "", evidence.cluster_id)
        return
    for key, item in found:
        yield from _exclusions(evidence, key, item)


def _exclusions(evidence: Evidence, key: str, item: Applied) -> Iterator[Finding]:
    names = excluded(item)
    wanted = list(policies()["must_exclude"])
    if key == "allowed-images" and item.denies and _foreign_flux(evidence):
        wanted.append("flux-system")
    applications = {"default", *evidence.settings.application_namespaces}
    expected = f"{', '.join(wanted)}, and none of {', '.join(sorted(applications))}"
    observed = f"{item.name} excludes {', '.join(names) or 'none'}"
    missing = [name for name in wanted if name not in names]
    spared = sorted(applications & {*names, *_in_cluster(evidence, key)})
    if missing:
        what = (
            "with it Flux cannot start" if missing == ["flux-system"] else "with it the platform's own pods are refused"
        )
        yield failed(observed, expected, f"not excluded: {', '.join(missing)}; {what}", item.object_id)
    if spared:
        reason = f"excluded, so that the policy decides nothing there: {', '.join(spared)}"
        yield failed(observed, expected, reason, item.object_id)
    if not missing and not spared:
        yield passed(observed, expected, item.object_id)


def _in_cluster(evidence: Evidence, key: str) -> set[str]:
    """The namespaces that every denying constraint of `key` leaves out; the constraints are what decides."""
    denying = [
        set(item["excludedNamespaces"])
        for item in constraints_of(evidence.maybe("constraints") or [], key)
        if same(item["enforcementAction"], "deny")
    ]
    return set.intersection(*denying) if denying else set()


def _foreign_flux(evidence: Evidence) -> bool:
    """True if an image of Flux, where it is installed, is none that the patterns allow."""
    images = [
        str(container.get("image") or "")
        for deployment in evidence.maybe("flux-deployments") or []
        for container in deployment["containers"]
    ]
    try:
        return any(image and not all(matches(p, image) for p in image_patterns(evidence)) for image in images)
    except ValueError:
        return False


@judges("governance.policy-compliance", reads=("constraints",), also=("cluster",))
def policy_compliance(evidence: Evidence) -> Iterator[Finding]:
    """What runs keeps the policies: Deny looks at new objects only, the audit at all."""
    constraints = evidence.read("constraints")
    enforced = [
        item for key in SERIES for item in constraints_of(constraints, key) if same(item["enforcementAction"], "deny")
    ]
    if not enforced:
        yield skipped("no constraint of the three policies denies in this cluster", "", evidence.cluster_id)
        return
    left = SHOWN
    for item in enforced:
        findings = list(_audited(evidence, item, left))
        left -= sum(finding.status == "fail" for finding in findings)
        yield from findings


def _audited(evidence: Evidence, item: Object, left: int) -> Iterator[Finding]:
    expected, object_id = "no violation, audited within the hour", f"{item['kind']}/{item['name']}"
    status = item["status"]
    moments = times([at(status, "auditTimestamp")])
    if not moments:
        yield unknown(f"Gatekeeper has not audited {item['kind']} yet", expected, object_id)
        return
    total = int(at(status, "totalViolations") or 0)
    for violation in at(status, "violations")[: max(0, left)] if total else []:
        place = "/".join(str(violation[key]) for key in ("namespace", "name") if violation.get(key))
        reason = str(violation.get("message") or "it breaks the policy")
        yield failed(f"{violation.get('kind')} {place}", expected, reason, object_id)
    if total and not at(status, "violations"):
        yield failed(f"{total} violations", expected, f"{item['kind']} counts {total} violations", object_id)
    if evidence.now - moments[0] >= AUDIT:
        reason = "Gatekeeper's audit does not run: what it last said may not hold any more"
        yield failed(f"{item['kind']}: audited {moments[0]:%d %b %H:%M} UTC", expected, reason, object_id)
    elif not total:
        yield passed(f"{item['kind']}: 0 violations", expected, object_id)
