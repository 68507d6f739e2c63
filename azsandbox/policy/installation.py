"""What an installation of Gatekeeper puts into a cluster."""

from __future__ import annotations

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.policy.definitions import manifests

NAMESPACE = "gatekeeper-system"
MANAGER = "gatekeeper-installer"
PLURALS = {
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "CustomResourceDefinition": "customresourcedefinitions",
    "Deployment": "deployments",
    "Namespace": "namespaces",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
}


def address(obj: Object) -> str:
    """URL path of an object of the installation."""
    metadata = obj["metadata"]
    return path(obj["apiVersion"], PLURALS[obj["kind"]], metadata.get("namespace", ""), metadata["name"])


async def install(client: KubeClient, namespace: str = NAMESPACE) -> None:
    """Applies the installation; it can be repeated."""
    own = client.named(MANAGER)
    for obj in manifests(namespace):
        await own.apply(address(obj), obj, MANAGER)
