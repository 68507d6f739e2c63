"""As whom, and in which cluster, a release is made (helm-controller, internal/kube and helmrelease_controller.go)."""

from __future__ import annotations

import base64

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.flux.access import Access, secret_reference
from azsandbox.flux.helm.settings import Settings
from azsandbox.flux.remote_clusters import BadKubeconfig, remote_client
from azsandbox.flux.rest_mapping import RestMapping
from azsandbox.flux.runtime import Outbound
from azsandbox.kubernetes.errors import StatusError

_KEYS = ("value", "value.yaml")


class AccessFailed(Exception):
    """A client that cannot be made; the message is Flux's. `missing` says that the Secret is not there."""

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


def account_of(obj: Object, settings: Settings) -> str:
    """The service account that a release is made as, "" for the controller's own."""
    return str(obj["spec"].get("serviceAccountName") or settings.default_account)


async def access_for(own: Access, obj: Object, settings: Settings, outbound: Outbound) -> Access:
    """The access of a HelmRelease; `own` is the controller's. Raises AccessFailed and NotSupported."""
    namespace, account = obj["metadata"]["namespace"], account_of(obj, settings)
    found = own
    config = obj["spec"].get("kubeConfig")
    if config:
        found = await _remote(own.client, namespace, config, outbound)
    return found.as_account(namespace, account)


async def _remote(client: KubeClient, namespace: str, config: Object, outbound: Outbound) -> Access:
    reference = secret_reference(config)
    name, key = f"{namespace}/{reference['name']}", reference.get("key")
    try:
        secret = await client.get(path("v1", "secrets", namespace, reference["name"]))
    except StatusError as error:
        text = f"could not get KubeConfig secret '{name}': {error.message}"
        raise AccessFailed(text, missing=error.code == 404) from None
    data = secret.get("data") or {}
    kubeconfig = next((data[one] for one in ([key] if key else _KEYS) if one in data), None)
    if kubeconfig is None:
        shown = f"'{key}'" if key else " or ".join(f"'{one}'" for one in _KEYS)
        raise AccessFailed(f"KubeConfig secret '{name}' does not contain a {shown} key with data")
    try:
        found = remote_client(base64.b64decode(kubeconfig), client.user_agent, outbound)
    except BadKubeconfig as error:
        raise AccessFailed(f"failed to load KubeConfig from secret '{name}': {error}") from None
    return Access(found, RestMapping(found), own=False, remote=True)
