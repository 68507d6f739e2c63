"""ImageUpdateAutomation: the images of policies written back to Git."""

from __future__ import annotations

import asyncio
import posixpath
import secrets
import shutil
from pathlib import Path
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, Objects
from azsandbox.controllers.events import timestamp
from azsandbox.controllers.informer import Informers, key_of
from azsandbox.flux import conditions
from azsandbox.flux.conditions import READY
from azsandbox.flux.durations import seconds
from azsandbox.flux.flags import Flags
from azsandbox.flux.image.commit_message import BadMessage, RemovedField, commit_message
from azsandbox.flux.image.git_objects import Author
from azsandbox.flux.image.git_source import INVALID_SOURCE, GitSource, Pushed, SourceError, WorkingCopy, git_source
from azsandbox.flux.image.image_repositories import API_VERSION
from azsandbox.flux.image.outcomes import IN_PROGRESS, NOT_SUPPORTED, Failed, ImageReconciler, Stalled
from azsandbox.flux.image.policy_choice import InvalidSelector, chosen, observed
from azsandbox.flux.image.setters import Changes, updated, values_of
from azsandbox.flux.source.git_access import GitError
from azsandbox.flux.source.git_fetch import GitCache
from azsandbox.flux.source.tree import File, cleaned
from azsandbox.flux.web import Web

UP_TO_DATE = "repository up-to-date"
_SOURCES = "source.toolkit.fluxcd.io/v1"
_INVALID_SELECTOR, _INVALID_STRATEGY = "InvalidPolicySelector", "InvalidUpdateStrategy"
_MANAGER_FAILED, _GIT_FAILED, _UPDATE_FAILED = "SourceManagerFailed", "GitOperationFailed", "UpdateFailed"
_DENIED, _REMOVED_FIELD = "AccessDenied", "RemovedTemplateField"


