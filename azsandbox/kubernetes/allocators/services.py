"""What a Service is given when it is created or changed: addresses, IP families, node ports.

Rules: k8s.io/kubernetes, pkg/registry/core/service/storage/alloc.go.
"""

from __future__ import annotations

import ipaddress
import time
from typing import TYPE_CHECKING, Any

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.allocators import ip_addresses
from azsandbox.kubernetes.allocators.node_ports import NodePorts, PortError
from azsandbox.kubernetes.allocators.service_ips import AddressError, ServiceIPs
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.validation.errors import Errors, invalid

if TYPE_CHECKING:
    from azsandbox.kubernetes.admission.attributes import Attributes

DEFAULT_RANGE = "10.96.0.0/16"
_HELD_SECONDS = 10.0  # how long what was given to a write is kept for it until the write is stored
_NODE_PORT_TYPES = ("NodePort", "LoadBalancer")


class ServiceAllocation:
    """Gives addresses and ports. What is taken is read off the Services that are stored."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self._held: dict[str, tuple[float, str]] = {}  # address or port → until when, for whom

    def allocate(self, attrs: Attributes) -> None:
        """Fills in the Service of a write, in place. Raises 422 or 500."""
        new, old = attrs.obj or {}, attrs.old
        spec = new["spec"] = new.get("spec") or {}
        before = (old or {}).get("spec") or {}
        owner = f"{attrs.namespace}/{attrs.name or new['metadata'].get('name') or ''}"
        if old is not None:
            patch_allocated(spec, before)
        normalize_addresses(spec, before if old is not None else None)
        try:
            self._families(spec, before if old is not None else None)
            self._addresses(spec, before, owner, attrs.dry_run)
            self._ports(spec, before, owner, attrs.dry_run)
        except _Refused as refused:
            name = new["metadata"].get("name") or ""
            raise errors.invalid("Service", "", name, refused.errors) from None

    def release(self, service: Object) -> None:
        """After a Service is gone: what it held is free at once."""
        spec = service.get("spec") or {}
        held = [*(spec.get("clusterIPs") or []), *(port.get("nodePort") for port in spec.get("ports") or [])]
        for value in [*held, spec.get("healthCheckNodePort")]:
            self._held.pop(str(value), None)
        ip_addresses.note(self.server, None, service)

    # --- what is taken

    def _services(self, owner: str) -> list[Object]:
        return [
            service.get("spec") or {}
            for service in self.server.peek_list("services")
            if f"{service['metadata'].get('namespace')}/{service['metadata']['name']}" != owner
        ]

    def _noted_for_others(self, owner: str) -> set[str]:
        found = set()
        for item in self.server.peek_list(ip_addresses.RESOURCE):
            parent = (item.get("spec") or {}).get("parentRef") or {}
            if f"{parent.get('namespace')}/{parent.get('name')}" != owner:
                found.add(item["metadata"]["name"])
        return found

    def _others_hold(self, owner: str) -> set[str]:
        now = time.monotonic()
        self._held = {key: value for key, value in self._held.items() if value[0] > now}
        return {key for key, (_, holder) in self._held.items() if holder != owner}

    def _hold(self, values: list[str], owner: str, dry_run: bool) -> None:
        if not dry_run:
            until = time.monotonic() + _HELD_SECONDS
            self._held |= dict.fromkeys(values, (until, owner))

    def _networks(self) -> list[ipaddress.IPv4Network]:
        """The ranges that addresses are given from, the cluster's own first."""
        found = [item for item in self.server.peek_list("servicecidrs.networking.k8s.io") if _is_ready(item)]
        found.sort(key=lambda item: item["metadata"]["name"] != "kubernetes")
        texts = [text for item in found for text in (item.get("spec") or {}).get("cidrs") or [] if ":" not in text]
        return [ipaddress.IPv4Network(text, strict=False) for text in texts or [DEFAULT_RANGE]]

    # --- IP families

    def _families(self, spec: Object, before: Object | None) -> None:
        """Decides on the IP families; the cluster has IPv4 only."""
        if spec.get("type") == "ExternalName":
            return
        headless = spec.get("clusterIP") == "None"
        if spec.get("ipFamilyPolicy") is None:
            if before and before.get("ipFamilyPolicy"):
                spec["ipFamilyPolicy"] = before["ipFamilyPolicy"]
            else:
                spec["ipFamilyPolicy"] = "RequireDualStack" if headless and not spec.get("selector") else "SingleStack"
        from azsandbox.kubernetes.validation.services import cluster_addresses

        found = cluster_addresses(spec, before)
        if found:
            raise _Refused(found)
        policy = spec["ipFamilyPolicy"]
        addresses, families = spec.get("clusterIPs") or [], list(spec.get("ipFamilies") or [])
        if policy == "SingleStack":
            where = "spec.ipFamilyPolicy"
            text = "must be 'RequireDualStack' or 'PreferDualStack' when multiple"
            if len(addresses) == 2:
                found.append(invalid(where, policy, f"{text} cluster IPs are specified"))
            if len(families) == 2:
                found.append(invalid(where, policy, f"{text} IP families are specified"))
        for index, address in enumerate(addresses):
            if address == "None":
                break
            if index >= len(families):
                family = "IPv6" if ":" in address else "IPv4"
                if family == "IPv6":
                    text = "IPv6 is not configured on this cluster"
                    found.append(invalid(f"spec.clusterIPs[{index}]", addresses, text))
                else:
                    families.append(family)
        if found:
            raise _Refused(found)
        if headless and not spec.get("selector"):
            families = families or ["IPv4"]
            if len(families) < 2 and policy != "SingleStack":
                families.append("IPv6" if families[0] == "IPv4" else "IPv4")
            spec["ipFamilies"] = families
            return
        if policy == "RequireDualStack":
            text = "this cluster is not configured for dual-stack services"
            found.append(invalid("spec.ipFamilyPolicy", policy, text))
        for index, family in enumerate(families):
            if family != "IPv4":
                found.append(invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster"))
        if found:
            raise _Refused(found)
        spec["ipFamilies"] = families or ["IPv4"]

    # --- addresses

    def _addresses(self, spec: Object, before: Object, owner: str, dry_run: bool) -> None:
        if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None":
            return
        if before and before.get("type") != "ExternalName":
            return
        taken = {address for other in self._services(owner) for address in other.get("clusterIPs") or []}
        taken |= self._noted_for_others(owner) | self._others_hold(owner)
        addresses = ServiceIPs(self._networks(), taken)
        wanted = list(spec.get("clusterIPs") or [])
        given = []
        for index, _ in enumerate(spec.get("ipFamilies") or []):
            asked = wanted[index] if index < len(wanted) else ""
            try:
                if asked:
                    addresses.take(asked)
                given.append(asked or addresses.next())
            except AddressError as error:
                if not asked:
                    raise errors.internal(f"failed to allocate a serviceIP: {error}") from None
                text = f"failed to allocate IP {asked}: {error}"
                raise _Refused([invalid("spec.clusterIPs", wanted, text)]) from None
        spec["clusterIPs"], spec["clusterIP"] = given, given[0]
        self._hold(given, owner, dry_run)

    # --- ports

    def _ports(self, spec: Object, before: Object, owner: str, dry_run: bool) -> None:
        own = {port["nodePort"] for port in before.get("ports") or [] if port.get("nodePort")}
        own |= {before["healthCheckNodePort"]} if before.get("healthCheckNodePort") else set()
        taken: set[int] = {int(value) for value in self._others_hold(owner) if value.isdigit()}
        for other in self._services(owner):
            taken |= {port["nodePort"] for port in other.get("ports") or [] if port.get("nodePort")}
            taken |= {other["healthCheckNodePort"]} if other.get("healthCheckNodePort") else set()
        ports = NodePorts(taken, any_number=dry_run)
        kept = own if before.get("type") in _NODE_PORT_TYPES else set()
        given: list[int] = []
        if spec.get("type") in _NODE_PORT_TYPES:
            given = self._node_ports(spec, ports, kept)
        if checks_health(spec):
            given += self._health_port(spec, ports, before if checks_health(before) else {})
        self._hold([str(port) for port in given], owner, dry_run)

    def _node_ports(self, spec: Object, ports: NodePorts, kept: set[int]) -> list[int]:
        given: list[int] = []
        by_port: dict[int, int] = {}
        items = spec.get("ports") or []
        asked = {item.get("port"): item["nodePort"] for item in items[::-1] if item.get("nodePort")}
        for index, item in enumerate(items):
            port = item.get("nodePort") or 0
            if not port and spec.get("type") == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False:
                continue
            shared = by_port.get(item.get("port") or 0) if not kept else None
            if shared and port in (0, shared):
                item["nodePort"] = shared
                continue
            port = port or (asked.get(item.get("port"), 0) if not kept else 0)
            if not port:
                port = self._any(ports)
            elif port not in kept and port not in given:
                try:
                    ports.take(port)
                except PortError as error:
                    where = f"spec.ports[{index}].nodePort"
                    raise _Refused([invalid(where, port, str(error))]) from None
            item["nodePort"] = port
            by_port.setdefault(item.get("port") or 0, port)
            given.append(port)
        return given

    @staticmethod
    def _any(ports: NodePorts) -> int:
        try:
            return ports.next()
        except PortError as error:
            raise errors.internal(f"failed to allocate a nodePort: {error}") from None

    def _health_port(self, spec: Object, ports: NodePorts, before: Object) -> list[int]:
        port = spec.get("healthCheckNodePort") or 0
        if before.get("healthCheckNodePort"):
            return []
        if not port:
            spec["healthCheckNodePort"] = self._any(ports)
            return [spec["healthCheckNodePort"]]
        try:
            ports.take(port)
        except PortError as error:
            text = f"failed to allocate requested HealthCheck NodePort {port}: {error}"
            raise errors.internal(text) from None
        return [port]


class _Refused(Exception):
    def __init__(self, found: Errors) -> None:
        super().__init__("refused")
        self.errors = found


def _is_ready(service_cidr: Object) -> bool:
    conditions = (service_cidr.get("status") or {}).get("conditions") or []
    ready = any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)
    return ready and not service_cidr["metadata"].get("deletionTimestamp")


