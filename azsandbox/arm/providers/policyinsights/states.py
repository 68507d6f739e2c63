"""Policy states, component policy states and policy events, as queries at a scope."""

from __future__ import annotations

from typing import Any

from azsandbox.arm import errors, polling
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.operations import Operation, Style, Work
from azsandbox.arm.policy import compliance, events
from azsandbox.arm.provider import action
from azsandbox.arm.providers.policyinsights import odata, summary
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored

Documents = list[Document]
HOST = "https://management.azure.com"
EVALUATION_SECONDS = 180.0  # that an evaluation takes; minutes on Azure ("Get compliance data", on-demand evaluation)


class Query(ResourceType):
    """A type that is only asked: POST {scope}/providers/Microsoft.PolicyInsights/{name}/{which}/queryResults."""

    extension = True
    stored = False
    has_state = False
    which: tuple[str, ...] = ("latest",)
    read_actions = ("queryresults", "summarize")

    def scope(self, call: Call) -> str:
        """The scope asked about."""
        return call.id.scope

    async def get(self, call: Call) -> Answer:
        raise errors.method_not_allowed(call.method, self.full_name)

    async def list(self, call: Call) -> Answer:
        raise errors.method_not_allowed(call.method, self.full_name)

    def check(self, call: Call) -> None:
        """Raises 400 for a word in place of `latest` that there is not."""
        if call.id.name.lower() not in self.which:
            text = (
                f"The requested resource '{self.name}/{call.id.name}' is not valid; expected: {', '.join(self.which)}."
            )
            raise errors.ArmError(400, "InvalidResource", text)

    def answered(self, call: Call, rows: Documents, kind: str = "") -> Answer:
        """An OData list."""
        written = _written(call)
        context = f"{HOST}{written}/providers/Microsoft.PolicyInsights/{self.name}/$metadata#{kind or call.id.name}"
        value = [{"@odata.id": None, "@odata.context": f"{context}/$entity"} | row for row in rows]
        return Answer(200, {"@odata.context": context, "@odata.count": len(rows), "value": value})


def _written(call: Call) -> str:
    """The scope as the client wrote it."""
    return call.path[: call.path.lower().rindex("/providers/microsoft.policyinsights/")]


class PolicyStates(Query):
    """Microsoft.PolicyInsights/policyStates."""

    name = "policyStates"
    which = ("latest", "default")
    style = Style(
        result_path="/subscriptions/{subscription}/providers/Microsoft.PolicyInsights/asyncOperationResults/{id}",
        status_on=(),
        result_on=("POST",),
        retry_after=15,
    )

    def rows(self, call: Call) -> Documents:
        """The records at the scope of a request."""
        self.check(call)
        scope = self.scope(call)
        found = compliance.records(call.arm, _resources(scope))
        found = compliance.at(found, scope)
        if "policyevaluationdetails" not in call.query.get("$expand", "").lower():
            found = [{k: v for k, v in r.items() if k != "policyEvaluationDetails"} for r in found]
        return found

    @action("queryResults")
    async def query_results(self, call: Call, stored: Stored | None) -> Answer:
        """The records, by $filter, $apply, $orderby, $select and $top."""
        return self.answered(call, odata.query(call.query, self.rows(call)))

    @action("summarize")
    async def summarize(self, call: Call, stored: Stored | None) -> Answer:
        """How many comply and how many do not, in all and by assignment."""
        options = {k: v for k, v in call.query.items() if k in ("$filter", "$from", "$to")}
        rows = odata.query(options, self.rows(call))
        top = int(call.query["$top"]) if call.query.get("$top", "").isdigit() else None
        return self.answered(call, [summary.summarize(call, _written(call), rows, top)], "summary")

    @action("triggerEvaluation")
    async def trigger_evaluation(self, call: Call, stored: Stored | None) -> Answer:
        """Starts an evaluation: 202 with nothing but a Location."""
        resource = Stored(self.scope(call), self.full_name, {"location": ""})
        with call.arm.atomic():
            running = self.begin(call, "triggerEvaluation", resource, EVALUATION_SECONDS)
        return Answer(202, None, self.operation_headers(call, running))

    def operation_location(self, call: Call, stored: Stored) -> str:
        return "global"

    async def perform(self, work: Work) -> None:
        await work.wait()
        compliance.evaluate(work.arm)

    def ended(self, work: Work) -> None:
        """Nothing is to be brought to an end state: the operation is on a scope, not on a resource."""

    async def result(self, call: Call, operation: Operation) -> Answer:
        if operation.running:
            again = polling.delay(call.arm, self.style.retry_after)
            return Answer(202, None, {"Location": call.full_url, **again})
        return Answer(200)


class ComponentPolicyStates(Query):
    """Microsoft.PolicyInsights/componentPolicyStates: what is inside of resources, such as pods of clusters."""

    name = "componentPolicyStates"

    @action("queryResults")
    async def query_results(self, call: Call, stored: Stored | None) -> Answer:
        """The components, by $filter, $apply, $orderby, $select and $top."""
        self.check(call)
        scope = self.scope(call)
        rows = compliance.at(compliance.components(call.arm, _resources(scope)), scope)
        if "policyevaluationdetails" not in call.query.get("$expand", "").lower():
            rows = [{k: v for k, v in r.items() if k != "policyEvaluationDetails"} for r in rows]
        return self.answered(call, odata.query(call.query, rows))


class PolicyEvents(Query):
    """Microsoft.PolicyInsights/policyEvents: what policies found at requests."""

    name = "policyEvents"
    which = ("default",)

    @action("queryResults")
    async def query_results(self, call: Call, stored: Stored | None) -> Answer:
        """The events, by $filter, $apply, $orderby, $select and $top."""
        self.check(call)
        scope = self.scope(call)
        rows = events.of(call.arm, _resources(scope))
        return self.answered(call, odata.query(call.query, compliance.at(rows, scope)))


class AsyncOperationResults(ResourceType):
    """Where the end of an evaluation is asked for; the addresses are those of operations."""

    name = "asyncOperationResults"
    stored = False

    async def get(self, call: Call) -> Answer:
        raise errors.operation_not_found(call.id.name)


def _resources(scope: str) -> str:
    """The scope of resources that a scope means: that of an assignment or a definition is the one that it is at."""
    lower = scope.lower()
    for mark in (
        "/providers/microsoft.authorization/policyassignments/",
        "/providers/microsoft.authorization/policydefinitions/",
        "/providers/microsoft.authorization/policysetdefinitions/",
    ):
        if mark in lower:
            return scope[: lower.rindex(mark)] or "/"
    return scope


def types() -> list[ResourceType]:
    """The types of the namespace."""
    from azsandbox.arm.providers.policyinsights.attestations import Attestations
    from azsandbox.arm.providers.policyinsights.remediations import Remediations

    found: list[Any] = [
        PolicyStates(),
        ComponentPolicyStates(),
        PolicyEvents(),
        AsyncOperationResults(),
        Attestations(),
        Remediations(),
    ]
    return found
