"""The reconcilers of this controller."""

from __future__ import annotations

from azsandbox.controllers.informer import Controller

RECONCILERS: list[type[Controller]] = []
