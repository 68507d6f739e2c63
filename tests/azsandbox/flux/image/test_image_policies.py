"""ImagePolicies."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.controllers.client import path
from azsandbox.kubernetes.errors import StatusError
from tests.azsandbox.flux.image.conftest import Images, condition

KIND = "ImagePolicy"


async def test_a_policy_follows_its_repository(images: Images) -> None:
    images.tag("1.0.0", "1.1.0")
    await images.repository()
    await images.policy()
    status = await images.ready(KIND, "app")
    image = f"{images.fixtures.address}/team/app"
    assert status["latestRef"] == {"name": image, "tag": "1.1.0"}
    assert "observedPreviousRef" not in status
    first = f"Latest image tag for {image} resolved to 1.1.0"
    assert condition(status, "Ready")["message"] == first
    images.tag("1.2.0")
    await images.ask("ImageRepository", "app")
    status = await images.until(KIND, "app", lambda status: status["latestRef"]["tag"] == "1.2.0")
    assert status["observedPreviousRef"] == {"name": image, "tag": "1.1.0"}
    second = f"Latest image tag for {image} resolved to 1.2.0 (previously {image}:1.1.0)"
    told = await images.flux.events(KIND, "app", 2)
    assert [message for _, _, message in told] == [first, second]


async def test_a_policy_whose_repository_comes_later_becomes_ready_by_itself(images: Images) -> None:
    await images.policy()
    reason, message = await images.failed(KIND, "app")
    assert (reason, message) == (
        "DependencyNotReady",
        "failed to get the referred ImageRepository: referenced ImageRepository does not exist: "
        'ImageRepository.image.toolkit.fluxcd.io "app" not found',
    )
    images.tag("1.0.0")
    await images.repository()
    await images.ready(KIND, "app")


@pytest.mark.parametrize(
    ("spec", "reason", "message"),
    [
        ({"policy": {"semver": {"range": "x y"}}}, "InvalidPolicy", "invalid policy: improper constraint: "),
        (
            {"filterTags": {"pattern": "("}},
            "InvalidPolicy",
            "failed to filter tags: invalid regular expression pattern '('",
        ),
    ],
)
async def test_a_policy_that_cannot_choose_stalls(
    images: Images, spec: dict[str, Any], reason: str, message: str
) -> None:
    images.tag("1.0.0")
    await images.repository()
    await images.policy(**spec)
    found = await images.stalled(KIND, "app")
    assert found[0] == reason and found[1].startswith(message)


async def test_a_digest_that_is_followed_needs_an_interval(images: Images) -> None:
    with pytest.raises(StatusError, match=r"spec.interval is only accepted|spec.interval must be set"):
        await images.policy(digestReflectionPolicy="Always")


async def test_no_tag_in_the_range_is_a_failure_that_new_tags_heal(images: Images) -> None:
    images.tag("1.0.0")
    await images.repository()
    await images.policy(policy={"semver": {"range": ">=2"}})
    found = await images.failed(KIND, "app")
    assert found == ("Failure", "unable to determine latest version from provided list")
    images.tag("2.0.0")
    await images.ask("ImageRepository", "app")
    assert (await images.ready(KIND, "app"))["latestRef"]["tag"] == "2.0.0"


async def test_the_digest_of_a_tag_is_kept_or_followed(images: Images) -> None:
    old = images.fixtures.push("team/app", "1.0.0", b"old", b"")
    await images.repository()
    await images.policy("kept", digestReflectionPolicy="IfNotPresent")
    await images.policy("followed", digestReflectionPolicy="Always", interval="1h")
    for name in ("kept", "followed"):
        assert (await images.ready(KIND, name))["latestRef"]["digest"] == old
    new = images.fixtures.push("team/app", "1.0.0", b"new", b"")
    for name, digest in (("kept", old), ("followed", new)):
        await images.ask(KIND, name)
        assert (await images.ready(KIND, name))["latestRef"]["digest"] == digest


async def test_a_repository_of_another_namespace_must_allow_it(images: Images) -> None:
    client = images.flux.client
    labels = {"team": "other"}
    await client.create(path("v1", "namespaces"), {"metadata": {"name": "other", "labels": labels}})
    images.tag("1.0.0")
    await images.repository()
    await images.ready("ImageRepository", "app")
    spec = {
        "imageRepositoryRef": {"name": "app", "namespace": "apps"},
        "policy": {"alphabetical": {"order": "asc"}},
    }
    url = path("image.toolkit.fluxcd.io/v1", "imagepolicies", "other")
    await client.create(
        url, {"apiVersion": "image.toolkit.fluxcd.io/v1", "kind": KIND, "metadata": {"name": "app"}, "spec": spec}
    )

    async def ready(status: str) -> Any:
        found = await images.flux.until(
            f"{url}/app", lambda obj: condition(obj.get("status") or {}, "Ready").get("status") == status
        )
        return condition(found["status"], "Ready")

    denied = await ready("False")
    assert denied["reason"] == "AccessDenied"
    assert denied["message"].endswith("'apps/app' can't be accessed due to missing ACL labels on 'accessFrom'")
    await images.change("ImageRepository", "app", accessFrom={"namespaceSelectors": [{"matchLabels": labels}]})
    await ready("True")
