"""What `flux install` puts into a cluster: definitions, namespace, accounts and Deployments."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.kubernetes.errors import StatusError

MANAGER = "flux"


@cache
def _facts(name: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((resources.files("azsandbox") / "data" / "flux" / name).read_text())
    return facts


def namespace() -> str:
    """The namespace of Flux's controllers."""
    return str(_facts("controllers.json")["namespace"])


def controllers() -> list[str]:
    """Names of Flux's controllers, which are those of their Deployments."""
    return list(_facts("controllers.json")["controllers"])


def _labels(component: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/instance": namespace(),
        "app.kubernetes.io/part-of": "flux",
    }


def _account(name: str) -> Object:
    metadata = {"name": name, "namespace": namespace(), "labels": _labels(name)}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def _deployment(name: str) -> Object:
    container = {
        "name": "manager",
        "image": f"ghcr.io/fluxcd/{name}",
        "args": ["--watch-all-namespaces=true", "--log-level=info", "--log-encoding=json", "--enable-leader-election"],
        "ports": [{"containerPort": 8080, "name": "http-prom"}, {"containerPort": 9440, "name": "healthz"}],
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "64Mi"}},
    }
    template = {
        "metadata": {"labels": {"app": name, **_labels(name)}},
        "spec": {"serviceAccountName": name, "containers": [container]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": namespace(),
            "labels": {**_labels(name), "control-plane": "controller"},
        },
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template},
    }


async def install(client: KubeClient) -> None:
    """Installs Flux. What is there already is left as it is."""
    flux = client.named(MANAGER)
    definitions = path("apiextensions.k8s.io/v1", "customresourcedefinitions")
    for definition in _facts("crds.json")["items"]:
        await _create(flux, definitions, definition)
    labels = {"app.kubernetes.io/instance": namespace(), "app.kubernetes.io/part-of": "flux"}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(), "labels": labels}}
    await _create(flux, path("v1", "namespaces"), space)
    for name in controllers():
        await _create(flux, path("v1", "serviceaccounts", namespace()), _account(name))
        await _create(flux, path("apps/v1", "deployments", namespace()), _deployment(name))


async def _create(client: KubeClient, url: str, obj: Object) -> None:
    try:
        await client.create(url, obj)
    except StatusError as error:
        if error.reason != "AlreadyExists":
            raise
