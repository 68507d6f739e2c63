"""How far a configuration is met: from Flux's objects to a FluxConfig's status, and from that to Azure's. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from azsandbox.controllers.client import Object

COMPLIANT, NON_COMPLIANT, PENDING, SUSPENDED, UNKNOWN = "Compliant", "Non-Compliant", "Pending", "Suspended", "Unknown"
STATES = (NON_COMPLIANT, PENDING, UNKNOWN, SUSPENDED, COMPLIANT)
"""From worst to best: a configuration is what the worst of its objects is."""
CHILDREN = {
    "Bucket": "bucket",
    "GitRepository": "gitRepository",
    "HelmChart": "helmChart",
    "HelmRelease": "helmRelease",
    "HelmRepository": "helmRepository",
    "Kustomization": "kustomization",
    "OCIRepository": "ociRepository",
}
"""Kinds that are told of below the Kustomization that applied them, and their place in a FluxConfig's status."""
APPLIED_BY = ("kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/namespace")


def state(obj: Object | None) -> str:
    """The state of one of Flux's objects: what its condition Ready says."""
    if obj is None:
        return PENDING
    spec = obj.get("spec") or {}
    if spec.get("suspend"):
        return SUSPENDED
    ready = _ready(obj)
    if ready is None:
        # An OCI HelmRepository is a static object, which never has a status (Flux, "Helm OCI repository")
        return COMPLIANT if obj.get("kind") == "HelmRepository" and spec.get("type") == "oci" else PENDING
    if ready["status"] == "True":
        observed = (obj.get("status") or {}).get("observedGeneration")
        return PENDING if observed is not None and observed != obj["metadata"].get("generation") else COMPLIANT
    return NON_COMPLIANT if ready["status"] == "False" else PENDING


def settled(obj: Object | None, source: Object | None = None) -> bool:
    """Whether the object's controller has come to a first end with it, good or bad.

    A Kustomization that failed for want of an artifact has not, once its source has one.
    """
    waits = ((_ready(obj) if obj else None) or {}).get("reason") == "ArtifactFailed" and state(source) == COMPLIANT
    return state(obj) not in (PENDING, UNKNOWN) and not waits


def overall(states: Iterable[str]) -> str:
    """The state of a configuration."""
    found = set(states)
    return next((s for s in STATES if s in found), UNKNOWN)


def managed(obj: Object | None) -> Object:
    """An object's entry in a FluxConfig's status."""
    found = state(obj)
    ready = _ready(obj) if obj else None
    message = "Resource is Ready" if found == COMPLIANT else (ready or {}).get("message") or f"Resource is {found}"
    return {"complianceState": found, "conditions": conditions(obj), "message": message}


def child(obj: Object) -> Object:
    """The entry of an object that a Kustomization applied."""
    names = obj["metadata"].get("labels") or {}
    out = managed(obj) | {"appliedBy": {"name": names[APPLIED_BY[0]], "namespace": names[APPLIED_BY[1]]}}
    if obj["kind"] == "HelmRelease":
        out["helmReleaseProperties"] = release_properties(obj)
    return out


def applied_by(obj: Object) -> str | None:
    """Key of the Kustomization that applied an object."""
    names = obj["metadata"].get("labels") or {}
    name, namespace = (names.get(label) for label in APPLIED_BY)
    return f"{namespace}/{name}" if name and namespace else None


def conditions(obj: Object | None) -> list[Object]:
    """An object's conditions, with the five parts that are told of each."""
    found = ((obj or {}).get("status") or {}).get("conditions") or []
    parts = ("lastTransitionTime", "message", "reason", "status", "type")
    return [{part: condition.get(part, "") for part in parts} for condition in found]


def release_properties(obj: Object) -> Object:
    """What is told of a HelmRelease besides its conditions."""
    status = obj.get("status") or {}
    history = status.get("history") or []
    space, _, chart = str(status.get("helmChart") or "").partition("/")
    return {
        "lastRevisionApplied": history[0].get("version") if history else None,
        "helmChartRef": {"name": chart, "namespace": space} if chart else None,
        "failureCount": int(status.get("failures") or 0),
        "installFailureCount": int(status.get("installFailures") or 0),
        "upgradeFailureCount": int(status.get("upgradeFailures") or 0),
    }


def statuses(config: Object) -> list[Object]:
    """Azure's statuses: the source, each Kustomization, then what those have applied."""
    found = (config.get("status") or {}).get("managedStatuses") or {}
    space, name = config["metadata"]["namespace"], config["metadata"]["name"]
    out: list[Object] = []
    for kind, place in CHILDREN.items():
        if kind != "Kustomization" and isinstance(found.get(place), dict):
            out.append(_status(kind, f"{space}/{name}", found[place]))
    kustomizations: dict[str, Any] = found.get("kustomizations") or {}
    out += [_status("Kustomization", key, entry) for key, entry in kustomizations.items()]
    places = {place: kind for kind, place in CHILDREN.items()}
    for entry in kustomizations.values():
        for place, children in (entry.get("childStatuses") or {}).items():
            out += [_status(places[place], key, one) for key, one in children.items()]
    return out


def reported(config: Object) -> Object:
    """What Azure's configuration gets from a FluxConfig's status."""
    status = config.get("status") or {}
    updated = status.get("lastSourceSyncedTime")
    return {
        "repositoryPublicKey": status.get("publicKey", ""),
        "sourceUpdatedAt": _offset(updated) if updated else None,
        "sourceSyncedCommitId": status.get("lastSyncedCommit"),
        "complianceState": status.get("complianceState", PENDING),
        "statuses": statuses(config),
    }


def _status(kind: str, key: str, entry: Object) -> Object:
    space, _, name = key.partition("/")
    return {
        "name": name,
        "namespace": space,
        "kind": kind,
        "complianceState": entry["complianceState"],
        "appliedBy": entry.get("appliedBy"),
        "statusConditions": [
            {**c, "lastTransitionTime": _offset(c["lastTransitionTime"])} for c in entry["conditions"]
        ],
        "helmReleaseProperties": entry.get("helmReleaseProperties"),
    }


def _offset(timestamp: str) -> str:
    """A time as the service writes it, with an offset instead of Z."""
    return timestamp.removesuffix("Z") + "+00:00"


def _ready(obj: Object) -> Object | None:
    found = (obj.get("status") or {}).get("conditions") or []
    return next((c for c in found if c["type"] == "Ready"), None)
