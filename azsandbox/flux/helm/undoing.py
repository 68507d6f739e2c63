"""Helm's rollback, uninstall and test (helm.sh/helm/v4/pkg/action)."""

from __future__ import annotations

import contextlib
import copy

from azsandbox.flux.helm import actions, manifests, releases, spec
from azsandbox.flux.helm.actions import Action
from azsandbox.flux.helm.errors import HelmFailed
from azsandbox.flux.helm.manifests import Manifest
from azsandbox.flux.helm.releases import Release
from azsandbox.flux.helm.resources import KEEP, POLICY, Changed, How, Info, owned_by
from azsandbox.flux.helm.spec import ROLLBACK, UNINSTALL
from azsandbox.flux.helm.storage import NoDeployedRelease, ReleaseNotFound, StorageError


async def rollback(action: Action, name: str, version: int) -> None:
    """Releases an earlier version anew. Raises HelmFailed."""
    options = action.options(ROLLBACK)
    storage = action.storage
    storage.max_history = spec.max_history(action.obj)
    action.log.say("preparing rollback", name=name)
    known = await storage.history(name)
    current = known[-1]
    target = next((one for one in known if one["version"] == version), None)
    if target is None:
        raise HelmFailed(f"release has no {version} version")
    action.log.say("rolling back", name=name, currentVersion=current["version"], targetVersion=version)
    server_side = actions.server_side(str(options.get("serverSideApply") or ""), target)
    release = copy.deepcopy(target)
    release |= {"version": current["version"] + 1, "namespace": current["namespace"]}
    release["apply_method"] = actions.apply_method(server_side)
    release["info"] = {
        "first_deployed": current["info"].get("first_deployed") or releases.now(),
        "last_deployed": releases.now(),
        "status": releases.PENDING_ROLLBACK,
        "description": f"Rollback to {version}",
        **({"notes": target["info"]["notes"]} if target["info"].get("notes") else {}),
    }
    action.log.say("creating rolled back release", name=name)
    await storage.create(release)
    action.log.say("performing rollback", name=name)
    await _perform_rollback(action, current, release, server_side=server_side)
    action.log.say("updating status for rolled back release", name=name)
    await storage.update(release)


async def _perform_rollback(action: Action, current: Release, release: Release, *, server_side: bool) -> None:
    options, hooks, resources = action.options(ROLLBACK), action.hooks(ROLLBACK), action.resources
    before = await action.built(current["manifest"], "current release manifest")
    infos = await action.built(release["manifest"], "new release manifest")
    if options.get("disableHooks"):
        action.log.say("rollback hooks disabled", name=release["name"])
    else:
        await hooks.run(release, "pre-rollback", server_side=server_side)
    for info in infos:
        owned_by(info.obj, release["name"], release["namespace"])
    how = How(
        server_side=server_side,
        force_conflicts=server_side,
        replace=bool(options.get("force")) and not server_side,
        take_managers=True,
    )
    changed = Changed()
    try:
        await resources.update(before, infos, how, changed)
    except HelmFailed as error:
        text = f'Rollback "{release["name"]}" failed: {error}'
        action.log.say(f"warning: {text}")
        current["info"]["status"] = releases.SUPERSEDED
        releases.set_status(release, releases.FAILED, text)
        await action.record(current)
        await action.record(release)
        if options.get("cleanupOnFail"):
            await _clean_up(action, changed)
        raise
    if not options.get("disableWait"):
        timeout = spec.timeout(action.obj, ROLLBACK)
        try:
            await action.waits().ready(infos, timeout, jobs=not options.get("disableWaitForJobs"))
        except HelmFailed as error:
            releases.set_status(release, releases.FAILED, f'Release "{release["name"]}" failed: {error}')
            await action.record(current)
            await action.record(release)
            raise HelmFailed(f"release {release['name']} failed: {error}") from None
    if not options.get("disableHooks"):
        await hooks.run(release, "post-rollback", server_side=server_side)
    await _supersede(action, release["name"])
    release["info"]["status"] = releases.DEPLOYED


async def _clean_up(action: Action, changed: Changed) -> None:
    action.log.say("cleanup on fail set, cleaning up resources", count=len(changed.created))
    errors = await action.resources.delete(changed.created, "Background")
    if errors:
        text = "an error occurred while cleaning up resources. original rollback error: unable to cleanup resources: "
        raise HelmFailed(text + ", ".join(map(str, errors))) from None
    action.log.say("resource cleanup complete")


