"""Makes the resources of a template, each as soon as those that it depends on are there.

A resource depends on what its `dependsOn` names, and on what `reference` in it asks for (Azure Resource Manager
documentation, "Define the order for deploying resources"). Requests go in the name of the identity that deploys.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from azsandbox.arm import errors, ids, inner_requests
from azsandbox.arm.inner_requests import Acting
from azsandbox.arm.policy.expressions import ExpressionError
from azsandbox.arm.providers.resources import subscriptions
from azsandbox.arm.resources import timestamp
from azsandbox.arm.templates import template
from azsandbox.arm.templates.language import Context, Pending
from azsandbox.arm.templates.template import DEPLOYMENTS, Resource

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

Document = dict[str, Any]

FAILED = (
    "At least one resource deployment operation failed. Please list deployment operations for details. Please see "
    "https://aka.ms/arm-deployment-operations for usage details."
)
STATUS = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    400: "BadRequest",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
}


@dataclass
class Made:
    """What a deployment has come to: outputs, the ids of resources, and an operation for each."""

    outputs: Document = field(default_factory=dict)
    resources: list[str] = field(default_factory=list)
    operations: list[Document] = field(default_factory=list)
    nested: dict[str, Document] = field(default_factory=dict)  # properties of nested deployments, by id


def context_of(arm: Arm, outer: str, name: str, properties: Document, location: str = "") -> Context:
    """What the expressions of a deployment at `outer` can ask."""
    subscription = arm.services.subscription_id
    group: Document = {}
    parts = outer.split("/")
    if len(parts) > 4:
        stored = arm.resources.get(outer)
        group = dict(stored.body) if stored else {"name": parts[4], "id": outer}
    told: Document = {"name": name, "properties": {k: properties.get(k) for k in ("template", "parameters", "mode")}}
    if location:
        told["location"] = location
    about = {
        "id": f"/subscriptions/{subscription}",
        "subscriptionId": subscription,
        "tenantId": arm.services.tenant_id,
        "displayName": subscriptions.NAME,
    }
    tenant = {"displayName": subscriptions.NAME, "countryCode": subscriptions.COUNTRY}
    tenant |= {"id": f"/tenants/{arm.services.tenant_id}", "tenantId": arm.services.tenant_id}
    return Context(about, group, told, arm.services.clock.now(), tenant)


def template_hash(properties: Document) -> str:
    """A number that stands for the template."""
    digest = hashlib.sha256(orjson.dumps(properties.get("template"), option=orjson.OPT_SORT_KEYS)).digest()
    return str(int.from_bytes(digest[:8], "big"))


def prepare(properties: Document, outer: str, context: Context) -> list[Resource]:
    """Binds the parameters and reads the resources of a deployment. Raises what is wrong with its template."""
    found = properties.get("template")
    if properties.get("templateLink") or properties.get("parametersLink"):
        raise errors.not_supported("linked templates (templateLink, parametersLink)")
    if not isinstance(found, dict):
        raise errors.invalid_content(
            "The request content was invalid and could not be deserialized: 'The deployment has no template.'."
        )
    mode = str(properties.get("mode") or "Incremental")
    if mode.lower() not in ("incremental", "complete"):
        raise errors.invalid_content(
            "The request content was invalid and could not be deserialized: 'Error converting value "
            f"\"{mode}\" to type 'DeploymentMode'. Path 'properties.mode'.'."
        )
    if mode.lower() == "complete":
        raise errors.not_supported("deployments in the mode Complete, which deletes what the template does not hold")
    context.parameters = template.parameters(found, properties.get("parameters"), context)
    context.variables = found.get("variables") or {}
    return template.read(found, outer, context)


async def run(arm: Arm, identity: Acting, id_: str, properties: Document, location: str = "") -> Made:
    """Carries out the deployment with that id. Raises ArmError DeploymentFailed, with all that failed in its details."""
    outer, name = ids.of(id_).scope, id_.rsplit("/", 1)[-1]
    context = context_of(arm, outer, name, properties, location)
    return await _Run(arm, identity, id_, outer, prepare(properties, outer, context), context, Made()).all(properties)


class _Run:
    """One deployment in progress."""

    def __init__(
        self, arm: Arm, identity: Acting, id_: str, outer: str, resources: list[Resource], context: Context, made: Made
    ) -> None:
        self.arm, self.identity, self.id, self.outer = arm, identity, id_, outer
        self.resources, self.context, self.made = resources, context, made
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.waits: dict[int, int] = {}  # who waits for whom, to find circles

    async def all(self, properties: Document) -> Made:
        """Makes everything, then the outputs."""
        for number, resource in enumerate(self.resources):
            self.tasks[number] = asyncio.create_task(self._one(number, resource), name=f"deploys {resource.id}")
        outcome = await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        failures = [e for e in outcome if isinstance(e, errors.ArmError) and not isinstance(e, _Skipped)]
        if unforeseen := [e for e in outcome if isinstance(e, BaseException) and not isinstance(e, errors.ArmError)]:
            raise unforeseen[0]
        if failures:
            details = [e.error for e in failures]
            raise Failure(self.made, errors.ArmError(400, "DeploymentFailed", FAILED, target=self.id, details=details))
        outputs = properties["template"].get("outputs") or {}
        for name, entry in outputs.items():
            if entry.get("condition") is not None and not await self._resolve(-1, self.context, entry["condition"]):
                continue
            value = await self._resolve(-1, self.context, entry.get("value"))
            self.made.outputs[name] = {"type": template.shown_kind(str(entry.get("type", "")))}
            if not str(entry.get("type", "")).lower().startswith("secure"):
                self.made.outputs[name]["value"] = value
        return self.made

    async def _one(self, number: int, resource: Resource) -> None:
        for word in resource.needs:
            for other, candidate in enumerate(self.resources):
                if other != number and candidate.answers_to(word, self.outer):
                    await self._until(number, other)
        if resource.existing:
            return
        started = self.arm.services.clock.now()
        try:
            if resource.type.lower() == DEPLOYMENTS.lower():
                await self._nested(number, resource)
                answer_status = 200
            else:
                body = _without_nulls(await self._resolve(number, resource.context, resource.body))
                answer = await inner_requests.put(self.arm, self.identity, resource.id, resource.api_version, body)
                answer_status = answer.status
                if resource.id not in self.made.resources:
                    self.made.resources.append(resource.id)
        except errors.ArmError as error:
            self._record(resource, "Failed", error.status, started, error)
            raise
        self._record(resource, "Succeeded", answer_status, started, None)

    async def _until(self, number: int, other: int) -> None:
        """Waits for another resource of the template. Raises for a circle; is skipped where the other failed."""
        at: int | None = other
        while at is not None:
            if at == number:
                raise template.invalid(
                    f"Circular dependency detected on resource: '{self.resources[number].id}'. Please see "
                    "https://aka.ms/arm-syntax-resources for usage details."
                )
            at = self.waits.get(at)
        self.waits[number] = other
        try:
            await asyncio.wait([self.tasks[other]])
            if self.tasks[other].exception() is not None:
                raise _Skipped
        finally:
            self.waits.pop(number, None)

    async def _resolve(self, number: int, context: Context, value: Any) -> Any:
        """Works out expressions, asking for what they refer to. Raises ArmError."""
        while True:
            try:
                return context.resolve(value)
            except Pending as pending:
                context.found[pending.key] = await self._ask(number, context, pending)
            except ExpressionError as error:
                raise template.invalid(
                    f"Unable to process template language expressions for resource '{self.id}': '{error}'. Please see "
                    "https://aka.ms/arm-template-expressions for usage details."
                ) from None

    async def _ask(self, number: int, context: Context, pending: Pending) -> Any:
        first, *more = pending.arguments
        own = next(((n, r) for n, r in enumerate(self.resources) if r.answers_to(first, self.outer)), None)
        if own and own[0] != number and number >= 0:
            await self._until(number, own[0])
        target = own[1].id if own else str(first)
        if target in context.symbols:
            target = context.symbols[target]
        if own and own[1].type.lower() == DEPLOYMENTS.lower():
            body: Document = {"properties": self.made.nested.get(target.lower(), {})}
        else:
            version = str(more[0]) if more and more[0] else own[1].api_version if own else ""
            if not target.startswith("/") or not version:
                raise template.invalid(
                    f"The resource '{first}' is not defined in the template, and reference() of a resource elsewhere needs "
                    "its id and an api-version. Please see https://aka.ms/arm-syntax-resources for usage details."
                )
            if pending.function.lower() != "reference":
                path = f"{target}/{pending.function}"
                answer = await inner_requests.send(
                    self.arm, self.identity, "POST", path, version, more[1] if more[1:] else None
                )
                return answer.body
            body = (await inner_requests.send(self.arm, self.identity, "GET", target, version)).body
        full = len(more) > 1 and str(more[1]).lower() == "full"
        if full:
            parts = ids.of(target)
            return {
                "apiVersion": str(more[0]),
                **{k: v for k, v in body.items() if k not in ("id", "name", "type")},
                "resourceId": str(parts),
                "subscriptionId": parts.subscription,
                "resourceGroupName": parts.group,
                "scope": parts.scope,
            }
        return body.get("properties") or {}

    async def _nested(self, number: int, resource: Resource) -> None:
        """A deployment in the template: its expressions mean its own parameters, or those of this template (outer)."""
        properties: Document = resource.body.get("properties") or {}
        options = properties.get("expressionEvaluationOptions") or {}
        inner = str(options.get("scope") or "outer").lower() == "inner"
        outer = ids.of(resource.id).scope
        given = await self._resolve(number, resource.context, properties.get("parameters") or {})
        resolved = {**properties, "parameters": given}
        found = properties.get("template")
        if not isinstance(found, dict):
            raise errors.not_supported("linked templates (templateLink)")
        if inner:
            context = context_of(self.arm, outer, resource.name, resolved)
            resources = prepare(resolved, outer, context)
        else:
            context = resource.context
            group = context_of(self.arm, outer, resource.name, resolved).group
            known = (context.deployment, context.now, context.tenant, context.parameters, context.variables)
            context = Context(context.subscription, group, *known)
            context.copies = resource.context.copies
            resources = template.read(found, outer, context)
        made = Made()
        begun = self.arm.services.clock.now()
        state, error = "Succeeded", None
        try:
            await _Run(self.arm, self.identity, resource.id, outer, resources, context, made).all(resolved)
        except Failure as failure:
            state, error = "Failed", failure
        self.made.nested |= made.nested
        shown = described(self.arm, resolved, context, state, begun, made)
        if error is not None:
            shown["error"] = error.error
        self.made.nested[resource.id.lower()] = shown | {"id": resource.id, "operations": made.operations}
        self.made.resources += [r for r in made.resources if r not in self.made.resources]
        if error is not None:
            raise errors.ArmError(409, "DeploymentFailed", FAILED, target=resource.id, details=error.details)

    def _record(
        self, resource: Resource, state: str, status: int, started: dt.datetime, error: errors.ArmError | None
    ) -> None:
        now = self.arm.services.clock.now()
        number = uuid.uuid4().hex[:16].upper()
        row: Document = {
            "provisioningOperation": "Create",
            "provisioningState": state,
            "timestamp": timestamp(self.arm.services.clock),
            "duration": duration((now - started).total_seconds()),
            "trackingId": str(uuid.uuid4()),
            "serviceRequestId": str(uuid.uuid4()),
            "statusCode": STATUS.get(status, str(status)),
            "targetResource": {"id": resource.id, "resourceType": resource.type, "resourceName": resource.name},
        }
        if error is not None:
            row["statusMessage"] = {"status": "Failed", "error": error.error}
        self.made.operations.append({"id": f"{self.id}/operations/{number}", "operationId": number, "properties": row})


class Failure(errors.ArmError):
    """DeploymentFailed, with what was made all the same."""

    def __init__(self, made: Made, error: errors.ArmError) -> None:
        super().__init__(error.status, error.code, error.message, target=error.target, details=error.details)
        self.made = made


class _Skipped(errors.ArmError):
    """What depends on a resource that failed is not tried."""

    def __init__(self) -> None:
        super().__init__(409, "DependencyFailed", "A resource that this one depends on failed.")


def _without_nulls(value: Any) -> Any:
    """What a null stands for is not sent ("ARM template structure in detail": null properties are ignored)."""
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(v) for v in value] if isinstance(value, list) else value


def duration(seconds: float) -> str:
    """PT1M2.5S."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    head = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    return f"PT{head}{rest:.7f}".rstrip("0").rstrip(".") + "S"


def described(
    arm: Arm, properties: Document, context: Context, state: str, started: dt.datetime, made: Made | None
) -> Document:
    """The properties of a deployment as Resource Manager shows them."""
    found = properties.get("template") or {}
    declared = found.get("parameters") or {}
    shown: Document = {}
    for name, value in context.parameters.items():
        kind = str((declared.get(name) or {}).get("type", ""))
        if not kind:
            continue
        shown[name] = {"type": template.shown_kind(kind)}
        if not kind.lower().startswith("secure"):
            shown[name]["value"] = value
    out: Document = {"templateHash": template_hash(properties)}
    if shown:
        out["parameters"] = shown
    out["mode"] = "Incremental"
    out["provisioningState"] = state
    out["timestamp"] = timestamp(arm.services.clock)
    out["duration"] = duration((arm.services.clock.now() - started).total_seconds())
    out["correlationId"] = str(uuid.uuid4())
    if made is not None and state == "Succeeded":
        if found.get("outputs"):
            out["outputs"] = made.outputs
        out["outputResources"] = [{"id": r} for r in made.resources]
    return out
