"""What an action of Helm waits for (helm-controller, internal/action/wait.go)."""

from __future__ import annotations

from dataclasses import dataclass

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.flux import waiting
from azsandbox.flux.expressions import HealthChecks
from azsandbox.flux.helm.errors import HelmFailed
from azsandbox.flux.helm.resources import Info
from azsandbox.flux.kstatus import Result, Rule, Status, completed_job, completed_pod
from azsandbox.flux.rest_mapping import NoMatch, RestMapping
from azsandbox.flux.waiting import WaitFailed
from azsandbox.kubernetes.errors import StatusError

POLLER, LEGACY = "poller", "legacy"
DEFINITIONS = 60.0  # seconds for CustomResourceDefinitions to be served


@dataclass(frozen=True)
class Waits:
    """Waits as `client`, with the rules of spec.healthCheckExprs before kstatus's."""

    client: KubeClient
    mapping: RestMapping
    checks: HealthChecks
    strategy: str = POLLER

    async def ready(self, infos: list[Info], timeout: float, *, jobs: bool) -> None:
        """Waits until objects are ready; Jobs until they have completed, if they count. Raises HelmFailed."""

        def reader(group: str, kind: str) -> Rule | None:
            own = self.checks.rule(group, kind)
            return own or (completed_job if jobs and (group, kind) == ("batch", "Job") else None)

        await self._wait([info for info in infos if not _is_paused(info.obj)], timeout, reader, fail_fast=True)

    async def hook(self, infos: list[Info], timeout: float) -> None:
        """Waits until a hook is through: Jobs and Pods until they have completed. Raises HelmFailed."""

        def reader(group: str, kind: str) -> Rule:
            known: dict[tuple[str, str], Rule] = {("batch", "Job"): completed_job, ("", "Pod"): completed_pod}
            return self.checks.rule(group, kind) or known.get((group, kind), _always)

        await self._wait(infos, timeout, reader, fail_fast=False)

    async def gone(self, infos: list[Info], timeout: float) -> None:
        """Waits until objects have gone. Raises HelmFailed."""
        try:
            await waiting.wait_until_gone(self.client, self.mapping, [info.ref for info in infos], timeout)
        except (WaitFailed, StatusError, NoMatch) as error:
            raise HelmFailed(str(error)) from None

    async def _wait(self, infos: list[Info], timeout: float, reader: waiting.Readers, *, fail_fast: bool) -> None:
        vanishing = [info.ref for info in infos if _has_ttl(info.obj)]
        if self.strategy == LEGACY:
            fail_fast = False
        try:
            await waiting.wait_until_ready(
                self.client,
                self.mapping,
                [info.ref for info in infos],
                timeout,
                reader=reader,
                fail_fast=fail_fast,
                vanishing=vanishing,
            )
        except WaitFailed as error:
            if self.strategy == LEGACY and str(error).startswith("timeout"):
                raise HelmFailed("context deadline exceeded") from None
            raise HelmFailed(str(error)) from None


def _always(obj: Object) -> Result:
    return Result(Status.CURRENT, "Resource is current")


def _is_paused(obj: Object) -> bool:
    """Whether an object is a Deployment that nobody acts on."""
    deployment = obj.get("kind") == "Deployment" and str(obj.get("apiVersion", "")) == "apps/v1"
    return deployment and bool((obj.get("spec") or {}).get("paused"))


def _has_ttl(obj: Object) -> bool:
    job = obj.get("kind") == "Job" and str(obj.get("apiVersion", "")).startswith("batch/")
    return job and "ttlSecondsAfterFinished" in (obj.get("spec") or {})
