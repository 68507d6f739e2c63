"""Azure's own SDKs against the sandbox, over TLS."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.loganalytics import LogAnalyticsManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.subscriptions import SubscriptionClient

from azsandbox.host import Host


class Credential:
    """Tokens straight from the sandbox's directory."""

    def __init__(self, host: Host, principal: str, loop: asyncio.AbstractEventLoop) -> None:
        self.host, self.principal, self.loop = host, principal, loop

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        async def issue() -> str:  # the store belongs to the thread of the event loop
            return str(self.host.entra.issue(self.principal, "https://management.azure.com"))

        token = asyncio.run_coroutine_threadsafe(issue(), self.loop).result()
        return AccessToken(token, int(time.time()) + 3600)


class Cloud:
    """A running sandbox and clients of it."""

    def __init__(self, host: Host) -> None:
        self.host, self.loop = host, asyncio.get_running_loop()
        self.learner = host.owner_ids[0]

    def client(self, kind: Any, principal: str | None = None, **more: Any) -> Any:
        words = {
            "base_url": f"https://localhost:{self.host.tls_port}",
            "connection_verify": str(self.host.home.path / "ca.pem"),
            "polling_interval": 1,
        } | more
        credential = Credential(self.host, principal or self.learner, self.loop)
        if kind is SubscriptionClient:
            return kind(credential, **words)
        return kind(credential, self.host.subscription_id, **words)


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    host = Host(tmp_path / "home")
    await host.start()
    yield Cloud(host)
    await host.stop()


