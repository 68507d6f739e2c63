"""Drift: how the objects in the cluster differ from those of a release, and setting them right.

Rules and texts: helm-controller, internal/action/diff.go and internal/diff; fluxcd/pkg/ssa, jsondiff and normalize.
"""

from __future__ import annotations

import base64
import copy
import re
from dataclasses import dataclass, field
from typing import Any

from azsandbox.controllers.client import APPLY, JSON_PATCH, KubeClient, Object, Objects
from azsandbox.flux import json_diff
from azsandbox.flux.field_managers import overridden, taken
from azsandbox.flux.helm import manifests
from azsandbox.flux.helm.releases import Release
from azsandbox.flux.helm.resources import owned_by
from azsandbox.flux.helm.spec import GROUP, MANAGER
from azsandbox.flux.object_refs import ObjectRef
from azsandbox.flux.rest_mapping import NoMatch, RestMapping
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.schema import yaml_text
from azsandbox.kubernetes.selectors import LabelSelector, parse_labels

CREATE, UPDATE, EXCLUDE, SAME = "create", "update", "exclude", "none"
_KEY = f"{GROUP}/driftDetection"
_FIRST = (
    "CustomResourceDefinition",
    "Namespace",
    "ClusterRole",
    "ClusterClass",
    "RuntimeClass",
    "PriorityClass",
    "StorageClass",
    "VolumeSnapshotClass",
    "IngressClass",
    "GatewayClass",
    "ClusterRoleBinding",
    "ResourceQuota",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Secret",
    "Service",
    "LimitRange",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
)
_LAST = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


