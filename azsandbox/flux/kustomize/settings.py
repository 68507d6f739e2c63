"""What the arguments of kustomize-controller's Deployment say, and what a spec says about time."""

from __future__ import annotations

from dataclasses import dataclass

from azsandbox.controllers.client import Object
from azsandbox.flux.durations import jittered, seconds
from azsandbox.flux.flags import Flags

SHORTEST_TIMEOUT = 30.0  # seconds


@dataclass(frozen=True)
class Settings:
    """Flags of the controller (kustomize-controller, main.go). Times are in seconds."""

    concurrent: int
    concurrent_ssa: int
    requeue_dependency: float
    default_account: str
    no_cross_namespace_refs: bool
    no_remote_bases: bool
    override_managers: tuple[str, ...]
    custom_stage: frozenset[tuple[str, str]]
    sops_age_secret: str
    watch_configs: str  # label selector of ConfigMaps and Secrets that are followed, "" for none
    jitter: float  # part of an interval
    strict_substitutions: bool
    fail_fast: bool
    additive_ready_expr: bool
    external_artifacts: bool
    workload_identity: bool

    @classmethod
    def of(cls, flags: Flags) -> Settings:
        """From a controller's arguments."""
        stages = flags.text("custom-apply-stage-kinds")
        kinds = [part.strip().rpartition("/") for part in stages.split(",") if part.strip()]
        watched = flags.text("watch-configs-label-selector", "reconcile.fluxcd.io/watch=Enabled")
        return cls(
            concurrent=flags.number("concurrent", 4),
            concurrent_ssa=max(flags.number("concurrent-ssa", 4), 1),
            requeue_dependency=flags.seconds("requeue-dependency", 30.0),
            default_account=flags.text("default-service-account"),
            no_cross_namespace_refs=flags.is_set("no-cross-namespace-refs"),
            no_remote_bases=flags.is_set("no-remote-bases"),
            override_managers=tuple(flags.all("override-manager")),
            custom_stage=frozenset((group, kind) for group, _, kind in kinds),
            sops_age_secret=flags.text("sops-age-secret"),
            watch_configs="" if flags.gate("DisableConfigWatchers") else watched,
            jitter=flags.number("interval-jitter-percentage", 5) / 100,
            strict_substitutions=flags.gate("StrictPostBuildSubstitutions", default=True),
            fail_fast=not flags.gate("DisableFailFastBehavior"),
            additive_ready_expr=flags.gate("AdditiveCELDependencyCheck"),
            external_artifacts=flags.gate("ExternalArtifact"),
            workload_identity=flags.gate("ObjectLevelWorkloadIdentity"),
        )

    def next_run(self, spec: Object) -> float:
        """When a Kustomization is reconciled again after a success: its interval, a little more or less."""
        return jittered(seconds(spec["interval"]), self.jitter)


def timeout(spec: Object) -> float:
    """How long a reconciliation may take: spec.timeout, or half a minute less than the interval; 30 s at least."""
    wanted = seconds(spec["timeout"]) if spec.get("timeout") else seconds(spec["interval"]) - 30
    return max(wanted, SHORTEST_TIMEOUT)


def retry_interval(spec: Object) -> float:
    """When a failed reconciliation is tried again."""
    return seconds(spec.get("retryInterval") or spec["interval"])
