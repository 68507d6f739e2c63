"""Rendered files taken apart: manifests in Helm's order of kinds, and hooks (helm.sh/helm/v4/pkg/release/v1/util)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from azsandbox.flux.helm import releases
from azsandbox.flux.helm.errors import HelmFailed
from azsandbox.flux.helm.releases import Hook
from azsandbox.kubernetes.schema import yaml_text
from azsandbox.kubernetes.schema.yaml_text import BadYaml

HOOK, WEIGHT, DELETE, LOGS = (
    "helm.sh/hook",
    "helm.sh/hook-weight",
    "helm.sh/hook-delete-policy",
    "helm.sh/hook-output-log-policy",
)
INSTALL_ORDER = [
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
]
UNINSTALL_ORDER = [
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "APIService",
    "Ingress",
    "IngressClass",
    "Service",
    "CronJob",
    "Job",
    "StatefulSet",
    "HorizontalPodAutoscaler",
    "Deployment",
    "ReplicaSet",
    "ReplicationController",
    "Pod",
    "DaemonSet",
    "RoleBindingList",
    "RoleBinding",
    "RoleList",
    "Role",
    "ClusterRoleBindingList",
    "ClusterRoleBinding",
    "ClusterRoleList",
    "ClusterRole",
    "CustomResourceDefinition",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "StorageClass",
    "ConfigMap",
    "SecretList",
    "Secret",
    "ServiceAccount",
    "PodDisruptionBudget",
    "PodSecurityPolicy",
    "LimitRange",
    "ResourceQuota",
    "NetworkPolicy",
    "Namespace",
    "PriorityClass",
]
_SEPARATOR = re.compile(r"^---[ \t]*", re.MULTILINE)
_EVENTS = [
    "pre-install",
    "post-install",
    "pre-delete",
    "post-delete",
    "pre-upgrade",
    "post-upgrade",
    "pre-rollback",
    "post-rollback",
    "test",
]


class BadManifest(HelmFailed):
    """A file that cannot be taken apart; the message is Helm's."""


@dataclass(frozen=True)
class Manifest:
    """One document of a rendered file."""

    path: str
    text: str
    head: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.head.get("kind") or "")


def split(text: str) -> list[str]:
    """The documents of a file. A separator that is followed by text on its line still is one."""
    parts = (part.lstrip() for part in _SEPARATOR.split(text.lstrip()))
    return [part for part in parts if part.strip()]


def taken_apart(files: dict[str, str], order: list[str] = INSTALL_ORDER) -> tuple[list[Hook], list[Manifest]]:
    """The hooks and the other manifests of rendered files, each in an order of kinds. Raises BadManifest."""
    hooks: list[Hook] = []
    manifests: list[Manifest] = []
    for path in sorted(files):
        if path.rpartition("/")[2].startswith("_"):
            continue
        for text in split(files[path]):
            head = _head(path, text)
            annotations = (head.get("metadata") or {}).get("annotations") or {}
            if HOOK not in annotations:
                manifests.append(Manifest(path, text, head))
                continue
            hook = _hook(path, text, head, annotations)
            if hook is not None:
                hooks.append(hook)
    key = _Order(order)
    return sorted(hooks, key=lambda hook: key(hook["kind"])), sorted(manifests, key=lambda one: key(one.kind))


def joined(manifests: list[Manifest]) -> str:
    """Manifests as a release records them: each under the file that it came from."""
    return "".join(f"---\n# Source: {one.path}\n{one.text}\n" for one in manifests)


def by_weight(hooks: list[Hook], event: str) -> list[Hook]:
    """The hooks of an event in the order in which they run."""
    own = [hook for hook in hooks if releases.is_hook_for(hook, event)]
    return sorted(own, key=lambda hook: (hook.get("weight", 0), hook.get("name", "")))


class _Order:
    """Kinds of an order first, the others after them by name."""

    def __init__(self, order: list[str]) -> None:
        self.places = {kind: place for place, kind in enumerate(order)}

    def __call__(self, kind: str) -> tuple[int, str]:
        place = self.places.get(kind)
        return (len(self.places), kind) if place is None else (place, "")


def _head(path: str, text: str) -> dict[str, Any]:
    try:
        value, _ = yaml_text.parse(text.encode())
    except BadYaml as error:
        raise BadManifest(f"YAML parse error on {path}: error converting YAML to JSON: {error}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        kind = "array" if isinstance(value, list) else "string" if isinstance(value, str) else "number"
        what = f"error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kind} into Go value of type"
        raise BadManifest(f"YAML parse error on {path}: {what} util.SimpleHead")
    return value


def _hook(path: str, text: str, head: dict[str, Any], annotations: dict[str, str]) -> Hook | None:
    """A hook as a release records it; None for one of an event that Helm does not know, which it passes over."""
    events = []
    for event in _words(annotations[HOOK]):
        known = "test" if event == "test-success" else event
        if known not in _EVENTS:
            return None
        events.append(known)
    try:
        weight = int(annotations.get(WEIGHT, ""))
    except ValueError:
        weight = 0
    hook: Hook = {
        "name": head["metadata"].get("name", ""),
        "kind": head.get("kind", ""),
        "path": path,
        "manifest": text,
        "events": events,
        "last_run": {"phase": ""},
    }
    if weight:
        hook["weight"] = weight
    for field, annotation in (("delete_policies", DELETE), ("output_log_policies", LOGS)):
        if annotation in annotations:
            hook[field] = _words(annotations[annotation])
    return hook


def _words(text: str) -> list[str]:
    return [word.strip().lower() for word in text.split(",")]
