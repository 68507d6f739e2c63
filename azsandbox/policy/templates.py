"""Follows ConstraintTemplates: compiles their Rego and makes the definitions of their kinds."""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import MERGE, KubeClient, Object, path
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.kubernetes.errors import StatusError
from azsandbox.policy.definitions import GROUP, VERSION, constraint_definition
from azsandbox.policy.engine import RegoError
from azsandbox.policy.gatekeeper import Gatekeeper
from azsandbox.policy.own_objects import fault_of
from azsandbox.policy.pods import GatekeeperPods
from azsandbox.policy.rego import RegoPolicy

API, RESOURCE = "templates.gatekeeper.sh/v1", "constrainttemplates"
CEL = "K8sNativeValidation"  # Gatekeeper's word for the engine
DEFINITIONS = ("apiextensions.k8s.io/v1", "customresourcedefinitions")


class ConstraintTemplates(Controller):
    """Keys are names of templates, which are their kinds in lower case."""

    name = user_agent = "gatekeeper"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.gatekeeper: Gatekeeper = options["gatekeeper"]
        self.pods: GatekeeperPods = options["gatekeeper_pods"]
        self.templates = self.follow(informers.of(API, RESOURCE))
        self.definitions = informers.of(*DEFINITIONS)
        self.definitions.on_change(self._definition_changed)
        self._defined: dict[str, int] = {}  # name of the template → generation
        self._kinds: dict[str, str] = {}  # name of the template → kind
        self._compiled: dict[str, int] = {}  # name of the template → generation
        self.pods.on_change(self._again)

    def _again(self) -> None:
        for name in self.templates.objects:
            self.queue.add(name)

    def _definition_changed(self, kind: str, definition: Object, old: Object | None) -> None:
        name, _, group = definition["metadata"]["name"].partition(".")
        if kind == "DELETED" and group == GROUP and self._defined.pop(name, None):
            self.queue.add(name)

    async def reconcile(self, key: str) -> None:
        """Brings one template into force, or out of it."""
        template = self.templates.get(key)

        # One that is gone takes its definition, and so its constraints, along
        if template is None or "deletionTimestamp" in template["metadata"]:
            self._compiled.pop(key, None)
            self._defined.pop(key, None)
            kind = self._kinds.pop(key, "")
            self.gatekeeper.undefine(kind)
            await self.client.gone(path(*DEFINITIONS, name=f"{key}.{GROUP}"))
            return

        # Its Rego is compiled; one that cannot be used leaves what was in force before
        kind = (((template["spec"].get("crd") or {}).get("spec") or {}).get("names") or {}).get("kind", "")
        generation = template["metadata"]["generation"]
        errors: list[Object] = []
        if self._compiled.get(key) != generation:
            try:
                policy = compiled(template)
                self.gatekeeper.define(kind, policy, template["spec"]["targets"][0].get("operations") or [])
                self._kinds[key], self._compiled[key] = kind, generation
            except RegoError as error:
                errors = [{"code": error.code, "message": str(error)}]

        # Its kind is defined, once it can be judged by
        if not errors and self._defined.get(key) != generation:
            try:
                await self._define(constraint_definition(template))
                self._defined[key] = generation
            except StatusError as error:
                if error.code != 422:
                    raise
                errors = [{"code": "create_error", "message": f"Could not create CRD: {error.message}"}]
        await self._report(template, errors)

    async def _define(self, definition: Object) -> None:
        try:
            await self.writes.create(self.definitions, definition)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
            change = {"metadata": {"labels": definition["metadata"]["labels"]}, "spec": definition["spec"]}
            await self.client.patch(path(*DEFINITIONS, name=definition["metadata"]["name"]), change, MERGE)

    async def _report(self, template: Object, errors: list[Object]) -> None:
        metadata = template["metadata"]
        by_pod = [
            {
                "id": pod,
                "observedGeneration": metadata["generation"],
                "operations": operations,
                "templateUID": metadata["uid"],
                **({"errors": errors} if errors else {}),
            }
            for pod, operations in self.pods.operations().items()
        ]
        status: Object = {"byPod": by_pod, "created": not errors}
        if (template.get("status") or {}) != status:
            await self.client.patch(self.templates.path_of(template, "status"), {"status": status}, MERGE)


def compiled(template: Object) -> RegoPolicy:
    """The policy of a template. Raises RegoError, also for an engine that Gatekeeper has and the sandbox has not."""
    fault = fault_of(template)
    if fault:
        raise RegoError("create_error", fault)
    target = template["spec"]["targets"][0]
    name = template["metadata"]["name"]
    if target.get("rego"):
        return RegoPolicy(name, target["rego"], target.get("libs") or ())
    for code in target.get("code") or []:
        if code.get("engine") == "Rego":
            source = code.get("source") or {}
            return RegoPolicy(name, source.get("rego", ""), source.get("libs") or (), v1=source.get("version") == "v1")
    if any(code.get("engine") == CEL for code in target.get("code") or []):
        text = f"NotSupportedInSandbox: templates are judged by Rego; this one has {CEL}"
    else:
        text = (
            "no language driver is installed that handles this constraint template: "
            f'available drivers: map[{CEL}:1 Rego:2], wanted ""'
        )
    raise RegoError("ingest_error", f"Could not ingest Rego: {text}")


__all__ = ["API", "GROUP", "RESOURCE", "VERSION", "ConstraintTemplates", "compiled"]
