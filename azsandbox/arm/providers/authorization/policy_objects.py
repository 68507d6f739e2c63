"""What definitions, initiatives, assignments and exemptions of policy have in common."""

from __future__ import annotations

import copy
import re
from typing import Any

from azsandbox.arm import errors, ids
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.policy import definitions
from azsandbox.arm.policy.built_in import ASSIGNMENTS, INITIATIVES, built_in
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored, timestamp

VERSIONED = "2023-04-01"  # the api-version from which definitions have versions
SYSTEM_DATA = "2020"  # the year from which resources of policy show who wrote them
STAMPS = ("createdBy", "createdOn", "updatedBy", "updatedOn")


def versioned(call: Call) -> bool:
    """Whether the api-version knows versions of definitions."""
    return call.api_version >= VERSIONED


def metadata(call: Call, current: Stored | None, given: Any) -> Document:
    """Metadata of a write: what was given, and who wrote when; updatedBy and updatedOn are null at first."""
    now, who = timestamp(call.arm.services.clock), call.identity.object_id
    out = {k: v for k, v in (given or {}).items() if k not in STAMPS}
    before = (current.properties.get("metadata") or {}) if current else {}
    if current:
        return out | {
            "createdBy": before.get("createdBy", who),
            "createdOn": before.get("createdOn", now),
            "updatedBy": who,
            "updatedOn": now,
        }
    return out | {"createdBy": who, "createdOn": now, "updatedBy": None, "updatedOn": None}


def system_data(call: Call, current: Stored | None) -> Document:
    """Who created and last wrote the resource."""
    now = timestamp(call.arm.services.clock)
    kind = "User" if str(call.identity.kind).lower() == "user" else "Application"
    before: Document = (current.private.get("systemData") or {}) if current else {}
    who = {"createdBy": call.identity.name, "createdByType": kind, "createdAt": now}
    last = {"lastModifiedBy": call.identity.name, "lastModifiedByType": kind, "lastModifiedAt": now}
    return {**who, **{k: v for k, v in before.items() if k in who}, **last}


class PolicyObject(ResourceType):
    """A resource of Azure Policy: on a scope, at once, every PUT of it answered with 201."""

    extension = True
    has_state = False
    removal_rank = 0
    noun, missing_code = "", ""
    missing_text = "The {noun} '{name}' could not be found."

    def not_found(self, call: Call) -> errors.ArmError:
        text = self.missing_text.format(noun=self.noun, name=call.id.name)
        return errors.ArmError(404, self.missing_code, text, headers={"Cache-Control": "no-store, no-cache"})

    def present(self, call: Call, stored: Stored) -> Document:
        out = copy.deepcopy(stored.body)
        if call.api_version >= SYSTEM_DATA and stored.private.get("systemData"):
            out["systemData"] = stored.private["systemData"]
        return out

    async def put(self, call: Call) -> Answer:
        answer = await self.write(call)
        answer.status = 201
        return answer

    async def delete(self, call: Call) -> Answer:
        stored = call.current
        if stored is None:
            return Answer(204)
        await self.check_delete(call, stored)
        await self.remove(call.arm, stored)
        call.arm.resources.delete(stored.id)
        return Answer(200, self.present(call, stored))


