"""Kustomization: kustomize-controller's build, apply, inventory and prune."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from azsandbox.controllers.client import KubeClient, Object, Objects, path
from azsandbox.controllers.informer import Informers
from azsandbox.flux import conditions
from azsandbox.flux.artifacts import Artifacts
from azsandbox.flux.reconciler import FluxReconciler, go_duration, seconds
from azsandbox.kubernetes.errors import StatusError

GROUP = "kustomize.toolkit.fluxcd.io"
# Parts of the API that the sandbox does not do: an object that has one stalls and says so
_UNSUPPORTED = (
    *("wait", "healthChecks", "healthCheckExprs", "dependsOn", "postBuild", "decryption", "kubeConfig"),
    *("serviceAccountName", "patches", "images", "components", "commonMetadata", "force", "ignore"),
)


class Kustomizations(FluxReconciler):
    """Applies what sources have."""

    name = user_agent = "kustomize-controller"
    api_version, resource = f"{GROUP}/v1", "kustomizations"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.artifacts = Artifacts(self.home / "artifacts")
        informers.of("source.toolkit.fluxcd.io/v1", "gitrepositories").on_change(self._source)

    def _source(self, kind: str, source: Object, old: Object | None) -> None:
        """Queues the Kustomizations of a source that has a new artifact."""
        revision = ((source.get("status") or {}).get("artifact") or {}).get("digest")
        if not revision or (((old or {}).get("status") or {}).get("artifact") or {}).get("digest") == revision:
            return
        for obj in self.objects.list():
            ref, metadata = obj["spec"]["sourceRef"], obj["metadata"]
            wanted = (ref["kind"], ref.get("namespace", metadata["namespace"]), ref["name"])
            if wanted == ("GitRepository", source["metadata"]["namespace"], source["metadata"]["name"]):
                self.queue.add(f"{metadata['namespace']}/{metadata['name']}")

    async def act(self, obj: Object) -> float:
        """Finds the source, builds, applies, prunes; Ready says how that went."""
        spec, status, metadata = obj["spec"], obj.setdefault("status", {}), obj["metadata"]
        begun, interval = time.monotonic(), seconds(spec["interval"])
        retry = seconds(spec.get("retryInterval", spec["interval"]))
        conditions.remove(obj, "Stalled")
        unsupported = [field for field in _UNSUPPORTED if spec.get(field)]
        ref = spec["sourceRef"]
        if unsupported or ref["kind"] != "GitRepository":
            field = unsupported[0] if unsupported else "sourceRef.kind"
            text = f"spec.{field} is not supported by the sandbox's kustomize-controller"
            conditions.mark(obj, "Stalled", "True", "NotSupportedInSandbox", text)
            status["observedGeneration"] = metadata["generation"]
            return await self._failed(obj, "NotSupportedInSandbox", text, interval)

        # Find the source and its artifact
        where = ref.get("namespace", metadata["namespace"])
        url = path("source.toolkit.fluxcd.io/v1", "gitrepositories", where, ref["name"])
        source = await self.client.find(url)
        if source is None:
            text = f'gitrepositories.source.toolkit.fluxcd.io "{ref["name"]}" not found'
            return await self._failed(obj, "ArtifactFailed", text, retry, silent=True)
        artifact = (source.get("status") or {}).get("artifact")
        if not artifact:
            text = "Source artifact not found, retrying in 30s"
            return await self._failed(obj, "ArtifactFailed", text, 30, silent=True)

        # Build
        revision, limit = artifact["revision"], max(seconds(spec.get("timeout", "")) or interval - 30, 30.0)
        conditions.mark(obj, "Ready", "Unknown", "Progressing", "Reconciliation in progress")
        digits = f"{time.time_ns() % 10**9:010d}"  # as Go ends the names of temporary folders
        with tempfile.TemporaryDirectory(prefix="sandbox-") as outer:
            home = Path(outer) / f"kustomization-{digits}"
            home.mkdir()
            self.artifacts.unpack(artifact, Path(home))
            folder = Path(os.path.normpath("/" + spec.get("path", ""))).relative_to("/")
            target = Path(home) / folder
            during = f"for revision {revision} with a timeout of {go_duration(limit)}"
            if not target.is_dir():
                conditions.mark(obj, "Reconciling", "True", "Progressing", f"Fetching manifests {during}")
                text = f"kustomization path not found: stat {target}: no such file or directory"
                return await self._failed(obj, "ArtifactFailed", text, retry)
            status["lastAttemptedRevision"] = revision
            conditions.mark(obj, "Reconciling", "True", "Progressing", f"Building manifests {during}")
            await self.save(obj)
            built, problem = await self._build(target, spec)
        if problem:
            return await self._failed(obj, "BuildFailed", f"kustomize build failed: {problem}", retry)
        objects = [item for item in yaml.safe_load_all(built) if item]

        # Apply, remember, prune
        conditions.mark(obj, "Reconciling", "True", "Progressing", f"Detecting drift {during}")
        old = ((status.get("inventory") or {}).get("entries")) or []
        changes: list[str] = []
        try:
            entries = [await self._apply(obj, item, changes) for item in objects]
            if changes:
                await self.recorder.event(obj, "Normal", "Progressing", "\n".join(changes))
            status["inventory"] = {"entries": entries}
            await self._prune(obj, [entry for entry in old if entry["id"] not in {new["id"] for new in entries}])
        except StatusError as error:
            return await self._failed(obj, "ReconciliationFailed", str(error), retry)
        status["lastAppliedRevision"] = revision
        status["observedGeneration"] = metadata["generation"]
        self._remember(
            status, f"sha256:{hashlib.sha256(built.encode()).hexdigest()}", revision, time.monotonic() - begun
        )
        conditions.remove(obj, "Reconciling")
        conditions.mark(obj, "Ready", "True", "ReconciliationSucceeded", f"Applied revision: {revision}")
        self.handled(obj)
        await self.save(obj)
        took = f"{(time.monotonic() - begun) * 1000:.6f}ms"
        text = f"Reconciliation finished in {took}, next run in {go_duration(interval)}"
        await self.recorder.event(obj, "Normal", "ReconciliationSucceeded", text)
        return interval

    async def _failed(self, obj: Object, reason: str, text: str, after: float, silent: bool = False) -> float:
        conditions.mark(obj, "Ready", "False", reason, text)
        conditions.retrying(obj)
        self.handled(obj)
        await self.save(obj)
        if not silent:
            await self.recorder.event(obj, "Warning", reason, text)
        return after

    async def _build(self, folder: Path, spec: Object) -> tuple[str, str]:
        """Runs kustomize; returns manifests, or what it complains of."""
        file = folder / "kustomization.yaml"
        if not any((folder / n).exists() for n in ("kustomization.yaml", "kustomization.yml", "Kustomization")):
            files = (f for f in folder.rglob("*.y*ml") if f.suffix in (".yaml", ".yml"))
            found = sorted(str(f.relative_to(folder)) for f in files)
            file.write_text(yaml.safe_dump({"resources": found}))
        changes = {"namespace": "targetNamespace", "namePrefix": "namePrefix", "nameSuffix": "nameSuffix"}
        if any(spec.get(field) for field in changes.values()):
            file = next(f for f in (file, folder / "kustomization.yml", folder / "Kustomization") if f.exists())
            content = yaml.safe_load(file.read_text()) or {}
            content |= {key: spec[field] for key, field in changes.items() if spec.get(field)}
            file.write_text(yaml.safe_dump(content))
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec("kubectl", "kustomize", str(folder), stdout=pipe, stderr=pipe)
        out, err = await process.communicate()
        return out.decode(), err.decode().strip().removeprefix("error: ") if process.returncode else ""

    async def _resource(self, api_version: str, kind: str) -> tuple[str, bool]:
        """Plural name of a kind, and whether it is namespaced."""
        found = await self.client.get(f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}")
        for resource in found["resources"]:
            if resource["kind"] == kind and "/" not in resource["name"]:
                return resource["name"], resource["namespaced"]
        raise StatusError(404, "NotFound", f'no matches for kind "{kind}" in version "{api_version}"', None)

    async def _apply(self, obj: Object, item: Object, changes: list[str]) -> Object:
        """Applies one object; returns its inventory entry."""
        plural, namespaced = await self._resource(item["apiVersion"], item["kind"])
        metadata, owner = item["metadata"], obj["metadata"]
        labels = {f"{GROUP}/name": owner["name"], f"{GROUP}/namespace": owner["namespace"]}
        metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
        namespace = metadata.setdefault("namespace", "default") if namespaced else ""
        url = path(item["apiVersion"], plural, namespace, metadata["name"])
        before = await self.client.find(url)
        after = await self.client.apply(url, item, self.name)
        if not before or before["metadata"]["resourceVersion"] != after["metadata"]["resourceVersion"]:
            full = "/".join(part for part in (item["kind"], namespace, metadata["name"]) if part)
            changes.append(f"{full} {'configured' if before else 'created'}")
        group, _, version = item["apiVersion"].rpartition("/")
        return {"id": f"{namespace}_{metadata['name'].replace(':', '__')}_{group}_{item['kind']}", "v": version}

    async def _prune(self, obj: Object, entries: Objects) -> None:
        """Deletes what is no longer in the source, where spec.prune says so."""
        deleted = []
        for entry in entries if obj["spec"].get("prune") else []:
            namespace, rest = entry["id"].split("_", 1)
            name, group, kind = rest.rsplit("_", 2)
            plural, _ = await self._resource(f"{group}/{entry['v']}" if group else entry["v"], kind)
            url = path(f"{group}/{entry['v']}" if group else entry["v"], plural, namespace, name.replace("__", ":"))
            found = await self.client.find(url)
            labels = ((found or {}).get("metadata") or {}).get("labels") or {}
            owner = (labels.get(f"{GROUP}/name"), labels.get(f"{GROUP}/namespace"))
            annotations = ((found or {}).get("metadata") or {}).get("annotations") or {}
            kept = annotations.get(f"{GROUP}/prune") == "disabled"
            if owner == (obj["metadata"]["name"], obj["metadata"]["namespace"]) and not kept:
                await self.client.gone(url, {"propagationPolicy": "Background"})
                deleted.append("/".join(part for part in (kind, namespace, name) if part) + " deleted")
        if deleted:
            await self.recorder.event(obj, "Normal", "Progressing", "\n".join(deleted))

    @staticmethod
    def _remember(status: Object, digest: str, revision: str, took: float) -> None:
        from azsandbox.controllers.events import timestamp

        history = status.get("history") or []
        last = next((e for e in history if e["digest"] == digest), None)
        entry = {
            "digest": digest,
            "firstReconciled": last["firstReconciled"] if last else timestamp(),
            "lastReconciled": timestamp(),
            "lastReconciledDuration": f"{took * 1000:.6f}ms",
            "lastReconciledStatus": "ReconciliationSucceeded",
            "metadata": {"revision": revision},
            "totalReconciliations": (last["totalReconciliations"] if last else 0) + 1,
        }
        status["history"] = [entry, *(e for e in history if e is not last)][:5]

    async def finalize(self, obj: Object) -> None:
        """Prunes everything, as the deletion policy says; a suspended Kustomization leaves it."""
        policy = obj["spec"].get("deletionPolicy", "MirrorPrune")
        if not obj["spec"].get("suspend") and policy != "Orphan":
            prune = obj["spec"].get("prune") or policy != "MirrorPrune"
            entries = ((obj.get("status") or {}).get("inventory") or {}).get("entries") or []
            await self._prune({**obj, "spec": {**obj["spec"], "prune": prune}}, entries)
