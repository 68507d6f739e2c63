"""Extensions as Resource Manager takes and shows them."""

from __future__ import annotations

from typing import Any

from tests.azsandbox.arm.kubernetesconfiguration.conftest import CLUSTER, Configurations

FLUX, V = "extensions/flux", "2025-03-01"


def extension(kind: str = "microsoft.flux", **more: Any) -> dict[str, Any]:
    return {"properties": {"extensionType": kind, **more}}


async def test_a_type_that_azure_has_is_accepted_and_its_operation_fails_by_name(
    configurations: Configurations,
) -> None:
    made = await configurations("PUT", "extensions/dapr", extension("microsoft.dapr"), V)
    assert made.status_code == 201
    assert made.json()["properties"]["scope"] == {"cluster": {"releaseNamespace": "dapr-system"}}
    found = await configurations.ended(made)
    assert found["status"] == "Failed"
    assert found["error"]["code"] == "NotSupportedInSandbox" and "microsoft.dapr" in found["error"]["message"]
    properties = (await configurations("GET", "extensions/dapr", version=V)).json()["properties"]
    assert properties["provisioningState"] == "Failed"
    assert properties["errorInfo"]["code"] == "NotSupportedInSandbox"


async def test_a_type_that_nobody_has_is_refused(configurations: Configurations) -> None:
    refused = await configurations("PUT", "extensions/x", extension("contoso.nothing"), V)
    assert refused.status_code == 400
    assert refused.json()["error"] == {
        "code": "ExtensionTypeRegistrationGetFailed",
        "message": "Extension type contoso.nothing is not registered in region westeurope.",
    }


async def test_an_offer_of_the_marketplace_may_have_any_type(configurations: Configurations) -> None:
    plan = {"name": "standard", "publisher": "contoso", "product": "offer"}
    made = await configurations("PUT", "extensions/x", extension("contoso.nothing") | {"plan": plan}, V)
    assert made.status_code == 201 and made.json()["plan"] == plan


async def test_a_version_switches_automatic_upgrades_off_unless_they_are_asked_for(
    configurations: Configurations,
) -> None:
    made = await configurations("PUT", "extensions/dapr", extension("microsoft.dapr", version="1.6.0"), V)
    assert made.json()["properties"]["autoUpgradeMinorVersion"] is False


async def test_protected_settings_are_kept_and_never_shown(configurations: Configurations) -> None:
    sent = extension("microsoft.dapr", configurationProtectedSettings={"key": "s3cret"})
    made = await configurations("PUT", "extensions/dapr", sent, V)
    assert (
        "s3cret" not in made.text and "s3cret" not in (await configurations("GET", "extensions/dapr", version=V)).text
    )
    stored = configurations.arm.resources.get(f"{CLUSTER}/providers/Microsoft.KubernetesConfiguration/extensions/dapr")
    assert stored is not None and stored.private["protected"] == {"key": "s3cret"}


async def test_flux_is_installed_for_the_whole_cluster_and_once(configurations: Configurations) -> None:
    scope = {"namespace": {"targetNamespace": "gitops"}}
    refused = await configurations("PUT", FLUX, extension(scope=scope), V)
    assert refused.status_code == 400 and "'cluster' scope" in refused.json()["error"]["message"]
    configurations.have_extension()
    again = await configurations("PUT", "extensions/second", extension(), V)
    assert again.status_code == 409 and "'flux'" in again.json()["error"]["message"]


async def test_a_user_assigned_identity_comes_back_and_a_system_assigned_one_does_not(
    configurations: Configurations,
) -> None:
    id_ = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i"
    own = {"identity": {"type": "UserAssigned", "userAssignedIdentities": {id_: {}}}}
    made = await configurations("PUT", "extensions/dapr", extension("microsoft.dapr") | own, V)
    assert made.json()["identity"] == own["identity"]
    given = {"identity": {"type": "SystemAssigned"}}
    made = await configurations("PUT", "extensions/dapr", extension("microsoft.dapr") | given, V)
    assert made.status_code == 200 and "identity" not in made.json()


async def test_a_wrong_setting_is_refused(configurations: Configurations) -> None:
    refused = await configurations("PUT", FLUX, extension(configurationSettings={"a": ["b"]}), V)
    assert refused.status_code == 400 and "configurationSettings" in refused.text


async def test_a_cluster_with_a_service_principal_takes_no_extension(configurations: Configurations) -> None:
    stored = configurations.arm.resources.get(CLUSTER)
    assert stored is not None
    del stored.body["identity"]
    configurations.arm.resources.put(stored)
    made = await configurations("PUT", FLUX, extension(), V)
    found = await configurations.ended(made)
    assert found["error"]["code"] == "ExtensionOperationFailed"
    assert "Extensions are only supported on clusters using Managed Service Identity." in found["error"]["message"]
