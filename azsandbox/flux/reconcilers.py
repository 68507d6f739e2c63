"""Every reconciler of Flux that the sandbox has."""

from __future__ import annotations

from azsandbox.controllers.informer import Controller

RECONCILERS: list[type[Controller]] = []
