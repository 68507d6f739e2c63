"""Public repositories of others: there when they are asked for, for everybody to read, with the same commit everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from azsandbox.git import facts
from tests.azsandbox.git.conftest import Git, Served

NAME = "Azure/arc-k8s-demo"


def cloned(served: Served, folder: Path, token: str = "", owner: str = "Azure") -> Git:
    folder.mkdir()
    git = Git(folder, token)
    git("clone", "--quiet", served.url("arc-k8s-demo", owner), ".")
    return git


def test_anybody_clones_it_in_any_spelling(served: Served, tmp_path: Path) -> None:
    git = cloned(served, tmp_path / "one")
    assert git("branch", "--show-current") == "master"
    assert (git.folder / "namespaces/team-a.yaml").exists()
    assert git("log", "--format=%s").splitlines() == [facts.public()["repositories"][NAME]["message"]]
    other = cloned(served, tmp_path / "two", owner="azure")
    assert other("rev-parse", "HEAD") == git("rev-parse", "HEAD")


def test_nobody_pushes_to_it(served: Served, tmp_path: Path) -> None:
    git = cloned(served, tmp_path / "work", served.token())
    git.commit("mine.yaml", "a: b\n")
    done = git.run("push", check=False)
    assert done.returncode
    assert "Permission to Azure/arc-k8s-demo.git denied" in done.stderr


def test_the_rest_api_shows_it_and_lets_nobody_change_it(served: Served) -> None:
    with served.api() as api:
        found = api.get(f"/repos/{NAME}").json()
        assert (found["full_name"], found["default_branch"], found["private"]) == (NAME, "master", False)
        assert found["owner"]["login"] == "Azure"
        assert found["permissions"]["push"] is False
        assert api.delete(f"/repos/{NAME}").status_code == 403
        assert NAME not in [row["full_name"] for row in api.get("/user/repos").json()]
        assert api.get("/repos/Azure/another").status_code == 404


def test_one_whose_files_have_changed_is_made_anew(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    served.run(served.host.public.prepare(f"/{NAME}.git/info/refs"))
    repository = served.call(served.host.repositories.get, "Azure", "arc-k8s-demo")
    before = repository.resolve("master")
    served.host.public._ready.clear()
    served.run(served.host.public.prepare(f"/repos/{NAME}"))
    assert repository.resolve("master") == before
    monkeypatch.setitem(facts.public()["repositories"][NAME], "message", "Another")
    served.host.public._ready.clear()
    served.run(served.host.public.prepare(f"/{NAME}/info/refs"))
    assert repository.resolve("master") != before
