"""The reconcilers of this controller."""

from __future__ import annotations

from azsandbox.controllers.informer import Controller
from azsandbox.flux.source.artifact_server import ArtifactServer
from azsandbox.flux.source.buckets import Buckets
from azsandbox.flux.source.git_repositories import GitRepositories
from azsandbox.flux.source.helm_charts import HelmCharts
from azsandbox.flux.source.helm_repositories import HelmRepositories
from azsandbox.flux.source.oci_repositories import OciRepositories

RECONCILERS: list[type[Controller]] = [
    GitRepositories,
    HelmRepositories,
    HelmCharts,
    OciRepositories,
    Buckets,
    ArtifactServer,
]
