"""ImageRepository: the tags of an image in its registry."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.controllers.events import timestamp
from azsandbox.controllers.informer import Informers
from azsandbox.controllers.objects import time_of
from azsandbox.flux import conditions
from azsandbox.flux.azure import GATE_DISABLED
from azsandbox.flux.durations import go_duration, seconds
from azsandbox.flux.image.outcomes import Failed, ImageReconciler, Stalled
from azsandbox.flux.image.registry_access import BadImage, NoAccess, access, gate_missing, image_repository, timeout
from azsandbox.flux.image.tags import Tags
from azsandbox.flux.oci import RegistryError, Repository
from azsandbox.flux.reconciler import REQUESTED
from azsandbox.flux.web import Web
from azsandbox.patterns import PatternError, compiled

API_VERSION = "image.toolkit.fluxcd.io/v1"
SHOWN = 10  # tags in the status
_SIGNATURES = r"^.*\.sig$"  # what is left out unless the object says
_NOTHING_NEW = 1.0  # seconds to the next scan below which it is made at once
_FIRST, _REQUEST, _NAME = "first scan", "reconcile requested", "new image name"
_LIST, _EMPTY, _INTERVAL = "updated exclusion list", "no tags in database", "triggered by interval"


def exclusions(spec: Object) -> list[str]:
    """Expressions for tags that do not count."""
    return list(spec.get("exclusionList") or [_SIGNATURES])


class ImageRepositories(ImageReconciler):
    """Scans repositories."""

    name = "image-reflector-controller"
    api_version = API_VERSION
    resource = "imagerepositories"
    kind = "ImageRepository"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.web = Web(self.flux.outbound)
        self.tags: Tags = options.setdefault("memory", {}).setdefault("tags", Tags())

    async def close(self) -> None:
        await self.web.close()

    async def work(self, obj: Object, before: Object) -> tuple[str, float]:
        """The stages of one reconciliation."""
        spec, status = obj["spec"], obj["status"]
        if gate_missing(spec):
            raise Stalled("FeatureGateDisabled", GATE_DISABLED)
        await self.begin(obj)

        # Which repository it is
        try:
            repository = image_repository(spec["image"], insecure=bool(spec.get("insecure")))
        except BadImage as error:
            raise Stalled("ImageURLInvalid", str(error)) from None
        conditions.remove(obj, conditions.STALLED)

        # How its registry is reached
        try:
            way = await access(self.client, self.web, self.flux, obj)
        except NoAccess as error:
            raise Failed("AuthenticationFailed", str(error)) from None

        # A scan, if it is time for one
        reason, after = self._why(obj, repository)
        if reason:
            self.progress(obj, f"scanning: {reason}", drift=reason == _EMPTY)
            await self.save(obj)
            try:
                async with asyncio.timeout(timeout(spec)):
                    found = await way.client(self.web, repository, timeout(spec)).tags()
                self._keep(obj, repository, found)
            except TimeoutError:
                raise Failed("ReadOperationFailed", "scan failed: context deadline exceeded") from None
            except (RegistryError, PatternError) as error:
                raise Failed("ReadOperationFailed", f"scan failed: {error}") from None
            last = ((before.get("status") or {}).get("lastScanResult") or {}).get("revision")
            same = last is not None and last == status["lastScanResult"]["revision"]
            said = "tags did not change" if same else "successful scan"
        else:
            said = "no change in repository configuration since last scan"
        self.said[obj["metadata"]["uid"]] = f"{said}, next scan in {go_duration(after)}"

        # What was observed
        status["canonicalImageName"] = str(repository)
        status["observedExclusionList"] = exclusions(spec)
        scan = status["lastScanResult"]
        return f"successful scan: found {scan['tagCount']} tags with checksum {scan['revision']}", after

    def _why(self, obj: Object, repository: Repository) -> tuple[str, float]:
        """Why it is to be scanned now, empty if it is not; and after how many seconds it is looked at again."""
        spec, status = obj["spec"], obj["status"]
        interval = seconds(spec["interval"])
        scan = status.get("lastScanResult")
        if not scan:
            return _FIRST, interval
        requested = (obj["metadata"].get("annotations") or {}).get(REQUESTED)
        if requested is not None and requested != status.get("lastHandledReconcileAt", ""):
            return _REQUEST, interval
        if str(repository) != status.get("canonicalImageName"):
            return _NAME, interval
        if sorted(exclusions(spec)) != sorted(status.get("observedExclusionList") or []):
            return _LIST, interval
        if not self.tags.get(str(repository)):
            return _EMPTY, interval
        scanned = time_of(scan.get("scanTime"))
        left = interval - (dt.datetime.now(dt.UTC) - scanned).total_seconds() if scanned else 0.0
        return (_INTERVAL, interval) if left < _NOTHING_NEW else ("", left)

    def _keep(self, obj: Object, repository: Repository, found: list[str]) -> None:
        """Keeps the tags that count, newest name first. Raises PatternError."""
        patterns = []
        for text in exclusions(obj["spec"]):
            try:
                patterns.append(compiled(text))
            except PatternError as error:
                raise PatternError(f"failed to compile regex {text}: {error}") from None
        kept = sorted((tag for tag in found if not any(p.matches(tag) for p in patterns)), reverse=True)
        revision = self.tags.set(str(repository), kept)
        result: Object = {"revision": revision, "tagCount": len(kept), "scanTime": timestamp()}
        if kept:
            result["latestTags"] = kept[:SHOWN]
        obj["status"]["lastScanResult"] = result
