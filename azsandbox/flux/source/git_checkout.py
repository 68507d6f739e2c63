"""Which commit a GitRepository's reference means, and its files (fluxcd/pkg/git/gogit)."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin

from azsandbox.controllers.client import Object
from azsandbox.flux.runtime import Outbound
from azsandbox.flux.semver import InvalidVersion, Range, Version
from azsandbox.flux.source.git_access import GitAccess, GitError
from azsandbox.flux.source.git_fetch import Content, GitCache, GitObject
from azsandbox.flux.source.git_remote import PEELED, Advertisement, EmptyRepository, advertised, pack
from azsandbox.flux.source.tree import Tree
from azsandbox.flux.web import Web

_BRANCH, _TAG = "refs/heads/", "refs/tags/"
T = TypeVar("T")

_DEEPEST = 10  # submodules in submodules (go-git, DefaultSubmoduleRecursionDepth)


@dataclass(frozen=True)
class Commit:
    """A commit as a reference named it. Without `raw` it is known by name only: nothing was fetched."""

    sha: str
    reference: str = ""
    raw: bytes | None = None
    tag: GitObject | None = None
    content: Content | None = None

    @property
    def revision(self) -> str:
        """main@sha1:…, or sha1:… where no reference named it."""
        parts = self.reference.split("/", 2)
        return f"{parts[2]}@sha1:{self.sha}" if len(parts) == 3 else f"sha1:{self.sha}"

    @property
    def absolute_revision(self) -> str:
        """refs/heads/main@sha1:…"""
        return f"{self.reference}@sha1:{self.sha}" if self.reference else f"sha1:{self.sha}"

    @property
    def subject(self) -> str:
        """The first 50 characters of what the commit says in its first line."""
        said = (self.raw or b"").partition(b"\n\n")[2].decode("utf-8", "replace").split("\n")[0]
        return said[:50] + "..." if len(said) > 50 else said

    @property
    def time(self) -> int:
        """When it was committed, in seconds since 1970."""
        for line in (self.raw or b"").partition(b"\n\n")[0].split(b"\n"):
            if line.startswith(b"committer "):
                return int(line.split(b" ")[-2])
        return 0


@dataclass
class Checkout:
    """Reads one repository for one reconciliation. `folder` is where what was fetched is kept."""

    web: Web
    outbound: Outbound
    access: GitAccess
    folder: Path
    seconds: float
    caches: dict[Path, GitCache] = field(default_factory=dict)
    _found: Advertisement | None = None
    _full: bool = False  # with history, which a commit is looked for in

    async def commit(self, ref: Object, observed: str = "") -> Commit:
        """The commit that `ref` (spec.ref) means. Raises GitError.

        If its revision is `observed`, nothing is fetched. EmptyRepository is raised for a branch of an empty one.
        """
        if ref.get("commit"):
            return await self._commit(ref["commit"], ref.get("branch", ""))
        if ref.get("name"):
            return await self._name(ref["name"], observed)
        if ref.get("tag"):
            return await self._reference(_TAG + ref["tag"], observed)
        if ref.get("semver"):
            return await self._semver(ref["semver"])
        return await self._reference(_BRANCH + (ref.get("branch") or "master"), observed)

    async def tree(self, commit: Commit, submodules: bool) -> Tree:
        """The files of a commit that was fetched."""
        assert commit.content
        return await self._tree(commit.content, self.access, submodules, 0)

    async def objects(self, names: Sequence[str]) -> list[GitObject | None]:
        """Objects of what was fetched, by their SHA-1, None for one that is not there."""
        return (await self._cache(self._full).read(names)).objects

    async def has(self, reference: str) -> bool:
        """Whether the server has a reference."""
        return bool((await self._list()).commit(reference))

    async def precedes(self, sha: str, other: str) -> bool:
        """Whether a commit is in the history of another, which a branch leads to."""
        return await (await self._history("")).precedes(sha, other)

    # --- references

    async def _reference(self, reference: str, observed: str) -> Commit:
        """A branch or tag."""
        if observed:
            known = Commit((await self._list()).commit(reference), reference)
            if known.sha and known.revision == observed:
                return known
        return await self._fetch(reference)

    async def _name(self, name: str, observed: str) -> Commit:
        """A reference by its full name."""
        if name.startswith("/") or name.endswith("/"):
            raise GitError(f"ref {name} is invalid; Git refs cannot begin or end with a slash '/'")
        sha = (await self._list()).commit(name)
        if not sha:
            raise GitError(f"unable to resolve ref '{name}' to a specific commit")
        if observed == f"{name}@sha1:{sha}":
            return Commit(sha, name)
        fetched = await self._fetch(name.removesuffix(PEELED))
        return replace(fetched, reference=name)

    async def _semver(self, text: str) -> Commit:
        """The highest tag in a range; of equal ones, which differ in their metadata, the one committed last."""
        try:
            wanted = Range(text)
        except InvalidVersion as error:
            raise GitError(f"semver parse error: {error}") from None
        found = (await self._cloning(self._advertised(), f"{_TAG}*")).references
        names = [name.removeprefix(_TAG) for name in found if name.startswith(_TAG) and not name.endswith(PEELED)]
        matching = wanted.choose(names)
        if not matching:
            raise GitError(f"no match found for semver: {text}")
        best: list[Version] = [version for version in matching if version == matching[-1]]
        commits = [await self._fetch(_TAG + version.original) for version in best]
        chosen = max(commits, key=lambda commit: commit.time)
        return chosen if chosen is commits[-1] else await self._fetch(chosen.reference)

    async def _commit(self, sha: str, branch: str) -> Commit:
        """A commit by its SHA-1, from the history of a branch, or of any."""
        reference = _BRANCH + branch if branch else ""
        cache = await self._history(reference)
        content = await cache.read([sha], sha)
        [found] = content.objects
        if found is None or found.kind != "commit" or not await cache.reaches(sha):
            raise GitError(f"unable to resolve commit object for '{sha}': object not found")
        return Commit(sha, reference, found.data, None, content)

    async def _history(self, reference: str) -> GitCache:
        """The commits that lead to a branch, or to any."""
        self._full = True
        cache = self._cache(True)
        heads = await self._heads(reference)
        if heads != cache.heads:
            await self._cloning(cache.fetch(self.access, list(heads), shallow=False), reference)
            cache.heads = heads
        return cache

    async def _heads(self, reference: str) -> dict[str, str]:
        """The branches whose histories count, and where they are."""
        found = (await self._cloning(self._advertised(), reference)).references
        if not reference:
            return {name: sha for name, sha in found.items() if name.startswith(_BRANCH)}
        if reference not in found:
            raise GitError(self._missing(reference))
        return {reference: found[reference]}

    # --- fetching

    async def _advertised(self) -> Advertisement:
        """What the server has, asked once in a reconciliation."""
        if self._found is None:
            self._found = await advertised(self.web, self.access, self.seconds)
        return self._found

    async def _list(self) -> Advertisement:
        try:
            return await self._advertised()
        except GitError as error:
            raise GitError(f"unable to list remote for '{self.access.url}': {error}") from error

    async def _fetch(self, reference: str) -> Commit:
        """Fetches a reference without its history."""
        found = await self._cloning(self._advertised(), reference)
        sha, target = found.commit(reference), found.references.get(reference, "")
        if not sha:
            raise GitError(self._missing(reference))
        cache = self._cache(False)
        content = await cache.read([sha, target], sha) if cache.held in ("", sha) else None
        if content is None or content.tree is None or None in content.objects:
            await self._cloning(self._take(cache, found, sha, target, reference), reference)
            content = await cache.read([sha, target], sha)
        commit, tag = content.objects
        if commit is None or content.tree is None:
            raise GitError(f"unable to resolve commit object for HEAD '{sha}': object not found")
        return Commit(commit.name, reference, commit.data, tag if tag and tag.kind == "tag" else None, content)

    async def _take(self, cache: GitCache, found: Advertisement, sha: str, target: str, reference: str) -> None:
        """Brings a commit into the cache: by a pack of what is new in it, or where that does not work, by git."""
        if not found.gives_packs:
            return await cache.fetch(self.access, [reference])
        await cache.prepare()
        for held in dict.fromkeys((cache.held, "")):
            data = await pack(self.web, self.access, target, held, self.seconds)
            try:
                return await cache.add(data, sha)
            except GitError:
                if not held:
                    raise

    async def _cloning(self, work: Awaitable[T], reference: str) -> T:
        """Awaits `work`, and says of what goes wrong in it that the repository could not be cloned."""
        try:
            return await work
        except EmptyRepository as error:
            if reference.startswith(_BRANCH) and not self._full:
                raise
            raise GitError(f"unable to clone: {error}: git repository: '{self.access.url}'") from error
        except GitError as error:
            raise GitError(f"unable to clone '{self.access.url}': {error}") from error

    def _missing(self, reference: str) -> str:
        return f"unable to clone '{self.access.url}': couldn't find remote ref \"{reference}\""

    def _cache(self, full: bool, url: str = "") -> GitCache:
        name = hashlib.sha256((url or self.access.url).encode()).hexdigest()[:16] + ("-full" if full else "")
        folder = self.folder / name
        return self.caches.setdefault(folder, GitCache(folder, self.outbound))

    async def _tree(self, content: Content, access: GitAccess, submodules: bool, depth: int) -> Tree:
        assert content.tree is not None
        tree = content.tree
        if not submodules or not content.submodules or depth == _DEEPEST:
            return tree
        addresses = _submodule_urls(tree)
        for path, commit in content.submodules.items():
            if path not in addresses:
                continue
            url = urljoin(access.url + "/", addresses[path])
            own = replace(access, url=url)
            if own.host != access.host:
                own = GitAccess(url, proxy=access.proxy)
            cache = self._cache(False, url)
            inner = await cache.read([commit], commit)
            if inner.tree is None:
                await self._cloning(cache.fetch(own, [commit]), commit)
                inner = await cache.read([commit], commit)
            if inner.tree is None:
                raise GitError(f"unable to clone '{url}': object not found")
            tree.put(path, await self._tree(inner, own, True, depth + 1))
        return tree


def _submodule_urls(tree: Tree) -> dict[str, str]:
    """URLs of submodules by their paths, from .gitmodules."""
    file = tree.files.get(".gitmodules")
    found: dict[str, str] = {}
    path = url = ""
    for line in (file.data.decode("utf-8", "replace") if file else "").splitlines():
        key, _, value = (part.strip() for part in line.partition("="))
        if line.strip().startswith("["):
            path = url = ""
        elif key == "path":
            path = value.strip('"')
        elif key == "url":
            url = value.strip('"')
        if path and url:
            found[path] = url
    return found
