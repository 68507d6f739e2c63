"""Commits and their trees, kept by git in a bare repository from one fetch to the next."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from azsandbox.flux.runtime import Outbound
from azsandbox.flux.secrets import Certificates
from azsandbox.flux.source.git_access import GitAccess, GitError
from azsandbox.flux.source.tree import File, Tree

MOST_FETCHES = 100  # into one repository; then it begins anew, so that it does not grow for ever
_CHUNK = 500  # objects asked for at once; their names fit into a pipe


@dataclass(frozen=True)
class GitObject:
    """An object as git keeps it."""

    name: str  # SHA-1
    kind: str  # commit, tree, blob, tag
    data: bytes


@dataclass
class Content:
    """What was read: objects in the order of their names, None for one that is not there; and a commit's files.

    `submodules` are commits by the paths that they lie at.
    """

    objects: list[GitObject | None]
    tree: Tree | None = None
    submodules: dict[str, str] = field(default_factory=dict)


class GitCache:
    """A bare repository in `folder`, which is made when something is first fetched."""

    def __init__(self, folder: Path, outbound: Outbound) -> None:
        self.folder, self.outbound = folder, outbound
        self.fetches = 0
        self.held = ""  # the commit that the last pack was of
        self.heads: dict[str, str] = {}  # what was fetched with its history: commits by the names of references

    async def add(self, pack: bytes, commit: str) -> None:
        """Keeps the objects of a pack of `commit`, after `prepare`. Raises GitError, with git's words."""
        await self._run(("index-pack", "--stdin", "--fix-thin"), _environment(), pack)
        self.held = commit

    async def clear(self) -> None:
        """Forgets everything."""
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)
        self.fetches, self.held, self.heads = 0, "", {}

    async def prepare(self) -> None:
        """Makes the repository if it is not there, and anew if much was fetched into it."""
        if self.fetches >= MOST_FETCHES:
            await self.clear()
        self.fetches += 1
        await asyncio.to_thread(_initialize, self.folder)

    async def fetch(self, access: GitAccess, references: Sequence[str], *, shallow: bool = True) -> None:
        """Fetches references or commits by git, each to be found as refs/fetched/N. Raises GitError, with git's words."""
        await self.prepare()
        await asyncio.to_thread(shutil.rmtree, self.folder / "refs" / "fetched", ignore_errors=True)
        depth = ("--depth=1",) if shallow else ()
        wanted = [f"+{reference}:refs/fetched/{number}" for number, reference in enumerate(references)]
        with _configured(access, self.outbound) as environment:
            command = ("fetch", "-q", "--no-tags", "--no-write-fetch-head", "--no-auto-gc", *depth)
            await self._run([*command, "--", access.bare_url, *wanted], environment)

    async def precedes(self, commit: str, other: str) -> bool:
        """Whether a commit is in the history of another, of what was fetched (without `shallow`)."""
        try:
            await self._run(("merge-base", "--is-ancestor", commit, other), _environment())
        except GitError:  # it is not, or one of them is not there
            return False
        return True

    async def reaches(self, commit: str) -> bool:
        """Whether a commit is in the history of what was fetched last (without `shallow`)."""
        command = ("for-each-ref", "--count=1", f"--contains={commit}", "refs/fetched")
        try:
            return bool(await self._run(command, _environment()))
        except GitError:  # no such commit
            return False

    async def _run(self, arguments: Sequence[str], environment: dict[str, str], data: bytes = b"") -> bytes:
        process = subprocess.Popen(  # noqa: ASYNC220 - it forks at once; what takes time is waited for in a thread
            ["git", "--git-dir", str(self.folder), *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            out, err = await asyncio.to_thread(process.communicate, data)
        except asyncio.CancelledError:
            process.kill()
            raise
        if process.returncode:
            raise GitError(_words(err.decode("utf-8", "replace")))
        return out

    async def read(self, names: Sequence[str], tree_of: str = "") -> Content:
        """Objects by their SHA-1, and the files of a commit if it is named and there; by one process."""
        return await asyncio.to_thread(self._read, names, tree_of)

    def _read(self, names: Sequence[str], tree_of: str) -> Content:
        if not self.folder.exists():
            return Content([None for _ in names])
        with _Reader(self.folder) as reader:
            content = Content(list(reader.read(names)))
            if tree_of:
                with contextlib.suppress(_Missing):
                    content.tree, content.submodules = reader.tree(f"{tree_of}^{{tree}}")
            return content


class _Missing(Exception):
    """An object that a tree names is not there."""


class _Reader:
    """git cat-file, asked for many objects."""

    def __init__(self, folder: Path) -> None:
        command = ["git", "--git-dir", str(folder), "cat-file", "--batch"]
        self.process = subprocess.Popen(
            command, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.process.communicate()

    def read(self, names: Sequence[str]) -> Iterator[GitObject | None]:
        assert self.process.stdin and self.process.stdout
        for at in range(0, len(names), _CHUNK):
            chunk = names[at : at + _CHUNK]
            self.process.stdin.write("".join(f"{name}\n" for name in chunk).encode())
            self.process.stdin.flush()
            for _ in chunk:
                head = self.process.stdout.readline().decode("utf-8", "replace").split()
                if len(head) != 3:
                    yield None
                    continue
                data = self.process.stdout.read(int(head[2]))
                self.process.stdout.read(1)
                yield GitObject(head[0], head[1], data)

    def tree(self, name: str) -> tuple[Tree, dict[str, str]]:
        """The files of a tree, level by level, and submodules. Raises _Missing."""
        tree, submodules = Tree(), {}
        folders = [("", name)]
        blobs: list[tuple[str, str, str]] = []  # path, mode, name
        while folders:
            listings, below = self.read([name for _, name in folders]), []
            for (folder, _), listing in zip(folders, listings, strict=True):
                if listing is None:
                    raise _Missing
                for mode, part, sha in _entries(listing.data):
                    path = f"{folder}{part}"
                    if mode == "40000":
                        below.append((f"{path}/", sha))
                    elif mode == "160000":
                        submodules[path] = sha
                    else:
                        blobs.append((path, mode, sha))
            folders = below
        for (path, mode, _), blob in zip(blobs, self.read([sha for _, _, sha in blobs]), strict=True):
            if blob is None:
                raise _Missing
            tree.files[path] = File(blob.data, executable=mode == "100755", link=mode == "120000")
        tree.empty.update(submodules)
        return tree, submodules


def _entries(listing: bytes) -> Iterator[tuple[str, str, str]]:
    """Mode, name and SHA-1 of what a tree lists."""
    at = 0
    while at < len(listing):
        space, zero = listing.index(b" ", at), listing.index(b"\0", at)
        yield (
            listing[at:space].decode(),
            listing[space + 1 : zero].decode("utf-8", "replace"),
            listing[zero + 1 : zero + 21].hex(),
        )
        at = zero + 21


def _initialize(folder: Path) -> None:
    """An empty bare repository, without a process for it."""
    if (folder / "HEAD").exists():
        return
    for part in ("objects", "refs"):
        (folder / part).mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
    (folder / "HEAD").write_text("ref: refs/heads/none\n")


def _environment() -> dict[str, str]:
    """Of every git process: nothing of the machine's configuration, no question to anybody."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "HOME": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_ALLOW_PROTOCOL": "http:https",
    }


@contextlib.contextmanager
def _configured(access: GitAccess, outbound: Outbound) -> Iterator[dict[str, str]]:
    """The environment in which git reaches a repository, with files for certificates while the block lasts."""
    host = urlsplit(access.bare_url)
    settings = {"fetch.unpackLimit": "1", "transfer.fsckObjects": "false", "gc.auto": "0"}
    if access.authorization:  # for the repository's own host alone: a submodule may lie elsewhere
        settings[f"http.{host.scheme}://{host.netloc}/.extraHeader"] = f"Authorization: {access.authorization}"
    if access.proxy:
        settings["http.proxy"] = access.proxy
    with tempfile.TemporaryDirectory(prefix="git-") as folder:
        shown = access.certificates or Certificates()
        for name, key, data in (
            ("tls.crt", "http.sslCert", shown.certificate),
            ("tls.key", "http.sslKey", shown.key),
            ("ca.crt", "http.sslCAInfo", shown.authorities),
        ):
            if data:
                file = Path(folder, name)
                file.touch(mode=0o600)
                file.write_bytes(data + (outbound.ca.read_bytes() if name == "ca.crt" and outbound.ca else b""))
                settings[key] = str(file)
        environment = _environment() | outbound.variables()
        if shown.authorities:
            environment.pop("GIT_SSL_CAINFO", None)  # it would win over the setting
        environment["GIT_CONFIG_COUNT"] = str(len(settings))
        for number, (key, value) in enumerate(settings.items()):
            environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        yield environment


def _words(text: str) -> str:
    """The last thing that git said, which is why it failed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line.removeprefix("fatal: ") for line in lines if line.startswith("fatal: ")]
    return said[-1] if said else (lines[-1] if lines else "git failed and said nothing")
