"""agentPools/{p}/machines, privateLinkResources and outbound endpoints: what is told of a cluster's parts."""

from __future__ import annotations

from azsandbox.aks import machines, nodes
from azsandbox.aks.control_plane import client
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.providers.containerservice.base import POOLS
from azsandbox.arm.providers.containerservice.upgrade_profiles import ReadOnly
from azsandbox.arm.resources import Document, Stored


class Machines(ReadOnly):
    """The machines of a pool, by the names of their nodes."""

    name = "managedClusters/agentPools/machines"

    def _pool(self, call: Call) -> Stored:
        self.parent_cluster(call)
        assert call.target is not None
        owner = call.target.owner if call.target.is_collection else call.id.parent
        found = call.arm.resources.get(str(owner))
        if found is None:
            raise self.parent_missing(call, owner)  # type: ignore[arg-type]
        return found

    async def _all(self, call: Call) -> list[Document]:
        pool = self._pool(call)
        cluster = self.parent_cluster(call)
        kube = client(call.arm, cluster)
        addresses = {}
        if kube is not None:
            for node in await nodes.of_pool(kube, pool.name):
                found = next((a for a in node["status"]["addresses"] if a["type"] == "InternalIP"), None)
                addresses[node["metadata"]["name"]] = found["address"] if found else ""
        return [self._one(pool, cluster, machine, addresses) for machine in pool.private["machines"]]

    def _one(self, pool: Stored, cluster: Stored, machine: Document, addresses: dict[str, str]) -> Document:
        name = machines.node_name(pool.private["scaleSet"], machine)
        group = cluster.properties["nodeResourceGroup"]
        network = [{"family": "IPv4", "ip": addresses[name]}] if addresses.get(name) else []
        out: Document = {
            "id": f"{pool.id}/machines/{name}",
            "name": name,
            "type": f"{POOLS}/machines",
            "properties": {
                "network": {"ipAddresses": network},
                "resourceId": f"/subscriptions/{cluster.resource_id.subscription}/resourceGroups/{group}/providers/"
                f"Microsoft.Compute/virtualMachineScaleSets/{pool.private['scaleSet']}/virtualMachines/"
                f"{machine['instance']}",
            },
        }
        if machine["zone"]:
            out["zones"] = [machine["zone"]]
        return out

    async def list(self, call: Call) -> Answer:
        return call.page(await self._all(call))

    async def get(self, call: Call) -> Answer:
        found = next((m for m in await self._all(call) if m["name"].lower() == call.id.name.lower()), None)
        if found is None:
            raise self.not_found(call)
        return Answer(200, found)


class PrivateLinkResources(ReadOnly):
    """The private link of a private cluster's API."""

    name = "managedClusters/privateLinkResources"

    async def list(self, call: Call) -> Answer:
        return Answer(200, {"value": self.parent_cluster(call).properties.get("privateLinkResources") or []})


class OutboundEndpoints(ReadOnly):
    """What the nodes of a cluster need to reach (AKS documentation, "Outbound network and FQDN rules")."""

    name = "managedClusters/outboundNetworkDependenciesEndpoints"

    async def list(self, call: Call) -> Answer:
        location = str(self.parent_cluster(call).body["location"])
        rows = {
            "azure-resource-management": ["management.azure.com", "login.microsoftonline.com"],
            "images": ["mcr.microsoft.com", "*.data.mcr.microsoft.com", "mcr-0001.mcr-msedge.net"],
            "artifacts": ["packages.microsoft.com", "acs-mirror.azureedge.net", "packages.aks.azure.com"],
            "control-plane": [f"*.hcp.{location}.azmk8s.io"],
        }
        value = [
            {
                "category": category,
                "endpoints": [
                    {"domainName": name, "endpointDetails": [{"port": 443, "protocol": "Https"}]} for name in names
                ],
            }
            for category, names in rows.items()
        ]
        return call.page(value)
