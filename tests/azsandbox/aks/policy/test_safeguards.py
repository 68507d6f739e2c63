"""Deployment Safeguards: what a level makes of the initiative, in the cluster."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from azsandbox.controllers.client import path
from tests.azsandbox.aks.policy.conftest import CLUSTER, Lab, lab, until

__all__ = ["lab"]

SAFEGUARDS = f"{CLUSTER}/providers/Microsoft.ContainerService/deploymentSafeguards/default"
ASSIGNMENT = (
    f"{CLUSTER}/providers/Microsoft.Authorization/policyAssignments/aks-deployment-safeguards-policy-assignment"
)
V = "2025-07-01"
LATEST = "K8sAzureV2ContainerNoLatestImage"


@pytest.fixture
async def safe(lab: Lab) -> Any:
    cluster = lab.arm.resources.get(CLUSTER)
    assert cluster is not None
    cluster.properties["addonProfiles"] = {"azurepolicy": {"enabled": True}}
    lab.arm.resources.put(cluster)
    await lab.arm.start()
    yield lab
    await lab.arm.close()


async def put(lab: Lab, **properties: Any) -> Any:
    answer = await lab.call("PUT", SAFEGUARDS, {"properties": properties}, V)
    assert answer.status_code in (200, 201), answer.text
    await lab.call.done(answer)
    return (await lab.call("GET", SAFEGUARDS, version=V)).json()


async def actions(lab: Lab, kind: str) -> list[str]:
    return [c["spec"]["enforcementAction"] for c in await lab.constraints(kind)]


async def kinds(lab: Lab) -> set[str]:
    found = await lab.client.list(path("templates.gatekeeper.sh/v1", "constrainttemplates"))
    return {t["metadata"]["name"] for t in found}


async def test_warn_warns_enforce_denies_and_deletion_lets_go(safe: Lab) -> None:
    found = await put(safe, level="warn", excludedNamespaces=["legacy"])
    properties = found["properties"]
    assert (properties["level"], properties["provisioningState"]) == ("Warn", "Succeeded")
    assert properties["excludedNamespaces"] == ["legacy"]
    assert "kube-system" in properties["systemExcludedNamespaces"]
    assert properties["podSecurityStandardsLevel"] == "Privileged"
    held = (await safe.call("GET", ASSIGNMENT, version="2025-03-01")).json()["properties"]
    assert held["policyDefinitionId"].endswith("c047ea8e-9c78-49b2-958b-37e56d291a44")
    assert (held["parameters"]["effect"]["value"], held["parameters"]["warn"]["value"]) == ("Audit", True)

    async def warns() -> Any:
        return await actions(safe, LATEST) == ["warn"]

    await until(warns)
    assert "k8sazurev2noprivilege" not in await kinds(safe)  # Privileged: no standard for pods
    await put(safe, level="Enforce")

    async def denies() -> Any:
        return await actions(safe, LATEST) == ["deny"]

    await until(denies)
    assert "azurepolicy-k8sazurev2containernolatestima" in await safe.pod("bad", image="nginx:latest")
    gone = await safe.call("DELETE", SAFEGUARDS, version=V)
    assert gone.status_code == 202
    await safe.call.done(gone)
    assert (await safe.call("GET", ASSIGNMENT, version="2025-03-01")).status_code == 404

    async def free() -> Any:
        await asyncio.sleep(0.05)
        return await actions(safe, LATEST) == []

    await until(free)


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({}, "properties.level is missing"),
        ({"level": "Loud"}, "Loud is not one of Warn, Enforce"),
        ({"level": "Warn", "podSecurityStandardsLevel": "Baseline"}, "level 'Baseline'"),
    ],
)
async def test_what_cannot_be_is_refused(safe: Lab, properties: dict[str, Any], words: str) -> None:
    answer = await safe.call("PUT", SAFEGUARDS, {"properties": properties}, V)
    assert answer.status_code >= 400 and words in answer.text


async def test_the_add_on_is_needed(lab: Lab) -> None:
    answer = await lab.call("PUT", SAFEGUARDS, {"properties": {"level": "Warn"}}, V)
    assert (answer.status_code, answer.json()["code"]) == (400, "AzurePolicyAddonNotEnabled")
