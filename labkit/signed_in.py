"""Connections to the API server of a kubeconfig, signed in: the lab's own by the token that is kept, others as may be.

The official client knows every way that a kubeconfig signs in, and takes half a second to import. What the lab writes
itself has a server, its authority, a proxy and a token that is kept; for that, urllib3 is enough.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit import kept_tokens, kubeconfig, session
from labkit.errors import KubeconfigError, ReadError

OURS = {"server", "certificate-authority-data", "proxy-url"}
"""What the lab's kubeconfigs say of a cluster."""
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
POOL = 10
"""Connections that are kept: live views hold one each."""


@dataclass(frozen=True)
class Connection:
    """Where a server is, what reaches it, and what signs a request in: its headers, its path and its method."""

    host: str
    pool: Any
    authorize: Callable[[dict[str, str], str, str], object]


def connection(path: Path, context: str) -> Connection:
    """The connection that the kubeconfig at `path` describes, for a context or the current one. Raises ReadError."""
    return kept(path, context) or official(path, context)


def kept(path: Path, context: str) -> Connection | None:
    """A connection with the token that is kept, if the kubeconfig is one of the lab's, and there is one."""
    import urllib3

    try:
        document = kubeconfig.read(path)
    except KubeconfigError:
        return None  # the official client says what is wrong with it
    chosen = _named(document, "contexts", "context", context or str(document.get("current-context")))
    cluster = _named(document, "clusters", "cluster", chosen.get("cluster", ""))
    proxy = cluster.get("proxy-url", "")
    if not {"server", "certificate-authority-data"} <= set(cluster) <= OURS:
        return None
    if not proxy and any(os.environ.get(name) for name in PROXIES):
        return None
    place = dict(session.places(document, os.environ)).get(chosen.get("user", ""))
    found = kept_tokens.read(place, time.time()) if place else None
    if found is None:
        return None
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    options: dict[str, Any] = {"cert_reqs": "CERT_REQUIRED", "ca_cert_data": authority, "maxsize": POOL}
    pool = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
    bearer = {"Authorization": f"Bearer {found[0]}"}
    return Connection(str(cluster["server"]).rstrip("/"), pool, lambda headers, *_: headers.update(bearer))


def official(path: Path, context: str) -> Connection:
    """The connection of the official client, which runs a program for a token if the kubeconfig has one."""
    from kubernetes import config
    from kubernetes.config.config_exception import ConfigException

    loader: Any = config
    try:
        client = loader.new_client_from_config(str(path), context or None)
    except ConfigException as error:
        raise ReadError(f"{path}: {error}", 0, "Kubeconfig", "lab.kubeconfig()") from error

    def authorize(headers: dict[str, str], where: str, method: str) -> None:
        client.update_params_for_auth(headers, [], ["BearerToken"], where, method, None)

    return Connection(client.configuration.host, client.rest_client.pool_manager, authorize)


def _named(document: kubeconfig.Document, section: str, key: str, name: str) -> dict[str, Any]:
    """What is called `name` in a section of a kubeconfig; empty if nothing is."""
    entries = document.get(section) or []
    return next((entry.get(key) or {} for entry in entries if entry.get("name") == name), {})
