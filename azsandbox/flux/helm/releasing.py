"""Helm's install and upgrade (helm.sh/helm/v4/pkg/action, install.go and upgrade.go)."""

from __future__ import annotations

import copy
from typing import Any

from azsandbox.controllers.client import path
from azsandbox.flux.helm import actions, definitions, post_render, releases, spec
from azsandbox.flux.helm.actions import Action, Rendering
from azsandbox.flux.helm.engine import Chart
from azsandbox.flux.helm.errors import HelmFailed
from azsandbox.flux.helm.releases import Release
from azsandbox.flux.helm.resources import Changed, How, Info, owned_by
from azsandbox.flux.helm.spec import INSTALL, UPGRADE
from azsandbox.flux.helm.storage import NoDeployedRelease, ReleaseNotFound
from azsandbox.flux.helm.values import merged
from azsandbox.kubernetes.errors import StatusError


async def install(action: Action, chart: Chart, values: dict[str, Any]) -> None:
    """Installs a chart as the first version of a release. Raises HelmFailed."""
    options = action.options(INSTALL)
    server_side = options.get("serverSideApply", not action.settings.helm3_defaults)
    name, namespace = spec.short_name(spec.release_name(action.obj)), spec.release_namespace(action.obj)
    await _apply_definitions(action, chart, INSTALL, server_side=server_side)

    # The name must be free, or given up by a release that has failed or gone
    last = await _check_free(action, name, replace=bool(options.get("replace")))

    # The chart is rendered; nothing is stored if that fails
    rendering = await actions.render(action, chart, values, 1, INSTALL)
    release = _release(action, rendering, values, 1, releases.PENDING_INSTALL, server_side)
    release["info"]["description"] = "Initial install underway"

    # Its objects are built, and those that are there already taken over
    resources = action.resources
    try:
        infos = await resources.build(release["manifest"], validate=not options.get("disableOpenAPIValidation"))
    except HelmFailed as error:
        text = f"unable to build kubernetes objects from release manifest: {error}"
        raise HelmFailed(text) from None
    for info in infos:
        owned_by(info.obj, name, namespace)
    try:
        there = await resources.existing(infos, name, namespace, take=not options.get("disableTakeOwnership"))
    except HelmFailed as error:
        raise HelmFailed(f"unable to continue with install: {error}") from None
    if options.get("createNamespace") and action.obj["spec"].get("targetNamespace"):
        await _create_namespace(action, namespace)

    # From here on the release is in storage, whatever becomes of it
    if last is not None:
        release["version"] = last["version"] + 1
        if last["info"].get("status") != releases.FAILED:
            releases.set_status(last, releases.SUPERSEDED, "superseded by new release")
            await action.storage.update(last)
    await action.storage.create(release)
    try:
        await _perform_install(action, release, infos, there, options, server_side=server_side)
    except HelmFailed as error:
        releases.set_status(release, releases.FAILED, f'Release "{name}" failed: {error}')
        await action.record(release)
        raise


async def _perform_install(
    action: Action,
    release: Release,
    infos: list[Info],
    there: list[Info],
    options: dict[str, Any],
    *,
    server_side: bool,
) -> None:
    hooks, resources = action.hooks(INSTALL), action.resources
    if not options.get("disableHooks"):
        try:
            await hooks.run(release, "pre-install", server_side=server_side)
        except HelmFailed as error:
            raise HelmFailed(f"failed pre-install: {error}") from None
    if infos and not there:
        await resources.create(infos, How(server_side=server_side))
    elif infos:
        how = How(server_side=server_side, force_conflicts=server_side, take_managers=True, three_way=not server_side)
        await resources.update(there, infos, how, Changed())
    await _wait(action, infos, INSTALL)
    if not options.get("disableHooks"):
        try:
            await hooks.run(release, "post-install", server_side=server_side)
        except HelmFailed as error:
            raise HelmFailed(f"failed post-install: {error}") from None
    releases.set_status(release, releases.DEPLOYED, "Install complete")
    await action.record(release)


