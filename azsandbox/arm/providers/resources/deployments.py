"""Microsoft.Resources/deployments: templates deployed to a resource group or to the subscription."""

from __future__ import annotations

import copy
import re
import uuid
from typing import TYPE_CHECKING, Any

from azsandbox.arm import errors, ids
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.operations import Operation, Style, Work, status_only
from azsandbox.arm.provider import NameRule, action
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored, timestamp

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

NAME = NameRule(
    r"[-\w._()]{1,64}",
    "InvalidDeployment",
    "The deployment name '{name}' is not valid. The name can be at most 64 characters long and hold letters, digits, '-', "
    "'_', '.', '(' and ')' only.",
)
SECONDS = 5.0  # that Resource Manager itself takes; the resources take their own time besides
ENDED = ("Succeeded", "Failed", "Canceled")


class Deployments(ResourceType):
    """Microsoft.Resources/deployments. A PUT is answered at once; an operation then makes the resources."""

    name = "deployments"
    extension = True
    names = NAME
    removal_rank = 5
    style = Style(
        status_path="{resource}/operationStatuses/{id}",
        result_path="/subscriptions/{subscription}/operationresults/{id}",
        status_on=("PUT",),
        result_on=("DELETE",),
        body=status_only,
        retry_after=5,
        done=204,
    )

    # --- requests

    async def get(self, call: Call) -> Answer:
        stored = call.current
        if call.method == "HEAD":
            return Answer(404 if stored is None else 204)
        return await super().get(call)

    def not_found(self, call: Call) -> errors.ArmError:
        return errors.gateway(404, "DeploymentNotFound", f"Deployment '{call.id.name}' could not be found.")

    async def list(self, call: Call) -> Answer:
        """The newest first; $filter knows provisioningState eq 'X'."""
        assert call.target is not None
        found = [
            s
            for s in call.arm.resources.children(call.target.scope, self.full_name)
            if ids.same(s.resource_id.scope, call.target.scope)
        ]
        if condition := call.query.get("$filter", "").strip():
            wanted = re.fullmatch(r"provisioningState\s+eq\s+'(\w+)'", condition, re.IGNORECASE)
            if not wanted:
                text = f"Invalid $filter '{condition}' specified in the query string."
                raise errors.gateway(400, "InvalidFilterInQueryString", text)
            found = [s for s in found if str(s.state).lower() == wanted[1].lower()]
        found.sort(key=lambda s: str(s.properties.get("timestamp")), reverse=True)
        return call.page([self.present(call, s) for s in found])

    async def put(self, call: Call) -> Answer:
        current = call.current
        if current and current.state not in ENDED:
            raise errors.gateway(
                409,
                "DeploymentActive",
                f"Unable to edit or replace deployment '{call.id.name}': previous deployment from "
                f"'{current.properties.get('timestamp')}' is still active (expiration time is "
                f"'{current.properties.get('timestamp')}'). Please see https://aka.ms/arm-deploy for usage details.",
            )
        answer = await self.write(call)
        answer.status = 200 if current else 201
        return answer

    async def accept(self, call: Call, current: Stored | None) -> Document:
        from azsandbox.arm import inner_requests
        from azsandbox.arm.templates import execution

        scope, document = call.id.scope, call.document
        if scope.count("/") not in (2, 4) or "/providers/" in scope.lower():
            raise errors.not_supported(f"a deployment at '{scope or '/'}'; it has those at a subscription and a group")
        location = ""
        if scope.count("/") == 2:
            location = self._location(call)
        elif document.get("location"):
            raise errors.gateway(
                400,
                "InvalidDeployment",
                "The 'location' property is not allowed for "
                f"'{call.id.name}' at resource group scope. Please see https://aka.ms/deploy-to-subscription for usage details.",
            )
        properties = self._properties(call)
        context = execution.context_of(call.arm, scope, call.id.name, properties, location)
        execution.prepare(properties, scope, context)
        call.private = {
            "request": properties,
            "identity": inner_requests.Acting.of(call.identity).keep(),
            "location": location,
            "started": timestamp(call.arm.services.clock),
            "operations": [],
        }
        shown = execution.described(call.arm, properties, context, "Accepted", context.now, None)
        shown |= {"providers": _providers(properties, call.arm), "dependencies": []}
        shown["correlationId"] = call.headers.get("x-ms-correlation-request-id") or str(uuid.uuid4())
        body: Document = {"properties": shown}
        if location:
            body["location"] = location
        if document.get("tags"):
            body["tags"] = document["tags"]
        return body

    def seconds(self, call: Call, kind: str, current: Stored | None) -> float:
        return SECONDS

    creating = updating = "Accepted"

    def _location(self, call: Call) -> str:
        asked = call.document.get("location")
        if not asked or not isinstance(asked, str):
            raise errors.gateway(
                400,
                "LocationRequired",
                f"The 'location' property must be specified for '{call.id.name}'. Please see "
                "https://aka.ms/deploy-to-subscription for usage details.",
            )
        location = call.arm.facts.location(asked)
        current = call.current
        if current and current.body.get("location") and current.body["location"] != location:
            raise errors.gateway(
                409,
                "InvalidDeploymentLocation",
                f"Invalid deployment location '{asked}'. The deployment '{call.id.name}' already exists in location "
                f"'{current.body['location']}'.",
            )
        return location

    def _properties(self, call: Call) -> Document:
        properties = call.document.get("properties")
        if not isinstance(properties, dict):
            raise errors.invalid_content(
                "The request content was invalid and could not be deserialized: 'Required property 'properties' not found "
                "in JSON. Path ''.'."
            )
        if properties.get("onErrorDeployment"):
            raise errors.not_supported("onErrorDeployment of a deployment")
        return copy.deepcopy(properties)

    @action("validate")
    async def validate(self, call: Call, stored: Stored | None) -> Answer:
        """Reads the template as a PUT would, without a deployment."""
        from azsandbox.arm.templates import execution

        scope = call.id.scope
        location = self._location(call) if scope.count("/") == 2 else ""
        properties = self._properties(call)
        context = execution.context_of(call.arm, scope, call.id.name, properties, location)
        resources = execution.prepare(properties, scope, context)
        shown = execution.described(call.arm, properties, context, "Succeeded", context.now, None)
        shown |= {"providers": _providers(properties, call.arm), "dependencies": [], "duration": "PT0S"}
        shown["validatedResources"] = [{"id": r.id} for r in resources]
        body: Document = {"id": str(call.id), "name": call.id.name, "type": self.full_name, "properties": shown}
        return Answer(200, body | ({"location": location} if location else {}))

    @action("cancel")
    async def cancel(self, call: Call, stored: Stored | None) -> Answer:
        """Ends a deployment in progress; what it has made stays."""
        if stored is None:
            raise self.not_found(call)
        running = [o for o in call.arm.operations.of(stored.id) if o.kind in ("create", "update")]
        if not running:
            raise errors.gateway(
                409,
                "DeploymentCannotBeCancelled",
                f"The deployment '{stored.name}' cannot be canceled because it is in the terminal state '{stored.state}'.",
            )
        text = f"The deployment '{stored.name}' was canceled by the user."
        for operation in running:
            call.arm.operations.cancel(operation, errors.ArmError(409, "DeploymentCanceled", text))
        return Answer(204)

    @action("exportTemplate")
    async def export(self, call: Call, stored: Stored | None) -> Answer:
        """The template that was deployed."""
        if stored is None:
            raise self.not_found(call)
        return Answer(200, {"template": stored.private.get("request", {}).get("template")})

    async def post(self, call: Call, name: str) -> Answer:
        if name.lower() == "validate":
            return await self.validate(call, call.current)
        return await super().post(call, name)

    async def delete(self, call: Call) -> Answer:
        current = call.current
        if current is None:
            return Answer(204)
        if current.state not in ENDED:
            raise errors.gateway(
                409,
                "DeploymentActive",
                f"The deployment '{current.name}' cannot be deleted while it is in the state '{current.state}'.",
            )
        with call.arm.atomic():
            running = self.begin(call, "delete", current, SECONDS)
        return Answer(202, None, self.operation_headers(call, running))

    # --- the work

    async def perform(self, work: Work) -> None:
        """Makes what the template holds. Safe to do again: every request in it is a PUT."""
        from azsandbox.arm import inner_requests
        from azsandbox.arm.templates import execution

        await work.wait()
        stored = work.resource
        if stored is None or work.operation.kind == "delete":
            return
        stored.properties["provisioningState"] = "Running"
        work.arm.resources.put(stored)
        kept = stored.private
        identity = inner_requests.Acting.read(kept["identity"])
        try:
            made = await execution.run(work.arm, identity, stored.id, kept["request"], kept["location"])
        except execution.Failure as failure:
            self._keep(work.arm, stored, failure.made)
            raise
        self._keep(work.arm, stored, made)
        work.operation.data["made"] = {"outputs": made.outputs, "resources": made.resources}

    def _keep(self, arm: Arm, stored: Stored, made: Any) -> None:
        """Keeps the operations of a deployment, and the deployments that were nested in it."""
        latest = arm.resources.get(stored.id)
        if latest is None:
            return
        latest.private["operations"] = made.operations
        arm.resources.put(latest)
        for shown in made.nested.values():
            id_ = shown["id"]
            properties = {k: v for k, v in shown.items() if k not in ("id", "operations")}
            properties |= {"providers": [], "dependencies": []}
            body = {"id": id_, "name": id_.rsplit("/", 1)[-1], "type": self.full_name, "properties": properties}
            arm.resources.put(Stored(id_, self.full_name, body, {"operations": shown["operations"]}))

    def completed(self, work: Work, stored: Stored) -> None:
        made = work.operation.data.get("made") or {}
        template = (stored.private.get("request") or {}).get("template") or {}
        if template.get("outputs"):
            stored.properties["outputs"] = made.get("outputs") or {}
        stored.properties["outputResources"] = [{"id": r} for r in made.get("resources") or []]

    def ended(self, work: Work) -> None:
        from azsandbox.arm.operations import when
        from azsandbox.arm.templates.execution import duration

        stored = work.resource
        if stored is not None and work.operation.kind != "delete":
            now = work.arm.services.clock.now()
            stored.properties["timestamp"] = timestamp(work.arm.services.clock)
            stored.properties["duration"] = duration((now - when(stored.private["started"])).total_seconds())
            if work.operation.error:
                stored.properties["error"] = work.operation.error
            work.arm.resources.put(stored)
        super().ended(work)

    async def result(self, call: Call, operation: Operation) -> Answer:
        answer = await super().result(call, operation)
        return Answer(204) if operation.method == "DELETE" and answer.status == 200 else answer


