"""Where an automation takes files from and pushes them to: its GitRepository, and its own spec.git.

Rules: image-automation-controller, internal/source.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.flux import secrets
from azsandbox.flux.durations import seconds
from azsandbox.flux.image.git_objects import Author, commit_of, packed, tree_name, tree_with
from azsandbox.flux.image.git_push import Push
from azsandbox.flux.image.outcomes import NOT_SUPPORTED, Stalled
from azsandbox.flux.quoting import quoted
from azsandbox.flux.runtime import Outbound
from azsandbox.flux.source.git_access import SUPPORTED, GitAccess, GitError, git_access
from azsandbox.flux.source.git_checkout import Checkout, Commit
from azsandbox.flux.source.git_fetch import GitCache
from azsandbox.flux.source.tree import File
from azsandbox.flux.web import Web
from azsandbox.kubernetes.errors import StatusError

INVALID_SOURCE = "InvalidSourceConfiguration"
_DEFAULT_BRANCH = "master"
_HEADS = "refs/heads/"
_APP = "secretRef with github app data must be specified when provider is set to github"
_APP_KEYS = ("githubAppID", "githubAppInstallationOwner", "githubAppInstallationID", "githubAppPrivateKey")
_INVALID = "invalid source configuration"


class SourceError(Exception):
    """A source that cannot be used as things are; the message is the controller's."""


@dataclass(frozen=True)
class GitSource:
    """How one automation reaches its repository. `reference` is spec.ref of a GitRepository, or empty."""

    access: GitAccess
    reference: Object
    branch: str  # that is pushed to
    switches: bool  # it is another than the one that is checked out
    timeout: float  # seconds, of all that is done at once

    @property
    def on_branch(self) -> bool:
        """Whether it is a branch that is checked out: from anything else go-git pushes nothing."""
        return self.switches or not any(self.reference.get(key) for key in ("commit", "name", "tag", "semver"))

    @property
    def has_branches(self) -> bool:
        """Whether a clone by this reference knows the server's branches (go-git, cloneRefSpec)."""
        return bool(self.reference.get("commit") or self.reference.get("name")) or not self.reference.get("tag")


async def git_source(client: KubeClient, obj: Object, repository: Object | None) -> GitSource:
    """The source of an automation, None for a GitRepository that is not there. Raises SourceError and Stalled."""
    spec = obj["spec"]["git"]
    if repository is None:
        name = quoted(obj["spec"]["sourceRef"]["name"])
        text = f"GitRepository.source.toolkit.fluxcd.io {name} not found"
        raise SourceError(f"referenced git repository does not exist: {text}")
    wanted, namespace = repository["spec"], repository["metadata"]["namespace"]

    # What is checked out, and the branch that is pushed to
    reference = (spec["checkout"]["ref"] if spec.get("checkout") else wanted.get("ref")) or {}
    branch = (spec.get("push") or {}).get("branch", "")
    switches = bool(branch) and branch != (reference.get("branch", "") if reference else _DEFAULT_BRANCH)
    branch = branch or reference.get("branch", "")
    if not branch:
        text = "push spec not provided, and cannot be inferred from .spec.git.checkout.ref or GitRepository .spec.ref"
        raise SourceError(text)

    # The way there
    access = await _access(client, wanted, namespace)

    # The key that commits are signed with
    if (spec.get("commit") or {}).get("signingKey"):
        await _signing(client, obj)
    return GitSource(access, reference, branch, switches, seconds(wanted.get("timeout") or "60s"))


async def _access(client: KubeClient, wanted: Object, namespace: str) -> GitAccess:
    proxy = ""
    if "proxySecretRef" in wanted:
        try:
            proxy = secrets.proxy(await secrets.read(client, namespace, wanted["proxySecretRef"]["name"]))
        except secrets.SecretError as error:
            raise SourceError(str(error)) from None
    data = None
    if "secretRef" in wanted:
        name = wanted["secretRef"]["name"]
        try:
            data = secrets.values(await client.get(path("v1", "secrets", namespace, name)))
        except StatusError as error:
            raise SourceError(f"failed to get auth secret '{namespace}/{name}': {error}") from None
    try:
        access = git_access(wanted["url"], data, proxy)
    except GitError as error:
        raise SourceError(f"failed to configure authentication options: {error}") from None
    provider = wanted.get("provider", "generic")
    if provider == "github" and not any(key in (data or {}) for key in _APP_KEYS):
        raise Stalled(INVALID_SOURCE, f"{_APP}: {_INVALID}")
    if provider != "generic":
        raise Stalled(NOT_SUPPORTED, f"a GitRepository with spec.provider {provider} is not supported by the sandbox")
    if data and data.get("githubAppID"):
        owner = f"{namespace}/{wanted['secretRef']['name']}"
        text = f"secretRef '{owner}' has github app data but provider is not set to github"
        raise Stalled(INVALID_SOURCE, f"{text}: {_INVALID}")
    if access.host[0] not in SUPPORTED:
        text = f"a GitRepository with spec.url of the scheme {access.host[0]} is not supported by the sandbox"
        raise Stalled(NOT_SUPPORTED, text)
    return access


