"""The identity of a managed cluster's nodes, as Flux shows it to the sandbox's registries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from azsandbox.flux.azure import USER, AzureProblem, NoIdentity, registry_credentials
from azsandbox.flux.oci import OciClient, RegistryError, Repository
from azsandbox.flux.oci_credentials import Credentials
from azsandbox.flux.runtime import FluxRuntime, Outbound
from azsandbox.flux.web import Web
from tests.azsandbox.registry.conftest import (  # noqa: F401 - fixtures
    Azure,
    azure,
    home,
    made_home,
    push_image,
    registry,
)

HOST = "labshop.azurecr.io"


class Nodes:
    """What Flux has on nodes with an identity of their own."""

    def __init__(self, sandbox: Azure, folder: Path, client_id: str, principal: str) -> None:
        self.sandbox, self.principal = sandbox, principal
        outbound = Outbound(f"http://127.0.0.1:{sandbox.host.proxy_port}", sandbox.host.authority.ca)
        self.runtime = FluxRuntime(folder, outbound, identity=lambda: client_id)
        self.web = Web(outbound)

    def client(self) -> OciClient:
        async def fetched() -> Credentials:
            return await registry_credentials(self.web, self.runtime, HOST)

        return OciClient(self.web, Repository(HOST, "labs/app"), fetched=fetched)


@pytest.fixture
async def nodes(azure: Azure, tmp_path: Path) -> AsyncIterator[Nodes]:  # noqa: F811
    await azure.create("labshop", adminUserEnabled=True)
    place = f"{azure.group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/kubelet"
    made = await azure.arm("PUT", place, {"location": "westeurope"}, version="2023-01-31")
    found = made.json()["properties"]
    nodes = Nodes(azure, tmp_path, found["clientId"], found["principalId"])
    yield nodes
    await nodes.web.close()


async def test_the_nodes_identity_pulls_what_it_may_pull(nodes: Nodes, registry: httpx.AsyncClient) -> None:  # noqa: F811
    digest = await push_image(registry, "labs/app", "1")
    await nodes.sandbox.assign(nodes.principal, "AcrPull", nodes.sandbox.id("labshop"))
    assert (await registry_credentials(nodes.web, nodes.runtime, HOST)).username == USER
    client = nodes.client()
    assert await client.tags() == ["1"]
    assert (await client.image("1")).digest == digest


async def test_an_identity_without_rights_gets_no_credentials(nodes: Nodes) -> None:
    with pytest.raises(AzureProblem) as problem:
        await registry_credentials(nodes.web, nodes.runtime, HOST)
    lines = str(problem.value).splitlines()
    assert lines[0] == f"failed to create artifact registry credentials: POST https://{HOST}/oauth2/exchange"
    assert lines[2:4] == ["RESPONSE 401: 401 Unauthorized", "ERROR CODE UNAVAILABLE"]


async def test_nobody_is_refused_by_the_registry_itself(nodes: Nodes) -> None:
    with pytest.raises(RegistryError, match="UNAUTHORIZED"):
        await OciClient(nodes.web, Repository(HOST, "labs/app")).tags()


async def test_only_registries_of_azure_are_asked_and_only_by_nodes_that_have_an_identity(nodes: Nodes) -> None:
    with pytest.raises(AzureProblem, match=r"invalid Azure registry: 'ghcr.io'. must match \^"):
        await registry_credentials(nodes.web, nodes.runtime, "ghcr.io")
    with pytest.raises(NoIdentity):
        await registry_credentials(nodes.web, FluxRuntime(nodes.runtime.folder), HOST)
