"""The objects of a Kustomization, prepared and applied."""

from __future__ import annotations

from dataclasses import dataclass

from azsandbox.controllers.client import Object
from azsandbox.flux.access import Access
from azsandbox.flux.durations import seconds
from azsandbox.flux.field_managers import taken_over
from azsandbox.flux.kustomize import decryption
from azsandbox.flux.kustomize.apply import SKIPPED, UNCHANGED, Applier, ApplyError, ApplyOptions, Change
from azsandbox.flux.kustomize.drift import BadRule, IgnoreRules
from azsandbox.flux.kustomize.prepared import Manifest
from azsandbox.flux.kustomize.settings import Settings, timeout
from azsandbox.flux.kustomize.settled import Cluster, Settled
from azsandbox.flux.object_refs import ObjectRef
from azsandbox.flux.waiting import Readers, WaitFailed, wait_until_ready

MANAGER = "kustomize-controller"
STAGE_TIMEOUT, STAGE_INTERVAL = 60.0, 2.0  # seconds, of waiting for a stage


class ReconciliationFailed(Exception):
    """An apply that failed; the message is Flux's, with what was done before on lines after it."""


@dataclass(frozen=True)
class Applied:
    """What an apply did, in the order in which it did it."""

    changes: list[Change]
    finished: frozenset[ObjectRef]  # Jobs that go when they are done

    @property
    def log(self) -> str:
        """What changed, a line each."""
        return "\n".join(_changed(self.changes))

    @property
    def present(self) -> list[ObjectRef]:
        """The objects that were not skipped."""
        return [change.who for change in self.changes if change.action != SKIPPED]


async def apply(
    obj: Object,
    manifests: list[Manifest],
    to: Access,
    settings: Settings,
    settled: Settled,
    cluster: Cluster,
    reader: Readers,
    *,
    new: bool,
) -> Applied:
    """Applies the manifests of a Kustomization. `new` says that they are of a revision that was not applied yet.

    Raises ReconciliationFailed.
    """
    spec = obj["spec"]
    for manifest in manifests:
        if decryption.is_encrypted_secret(manifest.obj):
            raise ReconciliationFailed(
                f"{manifest.ref} is SOPS encrypted, configuring decryption is required for this secret to be reconciled"
            )
    options = ApplyOptions(
        manager=MANAGER,
        managers=taken_over(MANAGER, settings.override_managers),
        force=bool(spec.get("force")),
        custom_stage=settings.custom_stage,
        concurrency=settings.concurrent_ssa,
        seconds=timeout(spec),
    )
    try:
        options.ignore = IgnoreRules(spec.get("ignore") or [])
    except BadRule as error:
        raise ReconciliationFailed(f"{error}\n") from None

    async def wait(stage: list[ObjectRef]) -> None:
        try:
            await wait_until_ready(to.client, to.mapping, stage, STAGE_TIMEOUT, reader=reader, interval=STAGE_INTERVAL)
        except WaitFailed as error:
            raise ApplyError(str(error)) from None

    # A new revision of what was looked at within the interval is about its changes; all else is looked at anew
    trusted: set[ObjectRef] = set()
    if new and not to.remote and settled.is_fresh(seconds(spec["interval"])):
        trusted = await settled.unchanged(manifests, cluster, None if to.own else to.client)
    applier = Applier(to.client, to.mapping, options, wait, settled, frozenset(trusted))
    try:
        changes = await applier.apply_staged(manifests)
    except ApplyError as error:
        done = "".join(f"{line}\n" for line in _changed(applier.changes))
        raise ReconciliationFailed(f"{error}\n{done}") from None
    if not trusted:
        settled.checked()
    return Applied(changes, _finished(manifests))


def _changed(changes: list[Change]) -> list[str]:
    return [str(change) for change in changes if change.action not in (SKIPPED, UNCHANGED)]


def _finished(manifests: list[Manifest]) -> frozenset[ObjectRef]:
    """Jobs that the cluster deletes once they are done."""
    return frozenset(
        manifest.ref
        for manifest in manifests
        if (manifest.ref.group, manifest.ref.kind) == ("batch", "Job")
        and isinstance((manifest.obj.get("spec") or {}).get("ttlSecondsAfterFinished"), int)
    )
