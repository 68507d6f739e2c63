"""OCIRepositories, and Buckets, which are refused."""

from __future__ import annotations

import pytest

from azsandbox.flux.source.tree import File, Tree, archive
from tests.azsandbox.flux.source.conftest import Sources, condition
from tests.fidelity.fixtures import Fixtures

KIND = "OCIRepository"
MEDIA = ("application/vnd.cncf.flux.config.v1+json", "application/vnd.cncf.flux.content.v1.tar+gzip")
MANIFESTS = archive(Tree({"a.yaml": File(b"a: 1"), "b/c.yaml": File(b"c: 1"), "x.png": File(b"no")}))


async def repository(sources: Sources, **spec: object) -> None:
    await sources.make(KIND, **{"url": f"oci://{sources.fixtures.address}/team/app", "insecure": True, **spec})


async def test_a_layer_of_manifests_is_extracted_by_the_rules_of_an_artifact(
    sources: Sources, fixtures: Fixtures
) -> None:
    about = {"org.opencontainers.image.source": "https://git.example/a", "org.opencontainers.image.revision": "main@x"}
    digest = fixtures.push("team/app", "latest", b"{}", MANIFESTS, MEDIA, about)
    await repository(sources)
    status = await sources.ready(KIND)
    assert status["artifact"]["revision"] == f"latest@{digest}"
    assert status["artifact"]["metadata"] == about
    assert await sources.files(KIND) == {"a.yaml": "a: 1", "b/c.yaml": "c: 1"}
    [told] = await sources.flux.events(KIND, "it")
    assert told[2].endswith("origin source 'https://git.example/a', origin revision 'main@x'")
    await sources.change(KIND, ignore="/b\n")
    assert set(await sources.files(KIND)) == {"a.yaml", "x.png"}


async def test_a_digest_is_its_own_revision(sources: Sources, fixtures: Fixtures) -> None:
    digest = fixtures.push("team/app", "1.0.0", b"{}", MANIFESTS, MEDIA)
    await repository(sources, ref={"digest": digest, "tag": "2.0.0"})
    assert (await sources.ready(KIND))["artifact"]["revision"] == digest


async def test_the_highest_tag_in_a_range_is_followed(sources: Sources, fixtures: Fixtures) -> None:
    for tag in ("1.0.0", "1.1.0-dev.1", "latest"):
        fixtures.push("team/app", tag, b"{}", MANIFESTS, MEDIA)
    await repository(sources, ref={"semver": "1.x"})
    assert (await sources.ready(KIND))["artifact"]["revision"].startswith("1.0.0@")
    fixtures.push("team/app", "1.2.0", b"{}", MANIFESTS, MEDIA)
    await sources.ask(KIND)
    assert (await sources.ready(KIND))["artifact"]["revision"].startswith("1.2.0@")
    await sources.change(KIND, ref={"semver": ">=1.0.0-0", "semverFilter": "-dev"})
    assert (await sources.ready(KIND))["artifact"]["revision"].startswith("1.1.0-dev.1@")


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"ref": {"semver": "9.x"}}, "ReadOperationFailed", "': no match found for semver: 9.x"),
        (
            {"ref": {"semver": "x.y"}},
            "ReadOperationFailed",
            "': semver 'x.y' parse error: improper constraint: \"x.y\"",
        ),
        ({"url": "oci://registry.example/App"}, "URLInvalid", "can only contain the characters"),
        ({"url": "oci://registry.example/app:1"}, "URLInvalid", "can only contain the characters"),
        ({"verify": {"provider": "cosign"}}, "NotSupportedInSandbox", "spec.verify is not supported by the sandbox's"),
        ({"provider": "gcp"}, "NotSupportedInSandbox", "spec.provider gcp is not supported by the sandbox's"),
        ({"serviceAccountName": "none"}, "AuthenticationFailed", "serviceaccount 'apps/none' not found"),
        ({"certSecretRef": {"name": "none"}}, "AuthenticationFailed", "': secret 'apps/none' not found"),
    ],
)
async def test_what_cannot_be_pulled_is_told(
    sources: Sources, fixtures: Fixtures, spec: dict[str, object], reason: str, words: str
) -> None:
    fixtures.push("team/app", "latest", b"{}", MANIFESTS, MEDIA)
    await repository(sources, **spec)
    failed = await sources.failed(KIND)
    assert failed["reason"] == reason
    assert words in failed["message"]


async def test_a_layer_that_is_no_archive_is_told_and_the_last_artifact_stays(
    sources: Sources, fixtures: Fixtures
) -> None:
    fixtures.push("team/app", "latest", b"{}", MANIFESTS, MEDIA)
    await repository(sources)
    artifact = (await sources.ready(KIND))["artifact"]
    fixtures.push("team/app", "latest", b"{}", b"no archive", MEDIA)
    await sources.ask(KIND)
    failed = await sources.failed(KIND)
    assert failed["reason"] == "OCIArtifactLayerOperationFailed"
    assert failed["message"].startswith("failed to extract layer contents from artifact: ")
    assert (await sources.flux.client.get(sources.url(KIND, "it")))["status"]["artifact"] == artifact


async def test_a_bucket_is_refused_by_name(sources: Sources) -> None:
    await sources.make("Bucket", bucketName="b", endpoint="minio.example")
    obj = await sources.until("Bucket", "it", lambda found: condition(found, "Stalled"))
    assert condition(obj, "Ready")["reason"] == "NotSupportedInSandbox"
    assert condition(obj, "Ready")["message"] == ("The kind Bucket is not supported by the sandbox's source-controller")
