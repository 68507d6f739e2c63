"""ImageUpdateAutomations, which push to repositories that real git serves."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from azsandbox.flux.image.git_push import Refspec
from azsandbox.flux.source.git_access import GitError
from tests.azsandbox.flux.image.conftest import Images, condition

KIND = "ImageUpdateAutomation"
SOURCES = "source.toolkit.fluxcd.io/v1"
UP_TO_DATE = "repository up-to-date"


class Repository:
    """The repository fleet, as git shows it."""

    def __init__(self, images: Images) -> None:
        self.images, self.folder = images, images.fixtures.root / "git" / "fleet.git"

    def git(self, *arguments: str) -> str:
        command = ["git", "--git-dir", str(self.folder), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def head(self, branch: str = "main") -> str:
        return self.git("rev-parse", f"refs/heads/{branch}").strip()

    def file(self, path: str = "apps/app.yaml", branch: str = "main") -> str:
        return self.git("show", f"refs/heads/{branch}:{path}")


def manifest(image: str, policy: str = "apps:app") -> str:
    return (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app\nspec:\n"
        f'  image: {image} # {{"$imagepolicy": "{policy}"}}\n'
    )


@pytest.fixture
async def fleet(images: Images) -> Repository:
    """Two tags, a policy that is ready, and a repository with the older one in it."""
    images.tag("1.0.0", "1.1.0")
    await images.repository()
    await images.policy()
    await images.ready("ImagePolicy", "app")
    images.fixtures.commit("fleet", {"apps/app.yaml": manifest(f"{images.fixtures.address}/team/app:1.0.0"), "x": "y"})
    spec = {
        "interval": "10m",
        "url": f"http://{images.fixtures.address}/git/fleet.git",
        "ref": {"branch": "main"},
    }
    await images.flux.make(SOURCES, "gitrepositories", "fleet", spec)
    return Repository(images)


async def automation(images: Images, *, git: dict[str, Any] | None = None, **spec: Any) -> None:
    author = {"name": "robot", "email": "robot@example.com"}
    whole = {"commit": {"author": author}, **(git or {})}
    source = {"kind": "GitRepository", "name": "fleet"}
    wanted = {"interval": "10m", "sourceRef": source, "git": whole, **spec}
    await images.make(KIND, "auto", **wanted)


async def test_the_latest_image_is_committed_and_pushed(images: Images, fleet: Repository) -> None:
    before = fleet.head()
    git = {"commit": {"author": {"email": "robot@example.com"}, "messageTemplate": "{{ len .Changed.Changes }} change"}}
    await automation(images, git=git, update={"path": "./apps", "strategy": "Setters"})
    status = await images.ready(KIND, "auto")
    after = fleet.head()
    image = f"{images.fixtures.address}/team/app"
    assert fleet.file() == manifest(f"{image}:1.1.0")
    assert fleet.git("log", "-1", "--format=%P %an %ae %cn %ce %B", after).split("\n")[0] == (
        f"{before}  robot@example.com  robot@example.com 1 change"
    )
    assert fleet.file("x") == "y"
    assert status["lastPushCommit"] == after
    assert status["observedSourceRevision"] == f"main@sha1:{after}"
    assert status["observedPolicies"] == {"app": {"name": image, "tag": "1.1.0"}}
    assert condition(status, "Ready")["message"] == UP_TO_DATE
    pushed = f"pushed commit '{after[:7]}' to branch 'main'\n1 change"
    assert await images.flux.events(KIND, "auto") == [("Normal", "Succeeded", pushed)]


async def test_what_has_not_changed_is_not_fetched_again_and_another_image_is_pushed_by_itself(
    images: Images, fleet: Repository
) -> None:
    await automation(images)
    await images.ready(KIND, "auto")
    first = fleet.head()
    images.fixtures.asked.clear()
    await images.ask(KIND, "auto")
    assert images.fixtures.asked == ["GET /git/fleet.git/info/refs"]
    await images.flux.logged("image-automation-controller", "no change since last reconciliation")
    images.tag("1.2.0")
    await images.ask("ImageRepository", "app")
    status = await images.until(KIND, "auto", lambda status: status["observedPolicies"]["app"]["tag"] == "1.2.0")
    assert status["lastPushCommit"] == fleet.head() != first
    assert "1.2.0" in fleet.file()


async def test_a_commit_of_somebody_else_is_built_upon(images: Images, fleet: Repository) -> None:
    await automation(images)
    await images.ready(KIND, "auto")
    fleet.git("update-ref", "refs/heads/main", images.fixtures.heads["fleet"])
    other = images.fixtures.commit("fleet", {"apps/other.yaml": manifest("old", "apps:app:tag")})
    await images.ask(KIND, "auto")
    status = await images.until(KIND, "auto", lambda status: status.get("lastPushCommit") == fleet.head())
    assert fleet.head() != other
    assert fleet.git("rev-parse", f"{status['lastPushCommit']}^").strip() == other
    assert "image: 1.1.0" in fleet.file("apps/other.yaml")


async def test_with_another_branch_to_push_to_the_source_stays_and_that_branch_grows(
    images: Images, fleet: Repository
) -> None:
    before = fleet.head()
    await automation(images, git={"push": {"branch": "auto"}})
    status = await images.ready(KIND, "auto")
    first = fleet.head("auto")
    assert fleet.head() == before
    assert status["lastPushCommit"] == first
    assert status["observedSourceRevision"] == f"main@sha1:{before}"
    images.tag("1.2.0")
    await images.ask("ImageRepository", "app")
    await images.until(KIND, "auto", lambda status: status["lastPushCommit"] != first)
    assert fleet.git("rev-parse", "refs/heads/auto^").strip() == first
    assert "1.2.0" in fleet.file(branch="auto")


async def test_a_refspec_is_pushed_besides(images: Images, fleet: Repository) -> None:
    await automation(images, git={"push": {"branch": "main", "refspec": "refs/heads/main:refs/heads/copy"}})
    await images.ready(KIND, "auto")
    assert fleet.head("copy") == fleet.head()
    [(_, _, message)] = await images.flux.events(KIND, "auto")
    assert " to branch 'main' and refspecs 'refs/heads/main:refs/heads/copy'\n" in message
    images.tag("1.2.0")
    await images.ask("ImageRepository", "app")
    await images.until(KIND, "auto", lambda status: status["observedPolicies"]["app"]["tag"] == "1.2.0")
    assert fleet.head("copy") == fleet.head()


async def test_a_refspec_that_would_lose_commits_is_refused(images: Images, fleet: Repository) -> None:
    fleet.git("update-ref", "refs/heads/copy", fleet.git("commit-tree", "-m", "x", f"{fleet.head()}^{{tree}}").strip())
    await automation(images, git={"push": {"branch": "main", "refspec": "refs/heads/main:refs/heads/copy"}})
    assert await images.failed(KIND, "auto") == (
        "GitOperationFailed",
        "failed to update source: failed to push to remote: non-fast-forward update: refs/heads/copy",
    )


async def test_a_push_that_the_server_refuses_is_tried_again(images: Images, fleet: Repository) -> None:
    hook = fleet.folder / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    await automation(images)
    reason, message = await images.failed(KIND, "auto")
    assert reason == "GitOperationFailed"
    assert (
        message == "failed to update source: failed to push to remote: command error on refs/heads/main: hook declined"
    )
    hook.unlink()
    await images.ready(KIND, "auto")
    assert "1.1.0" in fleet.file()


async def test_nothing_to_do_is_no_commit(images: Images, fleet: Repository) -> None:
    images.fixtures.commit("fleet", {"apps/app.yaml": manifest("reg/other:1", "apps:other")})
    before = fleet.head()
    await automation(images)
    status = await images.ready(KIND, "auto")
    assert fleet.head() == before and "lastPushCommit" not in status
    assert status["observedSourceRevision"] == f"main@sha1:{before}"


async def test_a_selector_chooses_the_policies(images: Images, fleet: Repository) -> None:
    before = fleet.head()
    await automation(images, policySelector={"matchLabels": {"team": "none"}})
    status = await images.ready(KIND, "auto")
    assert fleet.head() == before and "observedPolicies" not in status
    await images.change(KIND, "auto", policySelector={"matchLabels": None})
    await images.until(KIND, "auto", lambda status: status.get("lastPushCommit"))


async def test_a_policy_that_is_changed_alone_is_all_that_is_noted(images: Images, fleet: Repository) -> None:
    await images.policy("blue", labels={"colour": "blue"})
    await images.ready("ImagePolicy", "blue")
    await automation(images, policySelector={"matchExpressions": [{"key": "colour", "operator": "Exists"}]})
    assert list((await images.ready(KIND, "auto"))["observedPolicies"]) == ["blue"]


@pytest.mark.parametrize(
    ("spec", "reason", "message"),
    [
        (
            {"policySelector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}},
            "InvalidPolicySelector",
            'failed to parse policy selector: "Near" is not a valid label selector operator',
        ),
        (
            {"policySelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}},
            "InvalidPolicySelector",
            "failed to parse policy selector: values: Invalid value: null: for 'in', 'notin' operators, values set "
            "can't be empty",
        ),
        (
            {"git": None},
            "InvalidSourceConfiguration",
            "source kind 'GitRepository' necessitates field .spec.git: invalid source configuration",
        ),
    ],
)
async def test_what_only_a_change_can_help_stalls(
    images: Images, fleet: Repository, spec: dict[str, Any], reason: str, message: str
) -> None:
    wanted = {"interval": "10m", "sourceRef": {"kind": "GitRepository", "name": "fleet"}, **spec}
    if "git" not in wanted:
        wanted["git"] = {"commit": {"author": {"email": "robot@example.com"}}}
    await images.make(KIND, "auto", **{key: value for key, value in wanted.items() if value is not None})
    assert await images.stalled(KIND, "auto") == (reason, message)


async def test_a_removed_field_in_a_template_stalls_and_a_broken_template_fails(
    images: Images, fleet: Repository
) -> None:
    commit = {"author": {"email": "robot@example.com"}, "messageTemplate": "{{ .Updated }}"}
    await automation(images, git={"commit": commit})
    reason, message = await images.stalled(KIND, "auto")
    assert reason == "RemovedTemplateField" and message.startswith("template uses removed '.Updated' field.")
    await images.change(KIND, "auto", git={"commit": {"messageTemplate": "{{ .Changed"}})
    status = await images.until(
        KIND, "auto", lambda status: condition(status, "Ready").get("reason") == "GitOperationFailed"
    )
    assert condition(status, "Ready")["message"] == (
        "failed to update source: unable to create commit message template from spec: template: commit message:1: "
        "unclosed action"
    )
    await images.change(KIND, "auto", git={"commit": {"messageTemplate": "fine"}})
    await images.ready(KIND, "auto")
    assert fleet.git("log", "-1", "--format=%B", "refs/heads/main").strip() == "fine"


async def test_a_path_that_is_not_there_fails(images: Images, fleet: Repository) -> None:
    await automation(images, update={"path": "./none", "strategy": "Setters"})
    reason, message = await images.failed(KIND, "auto")
    assert reason == "UpdateFailed"
    assert message.startswith("failed to apply policies: walking path for files: lstat /tmp/apps-fleet")
    assert message.endswith("/none: no such file or directory")


async def test_a_file_alone_can_be_the_path(images: Images, fleet: Repository) -> None:
    template = "{{ range $file, $_ := .Changed.FileChanges }}{{ $file }}{{ end }}"
    commit = {"author": {"email": "robot@example.com"}, "messageTemplate": template}
    await automation(images, git={"commit": commit}, update={"path": "apps/app.yaml", "strategy": "Setters"})
    await images.ready(KIND, "auto")
    assert "1.1.0" in fleet.file()
    assert fleet.git("log", "-1", "--format=%B", "refs/heads/main").strip() == "app.yaml"


async def test_without_its_source_it_fails_and_recovers(images: Images, fleet: Repository) -> None:
    await images.flux.client.delete("/apis/source.toolkit.fluxcd.io/v1/namespaces/apps/gitrepositories/fleet")
    await automation(images)
    assert await images.failed(KIND, "auto") == (
        "SourceManagerFailed",
        "failed configuring source manager: referenced git repository does not exist: "
        'GitRepository.source.toolkit.fluxcd.io "fleet" not found',
    )
    spec = {"interval": "10m", "url": f"http://{images.fixtures.address}/git/fleet.git", "ref": {"tag": "v1"}}
    await images.flux.make(SOURCES, "gitrepositories", "fleet", spec)
    status = await images.until(KIND, "auto", lambda s: "push spec" in condition(s, "Ready").get("message", ""))
    assert condition(status, "Ready")["message"] == (
        "failed configuring source manager: push spec not provided, and cannot be inferred from "
        ".spec.git.checkout.ref or GitRepository .spec.ref"
    )
    await images.change(KIND, "auto", git={"checkout": {"ref": {"branch": "main"}}})
    await images.ready(KIND, "auto")


async def test_a_repository_that_asks_for_credentials_gets_those_of_the_secret(
    images: Images, fleet: Repository
) -> None:
    images.fixtures.guarded["/git/fleet.git/git-receive-pack"] = "Basic cm9ib3Q6c2VjcmV0"  # robot:secret
    await automation(images)
    reason, message = await images.failed(KIND, "auto")
    assert reason == "GitOperationFailed"
    assert message == "failed to update source: failed to push to remote: authentication required: who are you?"
    await images.flux.make("v1", "secrets", "git", {"username": "robot", "password": "secret"})
    url = "/apis/source.toolkit.fluxcd.io/v1/namespaces/apps/gitrepositories/fleet"
    await images.flux.client.patch(url, {"spec": {"secretRef": {"name": "git"}}})
    await images.ready(KIND, "auto")
    assert "1.1.0" in fleet.file()


async def test_signed_commits_are_refused_by_name(images: Images, fleet: Repository) -> None:
    key = {"secretRef": {"name": "key"}}
    commit = {"author": {"email": "robot@example.com"}, "signingKey": key}
    await automation(images, git={"commit": commit})
    assert await images.failed(KIND, "auto") == (
        "SourceManagerFailed",
        "failed configuring source manager: could not find signing key secret 'key': secrets \"key\" not found",
    )
    await images.flux.make("v1", "secrets", "key", {"git.asc": "x"})
    assert await images.stalled(KIND, "auto") == (
        "NotSupportedInSandbox",
        "spec.git.commit.signingKey is not supported by the sandbox",
    )


async def test_a_suspended_automation_pushes_nothing_until_it_is_resumed(images: Images, fleet: Repository) -> None:
    before = fleet.head()
    await automation(images, suspend=True)
    await images.flux.logged("image-automation-controller", "reconciliation is suspended for this object")
    assert fleet.head() == before
    await images.change(KIND, "auto", suspend=False)
    await images.ready(KIND, "auto")
    assert fleet.head() != before


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("refs/heads/main:refs/heads/x", {"refs/heads/x": "a" * 40}),
        ("+refs/heads/*:refs/backup/*", {"refs/backup/main": "a" * 40, "refs/backup/o": "b" * 40}),
        ("refs/heads/none:refs/heads/x", {}),
        (f"{'b' * 40}:refs/heads/x", {"refs/heads/x": "b" * 40}),
    ],
)
def test_a_refspec_says_what_goes_where(text: str, targets: dict[str, str]) -> None:
    local = {"refs/heads/main": "a" * 40, "refs/heads/o": "b" * 40}
    assert Refspec.parse(text).targets(local) == targets


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("main", "malformed refspec, separators are wrong"),
        ("a:", "malformed refspec, separators are wrong"),
        ("a:b:c", "malformed refspec, separators are wrong"),
        ("a/*:b", "malformed refspec, mismatched number of wildcards"),
    ],
)
def test_a_refspec_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(GitError) as error:
        Refspec.parse(text)
    assert str(error.value) == message
