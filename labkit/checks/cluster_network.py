"""Checks of the cluster's network: subnets, ranges, plug-in, policy engine."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from math import ceil

from labkit.checks.core import Finding, Status, failed, passed, skipped, unknown, warned
from labkit.checks.evidence import Evidence, Object, network_of
from labkit.checks.facts import retirement
from labkit.checks.lookup import at, is_on, same
from labkit.checks.registry import judges

Network = IPv4Network | IPv6Network

RESERVED = 5
"""Addresses of each subnet that Azure keeps: the first four and the last."""
LOAD_BALANCERS = 5
"""Addresses set aside for internal load balancers."""
FLAT_OVERLAY_SUBNET = 24
"""The shortest subnet that is wide enough when it holds nodes only (catalogue, `cluster.vnet`)."""


def _profile(evidence: Evidence) -> Object:
    return at(evidence.cluster, "properties.networkProfile") or {}


def _overlay(evidence: Evidence) -> bool:
    """Overlay, as the cluster has it; before there is one, as the settings plan it."""
    if evidence.maybe("cluster") is None:
        return evidence.settings.network_plugin_mode == "overlay"
    return same(at(_profile(evidence), "networkPluginMode"), "overlay")


def _before_cluster(evidence: Evidence) -> bool:
    problem = evidence.problem("cluster")
    return problem is not None and problem.status is Status.SKIP


def _subnet(networks: dict[str, Object], subnet_id: str) -> Object | None:
    network = networks.get(network_of(subnet_id).lower()) or {}
    return next((item for item in at(network, "properties.subnets") or [] if same(at(item, "id"), subnet_id)), None)


def _prefixes(subnet: Object) -> list[Network]:
    properties = subnet.get("properties") or {}
    listed = at(properties, "addressPrefixes") or [at(properties, "addressPrefix")]
    return [ip_network(prefix) for prefix in listed if prefix]


def _spaces(networks: dict[str, Object]) -> list[tuple[str, Network]]:
    return [
        (str(at(network, "name")), ip_network(prefix))
        for network in networks.values()
        for prefix in at(network, "properties.addressSpace.addressPrefixes") or []
    ]


@judges("cluster.vnet", reads=("networks",), also=("cluster",))
def vnet(evidence: Evidence) -> Iterator[Finding]:
    """Each pool is in a subnet of the lab's network, as wide as the settings ask; before the cluster, that is there."""
    networks: dict[str, Object] = evidence.read("networks")
    if _before_cluster(evidence):
        yield _planned(evidence, networks)
        return
    for pool in evidence.pools:
        yield _place(evidence, networks, pool)


def _planned(evidence: Evidence, networks: dict[str, Object]) -> Finding:
    """The network and the cluster's subnet, before any pool is in it."""
    settings = evidence.settings
    expected = f"{settings.vnet} ({settings.vnet_cidr}) with {settings.cluster_subnet}"
    network = next((item for item in networks.values() if same(at(item, "name"), settings.vnet)), None)
    if network is None:
        return failed("no network", expected, f"there is no network {settings.vnet!r} in {settings.resource_group!r}")
    object_id = str(at(network, "id"))
    subnets = at(network, "properties.subnets") or []
    subnet = next((item for item in subnets if same(at(item, "name"), settings.cluster_subnet)), None)
    if subnet is None:
        return failed(
            f"{settings.vnet} without it", expected, f"the subnet {settings.cluster_subnet!r} is missing", object_id
        )
    return _fits(settings.cluster_subnet, network, subnet, evidence, object_id)


def _place(evidence: Evidence, networks: dict[str, Object], pool: Object) -> Finding:
    settings, name = evidence.settings, pool.get("name")
    subnet_id = str(at(pool, "vnetSubnetID") or "")
    expected = f"a subnet of {settings.vnet} ({settings.vnet_cidr}), /{_least(evidence)} or wider"
    object_id = evidence.pool_id(pool)
    if not subnet_id:
        reason = f"AKS made a network of its own for pool {name}, which you cannot plan or connect"
        make = failed if evidence.profile == "2021" else warned
        return make(f"pool {name}: no subnet", expected, reason, object_id)
    network = networks.get(network_of(subnet_id).lower())
    if network is None or not same(at(network, "name"), settings.vnet):
        place = network_of(subnet_id).rsplit("/", 1)[-1]
        return failed(f"pool {name}: network {place}", expected, f"pool {name} is not in the lab's network", object_id)
    subnet = _subnet(networks, subnet_id)
    if subnet is None:
        return unknown(f"the subnet of pool {name} was not found in its network", expected, object_id)
    return _fits(f"pool {name}", network, subnet, evidence, object_id)


