"""The add-on's agent: brings Azure's policies into the cluster as constraints, and tells Azure how they are kept."""

from __future__ import annotations

import asyncio
import logging
from contextlib import closing
from typing import TYPE_CHECKING, Any

from azsandbox.aks.policy import constraints, inventory
from azsandbox.arm.policy.in_force import Policy
from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.informer import Again, Controller, Informer, Informers
from azsandbox.kubernetes.errors import StatusError

if TYPE_CHECKING:
    from azsandbox.aks.policy.plane import PolicyPlane

TEMPLATES = ("templates.gatekeeper.sh/v1", "constrainttemplates")
DEFINITIONS = ("apiextensions.k8s.io/v1", "customresourcedefinitions")
SYNC, REPORT = "sync", "report"
SOON = 0.05  # seconds that a change is waited for beyond the time that it needs
log = logging.getLogger("azsandbox.aks")


class AzurePolicyAgent(Controller):
    """The agent of one cluster; its keys are what there is to do: `sync` and `report`."""

    name = user_agent = "azurepolicyaddon"
    workers = 1

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.plane: PolicyPlane = options["policy_plane"]
        self.templates = informers.of(*TEMPLATES)
        self.kinds: dict[str, Informer] = {}  # kind of constraint → those that are there
        self.held: dict[str, Policy] = {}  # name of constraint → the policy that it carries out
        self.seen: dict[str, Object] = {}  # name of constraint → as wanted at the last sync

    async def run(self) -> None:
        """Works until cancelled, on what changes in Azure and in the cluster."""
        await asyncio.gather(super().run(), self._follow_azure())

    async def _follow_azure(self) -> None:
        with closing(self.plane.watch()) as changes:
            self.queue.add(SYNC)
            self.queue.add_after(SYNC, self.plane.arrival())
            async for event in changes:
                if self.plane.concerns(event.key):
                    self.queue.add_after(SYNC, self.plane.arrival() + SOON)

    async def reconcile(self, key: str) -> None:
        """Brings the cluster to what Azure asks for, or tells Azure how it stands."""
        if key == SYNC:
            await self._sync()
            self.queue.add_after(SYNC, max(self.plane.interval(), SOON))
        await self._report()

    # --- from Azure

    async def _sync(self) -> None:
        # 1. The constraints that are to be there, by name; what has not arrived yet leaves what was there before.
        templates: dict[str, tuple[Object, list[Policy]]] = {}
        wanted: dict[str, Object] = {}
        awaited: set[str] = set()  # what changes later stays as it is, though an agent that just began knows it not
        self.held = {}
        for policy in self.plane.policies():
            try:
                template = constraints.template(policy)
            except constraints.TemplateError as error:
                log.warning("policy %s of %s: %s", policy.definition["id"], policy.assignment["id"], error)
                continue
            kind = constraints.kind_of(template)
            made = constraints.constraint(kind, policy)
            name = made["metadata"]["name"]
            if left := self.plane.due_in(policy):
                self.queue.add_after(SYNC, left + SOON)
                if name not in self.seen:
                    awaited |= {name, template["metadata"]["name"]}
                    continue
                made = self.seen[name]
            wanted[name], self.held[name] = made, policy
            templates.setdefault(template["metadata"]["name"], (template, []))[1].append(policy)

        # 2. Their templates, and with those their kinds.
        for template, policies in templates.values():
            await self._put(constraints.installed(template, policies), TEMPLATES)
        await inventory.keep(self.client, [template for template, _ in templates.values()])

        # 3. They themselves, as soon as Gatekeeper has made their kinds.
        for constraint in wanted.values():
            await self._follow(constraint["kind"])
            await self._put(constraint, (constraints.API, constraint["kind"].lower()))
        self.seen = wanted

        # 4. What is no longer asked for goes.
        await self._prune({*wanted, *awaited}, {*templates, *awaited})

    async def _put(self, wanted: Object, resource: tuple[str, str]) -> None:
        name = wanted["metadata"]["name"]
        url = path(*resource, name=name)
        found = await self.client.find(url)
        if found is None:
            try:
                await self.client.create(path(*resource), wanted)
            except StatusError as error:
                if error.code == 404:  # the kind is defined but not served yet
                    raise Again from None
                if error.reason != "AlreadyExists":
                    raise
            return
        if constraints.differs(wanted, found):
            metadata = {**found["metadata"]}
            metadata["labels"] = {**(metadata.get("labels") or {}), **wanted["metadata"]["labels"]}
            metadata["annotations"] = wanted["metadata"]["annotations"]
            await self.client.update(url, {**found, "metadata": metadata, "spec": wanted["spec"]})

    async def _follow(self, kind: str) -> None:
        """Watches the constraints of a kind, once it is there."""
        if kind in self.kinds:
            return
        definition = await self.client.find(path(*DEFINITIONS, name=f"{kind.lower()}.constraints.gatekeeper.sh"))
        conditions = ((definition or {}).get("status") or {}).get("conditions") or []
        if not any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
            raise Again
        informer = self.kinds[kind] = self.informers.of(constraints.API, kind.lower())
        informer.on_change(self._changed)

    def _changed(self, event: str, constraint: Object, old: Object | None) -> None:
        if (constraint["metadata"].get("labels") or {}).get("managed-by") != constraints.INSTALLER:
            return
        if old is None or event == "DELETED" or old.get("status") != constraint.get("status"):
            self.queue.add(REPORT)

    async def _prune(self, wanted: set[str], templates: set[str]) -> None:
        for definition in await self.client.list(path(*DEFINITIONS)):
            if definition["spec"]["group"] != "constraints.gatekeeper.sh":
                continue
            url = path(constraints.API, definition["spec"]["names"]["plural"])
            for found in await self._list(url):
                if found["metadata"]["name"] not in wanted:
                    await self.client.gone(f"{url}/{found['metadata']['name']}")
        for found in await self._list(path(*TEMPLATES)):
            name = found["metadata"]["name"]
            if name not in templates:
                await self.client.gone(path(*TEMPLATES, name=name))
                kind = constraints.kind_of(found)
                if kind in self.kinds:
                    del self.kinds[kind]
                    await self.informers.drop(constraints.API, kind.lower())

    async def _list(self, url: str) -> list[Object]:
        """The add-on's own objects; none where the kind has just gone."""
        try:
            return await self.client.list(url, labelSelector=f"managed-by={constraints.INSTALLER}")
        except StatusError as error:
            if error.code != 404:
                raise
            return []

    # --- to Azure

    async def _report(self) -> None:
        """Tells of each policy whether anything breaks it, as the last audit of its constraint saw it."""
        rows = []
        for name, policy in sorted(self.held.items()):
            kind = self.seen[name]["kind"] if name in self.seen else ""
            constraint = self.kinds[kind].get(name) if kind in self.kinds else None
            status = (constraint or {}).get("status") or {}
            if constraint is None or not status.get("auditTimestamp"):
                continue
            rows.append(row(policy, constraint))
        self.plane.report(rows)


def row(policy: Policy, constraint: Object) -> dict[str, Any]:
    """What is told of one policy."""
    status = constraint["status"]
    violations = status.get("violations") or []
    return {
        "assignment": policy.assignment["id"],
        "definition": policy.definition["id"],
        "reference": policy.reference,
        "constraint": constraint["metadata"]["name"],
        "time": status["auditTimestamp"],
        "total": int(status.get("totalViolations") or 0),
        "components": [
            {
                "kind": v["kind"],
                "name": v["name"],
                "namespace": v.get("namespace", ""),
                "message": v["message"],
            }
            for v in violations
        ],
    }
