"""Microsoft.Security/pricings: the plans of Defender for Cloud, their extensions, what is refused."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from azsandbox.arm import Arm
from azsandbox.arm.providers.security.pricings import duration, plans
from tests.azsandbox.arm.conftest import SUBSCRIPTION, Client

PRICINGS = "~/providers/Microsoft.Security/pricings"
EXTENSIONS = [
    "ContainerRegistriesVulnerabilityAssessments",
    "AgentlessDiscoveryForKubernetes",
    "AgentlessVmScanning",
    "ContainerSensor",
    "ContainerIntegrityContribution",
]


async def put(call: Client, plan: str, version: str = "2024-01-01", **properties: Any) -> Any:
    return await call("PUT", f"{PRICINGS}/{plan}", {"properties": properties}, version)


async def shown(call: Client, plan: str, version: str = "2024-01-01") -> dict[str, Any]:
    answer = await call("GET", f"{PRICINGS}/{plan}", version=version)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["properties"])


def enabled(properties: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["isEnabled"] for one in properties["extensions"]}


async def test_a_subscription_begins_with_free_plans_and_an_unused_trial(call: Client) -> None:
    answer = await call("GET", PRICINGS, version="2024-01-01")
    found = {row["name"]: row["properties"] for row in answer.json()["value"]}
    assert list(found) == [row["name"] for row in plans().values()]
    assert found["Containers"] == {
        "resourcesCoverageStatus": "NotCovered",
        "pricingTier": "Free",
        "freeTrialRemainingTime": "P30D",
    }
    assert found["KubernetesService"]["deprecated"] is True
    assert {name for name, p in found.items() if p["pricingTier"] == "Standard"} == {"FoundationalCspm", "Discovery"}


async def test_a_list_can_be_of_some_plans(call: Client) -> None:
    answer = await call("GET", f"{PRICINGS}?$filter=name in (VirtualMachines,keyvaults)", version="2024-01-01")
    assert [row["name"] for row in answer.json()["value"]] == ["VirtualMachines", "KeyVaults"]
    refused = await call("GET", f"{PRICINGS}?$filter=pricingTier eq 'Free'", version="2024-01-01")
    assert refused.json()["error"]["code"] == "NotSupportedInSandbox"


async def test_switching_a_plan_on_switches_on_its_extensions(call: Client) -> None:
    answer = await put(call, "containers", pricingTier="standard")
    body = answer.json()
    assert (answer.status_code, body["name"]) == (200, "Containers")
    assert body["id"] == f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Security/pricings/Containers"
    assert enabled(body["properties"]) == dict.fromkeys(EXTENSIONS, "True")
    assert body["properties"]["extensions"][0]["operationStatus"] == {
        "code": "Succeeded",
        "message": "Successfully enabled extension",
    }
    found = await shown(call, "Containers")
    assert (found["pricingTier"], found["resourcesCoverageStatus"]) == ("Standard", "FullyCovered")
    assert "operationStatus" not in found["extensions"][0]
    assert found["freeTrialRemainingTime"].startswith("P29DT23H") or found["freeTrialRemainingTime"] == "P30D"


async def test_only_extensions_that_were_sent_have_a_status_and_change(call: Client) -> None:
    off = [{"name": "ContainerSensor", "isEnabled": "False"}, {"name": "AgentlessVmScanning", "isEnabled": "True"}]
    found = (await put(call, "Containers", pricingTier="Standard", extensions=off)).json()["properties"]["extensions"]
    assert [one["name"] for one in found if "operationStatus" in one] == ["AgentlessVmScanning"]
    assert next(one for one in found if one["name"] == "ContainerSensor") == {
        "name": "ContainerSensor",
        "isEnabled": "False",
    }
    again = await put(call, "Containers", pricingTier="Standard")
    assert enabled(again.json()["properties"])["ContainerSensor"] == "False"


async def test_a_sub_plan_decides_what_extensions_there_are(call: Client) -> None:
    full = (await put(call, "VirtualMachines", pricingTier="Standard")).json()["properties"]
    assert full["subPlan"] == "P2"
    assert enabled(full) == {"MdeDesignatedSubscription": "False", "AgentlessVmScanning": "True"}
    small = (await put(call, "VirtualMachines", pricingTier="Standard", subPlan="p1")).json()["properties"]
    assert (small["subPlan"], list(enabled(small))) == ("P1", ["MdeDesignatedSubscription"])
    wrong = await put(call, "VirtualMachines", pricingTier="Standard", subPlan="P3")
    assert (wrong.status_code, "P2, P1" in wrong.text) == (400, True)


async def test_free_takes_away_what_standard_gave_but_the_trial_goes_on(call: Client, arm: Arm) -> None:
    tags = {"ExclusionTags": '[{"key":"A","value":"B"}]'}
    scan = [{"name": "AgentlessVmScanning", "isEnabled": "True", "additionalExtensionProperties": tags}]
    await put(call, "Containers", pricingTier="Standard", extensions=scan)
    arm.services.clock._ahead = 36 * 3600
    assert (await put(call, "Containers", pricingTier="Free")).json()["properties"] == {
        "resourcesCoverageStatus": "NotCovered",
        "pricingTier": "Free",
        "freeTrialRemainingTime": "P28DT11H59M",
    }
    await put(call, "Containers", pricingTier="Standard")
    found = {one["name"]: one for one in (await shown(call, "Containers"))["extensions"]}
    assert found["AgentlessVmScanning"]["additionalExtensionProperties"] == tags
    arm.services.clock._ahead = 31 * 86400
    assert (await shown(call, "Containers"))["freeTrialRemainingTime"] == "PT0S"


async def test_older_api_versions_show_less(call: Client) -> None:
    await put(call, "VirtualMachines", pricingTier="Standard")
    assert set(await shown(call, "VirtualMachines", "2018-06-01")) == {"pricingTier", "freeTrialRemainingTime"}
    assert "subPlan" in await shown(call, "VirtualMachines", "2022-03-01")
    older = await shown(call, "VirtualMachines", "2023-01-01")
    assert {"extensions", "enablementTime"} <= set(older)
    assert "resourcesCoverageStatus" not in older


@pytest.mark.parametrize(
    ("plan", "properties", "status", "text"),
    [
        (
            "default",
            {"pricingTier": "Free"},
            400,
            "The name 'default' is not a valid name. Possible pricing bundle names",
        ),
        ("Containers", {"pricingTier": "Gold"}, 400, "'Gold' is not valid"),
        ("Containers", {}, 400, "'None' is not valid"),
        (
            "Containers",
            {"pricingTier": "Standard", "extensions": [{"name": "Radar", "isEnabled": "True"}]},
            400,
            "Radar",
        ),
        ("Containers", {"pricingTier": "Standard", "extensions": "all"}, 400, "must be a list"),
        ("Containers", {"pricingTier": "Free", "extensions": [{"name": "ContainerSensor"}]}, 400, "Free"),
        ("Containers", {"pricingTier": "Standard", "colour": "red"}, 501, "properties.colour"),
        ("KubernetesService", {"pricingTier": "Standard"}, 501, "Containers replaces"),
    ],
)
async def test_what_no_plan_has_is_refused(
    call: Client, plan: str, properties: dict[str, Any], status: int, text: str
) -> None:
    answer = await put(call, plan, **properties)
    assert (answer.status_code, text in answer.text) == (status, True), answer.text


async def test_properties_of_an_extension_that_is_off_are_refused_as_azure_does(call: Client) -> None:
    off = {
        "name": "AgentlessVmScanning",
        "isEnabled": "False",
        "additionalExtensionProperties": {"ExclusionTags": "[]"},
    }
    answer = await put(call, "Containers", pricingTier="Standard", extensions=[off])
    assert answer.status_code == 500
    assert answer.json()["error"]["message"].startswith("AdditionalProperties of Extension 'AgentlessVmScanning' can't")


async def test_plans_are_not_deleted_nor_set_on_single_resources(call: Client) -> None:
    answer = await call("DELETE", f"{PRICINGS}/Containers", version="2024-01-01")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidUrlConfiguration")
    await call("PUT", "~/resourceGroups/rg", {"location": "westeurope"})
    machine = "~/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm/providers/Microsoft.Security/pricings"
    answer = await call("GET", machine, version="2024-01-01")
    assert answer.json()["error"]["code"] == "NotSupportedInSandbox"


async def test_readers_may_read_plans_and_not_set_them(call: Client, arm: Arm) -> None:
    who = arm.services.entra.directory.create_service_principal("reader").object_id
    role = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
    body = {
        "roleDefinitionId": f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{role}",
        "principalId": who,
        "principalType": "ServicePrincipal",
    }
    name = "~/providers/Microsoft.Authorization/roleAssignments/6b0f3a52-6d0c-4b0e-93d5-0f6b1d9c7a11"
    made = await call("PUT", name, {"properties": body}, "2022-04-01")
    assert made.status_code == 201, made.text
    reader = Client(arm, who)
    assert (await shown(reader, "Containers"))["pricingTier"] == "Free"
    answer = await put(reader, "Containers", pricingTier="Standard")
    assert (answer.status_code, "Microsoft.Security/pricings/write" in answer.text) == (403, True)


async def test_whether_agents_come_to_machines_is_one_setting(call: Client) -> None:
    where, version = "~/providers/Microsoft.Security/autoProvisioningSettings", "2017-08-01-preview"
    (row,) = (await call("GET", where, version=version)).json()["value"]
    assert (row["name"], row["properties"]) == ("default", {"autoProvision": "Off"})
    on = await call("PUT", f"{where}/default", {"properties": {"autoProvision": "on"}}, version)
    assert (on.status_code, on.json()["properties"]) == (200, {"autoProvision": "On"})
    assert (await call("GET", f"{where}/default", version=version)).json() == on.json()
    wrong = await call("PUT", f"{where}/default", {"properties": {"autoProvision": "Maybe"}}, version)
    assert wrong.status_code == 400
    assert (await call("GET", f"{where}/other", version=version)).status_code == 404


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (dt.timedelta(days=30), "P30D"),
        (dt.timedelta(days=27, hours=21, minutes=52, seconds=3), "P27DT21H52M"),
        (dt.timedelta(minutes=5), "PT5M"),
        (dt.timedelta(seconds=59), "PT0S"),
        (dt.timedelta(days=-1), "PT0S"),
    ],
)
def test_what_is_left_of_a_trial_is_told_to_the_minute(left: dt.timedelta, text: str) -> None:
    assert duration(left) == text