def _fits(what: str, network: Object, subnet: Object, evidence: Evidence, object_id: str) -> Finding:
    """The network has the lab's range, and the subnet is inside it and wide enough."""
    settings = evidence.settings
    least = _least(evidence)
    expected = f"a subnet of {settings.vnet} ({settings.vnet_cidr}), /{least} or wider"
    spaces = [ip_network(prefix) for prefix in at(network, "properties.addressSpace.addressPrefixes") or []]
    if ip_network(settings.vnet_cidr) not in spaces:
        shown = ", ".join(map(str, spaces))
        return failed(
            f"network {shown}", expected, f"the network does not have the range {settings.vnet_cidr}", object_id
        )
    prefixes = _prefixes(subnet)
    observed = f"{what}: {', '.join(map(str, prefixes)) or 'no range'}"
    inside = any(_inside(prefix, space) for prefix in prefixes for space in spaces)
    if not inside:
        return failed(observed, expected, f"the subnet of {what} is not inside its network", object_id)
    if min(prefix.prefixlen for prefix in prefixes) > least:
        return failed(observed, expected, f"the subnet of {what} is narrower than /{least}", object_id)
    return passed(observed, expected, object_id)


def _least(evidence: Evidence) -> int:
    """The longest prefix that is wide enough: with Overlay the subnet holds nodes only."""
    return FLAT_OVERLAY_SUBNET if _overlay(evidence) else ip_network(evidence.settings.cluster_subnet_cidr).prefixlen


def _inside(prefix: Network, space: Network) -> bool:
    return prefix.version == space.version and prefix.subnet_of(space)  # type: ignore[arg-type]


def surge_nodes(pool: Object, base: int) -> int:
    """Nodes that an upgrade adds to a pool of `base` nodes: at least one, a percentage rounded up."""
    surge = str(at(pool, "upgradeSettings.maxSurge") or "0")
    number = ceil(int(surge[:-1]) * base / 100) if surge.endswith("%") else int(surge)
    return max(1, number)


def nodes_at_full_scale(pool: Object) -> int:
    """Nodes of a pool at its most, surge included."""
    base = int(at(pool, "maxCount" if is_on(at(pool, "enableAutoScaling")) else "count") or 0)
    return base + surge_nodes(pool, base)


@judges("cluster.subnet-capacity", reads=("cluster", "networks"))
def subnet_capacity(evidence: Evidence) -> Iterator[Finding]:
    """Each subnet has addresses for its pools at full scale and during an upgrade, with a fifth to spare."""
    networks: dict[str, Object] = evidence.read("networks")
    profile = _profile(evidence)
    kubenet = same(at(profile, "networkPlugin"), "kubenet")
    by_subnet: dict[str, list[Object]] = {}
    for pool in evidence.pools:
        subnet_id = str(at(pool, "vnetSubnetID") or "")
        if subnet_id:
            by_subnet.setdefault(subnet_id.lower(), []).append(pool)
    if not by_subnet:
        yield skipped("no pool is in a subnet of yours, so AKS plans the addresses", "", evidence.cluster_id)
        return
    for pools in by_subnet.values():
        subnet_id = str(at(pools[0], "vnetSubnetID"))
        subnet = _subnet(networks, subnet_id)
        if subnet is None or not _prefixes(subnet):
            yield unknown("the subnet was not found in its network", "", subnet_id)
            continue
        usable = sum(prefix.num_addresses - RESERVED for prefix in _prefixes(subnet))
        flat = not _overlay(evidence) and not kubenet
        yield _capacity(pools, usable, flat, subnet_id)
    if _overlay(evidence):
        yield _overlay_capacity(evidence, str(at(profile, "podCidr") or evidence.settings.pod_cidr))


