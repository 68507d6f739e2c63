"""The Git host in a sandbox of its own process: github.com by the proxy, /git by the endpoint, `azsandbox git`."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from azsandbox.environment import variables
from tests.azsandbox.processes import Sandbox, running

PERSON = ("-c", "user.name=Lena", "-c", "user.email=lena@aksbaselinelab.onmicrosoft.com")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("sandbox") / "home") as found:
        yield found


def trust(env: dict[str, Any]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=env["ca"])


def git(sandbox: Sandbox, folder: Path, *arguments: str, persona: str = "", check: bool = True) -> str:
    """git as a learner types it under `azsandbox exec`; what it said."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GITHUB_"))}
    environment |= {"HOME": str(folder), "GIT_TERMINAL_PROMPT": "0"}
    who = ["--as", persona] if persona else []
    done = sandbox.run("exec", *who, "--", "git", *PERSON, *arguments, check=check, cwd=folder, env=environment)
    return (done.stdout + done.stderr).strip()


def clone(sandbox: Sandbox, folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    git(sandbox, folder, "clone", "--quiet", f"https://github.com/contoso/{name}", "work")
    work = folder / "work"
    git(sandbox, work, "checkout", "--quiet", "-B", "main")
    return work


def commit(sandbox: Sandbox, work: Path, text: str) -> str:
    (work / "a").write_text(text)
    git(sandbox, work, "add", "a")
    git(sandbox, work, "commit", "--quiet", "-m", "Write a")
    return git(sandbox, work, "rev-parse", "HEAD")


def test_a_push_needs_no_typing_and_leaves_no_token(sandbox: Sandbox, tmp_path: Path) -> None:
    assert sandbox.run("git", "create", "first").stdout.strip() == "https://github.com/contoso/first.git"
    work = clone(sandbox, tmp_path, "first")
    head = commit(sandbox, work, "1")
    git(sandbox, work, "push", "--quiet", "--set-upstream", "origin", "main")
    assert git(sandbox, work, "ls-remote", "origin", "main").split()[0] == head
    token = sandbox.env()["github_token"]
    for path in [*work.joinpath(".git").rglob("*"), sandbox.home / "sandbox.log"]:
        assert not path.is_file() or token.encode() not in path.read_bytes(), path
    assert "https://github.com/contoso/first" in git(sandbox, work, "remote", "get-url", "origin")


def test_another_person_pushes_as_themselves(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.run("git", "create", "second")
    work = clone(sandbox, tmp_path, "second")
    commit(sandbox, work, "1")
    said = git(sandbox, work, "push", "origin", "main", persona="reader", check=False)
    assert "remote: Permission to contoso/second.git denied to rita." in said
    git(sandbox, work, "push", "--quiet", "origin", "main", persona="developer")


def test_ssh_does_not_leave_the_sandbox(sandbox: Sandbox, tmp_path: Path) -> None:
    for address in ("git@github.com:contoso/first.git", "ssh://git@github.com/contoso/first.git"):
        said = git(sandbox, tmp_path, "ls-remote", address, check=False)
        assert "git over SSH is not supported; use https://github.com/contoso/first.git" in said


def test_githubs_rest_api_answers_by_its_own_name(sandbox: Sandbox) -> None:
    env = sandbox.env()
    headers = {"authorization": f"token {env['github_token']}"}
    with httpx.Client(proxy=env["proxy"], verify=trust(env), headers=headers, trust_env=False) as client:
        found = client.get("https://api.github.com/user").json()
        assert (found["login"], found["url"]) == ("lena", "https://api.github.com/users/lena")
        assert client.get("https://api.github.com/sandbox/tokens").status_code == 403
        assert client.get("https://raw.githubusercontent.com/contoso/none/main/a").status_code == 404


def test_it_is_reached_without_a_proxy(sandbox: Sandbox, tmp_path: Path) -> None:
    env = sandbox.env()
    sandbox.run("git", "create", "third")
    endpoint = env["git_endpoint"]
    assert endpoint == f"{env['arm_endpoint']}/git"
    found = {name: value for name, value in env["environment"].items() if "proxy" not in name.lower()}
    done = subprocess.run(
        ["git", "ls-remote", f"{endpoint}/contoso/third.git"],
        env=found | {"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    headers = {"authorization": f"Bearer {env['github_token']}"}
    with httpx.Client(verify=trust(env), headers=headers, trust_env=False) as client:
        assert client.get(f"{endpoint}/api/repos/contoso/third").json()["clone_url"] == f"{endpoint}/contoso/third.git"
        assert client.get(f"{env['arm_endpoint']}/subscriptions").status_code != 200


@pytest.mark.parametrize("way", ["kill -9", "down"])
def test_repositories_outlive_the_process(tmp_path: Path, way: str) -> None:
    with running(tmp_path / "home") as sandbox:
        sandbox.run("git", "create", "gitops", "--private", "--description", "Kept")
        work = clone(sandbox, tmp_path / "one", "gitops")
        head = commit(sandbox, work, "1")
        git(sandbox, work, "push", "--quiet", "origin", "main")
        sandbox.run("git", "protect", "gitops")
        token = sandbox.run("git", "token", "ci").stdout.strip()
        before = sandbox.env()
        if way == "down":
            sandbox.run("down")
        else:
            os.kill(before["pid"], signal.SIGKILL)
        sandbox.run("up")
        assert sandbox.env()["github_token"] == before["github_token"]
        assert "gitops" in sandbox.run("git", "list").stdout and "private" in sandbox.run("git", "list").stdout
        assert git(sandbox, work, "ls-remote", "origin", "main").split()[0] == head
        git(sandbox, work, "commit", "--quiet", "--amend", "-m", "Other")
        assert "GH006" in git(sandbox, work, "push", "--force", "origin", "main", check=False)
        headers = {"authorization": f"Bearer {token}"}
        with httpx.Client(verify=trust(before), headers=headers, trust_env=False) as client:
            assert client.get(f"{before['git_endpoint']}/api/user").json()["login"] == "lena"
        sandbox.run("reset")
        assert "There are no repositories" in sandbox.run("git", "list").stdout
        assert not list((sandbox.home / "git").rglob("*.git"))


def test_a_push_that_is_cut_leaves_the_repository_as_it_was(tmp_path: Path) -> None:
    """The sandbox is killed while git still sends."""
    with running(tmp_path / "home") as sandbox:
        sandbox.run("git", "create", "gitops")
        work = clone(sandbox, tmp_path / "one", "gitops")
        head = commit(sandbox, work, "1")
        git(sandbox, work, "push", "--quiet", "origin", "main")
        (work / "big").write_bytes(os.urandom(30_000_000))
        git(sandbox, work, "add", "big")
        git(sandbox, work, "commit", "--quiet", "-m", "Big")
        command = ["git", "push", "origin", "main"]
        environment = os.environ | sandbox.env()["environment"]
        push = subprocess.Popen(command, cwd=work, env=environment, stderr=subprocess.DEVNULL)
        while not list((sandbox.home / "git").rglob("tmp_objdir-incoming-*")) and push.poll() is None:
            time.sleep(0.001)
        os.kill(sandbox.env()["pid"], signal.SIGKILL)
        push.wait(30)
        sandbox.run("up")
        at = git(sandbox, work, "ls-remote", "origin", "main").split()[0]
        assert at in (head, git(sandbox, work, "rev-parse", "HEAD"))
        git(sandbox, work, "push", "--quiet", "origin", "main")
        git(sandbox, tmp_path, "clone", "--quiet", "https://github.com/contoso/gitops", "again")


def test_the_commands_say_what_is_wrong_and_what_to_type(sandbox: Sandbox) -> None:
    sandbox.run("git", "create", "fourth")
    for arguments, said in (
        (("create", "fourth"), "name already exists on this account"),
        (("create", "dev/x"), "repositories of 'dev' are theirs to make"),
        (("delete", "none"), "Not Found"),
        (("protect", "fourth"), "fourth has no branch 'main'. Push it first: git push origin main"),
        (("token",), "a note is missing"),
        (("token", "none", "--revoke"), "Not Found"),
    ):
        done = sandbox.run("git", *arguments, check=False)
        assert done.returncode == 1 and said in done.stderr, done.stderr
        assert done.stderr.startswith("azsandbox git: ")
    assert "there is no persona 'x'" in sandbox.run("git", "--as", "x", "list", check=False).stderr
    assert sandbox.run("git", "delete", "fourth").stdout == "fourth is gone.\n"


def test_tokens_are_printed_once(sandbox: Sandbox) -> None:
    token = sandbox.run("git", "token", "flux", "--read-only").stdout.strip()
    assert token.startswith("github_pat_")
    listed = sandbox.run("git", "token", "--list").stdout
    assert listed.split()[:2] == ["flux", "read"] and token not in listed
    assert "already" in sandbox.run("git", "token", "flux", check=False).stderr
    sandbox.run("git", "token", "flux", "--revoke")
    assert sandbox.run("git", "token", "--list").stdout == ""


def test_settings_that_others_gave_git_stay(sandbox: Sandbox) -> None:
    described = json.loads(sandbox.run("env", "--json", env=os.environ | {"GIT_CONFIG_COUNT": "0"}).stdout)
    given = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    found = variables(described, environ=given)
    assert found["GIT_CONFIG_KEY_0"] == "safe.directory"
    again = variables(described, environ=found)
    assert again["GIT_CONFIG_COUNT"] == found["GIT_CONFIG_COUNT"]
    assert again == found


def test_a_learners_own_helpers_and_rewrites_are_left_out(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.run("git", "create", "fifth", "--private")
    (tmp_path / ".gitconfig").write_text(
        '[credential]\n\thelper = "!echo password=wrong; echo username=me; #"\n'
        '[url "git@github.com:"]\n\tinsteadOf = https://github.com/\n\tpushInsteadOf = https://github.com/\n'
    )
    assert git(sandbox, tmp_path, "ls-remote", "https://github.com/contoso/fifth") == ""
