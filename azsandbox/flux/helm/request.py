"""A reconciliation of one HelmRelease: what its steps share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.flux import conditions
from azsandbox.flux.events import NORMAL, WARNING, FluxRecorder
from azsandbox.flux.expressions import HealthChecks
from azsandbox.flux.helm import history, manifests, post_render, spec
from azsandbox.flux.helm.actions import Action
from azsandbox.flux.helm.engine import Chart
from azsandbox.flux.helm.history import Snapshot
from azsandbox.flux.helm.logs import HelmLog
from azsandbox.flux.helm.releases import Release
from azsandbox.flux.helm.settings import Settings
from azsandbox.flux.helm.storage import Storage
from azsandbox.flux.object_refs import ObjectRef
from azsandbox.flux.rest_mapping import NoMatch, RestMapping
from azsandbox.kubernetes.schema import yaml_text

RELEASED, TEST_SUCCESS, REMEDIATED, DRIFTED = "Released", "TestSuccess", "Remediated", "Drifted"
Say = Callable[..., None]


@dataclass
class Request:
    """A HelmRelease with its chart and values, and the account that its release is made as.

    `save` writes the status as it is by then; `say` adds a line to the controller's log.
    """

    obj: Object
    client: KubeClient
    mapping: RestMapping
    recorder: FluxRecorder
    save: Callable[[], Awaitable[None]]
    say: Say
    chart: Chart | None = None
    values: dict[str, Any] = field(default_factory=dict)
    checks: HealthChecks = field(default_factory=lambda: HealthChecks([]))
    settings: Settings = field(default_factory=Settings)

    @property
    def retry(self) -> float | None:
        """Seconds until the action that was attempted last is tried again, where its strategy is that."""
        return spec.active_retry(self.obj, by_default=self.settings.retries_by_default)

    @property
    def the_chart(self) -> Chart:
        """The chart, which every step but an uninstall has."""
        assert self.chart is not None
        return self.chart

    @property
    def storage(self) -> Storage:
        return Storage(self.client, self.obj["status"]["storageNamespace"])

    def action(self, log: HelmLog, *observers: Callable[[Release], None]) -> Action:
        """Helm's action for the release, with what is told of every release that it writes."""
        storage = self.storage.observed_by(*observers)
        return Action(self.obj, self.client, self.mapping, storage, self.checks, log, self.settings)

    # --- events

    async def event_of(self, one: Snapshot | None, kind: str, reason: str, message: str, values: str = "") -> None:
        """An event about a release; `values` is a digest other than the release's own."""
        one = one or {}
        digest = values or one.get("configDigest", "")
        about = self._about(one.get("chartVersion", ""), digest, one.get("appVersion", ""), one.get("ociDigest", ""))
        await self.recorder.event(self.obj, kind, reason, message, about)

    async def event_of_attempt(self, reason: str, message: str) -> None:
        """A warning about a release that could not be made."""
        digest = self.obj["status"].get("lastAttemptedRevisionDigest", "")
        values = history.config_digest(self.values)
        about = self._about(self.the_chart.version, values, self.the_chart.app_version, digest)
        await self.recorder.event(self.obj, WARNING, reason, message, about)

    @staticmethod
    def _about(revision: str, token: str, app_version: str, oci_digest: str) -> dict[str, str]:
        found = {"revision": revision, "token": token, "app-version": app_version, "oci-digest": oci_digest}
        return {f"{spec.GROUP}/{key}": value for key, value in found.items() if value}

    # --- the inventory

    async def take_inventory(self, release: Release) -> None:
        """Notes in status the objects of a release, and the definitions that its chart has."""
        entries, warnings = [], []
        for text in manifests.split(release.get("manifest", "")):
            obj, _ = yaml_text.parse(text.encode())
            if not isinstance(obj, dict) or not obj.get("kind"):
                continue
            try:
                resource = await self.mapping.of(obj["apiVersion"], obj["kind"])
            except NoMatch as error:
                start = f"failed to determine if {obj['kind']} is namespace scoped, skipping namespace"
                warnings.append(f"{start}: {error}")
            else:
                if resource.namespaced and not obj["metadata"].get("namespace"):
                    obj["metadata"]["namespace"] = release["namespace"]
            entries.append(_entry(obj))
        for definition in self.chart.definitions if self.chart else ():
            for text in manifests.split(definition["data"]):
                obj, _ = yaml_text.parse(text.encode())
                if isinstance(obj, dict) and obj.get("kind"):
                    entries.append(_entry(obj))
        if warnings:
            text = "; ".join(dict.fromkeys(warnings))
            await self.recorder.event(self.obj, WARNING, "NamespaceCheckSkipped", text)
        self.obj["status"]["inventory"] = {"entries": entries}

    # --- the summary

    def summarize(self) -> None:
        """Ready from the conditions that count (helm-controller, internal/reconcile/release.go)."""
        obj, test = self.obj, spec.part(self.obj, "test")
        counting = [REMEDIATED, RELEASED]
        if test.get("enable") and not test.get("ignoreFailures"):
            counting = [REMEDIATED, TEST_SUCCESS, RELEASED]
        if not test.get("enable"):
            conditions.remove(obj, TEST_SUCCESS)
        ordered = _ordered(list(obj["status"].get("conditions") or ()), counting)
        if not ordered:
            return
        first = ordered[0]
        status = "False" if first["type"] == REMEDIATED else first["status"]
        if status == "True":
            conditions.remove(obj, conditions.STALLED)
        conditions.mark(obj, conditions.READY, status, first["reason"], first["message"])
        for name, digest in (
            ("observedPostRenderersDigest", post_render.renderers_digest(obj)),
            ("observedCommonMetadataDigest", post_render.metadata_digest(obj)),
        ):
            obj["status"].pop(name, None)
            if digest:
                obj["status"][name] = digest


def _entry(obj: Object) -> dict[str, str]:
    return {"id": ObjectRef.of(obj).id, "v": str(obj["apiVersion"]).rpartition("/")[2]}


def _ordered(found: list[Object], counting: list[str]) -> list[Object]:
    """Conditions with those that count first, by Flux's comparison, which is none that a sort could take as a key."""

    def before(one: Object, other: Object) -> bool:
        if one["type"] not in counting:
            return False
        if other["type"] not in counting:
            return True
        newer = one.get("observedGeneration", 0) >= other.get("observedGeneration", 0)
        return bool(newer and counting.index(one["type"]) < counting.index(other["type"]))

    for end in range(1, len(found)):
        place = end
        while place > 0 and before(found[place], found[place - 1]):
            found[place], found[place - 1] = found[place - 1], found[place]
            place -= 1
    return found


async def normal(request: Request, one: Snapshot | None, reason: str, message: str) -> None:
    """A normal event about a release."""
    await request.event_of(one, NORMAL, reason, message)
