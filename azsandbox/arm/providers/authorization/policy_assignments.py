"""Policy assignments: a definition or an initiative, held to a scope."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from azsandbox.arm import errors, ids
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.policy import definitions, expressions, parameters
from azsandbox.arm.policy.in_force import SELECTORS
from azsandbox.arm.providers.authorization.policy_objects import (
    PolicyObject,
    metadata,
    system_data,
    unsupported_filter,
    versioned,
)
from azsandbox.arm.resources import Document, Stored, merge

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

ENFORCEMENT = ("Default", "DoNotEnforce")
NEEDS_IDENTITY = ("deployifnotexists", "modify")
SKU = {"name": "A0", "tier": "Free"}


class PolicyAssignments(PolicyObject):
    """Microsoft.Authorization/policyAssignments."""

    name = "policyAssignments"
    noun, missing_code = "policy assignment", "PolicyAssignmentNotFound"
    missing_text = "The {noun} '{name}' is not found."

    async def accept(self, call: Call, current: Stored | None) -> Document:
        given, name = call.properties, call.id.name
        scope = call.id.scope
        asked = given.get("policyDefinitionId")
        if not asked or not isinstance(asked, str):
            text = (
                f"The policy assignment '{name}' create request is invalid. The policy definition id must be specified."
            )
            raise errors.ArmError(400, "InvalidCreatePolicyAssignmentRequest", text)
        found = self._definition(call, name, scope, asked)
        if current and not ids.same(current.properties["policyDefinitionId"], asked):
            text = (
                f"The policy assignment '{name}' update request is invalid. The policy definition id of a policy assignment "
                "cannot be changed."
            )
            raise errors.ArmError(400, "InvalidUpdatePolicyAssignmentRequest", text)
        if given.get("scope") and not ids.same(given["scope"], scope):
            text = f"The scope '{given['scope']}' of the policy assignment '{name}' does not match the scope '{scope}' of the request."
            raise errors.ArmError(400, "InvalidCreatePolicyAssignmentRequest", text)
        declared = found["properties"].get("parameters") or {}
        values = parameters.values(given.get("parameters"))
        told = definitions.version_of(found) if versioned(call) else ""
        parameters.check(self.noun, name, values, declared, found["name"], told)
        self._check_selectors(given)
        self._check_effects(call, name, found, parameters.bound(values, declared), given)
        out: Document = {}
        for key in ("displayName", "description"):
            if given.get(key) is not None:
                out[key] = given[key]
        out["policyDefinitionId"] = asked
        if versioned(call):
            out["definitionVersion"] = self._version(given, found)
        out["scope"] = scope
        not_scopes = given.get("notScopes")
        if not_scopes is not None or versioned(call):
            out["notScopes"] = self._not_scopes(scope, not_scopes or [])
        if "parameters" in given:
            out["parameters"] = given["parameters"]
        out["metadata"] = metadata(call, current, given.get("metadata"))
        out["enforcementMode"] = self._mode(given)
        for key in ("nonComplianceMessages", "resourceSelectors", "overrides", "assignmentType"):
            if given.get(key) is not None:
                out[key] = given[key]
        self._check_messages(name, found, given.get("nonComplianceMessages"))
        out["instanceId"] = current.properties["instanceId"] if current else str(uuid.uuid4())
        call.private["systemData"] = system_data(call, current)
        call.private["sku"] = call.document.get("sku") or SKU
        body: Document = {"properties": out}
        return body | self._identity(call, current)

    def present(self, call: Call, stored: Stored) -> Document:
        body = super().present(call, stored)
        properties = body["properties"]
        if call.api_version < "2024":
            properties.pop("instanceId", None)
        if call.api_version <= "2019-09-01":
            body["sku"] = stored.private.get("sku") or SKU
        expand = call.query.get("$expand", "").lower()
        if "definitionversion" in expand and (found := definitions.find(call.arm, properties["policyDefinitionId"])):
            for word in ("latestDefinitionVersion", "effectiveDefinitionVersion"):
                if word.lower() in expand:
                    properties[word] = definitions.version_of(found)
        return body

    async def patch(self, call: Call) -> Answer:
        current = call.current
        if current is None:
            raise self.not_found(call)
        changed = set(call.document) - {"identity", "location", "properties"}
        changed |= set(call.properties) - {"resourceSelectors", "overrides"}
        if changed:
            raise errors.not_supported(f"PATCH of {', '.join(sorted(changed))} on {self.full_name}")
        whole = {k: v for k, v in current.body.items() if k in ("identity", "location", "properties")}
        call.body = merge(whole, call.document)
        answer = await self.write(call)
        answer.status = 200
        return answer

    async def list(self, call: Call) -> Answer:
        """Assignments at, above and below the scope; $filter narrows them: atScope() leaves out those below,
        atExactScope() those above too."""
        assert call.target is not None
        scope = call.target.scope or "/"
        stored = call.arm.resources.all(self.full_name)
        found = [s for s in stored if ids.within(_scope(s), scope) or ids.within(scope, _scope(s))]
        for term in re.split(r"\s+and\s+", call.query.get("$filter", "").strip()):
            bare = term.replace(" ", "").lower()
            if bare == "atexactscope()":
                found = [s for s in found if ids.same(_scope(s), scope)]
            elif bare == "atscope()":
                found = [s for s in found if ids.within(scope, _scope(s))]
            elif match := re.fullmatch(r"policyDefinitionId\s+eq\s+'?([^']+)'?", term, re.IGNORECASE):
                found = [s for s in found if ids.same(s.properties["policyDefinitionId"], match[1])]
            elif bare:
                raise unsupported_filter(call)
        return call.page([self.present(call, s) for s in found])

    async def remove(self, arm: Arm, stored: Stored) -> None:
        """Its own identity goes with it."""
        principal = (stored.body.get("identity") or {}).get("principalId")
        if principal:
            arm.services.entra.directory.delete(principal)

    # --- what a body must hold

    def _definition(self, call: Call, name: str, scope: str, asked: str) -> Document:
        found = definitions.find(call.arm, asked)
        if found is None:
            is_set = definitions.is_set(asked)
            noun = "policy set definition" if is_set else "policy definition"
            code = "PolicySetDefinitionNotFound" if is_set else "PolicyDefinitionNotFound"
            raise errors.ArmError(404, code, f"The {noun} '{asked.rsplit('/', 1)[-1]}' could not be found.")
        home = ids.of(found["id"]).scope
        if home and not ids.within(scope, home):
            raise errors.ArmError(
                400,
                "InvalidCreatePolicyAssignmentRequest",
                f"The policy definition specified in policy assignment '{name}' is out of scope. Policy definitions should "
                "be specified only at or above the policy assignment scope. If the management groups hierarchy changed "
                "recently or if assigning a management group policy to new subscription, please allow up to 30 minutes for "
                "the hierarchy changes to apply and try again.",
            )
        return found

    def _version(self, given: Document, found: Document) -> str:
        asked = str(given.get("definitionVersion") or "")
        if not asked:
            return definitions.major(found)
        number = definitions.version_of(found)
        parts, have = asked.split("-")[0].split("."), number.split("-")[0].split(".")
        if any(p not in ("*", h) for p, h in zip(parts, have, strict=False)):
            raise errors.not_supported(
                f"version {asked} of '{found['name']}'; its rule is known in version {number} only"
            )
        return asked

    def _mode(self, given: Document) -> str:
        mode = str(given.get("enforcementMode") or "Default")
        found = next((m for m in ENFORCEMENT if m.lower() == mode.lower()), None)
        if found is None:
            if mode.lower() == "enroll":
                raise errors.not_supported("the enforcement mode 'Enroll'")
            text = (
                "The request content was invalid and could not be deserialized: 'Error converting value "
                f"\"{mode}\" to type 'EnforcementMode'. Path 'properties.enforcementMode'.'."
            )
            raise errors.invalid_content(text)
        return found

    def _not_scopes(self, scope: str, not_scopes: Any) -> Any:
        wrong = [s for s in not_scopes if not isinstance(s, str) or not ids.within(s, scope) or ids.same(s, scope)]
        if not isinstance(not_scopes, list) or wrong:
            raise errors.ArmError(
                400,
                "InvalidPolicyAssignmentNotScopes",
                f"The policy assignment has invalid 'notScopes': '{wrong[0] if wrong else not_scopes}' is not below the "
                f"scope '{scope}' of the assignment.",
            )
        return not_scopes

    def _check_selectors(self, given: Document) -> None:
        entries = [*(given.get("resourceSelectors") or []), *(given.get("overrides") or [])]
        for selector in [s for entry in entries for s in entry.get("selectors") or []]:
            if selector.get("kind") not in SELECTORS:
                raise errors.not_supported(f"the selector kind '{selector.get('kind')}'; it has {', '.join(SELECTORS)}")
        for override in given.get("overrides") or []:
            if override.get("kind") != "policyEffect":
                raise errors.not_supported(f"the override kind '{override.get('kind')}'; it has policyEffect")

    def _check_messages(self, name: str, found: Document, messages: Any) -> None:
        members = {
            str(m["policyDefinitionReferenceId"]).lower() for m in found["properties"].get("policyDefinitions") or []
        }
        for entry in messages or []:
            reference = str(entry.get("policyDefinitionReferenceId") or "")
            if reference and reference.lower() not in members:
                raise invalid_reference(self.noun, name, [reference])

    def _check_effects(self, call: Call, name: str, found: Document, values: Document, given: Document) -> None:
        """Refuses by name what the sandbox does not carry out, and asks for the identity that Azure asks for."""
        told = [str(o.get("value")) for o in given.get("overrides") or []]
        for definition, effect in [*_effects(call.arm, found, values), *((found, t) for t in told)]:
            lower = effect.lower()
            identity = str((call.document.get("identity") or {}).get("type") or "None").lower()
            if lower in NEEDS_IDENTITY and identity == "none":
                tail = (
                    " or policy definitions that contain a deployment in the effect details"
                    if lower != "modify"
                    else ""
                )
                shown = definitions.EFFECTS[lower]
                text = (
                    "Policy assignments must include a 'managed identity' when assigning "
                    f"'{shown}' policy definitions{tail}."
                )
                raise errors.ArmError(400, "ResourceIdentityRequired", text)
            details = (
                definition["properties"]["policyRule"]["then"].get("details")
                if "policyRule" in definition["properties"]
                else None
            )
            if lower not in definitions.WORKING or (isinstance(details, dict) and "mutationInfo" in details):
                shown = definitions.EFFECTS.get(lower, effect)
                raise errors.not_supported(f"the policy effect '{shown}' (of '{definition['name']}')")
            if (
                lower == "deployifnotexists"
                and "deployment" not in (details or {})
                and "policyRule" in definition["properties"]
            ):
                raise errors.not_supported(f"what '{definition['name']}' deploys")
            if lower != "disabled" and isinstance(details, dict):
                definitions.check_template_url(details)

    # --- its identity

    def _identity(self, call: Call, current: Stored | None) -> Document:
        document = call.document
        asked = document.get("identity") or {}
        kind = str(asked.get("type") or "None")
        before = (current.body.get("identity") or {}) if current else {}
        directory = call.arm.services.entra.directory
        out: Document = {}
        if document.get("location"):
            out["location"] = call.arm.facts.location(str(document["location"]))
        if kind.lower() == "none":
            if before.get("principalId"):
                directory.delete(before["principalId"])
            return out | ({"identity": {"type": "None"}} if asked else {})
        if not document.get("location"):
            raise errors.location_required()
        if kind.lower() == "systemassigned":
            principal = before.get("principalId")
            if not principal:
                principal = directory.create_service_principal(call.id.name, "ManagedIdentity").object_id
            tenant = call.arm.services.tenant_id
            return out | {"identity": {"type": "SystemAssigned", "principalId": principal, "tenantId": tenant}}
        if kind.lower() != "userassigned":
            raise errors.not_supported(f"the identity type '{kind}' of a policy assignment")
        if before.get("principalId"):
            directory.delete(before["principalId"])
        shown: Document = {}
        for id_ in asked.get("userAssignedIdentities") or {}:
            found = call.arm.resources.get(id_)
            if found is None:
                names = (str(id_).rsplit("/", 1)[-1],)
                raise errors.resource_not_found("Microsoft.ManagedIdentity/userAssignedIdentities", names, call.group)
            shown[id_] = {"principalId": found.properties["principalId"], "clientId": found.properties["clientId"]}
        return out | {"identity": {"type": "UserAssigned", "userAssignedIdentities": shown}}


def _effects(arm: Arm, found: Document, values: Document) -> list[tuple[Document, str]]:
    """The effects of a definition, or of the members of an initiative, with these values."""
    if not definitions.is_set(found["id"]):
        return [(found, definitions.effect_of(found, values))]
    out = []
    for member in found["properties"]["policyDefinitions"]:
        definition = definitions.find(arm, member["policyDefinitionId"])
        if definition is None:
            continue
        scope = expressions.Scope(parameters=values)
        given = expressions.resolve(parameters.values(member.get("parameters")), scope)
        bound = parameters.bound(given, definition["properties"].get("parameters") or {})
        out.append((definition, definitions.effect_of(definition, bound)))
    return out


def invalid_reference(noun: str, name: str, references: list[str]) -> errors.ArmError:
    """400 for reference ids that the initiative has no members of."""
    return errors.ArmError(
        400,
        "InvalidPolicyDefinitionReference",
        f"The {noun} '{name}' refers to the policy definition reference id(s) '{','.join(references)}', which are not in the "
        "assigned policy set definition.",
    )


def _scope(stored: Stored) -> str:
    return str(stored.properties["scope"])
