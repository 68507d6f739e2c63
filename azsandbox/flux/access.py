"""As whom, and in which cluster, a controller of Flux acts: what kustomize- and helm-controller have in common.

Each has its own words for what goes wrong (flux/kustomize/access.py, flux/helm/access.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.flux.rest_mapping import RestMapping


class NotSupported(Exception):
    """A way of access that the sandbox does not have."""


@dataclass(frozen=True)
class Access:
    """A client, the mapping of its cluster, and whether it is the controller's own."""

    client: KubeClient
    mapping: RestMapping
    own: bool = True
    remote: bool = False

    def as_account(self, namespace: str, account: str) -> Access:
        """The same cluster as one of its service accounts; with "" nothing changes."""
        if not account:
            return self
        client = self.client.impersonating(f"system:serviceaccount:{namespace}:{account}")
        return Access(client, self.mapping, own=False, remote=self.remote)

    async def close(self) -> None:
        """Lets go of connections to another cluster."""
        if self.remote:
            await self.client.close()


def secret_reference(config: Object) -> Object:
    """The reference to a Secret in a `kubeConfig`. Raises NotSupported for one to a ConfigMap."""
    if "secretRef" not in config:
        text = "spec.kubeConfig.configMapRef is not supported in the sandbox; use spec.kubeConfig.secretRef"
        raise NotSupported(text)
    reference: Object = config["secretRef"]
    return reference
