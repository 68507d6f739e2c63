"""The reconcilers of these controllers."""

from __future__ import annotations

from azsandbox.controllers.informer import Controller
from azsandbox.flux.image.image_policies import ImagePolicies
from azsandbox.flux.image.image_repositories import ImageRepositories
from azsandbox.flux.image.updates import ImageUpdateAutomations

RECONCILERS: list[type[Controller]] = [ImageRepositories, ImagePolicies, ImageUpdateAutomations]
