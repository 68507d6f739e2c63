"""Server-side apply in stages (fluxcd/pkg/ssa, ApplyAllStaged): a dry run of all, then what has drifted.

First come definitions, namespaces and cluster roles, then classes, then what --custom-apply-stage-kinds names, then
the rest; each of the first two is waited for.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from azsandbox.controllers.client import APPLY, JSON_PATCH, KubeClient, Object
from azsandbox.flux.field_managers import FieldManager, cleanup
from azsandbox.flux.kustomize.drift import IgnoreRules, any_in_metadata
from azsandbox.flux.kustomize.ordering import order, version_of
from azsandbox.flux.kustomize.prepared import GROUP, Manifest
from azsandbox.flux.kustomize.settled import Settled
from azsandbox.flux.object_refs import ObjectRef, group_of
from azsandbox.flux.rest_mapping import NoMatch, RestMapping
from azsandbox.kubernetes.errors import StatusError

CREATED, CONFIGURED, UNCHANGED, SKIPPED, DELETED = "created", "configured", "unchanged", "skipped", "deleted"
# Annotations and labels that say how Flux treats an object
RECONCILE, SSA, FORCE = f"{GROUP}/reconcile", f"{GROUP}/ssa", f"{GROUP}/force"
_EXCLUDED = {RECONCILE: "disabled", SSA: "Ignore"}
_IMMUTABLE = re.compile(r"is\simmutable|immutable\sfield")  # fluxcd/pkg/ssa/errors, IsImmutableError


class ApplyError(Exception):
    """An apply that fails; the message is Flux's."""


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to an object."""

    who: ObjectRef
    version: str
    action: str

    def __str__(self) -> str:
        return f"{self.who} {self.action}"


@dataclass
class ApplyOptions:
    """How objects are applied. `concurrency` counts dry runs at a time, `seconds` bounds the wait for a deletion."""

    manager: str
    managers: tuple[FieldManager, ...]
    force: bool = False
    ignore: IgnoreRules = field(default_factory=lambda: IgnoreRules(()))
    custom_stage: frozenset[tuple[str, str]] = frozenset()  # group and kind
    concurrency: int = 4
    seconds: float = 60.0


@dataclass
class _Plan:
    """What a dry run found: the change, and what is to be applied, if anything."""

    change: Change
    payload: Object | None = None


class Applier:
    """Applies the objects of one Kustomization.

    `settled` remembers what is as it should be; `trusted` is what is known to be so. `wait` waits for the objects of a
    stage, and raises ApplyError.
    """

    def __init__(
        self,
        client: KubeClient,
        mapping: RestMapping,
        options: ApplyOptions,
        wait: Callable[[list[ObjectRef]], Awaitable[None]],
        settled: Settled,
        trusted: frozenset[ObjectRef] = frozenset(),
    ) -> None:
        self.client, self.mapping, self.options, self.wait = client, mapping, options, wait
        self.settled, self.trusted = settled, trusted
        self.changes: list[Change] = []  # of the stages that are done

    async def apply_staged(self, manifests: Iterable[Manifest]) -> list[Change]:
        """Applies all stages, and returns what was done in order. Raises ApplyError; `changes` has what was done."""
        stages: list[list[Manifest]] = [[], [], [], []]
        for manifest in sorted(manifests, key=lambda manifest: order(manifest.ref)):
            stages[_stage(manifest.obj, self.options.custom_stage)].append(manifest)
        for number, stage in enumerate(stages):
            if stage:
                changes = await self._apply_all(stage)
                self.changes += changes
                if number < 2:
                    await self.wait([change.who for change in changes])
        return self.changes

    async def _apply_all(self, manifests: list[Manifest]) -> list[Change]:
        """Dry runs of all objects, then the applies that are needed, in order."""
        free = asyncio.Semaphore(self.options.concurrency)

        async def planned(manifest: Manifest) -> _Plan:
            async with free:
                return await self._plan(manifest)

        open_ = [manifest for manifest in manifests if manifest.ref not in self.trusted]
        plans = dict(zip(open_, await _all([planned(manifest) for manifest in open_]), strict=True))
        for manifest, plan in plans.items():
            obj = manifest.obj
            if plan.payload is not None:
                try:
                    answer = await self._patch(plan.payload)
                except (StatusError, NoMatch) as error:
                    raise ApplyError(_masked(f"{plan.change.who} apply failed: {error}", obj)) from None
                self.settled.note(manifest, answer)
        return [
            plans[m].change if m in plans else Change(m.ref, version_of(m.obj["apiVersion"]), UNCHANGED)
            for m in manifests
        ]

    async def _plan(self, manifest: Manifest) -> _Plan:
        """Finds out what an apply of an object would do. Raises ApplyError."""
        obj = manifest.obj
        self.settled.forget(manifest.ref)
        existing, unknown = await self._existing(obj)
        if self._is_skipped(obj, existing):
            return _Plan(_change(existing or obj, SKIPPED))

        try:
            desired = await self._patch(obj, dry_run=True)
        except (StatusError, NoMatch) as error:
            if unknown is None and existing is not None and self._may_recreate(obj, existing, error):
                await self._delete(obj, existing)
                existing = None
                try:
                    desired = await self._patch(obj, dry_run=True)
                except (StatusError, NoMatch) as again:
                    raise ApplyError(_masked(dry_run_error(again, obj), obj)) from None
            else:
                raise ApplyError(_masked(dry_run_error(error, obj), obj)) from None
        _named(desired, obj)

        existing, taken = await self._take_over(obj, existing)
        drifted = self.options.ignore.has_drifted(existing, desired)
        if not (taken or drifted):
            self.settled.note(manifest, existing or desired)
            return _Plan(_change(desired, UNCHANGED))
        if not desired["metadata"].get("resourceVersion"):
            return _Plan(_change(desired, CREATED), obj)
        payload = self.options.ignore.payload(obj, existing, desired, self.options.manager)
        return _Plan(_change(desired, CONFIGURED), payload)

    async def _existing(self, obj: Object) -> tuple[Object | None, Exception | None]:
        """The cluster's object, or why it is not known."""
        try:
            found = await self.client.find(await self._url(obj))
        except (StatusError, NoMatch) as error:
            return None, error
        return (_named(found, obj) if found else None), None

    def _is_skipped(self, obj: Object, existing: Object | None) -> bool:
        if any_in_metadata(obj, _EXCLUDED) or any_in_metadata(existing, _EXCLUDED):
            return True
        return existing is not None and any_in_metadata(obj, {SSA: "IfNotPresent"})

    def _may_recreate(self, obj: Object, existing: Object, error: Exception) -> bool:
        """Whether an object may be deleted and made again, since a field of it cannot be changed."""
        if not is_immutable(error):
            return False
        wanted = {FORCE: "enabled"}
        return self.options.force or any_in_metadata(obj, wanted) or any_in_metadata(existing, wanted)

    async def _delete(self, obj: Object, existing: Object) -> None:
        """Deletes an object and waits until it is gone."""
        subject, url = ObjectRef.of(existing), await self._url(obj)
        try:
            await self.client.delete(url, {"propagationPolicy": "Background"})
        except StatusError as error:
            if error.code != 404:
                raise ApplyError(f"{subject} immutable field detected, failed to delete object: {error}") from None
        try:
            async with asyncio.timeout(self.options.seconds):
                pause = 0.02
                while await self.client.find(url) is not None:
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 2.0)
        except TimeoutError:
            text = "immutable field detected, failed to wait for object to be deleted: context deadline exceeded"
            raise ApplyError(f"{subject} {text}") from None

    async def _take_over(self, obj: Object, existing: Object | None) -> tuple[Object | None, bool]:
        """Takes an object over from kubectl; returns it as it is now, and whether anything was taken."""
        merge = {SSA: "Merge"}
        if existing is None or any_in_metadata(obj, merge) or any_in_metadata(existing, merge):
            return existing, False
        patch = cleanup(existing, self.options.managers, self.options.manager)
        if not patch:
            return existing, False
        try:
            answer = await self.client.request(
                "PATCH",
                await self._url(obj),
                patch,
                query={"fieldManager": self.options.manager},
                content_type=JSON_PATCH,
            )
        except StatusError as error:
            text = f"{ObjectRef.of(existing)} metadata.managedFields cleanup failed: {error}"
            raise ApplyError(_masked(text, obj)) from None
        return _named(answer, obj), True

    async def _url(self, obj: Object) -> str:
        """URL path of an object. Raises NoMatch."""
        metadata = obj["metadata"]
        resource = await self.mapping.of(obj["apiVersion"], obj["kind"])
        return resource.path(metadata.get("namespace") or "", metadata["name"])

    async def _patch(self, obj: Object, *, dry_run: bool = False) -> Object:
        """Server-side apply of an object."""
        query = {"fieldManager": self.options.manager, "force": "true"} | ({"dryRun": "All"} if dry_run else {})
        url = await self._url(obj)
        return await self.client.request("PATCH", url, obj, query=query, content_type=APPLY)


