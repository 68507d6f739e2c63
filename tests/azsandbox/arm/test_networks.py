"""Address arithmetic of virtual networks."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.arm.resources import Stored
from tests.azsandbox.arm.conftest import Client

GROUP = "~/resourceGroups/rg/providers/Microsoft.Network"
V = "2024-07-01"


async def network(call: Client, *subnets: tuple[str, str], space: str = "10.0.0.0/16") -> Any:
    await call("PUT", "~/resourceGroups/rg", {"location": "westeurope"})
    inline = [{"name": n, "properties": {"addressPrefix": p}} for n, p in subnets]
    body = {"location": "westeurope", "properties": {"addressSpace": {"addressPrefixes": [space]}, "subnets": inline}}
    return await call("PUT", f"{GROUP}/virtualNetworks/vnet", body, V)


@pytest.mark.parametrize(
    ("prefix", "code"),
    [
        ("10.0.0.128/25", "NetcfgSubnetRangesOverlap"),
        ("10.0.0.0/8", "NetcfgSubnetRangeOutsideVnet"),
        ("192.168.0.0/24", "NetcfgSubnetRangeOutsideVnet"),
        ("10.0.1.0/30", "NetcfgInvalidSubnet"),
        ("10.0.1.7/24", "InvalidCIDRNotation"),
        ("10.0.1.0", "InvalidAddressPrefixFormat"),
        ("10.0.1.0/33", "InvalidAddressPrefixFormat"),
    ],
)
async def test_a_subnet_that_does_not_fit_is_refused_and_nothing_is_made(call: Client, prefix: str, code: str) -> None:
    await call.done(await network(call, ("one", "10.0.0.0/24")))
    body = {"properties": {"addressPrefix": prefix}}
    refused = await call("PUT", f"{GROUP}/virtualNetworks/vnet/subnets/two", body, V)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, code)
    listed = await call("GET", f"{GROUP}/virtualNetworks/vnet/subnets", version=V)
    assert [s["name"] for s in listed.json()["value"]] == ["one"]


async def test_inline_subnets_that_overlap_make_no_network(call: Client) -> None:
    refused = await network(call, ("one", "10.0.0.0/24"), ("two", "10.0.0.0/25"))
    assert refused.json()["error"]["code"] == "NetcfgSubnetRangesOverlap"
    assert (await call("GET", f"{GROUP}/virtualNetworks/vnet", version=V)).status_code == 404


async def test_a_network_put_without_a_subnet_deletes_it(call: Client) -> None:
    await call.done(await network(call, ("one", "10.0.0.0/24"), ("two", "10.0.1.0/24")))
    await call.done(await network(call, ("two", "10.0.1.0/24")))
    assert (await call("GET", f"{GROUP}/virtualNetworks/vnet/subnets/one", version=V)).status_code == 404


async def test_the_network_and_its_subnets_share_an_etag(call: Client) -> None:
    await call.done(await network(call, ("one", "10.0.0.0/24")))
    vnet = (await call("GET", f"{GROUP}/virtualNetworks/vnet", version=V)).json()
    subnet = (await call("GET", f"{GROUP}/virtualNetworks/vnet/subnets/one", version=V)).json()
    assert vnet["etag"] == subnet["etag"] == vnet["properties"]["subnets"][0]["etag"]


async def test_a_subnet_that_holds_nodes_cannot_go(call: Client) -> None:
    await call.done(await network(call, ("nodes", "10.0.0.0/24")))
    subnet = (await call("GET", f"{GROUP}/virtualNetworks/vnet/subnets/nodes", version=V)).json()["id"]
    group = subnet.split("/providers/")[0]
    cluster = f"{group}/providers/Microsoft.ContainerService/managedClusters/aks"
    kind = "Microsoft.ContainerService/managedClusters"
    call.arm.resources.put(
        Stored(cluster, kind, {"location": "westeurope", "properties": {"nodeResourceGroup": "MC_rg_aks"}})
    )
    pool = {"name": "system", "properties": {"count": 3, "vnetSubnetID": subnet.upper()}}
    call.arm.resources.put(Stored(f"{cluster}/agentPools/system", f"{kind}/agentPools", pool))
    for path in ("virtualNetworks/vnet/subnets/nodes", "virtualNetworks/vnet"):
        refused = await call("DELETE", f"{GROUP}/{path}", version=V)
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "InUseSubnetCannotBeDeleted"


async def test_an_unknown_service_cannot_be_delegated_to(call: Client) -> None:
    await call.done(await network(call))
    for service, status in (("Microsoft.Nothing/things", 400), ("Microsoft.ContainerInstance/containerGroups", 201)):
        delegation = [{"name": "0", "properties": {"serviceName": service}}]
        body = {"properties": {"addressPrefix": "10.0.4.0/24", "delegations": delegation}}
        assert (await call("PUT", f"{GROUP}/virtualNetworks/vnet/subnets/aci", body, V)).status_code == status


async def test_a_name_that_breaks_the_rules_is_refused(call: Client) -> None:
    await call("PUT", "~/resourceGroups/rg", {"location": "westeurope"})
    body = {"location": "westeurope", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}
    refused = await call("PUT", f"{GROUP}/virtualNetworks/-vnet", body, V)
    assert refused.json()["error"]["code"] == "InvalidResourceName"
    nowhere = await call("PUT", f"{GROUP}/virtualNetworks/vnet", body | {"location": "atlantis"}, V)
    assert nowhere.json()["error"]["code"] == "LocationNotAvailableForResourceType"
