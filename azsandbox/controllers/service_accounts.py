"""The ServiceAccount `default` in every namespace, and Secrets that hold tokens of accounts.

Rules: k8s.io/kubernetes, pkg/controller/serviceaccount.
"""

from __future__ import annotations

import base64
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Controller, Informers, split_key
from azsandbox.kubernetes.errors import StatusError

TOKEN_TYPE = "kubernetes.io/service-account-token"  # noqa: S105
ACCOUNT_NAME, ACCOUNT_UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"


class ServiceAccounts(Controller):
    """Makes the account `default` where it is missing."""

    name = "serviceaccount-controller"
    account = "service-account-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.namespaces = self.follow(informers.of("v1", "namespaces"))
        self.accounts = self.follow(
            informers.of("v1", "serviceaccounts"),
            lambda account: [account["metadata"]["namespace"]] if account["metadata"]["name"] == "default" else [],
        )

    async def reconcile(self, key: str) -> None:
        namespace = self.namespaces.get(key)
        if namespace is None or namespace["metadata"].get("deletionTimestamp"):
            return
        if self.accounts.get(f"{key}/default") is None:
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": key}}
            try:
                await self.client.create(path("v1", "serviceaccounts", key), account)
            except StatusError as error:
                if error.code not in (403, 404, 409):
                    raise


class ServiceAccountTokens(Controller):
    """Fills Secrets of type service-account-token, and deletes those whose account is gone."""

    name = "tokens-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.accounts = self.follow(informers.of("v1", "serviceaccounts"), self._secrets_of)
        self.secrets = informers.of("v1", "secrets")
        self.follow(self.secrets, _token_keys)
        self.root_ca = informers.of("v1", "configmaps")

    def _secrets_of(self, account: Object) -> list[str]:
        metadata = account["metadata"]
        found = []
        for secret in self.informers.of("v1", "secrets").list(metadata["namespace"]):
            annotations = secret["metadata"].get("annotations") or {}
            if secret.get("type") == TOKEN_TYPE and annotations.get(ACCOUNT_NAME) == metadata["name"]:
                found.append(f"{metadata['namespace']}/{secret['metadata']['name']}")
        return found

    async def reconcile(self, key: str) -> None:
        secret = self.secrets.get(key)
        if secret is None or secret["metadata"].get("deletionTimestamp"):
            return
        namespace, name = split_key(key)
        annotations = secret["metadata"].get("annotations") or {}
        account_name = annotations.get(ACCOUNT_NAME, "")
        account = self.accounts.get(f"{namespace}/{account_name}")
        if account is None:  # the cache may be late
            account = await self.client.find(path("v1", "serviceaccounts", namespace, account_name))
        url = path("v1", "secrets", namespace, name)
        other = account is not None and annotations.get(ACCOUNT_UID) not in (None, "", account["metadata"]["uid"])
        if account is None or other:
            await self.client.gone(url, {"preconditions": {"uid": secret["metadata"]["uid"]}})
            return
        data = dict(secret.get("data") or {})
        ca = self._root_ca()
        change: Object = {}
        if annotations.get(ACCOUNT_UID) != account["metadata"]["uid"]:
            change["metadata"] = {"annotations": {ACCOUNT_UID: account["metadata"]["uid"]}}
        values: dict[str, str] = {}
        if ca and data.get("ca.crt") != ca:
            values["ca.crt"] = ca
        if not data.get("namespace"):
            values["namespace"] = base64.b64encode(namespace.encode()).decode()
        if not data.get("token"):
            values["token"] = base64.b64encode((await self._token(namespace, account, secret)).encode()).decode()
        if values:
            change["data"] = values
        if change:
            await self.client.patch(url, change)

    def _root_ca(self) -> str:
        cluster = self.options.get("cluster")
        pem = getattr(cluster, "ca_pem", "") or ""
        return base64.b64encode(pem.encode()).decode() if pem else ""

    async def _token(self, namespace: str, account: Object, secret: Object) -> str:
        """A token that does not expire, from the server's own signer where it has one; else one of a year."""
        cluster = self.options.get("cluster")
        legacy = getattr(getattr(getattr(cluster, "server", None), "tokens", None), "legacy", None)
        if legacy is not None:
            return str(legacy(account, secret))
        bound = {
            "kind": "Secret",
            "apiVersion": "v1",
            "name": secret["metadata"]["name"],
            "uid": secret["metadata"]["uid"],
        }
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 365 * 24 * 3600, "boundObjectRef": bound},
        }
        url = path("v1", "serviceaccounts", namespace, account["metadata"]["name"], "token")
        return str((await self.client.create(url, request))["status"]["token"])


def _token_keys(secret: Object) -> list[str]:
    if secret.get("type") != TOKEN_TYPE:
        return []
    return [f"{secret['metadata']['namespace']}/{secret['metadata']['name']}"]
