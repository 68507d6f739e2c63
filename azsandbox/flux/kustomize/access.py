"""As whom, and to which cluster, a Kustomization is applied (fluxcd/pkg/runtime/client, Impersonator)."""

from __future__ import annotations

import base64

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.flux.access import Access, secret_reference
from azsandbox.flux.remote_clusters import BadKubeconfig, remote_client
from azsandbox.flux.rest_mapping import RestMapping
from azsandbox.flux.runtime import Outbound
from azsandbox.kubernetes.errors import StatusError


class AccessError(Exception):
    """A client that cannot be made; the message is Flux's."""


def account_of(obj: Object, default: str) -> str:
    """The service account that a Kustomization is applied as, "" for the controller's own."""
    return str(obj["spec"].get("serviceAccountName") or default)


async def access_for(own: Access, obj: Object, default_account: str, outbound: Outbound) -> Access:
    """The access of a Kustomization; `own` is the controller's. Raises AccessError or NotSupported."""
    account, namespace = account_of(obj, default_account), obj["metadata"]["namespace"]
    config = obj["spec"].get("kubeConfig")
    found = own
    if config:
        found = await _remote(own.client, namespace, config, outbound)
    return found.as_account(namespace, account)


async def can_impersonate(own: Access, obj: Object, default_account: str) -> bool:
    """Whether the service account of a Kustomization is there."""
    account = account_of(obj, default_account)
    if not account:
        return True
    try:
        return await own.client.find(path("v1", "serviceaccounts", obj["metadata"]["namespace"], account)) is not None
    except StatusError:
        return False


async def _remote(client: KubeClient, namespace: str, config: Object, outbound: Outbound) -> Access:
    reference = secret_reference(config)
    name = f"{namespace}/{reference['name']}"
    try:
        secret = await client.get(path("v1", "secrets", namespace, reference["name"]))
    except StatusError as error:
        raise AccessError(f"unable to read KubeConfig secret '{name}' error: {error}") from None
    data = secret.get("data") or {}
    keys = [reference["key"]] if reference.get("key") else ["value", "value.yaml"]
    text = next((data[key] for key in keys if key in data), None)
    if text is None:
        raise AccessError(f"KubeConfig secret '{name}' does not contain a '{keys[0]}' key with a kubeconfig")
    try:
        found = remote_client(base64.b64decode(text), client.user_agent, outbound)
    except BadKubeconfig as error:
        raise AccessError(f"invalid KubeConfig in secret '{name}': {error}") from None
    return Access(found, RestMapping(found), own=False, remote=True)
