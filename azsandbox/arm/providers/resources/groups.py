"""Resource groups: PUT, GET, HEAD, PATCH, DELETE with everything in them, and exportTemplate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from azsandbox.arm import errors, ids, preconditions
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.operations import Operation, Style, Work, status_only
from azsandbox.arm.provider import action
from azsandbox.arm.providers.resources import tags
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored, merge
from azsandbox.arm.tags import check

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

NAME = re.compile(r"[-\w._()]{0,89}[-\w_()]")
DELETE_SECONDS = 30.0  # of an empty group; its resources take their own time besides


class ResourceGroups(ResourceType):
    """Microsoft.Resources/subscriptions/resourceGroups; answered under type Microsoft.Resources/resourceGroups."""

    name = "subscriptions/resourceGroups"
    style = Style(
        result_path="/subscriptions/{subscription}/operationresults/{id}",
        status_on=(),
        result_on=("DELETE",),
        body=status_only,
        retry_after=15,
    )
    parent_stored = False
    removal_rank = 100

    async def get(self, call: Call) -> Answer:
        stored = call.current
        if call.method == "HEAD":
            return Answer(404 if stored is None else 204)
        if stored is None:
            raise errors.group_not_found(call.id.name)
        return Answer(200, stored.body)

    async def list(self, call: Call) -> Answer:
        groups = [s.body for s in call.arm.resources.all(self.full_name)]
        condition = call.query.get("$filter")
        if condition:
            wanted = tags.parse_filter(condition)
            if wanted is None:
                raise errors.gateway(
                    400, "InvalidFilterInQueryString", f"Invalid $filter '{condition}' specified in the query string."
                )
            groups = [g for g in groups if tags.matches(g.get("tags"), *wanted)]
        return call.page(groups)

    async def put(self, call: Call) -> Answer:
        current, name = call.current, call.id.name
        preconditions.check(call, current)
        if not NAME.fullmatch(name):
            wrong = "".join(dict.fromkeys(re.findall(r"[^-\w._()]", name)))
            raise errors.gateway(
                400,
                "InvalidResourceGroup",
                f"The provided resource group name '{name}' has these invalid characters: "
                f"'{wrong}'. The name can only be a letter, digit, '-', '.', '(', ')' or "
                "'_'. It cannot be longer than 90 characters and cannot end with a period.",
            )
        document = call.document
        asked = document.get("location")
        if not asked or not isinstance(asked, str):
            raise errors.location_required()
        location = call.arm.facts.location(asked)
        if current and current.body["location"] != location:
            raise errors.gateway(
                409,
                "InvalidResourceGroupLocation",
                f"Invalid resource group location '{asked}'. The Resource group already exists in location "
                f"'{current.body['location']}'.",
            )
        if location not in call.arm.facts.locations:
            raise errors.gateway(
                400,
                "LocationNotAvailableForResourceGroup",
                f"The provided location '{asked}' is not available for resource group. List of available regions is "
                f"'{','.join(call.arm.facts.locations)}'.",
            )
        if current and current.state == "Deleting":
            raise errors.group_being_deleted(name)
        check(document.get("tags"))
        id_ = current.id if current else str(ids.group(call.subscription.lower(), name))
        body: Document = {"id": id_, "name": ids.of(id_).name, "type": "Microsoft.Resources/resourceGroups"}
        body["location"] = location
        for key in ("managedBy", "tags"):
            if document.get(key) is not None:
                body[key] = document[key]
        body["properties"] = {"provisioningState": "Succeeded"}
        call.arm.resources.put(Stored(id_, self.full_name, body, created=current.created if current else ""))
        return Answer(200 if current else 201, body)

    async def patch(self, call: Call) -> Answer:
        current = call.current
        if current is None:
            raise errors.group_not_found(call.id.name)
        call.body = merge(current.body, call.document)
        if "tags" in call.document:
            call.body["tags"] = call.document["tags"]
        return await self.put(call)

    async def delete(self, call: Call) -> Answer:
        current = call.current
        if current is None:
            raise errors.group_not_found(call.id.name)
        running = next((o for o in call.arm.operations.of(current.id) if o.kind == "delete"), None)
        if running is None:
            current.properties["provisioningState"] = "Deleting"
            with call.arm.atomic():
                call.arm.resources.put(current)
                running = self.begin(call, "delete", current, DELETE_SECONDS)
        return Answer(202, None, self.operation_headers(call, running))

    async def result(self, call: Call, operation: Operation) -> Answer:
        answer = await super().result(call, operation)
        if answer.status == 400:
            answer.status = 409
        return answer

    async def perform(self, work: Work) -> None:
        """Deletes what is in the group, dependents first, then lets the group itself go."""
        found = await self._empty(work)
        if found:
            names = ", ".join(f"'{s.id}'" for s in found)
            raise errors.ArmError(
                409,
                "ResourceGroupDeletionBlocked",
                f"Deletion of resource group '{work.operation.resource.rsplit('/', 1)[-1]}' failed as resources with "
                f"identifiers {names} could not be deleted.",
            )
        await work.wait()

    async def _empty(self, work: Work) -> Sequence[Stored]:
        arm = work.arm
        inside = [s for s in arm.resources.below(work.operation.resource) if _top(s)]
        ordered = sorted(inside, key=lambda s: (_rank(arm, s), s.id))
        for done, stored in enumerate(ordered, 1):
            for operation in arm.operations.below(stored.id):
                arm.operations.cancel(operation)
            await arm.type_of(stored.type).remove(arm, stored)
            arm.resources.delete(stored.id)
            work.progress(round(90 * done / len(ordered), 1), f"deleted {stored.name}")
        return [s for s in arm.resources.below(work.operation.resource) if _top(s)]

    @action("exportTemplate")
    async def export(self, call: Call, stored: Stored | None) -> Answer:
        """The deployment template of an empty group; a filled one is refused by name."""
        assert stored is not None
        if any(_top(s) for s in call.arm.resources.below(stored.id)):
            raise errors.not_supported("exportTemplate of a resource group that holds resources")
        template: dict[str, Any] = {
            "$schema": "https://schema.management.azure.com/schemas/2015-01-01/deploymentTemplate.json#",
            "contentVersion": "1.0.0.0",
            "parameters": {},
            "variables": {},
            "resources": [],
        }
        return Answer(200, {"template": template})

    def not_found(self, call: Call) -> errors.ArmError:
        return errors.group_not_found(call.id.name)


def _top(stored: Stored) -> bool:
    """Whether it is a resource of the group itself: no child, no extension."""
    id_ = stored.resource_id
    return id_.parent is None and "/providers/" not in id_.scope


def _rank(arm: Arm, stored: Stored) -> int:
    return arm.type_of(stored.type).removal_rank
