"""ServiceCIDRs: ready once they are there, and kept while addresses of Services are of them alone.

Source of the rules: Kubernetes 1.35, pkg/controller/servicecidrs.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from azsandbox.controllers.client import STRATEGIC, KubeClient, Object, path
from azsandbox.controllers.events import timestamp
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.controllers.objects import name_of, time_of
from azsandbox.kubernetes.errors import StatusError

FINALIZER = "networking.k8s.io/service-cidr-finalizer"
GRACE = 10.0  # seconds for which a range that goes is kept, so that no address is given from it any more
_GROUP = "networking.k8s.io/v1"
_READY = ("True", "", "Kubernetes Service CIDR is ready")
_TERMINATING = (
    "False",
    "Terminating",
    "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR",
)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ServiceCidrs(Controller):
    """Puts the finalizer on ranges and says whether they are ready."""

    name = "service-cidr-controller"
    account = "service-cidrs-controller"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.ranges = self.follow(informers.of(_GROUP, "servicecidrs"))
        self.addresses = self.follow(informers.of(_GROUP, "ipaddresses"), lambda _: self._going())

    def _going(self) -> list[str]:
        """Ranges whose deletion may wait for an address."""
        return [name for name, found in self.ranges.objects.items() if found["metadata"].get("deletionTimestamp")]

    async def reconcile(self, key: str) -> None:
        found = self.ranges.get(key)
        if found is None:
            return
        metadata = found["metadata"]
        finalizers = metadata.get("finalizers") or []
        if not metadata.get("deletionTimestamp"):
            if FINALIZER not in finalizers:
                await self._patch(key, {"metadata": {"finalizers": [FINALIZER]}})
            await self._say(found, *_READY)
            return
        if not self._may_go(found):
            await self._say(found, *_TERMINATING)
            return
        begun = time_of(metadata["deletionTimestamp"])
        left = GRACE - (self.now() - begun).total_seconds() if begun else 0.0
        if left > 0:
            self.queue.add_after(key, left)
        elif FINALIZER in finalizers:
            await self._patch(key, {"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}})

    async def _patch(self, name: str, patch: Object) -> None:
        try:
            await self.client.patch(path(_GROUP, "servicecidrs", "", name), patch, STRATEGIC)
        except StatusError as error:
            if error.code != 404:
                raise

    async def _say(self, found: Object, status: str, reason: str, message: str) -> None:
        conditions = (found.get("status") or {}).get("conditions") or []
        said: Object = next((item for item in conditions if item["type"] == "Ready"), {})
        wanted = {"status": status, "reason": reason, "message": message}
        if {key: said.get(key) or "" for key in wanted} == wanted:
            return
        condition = {"type": "Ready", **wanted, "lastTransitionTime": timestamp(self.now())}
        applied = {
            "apiVersion": _GROUP,
            "kind": "ServiceCIDR",
            "metadata": {"name": name_of(found)},
            "status": {"conditions": [condition]},
        }
        url = path(_GROUP, "servicecidrs", "", name_of(found), "status")
        await self.client.apply(url, applied, self.name)

    def _may_go(self, found: Object) -> bool:
        """Whether every address of a range is of another range too."""
        others = [_networks(other) for name, other in self.ranges.objects.items() if name != name_of(found)]
        rest = [network for networks in others for network in networks]
        own = _networks(found)
        if all(any(_within(network, other) for other in rest) for network in own):
            return True
        for name, held in self.addresses.objects.items():
            if (held["metadata"].get("labels") or {}).get("ipaddress.kubernetes.io/managed-by") != "ipallocator.k8s.io":
                continue
            address = ipaddress.ip_address(name)
            if any(address in network for network in own) and not any(address in network for network in rest):
                return False
        return True


def _networks(found: Object) -> list[Network]:
    return [ipaddress.ip_network(text, strict=False) for text in (found.get("spec") or {}).get("cidrs") or []]


def _within(network: Network, other: Network) -> bool:
    if isinstance(network, ipaddress.IPv4Network) and isinstance(other, ipaddress.IPv4Network):
        return network.subnet_of(other)
    if isinstance(network, ipaddress.IPv6Network) and isinstance(other, ipaddress.IPv6Network):
        return network.subnet_of(other)
    return False
