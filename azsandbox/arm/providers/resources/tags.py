"""Tags: filters, and the resource Microsoft.Resources/tags/default on any scope."""

from __future__ import annotations

import re

from azsandbox.arm import errors, ids
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored
from azsandbox.arm.tags import check


def parse_filter(condition: str) -> tuple[str, str | None] | None:
    """Name and value of `tagName eq 'x' [and tagValue eq 'y']`; None for any other filter."""
    found = re.fullmatch(
        r"\s*tagName\s+eq\s+'([^']*)'\s*(?:and\s+tagValue\s+eq\s+'([^']*)'\s*)?", condition, re.IGNORECASE
    )
    return (found[1], found[2]) if found else None


def matches(tags: dict[str, str] | None, name: str, value: str | None) -> bool:
    """Whether the tags hold that name (without regard to case) with that value."""
    return any(k.lower() == name.lower() and (value is None or v == value) for k, v in (tags or {}).items())


class Tags(ResourceType):
    """{scope}/providers/Microsoft.Resources/tags/default: the tags of the resource it sits on."""

    name = "tags"
    extension = True
    stored = False

    def _target(self, call: Call) -> Stored:
        scope = call.id.scope
        stored = call.arm.resources.get(scope)
        if stored is None:
            id_ = ids.of(scope)
            raise errors.resource_not_found(id_.type, id_.names, id_.group)
        return stored

    def _answer(self, call: Call, stored: Stored) -> Answer:
        body: Document = {
            "id": str(call.id),
            "name": "default",
            "type": "Microsoft.Resources/tags",
            "properties": {"tags": stored.body.get("tags") or {}},
        }
        return Answer(200, body)

    async def get(self, call: Call) -> Answer:
        return self._answer(call, self._target(call))

    async def put(self, call: Call) -> Answer:
        stored, tags = self._target(call), call.properties.get("tags") or {}
        check(tags)
        stored.body["tags"] = tags
        call.arm.resources.put(stored)
        return self._answer(call, stored)

    async def patch(self, call: Call) -> Answer:
        stored, wanted = self._target(call), call.properties.get("tags") or {}
        operation = str(call.document.get("operation") or "Merge")
        current: dict[str, str] = dict(stored.body.get("tags") or {})
        if operation.lower() == "replace":
            current = wanted
        elif operation.lower() == "delete":
            current = {k: v for k, v in current.items() if k not in wanted}
        elif operation.lower() == "merge":
            current |= wanted
        else:
            text = f"The tags patch operation '{operation}' is invalid. Supported are 'Replace', 'Merge' and 'Delete'."
            raise errors.gateway(400, "InvalidTagsPatchOperation", text)
        check(current)
        stored.body["tags"] = current
        call.arm.resources.put(stored)
        return self._answer(call, stored)

    async def delete(self, call: Call) -> Answer:
        stored = self._target(call)
        stored.body["tags"] = {}
        call.arm.resources.put(stored)
        return Answer(200)
