"""What AKS applies beside the workloads when workload identity or the Secrets Store add-on is on, and takes away after."""

from __future__ import annotations

from azsandbox.aks.identity import facts
from azsandbox.controllers.client import KubeClient, Object, path

MANAGER = "aks-addon-manager"
PLURALS = {
    "CSIDriver": "csidrivers",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "ConfigMap": "configmaps",
    "CustomResourceDefinition": "customresourcedefinitions",
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
    "Service": "services",
}
# A cluster's feature, and the file with what it needs
FILES = {"workload-identity": "objects", "keyvault-provider": "secrets-store"}


def address(obj: Object) -> str:
    """URL path of an object of the installation."""
    metadata = obj["metadata"]
    return path(obj["apiVersion"], PLURALS[obj["kind"]], metadata.get("namespace", ""), metadata["name"])


async def converge(client: KubeClient, features: set[str], tenant: str) -> None:
    """Applies what the features need, and deletes what those that are off had."""
    for feature, file in FILES.items():
        found = facts.objects(file, tenant=tenant)
        if feature in features:
            for obj in found:
                obj["metadata"].setdefault("labels", {})["addonmanager.kubernetes.io/mode"] = "Reconcile"
                await client.apply(address(obj), obj, MANAGER)
        elif await client.find(address(found[-1])) is not None:
            for obj in reversed(found):  # the webhook's configuration first, so that it holds up no pod
                await client.gone(address(obj))
