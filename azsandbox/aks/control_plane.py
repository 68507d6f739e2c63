"""The Kubernetes API of a managed cluster: the one place that knows how the host keeps clusters."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from azsandbox.arm.resources import Stored
from azsandbox.controllers.client import KubeClient

if TYPE_CHECKING:
    from azsandbox.cluster import Cluster


def key(stored: Stored) -> str:
    """What the host knows the cluster by: its resource UID."""
    return str(stored.properties["resourceUID"])


def host_name(stored: Stored) -> str:
    """The name that clients reach the API by: the public one, else the private one."""
    return str(stored.properties.get("fqdn") or stored.properties.get("privateFQDN") or "")


def options(stored: Stored) -> dict[str, Any]:
    """What the controllers of the cluster need to know."""
    profile = stored.properties["networkProfile"]
    return {
        "service_cidr": profile["serviceCidr"],
        "pod_cidr": profile.get("podCidr", ""),
        "location": stored.body["location"],
        "resource_id": stored.id,
        "load_balancer_ranges": {"public": _public_range(stored)},
    }


def _public_range(stored: Stored) -> str:
    """Where the addresses of public LoadBalancer Services are from: a range of the cluster's own, the same at each
    start. It is the sandbox's choice; Azure gives any of its addresses."""
    digest = hashlib.sha256(f"{key(stored)}/services".encode()).digest()
    return f"20.{digest[0]}.{digest[1]}.0/24"


async def ensure(arm: Any, stored: Stored) -> Cluster:
    """The cluster's API, running; made if it is new, at the stored version."""
    from azsandbox.aks.identity import issuer

    version = f"v{stored.properties['currentKubernetesVersion']}"
    clusters = arm.services.clusters
    cluster: Cluster = await clusters.create(key(stored), version, host_name(stored), options(stored))
    if cluster.version != version:
        clusters.upgrade(key(stored), version)
    issuer.attach(arm, cluster)  # it may have been turned on
    return cluster


def running(arm: Any, stored: Stored) -> Cluster | None:
    """The cluster's API if it runs."""
    found: Cluster | None = arm.services.clusters.get(key(stored))
    return found


def client(arm: Any, stored: Stored) -> KubeClient | None:
    """A client of the cluster's API if it runs."""
    found = running(arm, stored)
    return found.client if found else None


async def stop(arm: Any, stored: Stored) -> None:
    """Stops the API; its state stays."""
    if arm.services.clusters.exists(key(stored)):
        await arm.services.clusters.stop(key(stored))


async def delete(arm: Any, stored: Stored) -> None:
    """Deletes the API and its state."""
    if arm.services.clusters.exists(key(stored)):
        await arm.services.clusters.delete(key(stored))


async def rotate(arm: Any, stored: Stored) -> None:
    """New certificates, of a new authority, and a new administrator's token; kubeconfigs from before no longer work."""
    await arm.services.clusters.rotate(key(stored))
