"""Microsoft.Compute: VM sizes, SKUs and quota. Virtual machines themselves are refused by name."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from azsandbox.arm import errors
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.facts import read
from azsandbox.arm.provider import Provider
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

POOLS = "Microsoft.ContainerService/managedClusters/agentPools"
OS_DISK_MB = 1047552  # the largest OS disk


class Compute(Provider):
    """The namespace Microsoft.Compute."""

    namespace = "Microsoft.Compute"

    def __init__(self) -> None:
        super().__init__([Skus(), VmSizes(), Usages()])


@functools.cache
def sizes() -> dict[str, dict[str, Any]]:
    """The VM sizes by lower-case name: name, family, vCPUs, memoryGB, tempDiskMB, cachedDiskBytes, ephemeralOSDisk …"""
    return {row["name"].lower(): row for row in read("vm-sizes.json")["sizes"]}


def size(name: str) -> dict[str, Any] | None:
    """The VM size of that name, without regard to case."""
    return sizes().get(name.lower())


def offered(name: str, location: str) -> bool:
    """Whether the size can be had in the location (normalized name)."""
    found = size(name)
    return found is not None and (found["locations"] == "all" or location in found["locations"])


def zones(arm: Arm, location: str) -> list[str]:
    """The availability zones of a location."""
    return [str(z) for z in range(1, arm.facts.locations[location]["zones"] + 1)]


def used(arm: Arm, location: str) -> dict[str, int]:
    """vCPUs in use in a location by family, "cores" for all: those of clusters' nodes."""
    out: dict[str, int] = {"cores": 0}
    for pool in arm.resources.all(POOLS):
        cluster = arm.resources.get(pool.resource_id.parent) if pool.resource_id.parent else None
        found = size(str(pool.properties.get("vmSize") or ""))
        if cluster and found and arm.facts.location(cluster.body.get("location", "")) == location:
            count = int(pool.properties.get("count") or 0) * found["vCPUs"]
            out["cores"] += count
            out[found["family"]] = out.get(found["family"], 0) + count
    return out


def limit(family: str) -> int:
    """The quota of vCPUs of a family, or of all with "cores"."""
    quota = read("quotas.json")["compute"]
    if family == "cores":
        return int(quota["cores"])
    return int(quota["families"].get(family, quota["family"]))


def _location(call: Call) -> str:
    assert call.target is not None
    name = call.arm.facts.location(call.target.names[0])
    if name not in call.arm.facts.locations:
        raise errors.no_registered_provider(
            name,
            call.api_version,
            call.target.type.partition("/")[2],
            [call.api_version],
            list(call.arm.facts.locations),
        )
    return name


class VmSizes(ResourceType):
    """GET …/locations/{l}/vmSizes."""

    name = "locations/vmSizes"
    stored = parent_stored = False

    async def list(self, call: Call) -> Answer:
        where = _location(call)
        value = [
            {
                "name": row["name"],
                "numberOfCores": row["vCPUs"],
                "osDiskSizeInMB": OS_DISK_MB,
                "resourceDiskSizeInMB": row["tempDiskMB"],
                "memoryInMB": int(row["memoryGB"] * 1024),
                "maxDataDiskCount": row["maxDataDisks"],
            }
            for row in sizes().values()
            if offered(row["name"], where)
        ]
        return call.page(value)


class Usages(ResourceType):
    """GET …/locations/{l}/usages: vCPUs against quota."""

    name = "locations/usages"
    stored = parent_stored = False

    async def list(self, call: Call) -> Answer:
        where = _location(call)
        count = used(call.arm, where)
        families = list(dict.fromkeys(row["family"] for row in sizes().values()))
        rows = [("cores", "Total Regional vCPUs", count["cores"], limit("cores"))]
        rows += [(f, _family_text(f), count.get(f, 0), limit(f)) for f in families]
        rows += [(o["name"], o["text"], 0, o["limit"]) for o in read("quotas.json")["compute"]["other"]]
        value = [
            {"limit": most, "unit": "Count", "currentValue": now, "name": {"value": name, "localizedValue": text}}
            for name, text, now, most in rows
        ]
        return call.page(value)


def _family_text(family: str) -> str:
    """ "standardDSv5Family" is shown as "Standard DSv5 Family vCPUs"."""
    bare = family if " " in family else re.sub(r"^[sS]tandard(.*)Family$", r"Standard \1 Family", family)
    return f"{bare} vCPUs"


class Skus(ResourceType):
    """GET …/skus, narrowed by $filter=location eq 'l'."""

    name = "skus"
    scopes = ("subscription",)
    stored = False

    async def list(self, call: Call) -> Answer:
        wanted = list(call.arm.facts.locations)
        if condition := call.query.get("$filter"):
            found = re.fullmatch(r"\s*location\s+eq\s+'([^']*)'\s*", condition, re.IGNORECASE)
            if not found:
                raise errors.gateway(
                    400, "InvalidFilterInQueryString", f"Invalid $filter '{condition}' specified in the query string."
                )
            wanted = [n for n in wanted if n == call.arm.facts.location(found[1])]
        value = [
            _sku(call.arm, row, location)
            for row in sizes().values()
            for location in wanted
            if offered(row["name"], location)
        ]
        return call.page(value)


def _sku(arm: Arm, row: dict[str, Any], location: str) -> Document:
    capabilities = {
        "MaxResourceVolumeMB": row["tempDiskMB"],
        "OSVhdSizeMB": OS_DISK_MB,
        "vCPUs": row["vCPUs"],
        "MemoryPreservingMaintenanceSupported": "True",
        "HyperVGenerations": row["hyperVGenerations"],
        "MemoryGB": f"{row['memoryGB']:g}",
        "MaxDataDiskCount": row["maxDataDisks"],
        "CpuArchitectureType": row["architecture"],
        "LowPriorityCapable": str(not row["name"].startswith("Standard_B")),
        "PremiumIO": str(row["premiumIO"]),
        "VMDeploymentTypes": "IaaS",
        "vCPUsAvailable": row["vCPUs"],
        "CachedDiskBytes": row["cachedDiskBytes"],
        "EphemeralOSDiskSupported": str(row["ephemeralOSDisk"]),
        "EncryptionAtHostSupported": str(row["encryptionAtHost"]),
        "AcceleratedNetworkingEnabled": str(row["acceleratedNetworking"]),
    }
    if row["gpus"]:
        capabilities["GPUs"] = row["gpus"]
    if row["ephemeralOSDisk"]:
        capabilities["SupportedEphemeralOSDiskPlacements"] = (
            "NvmeDisk" if "nvmeDiskMiB" in row else "ResourceDisk,CacheDisk"
        )
    if "nvmeDiskMiB" in row:
        capabilities["NvmeDiskSizeInMiB"] = row["nvmeDiskMiB"]
    if not row["cachedDiskBytes"]:
        del capabilities["CachedDiskBytes"]
    return {
        "resourceType": "virtualMachines",
        "name": row["name"],
        "tier": "Standard",
        "size": row["name"].removeprefix("Standard_"),
        "family": row["family"],
        "locations": [location],
        "locationInfo": [{"location": location, "zones": zones(arm, location), "zoneDetails": []}],
        "capabilities": [{"name": name, "value": str(value)} for name, value in capabilities.items()],
        "restrictions": [],
    }
