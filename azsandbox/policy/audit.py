"""Gatekeeper's audit: judges what is there already, again and again, and writes it into the constraints' status."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from azsandbox.controllers.client import MERGE, KubeClient, Object, path
from azsandbox.controllers.events import timestamp
from azsandbox.kubernetes.errors import StatusError
from azsandbox.policy.definitions import GROUP, VERSION, facts
from azsandbox.policy.exclusions import AUDIT as EXCLUDED
from azsandbox.policy.gatekeeper import AUDIT, Gatekeeper, ReviewError, Violation
from azsandbox.policy.matching import Subject

log = logging.getLogger(__name__)

# What an audit does not judge: what is never stored, and Gatekeeper's own (gatekeeper, package audit)
_SKIPPED = ("gatekeeper.sh", "metrics.k8s.io", "events.k8s.io", "authorization.k8s.io", "authentication.k8s.io")
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

AFTER = 0.005  # seconds that a pass begins after a second does: a timer may be early


class Audit:
    """One pass after another while Gatekeeper's audit pod runs.

    `seconds` lie between them, and `rest` where nothing has changed. A change is followed by two passes, since what was
    let in while the first one looked may have been stored after it. Passes begin with a second of the clock, as their
    time is told in seconds.
    """

    def __init__(self, client: KubeClient, gatekeeper: Gatekeeper, seconds: float, rest: float) -> None:
        self.client, self.gatekeeper, self.seconds, self.rest = client, gatekeeper, seconds, rest

    async def run(self) -> None:
        """Audits until cancelled."""
        seen, again, passed = -1, False, 0.0
        while True:
            pause = self.seconds - time.time() % self.seconds + AFTER
            await asyncio.sleep(pause)
            passed += pause
            changed = self.gatekeeper.changes != seen
            if not changed and not again and passed < self.rest:
                continue
            seen, again, passed = self.gatekeeper.changes, changed, 0.0
            try:
                await self.audit()
            except StatusError as error:
                log.info("audit: %s", error)

    async def audit(self) -> None:
        """Judges every object that a constraint could be about, once. Its time is that of its beginning, as Gatekeeper's."""
        began = timestamp()
        constraints = [c for found in self.gatekeeper.constraints.values() for c in found.values()]
        if not constraints:
            return
        found: dict[tuple[str, str], list[Object]] = {(c["kind"], c["metadata"]["name"]): [] for c in constraints}
        namespaces = {n["metadata"]["name"]: n for n in await self.client.list(path("v1", "namespaces"))}
        turn = time.monotonic()
        async for kind, version, group, obj in self._objects(constraints):
            metadata = obj["metadata"]
            if self.gatekeeper.exclusions.exclude(EXCLUDED, obj, kind):
                continue
            await asyncio.sleep(time.monotonic() - turn)  # others get as much time as the object before took
            turn = time.monotonic()
            namespace = namespaces.get(metadata.get("namespace", ""))
            subject = Subject(group, kind, obj, None, namespace)
            for violation in self._judged(subject, _review(group, version, kind, obj, namespace)):
                entries = found.get((violation.kind, violation.constraint))
                if entries is not None:
                    scoped = {"enforcementActions": list(violation.actions)} if violation.action == "scoped" else {}
                    space = {"namespace": metadata["namespace"]} if metadata.get("namespace") else {}
                    entries.append(
                        {
                            "enforcementAction": violation.action,
                            **scoped,
                            "group": group,
                            "kind": kind,
                            "message": shortened(violation.message),
                            "name": metadata["name"],
                            **space,
                            "version": version,
                        }
                    )
        for constraint in constraints:
            await self._report(constraint, found[constraint["kind"], constraint["metadata"]["name"]], began)

    def _judged(self, subject: Subject, review: dict[str, Any]) -> list[Violation]:
        try:
            return self.gatekeeper.judge(subject, review, AUDIT)
        except ReviewError as error:
            log.info("audit: %s", error)
            return []

    async def _objects(self, constraints: list[Object]) -> AsyncIterator[tuple[str, str, str, Object]]:
        """Kind, version, group and the object, of every kind that a constraint names."""
        wanted = [
            selector
            for constraint in constraints
            for selector in ((constraint.get("spec") or {}).get("match") or {}).get("kinds")
            or [{"apiGroups": ["*"], "kinds": ["*"]}]
        ]
        for group, version, resource in await self._resources():
            kind = resource["responseKind"]["kind"]
            if not any(_names(s.get("apiGroups"), group) and _names(s.get("kinds"), kind) for s in wanted):
                continue
            api_version = f"{group}/{version}" if group else version
            for obj in await self.client.list(path(api_version, resource["resource"])):
                yield kind, version, group, {"apiVersion": api_version, "kind": kind, **obj}

    async def _resources(self) -> list[tuple[str, str, Object]]:
        """Every resource that can be listed, in its preferred version, as aggregated discovery has them."""
        client = KubeClient(
            self.client.transport, self.client.user_agent, {**self.client.headers, "accept": _DISCOVERY}
        )
        found = []
        for url in ("/api", "/apis"):
            for group in (await client.get(url)).get("items") or []:
                name = group["metadata"].get("name", "")
                if name.endswith(_SKIPPED):
                    continue
                preferred = group["versions"][0]
                for resource in preferred.get("resources") or []:
                    if "list" in resource["verbs"]:
                        found.append((name, preferred["version"], resource))
        return found

    async def _report(self, constraint: Object, entries: list[Object], began: str) -> None:
        kept = sorted(entries, key=_place)[: int(facts()["violations_kept"])][::-1]
        status: Object = {"auditTimestamp": began, "totalViolations": len(entries), "violations": kept or None}
        url = path(f"{GROUP}/{VERSION}", constraint["kind"].lower(), "", constraint["metadata"]["name"], "status")
        try:
            await self.client.patch(url, {"status": status}, MERGE)
        except StatusError as error:
            if error.code != 404:  # deleted meanwhile
                raise


def shortened(message: str) -> str:
    """A message as a status holds it: 256 bytes at most (gatekeeper, package audit)."""
    data, size = message.encode(), int(facts()["message_bytes"])
    return message if len(data) <= size else data[: size - 3].decode("utf-8", "ignore") + "..."


def _place(entry: Object) -> tuple[str, ...]:
    """Where a violation stands among those of its constraint; the last ones are not kept, the others told backwards."""
    return tuple(str(entry.get(key, "")) for key in ("group", "version", "kind", "namespace", "name", "message"))


def _names(patterns: list[str] | None, value: str) -> bool:
    return not patterns or "*" in patterns or value in patterns


def _review(group: str, version: str, kind: str, obj: Object, namespace: Object | None) -> dict[str, Any]:
    """An object as a policy sees it in an audit: there is no request, so no operation and nobody who asks."""
    metadata = obj["metadata"]
    return {
        "kind": {"group": group, "version": version, "kind": kind},
        "name": metadata["name"],
        "namespace": metadata.get("namespace", ""),
        "operation": "",
        "object": obj,
        "namespaceObject": namespace,
    }
