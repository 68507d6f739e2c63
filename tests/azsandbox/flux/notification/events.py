"""Events for tests, as the controllers post them."""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import Object

KUSTOMIZE = "kustomize.toolkit.fluxcd.io"
SHA = "2c26b46b68ffc68ff99b453c1d30413413422d70"


def event(message: str = "ConfigMap/apps/app created", **changes: Any) -> Object:
    """An event about Kustomization apps/web at a commit of main; `changes` take the place of its fields."""
    about = {
        "kind": "Kustomization",
        "namespace": "apps",
        "name": "web",
        "uid": "5f1c",
        "apiVersion": f"{KUSTOMIZE}/v1",
        "resourceVersion": "7",
    }
    found = {
        "involvedObject": about,
        "severity": "info",
        "timestamp": "2026-11-25T10:00:00Z",
        "message": message,
        "reason": "ReconciliationSucceeded",
        "metadata": {f"{KUSTOMIZE}/revision": f"main@sha1:{SHA}"},
        "reportingController": "kustomize-controller",
        "reportingInstance": "kustomize-controller-1",
    }
    return {**found, **changes}


def sent(**changes: Any) -> Object:
    """The same event as notifiers get it, its metadata without their groups."""
    return event(**{"metadata": {"revision": f"main@sha1:{SHA}"}, **changes})
