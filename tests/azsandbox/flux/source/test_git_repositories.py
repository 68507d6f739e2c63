"""GitRepositories, of repositories that real git serves."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from azsandbox.controllers.client import path
from azsandbox.flux.source.signatures import signed_commit
from tests.azsandbox.flux.source.conftest import Sources, basic, condition
from tests.fidelity.fixtures import Fixtures

KIND = "GitRepository"


async def test_a_branch_becomes_an_artifact_and_a_push_another(sources: Sources, fixtures: Fixtures) -> None:
    first = fixtures.commit(
        "fleet", {"a.yaml": "a: 1", "b/c.yaml": "c: 1", "docs/x.png": "no"}, message="first\n\nmore"
    )
    await sources.git()
    assert await sources.files(KIND) == {"a.yaml": "a: 1", "b/c.yaml": "c: 1"}
    second = fixtures.commit("fleet", {"a.yaml": "a: 2"}, remove=["b/c.yaml"], message="s" * 60)
    await sources.ask(KIND)
    status = await sources.ready(KIND)
    assert status["artifact"]["revision"] == f"main@sha1:{second}" != f"main@sha1:{first}"
    assert await sources.files(KIND) == {"a.yaml": "a: 2"}
    told = [message for _, reason, message in await sources.flux.events(KIND, "it", 2) if reason == "NewArtifact"]
    assert told == ["stored artifact for commit 'first'", f"stored artifact for commit '{'s' * 50}...'"]


async def test_equal_trees_have_equal_digests_whatever_their_commit(sources: Sources, fixtures: Fixtures) -> None:
    fixtures.commit("fleet", {"a.yaml": "a: 1"})
    await sources.git()
    before = (await sources.ready(KIND))["artifact"]
    fixtures.commit("fleet", {"a.yaml": "a: 1"}, message="nothing new")
    await sources.ask(KIND)
    after = (await sources.ready(KIND))["artifact"]
    assert before["revision"] != after["revision"]
    assert before["digest"] == after["digest"]


async def test_what_has_not_changed_is_not_fetched(sources: Sources, fixtures: Fixtures) -> None:
    fixtures.commit("fleet", {"a.yaml": "a: 1"})
    await sources.git()
    await sources.ready(KIND)
    fixtures.asked.clear()
    await sources.ask(KIND)
    assert fixtures.asked == ["GET /git/fleet.git/info/refs"]


async def test_a_force_push_is_followed(sources: Sources, fixtures: Fixtures) -> None:
    fixtures.commit("fleet", {"a.yaml": "a: 1"})
    await sources.git()
    await sources.ready(KIND)
    del fixtures.heads["fleet"]  # the next commit has no parent
    sha = fixtures.commit("fleet", {"b.yaml": "b: 1"}, message="another history")
    await sources.ask(KIND)
    assert (await sources.ready(KIND))["artifact"]["revision"] == f"main@sha1:{sha}"
    assert await sources.files(KIND) == {"b.yaml": "b: 1"}


async def test_the_last_artifact_stays_when_a_repository_goes_away_and_it_recovers(
    sources: Sources, fixtures: Fixtures
) -> None:
    fixtures.commit("fleet", {"a.yaml": "a: 1"})
    await sources.git()
    artifact = (await sources.ready(KIND))["artifact"]
    fixtures.forget("fleet")
    await sources.ask(KIND)
    failed = await sources.failed(KIND)
    assert failed["message"].endswith(
        f"unable to list remote for 'http://{fixtures.address}/git/fleet.git': repository not found: "
    )
    obj = await sources.flux.client.get(sources.url(KIND, "it"))
    assert obj["status"]["artifact"] == artifact
    assert condition(obj, "ArtifactInStorage")["status"] == "True"
    del fixtures.heads["fleet"]
    fixtures.commit("fleet", {"a.yaml": "a: 2"})
    assert (await sources.ready(KIND))["artifact"]["revision"] != artifact["revision"]


@pytest.mark.parametrize(
    ("header", "secret"),
    [
        (basic("me", "pass word"), {"username": "me", "password": "pass word"}),
        ("Bearer a-token", {"bearerToken": "a-token"}),
    ],
)
async def test_a_secret_opens_a_repository(
    sources: Sources, fixtures: Fixtures, header: str, secret: dict[str, str]
) -> None:
    fixtures.commit("fleet", {"a.yaml": "a: 1"})
    fixtures.guarded["/git/"] = header
    await sources.git()
    failed = await sources.failed(KIND)
    assert failed["message"].endswith("authentication required: who are you?")
    await sources.secret("creds", **secret)
    await sources.change(KIND, secretRef={"name": "creds"})
    assert await sources.files(KIND) == {"a.yaml": "a: 1"}


@pytest.mark.parametrize(
    ("ref", "revision"),
    [
        ({"tag": "v1.0.0"}, "v1.0.0@sha1:{one}"),
        ({"semver": "1.x"}, "v1.2.0@sha1:{two}"),
        ({"name": "refs/heads/main"}, "refs/heads/main@sha1:{three}"),
        ({"name": "refs/tags/v1.0.0"}, "refs/tags/v1.0.0@sha1:{one}"),
        ({"commit": "{two}"}, "sha1:{two}"),
        ({"commit": "{one}", "branch": "main"}, "main@sha1:{one}"),
        ({"name": "refs/heads/main", "tag": "v1.0.0", "semver": "1.x"}, "refs/heads/main@sha1:{three}"),
    ],
)
async def test_a_reference_gives_the_revision_its_form(
    sources: Sources, fixtures: Fixtures, ref: dict[str, str], revision: str
) -> None:
    names = {"one": fixtures.commit("fleet", {"a": "1"}, tag="v1.0.0"), "two": ""}
    names["two"] = fixtures.commit("fleet", {"a": "2"}, tag="v1.2.0")
    names["three"] = fixtures.commit("fleet", {"a": "3"}, tag="v2.0.0")
    await sources.git(ref={key: value.format(**names) for key, value in ref.items()})
    assert (await sources.ready(KIND))["artifact"]["revision"] == revision.format(**names)


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        (
            {"commit": "0" * 40},
            "unable to resolve commit object for '0000000000000000000000000000000000000000': object not found",
        ),
        ({"tag": "v9"}, 'couldn\'t find remote ref "refs/tags/v9"'),
        ({"name": "refs/heads/none"}, "unable to resolve ref 'refs/heads/none' to a specific commit"),
        (
            {"name": "/refs/heads/main"},
            "ref /refs/heads/main is invalid; Git refs cannot begin or end with a slash '/'",
        ),
    ],
)
async def test_a_reference_to_nothing_is_told(
    sources: Sources, fixtures: Fixtures, ref: dict[str, str], words: str
) -> None:
    fixtures.commit("fleet", {"a": "1"})
    await sources.git(ref=ref)
    failed = await sources.failed(KIND)
    assert failed["reason"] == "GitOperationFailed"
    assert failed["message"].endswith(words)


async def test_a_commit_is_found_only_in_the_history_of_its_branch(sources: Sources, fixtures: Fixtures) -> None:
    fixtures.commit("fleet", {"a": "1"})
    other = fixtures.commit("fleet", {"a": "2"}, branch="other")
    await sources.git(ref={"commit": other, "branch": "main"})
    assert (await sources.failed(KIND))["message"].endswith(f"for '{other}': object not found")
    await sources.change(KIND, ref={"branch": "other"})
    assert (await sources.ready(KIND))["artifact"]["revision"] == f"other@sha1:{other}"


async def test_an_included_repository_is_copied_and_followed(sources: Sources, fixtures: Fixtures) -> None:
    fixtures.commit("base", {"deep/x.yaml": "x: 1"})
    fixtures.commit("fleet", {"a.yaml": "a: 1"})
    include = [{"repository": {"name": "base"}, "fromPath": "deep", "toPath": "vendor"}]
    await sources.git(include=include)
    waiting = await sources.failed(KIND)
    assert waiting["message"] == (
        "could not get resource for include 'base': GitRepository.source.toolkit.fluxcd.io \"base\" not found"
    )
    await sources.git("base", "base")
    first = (await sources.ready(KIND, "base"))["artifact"]
    await sources.ask(KIND)
    assert await sources.files(KIND) == {"a.yaml": "a: 1", "vendor/x.yaml": "x: 1"}
    assert (await sources.ready(KIND))["includedArtifacts"] == [first]
    fixtures.commit("base", {"deep/x.yaml": "x: 2"})
    await sources.ask(KIND, "base")
    await sources.ask(KIND)
    assert (await sources.files(KIND))["vendor/x.yaml"] == "x: 2"


async def test_submodules_are_fetched_where_asked_for(sources: Sources, fixtures: Fixtures) -> None:
    inner = fixtures.commit("inner", {"i.yaml": "i: 1"})
    modules = '[submodule "inner"]\n\tpath = sub\n\turl = ../inner.git\n'
    fixtures.commit("fleet", {"a.yaml": "a: 1", ".gitmodules": modules}, submodules={"sub": inner})
    await sources.git()
    assert await sources.files(KIND) == {"a.yaml": "a: 1"}
    await sources.change(KIND, recurseSubmodules=True)
    assert await sources.files(KIND) == {"a.yaml": "a: 1", "sub/i.yaml": "i: 1"}


async def test_an_artifact_that_was_damaged_is_made_anew(sources: Sources, fixtures: Fixtures) -> None:
    fixtures.commit("fleet", {"a.yaml": "a: 1"})
    await sources.git()
    artifact = (await sources.ready(KIND))["artifact"]
    sources.artifacts.file(artifact).write_bytes(b"nothing")
    await sources.ask(KIND)
    assert await sources.files(KIND) == {"a.yaml": "a: 1"}
    told = [(reason, message) for _, reason, message in await sources.flux.events(KIND, "it", 2)]
    text = f"failed to verify integrity of artifact: computed digest doesn't match '{artifact['digest']}'"
    assert ("ArtifactVerificationFailed", text) in told


async def test_what_was_stored_goes_with_its_object(sources: Sources, fixtures: Fixtures) -> None:
    fixtures.commit("fleet", {"a.yaml": "a: 1"})
    await sources.git()
    file = sources.artifacts.file((await sources.ready(KIND))["artifact"])
    await sources.flux.client.delete(sources.url(KIND, "it"))
    await sources.flux.until(path("source.toolkit.fluxcd.io/v1", "gitrepositories", "apps"), lambda o: not o["items"])
    assert not file.exists()


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"provider": "azure"}, "NotSupportedInSandbox", "spec.provider azure is not supported by the sandbox's "),
        ({"provider": "github"}, "InvalidProviderConfiguration", "secretRef with github app data must be specified"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(
    sources: Sources, fixtures: Fixtures, spec: dict[str, Any], reason: str, words: str
) -> None:
    await sources.git(**spec)
    obj = await sources.until(KIND, "it", lambda found: condition(found, "Stalled"))
    assert condition(obj, "Stalled")["reason"] == condition(obj, "Ready")["reason"] == reason
    assert condition(obj, "Stalled")["message"].startswith(words)
    assert obj["status"]["observedGeneration"] == 1


async def test_a_repository_by_ssh_wants_its_keys_and_is_then_refused(sources: Sources) -> None:
    await sources.make(KIND, url="ssh://git@git.example/fleet")
    failed = await sources.failed(KIND)
    assert failed["message"] == (
        "failed to configure authentication options: invalid 'ssh' auth option: 'identity' is required"
    )
    await sources.secret("keys", identity="x", known_hosts="y")
    await sources.change(KIND, secretRef={"name": "keys"})
    obj = await sources.until(KIND, "it", lambda found: condition(found, "Stalled"))
    assert condition(obj, "Stalled")["reason"] == "NotSupportedInSandbox"


async def test_a_commit_that_one_of_the_keys_signed_is_verified(sources: Sources, fixtures: Fixtures) -> None:
    fixtures.commit("fleet", {"a.yaml": "a: 1"}, message="not signed")
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    await sources.secret("keys", **{"a.sshpub": _public(other), "b.sshpub": _public(key)})
    await sources.git(verify={"mode": "HEAD", "secretRef": {"name": "keys"}})
    ready = await sources.failed(KIND)
    said = f"signature verification of commit '{fixtures.heads['fleet']}' failed: unsupported signature type: empty"
    assert (ready["reason"], ready["message"]) == ("InvalidCommitSignature", said)

    sha = _signed(fixtures, key)
    await sources.ask(KIND)
    status = await sources.ready(KIND)
    verified = condition({"status": status}, "SourceVerified")
    name = base64.b64encode(hashlib.sha256(base64.b64decode(_public(key).split()[1])).digest()).decode().rstrip("=")
    assert verified["message"] == f"verified signature of\n\t- commit '{sha}' with key 'SHA256:{name}'"
    assert (verified["status"], verified["reason"]) == ("True", "Succeeded")
    assert status["sourceVerificationMode"] == "HEAD"
    assert status["artifact"]["revision"] == f"main@sha1:{sha}"

    sha = _signed(fixtures, Ed25519PrivateKey.generate())
    await sources.ask(KIND)
    ready = await sources.failed(KIND)
    said = (
        f"signature verification of commit '{sha}' failed: unable to verify Git commit SSH signature: unable to verify "
        "payload with any of the given authorized keys: no matching key\npublic key does not match"
    )
    assert (ready["reason"], ready["message"]) == ("InvalidCommitSignature", said)


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _signed(fixtures: Fixtures, key: Ed25519PrivateKey) -> str:
    """Makes the newest commit anew, signed as OpenSSH signs it."""
    git = ["git", "--git-dir", str(fixtures.root / "git/fleet.git")]
    raw = subprocess.run([*git, "cat-file", "commit", "main"], check=True, capture_output=True).stdout
    raw = signed_commit(raw)[1]

    def strings(*parts: bytes) -> bytes:
        return b"".join(len(part).to_bytes(4) + part for part in parts)

    made = key.sign(b"SSHSIG" + strings(b"git", b"", b"sha512", hashlib.sha512(raw).digest()))
    public = base64.b64decode(_public(key).split()[1])
    blob = b"SSHSIG\0\0\0\1" + strings(public, b"git", b"", b"sha512", strings(b"ssh-ed25519", made))
    lines = ["-----BEGIN SSH SIGNATURE-----", base64.b64encode(blob).decode(), "-----END SSH SIGNATURE-----"]
    head, _, said = raw.partition(b"\n\n")
    signed = head + b"\ngpgsig " + "\n ".join(lines).encode() + b"\n\n" + said
    write = [*git, "hash-object", "-t", "commit", "-w", "--stdin"]
    sha = subprocess.run(write, input=signed, check=True, capture_output=True).stdout.decode().strip()
    subprocess.run([*git, "update-ref", "refs/heads/main", sha], check=True)
    return sha
