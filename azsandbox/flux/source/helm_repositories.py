"""HelmRepository: the index of a repository as an artifact. One of type oci is a record, for charts to refer to."""

from __future__ import annotations

import copy
import hashlib
from typing import Any, ClassVar

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.controllers.informer import Informers
from azsandbox.flux import conditions
from azsandbox.flux.events import TRACE
from azsandbox.flux.reconciler import FINALIZER
from azsandbox.flux.source.chart_index import MOST, Index, IndexProblem
from azsandbox.flux.source.chart_repositories import RepositoryProblem, get, index_url
from azsandbox.flux.source.helm_access import AccessProblem, helm_access
from azsandbox.flux.source.outcomes import Failed, Stalled
from azsandbox.flux.source.sources import (
    FETCH_FAILED,
    IN_STORAGE,
    OUTDATED,
    STORAGE_FAILED,
    Built,
    SourceReconciler,
)
from azsandbox.flux.web import Web

_UNITS = ("B", "kB", "MB", "GB", "TB")


class HelmRepositories(SourceReconciler):
    """Fetches indexes."""

    resource, kind = "helmrepositories", "HelmRepository"
    summarized: ClassVar[tuple[str, ...]] = (
        STORAGE_FAILED,
        FETCH_FAILED,
        OUTDATED,
        IN_STORAGE,
        conditions.STALLED,
        conditions.RECONCILING,
    )
    failures = (FETCH_FAILED, STORAGE_FAILED)

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.web = Web(self.flux.outbound)

    async def close(self) -> None:
        await self.web.close()

    async def reconcile(self, key: str) -> None:
        """One reconciliation; one of type oci is only relieved of what it has of a time when it was not."""
        found = self.objects.get(key)
        if found and found["spec"].get("type") == "oci":
            await self._release(copy.deepcopy(found))
        else:
            await super().reconcile(key)

    async def _release(self, obj: Object) -> None:
        """Takes finalizer, status and artifacts of a record."""
        finalizers = obj["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers and not obj.get("status"):
            return
        if obj["spec"].get("suspend") and "deletionTimestamp" not in obj["metadata"]:
            return
        if FINALIZER in finalizers:
            await self.finalize(obj)
        obj["status"] = {}
        await self.save(obj)
        if FINALIZER in finalizers:
            await self.set_finalizers(obj, [f for f in finalizers if f != FINALIZER])

    async def build(self, obj: Object, before: Object) -> Built:
        """The stages of one reconciliation."""
        spec, status, metadata = obj["spec"], obj["status"], obj["metadata"]

        # How the repository is reached
        if spec["url"].startswith("oci://"):
            text = "invalid Helm repository URL: 'oci' URL scheme cannot be used with 'default' HelmRepository type"
            raise Stalled("URLInvalid", text, FETCH_FAILED)
        try:
            access = await helm_access(self.client, obj)
        except AccessProblem as error:
            raise Failed("AuthenticationFailed", str(error), FETCH_FAILED) from error

        # Its index
        try:
            data = await get(self.web, access, index_url(spec["url"]), MOST)
        except RepositoryProblem as error:
            text = f"failed to fetch Helm repository index: failed to cache index to temporary file: {error}"
            raise Failed("Failed", text, FETCH_FAILED) from error
        revision = f"sha256:{hashlib.sha256(data).hexdigest()}"
        artifact = status.get("artifact")
        if artifact and artifact["revision"] == revision:
            conditions.remove(obj, FETCH_FAILED)
            await self.tell(obj, TRACE, "ArtifactUpToDate", f"artifact up-to-date with remote revision: '{revision}'")
        else:
            try:
                index = Index.parse(data)
            except IndexProblem as error:
                text = f"failed to load Helm repository from index YAML: failed to load index: {error}"
                raise Failed("IndexationFailed", text, FETCH_FAILED) from error
            conditions.remove(obj, FETCH_FAILED)
            self.drift(obj, f"new index revision '{revision}'")

            # The artifact
            name = f"index-{revision.removeprefix('sha256:')}.yaml"
            place = f"helmrepository/{metadata['namespace']}/{metadata['name']}/{name}"
            status["artifact"] = self.artifacts.store(place, index.as_json(), revision)
            status["url"] = self.artifacts.link(status["artifact"], "index.yaml")
        self.stored(obj, f"stored artifact: revision '{revision}'")
        size = human_size(status["artifact"]["size"])
        return Built(f"stored fetched index of size {size} from '{spec['url']}'")


def human_size(size: float) -> str:
    """Bytes in the largest fitting unit, with four digits at most: 411B, 1.234kB (docker/go-units)."""
    unit = 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.4g}{_UNITS[unit]}"
