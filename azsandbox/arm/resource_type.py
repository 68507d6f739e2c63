"""A resource type with the behaviour that all have: the base that providers derive from."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from azsandbox.arm import errors, polling, preconditions, tags
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.ids import ResourceId
from azsandbox.arm.operations import Operation, Style, Work
from azsandbox.arm.provider import NameRule
from azsandbox.arm.resources import Document, Stored, merge

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm, Provider

READ_ONLY = ("id", "name", "type", "etag", "systemData")  # what clients send back and Azure passes over


class ResourceType:
    """One type of a provider; see provider.py for what to override."""

    name = ""  # below the namespace: "virtualNetworks/subnets"
    tracked = False  # has a location and tags, and stands in the lists of resources
    extension = False  # sits on any scope
    scopes: tuple[str, ...] = ("group",)  # where it lies: group, subscription, tenant; an extension anywhere
    global_location = False  # its location is "global"
    names = NameRule()
    style = Style()
    has_state = True  # properties.provisioningState
    creating, updating, deleting = "Creating", "Updating", "Deleting"
    created_status, updated_status = 201, 200
    deleted_status, missing_status = 200, 204  # of DELETE, done at once or absent
    etags = False  # answers carry `etag`
    patch_merges = False  # PATCH may change properties (JSON merge); else tags only
    post_verb = "action"  # of the action that a POST to the collection needs
    read_actions: tuple[str, ...] = ()  # actions (in lower case) that only read, and need …/{name}/read
    removal_rank = 50  # in a resource group's deletion lower goes first
    zonal = False  # offered in availability zones

    provider: Provider
    actions: dict[str, str]

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls.actions = {
            name.lower(): attribute
            for attribute in dir(cls)
            if (name := getattr(getattr(cls, attribute, None), "arm_action", ""))
        }

    @property
    def full_name(self) -> str:
        """With the namespace: "Microsoft.Network/virtualNetworks/subnets"."""
        return f"{self.provider.namespace}/{self.name}"

    # --- what a type may override

    async def accept(self, call: Call, current: Stored | None) -> Document:
        """Validates the body of a PUT and returns what is to be stored of it, defaults filled in.

        `call.private` (a copy of what is stored) is kept beside it. `id`, `name`, `type`, `location`, `tags` and
        the provisioning state are set by the caller. Raises ArmError.
        """
        return {key: copy.deepcopy(value) for key, value in call.document.items() if key not in READ_ONLY}

    def present(self, call: Call, stored: Stored) -> Document:
        """The resource as answered."""
        return stored.body

    def seconds(self, call: Call, kind: str, current: Stored | None) -> float:
        """Seconds that Azure takes to create, update or delete; 0 is at once, with no operation."""
        return 0.0

    async def check_delete(self, call: Call, current: Stored) -> None:
        """Raises what keeps the resource from being deleted."""

    async def perform(self, work: Work) -> None:
        """The work of an operation; safe to begin again. ArmError makes it Failed."""
        await work.wait()
        stored = work.resource
        if work.operation.kind == "delete" and stored:
            await self.remove(work.arm, stored)

    def completed(self, work: Work, stored: Stored) -> None:
        """Sets what appears on the resource once its operation has succeeded. Must not raise."""

    async def remove(self, arm: Arm, stored: Stored) -> None:
        """Undoes what `perform` built outside the store. Safe to call again."""

    def written(self, call: Call, stored: Stored) -> None:
        """Runs in the transaction that writes the resource, for what must be stored with it. Must not raise."""

    def headers(self, call: Call) -> dict[str, str]:
        """Headers that every answer about the type carries, refusals too."""
        return {}

    def attributes(self, call: Call) -> dict[str, str | None]:
        """What conditions of role assignments may ask of a request about the type."""
        return {}

    # --- requests

    async def get(self, call: Call) -> Answer:
        """GET of one resource."""
        stored = call.current
        if stored is None:
            raise self.not_found(call)
        return self.answer(call, 200, stored)

    async def list(self, call: Call) -> Answer:
        """GET of a collection."""
        assert call.target is not None
        target = call.target
        if target.names:
            parent = ResourceId(target.scope, target.namespace, target.types[:-1], target.names)
            if self.parent_stored and call.arm.resources.get(parent) is None:
                raise self.parent_missing(call, parent)
        owner = target.owner
        found = call.arm.resources.children(owner, self.full_name)
        return call.page([self.present(call, stored) for stored in found])

    parent_stored = True  # its parent is a resource that must exist

    async def put(self, call: Call) -> Answer:
        """PUT: create or replace."""
        return await self.write(call)

    async def patch(self, call: Call) -> Answer:
        """PATCH: tags, and properties where the type allows it."""
        current = call.current
        if current is None:
            raise self.not_found(call)
        extra = set(call.document) - {"tags", "identity", *READ_ONLY}
        if extra and not self.patch_merges:
            raise errors.not_supported(f"PATCH of {', '.join(sorted(extra))} on {self.full_name}")
        if set(call.document) <= {"tags"}:
            return self._retag(call, current)
        patch = call.document
        call.body = merge(copy.deepcopy(current.body), patch)
        if "tags" in patch:
            call.body["tags"] = patch["tags"] or {}
        return await self.write(call)

    def _retag(self, call: Call, current: Stored) -> Answer:
        """PATCH of tags alone is done at once."""
        preconditions.check(call, current)
        tags.check(call.document.get("tags"))
        if "tags" in call.document:
            current.body["tags"] = call.document["tags"] or {}
            call.arm.resources.put(current)
        return self.answer(call, 200, current)

    async def delete(self, call: Call) -> Answer:
        """DELETE: at once, or by an operation."""
        current = call.current
        if current is None:
            return Answer(self.missing_status)
        preconditions.check(call, current)
        await self.check_delete(call, current)
        seconds = self.seconds(call, "delete", current)
        if not seconds:
            await self.remove(call.arm, current)
            call.arm.resources.delete(current.id)
            return Answer(self.deleted_status)
        running = next((o for o in call.arm.operations.of(current.id) if o.kind == "delete"), None)
        if running is None:
            if self.has_state:
                current.properties["provisioningState"] = self.deleting
            with call.arm.atomic():
                call.arm.resources.put(current)
                running = self.begin(call, "delete", current, seconds)
        return Answer(202, None, self.operation_headers(call, running))

    async def post(self, call: Call, name: str) -> Answer:
        """POST …/{name}/{action}."""
        handler = self.actions.get(name.lower())
        if handler is None:
            raise errors.not_supported(f"the action '{name}' of {self.full_name}")
        stored = call.current
        if stored is None and self.stored:
            raise self.not_found(call)
        method: Callable[[Call, Stored | None], Awaitable[Answer]] = getattr(self, handler)
        return await method(call, stored)

    stored = True  # its instances are in the store (locations and such are not)

    async def post_collection(self, call: Call) -> Answer:
        """POST on a collection, for types that are really actions (checkNameAvailability)."""
        raise errors.method_not_allowed(call.method, self.full_name)

    # --- writing

    async def write(self, call: Call) -> Answer:
        """Checks and stores call.body as the resource, starting an operation where the type takes time."""
        current, id_ = call.current, call.id
        parent = id_.parent
        if parent and self.parent_stored and call.arm.resources.get(parent) is None:
            raise self.parent_missing(call, parent)
        preconditions.check(call, current)
        if current is None:
            self.names.check(id_.name)
        location = self.location(call, current) if self.tracked else None
        if self.tracked:
            tags.check(call.document.get("tags"))
        call.private = copy.deepcopy(current.private) if current else {}
        accepted = await self.accept(call, current)
        body: Document = {"id": current.id if current else str(id_), "name": id_.name, "type": self.full_name}
        if current:
            body["name"] = current.body.get("name", id_.name)
        if location is not None:
            body["location"] = location
        body.update(accepted)
        if location is not None:
            body["location"] = location
        kind = "update" if current else "create"
        seconds = self.seconds(call, kind, current)
        if self.has_state:
            state = "Succeeded" if not seconds else self.updating if current else self.creating
            body.setdefault("properties", {})["provisioningState"] = state
        stored = Stored(body["id"], self.full_name, body, call.private, current.created if current else "")
        operation = None
        with call.arm.atomic():
            call.arm.resources.put(stored)
            self.written(call, stored)
            if seconds:
                operation = self.begin(call, kind, stored, seconds)
        answer = self.answer(call, self.updated_status if current else self.created_status, stored)
        if operation:
            answer.headers |= self.operation_headers(call, operation)
        return answer

    def begin(self, call: Call, kind: str, stored: Stored, seconds: float, **data: Any) -> Operation:
        """Stores an operation on `stored`; call inside `arm.atomic()` with the change itself."""
        operation = call.arm.operations.start(
            kind, stored, method=call.method, seconds=seconds, location=self.operation_location(call, stored), **data
        )
        operation.api_version = call.api_version
        call.arm.operations.save(operation)
        return operation

    def operation_location(self, call: Call, stored: Stored) -> str:
        """The location in the URLs of operations: the resource's, or its top-level parent's."""
        location = stored.body.get("location")
        parent = stored.resource_id.parent
        while not location and parent:
            above = call.arm.resources.get(parent)
            location = above.body.get("location") if above else None
            parent = parent.parent
        return str(location or "global")

    def operation_headers(self, call: Call, operation: Operation) -> dict[str, str]:
        """The headers by which a client follows the operation."""
        return polling.headers(call, self, operation)

    async def result(self, call: Call, operation: Operation) -> Answer:
        """The answer to a GET of the URL in Location: 202 while it runs, then what came of it."""
        if operation.running:
            return Answer(202, None, {"Location": call.full_url, **polling.delay(call.arm, self.style.retry_after)})
        if operation.status != "Succeeded":
            error = operation.error or {"code": "Canceled", "message": "The operation was canceled."}
            return Answer(409 if operation.status == "Canceled" else 400, {"error": error})
        stored = call.arm.resources.get(operation.resource)
        if operation.method in ("PUT", "PATCH") and stored:
            return self.answer(call, 200, stored)
        return Answer(self.style.done, operation.data.get("result"))

    def answer(self, call: Call, status: int, stored: Stored) -> Answer:
        """An answer with the resource."""
        headers = {"ETag": f'W/"{stored.etag}"'} if self.etags else {}
        return Answer(status, self.present(call, stored), headers)

    def location(self, call: Call, current: Stored | None) -> str:
        """The normalized location of the body. Raises what Resource Manager says of a wrong one."""
        asked = call.document.get("location")
        if not asked or not isinstance(asked, str):
            raise errors.location_required()
        location = call.arm.facts.location(asked)
        available = call.arm.facts.locations_of(self.full_name)
        if self.global_location:
            if location != "global":
                raise errors.location_not_available(asked, self.full_name, ["global"])
        elif location not in available:
            raise errors.location_not_available(asked, self.full_name, available)
        if current and call.arm.facts.location(str(current.body.get("location", ""))) != location:
            existing = str(current.body["location"])
            raise errors.invalid_resource_location(call.id.name, existing, call.id.group or "", location)
        return location

    def ended(self, work: Work) -> None:
        """Brings the resource to the end state of its operation; part of the transaction that ends it."""
        stored, operation = work.resource, work.operation
        if stored is None:
            return
        if operation.kind == "delete" and operation.status == "Succeeded":
            work.arm.resources.delete(stored.id)
            return
        others = [o for o in work.arm.operations.of(stored.id) if o.id != operation.id]
        if self.has_state and not others:  # a later operation leaves its own state
            stored.properties["provisioningState"] = operation.status
        if operation.status == "Succeeded":
            self.completed(work, stored)
        work.arm.resources.put(stored)

    # --- errors

    def not_found(self, call: Call) -> errors.ArmError:
        """404 of one resource of this type."""
        id_ = call.id
        parent = id_.parent
        if parent and self.parent_stored and call.arm.resources.get(parent) is None:
            return self.parent_missing(call, parent)
        return errors.resource_not_found(self.full_name, id_.names, id_.group)

    def parent_missing(self, call: Call, parent: ResourceId) -> errors.ArmError:
        """404 of the parent."""
        verb = {"GET": "read", "DELETE": "delete", "POST": "action"}.get(call.method, "write")
        return errors.parent_not_found(verb, self.name, str(parent))
