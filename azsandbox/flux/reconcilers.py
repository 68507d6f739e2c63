"""Every reconciler of Flux that the sandbox has."""

from __future__ import annotations

from azsandbox.controllers.informer import Controller
from azsandbox.flux.git_repositories import GitRepositories
from azsandbox.flux.kustomizations import Kustomizations
from azsandbox.flux.refused import refused

RECONCILERS: list[type[Controller]] = [
    GitRepositories,
    Kustomizations,
    *(
        refused("source-controller", "source.toolkit.fluxcd.io/v1", kind)
        for kind in ("buckets", "helmcharts", "helmrepositories", "ocirepositories")
    ),
    refused("helm-controller", "helm.toolkit.fluxcd.io/v2", "helmreleases"),
    refused("notification-controller", "notification.toolkit.fluxcd.io/v1", "receivers"),
]
