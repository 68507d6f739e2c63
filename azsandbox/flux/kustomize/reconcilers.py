"""The reconcilers of this controller."""

from __future__ import annotations

from azsandbox.controllers.informer import Controller
from azsandbox.flux.kustomize.kustomizations import Kustomizations

RECONCILERS: list[type[Controller]] = [Kustomizations]
