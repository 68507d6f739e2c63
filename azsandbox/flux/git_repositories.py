"""GitRepository: source-controller's checkout of a branch, tag or commit as an artifact."""

from __future__ import annotations

import asyncio
import base64
import os
import tempfile
from pathlib import Path
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Informers
from azsandbox.flux import conditions
from azsandbox.flux.artifacts import Artifacts
from azsandbox.flux.reconciler import REQUESTED, FluxReconciler, seconds

FIRST_RETRY = 0.75  # seconds (source-controller, min-retry-delay)
# Parts of the API that the sandbox does not do: an object that has one stalls and says so
_UNSUPPORTED = ("verify", "include", "sparseCheckout", "ignore", "recurseSubmodules", "proxySecretRef")


class FetchFailed(Exception):
    """What went wrong at a fetch, with Flux's reason."""

    def __init__(self, reason: str, message: str, stalled: bool = False) -> None:
        super().__init__(message)
        self.reason, self.stalled = reason, stalled


class GitRepositories(FluxReconciler):
    """Fetches repositories."""

    name = user_agent = "source-controller"
    api_version, resource = "source.toolkit.fluxcd.io/v1", "gitrepositories"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.artifacts = Artifacts(self.home / "artifacts")

    async def act(self, obj: Object) -> float:
        """Fetches and stores, and says in conditions how that went."""
        status, metadata = obj.setdefault("status", {}), obj["metadata"]
        recovering = conditions.find(obj, "FetchFailed") is not None

        # Say that it begins
        conditions.progressing(obj, False, "reconciliation in progress")
        if metadata["generation"] != status.get("observedGeneration"):
            message = (
                f"processing object: new generation {status.get('observedGeneration', 0)} -> {metadata['generation']}"
            )
            conditions.progressing(obj, False, message)
            await self.save(obj)
        elif (metadata.get("annotations") or {}).get(REQUESTED) != status.get("lastHandledReconcileAt"):
            await self.save(obj)
        artifact = status.get("artifact")
        if artifact and not self.artifacts.file(artifact).exists():
            artifact = status.pop("artifact")
            conditions.progressing(obj, True, "building artifact: disappeared from storage")
        elif not artifact:
            conditions.progressing(obj, True, "building artifact")

        # Fetch
        old = status.get("artifact")
        try:
            subject = await self._fetch(obj)
        except FetchFailed as error:
            return await self._failed(obj, error)

        # Store and report
        conditions.remove(obj, "FetchFailed", "Reconciling", "Stalled")
        revision = status["artifact"]["revision"]
        stored = f"stored artifact for revision '{revision}'"
        conditions.mark(obj, "ArtifactInStorage", "True", "Succeeded", stored)
        conditions.summarize(obj)
        status["observedGeneration"] = metadata["generation"]
        self.handled(obj)
        await self.save(obj)
        what = f"stored artifact for commit '{subject or revision}'"
        if not old or old["digest"] != status["artifact"]["digest"]:
            await self.recorder.event(obj, "Normal", "NewArtifact", what)
        elif recovering:
            await self.recorder.event(obj, "Normal", "Succeeded", what)
        if not subject:
            unchanged = f"no changes since last reconciliation: observed revision '{revision}'"
            await self.recorder.event(obj, "Normal", "GitOperationSucceeded", unchanged)
        self.queue.forget(f"{metadata['namespace']}/{metadata['name']}")
        return seconds(obj["spec"]["interval"])

    async def _failed(self, obj: Object, error: FetchFailed) -> float:
        metadata = obj["metadata"]
        conditions.mark(obj, "FetchFailed", "True", error.reason, str(error))
        if error.stalled:
            conditions.remove(obj, "Reconciling")
            conditions.mark(obj, "Stalled", "True", error.reason, str(error))
            obj["status"]["observedGeneration"] = metadata["generation"]
        else:
            conditions.remove(obj, "Stalled")
            conditions.retrying(obj)
        conditions.summarize(obj)
        self.handled(obj)
        await self.save(obj)
        await self.recorder.event(obj, "Warning", error.reason, str(error))
        return seconds(obj["spec"]["interval"]) if error.stalled else FIRST_RETRY * 8

    async def _fetch(self, obj: Object) -> str:
        """Brings the artifact up to date; returns the commit's subject, "" where nothing is new."""
        spec, metadata, status = obj["spec"], obj["metadata"], obj["status"]
        ref = spec.get("ref") or {}
        unsupported = [field for field in _UNSUPPORTED if spec.get(field)]
        unsupported += [f"ref.{field}" for field in ("semver", "name", "commit") if ref.get(field)]
        if unsupported:
            text = f"spec.{unsupported[0]} is not supported by the sandbox's source-controller"
            raise FetchFailed("NotSupportedInSandbox", text, stalled=True)
        if spec.get("provider") == "github" and not spec.get("secretRef"):
            text = "secretRef with github app data must be specified when provider is set to github"
            raise FetchFailed("InvalidProviderConfiguration", text, stalled=True)
        environment = await self._credentials(obj)
        short = ref.get("tag") or ref.get("branch") or "master"
        name = f"refs/tags/{short}" if ref.get("tag") else f"refs/heads/{short}"
        limit = seconds(spec.get("timeout", "60s"))
        listed = await self._git(spec["url"], environment, limit, "ls-remote", spec["url"], name, f"{name}^{{}}")
        found = {line.split("\t")[1]: line.split("\t")[0] for line in listed.splitlines()}
        commit = found.get(f"{name}^{{}}") or found.get(name)
        if not commit:
            text = f"unable to clone '{spec['url']}': couldn't find remote ref \"{name}\""
            raise FetchFailed("GitOperationFailed", f"failed to checkout and determine revision: {text}")
        revision = f"{short}@sha1:{commit}"
        if (status.get("artifact") or {}).get("revision") == revision:
            return ""
        with tempfile.TemporaryDirectory(prefix="gitrepository-") as home:
            tree = Path(home) / "source"
            clone = ("clone", "-q", "--depth=1", "--branch", short, "--", spec["url"], str(tree))
            await self._git(spec["url"], environment, limit, *clone)
            subject = await self._git(spec["url"], environment, limit, "-C", str(tree), "log", "-1", "--format=%s")
            status["artifact"] = self.artifacts.archive(
                "GitRepository", metadata["namespace"], metadata["name"], f"{commit}.tar.gz", revision, tree
            )
        return subject.strip() or commit

    async def _credentials(self, obj: Object) -> dict[str, str]:
        """Environment of git: nothing of the machine's own configuration, and what the Secret gives."""
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        reference = obj["spec"].get("secretRef")
        if not reference:
            return environment
        namespace, name = obj["metadata"]["namespace"], reference["name"]
        secret = await self.client.find(path("v1", "secrets", namespace, name))
        if secret is None:
            where = f"failed to get secret '{namespace}/{name}'"
            raise FetchFailed("AuthenticationFailed", f'{where}: {where}: secrets "{name}" not found')
        data = {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}
        header = f"Bearer {data['bearerToken']}" if data.get("bearerToken") else ""
        if data.get("username"):
            pair = f"{data['username']}:{data.get('password', '')}".encode()
            header = f"Basic {base64.b64encode(pair).decode()}"
        if header:
            environment |= {
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "http.extraHeader",
                "GIT_CONFIG_VALUE_0": f"Authorization: {header}",
            }
        return environment

    async def _git(self, url: str, environment: dict[str, str], limit: float, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            "git", *arguments, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), limit)
        except TimeoutError:
            process.kill()
            await process.wait()
            text = f"unable to clone '{url}': context deadline exceeded"
            raise FetchFailed("GitOperationFailed", f"failed to checkout and determine revision: {text}") from None
        if process.returncode:
            told = err.decode("utf-8", "replace").strip()
            text = "repository not found: " if "not found" in told else told.removeprefix("fatal: ")
            message = f"failed to checkout and determine revision: unable to clone '{url}': {text}"
            raise FetchFailed("GitOperationFailed", message)
        return out.decode("utf-8", "replace")

    async def finalize(self, obj: Object) -> None:
        """Removes its artifacts."""
        if self.artifacts.forget("GitRepository", obj["metadata"]["namespace"], obj["metadata"]["name"]):
            text = "garbage collected artifacts for deleted resource"
            await self.recorder.event(obj, "Normal", "GarbageCollectionSucceeded", text)
