"""ImageRepositories."""

from __future__ import annotations

import base64

import pytest

from tests.azsandbox.flux.image.conftest import Images, condition

KIND = "ImageRepository"


async def test_a_scan_finds_tags_and_says_the_newest_of_them(images: Images) -> None:
    images.tag("1.0.0", "1.1.0", "sha256-ab.sig")
    await images.repository()
    status = await images.ready(KIND, "app")
    scan = status["lastScanResult"]
    assert (scan["tagCount"], scan["latestTags"]) == (2, ["1.1.0", "1.0.0"])
    assert status["canonicalImageName"] == f"{images.fixtures.address}/team/app"
    assert status["observedExclusionList"] == ["^.*\\.sig$"]
    message = f"successful scan: found 2 tags with checksum {scan['revision']}"
    assert condition(status, "Ready")["message"] == message
    assert await images.flux.events(KIND, "app") == [("Normal", "Succeeded", message)]


async def test_it_is_scanned_again_when_asked_and_when_its_list_changes(images: Images) -> None:
    images.tag("1.0.0")
    await images.repository()
    first = (await images.ready(KIND, "app"))["lastScanResult"]
    images.tag("2.0.0")
    await images.ask(KIND, "app")
    second = (await images.ready(KIND, "app"))["lastScanResult"]
    assert (first["tagCount"], second["tagCount"]) == (1, 2)
    await images.change(KIND, "app", exclusionList=["^1\\."])
    third = (await images.ready(KIND, "app"))["lastScanResult"]
    assert third["latestTags"] == ["2.0.0"]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("https://reg.example/app", "image 'https://reg.example/app' should not include URL scheme; remove 'https://'"),
        ("reg.example/app:1.0", "image 'reg.example/app:1.0' should not include a tag; remove ':1.0'"),
        ("reg.example/APP", "could not parse reference: reg.example/APP"),
    ],
)
async def test_an_image_that_names_no_repository_stalls(images: Images, image: str, message: str) -> None:
    await images.repository(image=image)
    assert await images.stalled(KIND, "app") == ("ImageURLInvalid", message)


async def test_a_registry_that_refuses_leaves_what_was_found_and_it_recovers(images: Images) -> None:
    images.tag("1.0.0")
    await images.repository()
    before = (await images.ready(KIND, "app"))["lastScanResult"]
    wanted = "Basic " + base64.b64encode(b"robot:secret").decode()
    images.fixtures.guarded["/v2/"] = wanted
    await images.ask(KIND, "app")
    reason, message = await images.failed(KIND, "app")
    assert reason == "ReadOperationFailed" and message.startswith("scan failed: ")
    obj = await images.flux.client.get(images.url(KIND, "app"))
    assert obj["status"]["lastScanResult"] == before
    await images.flux.make("v1", "secrets", "pull", pull_secret(images.fixtures.address))
    await images.change(KIND, "app", secretRef={"name": "pull"})
    await images.ready(KIND, "app")


async def test_a_secret_that_is_not_there_is_named(images: Images) -> None:
    await images.repository(secretRef={"name": "pull"})
    assert await images.failed(KIND, "app") == (
        "AuthenticationFailed",
        'failed to configure authentication options: secrets "pull" not found',
    )


@pytest.mark.parametrize(
    ("spec", "reason", "message"),
    [
        ({"provider": "gcp"}, "NotSupportedInSandbox", "spec.provider gcp is not supported by the sandbox's"),
        (
            {"provider": "azure", "image": "lab.azurecr.io/app"},
            "NotSupportedInSandbox",
            "spec.provider azure is not supported in a cluster without nodes of Azure",
        ),
        (
            {"provider": "azure", "serviceAccountName": "x"},
            "FeatureGateDisabled",
            "to use spec.serviceAccountName for provider authentication please enable the",
        ),
    ],
)
async def test_identities_that_are_not_to_be_had_stall(
    images: Images, spec: dict[str, str], reason: str, message: str
) -> None:
    await images.repository(**spec)
    found = await images.stalled(KIND, "app")
    assert found[0] == reason and found[1].startswith(message)


async def test_the_nodes_identity_is_for_registries_of_azure_alone(images: Images) -> None:
    await images.repository(provider="azure")
    host = images.fixtures.address
    assert await images.failed(KIND, "app") == (
        "AuthenticationFailed",
        f"failed to configure authentication options: invalid Azure registry: '{host}'. must match "
        r"^.+\.(azurecr\.io|azurecr\.cn|azurecr\.de|azurecr\.us)$",
    )


async def test_a_suspended_repository_is_not_scanned(images: Images) -> None:
    images.tag("1.0.0")
    await images.repository(suspend=True)
    await images.until(KIND, "app", lambda status: "lastHandledReconcileAt" not in status)
    await images.ask(KIND, "app")
    assert not images.fixtures.asked


def pull_secret(host: str) -> dict[str, str]:
    auth = base64.b64encode(b"robot:secret").decode()
    return {".dockerconfigjson": f'{{"auths": {{"{host}": {{"auth": "{auth}"}}}}}}'}