def _capacity(pools: list[Object], usable: int, flat: bool, subnet_id: str) -> Finding:
    need = 0 if flat and all(not at(pool, "podSubnetID") for pool in pools) else LOAD_BALANCERS
    for pool in pools:
        nodes = nodes_at_full_scale(pool)
        # In a flat network each pod has an address of the subnet, unless pods have a subnet of their own.
        need += nodes * (int(at(pool, "maxPods") or 30) + 1) if flat and not at(pool, "podSubnetID") else nodes
    observed, expected = f"{need} of {usable} addresses at full scale", f"at most {usable * 8 // 10} (80 %)"
    if need > usable:
        return failed(
            observed,
            expected,
            f"the pools need {need} addresses at full scale, and the subnet holds {usable}",
            subnet_id,
        )
    if need > usable * 0.8:
        return warned(observed, expected, f"only {usable - need} addresses are left at full scale", subnet_id)
    return passed(observed, expected, subnet_id)


def _overlay_capacity(evidence: Evidence, pod_cidr: str) -> Finding:
    room = 2 ** max(0, 24 - ip_network(pod_cidr).prefixlen) if ip_network(pod_cidr).prefixlen <= 24 else 0
    nodes = sum(nodes_at_full_scale(pool) for pool in evidence.pools)
    observed, expected = f"{nodes} nodes, pod range {pod_cidr}", f"a /24 for each of {nodes} nodes"
    if nodes > room:
        return failed(observed, expected, f"the pod range has a /24 for {room} nodes only", evidence.cluster_id)
    return passed(observed, expected, evidence.cluster_id)


@judges("cluster.cidr-overlap", reads=("cluster", "networks"))
def cidr_overlap(evidence: Evidence) -> Iterator[Finding]:
    """Service, pod and network ranges are apart, and the DNS address is a service's."""
    profile, object_id = _profile(evidence), evidence.cluster_id
    services = _ranges(profile, "serviceCidrs", "serviceCidr")
    pods = _ranges(profile, "podCidrs", "podCidr")
    # Ranges matter only where they can meet: without a subnet of the learner's, AKS keeps them apart itself.
    if not any(at(pool, "vnetSubnetID") for pool in evidence.pools):
        yield skipped("no pool is in a network of yours, so there is none to collide with", "", object_id)
        return
    spaces = _spaces(evidence.read("networks"))
    expected = "service range, pod range and networks apart"
    collisions = list(_collisions(services, pods, spaces, _overlay(evidence)))
    for one, other in collisions:
        yield failed(f"{one} and {other}", expected, f"{one} overlaps {other}", object_id)
    if not collisions:
        shown = ", ".join(str(network) for network in [*services, *pods, *(space for _, space in spaces)])
        yield passed(shown, expected, object_id)
    dns = at(profile, "dnsServiceIP")
    if dns and services:
        yield _dns(str(dns), services[0], object_id)


def _ranges(profile: Object, plural: str, singular: str) -> list[Network]:
    listed = at(profile, plural) or [at(profile, singular)]
    return [ip_network(item) for item in listed if item]


def _collisions(
    services: list[Network], pods: list[Network], spaces: list[tuple[str, Network]], overlay: bool
) -> Iterator[tuple[str, str]]:
    for service in services:
        for name, space in spaces:
            if service.version == space.version and service.overlaps(space):
                yield f"services {service}", f"network {name} {space}"
        for pod in pods:
            if service.version == pod.version and service.overlaps(pod):
                yield f"services {service}", f"pods {pod}"
    for pod in pods if overlay else []:
        for name, space in spaces:
            if pod.version == space.version and pod.overlaps(space):
                yield f"pods {pod}", f"network {name} {space}"


def _dns(dns: str, services: Network, object_id: str) -> Finding:
    expected = f"an address in {services} other than {services[1]}"
    address = ip_address(dns)
    if address not in services:
        return failed(dns, expected, "the DNS service has an address outside the service range", object_id)
    if address == services[1]:
        return failed(dns, expected, "the first address of the range belongs to the service kubernetes", object_id)
    return passed(dns, expected, object_id)


