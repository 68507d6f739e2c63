"""Checks of the node pools: how many, how big, how tainted, where."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.checks.core import Finding, failed, passed, skipped, unknown, warned
from labkit.checks.evidence import Evidence, Object
from labkit.checks.lookup import at, is_on, same
from labkit.checks.registry import judges

TAINT = "CriticalAddonsOnly=true:NoSchedule"
GIB = 2**30


def _system(evidence: Evidence) -> list[Object]:
    return [pool for pool in evidence.pools if same(at(pool, "mode"), "System")]


def _hosted(evidence: Evidence) -> bool:
    return is_on(at(evidence.cluster, "properties.hostedSystemProfile.enabled"))


def _provisioned(evidence: Evidence) -> bool:
    """Nodes are made as pods need them (node auto-provisioning), beside or instead of pools."""
    return same(at(evidence.cluster, "properties.nodeProvisioningProfile.mode"), "Auto")


def _scale_set(pool: Object) -> bool:
    return same(at(pool, "type"), "VirtualMachineScaleSets")


def _linux(pool: Object) -> bool:
    return same(at(pool, "osType") or "Linux", "Linux")


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


@judges("cluster.system-pool-count")
def system_pool_count(evidence: Evidence) -> Finding:
    """Three system nodes, or two as the series has them."""
    object_id, expected = evidence.cluster_id, "at least 3 system nodes"
    if _hosted(evidence):
        return passed("AKS hosts the system nodes", expected, object_id)
    count = sum(
        int(at(pool, "minCount" if is_on(at(pool, "enableAutoScaling")) else "count") or 0)
        for pool in _system(evidence)
        if _linux(pool)
    )
    observed = f"at least {_nodes(count)} in system pools"
    if count >= 3:
        return passed(observed, expected, object_id)
    if count == 2:
        return warned(observed, expected, "two is the floor: while one node is upgraded, one carries all", object_id)
    return failed(observed, expected, "the loss of one node takes DNS and metrics with it", object_id)


@judges("cluster.system-pool-taint", also=("nodes",))
def system_pool_taint(evidence: Evidence) -> Iterator[Finding]:
    """Every system pool has the taint, and so have its nodes."""
    if _hosted(evidence):
        yield skipped("AKS hosts the system nodes", TAINT, evidence.cluster_id)
        return
    for pool in _system(evidence):
        taints = at(pool, "nodeTaints") or []
        observed = f"pool {pool.get('name')}: {', '.join(taints) or 'no taint'}"
        if TAINT in taints:
            yield passed(observed, TAINT, evidence.pool_id(pool))
        else:
            reason = f"the scheduler may put application pods on pool {pool.get('name')}, beside DNS"
            yield failed(observed, TAINT, reason, evidence.pool_id(pool))
    for node in evidence.maybe("nodes") or []:
        if (node["labels"] or {}).get("kubernetes.azure.com/mode") != "system":
            continue
        if not any(taint.get("key") == "CriticalAddonsOnly" for taint in node["taints"]):
            reason = f"node {node['name']} lacks the taint, whatever its pool says"
            yield failed(f"node {node['name']}: no such taint", TAINT, reason, evidence.cluster_id)


@judges("cluster.system-pool-vm-size", reads=("cluster", "nodes"))
def system_pool_vm_size(evidence: Evidence) -> Iterator[Finding]:
    """Four cores or more, and none that are borrowed."""
    expected = "not burstable, 4 vCPUs or more, 4 GB of memory or more"
    pools = _system(evidence)
    burstable = [pool for pool in pools if re.match(r"Standard_B", str(at(pool, "vmSize")), re.I)]
    for pool in burstable:
        reason = "a burstable size slows down once its credits are spent"
        yield failed(f"pool {pool.get('name')}: {at(pool, 'vmSize')}", expected, reason, evidence.pool_id(pool))
    # What Azure says of a size is enough to refuse a burstable one; the cores are read off the nodes.
    if burstable:
        return
    nodes = evidence.read("nodes")
    for pool in pools:
        yield _size(evidence, pool, nodes, expected)


def _size(evidence: Evidence, pool: Object, nodes: list[Object], expected: str) -> Finding:
    object_id, name = evidence.pool_id(pool), pool.get("name")
    mine = [node for node in nodes if (node["labels"] or {}).get("kubernetes.azure.com/agentpool") == name]
    if not mine:
        return unknown(f"pool {name} has no node to read the size off", expected, object_id)
    cores = min(quantity(at(node, "capacity.cpu")) for node in mine)
    memory = min(quantity(at(node, "capacity.memory")) for node in mine)
    observed = f"pool {name}: {at(pool, 'vmSize')}, {cores:g} vCPUs, {memory / GIB:.1f} GiB"
    if cores < 2 or memory < 4 * 1000**3 * 0.9:
        return failed(observed, expected, f"pool {name} is too small for the system's own pods", object_id)
    if cores < 4:
        return warned(observed, expected, f"pool {name} has {cores:g} vCPUs; AKS recommends four", object_id)
    return passed(observed, expected, object_id)


UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "m": 1e-3, "": 1}


def quantity(text: object) -> float:
    """A Kubernetes quantity as a number: "4", "3860m", "16374356Ki"."""
    found = re.fullmatch(r"([\d.]+)(Ki|Mi|Gi|Ti|k|M|G|T|m|)", str(text or "0"))
    return float(found.group(1)) * UNITS[found.group(2)] if found else 0.0


@judges("cluster.user-pool")
def user_pool(evidence: Evidence) -> Finding:
    """Applications have nodes of their own, and not only borrowed ones."""
    object_id, expected = evidence.cluster_id, "a Linux user pool that is not Spot, with 3 nodes or more"
    if _provisioned(evidence):
        return passed("nodes are made as pods need them", expected, object_id)
    pools = [
        pool
        for pool in evidence.pools
        if same(at(pool, "mode"), "User") and _linux(pool) and not same(at(pool, "scaleSetPriority"), "Spot")
    ]
    count = sum(int(at(pool, "count") or 0) for pool in pools)
    shown = ", ".join(f"{pool.get('name')} ({at(pool, 'count')})" for pool in pools) or "none"
    if count < 1:
        return failed(f"user pools: {shown}", expected, "applications have no nodes apart from the system's", object_id)
    if count < 3:
        return warned(
            f"user pools: {shown}",
            expected,
            f"only {_nodes(count)}: an upgrade or a zone takes a large part",
            object_id,
        )
    return passed(f"user pools: {shown}", expected, object_id)


@judges("cluster.autoscaling")
def autoscaling(evidence: Evidence) -> Iterator[Finding]:
    """Each pool scales by itself, between two bounds that differ."""
    if _provisioned(evidence):
        yield passed("nodes are made as pods need them", "autoscaling", evidence.cluster_id)
        return
    for pool in filter(_scale_set, evidence.pools):
        yield _scaling(evidence, pool)


def _scaling(evidence: Evidence, pool: Object) -> Finding:
    name, object_id = pool.get("name"), evidence.pool_id(pool)
    least, most, count = at(pool, "minCount"), at(pool, "maxCount"), at(pool, "count")
    expected = "enableAutoScaling, minCount below maxCount, count between them"
    if not is_on(at(pool, "enableAutoScaling")):
        return failed(
            f"pool {name}: off, {count} nodes", expected, f"pool {name} keeps its size whatever the load", object_id
        )
    observed = f"pool {name}: {least} to {most}, now {count}"
    if least is None or most is None or count is None:
        return unknown(f"the answer holds no bounds for pool {name}", expected, object_id)
    if least >= most:
        return failed(observed, expected, f"pool {name} has nowhere to scale: its bounds are the same", object_id)
    if not least <= count <= most:
        return failed(observed, expected, f"pool {name} is outside its own bounds", object_id)
    if evidence.profile == "2021" and same(at(pool, "mode"), "System") and (least, most) != (2, 5):
        return failed(
            observed, "2 to 5", f"the series lets the system pool scale from 2 to 5, and {name} does not", object_id
        )
    return passed(observed, expected, object_id)


@judges("cluster.zones", also=("sizes", "nodes"))
def zones(evidence: Evidence) -> Iterator[Finding]:
    """Each pool spans three zones where the region has some, and its nodes are in them."""
    sizes = evidence.maybe("sizes")
    for pool in evidence.pools:
        yield from _zones(evidence, pool, sizes)


def _zones(evidence: Evidence, pool: Object, sizes: dict[str, Object] | None) -> Iterator[Finding]:
    name, object_id = pool.get("name"), evidence.pool_id(pool)
    chosen = sorted(set(at(pool, "availabilityZones") or []))
    observed, expected = f"pool {name}: {', '.join(chosen) or 'none'}", "3 zones"
    size = (sizes or {}).get(str(at(pool, "vmSize")).lower())
    if not chosen and size is not None and not size["zones"]:
        yield skipped(f"the region has no zones for {at(pool, 'vmSize')}", expected, object_id)
        return
    if len(chosen) >= 3:
        yield passed(observed, expected, object_id)
    elif len(chosen) == 2:
        yield warned(observed, expected, f"pool {name} spans two zones; the loss of one takes half", object_id)
    else:
        yield failed(observed, expected, f"the loss of one zone takes pool {name} whole", object_id)
    nodes = evidence.maybe("nodes")
    if chosen and nodes is not None:
        yield from _spread(evidence, pool, chosen, nodes)


def _spread(evidence: Evidence, pool: Object, chosen: list[str], nodes: list[Object]) -> Iterator[Finding]:
    name = pool.get("name")
    mine = [
        node["labels"].get("topology.kubernetes.io/zone", "0")
        for node in nodes
        if node["labels"].get("kubernetes.azure.com/agentpool") == name and ready(node)
    ]
    seen = {zone for zone in mine if zone != "0"}
    wanted = min(len(chosen), len(mine))
    if len(seen) < wanted:
        observed = f"pool {name}: {len(mine)} nodes in {len(seen)} zones"
        reason = f"the nodes of pool {name} are in fewer zones than the pool names"
        yield failed(observed, f"{wanted} zones", reason, evidence.pool_id(pool))


def ready(node: Object) -> bool:
    """True if the node says that it is ready."""
    return any(item["type"] == "Ready" and item["status"] == "True" for item in node["conditions"])


@judges("cluster.ephemeral-os-disk", also=("sizes",))
def ephemeral_os_disk(evidence: Evidence) -> Iterator[Finding]:
    """OS disks on the host itself, where the size has room for one."""
    sizes = evidence.maybe("sizes") or {}
    for pool in evidence.pools:
        if not _scale_set(pool) or not _linux(pool):
            continue
        kind, object_id = at(pool, "osDiskType"), evidence.pool_id(pool)
        observed = f"pool {pool.get('name')}: {kind}, {at(pool, 'osDiskSizeGB')} GB"
        if same(kind, "Ephemeral"):
            yield passed(observed, "Ephemeral", object_id)
        elif _no_local_disk(sizes.get(str(at(pool, "vmSize")).lower())):
            yield skipped(f"{at(pool, 'vmSize')} has no local disk", "Ephemeral", object_id)
        else:
            reason = "a managed OS disk is slower, costs extra, and makes each new node wait"
            yield failed(observed, "Ephemeral", reason, object_id)


def _no_local_disk(size: Object | None) -> bool:
    if size is None:
        return False
    return same(size["capabilities"].get("EphemeralOSDiskSupported"), "False")


@judges("cluster.host-encryption")
def host_encryption(evidence: Evidence) -> Iterator[Finding]:
    """What a node writes to its own disks is encrypted where it lies."""
    for pool in evidence.pools:
        value, name = at(pool, "enableEncryptionAtHost"), pool.get("name")
        observed, object_id = (
            f"pool {name}: {'absent' if value is None else str(value).lower()}",
            evidence.pool_id(pool),
        )
        if is_on(value):
            yield passed(observed, "true", object_id)
        else:
            yield failed(
                observed, "true", f"temporary disks and caches of pool {name} are not encrypted at the host", object_id
            )