async def run(work: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(work)


async def test_subscriptions_locations_and_providers_are_listed(cloud: Cloud) -> None:
    def work() -> None:
        subscriptions = cloud.client(SubscriptionClient).subscriptions
        (one,) = subscriptions.list()
        assert one.subscription_id == cloud.host.subscription_id
        places = {place.name: place for place in subscriptions.list_locations(one.subscription_id)}
        assert places["westeurope"].metadata.paired_region[0].name == "northeurope"
        providers = cloud.client(ResourceManagementClient).providers
        assert providers.register("Microsoft.ContainerService").registration_state == "Registered"
        assert "managedClusters" in [
            t.resource_type for t in providers.get("Microsoft.ContainerService").resource_types
        ]

    await run(work)


async def test_a_network_with_subnets_lives_and_dies_with_its_group(cloud: Cloud) -> None:
    def work() -> None:
        groups = cloud.client(ResourceManagementClient).resource_groups
        assert not groups.check_existence("rg-net")
        groups.create_or_update("rg-net", {"location": "westeurope"})
        network = cloud.client(NetworkManagementClient)
        vnet = network.virtual_networks.begin_create_or_update(
            "rg-net",
            "vnet",
            {
                "location": "westeurope",
                "properties": {
                    "addressSpace": {"addressPrefixes": ["10.10.0.0/16"]},
                    "subnets": [{"name": "inline", "properties": {"addressPrefix": "10.10.0.0/24"}}],
                },
            },
        ).result()
        assert vnet.provisioning_state == "Succeeded" and vnet.subnets[0].provisioning_state == "Succeeded"
        subnet = network.subnets.begin_create_or_update(
            "rg-net", "vnet", "nodes", {"properties": {"addressPrefix": "10.10.1.0/24"}}
        ).result()
        assert subnet.private_endpoint_network_policies == "Disabled"
        assert [s.name for s in network.subnets.list("rg-net", "vnet")] == ["inline", "nodes"]
        with pytest.raises(HttpResponseError) as overlap:
            network.subnets.begin_create_or_update(
                "rg-net", "vnet", "third", {"properties": {"addressPrefix": "10.10.1.128/25"}}
            )
        assert overlap.value.error.code == "NetcfgSubnetRangesOverlap"
        network.subnets.begin_delete("rg-net", "vnet", "inline").result()
        assert [u.limit for u in network.virtual_networks.list_usage("rg-net", "vnet")] == [251]
        check = network.virtual_networks.check_ip_address_availability("rg-net", "vnet", ip_address="10.10.1.3")
        assert not check.available and check.available_ip_addresses[0] == "10.10.1.4"
        groups.begin_delete("rg-net").result()
        with pytest.raises(ResourceNotFoundError) as gone:
            network.virtual_networks.get("rg-net", "vnet")
        assert gone.value.error.code == "ResourceGroupNotFound"

    await run(work)


async def test_a_workspace_is_made_and_recovered_in_its_place(cloud: Cloud) -> None:
    def work() -> None:
        cloud.client(ResourceManagementClient).resource_groups.create_or_update("rg-law", {"location": "westeurope"})
        logs = cloud.client(LogAnalyticsManagementClient)
        body = {"location": "westeurope", "properties": {"retentionInDays": 30, "sku": {"name": "PerGB2018"}}}
        first = logs.workspaces.begin_create_or_update("rg-law", "law-baseline", body).result()
        assert first.provisioning_state == "Succeeded" and first.retention_in_days == 30
        logs.workspaces.begin_delete("rg-law", "law-baseline").result()
        assert [w.name for w in logs.deleted_workspaces.list()] == ["law-baseline"]
        again = logs.workspaces.begin_create_or_update("rg-law", "law-baseline", body).result()
        assert again.customer_id == first.customer_id
        with pytest.raises(HttpResponseError):
            logs.workspaces.begin_create_or_update(
                "rg-law", "law-baseline", {"location": "westeurope", "properties": {"retentionInDays": 5}}
            )

    await run(work)


async def test_a_role_lets_a_principal_do_what_it_names_and_no_more(cloud: Cloud) -> None:
    other = cloud.host.entra.directory.create_service_principal("ci").object_id

    def work() -> None:
        groups = cloud.client(ResourceManagementClient).resource_groups
        scope = groups.create_or_update("rg-roles", {"location": "westeurope"}).id
        theirs = cloud.client(ResourceManagementClient, other).resource_groups
        with pytest.raises(HttpResponseError) as refused:
            theirs.get("rg-roles")
        assert refused.value.status_code == 403 and refused.value.error.code == "AuthorizationFailed"
        assert "Microsoft.Resources/subscriptions/resourceGroups/read" in refused.value.message
        roles = cloud.client(AuthorizationManagementClient)
        (reader,) = roles.role_definitions.list(scope, filter="roleName eq 'reader'")
        name = str(uuid.uuid4())
        body = {"role_definition_id": reader.id, "principal_id": other, "principal_type": "ServicePrincipal"}
        roles.role_assignments.create(scope, name, body)
        assert theirs.get("rg-roles").name == "rg-roles"
        with pytest.raises(HttpResponseError) as write:
            theirs.create_or_update("rg-roles", {"location": "westeurope"})
        assert write.value.status_code == 403
        with pytest.raises(ResourceExistsError) as twice:
            roles.role_assignments.create(scope, str(uuid.uuid4()), body)
        assert twice.value.error.code == "RoleAssignmentExists" and name.replace("-", "") in twice.value.message
        assert roles.role_assignments.delete(scope, name).name == name

    await run(work)


async def test_generic_resources_work_by_id(cloud: Cloud) -> None:
    def work() -> None:
        client = cloud.client(ResourceManagementClient)
        group = client.resource_groups.create_or_update("rg-id", {"location": "westeurope"})
        id_ = f"{group.id}/providers/Microsoft.Network/networkSecurityGroups/nsg"
        client.resources.begin_create_or_update_by_id(
            id_, {"location": "westeurope"}, api_version="2024-07-01"
        ).result()
        (found,) = client.resources.list(filter="resourceType eq 'microsoft.network/networkSecurityGroups'")
        assert found.id == id_
        client.resources.begin_delete_by_id(id_, api_version="2024-07-01").result()
        assert list(client.resources.list_by_resource_group("rg-id")) == []

    await run(work)
