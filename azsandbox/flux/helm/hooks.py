"""Hooks: objects that are created at a moment of a release and waited for (helm.sh/helm/v4/pkg/action/hooks.go)."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

from azsandbox.flux.helm import manifests, releases
from azsandbox.flux.helm.errors import HelmFailed
from azsandbox.flux.helm.releases import Hook, Release
from azsandbox.flux.helm.resources import How, Info, ResourceClient
from azsandbox.flux.helm.waits import Waits

BEFORE, SUCCEEDED, FAILED = "before-hook-creation", "hook-succeeded", "hook-failed"
Record = Callable[[Release], Awaitable[None]]


class Hooks:
    """Runs the hooks of releases. `record` stores what has become of a release meanwhile.

    `waits_for_deletion` is false where an action waits for nothing but hooks.
    """

    def __init__(
        self, resources: ResourceClient, waits: Waits, record: Record, timeout: float, waits_for_deletion: bool = True
    ) -> None:
        self.resources, self.waits, self.record, self.timeout = resources, waits, record, timeout
        self.waits_for_deletion = waits_for_deletion

    async def run(self, release: Release, event: str, *, server_side: bool) -> None:
        """Runs the hooks of an event by weight, and stops at the first that fails. Raises HelmFailed."""
        done: list[Hook] = []
        for hook in manifests.by_weight(release.get("hooks") or [], event):
            if not hook.get("delete_policies"):
                hook["delete_policies"] = [BEFORE]

            # What is left of an earlier run goes first
            await self._delete(hook, BEFORE)
            try:
                infos = await self.resources.build(hook["manifest"], validate=True)
            except HelmFailed as error:
                text = f"unable to build kubernetes object for {event} hook {hook['path']}: {error}"
                raise HelmFailed(text) from None

            # The release says that the hook is running
            run = hook["last_run"] = {"started_at": releases.now(), "phase": "Running"}
            await self.record(release)
            run["phase"] = "Unknown"

            # The hook's objects are created, and waited for
            try:
                await self.resources.create(infos, How(server_side=server_side))
            except HelmFailed as error:
                run |= {"completed_at": releases.now(), "phase": "Failed"}
                raise HelmFailed(f"warning: Hook {event} {hook['path']} failed: {error}") from None
            try:
                await self.waits.hook(infos, self.timeout)
            except HelmFailed:
                run |= {"completed_at": releases.now(), "phase": "Failed"}
                with contextlib.suppress(HelmFailed):  # the hook's own failure is what counts
                    await self._delete(hook, FAILED)
                    for earlier in done:
                        await self._delete(earlier, SUCCEEDED)
                raise
            run |= {"completed_at": releases.now(), "phase": "Succeeded"}
            done.append(hook)

        # When all went well, those that are not to stay go, the last first
        for hook in reversed(done):
            await self._delete(hook, SUCCEEDED)

    async def _delete(self, hook: Hook, policy: str) -> None:
        """Deletes a hook's objects if its policy says so. A definition stays, or its objects would go with it."""
        if hook["kind"] == "CustomResourceDefinition" or policy not in hook["delete_policies"]:
            return
        try:
            infos: list[Info] = await self.resources.build(hook["manifest"])
        except HelmFailed as error:
            text = f"unable to build kubernetes object for deleting hook {hook['path']}: {error}"
            raise HelmFailed(text) from None
        errors = await self.resources.delete(infos, "Background")
        if errors:
            raise HelmFailed("; ".join(map(str, errors)))
        if self.waits_for_deletion:
            await self.waits.gone(infos, self.timeout)