class DefinitionObject(PolicyObject):
    """A definition or an initiative: in a subscription, or built in at the tenant."""

    async def get(self, call: Call) -> Answer:
        if not call.id.scope:
            row = built_in(self.full_name).get(call.id.name.lower())
            if row is None:
                raise self.not_found(call)
            return Answer(200, self.render(call, definitions.shown(row, self.full_name)))
        return await super().get(call)

    def present(self, call: Call, stored: Stored) -> Document:
        return self.render(call, super().present(call, stored))

    def render(self, call: Call, body: Document) -> Document:
        """The body as the api-version has it: versions only where it knows them."""
        properties = dict(body["properties"])
        if not versioned(call):
            properties = {k: v for k, v in properties.items() if k not in ("version", "versions")}
            if "policyDefinitions" in properties:
                members = properties["policyDefinitions"]
                properties["policyDefinitions"] = [
                    {k: v for k, v in m.items() if k != "definitionVersion"} for m in members
                ]
        return {**body, "properties": properties}

    async def list(self, call: Call) -> Answer:
        """The built-in ones in the order of names, then those of the subscription; $filter narrows them."""
        assert call.target is not None
        rows = [definitions.shown(r, self.full_name) for r in built_in(self.full_name).values()]
        own: list[Document] = []
        if call.target.scope:
            own = [s.body for s in call.arm.resources.children(call.target.scope, self.full_name)]
        found = [*rows, *own]
        for term in re.split(r"\s+and\s+", call.query.get("$filter", "").strip()):
            if not term:
                continue
            if term.replace(" ", "").lower() == "atexactscope()":
                found = own if call.target.scope else rows
            elif match := re.fullmatch(r"policyType\s+-?eq\s+'?(\w+)'?", term, re.IGNORECASE):
                found = [f for f in found if f["properties"]["policyType"].lower() == match[1].lower()]
            elif match := re.fullmatch(r"category\s+-?eq\s+'([^']*)'", term, re.IGNORECASE):
                wanted = match[1].lower()
                found = [
                    f for f in found if str((f["properties"].get("metadata") or {}).get("category")).lower() == wanted
                ]
            else:
                raise unsupported_filter(call)
        return call.page([self.render(call, f) for f in found])

    async def put(self, call: Call) -> Answer:
        if not call.id.scope:
            text = "The request did not have a subscription or a valid tenant level resource provider."
            raise errors.gateway(404, "MissingSubscription", text)
        if call.id.scope.count("/") != 2:
            raise errors.not_supported(f"a {self.noun} at '{call.id.scope}'; put it into a subscription")
        return await super().put(call)

    async def check_delete(self, call: Call, current: Stored) -> None:
        """A definition that is assigned, or a member of an initiative, stays."""
        kind = "Definition" if self.full_name != INITIATIVES else "SetDefinition"
        code = f"InvalidDeletePolicy{kind}Request"
        for stored in call.arm.resources.all(INITIATIVES):
            if any(ids.same(m["policyDefinitionId"], current.id) for m in stored.properties["policyDefinitions"]):
                text = (
                    f"The {self.noun} '{current.name}' cannot be deleted.  It is referenced by the policy set definition "
                    f"'{stored.id}'. Please remove this policy definition from all policy set definitions that reference it."
                )
                raise errors.ArmError(400, code, text)
        for stored in call.arm.resources.all(ASSIGNMENTS):
            if ids.same(stored.properties["policyDefinitionId"], current.id):
                text = (
                    f"The {self.noun} '{current.name}' cannot be deleted. It is referenced by the policy assignment "
                    f"'{stored.id}'. Please delete all policy assignments referencing the policy."
                )
                raise errors.ArmError(400, code, text)

    def common(self, call: Call, current: Stored | None) -> Document:
        """The properties that definitions and initiatives share, in Azure's order."""
        given = call.properties
        kind = str(given.get("policyType") or "Custom")
        if kind.lower() not in ("custom", "notspecified"):
            text = (
                f"The {self.noun} '{call.id.name}' cannot be created with the policy type '{kind}'; expected 'Custom'."
            )
            raise errors.ArmError(400, "InvalidPolicyType", text)
        out: Document = {}
        for key in ("displayName", "description"):
            if given.get(key) is not None:
                out[key] = given[key]
        out["policyType"] = "Custom"
        out["metadata"] = metadata(call, current, given.get("metadata"))
        number = str(given.get("version") or (given.get("metadata") or {}).get("version") or "1.0.0")
        return out | {"version": number, "versions": [number]}


class Versions(ResourceType):
    """The versions of a definition or an initiative: the one that there is."""

    extension = True
    stored = False
    parent_stored = False
    of = ""

    @property
    def full_name(self) -> str:
        return f"{self.of}/versions"

    def _body(self, call: Call, parent: Document) -> Document:
        number = definitions.version_of(parent)
        properties = {k: v for k, v in parent["properties"].items() if k != "versions"}
        return {
            "properties": {**properties, "version": number},
            "id": f"{parent['id']}/versions/{number}",
            "type": self.full_name,
            "name": number,
        }

    def _parent(self, call: Call) -> Document:
        assert call.target is not None
        name = call.target.names[0]
        found = definitions.find(call.arm, f"{call.target.scope}/providers/{self.of}/{name}")
        if found is None:
            noun = "policy set definition" if self.of == INITIATIVES else "policy definition"
            code = "PolicySetDefinitionNotFound" if self.of == INITIATIVES else "PolicyDefinitionNotFound"
            raise errors.ArmError(404, code, f"The {noun} '{name}' could not be found.")
        return found

    async def get(self, call: Call) -> Answer:
        parent, wanted = self._parent(call), call.id.name
        if wanted != definitions.version_of(parent):
            if wanted in parent["properties"].get("versions", []):
                raise errors.not_supported(
                    f"version {wanted} of '{parent['name']}'; its rule is known in version "
                    f"{definitions.version_of(parent)} only"
                )
            code = "PolicySetDefinitionVersionNotFound" if self.of == INITIATIVES else "PolicyDefinitionVersionNotFound"
            raise errors.ArmError(404, code, f"The version '{wanted}' of '{parent['name']}' could not be found.")
        return Answer(200, self._body(call, parent))

    async def list(self, call: Call) -> Answer:
        return call.page([self._body(call, self._parent(call))])

    async def put(self, call: Call) -> Answer:
        raise errors.not_supported("more than one version of a custom definition")

    async def delete(self, call: Call) -> Answer:
        raise errors.not_supported("more than one version of a custom definition")


def unsupported_filter(call: Call) -> errors.ArmError:
    """400 for a filter of another form."""
    text = f"Invalid $filter '{call.query.get('$filter')}' specified in the query string."
    return errors.gateway(400, "InvalidFilterInQueryString", text)