@judges("cluster.aci-subnet", reads=("networks",), also=("cluster",))
def aci_subnet(evidence: Evidence) -> Finding:
    """A subnet is delegated to container instances, where virtual nodes can be used at all."""
    expected = "a subnet delegated to Microsoft.ContainerInstance/containerGroups"
    cluster = evidence.maybe("cluster") or {}
    addon = is_on(at(cluster, "properties.addonProfiles.aciConnectorLinux.enabled"))
    pools = at(cluster, "properties.agentPoolProfiles") or []
    used = {str(at(pool, "vnetSubnetID") or "").lower() for pool in pools}
    networks: dict[str, Object] = evidence.read("networks")
    for network in networks.values():
        for subnet in at(network, "properties.subnets") or []:
            names = [at(entry, "properties.serviceName") for entry in at(subnet, "properties.delegations") or []]
            delegated = any(same(name, "Microsoft.ContainerInstance/containerGroups") for name in names)
            if delegated and str(at(subnet, "id")).lower() not in used:
                return passed(f"subnet {at(subnet, 'name')}", expected, str(at(subnet, "id")))
    if _overlay(evidence) and not addon:
        return skipped(
            "virtual nodes need a flat network, and this cluster uses Overlay", expected, evidence.cluster_id
        )
    return failed("no such subnet", expected, "virtual nodes have no subnet to run in", evidence.cluster_id)


@judges("cluster.network-plugin")
def network_plugin(evidence: Evidence) -> Finding:
    """Azure CNI; kubenet has an end, and a plug-in of one's own is not judged."""
    plugin = at(_profile(evidence), "networkPlugin")
    if same(plugin, "azure"):
        return passed(plugin, "azure", evidence.cluster_id)
    if same(plugin, "none"):
        return skipped("the cluster brings a network plug-in of its own", "azure", evidence.cluster_id)
    end = retirement("kubenet")
    reason = f"kubenet retires on {end:%d %b %Y}" if same(plugin, "kubenet") else "this is not Azure CNI"
    return failed(plugin, "azure", reason, evidence.cluster_id)


@judges("cluster.network-plugin-mode")
def network_plugin_mode(evidence: Evidence) -> Finding:
    """Pods have addresses of their own range, or of a subnet of their own."""
    mode = at(_profile(evidence), "networkPluginMode")
    expected = "overlay, or a pod subnet for each pool"
    if same(mode, "overlay"):
        return passed(mode, expected, evidence.cluster_id)
    pools = evidence.pools
    if pools and all(at(pool, "podSubnetID") for pool in pools):
        return passed("pod subnets", expected, evidence.cluster_id)
    reason = "node subnet: pods take addresses of the nodes' subnet, which AKS now labels legacy"
    return warned("node subnet", expected, reason, evidence.cluster_id)


ENGINES = {"calico": "calico-system/calico-node", "azure": "kube-system/azure-npm", "cilium": "kube-system/cilium"}


@judges("cluster.network-policy", also=("workloads",))
def network_policy(evidence: Evidence) -> Iterator[Finding]:
    """An engine that enforces NetworkPolicies is chosen, and runs on each node."""
    profile, object_id = _profile(evidence), evidence.cluster_id
    policy = str(at(profile, "networkPolicy") or "none").lower()
    dataplane = at(profile, "networkDataplane")
    old = evidence.profile == "2021"
    expected = "calico" if old else "calico or cilium"
    if same(dataplane, "cilium") and policy != "cilium":
        reason = "with the Cilium dataplane only Cilium can enforce policies"
        yield failed(f"policy {policy}, dataplane cilium", "cilium", reason, object_id)
    elif policy == "none":
        yield failed(policy, expected, "NetworkPolicies are accepted, and nothing enforces them", object_id)
    elif policy == "calico" or (policy == "cilium" and not old):
        yield passed(policy, expected, object_id)
    elif policy == "azure" and not old:
        reason = f"Azure network policy manager retires on {retirement('azure-npm-linux'):%d %b %Y}"
        yield warned(policy, expected, reason, object_id)
    else:
        yield failed(policy, expected, f"the series asks for calico, and this is {policy}", object_id)
    running = evidence.maybe("workloads")
    if policy in ENGINES and running is not None:
        yield _engine(ENGINES[policy], running, object_id)


def _engine(name: str, workloads: list[Object], object_id: str) -> Finding:
    found = next(
        (item for item in workloads if f"{item['namespace']}/{item['name']}" == name and item["kind"] == "DaemonSet"),
        None,
    )
    if found is None:
        return failed(
            f"no DaemonSet {name}", f"{name} on every node", "the engine is chosen, and does not run", object_id
        )
    observed, expected = (
        f"{name}: {found['ready']} of {found['wanted']} ready",
        f"{found['wanted']} of {found['wanted']} ready",
    )
    if found["ready"] != found["wanted"]:
        return failed(observed, expected, "on some nodes nothing enforces NetworkPolicies", object_id)
    return passed(observed, expected, object_id)
