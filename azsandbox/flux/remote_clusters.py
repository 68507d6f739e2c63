"""Clusters other than a controller's own, by kubeconfigs that their users put into Secrets.

Rules and texts: fluxcd/pkg/runtime/client (kubeconfig.go), k8s.io/client-go/tools/clientcmd.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx

from azsandbox.controllers.client import KubeClient
from azsandbox.controllers.transports import Network
from azsandbox.flux.network import failure
from azsandbox.flux.runtime import Outbound
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.schema import yaml_text

_NONE = "invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable"
_FILES = (
    ("tokenFile", "tokenFile, only an inline token"),
    ("client-certificate", "client-certificate file, only client-certificate-data"),
    ("client-key", "client-key file, only client-key-data"),
)


class BadKubeconfig(Exception):
    """A kubeconfig that leads nowhere, or that Flux does not take; the message is Flux's."""


def remote_client(kubeconfig: bytes, user_agent: str, outbound: Outbound) -> KubeClient:
    """A client of the cluster that a kubeconfig names; to be closed. Raises BadKubeconfig."""
    config = _sanitized(kubeconfig)
    try:
        network = Network.of(config, proxy=outbound.proxy, ca=outbound.ca)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise BadKubeconfig(f"invalid configuration: {error}") from None
    return KubeClient(_Reached(network), user_agent)


class _Reached:
    """A transport whose requests, where they get no answer, fail as those of Go's client do."""

    def __init__(self, network: Network) -> None:
        self.network = network

    async def send(self, method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        try:
            return await self.network.send(method, url, headers, body)
        except (httpx.HTTPError, OSError) as error:
            raise await self._failed(method, url, error) from None

    async def stream(self, url: str, headers: dict[str, str]) -> AsyncIterator[bytes]:
        try:
            async for line in self.network.stream(url, headers):
                yield line
        except (httpx.HTTPError, OSError) as error:
            raise await self._failed("GET", url, error) from None

    async def close(self) -> None:
        await self.network.close()

    def acting_as(self, user: str, groups: tuple[str, ...]) -> Any:
        return self.network.acting_as(user, groups)

    async def _failed(self, method: str, url: str, error: Exception) -> StatusError:
        return StatusError(503, "", await failure(method, self.network.server + url, error))


def _sanitized(text: bytes) -> dict[str, Any]:
    """A kubeconfig without what Flux does not take from one: files, programs, and trust in any certificate."""
    try:
        config, _ = yaml_text.parse(text)
    except yaml_text.BadYaml as error:
        raise BadKubeconfig(str(error).removeprefix("error converting YAML to JSON: ")) from None
    if not isinstance(config, dict):
        raise BadKubeconfig(_NONE)
    clusters, users = _named(config, "clusters", "cluster"), _named(config, "users", "user")
    for name, cluster in clusters.items():
        if cluster.get("certificate-authority"):
            what = "a certificate-authority file, only certificate-authority-data"
            raise BadKubeconfig(f"cluster '{name}' references {what} is supported")
        cluster.pop("insecure-skip-tls-verify", None)
    for name, user in users.items():
        for field, word in _FILES:
            if user.get(field):
                raise BadKubeconfig(f"user '{name}' references a {word} is supported")
        user.pop("exec", None)
    current = config.get("current-context")
    if not current:
        raise BadKubeconfig(_NONE)
    context = _named(config, "contexts", "context").get(current)
    if context is None:
        raise BadKubeconfig(f"context was not found for specified context: {current}")
    if not clusters.get(context.get("cluster", ""), {}).get("server"):
        raise BadKubeconfig(f'invalid configuration: no server found for cluster "{context.get("cluster", "")}"')
    return config


def _named(config: dict[str, Any], rows: str, field: str) -> dict[str, dict[str, Any]]:
    """Entries of a kubeconfig's list, by name."""
    found = {}
    for row in config.get(rows) or ():
        if isinstance(row, dict) and row.get("name"):
            row[field] = row.get(field) or {}
            found[str(row["name"])] = row[field]
    return found
