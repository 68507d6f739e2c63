"""The objects of the Helm release that microsoft.flux is: Flux itself, and Azure's two agents."""

from __future__ import annotations

import copy
from typing import Any

from azsandbox.aks.gitops import facts
from azsandbox.aks.gitops.settings import Settings
from azsandbox.controllers.client import Object
from azsandbox.flux import facts as flux
from azsandbox.flux.installation import manifests

APPLIER = "flux-applier"
ENFORCE = "MULTI_TENANCY_ENFORCE"  # the agents' variable for the setting; the name is the sandbox's own
_PART = {"app.kubernetes.io/part-of": "flux", "app.kubernetes.io/managed-by": "Helm"}
# Flux documentation, "Multi-tenancy lock-down"; the account is the extension's
_NO_CROSS = "--no-cross-namespace-refs=true"
_LOCKED = {
    "kustomize-controller": [_NO_CROSS, f"--default-service-account={APPLIER}"],
    "helm-controller": [_NO_CROSS, f"--default-service-account={APPLIER}"],
    "notification-controller": [_NO_CROSS],
    "image-reflector-controller": [_NO_CROSS],
    "image-automation-controller": [_NO_CROSS],
}


def objects(version: str, settings: Settings, name: str) -> list[Object]:
    """The objects of a release of the extension `name`, in the order in which they can be created.

    All definitions are there, whatever controllers are. Raises KeyError for a version that is not known.
    """
    known, namespace = facts.extension(), facts.namespace()
    chosen = known["releases"][version]
    found = manifests(chosen["flux"], namespace, settings.controllers, known["registry"])
    definitions = [copy.deepcopy(d) for d in (*flux.definitions(), *facts.definitions())]
    rest = [obj for obj in found if obj["kind"] != "CustomResourceDefinition"]
    for obj in rest:
        if obj["kind"] == "Deployment":
            _adapt(obj, chosen["controllers"], settings)
    agents = [o for agent in known["agents"] for o in _agent(agent, version, namespace, settings)]
    return [_marked(obj, name, namespace) for obj in [*definitions, *rest, *agents]]


def deployments(settings: Settings) -> list[str]:
    """Names of the Deployments of a release."""
    return [*settings.controllers, *facts.extension()["agents"]]


def _marked(obj: Object, release: str, namespace: str) -> Object:
    """The labels and annotations that Helm looks for on what it has installed."""
    metadata = obj["metadata"]
    labels = {**(metadata.get("labels") or {}), **_PART}
    marks = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}
    if obj["kind"] == "Namespace":  # made by the operator before Helm, and left when the release goes
        return {**obj, "metadata": {**metadata, "labels": {k: v for k, v in labels.items() if "managed-by" not in k}}}
    annotations = {**(metadata.get("annotations") or {}), **marks}
    return {**obj, "metadata": {**metadata, "labels": labels, "annotations": annotations}}


def _adapt(deployment: Object, tags: dict[str, str], settings: Settings) -> None:
    """Azure's build of a controller, with the settings' arguments and resources."""
    name = deployment["metadata"]["name"]
    template = deployment["spec"]["template"]
    container = template["spec"]["containers"][0]
    container["image"] = f"{container['image'].rpartition(':')[0]}:{tags[name]}"
    if settings.multi_tenancy:
        container["args"] = [*container["args"], *_LOCKED.get(name, [])]
    for (controller, kind, what), quantity in settings.resources.items():
        if controller == name:
            container["resources"][kind] = {**container["resources"][kind], what: quantity}
    template["metadata"]["labels"] = {**template["metadata"]["labels"], "app.kubernetes.io/name": "flux-extension"}
    template["spec"]["tolerations"] = [{"key": "CriticalAddonsOnly", "operator": "Exists"}]


def _agent(name: str, version: str, namespace: str, settings: Settings) -> list[Object]:
    """The account, access and Deployment of one of Azure's agents."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "labels": {"app.kubernetes.io/component": name, "app.kubernetes.io/name": "microsoft.flux"},
    }
    labels = dict(metadata["labels"])
    account: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": copy.deepcopy(metadata)}
    binding: Object = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "labels": dict(labels)},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
    known = facts.extension()
    registry, log = known["agentRegistry"], known["log"]
    containers = [
        {
            "name": name,
            "image": f"{registry}/{name}:{version}",
            "env": [{"name": ENFORCE, "value": str(settings.multi_tenancy).lower()}],
            "resources": known["agents"][name],
        },
        {
            "name": log["name"],
            "image": f"{registry}/{log['image']}:{version}",
            "resources": {"requests": log["requests"], "limits": log["limits"]},
        },
    ]
    pod = {
        "serviceAccountName": name,
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}],
        "containers": containers,
    }
    deployment: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": dict(labels)},
            "template": {"metadata": {"labels": dict(labels)}, "spec": pod},
        },
    }
    return [account, binding, deployment]
