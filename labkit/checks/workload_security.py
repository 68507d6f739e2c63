"""Checks of what the applications' containers may do to their node, by their own specification."""

from __future__ import annotations

from collections.abc import Iterator

from labkit.checks.core import Finding, failed, passed, warned
from labkit.checks.evidence import Evidence, Object
from labkit.checks.lookup import at, is_on
from labkit.checks.policy import assigned
from labkit.checks.registry import judges
from labkit.checks.workload import Template, nothing, owner_of, spaces, templates
from labkit.checks.workload_pods import SPECS, every_container

LEVELS = ("baseline", "restricted")
SHARED = {"hostPID": "processes", "hostIPC": "shared memory", "hostNetwork": "network"}


@judges("workload.no-privileged", reads=SPECS)
def no_privileged(evidence: Evidence) -> Iterator[Finding]:
    """No container is root of its node, sees the node's processes or network, or its files."""
    expected = "no privileged container, host namespace, hostPath or hostPort"
    found = templates(evidence)
    wrong = [finding for template in found for finding in _host(template, expected)]
    wrong += _debugging(evidence, expected)
    yield from wrong
    if not found:
        yield nothing("workloads", evidence)
    elif not wrong:
        yield passed(f"{len(found)} workloads, none reaches its node", expected, evidence.cluster_id)


def _host(template: Template, expected: str) -> Iterator[Finding]:
    place, object_id, spec = template.place, template.object_id, template.spec
    for container in template.containers(init=True, ephemeral=True):
        if is_on(at(container, "securityContext.privileged")):
            reason = f"container {container.get('name')} of {place} is as mighty as its node"
            yield failed(f"{place}: privileged", expected, reason, object_id)
        if container["hostPorts"]:
            ports = ", ".join(map(str, container["hostPorts"]))
            reason = f"{place} takes port {ports} of its node, past every NetworkPolicy"
            yield failed(f"{place}: hostPort {ports}", expected, reason, object_id)
    for key, what in SHARED.items():
        if is_on(spec.get(key)):
            yield failed(f"{place}: {key}", expected, f"{place} sees the {what} of its node", object_id)
    for path in spec.get("hostPaths") or []:
        reason = f"{place} has {path} of its node before it"
        yield failed(f"{place}: hostPath {path}", expected, reason, object_id)


def _debugging(evidence: Evidence, expected: str) -> list[Finding]:
    """Privileged containers that were added to a running pod: no template shows them."""
    covered = {(item["kind"], item["namespace"], item["name"]) for item in evidence.read("templates")}
    found = []
    for pod in evidence.read("pods"):
        if owner_of(pod) not in covered:
            continue
        place = f"{pod['namespace']}/{pod['name']}"
        for container in pod["spec"].get("ephemeralContainers") or []:
            if is_on(at(container, "securityContext.privileged")):
                reason = f"somebody added the privileged container {container.get('name')} to {place}"
                found.append(failed(f"{place}: privileged", expected, reason, f"Pod/{place}"))
    return found


@judges("workload.no-privilege-escalation", reads=SPECS)
def no_privilege_escalation(evidence: Evidence) -> Iterator[Finding]:
    """No program gains more rights than it was started with; Kubernetes' default lets it."""
    expected = "allowPrivilegeEscalation false"

    def judged(template: Template, container: Object) -> Iterator[Finding]:
        where = f"{template.place}, container {container.get('name')}"
        value = at(container, "securityContext.allowPrivilegeEscalation")
        if value is None:
            reason = f"{where} says nothing, and the default allows it"
            yield warned(f"{where}: absent", expected, reason, template.object_id)
        elif is_on(value):
            reason = f"{where} lets a set-uid program become root"
            yield failed(f"{where}: true", expected, reason, template.object_id)

    yield from every_container(evidence, _linux(evidence), judged, "allowPrivilegeEscalation false", expected)


def _linux(evidence: Evidence) -> list[Template]:
    return [template for template in templates(evidence) if not template.windows]


