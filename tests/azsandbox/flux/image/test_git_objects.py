"""Objects and packs, as git itself reads them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from azsandbox.flux.image.git_objects import Author, NewObject, commit_of, packed, tree_name, tree_with


def git(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(["git", *arguments], cwd=folder, input=stdin, check=True, capture_output=True).stdout


async def test_git_takes_a_pack_with_a_commit_of_changed_files(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/b/x.yaml", "a/y.yaml", "z.yaml", "run.sh"):
        (tmp_path / name).write_text("old\n")
    (tmp_path / "run.sh").chmod(0o755)
    git(tmp_path, "add", "-A")
    person = ("-c", "user.name=n", "-c", "user.email=e")
    git(tmp_path, *person, "commit", "-qm", "first")
    parent = git(tmp_path, "rev-parse", "HEAD").decode().strip()

    async def read(name: str) -> bytes:
        return git(tmp_path, "cat-file", "tree", name)

    root = tree_name(git(tmp_path, "cat-file", "commit", "HEAD"))
    big = b"new\n" * 100_000
    new = await tree_with(root, {"a/b/x.yaml": b"new\n", "z.yaml": big, "run.sh": b"new\n"}, read)
    commit = commit_of(new[-1].name, parent, Author("", "robot@example.com"), 1_700_000_000, "a message")
    git(tmp_path, "index-pack", "--stdin", stdin=packed([*new, commit]))

    assert git(tmp_path, "show", f"{commit.name}:a/b/x.yaml") == b"new\n"
    assert git(tmp_path, "show", f"{commit.name}:z.yaml") == big
    assert git(tmp_path, "show", f"{commit.name}:a/y.yaml") == b"old\n"
    assert git(tmp_path, "ls-tree", commit.name, "run.sh").startswith(b"100755")
    log = git(tmp_path, "log", "-1", "--format=%an|%ae|%ad|%cn|%P|%B", "--date=raw", commit.name).decode().strip()
    assert log == f"|robot@example.com|1700000000 +0000||{parent}|a message"
    git(tmp_path, "fsck", "--strict", "--no-dangling", parent)


def test_names_lose_what_git_cannot_keep_in_them() -> None:
    assert Author("a <b>\nc", "x>y").at(5) == "a bc <xy> 5 +0000"


def test_an_objects_name_is_gits() -> None:
    assert NewObject("blob", b"hello\n").name == "ce013625030ba8dba906f756967f9e9ca394464a"
