"""PodSecurity: the levels of the Pod Security Standards, by the labels of a namespace.

Rules and texts: k8s.io/pod-security-admission.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.admission.attributes import CREATE, UPDATE, Attributes
from azsandbox.kubernetes.admission.chain import Plugin
from azsandbox.kubernetes.admission.pod_security_checks import LATEST, evaluate
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation.errors import Errors, invalid

_PREFIX = "pod-security.kubernetes.io/"
LEVELS = ("privileged", "baseline", "restricted")
_IGNORED = frozenset({"attach", "binding", "eviction", "exec", "log", "portforward", "proxy", "status"})
_CONTROLLERS = {
    ("", "PodTemplate"): ("template",),
    ("", "ReplicationController"): ("spec", "template"),
    ("apps", "ReplicaSet"): ("spec", "template"),
    ("apps", "Deployment"): ("spec", "template"),
    ("apps", "StatefulSet"): ("spec", "template"),
    ("apps", "DaemonSet"): ("spec", "template"),
    ("batch", "Job"): ("spec", "template"),
    ("batch", "CronJob"): ("spec", "jobTemplate", "spec", "template"),
}


@dataclass(frozen=True)
class LevelVersion:
    """A level at a version of the standards; minor LATEST is whatever is newest."""

    level: str = "privileged"
    minor: int = LATEST

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.minor == LATEST else f'v1.{self.minor}'}"


@dataclass(frozen=True)
class Policy:
    """What a namespace asks for in each mode."""

    enforce: LevelVersion = LevelVersion()
    audit: LevelVersion = LevelVersion()
    warn: LevelVersion = LevelVersion()


def policy_of(labels: dict[str, str] | None) -> tuple[Policy, Errors]:
    """The policy that labels ask for. Bad ones are restricted to enforce, and privileged to warn and to audit."""
    labels = labels or {}
    found: Errors = []
    modes: dict[str, LevelVersion] = {}
    for mode in ("enforce", "audit", "warn"):
        level, minor = "privileged", LATEST
        label = f"{_PREFIX}{mode}"
        if label in labels:
            level = labels[label]
            if level not in LEVELS:
                said = f"must be one of {', '.join(LEVELS)}"
                found.append(invalid(f"metadata.labels[{label}]", level, said))
                level = "restricted" if mode == "enforce" else "privileged"
        version = labels.get(f"{label}-version")
        if version is not None:
            match = re.fullmatch(r"v1\.([0-9]|[1-9][0-9]*)", version)
            minor = int(match[1]) if match else LATEST
            if not match and version != "latest":
                said = 'must be "latest" or "v1.x"'
                found.append(invalid(f"metadata.labels[{label}-version]", version, said))
        modes[mode] = LevelVersion(level, minor)
    enforce = modes["enforce"]
    good = labels.get(f"{_PREFIX}enforce") in LEVELS
    if f"{_PREFIX}warn" not in labels and good and _stricter(enforce.level, modes["warn"].level):
        minor = modes["warn"].minor if f"{_PREFIX}warn-version" in labels else enforce.minor
        modes["warn"] = LevelVersion(enforce.level, minor)
    return Policy(enforce, modes["audit"], modes["warn"]), found


def _stricter(one: str, other: str) -> bool:
    return LEVELS.index(one) > LEVELS.index(other)


class PodSecurity(Plugin):
    """Refuses pods that a namespace's level does not allow, and warns of templates of such."""

    async def validate(self, attrs: Attributes) -> None:
        if attrs.operation not in (CREATE, UPDATE) or attrs.obj is None:
            return
        if attrs.of("", "Namespace"):
            self._namespace(attrs)
        elif attrs.of("", "Pod"):
            self._pod(attrs)
        elif not attrs.subresource:
            self._controller(attrs)

    def _policy(self, attrs: Attributes) -> Policy:
        namespace = self.server.peek("namespaces", "", attrs.namespace) or {}
        return policy_of((namespace.get("metadata") or {}).get("labels"))[0]

    def _pod(self, attrs: Attributes) -> None:
        if attrs.subresource in _IGNORED or attrs.obj is None:
            return
        policy = self._policy(attrs)
        if all(mode.level == "privileged" for mode in (policy.enforce, policy.audit, policy.warn)):
            return
        if attrs.operation == UPDATE and attrs.old is not None and not _significant(attrs.obj, attrs.old):
            return
        self._evaluate(attrs, policy, attrs.obj, enforced=True)

    def _controller(self, attrs: Attributes) -> None:
        path = _CONTROLLERS.get((attrs.resource.group, attrs.resource.kind))
        if path is None:
            return
        template = attrs.obj
        for part in path:
            template = (template or {}).get(part)
        if template is None:
            return
        self._evaluate(attrs, self._policy(attrs), template, enforced=False)

    def _evaluate(self, attrs: Attributes, policy: Policy, pod: Object, *, enforced: bool) -> None:
        meta, spec = pod.get("metadata") or {}, pod.get("spec") or {}
        if enforced:
            attrs.audit["pod-security.kubernetes.io/enforce-policy"] = str(policy.enforce)
            found = evaluate(policy.enforce.level, policy.enforce.minor, meta, spec)
            if found:
                detail = ", ".join(f"{reason} ({said})" if said else reason for reason, said in found)
                error = attrs.forbidden(f'violates PodSecurity "{policy.enforce}": {detail}')
                raise error
        for mode, level in (("audit", policy.audit), ("warn", policy.warn)):
            found = evaluate(level.level, level.minor, meta, spec)
            if not found:
                continue
            detail = ", ".join(f"{reason} ({said})" if said else reason for reason, said in found)
            text = f'would violate PodSecurity "{level}": {detail}'
            if mode == "warn":
                attrs.warnings.append(text)
            else:
                attrs.audit["pod-security.kubernetes.io/audit-violations"] = text

    def _namespace(self, attrs: Attributes) -> None:
        """Labels must make sense; pods that a new level would not allow are told of."""
        if attrs.subresource or attrs.obj is None:
            return
        new, faults = policy_of(attrs.obj["metadata"].get("labels"))
        name = attrs.obj["metadata"].get("name") or ""
        if attrs.operation == CREATE:
            if faults:
                raise errors.invalid("Namespace", "", name, faults)
            return
        old, earlier = policy_of(((attrs.old or {}).get("metadata") or {}).get("labels"))
        if faults and faults != earlier:
            raise errors.invalid("Namespace", "", name, faults)
        if new.enforce == old.enforce or new.enforce.level == "privileged":
            return
        if new.enforce.minor == old.enforce.minor and not _stricter(new.enforce.level, old.enforce.level):
            return
        attrs.warnings.extend(self._existing(name, new.enforce))

    def _existing(self, namespace: str, level: LevelVersion) -> list[str]:
        pods: dict[str, list[str]] = {}
        for pod in self.server.peek_list("pods", namespace):
            found = evaluate(level.level, level.minor, pod.get("metadata") or {}, pod.get("spec") or {})
            if found:
                pods.setdefault(", ".join(reason for reason, _ in found), []).append(pod["metadata"]["name"])
        if not pods:
            return []
        lines = []
        for reason, names in pods.items():
            others = len(names) - 1
            more = "" if not others else (" (and 1 other pod)" if others == 1 else f" (and {others} other pods)")
            lines.append(f"{min(names)}{more}: {reason}")
        said = f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{level}"'
        return [said, *sorted(lines)]


def _significant(new: Object, old: Object) -> bool:
    """Whether an update is looked at: one that brings a container or another image."""
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    for key in ("containers", "initContainers"):
        images, earlier = ([item.get("image") for item in part.get(key) or []] for part in (spec, before))
        if images != earlier:
            return True
    known = {item.get("name"): item.get("image") for item in before.get("ephemeralContainers") or []}
    return any(
        item.get("name") not in known or known[item.get("name")] != item.get("image")
        for item in spec.get("ephemeralContainers") or []
    )