def _stage(obj: Object, custom: frozenset[tuple[str, str]]) -> int:
    group = group_of(obj["apiVersion"])
    kind = str(obj["kind"])
    definitions = {
        "customresourcedefinition": group == "apiextensions.k8s.io",
        "namespace": obj["apiVersion"] == "v1",
        "clusterrole": group == "rbac.authorization.k8s.io",
    }
    if definitions.get(kind.lower()):
        return 0
    if kind.endswith("Class"):
        return 1
    return 2 if (group, kind) in custom else 3


def _named(answer: Object, obj: Object) -> Object:
    """An object of the cluster with the kind that was asked for, which lists and some answers leave out."""
    answer.setdefault("apiVersion", obj["apiVersion"])
    answer.setdefault("kind", obj["kind"])
    return answer


def _change(obj: Object, action: str) -> Change:
    return Change(ObjectRef.of(obj), version_of(obj["apiVersion"]), action)


def is_immutable(error: Exception) -> bool:
    """Whether an error may mean that a field cannot be changed (as kubectl decides it)."""
    if isinstance(error, StatusError) and error.reason in ("Conflict", "Invalid"):
        return True
    return bool(_IMMUTABLE.search(str(error)))


def dry_run_error(error: Exception, obj: Object) -> str:
    """Why a dry run failed, in Flux's words."""
    who = ObjectRef.of(obj)
    reason = error.reason if isinstance(error, StatusError) else ""
    if reason == "NotFound":
        return f"{who} {'not found' if who.namespace else 'namespace not specified'}: {error}"
    if isinstance(error, StatusError):
        causes = (error.details or {}).get("causes") or []
        if any(cause.get("reason") == "FieldManagerConflict" for cause in causes):
            reason = "FieldManagerConflict"
    return f"{who} dry-run failed{f' ({reason})' if reason else ''}: {error}"


def _masked(text: str, obj: Object) -> str:
    """A message without the values of a Secret, should the server have quoted one."""
    if obj["apiVersion"] != "v1" or obj["kind"] != "Secret":
        return text
    for value in {**(obj.get("data") or {}), **(obj.get("stringData") or {})}.values():
        shown = [str(value)]
        try:
            shown.append(base64.b64decode(str(value), validate=True).decode())
        except (binascii.Error, ValueError):
            pass  # it is no base64, or not of text
        for secret in shown:
            if len(secret) > 3:  # shorter ones would take ordinary words away and give nothing up
                text = text.replace(secret, "***")
    return text


async def _all(work: list[Awaitable[_Plan]]) -> list[_Plan]:
    """The results of all; the first failure ends the others."""
    tasks = [asyncio.ensure_future(item) for item in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
