"""Data of a location: kubernetesVersions, osOptions, nodeImageVersions, trustedAccessRoles, usages."""

from __future__ import annotations

from azsandbox.aks import facts, versions
from azsandbox.arm import errors as arm_errors
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.providers.containerservice.base import CLUSTERS, AksType


class LocationType(AksType):
    """Something that a location tells; nothing of it is stored."""

    scopes = ("subscription",)
    stored = parent_stored = False

    def place(self, call: Call) -> str:
        """The location asked. Raises NoRegisteredProviderFound for one that Azure does not have."""
        assert call.target is not None
        name = call.arm.facts.location(call.target.names[0])
        if name not in call.arm.facts.locations:
            raise arm_errors.no_registered_provider(
                name, call.api_version, self.name, [call.api_version], list(call.arm.facts.locations)
            )
        return name


class KubernetesVersions(LocationType):
    """GET …/locations/{l}/kubernetesVersions: `values`, not `value`."""

    name = "locations/kubernetesVersions"

    async def list(self, call: Call) -> Answer:
        self.place(call)
        return Answer(200, {"values": versions.listing()})


class NodeImageVersions(LocationType):
    """GET …/locations/{l}/nodeImageVersions."""

    name = "locations/nodeImageVersions"

    async def list(self, call: Call) -> Answer:
        self.place(call)
        data = facts.read("node-images")
        value = [
            {
                "os": row["effective"],
                "sku": row["name"],
                "version": release,
                "fullName": f"{row['name']}-{release}",
            }
            for name in {r["name"]: r for rows in data["images"].values() for r in rows}.values()
            for row in [name]
            for release in data["releases"][-1:]
        ]
        return call.page(value)


class OsOptions(LocationType):
    """GET …/locations/{l}/osOptions/default."""

    name = "locations/osOptions"

    async def get(self, call: Call) -> Answer:
        self.place(call)
        properties = {"osOptionPropertyList": [{"osType": "Linux", "enableFIPSImage": True}]}
        body = {"id": str(call.id), "name": call.id.name, "type": f"Microsoft.ContainerService/{self.name}"}
        return Answer(200, {**body, "properties": properties})

    async def list(self, call: Call) -> Answer:
        raise arm_errors.not_supported("the list of OS options (GET …/osOptions/default)")

    async def put(self, call: Call) -> Answer:
        raise arm_errors.method_not_allowed("PUT", self.full_name)


class LocationUsages(LocationType):
    """GET …/locations/{l}/usages: clusters against quota."""

    name = "locations/usages"

    async def list(self, call: Call) -> Answer:
        where = self.place(call)
        count = sum(c.body.get("location") == where for c in call.arm.resources.all(CLUSTERS))
        name = {"value": "ManagedClusters", "localizedValue": "Managed Clusters"}
        return call.page([{"unit": "Count", "currentValue": count, "limit": 5000, "name": name}])
