"""The clone that a learner works in, against a repository on this disk."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from labkit.errors import CommandFailed
from labkit.gitops.checkout import Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    bare = tmp_path / "origin.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(bare)], check=True)
    return Checkout(tmp_path / "clone", str(bare), "main")


def test_an_empty_repository_is_cloned_and_takes_the_first_commit(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not checkout.exists and checkout.head() == ""
    checkout.clone()
    checkout.write("apps/a.yaml", "\na: 1\n")
    first = checkout.commit("Add a")
    assert len(first) == 40
    assert f"Pushed {first[:8]}: Add a\n" in capsys.readouterr().out
    assert checkout.git("ls-remote origin refs/heads/main").stdout.startswith(first)
    capsys.readouterr()
    assert checkout.commit("Add nothing") == first
    assert capsys.readouterr().out == f"Nothing to commit; main is at {first[:8]}.\n"
    assert (checkout.folder / "apps/a.yaml").read_text() == "a: 1\n"


def test_a_second_clone_brings_what_is_new(checkout: Checkout, tmp_path: Path) -> None:
    checkout.clone()
    checkout.write("a.yaml", "a: 1\n")
    checkout.commit("Add a")
    other = Checkout(tmp_path / "other", checkout.url, "main")
    other.clone()
    other.write("a.yaml", "a: 2\n")
    head = other.commit("Change a")
    checkout.clone()
    assert checkout.head() == head


def test_a_refused_push_says_what_git_said(checkout: Checkout) -> None:
    checkout.clone()
    checkout.write("a.yaml", "a: 1\n")
    checkout.git("remote set-url origin /nowhere/at/all")
    with pytest.raises(CommandFailed, match="does not appear to be a git repository"):
        checkout.commit("Add a")


def test_who_commits_is_asked_of_the_clone_and_only_to_commit(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.clone()
    checkout.git("config user.name Ada")
    checkout.write("a.yaml", "a: 1\n")
    run, ran = subprocess.run, []

    def counted(command: list[str], **options: Any) -> Any:
        ran.append(command[1])
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", counted)
    checkout.commit("Add a")
    assert ran == ["add", "status", "config", "commit", "push", "rev-parse"]
    assert checkout.git("log -1 --format=%an").stdout == "Ada\n"


def test_a_path_that_leads_out_of_the_clone_is_refused(checkout: Checkout) -> None:
    checkout.clone()
    with pytest.raises(ValueError, match="leads out of the repository"):
        checkout.write("../outside.yaml", "a: 1")
