"""What Helm's actions have in common: whom they act as, and a chart rendered into a release.

Rules and texts: helm.sh/helm/v4/pkg/action; options: helm-controller, internal/action.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import Any

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.flux.expressions import HealthChecks
from azsandbox.flux.helm import capabilities, engine, lookup, manifests, post_render, spec
from azsandbox.flux.helm.engine import Chart, Purpose, RenderFailed
from azsandbox.flux.helm.errors import HelmFailed
from azsandbox.flux.helm.hooks import Hooks
from azsandbox.flux.helm.logs import HelmLog
from azsandbox.flux.helm.releases import CLIENT_SIDE, SERVER_SIDE, Release
from azsandbox.flux.helm.resources import Info, ResourceClient
from azsandbox.flux.helm.settings import Settings
from azsandbox.flux.helm.storage import Storage, StorageError
from azsandbox.flux.helm.waits import LEGACY, POLLER, Waits
from azsandbox.flux.rest_mapping import RestMapping
from azsandbox.flux.semver import InvalidVersion, Range, Version

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LONGEST_NAME = 53


@dataclass
class Action:
    """An action on the release of a HelmRelease, as the account that it names."""

    obj: Object
    client: KubeClient
    mapping: RestMapping
    storage: Storage
    checks: HealthChecks
    log: HelmLog
    settings: Settings

    def options(self, action: str) -> dict[str, Any]:
        """The part of the spec that is about an action."""
        return spec.part(self.obj, action)

    @property
    def resources(self) -> ResourceClient:
        return ResourceClient(self.client, self.mapping, spec.release_namespace(self.obj), self.log)

    async def built(self, manifest: str, what: str) -> list[Info]:
        """The objects of a release's manifest. Raises HelmFailed."""
        try:
            return await self.resources.build(manifest)
        except HelmFailed as error:
            raise HelmFailed(f"unable to build kubernetes objects from {what}: {error}") from None

    def waits(self) -> Waits:
        default = LEGACY if self.settings.helm3_defaults else POLLER
        strategy = spec.part(self.obj, "waitStrategy").get("name") or default
        return Waits(self.client, self.mapping, self.checks, strategy)

    def hooks(self, action: str) -> Hooks:
        """How the hooks of an action run."""
        waits_for_deletion = not self.options(action).get("disableWait")
        timeout = spec.timeout(self.obj, action)
        return Hooks(self.resources, self.waits(), self.record, timeout, waits_for_deletion)

    async def record(self, release: Release) -> None:
        """Stores what a release has become; a failure to is Helm's to swallow."""
        try:
            await self.storage.update(release)
        except StorageError as error:
            self.log.say(
                "warning: failed to update release", error=error, name=release["name"], revision=release["version"]
            )


def check_name(name: str, what: str) -> None:
    """Raises HelmFailed for a name that Helm does not take."""
    if len(name) > LONGEST_NAME or not NAME.fullmatch(name):
        raise HelmFailed(what)


def server_side(mode: str, last: Release) -> bool:
    """Whether objects are applied server-side: `enabled`, `disabled`, or as the last release's were."""
    if mode in ("", "auto"):
        return str(last.get("apply_method", "")) == SERVER_SIDE
    return mode == "enabled"


def apply_method(is_server_side: bool) -> str:
    """As a release records it."""
    return SERVER_SIDE if is_server_side else CLIENT_SIDE


@dataclass(frozen=True)
class Rendering:
    """A chart's objects, ready to be released."""

    hooks: list[dict[str, Any]]
    manifest: str
    notes: str
    chart: dict[str, Any]


async def render(action: Action, chart: Chart, values: dict[str, Any], revision: int, of: str) -> Rendering:
    """Renders a chart with the cluster's eyes and puts it through the post-renderers. Raises HelmFailed."""
    skip_schema = bool(action.options(of).get("disableSchemaValidation"))
    constraint = str(chart.metadata.get("kubeVersion") or "")
    known = None
    if constraint or chart.archive.mentions(capabilities.WORD):
        known = await capabilities.capabilities(action.client, action.mapping)
    async with contextlib.AsyncExitStack() as stack:
        how: dict[str, Any] = {}
        if chart.archive.mentions(lookup.WORD):
            how = await stack.enter_async_context(lookup.reading(action.client))
        purpose = Purpose(
            spec.short_name(spec.release_name(action.obj)),
            spec.release_namespace(action.obj),
            revision,
            of == spec.UPGRADE,
            skip_schema,
            known if chart.archive.mentions(capabilities.WORD) else None,
            how,
        )
        try:
            rendered = await engine.render(chart, values, purpose)
        except engine.BadValues:
            raise
        except RenderFailed:
            if known is not None:
                _check_version(constraint, known.kube_version)
            raise
    if known is not None:
        _check_version(constraint, known.kube_version)
    default = post_render.NO_HOOKS if action.settings.helm3_defaults else post_render.COMBINED
    strategy = action.obj["spec"].get("postRenderStrategy") or default
    files = await post_render.post_rendered(action.obj, rendered.files, strategy)
    hooks, others = manifests.taken_apart(files)
    return Rendering(hooks, manifests.joined(others), rendered.notes, rendered.chart)


def _check_version(constraint: str, version: str) -> None:
    """Raises HelmFailed if a chart does not take the cluster's version."""
    if not constraint:
        return
    try:
        fits = Version.parse(version) in Range(constraint)
    except InvalidVersion:
        fits = False
    if not fits:
        text = f"chart requires kubeVersion: {constraint} which is incompatible with Kubernetes {version}"
        raise HelmFailed(text)
