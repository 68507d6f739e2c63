"""AppArmor by annotation, as it was before 1.30: a new pod gets the field in its place (registry/core/pod/strategy.go)."""

from __future__ import annotations

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation import security
from azsandbox.kubernetes.validation.containers import each

PREFIX = "container.apparmor.security.beta.kubernetes.io/"
_DEPRECATED = 'deprecated since v1.30; use the "appArmorProfile" field instead'
_KINDS = {"unconfined": "Unconfined", "runtime/default": "RuntimeDefault"}


def to_fields(pod: Object) -> list[str]:
    """Sets the fields that annotations of a new pod stand for, in place; returns the warnings of it."""
    annotations, spec = (pod.get("metadata") or {}).get("annotations") or {}, pod.get("spec") or {}
    if (spec.get("os") or {}).get("name") == "windows":
        return []
    of_pod = (spec.get("securityContext") or {}).get("appArmorProfile")
    found = []
    for container, _ in each(spec):
        key = PREFIX + str(container.get("name"))
        context = container.get("securityContext") or {}
        if key not in annotations or context.get("appArmorProfile"):
            continue
        profile = profile_of(annotations[key])
        if profile is not None and profile != of_pod:
            container["securityContext"] = {**context, "appArmorProfile": profile}
        if profile is None or profile != of_pod:
            found.append(f"metadata.annotations[{key}]: {_DEPRECATED}")
    return found


def profile_of(annotation: str) -> Object | None:
    """The field that an annotation stands for; None where it is none that can be."""
    if annotation in _KINDS:
        return {"type": _KINDS[annotation]}
    kind, stroke, local = annotation.partition("/")
    profile = {"type": "Localhost", "localhostProfile": local}
    return profile if kind == "localhost" and stroke and not security.app_armor(profile, "") else None
