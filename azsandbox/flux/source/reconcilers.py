"""The reconcilers of this controller."""

from __future__ import annotations

from azsandbox.controllers.informer import Controller
from azsandbox.flux.source.git_repositories import GitRepositories

RECONCILERS: list[type[Controller]] = [GitRepositories]
