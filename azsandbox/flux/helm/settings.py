"""What the arguments of helm-controller's Deployment say."""

from __future__ import annotations

from dataclasses import dataclass

from azsandbox.flux.flags import Flags


@dataclass(frozen=True)
class Settings:
    """Flags of the controller (helm-controller, main.go). Times are in seconds."""

    concurrent: int = 4
    requeue_dependency: float = 30.0
    default_account: str = ""
    no_cross_namespace_refs: bool = False
    override_managers: tuple[str, ...] = ()
    watch_configs: str = ""  # label selector of ConfigMaps and Secrets that are followed, "" for none
    jitter: float = 0.0  # part of an interval
    retries_by_default: bool = False  # RetryOnFailure where a spec names no strategy
    helm3_defaults: bool = False
    external_artifacts: bool = False
    additive_ready_expr: bool = False
    tracks_digests: bool = True  # of charts from OCI repositories

    @classmethod
    def of(cls, flags: Flags) -> Settings:
        """From a controller's arguments."""
        watched = flags.text("watch-configs-label-selector", "reconcile.fluxcd.io/watch=Enabled")
        return cls(
            concurrent=flags.number("concurrent", 4),
            requeue_dependency=flags.seconds("requeue-dependency", 30.0),
            default_account=flags.text("default-service-account"),
            no_cross_namespace_refs=flags.is_set("no-cross-namespace-refs"),
            override_managers=tuple(flags.all("override-manager")),
            watch_configs="" if flags.gate("DisableConfigWatchers") else watched,
            jitter=flags.number("interval-jitter-percentage", 5) / 100,
            retries_by_default=flags.gate("DefaultToRetryOnFailure"),
            helm3_defaults=flags.gate("UseHelm3Defaults"),
            external_artifacts=flags.gate("ExternalArtifact"),
            additive_ready_expr=flags.gate("AdditiveCELDependencyCheck"),
            tracks_digests=not flags.gate("DisableChartDigestTracking"),
        )