def checks_health(spec: Object) -> bool:
    """Whether nodes answer a load balancer's health checks for a Service."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def normalize_addresses(spec: Object, before: Object | None) -> None:
    """Keeps clusterIP and clusterIPs in step, when a client knows of one of them only."""
    address, addresses = spec.get("clusterIP") or "", spec.get("clusterIPs") or []
    if before is None:
        if address and not addresses:
            spec["clusterIPs"] = [address]
        return
    past, pasts = before.get("clusterIP") or "", before.get("clusterIPs") or []
    if pasts and not addresses and address == past:
        spec["clusterIPs"] = list(pasts)
    elif address != past and addresses == pasts:
        if past and not address:
            spec.pop("clusterIPs", None)
        else:
            spec["clusterIPs"] = [address]


def patch_allocated(spec: Object, before: Object) -> None:
    """What the server once gave stays, if the caller's body leaves it out."""
    kind, earlier = spec.get("type"), before.get("type")
    if earlier != "ExternalName" and kind != "ExternalName":
        if not spec.get("clusterIP") and before.get("clusterIP"):
            spec["clusterIP"] = before["clusterIP"]
        if not spec.get("clusterIPs") and before.get("clusterIPs"):
            spec["clusterIPs"] = list(before["clusterIPs"])
    if earlier in _NODE_PORT_TYPES and kind in _NODE_PORT_TYPES:
        _patch_ports(spec, before)
    if checks_health(spec) and checks_health(before) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = before.get("healthCheckNodePort")


def _patch_ports(spec: Object, before: Object) -> None:
    past = {port.get("name") or "": port.get("nodePort") for port in before.get("ports") or []}
    used = {port.get("nodePort") for port in spec.get("ports") or [] if port.get("nodePort")} & set(past.values())
    for port in spec.get("ports") or []:
        found = past.get(port.get("name") or "")
        if not port.get("nodePort") and found and found not in used:
            port["nodePort"] = found