async def _check_free(action: Action, name: str, *, replace: bool) -> Release | None:
    """The release that an install of this name replaces, or None. Raises HelmFailed for one that is in use."""
    if len(name) > actions.LONGEST_NAME or not actions.NAME.fullmatch(name):
        wrong = f"invalid release name, must match regex ^{actions.NAME.pattern}$ and the length must not be longer"
        raise _not_free(action, f'release name "{name}": {wrong} than {actions.LONGEST_NAME}')
    try:
        last = await action.storage.last(name)
    except HelmFailed:
        return None
    if replace and last["info"].get("status") in (releases.UNINSTALLED, releases.FAILED):
        return last
    raise _not_free(action, "cannot reuse a name that is still in use")


def _not_free(action: Action, why: str) -> HelmFailed:
    found = HelmFailed(f"release name check failed: {why}")
    action.log.say("error: release name check failed", error=found)
    return found


async def _create_namespace(action: Action, namespace: str) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace, "labels": {"name": namespace}},
    }
    try:
        await action.client.apply(path("v1", "namespaces", "", namespace), body, spec.MANAGER, force=False)
    except StatusError as error:
        raise HelmFailed(f"server-side apply failed for object /{namespace} /v1, Kind=Namespace: {error}") from None


async def upgrade(action: Action, chart: Chart, values: dict[str, Any]) -> None:
    """Brings a release to another chart or other values. Raises HelmFailed."""
    options = action.options(UPGRADE)
    name = spec.short_name(spec.release_name(action.obj))
    action.storage.max_history = spec.max_history(action.obj)

    # What there is decides how objects are applied
    try:
        last = await action.storage.last(name)
    except ReleaseNotFound:
        raise NoDeployedRelease(name) from None
    server_side = actions.server_side(str(options.get("serverSideApply") or ""), last)
    await _apply_definitions(action, chart, UPGRADE, server_side=server_side)
    actions.check_name(name, f"release name is invalid: {name}")
    action.log.say("preparing upgrade", name=name)
    if last["info"].get("status") in releases.PENDING:
        raise HelmFailed("another operation (install/upgrade/rollback) is in progress")
    current = await _current(action, last)

    # The chart is rendered with its values, or over those of the current release
    if options.get("preserveValues"):
        action.log.say("reusing the old release's values")
        chart, values = _preserving(chart, current, values)
    else:
        action.log.say("resetting values to the chart's original version")
    version = last["version"] + 1
    rendering = await actions.render(action, chart, values, version, UPGRADE)
    method = str(last.get("apply_method") or "")
    action.log.say(
        "determined release apply method", server_side_apply=server_side, previous_release_apply_method=method
    )
    release = _release(action, rendering, values, version, releases.PENDING_UPGRADE, server_side)
    release["info"] |= {
        "first_deployed": current["info"].get("first_deployed") or release["info"]["last_deployed"],
        "description": "Preparing upgrade",
    }
    release["namespace"], release["labels"] = current["namespace"], dict(last.get("labels") or {})

    resources = action.resources
    infos = await resources.build(release["manifest"], validate=not options.get("disableOpenAPIValidation"))

    # Objects that are new to the release may be there already
    action.log.say("performing update", name=name)
    before = await action.built(current["manifest"], "current release manifest")
    for info in infos:
        owned_by(info.obj, name, release["namespace"])
    known = {info.key for info in before}
    new = [info for info in infos if info.key not in known]
    try:
        take = not options.get("disableTakeOwnership")
        before += await resources.existing(new, name, release["namespace"], take=take)
    except HelmFailed as error:
        raise HelmFailed(f"unable to continue with update: {error}") from None

    # From here on the new version is in storage, whatever becomes of it
    action.log.say("creating upgraded release", name=name)
    await action.storage.create(release)
    changed = Changed()
    try:
        await _perform_upgrade(action, current, release, before, infos, changed, server_side=server_side)
    except HelmFailed as error:
        action.log.say("warning: upgrade failed", error=error, name=name)
        releases.set_status(release, releases.FAILED, f'Upgrade "{name}" failed: {error}')
        await action.record(release)
        if options.get("cleanupOnFail") and changed.created:
            await _clean_up(action, changed, error)
        raise


