from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from azsandbox.clock import Clock
from azsandbox.git import Change, GitError, Repositories
from azsandbox.git.push import Commands, packet, refusal
from azsandbox.store import Store


@pytest.fixture
def repositories(tmp_path: Path) -> Repositories:
    return Repositories(tmp_path / "git", Store(None).bucket("git"), Clock())


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=Lena", "-c", "user.email=lena@lab.example", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


async def test_what_was_pushed_is_read_without_http(repositories: Repositories, tmp_path: Path) -> None:
    repository = await repositories.create("gitops")
    work = tmp_path / "work"
    git(tmp_path, "clone", "--quiet", str(repository.path), str(work))
    (work / "apps").mkdir()
    (work / "apps" / "a.yaml").write_text("a: 1\n")
    git(work, "add", ".")
    git(work, "commit", "--quiet", "-m", "Add a")
    git(work, "push", "--quiet", "origin", "HEAD:main")
    head = git(work, "rev-parse", "HEAD")
    assert repository.resolve("main") == head and repository.branches() == {"main": head}
    git(repository.path, "pack-refs", "--all")
    assert repository.resolve("main") == head
    assert (await repository.commit("main")).message == "Add a"
    await repository.export(head, tmp_path / "out")
    assert (tmp_path / "out" / "apps" / "a.yaml").read_text() == "a: 1\n"


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "-x", "x.git", "", "a" * 101, "x..y", "x;y"])
async def test_names_that_lead_elsewhere_are_refused(repositories: Repositories, name: str) -> None:
    with pytest.raises(GitError):
        await repositories.create(name)


async def test_a_protected_branch_is_not_deleted(repositories: Repositories) -> None:
    await repositories.create("gitops", protect=True)
    settings = repositories.settings("GitOps")
    assert settings is not None
    assert "Cannot delete" in refusal(settings, [Change("1" * 40, "0" * 40, "refs/heads/main")])
    assert refusal(settings, [Change("1" * 40, "0" * 40, "refs/heads/other")]) == ""


def test_commands_of_a_push_are_read_however_they_are_cut() -> None:
    body = packet(b"0" * 40 + b" " + b"1" * 40 + b" refs/heads/main\0report-status side-band-64k") + b"0000PACK"
    commands = Commands()
    for i in range(len(body)):
        commands.feed(body[i : i + 1])
    assert commands.complete and "side-band-64k" in commands.capabilities
    assert commands.changes == [Change("0" * 40, "1" * 40, "refs/heads/main")]