class DeploymentOperations(ResourceType):
    """Microsoft.Resources/deployments/operations: what a deployment did, a resource a row."""

    name = "deployments/operations"
    extension = True
    stored = False
    parent_stored = True

    def _rows(self, call: Call) -> list[Document]:
        assert call.target is not None
        target = call.target
        parent = ids.ResourceId(target.scope, target.namespace, target.types[:-1], target.names[:1])
        stored = call.arm.resources.get(parent)
        if stored is None:
            raise errors.gateway(404, "DeploymentNotFound", f"Deployment '{target.names[0]}' could not be found.")
        rows: list[Document] = stored.private.get("operations") or []
        return rows

    async def list(self, call: Call) -> Answer:
        return call.page(self._rows(call))

    async def get(self, call: Call) -> Answer:
        row = next((r for r in self._rows(call) if r["operationId"] == call.id.name.upper()), None)
        if row is None:
            raise errors.operation_not_found(call.id.name)
        return Answer(200, row)


def _providers(properties: Document, arm: Arm) -> list[Document]:
    """The namespaces and types that a template holds, as Resource Manager tells them."""
    rows = (properties.get("template") or {}).get("resources") or []
    entries = list(rows.values()) if isinstance(rows, dict) else rows
    found: dict[str, dict[str, list[str | None]]] = {}
    for entry in entries:
        namespace, _, rest = str(entry.get("type", "")).partition("/")
        location = entry.get("location")
        plain = arm.facts.location(location) if isinstance(location, str) and not location.startswith("[") else None
        places = found.setdefault(namespace, {}).setdefault(rest, [])
        if plain not in places:
            places.append(plain)
    return [
        {"namespace": n, "resourceTypes": [{"resourceType": t, "locations": p} for t, p in types.items()]}
        for n, types in found.items()
    ]
