"""What `az aks check-acr` finds out from a pod: whether the nodes' identity may pull from a registry."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from azsandbox.aks.canipull import CanIPull
from azsandbox.controllers.kubelet.commands import Outcome
from tests.azsandbox.aks.test_registry_images import Nodes
from tests.azsandbox.registry.conftest import Azure

IMAGE = "mcr.microsoft.com/aks/canipull:v0.1.0"


@pytest.fixture
async def nodes(azure: Azure, registry: httpx.AsyncClient) -> Nodes:
    return Nodes(azure)


def asked(nodes: Nodes, *arguments: str, **more: Any) -> Outcome:
    found = CanIPull(nodes.images)({}, {"name": "c", "image": IMAGE, "args": list(arguments), **more})
    assert found is not None
    return found


def texts(outcome: Outcome) -> list[str]:
    return [line.partition("] ")[2] for line in outcome.lines]


async def test_a_kubelet_without_rights_is_told_why(nodes: Nodes) -> None:
    found = asked(nodes, "labshop.azurecr.io")
    assert found.exit_code == 60
    said = texts(found)
    assert said[0] == "Checking host name resolution (labshop.azurecr.io): SUCCEEDED"
    assert said[-2] == "Validating image pull permission: FAILED"
    head = (
        "ACR labshop.azurecr.io rejected token exchange: ACR token exchange endpoint returned error status: 401. body: "
    )
    assert said[-1].startswith(f'{head}{{"errors":[{{"code":"UNAUTHORIZED","message":"authentication required, visit ')
    assert "CorrelationId: " in said[-1]


async def test_a_kubelet_with_the_role_can_pull(nodes: Nodes) -> None:
    await nodes.allow("AcrPull")
    found = asked(nodes, "-v6", "labshop.azurecr.io")
    assert (found.exit_code, found.whole) == (0, True)
    assert "Loading azure.json file from /etc/kubernetes/azure.json" in texts(found)
    assert texts(found)[-1] == "\nYour cluster can pull images from labshop.azurecr.io!"
    quiet = asked(nodes, "-v", "1", "labshop.azurecr.io")
    assert (quiet.exit_code, quiet.lines) == (0, [])


async def test_a_registry_closed_to_the_network_refuses_the_exchange(nodes: Nodes) -> None:
    await nodes.allow("AcrPull")
    await nodes.azure.create("labshop", publicNetworkAccess="Disabled")
    found = asked(nodes, "labshop.azurecr.io")
    assert (found.exit_code, "error status: 403" in found.lines[-1]) == (60, True)


async def test_a_registry_that_is_not_there_does_not_resolve(nodes: Nodes) -> None:
    found = asked(nodes, "nobody.azurecr.io")
    assert found.exit_code == 52
    wanted = "lookup nobody.azurecr.io on 168.63.129.16:53: no such host"
    assert texts(found)[-1] == f"Failed to resolve specified fqdn nobody.azurecr.io: {wanted}"


async def test_it_wants_one_registry_and_acts_for_its_own_image_alone(nodes: Nodes) -> None:
    assert asked(nodes).lines == ["No ACR input. Expect `canipull myacr.azurecr.io`."]
    assert CanIPull(nodes.images)({}, {"name": "c", "image": "mcr.microsoft.com/aks/other:v0.1.0"}) is None
