"""GitRepository: the files of a branch, tag or commit as an artifact."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any, ClassVar

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Informers
from azsandbox.flux import conditions, secrets
from azsandbox.flux.azure import GATE_DISABLED
from azsandbox.flux.durations import seconds
from azsandbox.flux.events import TRACE
from azsandbox.flux.source.git_access import SUPPORTED, GitAccess, GitError, git_access
from azsandbox.flux.source.git_checkout import Checkout, Commit
from azsandbox.flux.source.git_fetch import GitCache
from azsandbox.flux.source.git_remote import EmptyRepository
from azsandbox.flux.source.git_verification import verify
from azsandbox.flux.source.ignore import Ignore, read_rules
from azsandbox.flux.source.outcomes import Failed, NoChange, Stalled, Waiting, not_supported
from azsandbox.flux.source.sources import (
    FETCH_FAILED,
    GROUP,
    IN_STORAGE,
    OUTDATED,
    STORAGE_FAILED,
    VERIFIED,
    WAIT_FOR_DEPENDENCY,
    Built,
    SourceReconciler,
    temporary,
)
from azsandbox.flux.source.tree import Tree, archive, cleaned, unarchived
from azsandbox.flux.web import Web
from azsandbox.kubernetes.errors import StatusError

INCLUDE_UNAVAILABLE = "IncludeUnavailable"
_AUTHENTICATION, _PROVIDER, _OPERATION = "AuthenticationFailed", "InvalidProviderConfiguration", "GitOperationFailed"
_APP_KEYS = ("githubAppID", "githubAppInstallationOwner", "githubAppInstallationID", "githubAppPrivateKey")


class GitRepositories(SourceReconciler):
    """Fetches repositories."""

    resource, kind = "gitrepositories", "GitRepository"
    summarized: ClassVar[tuple[str, ...]] = (
        STORAGE_FAILED,
        FETCH_FAILED,
        INCLUDE_UNAVAILABLE,
        OUTDATED,
        IN_STORAGE,
        VERIFIED,
        conditions.STALLED,
        conditions.RECONCILING,
    )
    failures = (FETCH_FAILED, INCLUDE_UNAVAILABLE, STORAGE_FAILED)

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.web = Web(self.flux.outbound)
        self.caches: dict[Path, GitCache] = {}

    async def close(self) -> None:
        await self.web.close()

    def _folder(self, obj: Object) -> Path:
        return self.flux.folder / "git" / obj["metadata"]["namespace"] / obj["metadata"]["name"]

    async def finalize(self, obj: Object) -> None:
        """Removes its artifacts and what was kept of its repository."""
        folder = self._folder(obj)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        for kept in [kept for kept in self.caches if kept.is_relative_to(folder)]:
            del self.caches[kept]
        await super().finalize(obj)

    async def build(self, obj: Object, before: Object) -> Built:
        """The stages of one reconciliation."""
        spec, status = obj["spec"], obj["status"]
        if conditions.is_false(obj, VERIFIED):
            conditions.remove(obj, VERIFIED)

        # How the repository is reached
        access = await self._access(obj)

        # What it includes of others
        includes = await self._includes(obj)
        if _differ(includes, status.get("includedArtifacts") or []):
            message = "included artifacts differ from last observed includes"
            if status.get("includedArtifacts"):
                conditions.mark(obj, OUTDATED, "True", "IncludeChange", message)
            self.progress(obj, f"building artifact: {message}", drift=True)
            self.step(obj)
        conditions.remove(obj, OUTDATED)

        # Which commit its reference means; if that is known, there is nothing to do
        checkout = Checkout(
            self.web, self.flux.outbound, access, self._folder(obj), seconds(spec["timeout"]), self.caches
        )
        observed = status["artifact"]["revision"] if status.get("artifact") else ""
        if not conditions.is_true(obj, IN_STORAGE):
            observed = ""
        commit = await self._checked_out(checkout, obj, observed)
        if commit.raw is None:
            if not _content_changed(obj, includes):
                self._unchanged(obj, commit)
            commit = await self._checked_out(checkout, obj, "")
        conditions.remove(obj, FETCH_FAILED)
        tree = await self._tree(checkout, obj, commit)

        # Whether it is signed by whom it should be
        await self._verify(obj, commit)
        revision = _revision(obj, commit)
        if observed != revision and (status.get("artifact") or {}).get("revision") != revision:
            self.drift(obj, f"new upstream revision '{revision}'")

        # The artifact
        stored = f"stored artifact for revision '{revision}'"
        artifact = status.get("artifact")
        if (
            artifact
            and artifact["revision"] == revision
            and not _differ(includes, status.get("includedArtifacts") or [])
            and not _content_changed(obj, includes)
        ):
            await self.tell(obj, TRACE, "ArtifactUpToDate", f"artifact up-to-date with remote revision: '{revision}'")
        else:
            await self._store(obj, commit, tree, includes)
        self.stored(obj, stored)
        return Built(f"stored artifact for commit '{commit.subject}'")

    # --- access

    async def _access(self, obj: Object) -> GitAccess:
        spec, namespace = obj["spec"], obj["metadata"]["namespace"]
        proxy = ""
        if "proxySecretRef" in spec:
            try:
                secret = await secrets.read(self.client, namespace, spec["proxySecretRef"]["name"])
                proxy = secrets.proxy(secret)
            except secrets.SecretError as error:
                raise Failed(_AUTHENTICATION, f"failed to configure proxy options: {error}", FETCH_FAILED) from error
        data = None
        if "secretRef" in spec:
            name = spec["secretRef"]["name"]
            try:
                data = secrets.values(await self.secret(namespace, name))
            except StatusError as error:
                where = f"failed to get secret '{namespace}/{name}'"
                raise Failed(_AUTHENTICATION, f"{where}: {where}: {error}", FETCH_FAILED) from error
        try:
            access = git_access(spec["url"], data, proxy)
        except GitError as error:
            text = f"failed to configure authentication options: {error}"
            raise Failed(_AUTHENTICATION, text, FETCH_FAILED) from error
        self._check_provider(obj, data)
        if access.host[0] not in SUPPORTED:
            raise not_supported(f"spec.url with the scheme {access.host[0]}", FETCH_FAILED)
        if access.token and (access.username or access.password):
            text = "basic auth and bearer token cannot be set at the same time"
            raise Failed(_OPERATION, f"failed to checkout and determine revision: {text}", FETCH_FAILED)
        return access

    def _check_provider(self, obj: Object, data: dict[str, bytes] | None) -> None:
        spec = obj["spec"]
        provider = spec.get("provider", "generic")
        needed = "secretRef with github app data must be specified when provider is set to github"
        if provider == "github":
            if data is None:
                raise Stalled(_PROVIDER, needed, FETCH_FAILED)
            if not any(key in data for key in _APP_KEYS):
                raise Failed(_PROVIDER, needed, FETCH_FAILED)
        if provider in ("azure", "aws") and spec.get("serviceAccountName"):
            raise Stalled("FeatureGateDisabled", GATE_DISABLED, FETCH_FAILED)
        if provider != "generic":
            raise not_supported(f"spec.provider {provider}", FETCH_FAILED)
        if data and data.get("githubAppID"):
            owner = f"{obj['metadata']['namespace']}/{spec['secretRef']['name']}"
            text = f"secretRef '{owner}' has github app data but provider is not set to github"
            raise Failed(_PROVIDER, text, FETCH_FAILED)

    # --- includes

    async def _includes(self, obj: Object) -> list[Object]:
        found = []
        for include in obj["spec"].get("include") or []:
            name = include["repository"]["name"]
            try:
                other = await self.client.get(path(self.api_version, self.resource, obj["metadata"]["namespace"], name))
            except StatusError as error:
                said = f'{self.kind}.{GROUP} "{name}" not found' if error.code == 404 else str(error)
                text = f"could not get resource for include '{name}': {said}"
                raise Waiting("NotFound", text, INCLUDE_UNAVAILABLE, WAIT_FOR_DEPENDENCY) from error
            artifact = (other.get("status") or {}).get("artifact")
            if not artifact:
                text = f"no artifact available for include '{name}'"
                raise Waiting("NoArtifact", text, INCLUDE_UNAVAILABLE, WAIT_FOR_DEPENDENCY)
            found.append(artifact)
        conditions.remove(obj, INCLUDE_UNAVAILABLE)
        return found

    def _copy_include(self, tree: Tree, include: Object, artifact: Object) -> None:
        name, start = include["repository"]["name"], include.get("fromPath", "")
        end = include.get("toPath") or name
        where = f"failed to copy '{name}' include from {start} to {end}"
        try:
            other = unarchived(self.artifacts.file(artifact).read_bytes())
        except (OSError, ValueError) as error:
            raise Failed("CopyFailure", f"{where}: {error}", STORAGE_FAILED) from error
        if not other.holds(start):
            text = f"{where}: rename {cleaned(start)} {cleaned(end)}: no such file or directory"
            raise Failed("CopyFailure", text, STORAGE_FAILED)
        if tree.holds(end):
            text = f"{where}: rename {cleaned(start)} {cleaned(end)}: file exists"
            raise Failed("CopyFailure", text, STORAGE_FAILED)
        tree.put(end, other.below(start))

    # --- the commit and its files

    async def _checked_out(self, checkout: Checkout, obj: Object, observed: str) -> Commit:
        start = "failed to checkout and determine revision"
        try:
            async with asyncio.timeout(checkout.seconds):
                return await checkout.commit(obj["spec"].get("ref") or {}, observed)
        except EmptyRepository:
            raise Failed("EmptyGitRepository", "git repository is empty", FETCH_FAILED) from None
        except GitError as error:
            raise Failed(_OPERATION, f"{start}: {error}", FETCH_FAILED) from error
        except TimeoutError:
            text = f"{start}: unable to clone '{checkout.access.url}': context deadline exceeded"
            raise Failed(_OPERATION, text, FETCH_FAILED) from None

    async def _tree(self, checkout: Checkout, obj: Object, commit: Commit) -> Tree:
        spec = obj["spec"]
        try:
            async with asyncio.timeout(checkout.seconds):
                tree = await checkout.tree(commit, spec.get("recurseSubmodules", False))
        except GitError as error:
            text = f"failed to checkout and determine revision: {error}"
            raise Failed(_OPERATION, text, FETCH_FAILED) from error
        wanted = spec.get("sparseCheckout")
        if not wanted:
            return tree
        tree = tree.only(wanted)
        for folder in wanted:
            if not tree.holds(folder):
                place = f"{temporary(obj)}/{cleaned(folder)}"
                text = (
                    f"failed to sparse checkout directories : sparse checkout dir '{folder}' does not exist in "
                    f"repository: lstat {place}: no such file or directory"
                )
                raise Failed(_OPERATION, text, FETCH_FAILED)
        return tree

    def _unchanged(self, obj: Object, commit: Commit) -> None:
        """Ends a reconciliation that found what was there."""
        revision = _revision(obj, commit)
        conditions.remove(obj, FETCH_FAILED)
        conditions.mark(obj, IN_STORAGE, "True", "Succeeded", f"stored artifact for revision '{revision}'")
        text = f"no changes since last reconciliation: observed revision '{revision}'"
        raise NoChange("GitOperationSucceeded", text, f"stored artifact for commit '{revision}'")

    # --- verification

    async def _verify(self, obj: Object, commit: Commit) -> None:
        wanted = obj["spec"].get("verify")
        if not wanted or not wanted.get("mode"):
            obj["status"].pop("sourceVerificationMode", None)
            conditions.remove(obj, VERIFIED)
            return
        try:
            secret = await self.secret(obj["metadata"]["namespace"], wanted["secretRef"]["name"])
        except StatusError as error:
            text = f"public keys secret error: {error}"
            raise Failed("VerificationError", text, VERIFIED, "False") from error
        message = verify(wanted["mode"], commit, secrets.values(secret))
        obj["status"]["sourceVerificationMode"] = wanted["mode"]
        conditions.mark(obj, VERIFIED, "True", "Succeeded", message)
        await self.tell(obj, TRACE, "Succeeded", message)

    # --- the artifact

    async def _store(self, obj: Object, commit: Commit, tree: Tree, includes: list[Object]) -> None:
        spec, status, metadata = obj["spec"], obj["status"], obj["metadata"]
        for include, artifact in zip(spec.get("include") or [], includes, strict=True):
            self._copy_include(tree, include, artifact)
        rules = tree.ignore_rules() + read_rules(spec.get("ignore") or "")
        data = await asyncio.to_thread(archive, tree, Ignore(rules).leaves_out)
        place = f"gitrepository/{metadata['namespace']}/{metadata['name']}/{commit.sha}.tar.gz"
        status["artifact"] = self.artifacts.store(place, data, _revision(obj, commit))
        status["includedArtifacts"] = includes
        status["observedIgnore"] = spec.get("ignore")
        status["observedRecurseSubmodules"] = spec.get("recurseSubmodules")
        status["observedInclude"] = spec.get("include")
        status["observedSparseCheckout"] = spec.get("sparseCheckout")
        for key in [key for key, value in status.items() if not value and value != ""]:
            del status[key]


def _revision(obj: Object, commit: Commit) -> str:
    named = (obj["spec"].get("ref") or {}).get("name")
    return commit.absolute_revision if named else commit.revision


def _differ(artifacts: list[Object], others: list[Object]) -> bool:
    """Whether two lists of artifacts hold other revisions."""
    revisions = {artifact["revision"] for artifact in others}
    return len(artifacts) != len(others) or any(a["revision"] not in revisions for a in artifacts)


def _content_changed(obj: Object, includes: list[Object]) -> bool:
    """Whether anything but the commit asks for another artifact, or for verification again."""
    spec, status = obj["spec"], obj["status"]
    for wanted, observed in (
        ("ignore", "observedIgnore"),
        ("recurseSubmodules", "observedRecurseSubmodules"),
        ("sparseCheckout", "observedSparseCheckout"),
    ):
        if (spec.get(wanted) or None) != (status.get(observed) or None) and not (
            wanted == "ignore" and spec.get(wanted) == status.get(observed)
        ):
            return True
    if _needs_verification(obj):
        return True
    keys = ("repository", "fromPath", "toPath")
    now = [[include.get(key) for key in keys] for include in spec.get("include") or []]
    then = [[include.get(key) for key in keys] for include in status.get("observedInclude") or []]
    return now != then or [(a["revision"], a["digest"]) for a in includes] != [
        (a["revision"], a["digest"]) for a in status.get("includedArtifacts") or []
    ]


def _needs_verification(obj: Object) -> bool:
    wanted = obj["spec"].get("verify")
    if not wanted:
        return False
    observed, mode = obj["status"].get("sourceVerificationMode"), wanted.get("mode")
    if not observed:
        return True
    return observed != mode and observed != "TagAndHEAD"
