"""The reconcilers of helm-controller."""

from __future__ import annotations

from azsandbox.controllers.informer import Controller
from azsandbox.flux.helm.helm_releases import HelmReleaseReconciler

RECONCILERS: list[type[Controller]] = [HelmReleaseReconciler]
