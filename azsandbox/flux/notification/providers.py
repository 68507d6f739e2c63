"""Providers and Alerts: neither has a status, and their reconcilers see to finalizers alone."""

from __future__ import annotations

from azsandbox.controllers.client import Object
from azsandbox.flux.events import NORMAL
from azsandbox.flux.notification.event_server import API_VERSION
from azsandbox.flux.reconciler import FINALIZER, NEVER, FluxReconciler


class Providers(FluxReconciler):
    """Gives Providers a finalizer, whose removal clears what is kept of their tokens."""

    name = "notification-controller"
    api_version = API_VERSION
    resource = "providers"
    kind = "Provider"

    async def act(self, obj: Object) -> float | None:
        return NEVER


class Alerts(FluxReconciler):
    """Takes from Alerts the finalizer that older releases gave them."""

    name = "notification-controller"
    api_version = API_VERSION
    resource = "alerts"
    kind = "Alert"
    has_finalizer = False

    async def act(self, obj: Object) -> float | None:
        finalizers = obj["metadata"].get("finalizers") or []
        if FINALIZER in finalizers:
            await self.set_finalizers(obj, [f for f in finalizers if f != FINALIZER])
            await self.recorder.cluster.event(
                obj, NORMAL, "Migration", "removed finalizer from Alert to migrate to static Alert"
            )
        return NEVER
