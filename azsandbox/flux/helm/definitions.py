"""CustomResourceDefinitions in a chart's crds folder, by spec.install.crds and spec.upgrade.crds.

Rules and texts: helm-controller, internal/action/crds.go.
"""

from __future__ import annotations

from azsandbox.flux.helm.engine import Chart
from azsandbox.flux.helm.errors import HelmFailed
from azsandbox.flux.helm.resources import Changed, How, Info, ResourceClient
from azsandbox.flux.helm.waits import DEFINITIONS, Waits

SKIP, CREATE, CREATE_REPLACE = "Skip", "Create", "CreateReplace"
_PREFIX = "failed to apply CustomResourceDefinitions: "
KIND = ("apiextensions.k8s.io", "CustomResourceDefinition")


async def applied(
    resources: ResourceClient,
    waits: Waits | None,
    chart: Chart,
    policy: str,
    labels: dict[str, str],
    *,
    server_side: bool,
) -> None:
    """Applies a chart's definitions, with `labels`, and waits until they are served. Raises HelmFailed."""
    if not chart.definitions:
        return
    if policy == SKIP:
        resources.log.say("skipping CustomResourceDefinition apply: policy is set to Skip")
        return
    infos = await _definitions(resources, chart)
    for info in infos:
        metadata = info.obj["metadata"]
        metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    resources.log.say(f"applying CustomResourceDefinition(s) with policy {policy}")
    how = How(server_side=server_side, force_conflicts=server_side, replace=not server_side)
    if policy == CREATE_REPLACE:
        there = await resources.existing(infos, "", "", take=True)
        try:
            await resources.update(there, infos, how, Changed())
        except HelmFailed as error:
            raise HelmFailed(f"{_PREFIX}failed to update CustomResourceDefinition(s): {error}") from None
        written = infos
    else:
        written = await _created(resources, infos, How(server_side=server_side, force_conflicts=server_side))
    if not written:
        return
    if waits is not None:
        try:
            await waits.ready(written, DEFINITIONS, jobs=False)
        except HelmFailed as error:
            raise _failed(resources, f"failed to wait for CustomResourceDefinition(s): {error}") from None
    resources.log.say(f"successfully applied {len(written)} CustomResourceDefinition(s)")
    resources.log.say("clearing REST mapper cache")
    resources.mapping.forget()


async def _created(resources: ResourceClient, infos: list[Info], how: How) -> list[Info]:
    """Creates definitions one by one; without server-side apply, one that is there stays as it is."""
    written = []
    for info in infos:
        try:
            await resources.create([info], how)
        except HelmFailed as error:
            if not how.server_side and "already exists" in str(error):
                resources.log.say(f"CustomResourceDefinition {info.name} is already present. Skipping.")
                continue
            raise _failed(resources, f"failed to create CustomResourceDefinition {info.name}: {error}") from None
        written.append(info)
    return written


async def _definitions(resources: ResourceClient, chart: Chart) -> list[Info]:
    found = []
    for file in chart.definitions:
        try:
            found += await resources.build(file["data"])
        except HelmFailed as error:
            text = f"failed to parse CustomResourceDefinitions from {file['name']}: {error}"
            raise _failed(resources, text) from None
    # anything else in that folder is passed over
    return [info for info in found if info.key[:2] == KIND]


def _failed(resources: ResourceClient, text: str) -> HelmFailed:
    resources.log.say(f"error: {text}")
    return HelmFailed(_PREFIX + text)
