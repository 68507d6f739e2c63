"""Data collection rules and their associations, as Container insights makes them.

They are kept and answered; no data flows by them in the sandbox.
"""

from __future__ import annotations

import copy
import uuid

from azsandbox.arm import errors, ids
from azsandbox.arm.call import Call
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored

KEYS = ("dataSources", "destinations", "dataFlows", "streamDeclarations", "description", "dataCollectionEndpointId")


class DataCollectionRules(ResourceType):
    """Microsoft.Insights/dataCollectionRules."""

    name = "dataCollectionRules"
    tracked = True
    updated_status = 200
    removal_rank = 60

    async def accept(self, call: Call, current: Stored | None) -> Document:
        properties = call.properties
        if unknown := [k for k in properties if k not in (*KEYS, "provisioningState", "immutableId", "metadata")]:
            raise errors.not_supported(f"the property '{unknown[0]}' of data collection rules")
        out: Document = {key: copy.deepcopy(properties[key]) for key in KEYS if properties.get(key) is not None}
        out["immutableId"] = current.properties["immutableId"] if current else f"dcr-{uuid.uuid4().hex}"
        for sink in (out.get("destinations") or {}).get("logAnalytics") or []:
            workspace = call.arm.resources.get(str(sink.get("workspaceResourceId")))
            if workspace is None:
                raise errors.ArmError(
                    400,
                    "InvalidPayload",
                    f"Data collection rule is invalid: the workspace '{sink.get('workspaceResourceId')}' could not be found.",
                )
            sink["workspaceId"] = workspace.properties["customerId"]
        body: Document = {"properties": out}
        for key in ("tags", "kind", "identity"):
            if call.document.get(key) is not None:
                body[key] = call.document[key]
        return body

    def present(self, call: Call, stored: Stored) -> Document:
        return stored.body | {"etag": f'"{stored.etag}"'}


class DataCollectionRuleAssociations(ResourceType):
    """Microsoft.Insights/dataCollectionRuleAssociations, on a cluster or machine."""

    name = "dataCollectionRuleAssociations"
    extension = True
    has_state = False
    created_status = 200
    removal_rank = 10

    async def accept(self, call: Call, current: Stored | None) -> Document:
        if call.arm.resources.get(call.id.scope) is None:
            id_ = ids.of(call.id.scope)
            raise errors.resource_not_found(id_.type, id_.names, id_.group)
        rule = call.properties.get("dataCollectionRuleId")
        if rule and call.arm.resources.get(rule) is None:
            raise errors.ArmError(400, "InvalidAssociation", f"The data collection rule '{rule}' could not be found.")
        keys = ("dataCollectionRuleId", "dataCollectionEndpointId", "description")
        return {"properties": {k: call.properties[k] for k in keys if call.properties.get(k) is not None}}

    def present(self, call: Call, stored: Stored) -> Document:
        return stored.body | {"etag": f'"{stored.etag}"'}