@judges("workload.restricted-profile", reads=SPECS)
def restricted_profile(evidence: Evidence) -> Iterator[Finding]:
    """The rest of the Restricted standard: not as root, without capabilities, with a seccomp profile."""
    expected = "runAsNonRoot, capabilities dropped (ALL), seccompProfile RuntimeDefault or Localhost"

    def judged(template: Template, container: Object) -> Iterator[Finding]:
        where = f"{template.place}, container {container.get('name')}"
        missing = [*_user(template, container), *_capabilities(container), *_seccomp(template, container)]
        if missing:
            reason = f"{where}: {', '.join(missing)}"
            yield failed(reason, expected, reason, template.object_id)
        elif not is_on(_setting(template, container, "runAsNonRoot")):
            user = _setting(template, container, "runAsUser")
            reason = f"{where} runs as {user}, and nothing would stop an image that wants root"
            yield warned(f"{where}: runAsUser {user} without runAsNonRoot", expected, reason, template.object_id)

    yield from every_container(evidence, _linux(evidence), judged, "restricted", expected)


def _setting(template: Template, container: Object, key: str) -> object:
    """A setting that a container has itself, or else from its pod."""
    own = at(container, f"securityContext.{key}")
    return own if own is not None else at(template.spec, f"securityContext.{key}")


def _user(template: Template, container: Object) -> list[str]:
    user = _setting(template, container, "runAsUser")
    if user == 0:
        return ["runAsUser 0"]
    named = isinstance(user, int) and user > 0
    return [] if is_on(_setting(template, container, "runAsNonRoot")) or named else ["may run as root"]


def _capabilities(container: Object) -> list[str]:
    dropped = {str(name).upper() for name in at(container, "securityContext.capabilities.drop") or []}
    added = {str(name).upper() for name in at(container, "securityContext.capabilities.add") or []}
    extra = sorted(added - {"NET_BIND_SERVICE"})
    return ([] if "ALL" in dropped else ["capabilities not dropped"]) + ([f"adds {', '.join(extra)}"] if extra else [])


def _seccomp(template: Template, container: Object) -> list[str]:
    kind = _setting(template, container, "seccompProfile.type")
    return (
        [] if kind in ("RuntimeDefault", "Localhost") else [f"seccompProfile {kind or 'absent, which is Unconfined'}"]
    )


@judges("workload.read-only-root", reads=SPECS)
def read_only_root(evidence: Evidence) -> Iterator[Finding]:
    """Nothing can be put beside the program; what it has to write it writes to a volume."""
    expected = "readOnlyRootFilesystem true"
    allowed = evidence.settings.writable_root

    def judged(template: Template, container: Object) -> Iterator[Finding]:
        value = at(container, "securityContext.readOnlyRootFilesystem")
        if template.place not in allowed and not is_on(value):
            where = f"{template.place}, container {container.get('name')}"
            reason = f"whoever gets into {where} can change its programs"
            yield failed(f"{where}: {'absent' if value is None else 'false'}", expected, reason, template.object_id)

    yield from every_container(
        evidence, _linux(evidence), judged, "read-only, or excepted by checks.writable_root", expected, init=False
    )


@judges(
    "workload.pod-security-labels",
    reads=("namespaces", *SPECS),
    also=("cluster", "policy-assignments", "policy-definitions"),
)
def pod_security_labels(evidence: Evidence) -> Iterator[Finding]:
    """Each namespace says which standard its pods must meet; an initiative that denies says it for all."""
    expected = "pod-security.kubernetes.io/enforce baseline or restricted"
    found = spaces(evidence)
    if not found:
        yield nothing("namespaces", evidence)
        return
    initiative = _initiative(evidence)
    for space in found:
        levels = {
            mode: str(space["labels"].get(f"pod-security.kubernetes.io/{mode}") or "")
            for mode in ("enforce", "warn", "audit")
        }
        shown = ", ".join(f"{mode} {level}" for mode, level in levels.items() if level) or "no label"
        observed, object_id = f"{space['name']}: {shown}", f"Namespace/{space['name']}"
        if levels["enforce"] in LEVELS:
            yield passed(observed, expected, object_id)
        elif initiative:
            yield passed(
                f"{observed}, initiative {initiative}", expected, object_id, "Azure Policy denies in its place"
            )
        elif levels["warn"] in LEVELS or levels["audit"] in LEVELS:
            reason = f"in {space['name']} pods that break the standard are noted, and let pass"
            yield warned(observed, expected, reason, object_id)
        else:
            yield failed(observed, expected, f"in {space['name']} any pod is let pass", object_id)


def _initiative(evidence: Evidence) -> str:
    """The name of an assignment of a pod security initiative that denies, or empty."""
    if evidence.maybe("policy-assignments") is None:
        return ""
    return next((item.name for level in LEVELS for item in assigned(evidence, level) if item.denies), "")
