"""Kinds of Flux that the sandbox does not reconcile: each object stalls and says so."""

from __future__ import annotations

from azsandbox.controllers.client import Object
from azsandbox.flux import conditions
from azsandbox.flux.reconciler import FluxReconciler

LATER = 3600.0  # seconds


class Refused(FluxReconciler):
    """Says of every object of a kind that nothing reconciles it here."""

    async def act(self, obj: Object) -> float:
        """Stalls it."""
        text = f"{obj['kind']} is not supported by the sandbox's {self.name}"
        conditions.mark(obj, "Stalled", "True", "NotSupportedInSandbox", text)
        conditions.mark(obj, "Ready", "False", "NotSupportedInSandbox", text)
        obj["status"]["observedGeneration"] = obj["metadata"]["generation"]
        self.handled(obj)
        await self.save(obj)
        return LATER


def refused(controller: str, api_version: str, resource: str) -> type[Refused]:
    """The refusal of one kind."""
    return type(
        f"Refused{resource.title()}",
        (Refused,),
        {"name": controller, "user_agent": controller, "api_version": api_version, "resource": resource},
    )
