"""The ConfigMap kube-root-ca.crt in every namespace.

Rules and text: k8s.io/kubernetes, pkg/controller/certificates/rootcacertpublisher.
"""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.kubernetes.errors import StatusError

NAME = "kube-root-ca.crt"
DESCRIPTION = "kubernetes.io/description"
TEXT = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal "
    "service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)


class RootCaPublisher(Controller):
    """Publishes the cluster's authority. Option `cluster` has it (`ca_pem`)."""

    name = "root-ca-cert-publisher"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.namespaces = self.follow(informers.of("v1", "namespaces"))
        self.config_maps = self.follow(
            informers.of("v1", "configmaps"),
            lambda found: [found["metadata"]["namespace"]] if found["metadata"]["name"] == NAME else [],
        )

    async def reconcile(self, key: str) -> None:
        namespace = self.namespaces.get(key)
        if namespace is None or namespace["metadata"].get("deletionTimestamp"):
            return
        data = {"ca.crt": getattr(self.options.get("cluster"), "ca_pem", "") or ""}
        found = self.config_maps.get(f"{key}/{NAME}")
        url = path("v1", "configmaps", key)
        if found is None:
            metadata = {"name": NAME, "namespace": key, "annotations": {DESCRIPTION: TEXT}}
            wanted: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
            try:
                await self.client.create(url, wanted)
            except StatusError as error:
                if error.code not in (403, 404, 409):
                    raise
            return
        annotations = found["metadata"].get("annotations") or {}
        if (found.get("data") or {}) == data and annotations.get(DESCRIPTION):
            return
        metadata = {**found["metadata"], "annotations": {DESCRIPTION: TEXT, **annotations}}
        metadata.pop("managedFields", None)
        await self.client.update(f"{url}/{NAME}", {**found, "metadata": metadata, "data": data})
