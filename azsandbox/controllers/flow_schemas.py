"""FlowSchemas: whether the priority level that one names is there.

Source of the rules: Kubernetes 1.35, k8s.io/apiserver, pkg/util/flowcontrol.
"""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.events import timestamp
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.controllers.objects import name_of
from azsandbox.kubernetes.errors import StatusError

_GROUP = "flowcontrol.apiserver.k8s.io/v1"
_MANAGER = "api-priority-and-fairness-config-consumer-v1"


class FlowSchemas(Controller):
    """Says of each FlowSchema whether it dangles. Requests are not limited by any."""

    name = "flow-schemas"

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.schemas = self.follow(informers.of(_GROUP, "flowschemas"))
        self.levels = self.follow(informers.of(_GROUP, "prioritylevelconfigurations"), self._schemas_of)

    def _schemas_of(self, level: Object) -> list[str]:
        return [name for name, schema in self.schemas.objects.items() if _level_of(schema) == name_of(level)]

    async def reconcile(self, key: str) -> None:
        schema = self.schemas.get(key)
        if schema is None:
            return
        await self.levels.synced.wait()
        level = _level_of(schema)
        told = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}"'
        wanted = {"status": "False", "reason": "Found", "message": f"{told} and it exists"}
        if self.levels.get(level) is None:
            wanted = {"status": "True", "reason": "NotFound", "message": f"{told} but there is no such object"}
        conditions = (schema.get("status") or {}).get("conditions") or []
        said: Object = next((item for item in conditions if item["type"] == "Dangling"), {})
        if {name: said.get(name) for name in wanted} == wanted:
            return
        since = said.get("lastTransitionTime") if said.get("status") == wanted["status"] else None
        condition = {"type": "Dangling", **wanted, "lastTransitionTime": since or timestamp(self.now())}
        applied = {
            "apiVersion": _GROUP,
            "kind": "FlowSchema",
            "metadata": {"name": key},
            "status": {"conditions": [condition]},
        }
        try:
            await self.client.apply(path(_GROUP, "flowschemas", "", key, "status"), applied, _MANAGER)
        except StatusError as error:
            if error.code != 404:
                raise


def _level_of(schema: Object) -> str:
    return ((schema.get("spec") or {}).get("priorityLevelConfiguration") or {}).get("name") or ""
