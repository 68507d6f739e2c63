"""Real git against the Git host: clone, fetch, push, and who may not."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from azsandbox.clock import Clock
from azsandbox.git import edits, http_backend
from azsandbox.git.commit import ZERO, Person
from azsandbox.git.push import Push, packet
from azsandbox.git.repositories import Repositories
from azsandbox.store import Store
from tests.azsandbox.git.conftest import OWNER, Git, Served, clone


def test_what_is_pushed_is_cloned(served: Served, gitops: Git, tmp_path: Path) -> None:
    other = clone(served, tmp_path / "other", "gitops")
    assert (tmp_path / "other" / "README.md").read_text() == "# GitOps\n"
    assert other("rev-parse", "HEAD") == gitops("rev-parse", "HEAD")


def test_a_fetch_brings_what_another_pushed(served: Served, gitops: Git, tmp_path: Path) -> None:
    other = clone(served, tmp_path / "other", "gitops")
    new = gitops.commit("apps/web.yaml", "a: 1\n")
    gitops("push", "--quiet")
    other("pull", "--quiet")
    assert other("rev-parse", "HEAD") == new


def test_branches_and_tags_come_and_go(served: Served, gitops: Git) -> None:
    gitops("tag", "v1")
    gitops("tag", "-a", "v2", "-m", "Second")
    gitops("push", "--quiet", "origin", "HEAD:refs/heads/feature/x", "v1", "v2")
    listed = gitops("ls-remote", served.url("gitops"))
    assert {line.split()[1] for line in listed.splitlines()} == {
        *("HEAD", "refs/heads/main", "refs/heads/feature/x", "refs/tags/v1", "refs/tags/v2", "refs/tags/v2^{}")
    }
    gitops("push", "--quiet", "--delete", "origin", "feature/x", "v1")
    repository = served.host.repositories.get(OWNER, "GitOps")
    assert repository is not None
    assert list(repository.branches()) == ["main"] and list(repository.tags()) == ["v2"]


@pytest.mark.parametrize("protocol", ["0", "1", "2"])
def test_a_shallow_clone_holds_one_commit(served: Served, gitops: Git, tmp_path: Path, protocol: str) -> None:
    for number in range(3):
        gitops.commit("a", str(number))
    gitops("push", "--quiet")
    folder = tmp_path / "shallow"
    folder.mkdir()
    shallow = Git(folder)
    shallow("-c", f"protocol.version={protocol}", "clone", "--quiet", "--depth=1", served.url("gitops"), ".")
    assert shallow("rev-list", "--count", "HEAD") == "1"
    shallow("fetch", "--quiet", "--unshallow")
    assert shallow("rev-list", "--count", "HEAD") == "4"
    shallow.token = served.token()
    new = shallow.commit("b", "b")
    shallow("push", "--quiet", "origin", "main")
    assert gitops("ls-remote", "origin", "main").split()[0] == new


def test_a_partial_clone_fetches_files_when_they_are_needed(served: Served, gitops: Git, tmp_path: Path) -> None:
    folder = tmp_path / "partial"
    folder.mkdir()
    partial = Git(folder)
    partial("clone", "--quiet", "--filter=blob:none", "--no-checkout", served.url("gitops"), ".")
    partial("checkout", "--quiet", "main")
    assert (folder / "README.md").exists()


def test_a_push_of_megabytes_is_streamed(served: Served, gitops: Git, tmp_path: Path) -> None:
    (gitops.folder / "big").write_bytes(b"".join(n.to_bytes(8, "big") * 3 + b"x" for n in range(400_000)))
    gitops("config", "core.compression", "0")
    gitops("add", "--all")
    gitops("commit", "--quiet", "-m", "Big")
    gitops("push", "--quiet")  # more than http.postBuffer: chunked, after a probe
    other = clone(served, tmp_path / "other", "gitops")
    assert (other.folder / "big").read_bytes() == (gitops.folder / "big").read_bytes()


def test_two_pushes_at_once_to_two_branches_both_arrive(served: Served, gitops: Git, tmp_path: Path) -> None:
    clones = [clone(served, tmp_path / name, "gitops") for name in ("one", "two")]
    heads = [git.commit(f"{n}.yaml", "x") for n, git in enumerate(clones)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda n: clones[n]("push", "--quiet", "origin", f"HEAD:refs/heads/b{n}"), range(2)))
    repository = served.host.repositories.get(OWNER, "gitops")
    assert repository is not None
    assert [repository.resolve("b0"), repository.resolve("b1")] == heads


def test_of_two_pushes_at_once_to_one_branch_one_is_rejected(served: Served, gitops: Git, tmp_path: Path) -> None:
    clones = [clone(served, tmp_path / name, "gitops") for name in ("one", "two")]
    heads = [git.commit(f"{n}.yaml", "x") for n, git in enumerate(clones)]
    heard: list[Push] = []
    served.call(served.host.on_push, heard.append)
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda git: git.run("push", "origin", "main", check=False), clones))
    assert sorted(d.returncode for d in done) == [0, 1]
    winner = heads[[d.returncode for d in done].index(0)]
    assert gitops("ls-remote", "origin", "main").split()[0] == winner
    assert [c.new for push in heard for c in push.changes] == [winner]


def test_listeners_learn_of_what_was_taken_before_the_client_does(served: Served, gitops: Git) -> None:
    heard: list[Push] = []
    stop = served.call(served.host.on_push, heard.append)
    old, new = gitops("rev-parse", "HEAD"), gitops.commit("a", "a")
    gitops("push", "--quiet", "origin", "main", "HEAD:refs/heads/extra")
    (push,) = heard
    assert (push.full_name, push.pusher) == ("contoso/gitops", "lena")
    assert {(c.reference, c.old, c.new) for c in push.changes} == {
        ("refs/heads/main", old, new),
        ("refs/heads/extra", "0" * 40, new),
    }
    served.call(stop)
    gitops("push", "--quiet", "--delete", "origin", "extra")
    assert len(heard) == 1


def test_a_listener_that_fails_does_not_fail_the_push(served: Served, gitops: Git) -> None:
    def fails(push: Push) -> None:
        raise RuntimeError("no")

    served.call(served.host.on_push, fails)
    gitops.commit("a", "a")
    gitops("push", "--quiet")


def test_the_first_branch_that_is_pushed_becomes_the_default(served: Served, tmp_path: Path) -> None:
    served.run(served.host.repositories.create(OWNER, "old"))
    folder = tmp_path / "old"
    folder.mkdir()
    git = Git(folder, served.token())
    git("init", "--quiet", "--initial-branch=trunk")
    git.commit("a", "a")
    git("push", "--quiet", served.url("old"), "trunk")
    assert served.host.repositories.settings(OWNER, "old").default_branch == "trunk"
    assert clone(served, tmp_path / "new", "old")("branch", "--show-current") == "trunk"


async def test_git_ends_when_nobody_takes_its_answer(tmp_path: Path) -> None:
    repositories = Repositories(tmp_path, Store(None).bucket("git"), Clock())
    repository = await repositories.create(OWNER, "big")
    blob = await edits.write_blob(repository, os.urandom(4_000_000))
    who = Person("Lena", "lena@lab.example", 1_700_000_000)
    head = await edits.commit_file(repository, None, "big", blob, message="Big", author=who, committer=who)
    await edits.move(repository, "refs/heads/main", head, ZERO)
    want = f"want {head} side-band-64k\n".encode()

    async def body() -> AsyncIterator[bytes]:
        yield packet(want) + b"0000" + packet(b"done\n")

    async def send(message: Any) -> None:
        if message.get("body"):
            raise ConnectionResetError

    headers = [(b"content-type", b"application/x-git-upload-pack-request")]
    scope = {"method": "POST", "headers": headers, "query_string": b""}
    async with asyncio.timeout(20):
        with pytest.raises(ConnectionResetError):
            path = "/contoso/big.git/git-upload-pack"
            await http_backend.run(scope, send, body(), root=tmp_path, path=path, user="", plain=True)


# --- who may not


def test_everybody_reads_a_public_repository(served: Served, gitops: Git) -> None:
    assert "refs/heads/main" in Git(gitops.folder)("ls-remote", served.url("gitops"))


def test_nobody_pushes_without_a_token(served: Served, gitops: Git) -> None:
    nobody = Git(gitops.folder)
    done = nobody.run("push", "origin", "HEAD:refs/heads/x", check=False)
    assert done.returncode == 128 and "could not read Username" in done.stderr
    with httpx.Client(trust_env=False) as client:
        answer = client.get(f"{served.url('gitops')}/info/refs?service=git-receive-pack")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="GitHub"'
    assert answer.text == "No anonymous write access.\n"


def test_a_wrong_token_is_told_as_github_tells_it(served: Served, gitops: Git) -> None:
    served.run(served.host.repositories.create(OWNER, "secret", private=True))
    wrong = Git(gitops.folder, "ghp_" + "0" * 36)
    for arguments in (("ls-remote", served.url("secret")), ("push", "origin", "HEAD:refs/heads/x")):
        done = wrong.run(*arguments, check=False)
        assert done.returncode == 128
        text = "remote: Invalid username or token. Password authentication is not supported for Git operations."
        assert text in done.stderr


def test_who_may_only_read_does_not_push(served: Served, gitops: Git) -> None:
    reader = Git(gitops.folder, served.token("reader"))
    done = reader.run("push", "origin", "HEAD:refs/heads/x", check=False)
    assert done.returncode == 128
    assert "remote: Permission to contoso/gitops.git denied to rita." in done.stderr
    assert "The requested URL returned error: 403" in done.stderr


def test_a_token_that_only_reads_does_not_push(served: Served, gitops: Git) -> None:
    token = served.call(served.host.tokens.issue, "lena", "read", "flux")
    assert token.startswith("github_pat_")
    git = Git(gitops.folder, token)
    git("ls-remote", "origin")
    done = git.run("push", "origin", "HEAD:refs/heads/x", check=False)
    assert "remote: Permission to contoso/gitops.git denied to lena." in done.stderr


def test_a_private_repository_is_not_there_for_others(served: Served, tmp_path: Path) -> None:
    served.run(served.host.repositories.create(OWNER, "secret", private=True))
    served.run(served.host.repositories.create("dev", "own", private=True))
    nobody, reader = Git(tmp_path), Git(tmp_path, served.token("reader"))
    assert "could not read Username" in nobody.run("ls-remote", served.url("secret"), check=False).stderr
    reader("ls-remote", served.url("secret"))
    done = reader.run("ls-remote", served.url("own", "dev"), check=False)
    assert "remote: Repository not found." in done.stderr and "not found" in done.stderr.splitlines()[-1]


def test_a_token_is_taken_as_a_user_name_too(served: Served, gitops: Git) -> None:
    address = served.url("gitops").replace("//", f"//{served.token()}:x-oauth-basic@")
    nobody = Git(gitops.folder)
    nobody("push", "--quiet", address, "HEAD:refs/heads/x")
    for scheme in ("Bearer", "token"):
        nobody("-c", f"http.extraHeader=Authorization: {scheme} {served.token()}", "ls-remote", "origin")


def test_a_repository_that_is_not_there_is_not_found(served: Served, tmp_path: Path) -> None:
    done = Git(tmp_path, served.token()).run("ls-remote", served.url("none"), check=False)
    assert "remote: Repository not found." in done.stderr


def test_an_archived_repository_takes_no_push(served: Served, gitops: Git) -> None:
    settings = served.host.repositories.settings(OWNER, "gitops")
    settings.archived = True
    served.call(served.host.repositories.save, settings)
    done = gitops.run("push", "origin", "HEAD:refs/heads/x", check=False)
    assert "remote: This repository was archived so it is read-only." in done.stderr


@pytest.mark.parametrize(
    "path",
    [
        "/contoso/gitops.git/HEAD",
        "/contoso/gitops.git/objects/info/packs",
        "/contoso/gitops",
        "/contoso/../../etc/passwd",
        "/contoso/%2e%2e/%2e%2e/state.db/info/refs?service=git-upload-pack",
        "/contoso%2F..%2Fx/gitops.git/info/refs?service=git-upload-pack",
    ],
)
def test_nothing_but_the_smart_protocol_is_served(served: Served, gitops: Git, path: str) -> None:
    headers = {"authorization": f"token {served.token()}"}
    with httpx.Client(trust_env=False, headers=headers) as client:
        answer = client.get(f"{served.endpoint}{path}")
    assert answer.status_code in (403, 404), answer.text


def test_ssh_is_refused_by_name(served: Served, tmp_path: Path) -> None:
    rewritten = ["-c", f"url.{served.endpoint}/.ssh/.insteadOf=git@github.com:"]
    done = Git(tmp_path).run(*rewritten, "ls-remote", "git@github.com:contoso/gitops.git", check=False)
    assert done.returncode == 128
    text = "git over SSH is not supported; use https://github.com/contoso/gitops.git"
    assert f"remote: NotSupportedInSandbox: {text}" in done.stderr


def test_a_body_that_is_no_push_is_refused(served: Served, gitops: Git) -> None:
    headers = {"authorization": f"token {served.token()}", "content-type": "application/x-git-receive-pack-request"}
    with httpx.Client(trust_env=False, headers=headers) as client:
        answer = client.post(f"{served.url('gitops')}/git-receive-pack", content=b"nonsense")
        assert answer.status_code == 400
        answer = client.post(
            f"{served.url('gitops')}/git-receive-pack", content=b"0001x", headers={"content-encoding": "gzip"}
        )
        assert answer.status_code == 400
    gitops("ls-remote", "origin")


def test_objects_that_git_finds_broken_are_refused(served: Served, gitops: Git) -> None:
    tree = subprocess.run(
        ["git", "mktree", "--missing"],
        input=f"100644 blob {'1' * 40}\t.git\n",
        cwd=gitops.folder,
        capture_output=True,
        text=True,
    )
    script = "import sys; sys.stdout.buffer.write(b'100644 .git\\0' + bytes.fromhex(sys.argv[1]))"
    blob = gitops("rev-parse", "HEAD:README.md")
    raw = subprocess.run([sys.executable, "-c", script, blob], capture_output=True).stdout
    made = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--stdin", "--literally"],
        input=raw,
        cwd=gitops.folder,
        capture_output=True,
    )
    assert made.returncode == 0, (made.stderr, tree.stderr)
    commit = gitops("commit-tree", made.stdout.decode().strip(), "-m", "Bad")
    done = gitops.run("push", "origin", f"{commit}:refs/heads/bad", check=False)
    assert done.returncode == 1 and "hasDotgit" in done.stderr
