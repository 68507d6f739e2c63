"""VM sizes as AKS sees them: what a region offers, zones, disks, and the quota of a family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azsandbox.arm.providers import compute
from azsandbox.arm.providers.containerservice.errors import aks, invalid

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

Document = dict[str, Any]
POOLS = "Microsoft.ContainerService/managedClusters/agentPools"


def _row(found: Document) -> Document:
    return {
        "name": found["name"],
        "family": found["family"],
        "cores": int(found["vCPUs"]),
        "memoryGB": float(found["memoryGB"]),
        "cachedDiskGB": found["cachedDiskBytes"] // 1024**3 if found["ephemeralOSDisk"] else 0,
        "temporaryDiskGB": max(found["tempDiskMB"], found.get("nvmeDiskMiB", 0)) // 1024
        if found["ephemeralOSDisk"]
        else 0,
        "premiumIO": found["premiumIO"],
        "encryptionAtHost": found["encryptionAtHost"],
        "arch": "arm64" if found["architecture"].lower() == "arm64" else "amd64",
    }


def find(name: str) -> Document | None:
    """The size of that name: name, family, cores, memoryGB, cachedDiskGB, temporaryDiskGB, premiumIO, arch."""
    found = compute.size(name)
    return _row(found) if found else None


def available(location: str) -> list[Document]:
    """The sizes that a region has."""
    return [_row(r) for r in compute.sizes().values() if compute.offered(r["name"], location)]


def default(location: str, wanted: list[str]) -> str:
    """The first of the wanted sizes that the region has."""
    there = {r["name"] for r in available(location)}
    return next((name for name in wanted if name in there), wanted[-1])


def check(name: str, location: str) -> Document:
    """The size. Raises AKS's error where the region has none of the name."""
    found = next((r for r in available(location) if r["name"].lower() == name.lower()), None)
    if found is None:
        names = ",".join(sorted(r["name"].lower() for r in available(location)))
        raise aks(
            400,
            "BadRequest",
            f"The VM size of {name} is not allowed in your subscription in location '{location}'. The available VM "
            f"sizes are '{names}'. For more details, please visit https://aka.ms/cpu-quota",
        )
    return found


def check_system(vm: Document) -> None:
    """Raises for a size that is too small for a system pool (at least 2 vCPUs and 4 GB)."""
    if vm["cores"] < 2 or vm["memoryGB"] < 4:
        raise invalid(
            "agentPoolProfile.vmSize",
            "System node pool must use VM sku with more than 2 cores and 4GB memory. Please refer to "
            "aka.ms/aks/system-node-pool for more details.",
        )


def ephemeral_room(vm: Document, least: int) -> int:
    """GB that an ephemeral OS disk of at least `least` can have: in the cache, else on the temporary disk; 0 if none."""
    for room in (vm["cachedDiskGB"], vm["temporaryDiskGB"]):
        if room >= least:
            return int(room)
    return 0


def zones(arm: Arm, location: str) -> list[str]:
    """Availability zones of a region."""
    return compute.zones(arm, location)


def used(arm: Arm, location: str, without: set[str]) -> dict[str, int]:
    """vCPUs that agent pools use in a region, by family and for all ("cores"), pools `without` (ids) left out."""
    out: dict[str, int] = {"cores": 0}
    for pool in arm.resources.all(POOLS):
        parent = pool.resource_id.parent
        cluster = arm.resources.get(parent) if parent else None
        vm = find(pool.properties["vmSize"])
        if not vm or not cluster or pool.id.lower() in without or cluster.body.get("location") != location:
            continue
        cores = vm["cores"] * int(pool.properties["count"])
        out["cores"] += cores
        out[vm["family"]] = out.get(vm["family"], 0) + cores
    return out


def check_quota(arm: Arm, location: str, pools: list[tuple[str, Document]]) -> None:
    """Raises where the pools (id and properties, to be) need more vCPUs than the quotas leave."""
    have = used(arm, location, {id_.lower() for id_, _ in pools})
    need: dict[str, int] = {}
    for _, properties in pools:
        vm = find(properties["vmSize"])
        assert vm is not None
        for family in ("cores", vm["family"]):
            need[family] = need.get(family, 0) + vm["cores"] * int(properties["count"])
    for family, cores in need.items():
        left = compute.limit(family) - have.get(family, 0)
        if cores <= left:
            continue
        if family == "cores":
            message = (
                f"Insufficient regional vcpu quota left for location {location}. left regional vcpu quota {left}, "
                f"requested quota {cores}."
            )
        else:
            message = (
                f"Insufficient vcpu quota requested {cores}, remaining {left} for family {family} for region "
                f"{location}."
            )
        raise aks(
            400, "ErrCode_InsufficientVCPUQuota", f"{message} For more details, please visit https://aka.ms/cpu-quota"
        )