async def uninstall(action: Action, name: str) -> Release:
    """Deletes a release's objects, and its storage unless history is kept. Raises HelmFailed; returns the release."""
    options = action.options(UNINSTALL)
    keeps = bool(options.get("keepHistory"))
    try:
        known = await action.storage.history(name)
    except StorageError as error:
        found = Uninstalled if isinstance(error, ReleaseNotFound) else HelmFailed
        raise found(f"uninstall: Release not loaded: {name}: {error}") from None
    release = known[-1]
    if release["info"].get("status") == releases.UNINSTALLED:
        if keeps:
            raise HelmFailed(f'the release named "{name}" is already deleted')
        await _purge(action, known)
        return release
    action.log.say("uninstall: deleting release", name=name)
    release["info"] |= {
        "status": releases.UNINSTALLING,
        "deleted": releases.now(),
        "description": "Deletion in progress (or silently failed)",
    }
    hooks = action.hooks(UNINSTALL)
    if options.get("disableHooks"):
        action.log.say("delete hooks disabled", release=name)
    else:
        await hooks.run(release, "pre-delete", server_side=True)
    await action.record(release)

    # Objects go in the order of kinds for that, but for those that are to stay
    infos = await _delete(action, release, str(options.get("deletionPropagation") or "background"))
    errors = []
    if not options.get("disableWait"):
        try:
            await action.waits().gone(infos, spec.timeout(action.obj, UNINSTALL))
        except HelmFailed as error:
            errors.append(str(error))
    if not options.get("disableHooks"):
        try:
            await hooks.run(release, "post-delete", server_side=True)
        except HelmFailed as error:
            errors.append(str(error))

    # Storage goes too, or says what has become of the release
    releases.set_status(release, releases.UNINSTALLED, "Uninstallation complete")
    if keeps:
        await action.record(release)
        await _supersede(action, name)
    else:
        action.log.say("purge requested", release=name)
        try:
            await _purge(action, known)
        except StorageError as error:
            errors.append(f"uninstall: Failed to purge the release: {error}")
    if errors:
        raise HelmFailed(f"uninstallation completed with {len(errors)} error(s): {'; '.join(errors)}")
    return release


class Uninstalled(HelmFailed):
    """There is no such release, so that there is nothing to uninstall."""


async def _delete(action: Action, release: Release, propagation: str) -> list[Info]:
    files = {f"manifest-{n}": text for n, text in enumerate(manifests.split(release.get("manifest", "")))}
    name = release["name"]
    try:
        _, found = manifests.taken_apart(files, manifests.UNINSTALL_ORDER)
        going = "".join(f"\n---\n{one.text}" for one in found if not _is_kept(one))
        infos = await action.resources.build(going)
    except HelmFailed as error:
        action.log.say("uninstall: Failed to delete release", error=[error])
        raise HelmFailed(f"failed to delete release: {name}") from None
    errors = await action.resources.delete(infos, propagation.capitalize()) if infos else []
    if errors:
        action.log.say("uninstall: Failed to delete release", error=errors)
        raise HelmFailed(f"failed to delete release: {name}")
    return infos


def _is_kept(one: Manifest) -> bool:
    annotations = (one.head.get("metadata") or {}).get("annotations") or {}
    return str(annotations.get(POLICY, "")).strip().lower() == KEEP


async def _purge(action: Action, known: list[Release]) -> None:
    for one in known:
        await action.storage.delete(one["name"], one["version"])


async def _supersede(action: Action, name: str) -> None:
    """Every version that counts as deployed has been superseded."""
    with contextlib.suppress(NoDeployedRelease):
        for one in await action.storage.deployed(name):
            action.log.say("superseding previous deployment", version=one["version"])
            one["info"]["status"] = releases.SUPERSEDED
            await action.record(one)


async def test(action: Action) -> Release:
    """Runs the tests of the last release. Raises HelmFailed, the results stored all the same; returns the release."""
    name = spec.short_name(spec.release_name(action.obj))
    release = await action.storage.last(name)
    filters = spec.part(action.obj, "test").get("filters") or []
    excluded = {one["name"] for one in filters if one.get("exclude")}
    included = {one["name"] for one in filters if not one.get("exclude")}
    hooks = release.get("hooks") or []
    skipped = [
        hook
        for hook in hooks
        if hook.get("name", "") in excluded or (included and hook.get("name", "") not in included)
    ]
    release["hooks"] = [hook for hook in hooks if hook not in skipped]
    server_side = release.get("apply_method") == releases.SERVER_SIDE
    try:
        await action.hooks("test").run(release, releases.TEST, server_side=server_side)
    except HelmFailed:
        release["hooks"] = [*skipped, *release["hooks"]]
        await action.record(release)
        raise
    release["hooks"] = [*skipped, *release["hooks"]]
    await action.storage.update(release)
    return release