class ImageUpdateAutomations(ImageReconciler):
    """Commits to repositories."""

    name = "image-automation-controller"
    api_version = API_VERSION
    resource = "imageupdateautomations"
    kind = "ImageUpdateAutomation"
    notes_while_suspended = False

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        flags = Flags(options.get("arguments", ()))
        self.own_namespace_only = flags.is_set("no-cross-namespace-refs")
        self.forces = flags.gate("GitForcePushBranch", True)
        self.branches = flags.gate("GitAllBranchReferences", True)
        self.web = Web(self.flux.outbound)
        self.caches: dict[Path, GitCache] = {}
        self.pushed: dict[str, Pushed] = {}  # what the reconciliation under way has pushed, by the uid of its object
        self.policies = informers.of(API_VERSION, "imagepolicies")
        self.policies.on_change(self._other_image)
        self.repositories = informers.of(_SOURCES, "gitrepositories")
        self.repositories.on_change(self._other_source)

    async def close(self) -> None:
        await self.web.close()

    # --- what it follows

    def _other_image(self, kind: str, policy: Object, old: Object | None) -> None:
        """Queues every automation of a namespace when another image is the latest of a policy there."""

        def latest(obj: Object | None) -> Any:
            return ((obj or {}).get("status") or {}).get("latestRef")

        if kind == "MODIFIED" and latest(policy) and latest(policy) != latest(old):
            for obj in self.objects.list(policy["metadata"]["namespace"]):
                self.queue.add(key_of(obj))

    def _other_source(self, kind: str, repository: Object, old: Object | None) -> None:
        """Queues the automations of a repository whose spec is another."""
        if kind == "MODIFIED" and old and repository["metadata"]["generation"] != old["metadata"]["generation"]:
            for obj in self.objects.list():
                if _source_key(obj) == key_of(repository):
                    self.queue.add(key_of(obj))

    # --- the work

    async def work(self, obj: Object, before: Object) -> tuple[str, float]:
        """The stages of one reconciliation."""
        spec, status, metadata = obj["spec"], obj["status"], obj["metadata"]
        status["lastAutomationRunTime"] = timestamp()
        await self.begin(obj)

        # The images that its policies have chosen
        try:
            policies = chosen(self.policies.list(metadata["namespace"]), spec.get("policySelector"))
        except InvalidSelector as error:
            raise Stalled(_INVALID_SELECTOR, f"failed to parse policy selector: {error}") from None
        _overcome(obj, _INVALID_SELECTOR)
        images = observed(policies)

        # How its repository is reached
        source = await self._source(obj)
        _overcome(obj, _DENIED, INVALID_SOURCE, _MANAGER_FAILED)

        # The files, unless nothing can have changed: same images, same commit, nothing else that is pushed to
        push = spec["git"].get("push") or {}
        always = images != (status.get("observedPolicies") or {}) or source.switches or push.get("refspec")
        copy = WorkingCopy(self.web, self.flux.outbound, source, self._folder(obj), self.caches)
        try:
            commit = await copy.commit("" if always else status.get("observedSourceRevision", ""), self.branches)
            files = await copy.files() if commit.raw is not None else {}
        except GitError as error:
            raise Failed(_GIT_FAILED, f"failed to checkout source: {error}") from None
        _overcome(obj, _GIT_FAILED)
        after = seconds(spec["interval"])
        if commit.raw is None:
            self.said[metadata["uid"]] = "no change since last reconciliation"
            return UP_TO_DATE, after

        # The images in them
        changes = await self._changes(obj, files, policies)
        _overcome(obj, _INVALID_STRATEGY, _UPDATE_FAILED)

        # A commit, if that changed anything
        revision = commit.revision
        if changes.files:
            pushed = await self._push(obj, copy, changes)
            _overcome(obj, _GIT_FAILED)
            self.pushed[metadata["uid"]] = pushed
            revision = commit.revision if source.switches else pushed.revision
            status["lastPushCommit"], status["lastPushTime"] = pushed.sha, timestamp()

        # What was observed
        status["observedSourceRevision"] = revision
        status.pop("observedPolicies", None)
        if images:
            status["observedPolicies"] = images
        return UP_TO_DATE, after

    async def _source(self, obj: Object) -> GitSource:
        """Raises Failed and Stalled."""
        spec, key = obj["spec"], _source_key(obj)
        kind = spec["sourceRef"].get("kind") or "GitRepository"
        if kind != "GitRepository":
            raise Stalled(INVALID_SOURCE, f"source kind '{kind}' not supported: invalid source configuration")
        if not spec.get("git"):
            text = f"source kind '{kind}' necessitates field .spec.git: invalid source configuration"
            raise Stalled(INVALID_SOURCE, text)
        if self.own_namespace_only and not key.startswith(f"{obj['metadata']['namespace']}/"):
            text = f"can't access '{kind}/{key}', cross-namespace references have been blocked"
            raise Stalled(_DENIED, text)
        try:
            return await git_source(self.client, obj, self.repositories.get(key))
        except SourceError as error:
            raise Failed(_MANAGER_FAILED, f"failed configuring source manager: {error}") from None

    async def _changes(self, obj: Object, files: dict[str, File], policies: Objects) -> Changes:
        """What the images change in the files below spec.update.path, by paths below that. Raises Failed, Stalled."""
        wanted = obj["spec"].get("update")
        if not wanted:
            raise Stalled(_INVALID_STRATEGY, "no update strategy")
        strategy = wanted.get("strategy") or ""
        if strategy != "Setters":
            raise Stalled(_INVALID_STRATEGY, f"unsupported update strategy: {strategy}")
        start = cleaned(wanted.get("path") or "")
        inside = {name: file.data for name, file in files.items() if not file.link and _below(name, start)}
        if start and not any(_below(name, start) for name in files):
            namespace, _, name = _source_key(obj).partition("/")
            place = f"/tmp/{namespace}-{name}{secrets.randbelow(10**10)}/{start}"  # noqa: S108 - what the message says
            text = f"failed to apply policies: walking path for files: lstat {place}: no such file or directory"
            raise Failed(_UPDATE_FAILED, text)
        root = posixpath.dirname(start) if start in files else start
        found = await asyncio.to_thread(
            updated, {posixpath.relpath(name, root or "."): data for name, data in inside.items()}, values_of(policies)
        )
        return Changes(found.by_file, {posixpath.join(root, name): data for name, data in found.files.items()})

    async def _push(self, obj: Object, copy: WorkingCopy, changes: Changes) -> Pushed:
        """Raises Failed and Stalled."""
        git, metadata = obj["spec"]["git"], obj["metadata"]
        said, author = git["commit"], git["commit"]["author"]
        values = said.get("messageTemplateValues") or {}
        try:
            message = commit_message(
                said.get("messageTemplate", ""), metadata["namespace"], metadata["name"], changes, values
            )
            return await copy.push(
                changes.files,
                Author(author.get("name", ""), author["email"]),
                message,
                git.get("push") or {},
                force=self.forces and copy.source.switches,
            )
        except RemovedField as error:
            raise Stalled(_REMOVED_FIELD, str(error)) from None
        except (BadMessage, GitError) as error:
            text = f"failed to update source: {error}"
            raise (Stalled(NOT_SUPPORTED, text) if NOT_SUPPORTED in text else Failed(_GIT_FAILED, text)) from None

    def news(self, obj: Object, before: Object) -> str | None:
        """What was pushed, or that it is well again."""
        pushed = self.pushed.pop(obj["metadata"]["uid"], None)
        if pushed is not None:
            return pushed.summary
        return super().news(obj, before)

    def _folder(self, obj: Object) -> Path:
        return self.flux.folder / "automations" / obj["metadata"]["namespace"] / obj["metadata"]["name"]

    async def finalize(self, obj: Object) -> None:
        """Removes what was kept of its repository."""
        folder = self._folder(obj)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        for kept in [kept for kept in self.caches if kept.is_relative_to(folder)]:
            del self.caches[kept]


def _source_key(obj: Object) -> str:
    ref = obj["spec"]["sourceRef"]
    return f"{ref.get('namespace') or obj['metadata']['namespace']}/{ref['name']}"


def _below(name: str, folder: str) -> bool:
    return not folder or name == folder or name.startswith(f"{folder}/")


def _overcome(obj: Object, *reasons: str) -> None:
    """Takes back what Ready said of a failure that is no more."""
    ready = conditions.find(obj, READY)
    if ready and ready["reason"] in reasons:
        conditions.mark(obj, READY, "Unknown", "Progressing", IN_PROGRESS)
