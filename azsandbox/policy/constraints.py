"""Follows the constraints of every template, takes them in force, and says in their status who enforces them."""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import MERGE, KubeClient, Object
from azsandbox.controllers.informer import Controller, Informer, Informers
from azsandbox.policy.definitions import GROUP, VERSION
from azsandbox.policy.gatekeeper import VAP, Gatekeeper, actions_at
from azsandbox.policy.pods import GENERATE, GatekeeperPods

API = f"{GROUP}/{VERSION}"


class Constraints(Controller):
    """Keys are `kind/name`, the kind in lower case."""

    name = user_agent = "gatekeeper"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.gatekeeper: Gatekeeper = options["gatekeeper"]
        self.pods: GatekeeperPods = options["gatekeeper_pods"]
        self._kinds: dict[str, Informer] = {}
        self.definitions = informers.of("apiextensions.k8s.io/v1", "customresourcedefinitions")
        self.definitions.on_change(self._defined)
        self.pods.on_change(self._again)

    def _defined(self, kind: str, definition: Object, old: Object | None) -> None:
        if definition["spec"]["group"] == GROUP:
            self.queue.add(definition["spec"]["names"]["plural"])

    def _again(self) -> None:
        for plural, informer in self._kinds.items():
            for name in informer.objects:
                self.queue.add(f"{plural}/{name}")

    async def reconcile(self, key: str) -> None:
        """Follows a kind that was defined, or takes one constraint in force."""
        plural, _, name = key.partition("/")
        if not name:
            await self._follow(plural)
            return
        informer = self._kinds.get(plural)
        if informer is None:
            return
        constraint = informer.get(name)
        if constraint is None or "deletionTimestamp" in constraint["metadata"]:
            return  # its handler has dropped it
        await self._report(informer, constraint)

    async def _follow(self, plural: str) -> None:
        """Starts to follow the constraints of a kind whose definition is there, and stops with it."""
        definition = self.definitions.get(f"{plural}.{GROUP}")
        conditions = ((definition or {}).get("status") or {}).get("conditions") or []
        established = any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
        if definition is not None and established and plural not in self._kinds:
            informer = self.informers.of(API, plural)
            self._kinds[plural] = informer
            informer.on_change(lambda kind, obj, old: self._changed(plural, kind, obj))
        elif definition is None and plural in self._kinds:
            informer = self._kinds.pop(plural)
            for constraint in informer.list():
                self.gatekeeper.drop(constraint["kind"], constraint["metadata"]["name"])
            await self.informers.drop(API, plural)

    def _changed(self, plural: str, event: str, constraint: Object) -> None:
        name = constraint["metadata"]["name"]
        if event == "DELETED" or "deletionTimestamp" in constraint["metadata"]:
            self.gatekeeper.drop(constraint["kind"], name)
        else:
            self.gatekeeper.put(constraint)  # in force from now on, whatever its status says
        self.queue.add(f"{plural}/{name}")

    async def _report(self, informer: Informer, constraint: Object) -> None:
        metadata = constraint["metadata"]
        # A policy of the API server itself can be made from a template in CEL alone (gatekeeper, package constraint)
        missing = {
            "enforcementPoint": VAP,
            "message": "K8sNativeValidation engine is missing",
            "observedGeneration": metadata["generation"],
            "state": "error",
        }
        generated = {"enforcementPointsStatus": [missing]} if actions_at(constraint, VAP) else {}
        by_pod = [
            {
                "constraintUID": metadata["uid"],
                "enforced": True,
                **(generated if GENERATE in operations else {}),
                "id": pod,
                "observedGeneration": metadata["generation"],
                "operations": operations,
            }
            for pod, operations in self.pods.operations().items()
        ]
        if ((constraint.get("status") or {}).get("byPod") or []) != by_pod:
            await self.client.patch(informer.path_of(constraint, "status"), {"status": {"byPod": by_pod}}, MERGE)