@dataclass(frozen=True)
class Difference:
    """How one object differs. `patch` leads from what the cluster has to what it should have."""

    kind: str
    desired: Object
    patch: list[dict[str, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(ObjectRef.of(self.desired))

    def __str__(self) -> str:
        if self.kind == CREATE:
            return f"{self.name} removed"
        if self.kind == EXCLUDE:
            return f"{self.name} excluded"
        counts = {op: sum(one["op"] == op for one in self.patch) for op in ("add", "replace", "remove")}
        return (
            f"{self.name} changed ({counts['add']} additions, {counts['replace']} changes, {counts['remove']} removals)"
        )


def changes(differences: list[Difference]) -> bool:
    """Whether there is anything to set right."""
    return any(one.kind in (CREATE, UPDATE) for one in differences)


def summary(differences: list[Difference]) -> str:
    """A line for each object that differs or is left out."""
    return "\n".join(str(one) for one in differences if one.kind != SAME)


def brief(differences: list[Difference]) -> str:
    """How many objects differ."""
    counts = {kind: sum(one.kind == kind for one in differences) for kind in (CREATE, UPDATE, EXCLUDE)}
    return f"removed: {counts[CREATE]}, changed: {counts[UPDATE]}, excluded: {counts[EXCLUDE]}"


class DriftFailed(Exception):
    """The cluster could not be compared, or set right."""


async def differences(
    client: KubeClient, mapping: RestMapping, release: Release, ignore: Objects, others: tuple[str, ...] = ()
) -> tuple[list[Difference], list[str]]:
    """Compares the cluster with a release, by applying its objects without effect; returns errors with what was found.

    `ignore` are the rules of spec.driftDetection, `others` are managers whose fields become the controller's own first.
    Raises DriftFailed for a rule that cannot be.
    """
    rules = [_Rule(rule) for rule in ignore]
    found, errors = [], []
    for obj in _objects(release):
        owned_by(obj, release["name"], release["namespace"])
        metadata = obj["metadata"]
        try:
            resource = await mapping.of(obj["apiVersion"], obj["kind"])
        except NoMatch as error:
            errors.append(f"failed to determine if {obj['kind']} is namespace scoped: {error}")
            continue
        if resource.namespaced and not metadata.get("namespace"):
            metadata["namespace"] = release["namespace"]
        ignored = [path for rule in rules if rule.matches(obj) for path in rule.paths]
        url = resource.path(metadata.get("namespace", ""), metadata["name"])
        if others:
            await _take_over(client, url, others)
        try:
            found.append(await _difference(client, url, obj, ignored))
        except StatusError as error:
            errors.append(_dry_run_failed(ObjectRef.of(obj), error))
    return found, errors


async def _take_over(client: KubeClient, url: str, others: tuple[str, ...]) -> None:
    try:
        there = await client.find(url)
        patch = taken(there, overridden(others), MANAGER) if there else []
        if patch:
            await client.request("PATCH", url, patch, {"fieldManager": MANAGER}, JSON_PATCH)
    except StatusError as error:
        raise DriftFailed(f"failed to clean-up disallowed field managers: {error.message}") from None


def _dry_run_failed(who: ObjectRef, error: StatusError) -> str:
    """Why an object could not be applied without effect (fluxcd/pkg/ssa/errors)."""
    if error.reason == "NotFound":
        return f"{who} {'not found' if who.namespace else 'namespace not specified'}: {error.message}"
    causes = (error.details or {}).get("causes") or []
    conflict = any(cause.get("reason") == "FieldManagerConflict" for cause in causes)
    reason = "FieldManagerConflict" if conflict else error.reason
    return f"{who} dry-run failed{f' ({reason})' if reason else ''}: {error.message}"


async def _difference(client: KubeClient, url: str, obj: Object, ignored: list[str]) -> Difference:
    if _is_left_out(obj) or "" in ignored:
        return Difference(EXCLUDE, obj)
    there = await client.find(url)
    if there is not None and _is_left_out(there):
        return Difference(EXCLUDE, obj)
    query = {"fieldManager": MANAGER, "force": "true", "dryRun": "All"}
    wanted = await client.request("PATCH", url, obj, query, APPLY)
    if there is None:
        return Difference(CREATE, obj)
    old, new = copy.deepcopy(there), copy.deepcopy(wanted)
    for path in ignored:
        _remove(old, path)
        _remove(new, path)
    patch = [
        change
        for change in json_diff.compare(_labels_and_annotations(old), _labels_and_annotations(new))
        if change["op"] in (json_diff.ADD, json_diff.REPLACE)
    ]
    patch += json_diff.compare(_body(old), _body(new))
    return Difference(UPDATE if patch else SAME, obj, patch)


def _objects(release: Release) -> Objects:
    """The release's objects, without what the API server would see a difference in that is none."""
    found = []
    for text in manifests.split(release.get("manifest", "")):
        obj, _ = yaml_text.parse(text.encode())
        if isinstance(obj, dict) and obj.get("kind") and (obj.get("metadata") or {}).get("name"):
            obj.pop("status", None)
            if obj["kind"] == "Secret" and obj.get("stringData"):
                _encode(obj)
            found.append(obj)
    return found


def _encode(secret: Object) -> None:
    texts = secret.pop("stringData")
    data = {key: base64.b64encode(str(text).encode()).decode() for key, text in texts.items()}
    secret["data"] = {**(secret.get("data") or {}), **data}


def _is_left_out(obj: Object) -> bool:
    metadata = obj["metadata"]
    return "disabled" in ((metadata.get("labels") or {}).get(_KEY), (metadata.get("annotations") or {}).get(_KEY))


def _labels_and_annotations(obj: Object) -> Object:
    metadata = obj["metadata"]
    return {"metadata": {key: metadata[key] for key in ("name", "annotations", "labels") if key in metadata}}


def _body(obj: Object) -> Object:
    return {key: value for key, value in obj.items() if key not in ("metadata", "status")}


def _remove(obj: Any, path: str) -> None:
    """Takes away what a JSON pointer names, if it is there."""
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]
    for part in parents:
        if isinstance(obj, list) and part.isdigit() and int(part) < len(obj):
            obj = obj[int(part)]
        elif isinstance(obj, dict) and part in obj:
            obj = obj[part]
        else:
            return
    if isinstance(obj, dict):
        obj.pop(last, None)
    elif isinstance(obj, list) and last.isdigit() and int(last) < len(obj):
        del obj[int(last)]


class _Rule:
    """A rule of what to ignore, and in which objects. Raises DriftFailed."""

    def __init__(self, rule: Object) -> None:
        self.paths: list[str] = rule["paths"]
        target = rule.get("target") or {}
        self.patterns: dict[str, re.Pattern[str]] = {}
        self.selectors: dict[str, LabelSelector] = {}
        for name in ("group", "version", "kind", "name", "namespace"):
            if target.get(name):
                try:
                    self.patterns[name] = re.compile(target[name])
                except re.error as error:
                    text = f"failed to create ignore rule selector: invalid {name} regex: {error}"
                    raise DriftFailed(text) from None
        for field_name, key in (("labelSelector", "labels"), ("annotationSelector", "annotations")):
            if target.get(field_name):
                self.selectors[key] = parse_labels(target[field_name])

    def matches(self, obj: Object) -> bool:
        group, _, version = str(obj["apiVersion"]).rpartition("/")
        metadata = obj["metadata"]
        values = {
            "group": group,
            "version": version,
            "kind": obj["kind"],
            "name": metadata.get("name", ""),
            "namespace": metadata.get("namespace", ""),
        }
        return all(pattern.fullmatch(values[name]) for name, pattern in self.patterns.items()) and all(
            selector.matches_labels(metadata.get(key) or {}) for key, selector in self.selectors.items()
        )


@dataclass
class Corrections:
    """What was set right, and what could not be."""

    entries: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


async def corrected(client: KubeClient, mapping: RestMapping, found: list[Difference]) -> Corrections:
    """Creates what is missing and patches what differs, in Flux's order of kinds."""
    result = Corrections()
    for kind in (CREATE, UPDATE):
        for one in sorted((d for d in found if d.kind == kind), key=_order):
            metadata = one.desired["metadata"]
            resource = await mapping.of(one.desired["apiVersion"], one.desired["kind"])
            try:
                if kind == CREATE:
                    url = f"{resource.path(metadata.get('namespace', ''))}?fieldManager={MANAGER}"
                    await client.create(url, one.desired)
                else:
                    url = resource.path(metadata.get("namespace", ""), metadata["name"])
                    await client.request("PATCH", url, one.patch, {"fieldManager": MANAGER}, JSON_PATCH)
            except StatusError as error:
                what = "creation" if kind == CREATE else "patch"
                result.errors.append(f"{one.name} {what} failure: {_masked(one, error)}")
                continue
            result.entries.append(f"{one.name} {'created' if kind == CREATE else 'configured'}")
    return result


def _masked(one: Difference, error: StatusError) -> str:
    """What an error says, without the values of a Secret."""
    if one.desired["kind"] == "Secret" and error.reason == "Invalid":
        return error.message.rpartition(":")[2].strip()
    return error.message


def _order(one: Difference) -> tuple[int, str, str, str, str]:
    ref = ObjectRef.of(one.desired)
    place = 0
    if ref.kind in _FIRST:
        place = _FIRST.index(ref.kind) - len(_FIRST)
    elif ref.kind in _LAST:
        place = 1 + _LAST.index(ref.kind)
    return place, ref.group, ref.kind, ref.namespace, ref.name
