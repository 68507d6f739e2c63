"""Flux configurations as Resource Manager takes and shows them, with the test in the part of the cluster's agent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from azsandbox.arm.providers.kubernetesconfiguration.data_plane import Report
from azsandbox.clock import Clock
from tests.azsandbox.arm.kubernetesconfiguration.conftest import CLUSTER, Configurations, git

CFG = "fluxConfigurations/cfg"
REPORTED: dict[str, Any] = {
    "complianceState": "Compliant",
    "statuses": [],
    "sourceSyncedCommitId": "main@sha1:0a",
    "sourceUpdatedAt": None,
    "repositoryPublicKey": "",
}


def report(configurations: Configurations, state: str, message: str = "", **properties: Any) -> None:
    found = configurations.plane.configuration("cfg")
    assert found is not None
    configurations.plane.report("cfg", Report(REPORTED | properties, found.operation, state, message))


async def test_an_operation_ends_with_the_agents_report_and_not_before(configurations: Configurations) -> None:
    made = await configurations("PUT", CFG, git())
    assert made.status_code == 201
    await asyncio.sleep(0.5)
    assert (await configurations.status(made))["status"] == "Creating"
    report(configurations, "Succeeded")
    assert (await configurations.ended(made))["status"] == "Succeeded"
    properties = (await configurations("GET", CFG)).json()["properties"]
    assert properties["provisioningState"] == "Succeeded"
    assert properties["complianceState"] == "Compliant"
    assert properties["sourceSyncedCommitId"] == "main@sha1:0a"
    assert properties["errorMessage"] == ""
    assert properties["statusUpdatedAt"].endswith("+00:00")


async def test_a_failed_operation_is_200_with_status_failed_and_error(configurations: Configurations) -> None:
    made = await configurations("PUT", CFG, git(waitForReconciliation=True, reconciliationWaitDuration="PT5M"))
    report(configurations, "Failed", "apps is not ready")
    found = await configurations.ended(made)
    assert found["status"] == "Failed"
    assert found["error"]["message"] == "apps is not ready"
    properties = (await configurations("GET", CFG)).json()["properties"]
    assert (properties["provisioningState"], properties["errorMessage"]) == ("Failed", "apps is not ready")
    found_now = configurations.plane.configuration("cfg")
    assert found_now is not None and found_now.operation == ""
    configurations.plane.report("cfg", Report(REPORTED, "", "Succeeded"))
    properties = (await configurations("GET", CFG)).json()["properties"]
    assert (properties["provisioningState"], properties["errorMessage"]) == ("Succeeded", "")


async def test_an_operation_that_no_agent_takes_ends_when_azures_patience_does(configurations: Configurations) -> None:
    """It waited for ever, and so did whoever followed it, where the extension could not be installed."""
    clock = configurations.arm.services.clock = Clock("stepped")
    made = await configurations("PUT", CFG, git())
    await asyncio.sleep(0.1)
    clock.advance(7000)
    await asyncio.sleep(0.1)
    assert (await configurations.status(made))["status"] == "Creating"
    clock.advance(300)
    found = await configurations.ended(made)
    assert found["status"] == "Failed" and "did not complete within the allowed timeout" in found["error"]["message"]
    properties = (await configurations("GET", CFG)).json()["properties"]
    assert properties["provisioningState"] == "Failed"
    assert properties["errorMessage"] == found["error"]["message"]
    again = await configurations("PUT", CFG, git())
    report(configurations, "Succeeded")
    await asyncio.sleep(0.1)
    clock.advance(100)
    assert (await configurations.ended(again))["status"] == "Succeeded"
    assert (await configurations("GET", CFG)).json()["properties"]["errorMessage"] == ""


async def test_a_second_change_replaces_the_one_under_way(configurations: Configurations) -> None:
    first = await configurations("PUT", CFG, git())
    second = await configurations("PATCH", CFG, {"properties": {"suspend": True}})
    assert second.status_code == 202
    assert (await configurations.status(first))["status"] == "Canceled"
    assert (await configurations.status(second))["status"] == "Updating"
    report(configurations, "Succeeded")
    assert (await configurations.ended(second))["status"] == "Succeeded"
    properties = (await configurations("GET", CFG)).json()["properties"]
    assert properties["suspend"] is True and properties["provisioningState"] == "Succeeded"


async def test_secrets_are_kept_for_the_agent_and_never_shown(configurations: Configurations) -> None:
    source = {"url": "https://git.example/repo", "httpsUser": "robot", "repositoryRef": {"branch": "main"}}
    body = git(gitRepository=source, configurationProtectedSettings={"httpsKey": "s3cret"})
    made = await configurations("PUT", CFG, body)
    assert "s3cret" not in made.text
    assert made.json()["properties"]["configurationProtectedSettings"] == {}
    assert "s3cret" not in (await configurations("GET", CFG)).text
    found = configurations.plane.configuration("cfg")
    assert found is not None and found.protected == {"httpsKey": "s3cret"}
    await configurations("PATCH", CFG, {"properties": {"suspend": True}})
    found = configurations.plane.configuration("cfg")
    assert found is not None and found.protected == {"httpsKey": "s3cret"}


async def test_the_secrets_of_a_blob_come_back_as_null(configurations: Configurations) -> None:
    blob = {"url": "https://acct.blob.core.windows.net", "containerName": "c", "accountKey": "s3cret"}
    body = git(sourceKind="AzureBlob", gitRepository=None, azureBlob=blob)
    made = await configurations("PUT", CFG, body)
    assert made.status_code == 201 and "s3cret" not in made.text
    assert made.json()["properties"]["azureBlob"]["accountKey"] is None
    found = configurations.plane.configuration("cfg")
    assert found is not None and found.protected == {"azureBlob.accountKey": "s3cret"}


async def test_a_deletion_waits_for_the_agent_while_there_is_an_extension(configurations: Configurations) -> None:
    configurations.have_extension()
    await configurations("PUT", CFG, git())
    gone = await configurations("DELETE", CFG)
    assert gone.status_code == 202
    await asyncio.sleep(0.5)
    assert (await configurations.status(gone))["status"] == "Deleting"
    refused = await configurations("PUT", CFG, git())
    assert refused.status_code == 409
    configurations.plane.withdrawn("cfg")
    assert (await configurations.ended(gone))["status"] == "Succeeded"
    missing = await configurations("GET", CFG)
    assert missing.status_code == 404
    assert missing.json() == {
        "error": {"code": "ResourceNotFound", "message": "FluxConfiguration with name 'cfg' not found."}
    }


async def test_a_deletion_without_an_extension_has_nothing_to_wait_for(configurations: Configurations) -> None:
    await configurations("PUT", CFG, git())
    gone = await configurations("DELETE", CFG)
    assert (await configurations.ended(gone))["status"] == "Succeeded"
    assert (await configurations("DELETE", CFG)).status_code == 204


async def test_a_deletion_by_force_goes_at_once(configurations: Configurations) -> None:
    configurations.have_extension()
    made = await configurations("PUT", CFG, git())
    gone = await configurations("DELETE", f"{CFG}?forceDelete=true")
    assert gone.status_code == 200 and gone.json()["isSuccessStatusCode"] is True
    assert (await configurations("GET", CFG)).status_code == 404
    assert (await configurations.status(made))["status"] == "Canceled"


async def test_removing_a_kustomization_and_naming_another_merges_the_rest(configurations: Configurations) -> None:
    await configurations("PUT", CFG, git(kustomizations={"one": {"prune": True}, "two": {"path": "./two"}}))
    changed = await configurations("PATCH", CFG, {"properties": {"kustomizations": {"two": None, "three": {}}}})
    found = changed.json()["properties"]["kustomizations"]
    assert sorted(found) == ["one", "three"]
    assert found["one"]["prune"] is True and found["three"]["prune"] is False
    assert found["three"]["name"] == "three"


async def test_changing_the_source_kind_takes_the_other_source_away(configurations: Configurations) -> None:
    await configurations("PUT", CFG, git())
    change = {
        "sourceKind": "OCIRepository",
        "ociRepository": {"url": "oci://acr.azurecr.io/app"},
        "gitRepository": None,
    }
    changed = await configurations("PATCH", CFG, {"properties": change})
    assert changed.status_code == 202
    properties = changed.json()["properties"]
    assert properties["gitRepository"] is None
    assert properties["ociRepository"]["syncIntervalInSeconds"] == 600


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"gitRepository": None}, "must contain corresponding body"),
        ({"bucket": {"url": "https://b"}}, "must not contain the body 'bucket'"),
        ({"sourceKind": "Svn"}, "Invalid source kind 'Svn'"),
        ({"scope": "galaxy"}, "Invalid scope 'galaxy'"),
        ({"namespace": "Not_A_Name"}, "Invalid namespace 'Not_A_Name'"),
        ({"gitRepository": {"url": "ftp://x"}}, "Invalid url 'ftp://x'"),
        ({"gitRepository": {"url": "https://x", "provider": "svn"}}, "Invalid provider 'svn'"),
        ({"kustomizations": {"Apps!": {}}}, "Invalid kustomization name 'Apps!'"),
        ({"kustomizations": {"a": {"timeoutInSeconds": 0}}}, "kustomizations.a.timeoutInSeconds"),
        ({"kustomizations": {"a": {"postBuild": {"substituteFrom": [{"kind": "Pod"}]}}}}, "ConfigMap or Secret"),
        ({"reconciliationWaitDuration": "5 minutes"}, "Invalid reconciliationWaitDuration '5 minutes'"),
        ({"configurationProtectedSettings": {"password": "x"}}, "The protected setting 'password'"),
    ],
)
async def test_a_body_that_is_wrong_is_refused_by_name(
    configurations: Configurations, change: dict[str, Any], text: str
) -> None:
    refused = await configurations("PUT", CFG, git(**change))
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert error["code"] == "ValidationFailed" and text in error["message"]
    assert (await configurations("GET", CFG)).status_code == 404


async def test_scope_and_namespace_are_for_life(configurations: Configurations) -> None:
    await configurations("PUT", CFG, git())
    refused = await configurations("PUT", CFG, git(namespace="other"))
    assert refused.status_code == 400 and "cannot be changed" in refused.json()["error"]["message"]


async def test_an_unknown_property_is_not_passed_over(configurations: Configurations) -> None:
    refused = await configurations("PUT", CFG, git(additionalConfigurations={}))
    assert refused.status_code == 400 and "additionalConfigurations" in refused.text


async def test_every_answer_names_the_versions_that_the_service_supports(configurations: Configurations) -> None:
    missing = await configurations("GET", CFG)
    assert missing.headers["api-supported-versions"] == "2024-11-01, 2025-04-01"
    listed = await configurations("GET", "fluxConfigurations")
    assert listed.json() == {"value": [], "nextLink": None}
    assert listed.headers["api-supported-versions"] == "2024-11-01, 2025-04-01"


async def test_a_cluster_that_is_not_there_is_said_as_resource_manager_says_it(configurations: Configurations) -> None:
    elsewhere = CLUSTER.replace("/aks", "/none") + "/providers/Microsoft.KubernetesConfiguration/" + CFG
    refused = await configurations.call("PUT", elsewhere, git(), "2025-04-01")
    assert refused.status_code == 404
    assert "Microsoft.ContainerService/managedClusters/none" in refused.json()["error"]["message"]


async def test_flux_v1_configurations_are_an_empty_list_and_cannot_be_made(configurations: Configurations) -> None:
    listed = await configurations("GET", "sourceControlConfigurations", version="2022-03-01")
    assert listed.json()["value"] == []
    refused = await configurations("PUT", "sourceControlConfigurations/old", {"properties": {}}, "2022-03-01")
    assert refused.status_code == 501 and refused.json()["error"]["code"] == "NotSupportedInSandbox"