async def _perform_upgrade(
    action: Action,
    current: Release,
    release: Release,
    before: list[Info],
    infos: list[Info],
    changed: Changed,
    *,
    server_side: bool,
) -> None:
    options = action.options(UPGRADE)
    hooks = action.hooks(UPGRADE)
    if not options.get("disableHooks"):
        try:
            await hooks.run(release, "pre-upgrade", server_side=server_side)
        except HelmFailed as error:
            raise HelmFailed(f"pre-upgrade hooks failed: {error}") from None
    else:
        action.log.say("upgrade hooks disabled", name=release["name"])
    how = How(
        server_side=server_side,
        force_conflicts=server_side,
        replace=bool(options.get("force")) and not server_side,
        take_managers=server_side and current.get("apply_method") != releases.SERVER_SIDE,
    )
    try:
        await action.resources.update(before, infos, how, changed)
        await _wait(action, infos, UPGRADE)
    except HelmFailed:
        await action.record(current)
        raise
    if not options.get("disableHooks"):
        try:
            await hooks.run(release, "post-upgrade", server_side=server_side)
        except HelmFailed as error:
            raise HelmFailed(f"post-upgrade hooks failed: {error}") from None
    current["info"]["status"] = releases.SUPERSEDED
    await action.record(current)
    releases.set_status(release, releases.DEPLOYED, "Upgrade complete")
    await action.storage.update(release)


async def _current(action: Action, last: Release) -> Release:
    """The release that runs: the last that was deployed, or a failed or superseded one if none was."""
    if last["info"].get("status") == releases.DEPLOYED:
        return last
    try:
        return (await action.storage.deployed(last["name"]))[-1]
    except NoDeployedRelease:
        if last["info"].get("status") in (releases.FAILED, releases.SUPERSEDED):
            return last
        raise


def _preserving(chart: Chart, current: Release, values: dict[str, Any]) -> tuple[Chart, dict[str, Any]]:
    """A chart whose defaults are the current release's values, and those that were given with its own below them."""
    config = current.get("config") or {}
    defaults = merged((current.get("chart") or {}).get("values") or {}, config)
    return Chart(chart.archive.with_values(defaults), chart.metadata, chart.definitions), merged(config, values)


# --- what both have


async def _apply_definitions(action: Action, chart: Chart, of: str, *, server_side: bool) -> None:
    options = action.options(of)
    waits = None if options.get("disableWait") else action.waits()
    policy = str(options.get("crds") or definitions.CREATE)
    labels = post_render.origin_labels(action.obj)
    await definitions.applied(action.resources, waits, chart, policy, labels, server_side=server_side)


def _release(
    action: Action, rendering: Rendering, values: dict[str, Any], version: int, status: str, server_side: bool
) -> Release:
    now = releases.now()
    info = {"first_deployed": now, "last_deployed": now, "status": status}
    if rendering.notes:
        info["notes"] = rendering.notes
    return {
        "name": spec.short_name(spec.release_name(action.obj)),
        "info": info,
        "chart": rendering.chart,
        "config": copy.deepcopy(values),
        "manifest": rendering.manifest,
        "hooks": rendering.hooks,
        "version": version,
        "namespace": spec.release_namespace(action.obj),
        "apply_method": actions.apply_method(server_side),
    }


async def _wait(action: Action, infos: list[Info], of: str) -> None:
    options = action.options(of)
    if not options.get("disableWait"):
        timeout = spec.timeout(action.obj, of)
        await action.waits().ready(infos, timeout, jobs=not options.get("disableWaitForJobs"))


async def _clean_up(action: Action, changed: Changed, error: HelmFailed) -> None:
    action.log.say("cleanup on fail set", cleaning_resources=len(changed.created))
    errors = await action.resources.delete(changed.created, "Background")
    if errors:
        text = f"an error occurred while cleaning up resources. original upgrade error: {error}: "
        raise HelmFailed(f"{text}unable to cleanup resources: {', '.join(map(str, errors))}") from None
    action.log.say("resource cleanup complete")