async def _signing(client: KubeClient, obj: Object) -> None:
    """Refuses to sign, after what Flux would refuse."""
    key = obj["spec"]["git"]["commit"]["signingKey"]
    name, kind = key["secretRef"]["name"], key.get("type") or "gpg"
    try:
        secret = await client.get(path("v1", "secrets", obj["metadata"]["namespace"], name))
    except StatusError as error:
        raise SourceError(f"could not find signing key secret '{name}': {error}") from None
    article, entry = ("an", "identity") if kind == "ssh" else ("a", "git.asc")
    if entry not in (secret.get("data") or {}):
        raise SourceError(f"signing key secret '{name}' does not contain {article} '{entry}' key")
    raise Stalled(NOT_SUPPORTED, "spec.git.commit.signingKey is not supported by the sandbox")


@dataclass(frozen=True)
class Pushed:
    """What was pushed: a commit on a branch, and by which refspecs besides."""

    sha: str
    branch: str
    refspecs: list[str]
    message: str

    @property
    def revision(self) -> str:
        """main@sha1:…"""
        return f"{self.branch}@sha1:{self.sha}"

    @property
    def summary(self) -> str:
        """What the controller's event says."""
        text = f"pushed commit '{self.sha[:7]}' to branch '{self.branch}'"
        if self.refspecs:
            quoted_specs = "', '".join(self.refspecs)
            text += f" and refspecs '{quoted_specs}'"
        return f"{text}\n{self.message}" if self.message else text


@dataclass
class WorkingCopy:
    """A source as it is checked out, in `folder`, and the commits that are made on top of it."""

    web: Web
    outbound: Outbound
    source: GitSource
    folder: Path
    caches: dict[Path, GitCache]
    _base: tuple[Checkout, Commit] | None = field(default=None, init=False)

    def _checkout(self) -> Checkout:
        return Checkout(self.web, self.outbound, self.source.access, self.folder, self.source.timeout, self.caches)

    async def commit(self, observed: str, branches: bool) -> Commit:
        """Checks out the commit of the reference, or with other branches pushed to what is on those.

        If it is the `observed` revision, nothing is fetched. Raises GitError.
        """
        access = self.source.access
        if access.token and (access.username or access.password):
            raise GitError("basic auth and bearer token cannot be set at the same time")
        try:
            async with asyncio.timeout(self.source.timeout):
                checkout = self._checkout()
                found = await checkout.commit(self.source.reference, observed)
                self._base = (checkout, found)
                if self.source.switches and branches and self.source.has_branches:
                    await self._switch()
        except TimeoutError:
            raise GitError(f"unable to clone '{access.url}': context deadline exceeded") from None
        return found

    async def _switch(self) -> None:
        """Goes to the branch that is pushed to, if the server has it."""
        checkout = self._checkout()
        if await checkout.has(_HEADS + self.source.branch):
            self._base = (checkout, await checkout.commit({"branch": self.source.branch}))

    async def files(self) -> dict[str, File]:
        """The files that are checked out."""
        assert self._base
        return (await self._base[0].tree(self._base[1], submodules=False)).files

    async def push(
        self, files: Mapping[str, bytes], author: Author, message: str, spec: Object, *, force: bool
    ) -> Pushed:
        """Commits files with new contents, and pushes that; `spec` is spec.git.push. Raises GitError."""
        assert self._base
        checkout, parent = self._base
        assert parent.raw

        async def read(tree: str) -> bytes:
            [found] = await checkout.objects([tree])
            if found is None:
                raise GitError("object not found")
            return found.data

        objects = await tree_with(tree_name(parent.raw), files, read)
        commit = commit_of(objects[-1].name, parent.sha, author, int(time.time()), message)
        head = _HEADS + self.source.branch
        local = {parent.reference: parent.sha} if parent.reference.startswith(_HEADS) else {}
        options = spec.get("options") or {}
        push = Push(
            self.web,
            self.source.access,
            {**local, head: commit.name},
            packed([*objects, commit]),
            options,
            self.source.timeout,
        )
        refspecs = [spec["refspec"]] if spec.get("refspec") else []
        try:
            await push.send([f"{head}:{head}"] if self.source.on_branch else [], self._precedes, force=force)
            if refspecs:
                await push.send(refspecs, self._precedes, force=force)
        except GitError as error:
            raise GitError(f"failed to push to remote: {error}") from error
        return Pushed(commit.name, self.source.branch, refspecs, message)

    async def _precedes(self, sha: str) -> bool:
        """Whether a commit is in the history of what is checked out."""
        assert self._base
        parent = self._base[1].sha
        return sha == parent or await self._checkout().precedes(sha, parent)
