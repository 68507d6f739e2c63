"""Every reconciler of Flux that the sandbox has."""

from __future__ import annotations

from azsandbox.controllers.informer import Controller
from azsandbox.flux.git_repositories import GitRepositories

RECONCILERS: list[type[Controller]] = [GitRepositories]
