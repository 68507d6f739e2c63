"""The webhook as a process: it answers while its Deployment has a pod."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azsandbox.aks import versions
from azsandbox.controllers.client import KubeClient, Object
from azsandbox.controllers.informer import Controller, Informers

if TYPE_CHECKING:
    from azsandbox.cluster import Cluster

NAMESPACE, DEPLOYMENT = "kube-system", "azure-wi-webhook-controller-manager"
SERVICE, ACCOUNT = "azure-wi-webhook-webhook-service", "azure-wi-webhook-admin"


class WorkloadIdentityWebhook(Controller):
    """Serves the webhook while a pod of its Deployment is there."""

    name = "workload-identity-webhook"
    workers = 1

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.deployments = informers.of("apps/v1", "deployments")
        self.deployments.on_change(self._changed)

    def _changed(self, kind: str, deployment: Object, old: Object | None) -> None:
        metadata = deployment["metadata"]
        if (metadata.get("namespace"), metadata["name"]) == (NAMESPACE, DEPLOYMENT):
            self.queue.add(f"{NAMESPACE}/{DEPLOYMENT}")

    async def reconcile(self, key: str) -> None:
        """Answers for the webhook's Service, or does not."""
        from azsandbox.aks.identity.webhook import Webhook

        cluster = self.options["cluster"]
        deployment = self.deployments.get(key)
        services = cluster.server.local_services
        if not deployment or not (deployment.get("status") or {}).get("availableReplicas"):
            services.pop((NAMESPACE, SERVICE), None)
        elif (NAMESPACE, SERVICE) not in services:
            account = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
            client = self.client.acting_as(account, ("system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}"))
            minor = int(versions.minor(cluster.version.removeprefix("v")).partition(".")[2])
            services[NAMESPACE, SERVICE] = Webhook(client, self.options["tenant"], minor).answer


def attach(arm: Any, cluster: Cluster) -> None:
    """Gives a managed cluster a place where the webhook runs."""
    if cluster.options.get("resource_id"):
        cluster.add(WorkloadIdentityWebhook, tenant=arm.services.tenant_id)
