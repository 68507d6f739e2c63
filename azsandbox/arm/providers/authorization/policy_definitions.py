"""Policy definitions and initiatives."""

from __future__ import annotations

import hashlib
from typing import Any

from azsandbox.arm import errors
from azsandbox.arm.call import Call
from azsandbox.arm.policy import definitions, expressions, parameters
from azsandbox.arm.policy.built_in import DEFINITIONS, INITIATIVES
from azsandbox.arm.providers.authorization.policy_objects import (
    DefinitionObject,
    Versions,
    system_data,
    versioned,
)
from azsandbox.arm.resources import Document, Stored


class PolicyDefinitions(DefinitionObject):
    """Microsoft.Authorization/policyDefinitions."""

    name = "policyDefinitions"
    noun, missing_code = "policy definition", "PolicyDefinitionNotFound"

    async def accept(self, call: Call, current: Stored | None) -> Document:
        given, name = call.properties, call.id.name
        mode = str(given.get("mode") or "Indexed")
        known = next((m for m in definitions.MODES if m.lower() == mode.lower()), None)
        if known is None:
            raise errors.not_supported(f"policy definitions of mode '{mode}'; it has {', '.join(definitions.MODES)}")
        declared = parameters.declared(given.get("parameters"))
        if "policyRule" not in given:
            text = f"The policy definition '{name}' create request is invalid. The policy rule must be specified."
            raise errors.ArmError(400, "InvalidCreatePolicyDefinitionRequest", text)
        rule = given["policyRule"]
        definitions.check_rule(name, known, rule, declared, lambda namespace: _types(call, namespace))
        self._check_update(current, name, declared)
        out = self.common(call, current)
        ordered = {k: out[k] for k in ("displayName",) if k in out} | {"policyType": "Custom", "mode": known}
        ordered |= {k: v for k, v in out.items() if k not in ordered}
        if "parameters" in given:
            ordered["parameters"] = declared
        ordered["policyRule"] = rule
        call.private["systemData"] = system_data(call, current)
        return {"properties": ordered}

    def _check_update(self, current: Stored | None, name: str, declared: Document) -> None:
        """A definition that is there may gain parameters only with a default value, and lose none."""
        if current is None:
            return
        before = {p.lower() for p in current.properties.get("parameters") or {}}
        fresh = [p for p, e in declared.items() if p.lower() not in before and "defaultValue" not in e]
        if fresh:
            raise errors.ArmError(
                400,
                "InvalidPolicyParameterUpdate",
                f"The policy contains new parameter(s) '{','.join(fresh)}' which are not present in the existing policy and "
                "have no default value. New parameters may be added to a policy only if they have a default value.",
            )
        after = {p.lower() for p in declared}
        if gone := [p for p in current.properties.get("parameters") or {} if p.lower() not in after]:
            raise errors.ArmError(
                400,
                "InvalidPolicyParameterUpdate",
                f"The policy definition '{name}' update is invalid. The parameter(s) '{','.join(gone)}' cannot be removed "
                "from an existing policy.",
            )


class PolicySetDefinitions(DefinitionObject):
    """Microsoft.Authorization/policySetDefinitions: initiatives."""

    name = "policySetDefinitions"
    noun, missing_code = "policy set definition", "PolicySetDefinitionNotFound"

    async def accept(self, call: Call, current: Stored | None) -> Document:
        given, name = call.properties, call.id.name
        members = given.get("policyDefinitions")
        if not isinstance(members, list) or not members:
            text = (
                f"The policy set definition '{name}' create request is invalid. At least one policy definition must be "
                "referenced."
            )
            raise errors.ArmError(400, "InvalidCreatePolicySetDefinitionRequest", text)
        declared = parameters.declared(given.get("parameters"))
        groups = given.get("policyDefinitionGroups") or []
        out = self.common(call, current)
        if "parameters" in given:
            out["parameters"] = declared
        out["policyDefinitions"] = [self._member(call, name, m, declared, groups) for m in members]
        references = [m["policyDefinitionReferenceId"].lower() for m in out["policyDefinitions"]]
        if twice := next((r for r in references if references.count(r) > 1), None):
            text = (
                f"The policy set definition '{name}' create request is invalid. The policy definition reference id '{twice}' "
                "is used more than once."
            )
            raise errors.ArmError(400, "InvalidCreatePolicySetDefinitionRequest", text)
        self._check_use(name, out["policyDefinitions"], declared)
        if groups:
            out["policyDefinitionGroups"] = groups
        call.private["systemData"] = system_data(call, current)
        return {"properties": out}

    def _member(self, call: Call, name: str, member: Any, declared: Document, groups: list[Document]) -> Document:
        id_ = member.get("policyDefinitionId") if isinstance(member, dict) else None
        if not id_ or "/policydefinitions/" not in str(id_).lower():
            raise errors.ArmError(
                400,
                "InvalidPolicyDefinitionReference",
                f"The policy set definition '{name}' has a policy definition reference that is not valid: "
                f"'{id_ or ''}' is no id of a policy definition.",
            )
        found = definitions.find(call.arm, str(id_))
        guid = str(id_).rsplit("/", 1)[-1]
        if found is None:
            raise errors.ArmError(
                404, "PolicyDefinitionNotFound", f"The policy definition '{guid}' could not be found."
            )
        given = parameters.values(member.get("parameters"))
        accepts = found["properties"].get("parameters") or {}
        told = definitions.version_of(found) if versioned(call) else ""
        parameters.check("policy set definition", name, given, accepts, guid, told)
        self._check_defaults(name, given, declared, accepts, guid)
        names = {str(g.get("name")).lower() for g in groups}
        if strange := [g for g in member.get("groupNames") or [] if str(g).lower() not in names]:
            text = (
                f"The policy set definition '{name}' create request is invalid. The group(s) '{','.join(strange)}' are not "
                "defined in policyDefinitionGroups."
            )
            raise errors.ArmError(400, "InvalidCreatePolicySetDefinitionRequest", text)
        reference = str(member.get("policyDefinitionReferenceId") or "")
        if not reference:  # Azure makes up a number
            digest = hashlib.sha256(f"{name}/{id_}/{sorted(given.items(), key=str)}".encode()).digest()
            reference = str(int.from_bytes(digest[:8], "big"))
        out = {"policyDefinitionReferenceId": reference, "policyDefinitionId": id_}
        out["definitionVersion"] = str(member.get("definitionVersion") or definitions.major(found))
        if "parameters" in member:
            out["parameters"] = member["parameters"]
        if member.get("groupNames") is not None:
            out["groupNames"] = member["groupNames"]
        return out

    def _check_defaults(self, name: str, given: Document, declared: Document, accepts: Document, guid: str) -> None:
        """What parameters of the initiative have by default must be valid for the member they are handed to."""
        scope = {p: e["defaultValue"] for p, e in declared.items() if "defaultValue" in e}
        for parameter, value in given.items():
            if not expressions.is_expression(value):
                continue
            for used in expressions.parameters(expressions.check(value)):
                if used.lower() not in {d.lower() for d in declared}:
                    raise errors.ArmError(
                        400,
                        "InvalidPolicyParameters",
                        f"The policy set '{name}' could not be parameterized because of validation errors. Please check if "
                        f"policy parameters are properly defined. The inner exception 'The policy set parameter '{used}' "
                        "is not defined.'.",
                    )
            try:
                found = expressions.resolve(value, expressions.Scope(parameters=scope))
            except expressions.ExpressionError:
                continue
            entry = next(e for p, e in accepts.items() if p.lower() == parameter.lower())
            try:
                parameters.check_value(parameter, found, entry, guid)
            except errors.ArmError as error:
                raise errors.ArmError(
                    400,
                    "InvalidPolicyParameters",
                    f"The policy set '{name}' could not be parameterized because the default value of a policy set parameter "
                    f"referenced by policy definition {guid} was not valid for that policy definition. Please verify that "
                    "the default values of all policy set parameters are valid in the context of the policy definitions "
                    f"referencing them. The inner exception '{error.message}'.",
                ) from None

    def _check_use(self, name: str, members: list[Document], declared: Document) -> None:
        used: set[str] = set()
        for member in members:
            for value in parameters.values(member.get("parameters")).values():
                for text in _texts(value):
                    used |= {p.lower() for p in expressions.parameters(expressions.check(text))}
        if unused := [p for p in declared if p.lower() not in used]:
            raise errors.ArmError(
                400,
                "UnusedPolicyParameters",
                f"The policy set '{name}' has defined parameters '{','.join(unused)}' which are not used in referenced policy "
                "definitions. Please either remove these parameters from the definition or ensure that they are used.",
            )


class PolicyDefinitionVersions(Versions):
    """Microsoft.Authorization/policyDefinitions/versions."""

    name, of = "policyDefinitions/versions", DEFINITIONS


class PolicySetDefinitionVersions(Versions):
    """Microsoft.Authorization/policySetDefinitions/versions."""

    name, of = "policySetDefinitions/versions", INITIATIVES


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [t for inner in value.values() for t in _texts(inner)]
    if isinstance(value, list):
        return [t for inner in value for t in _texts(inner)]
    return [value] if expressions.is_expression(value) else []


def _types(call: Call, namespace: str) -> list[str] | None:
    """Names of the resource types of a provider, None for one that the sandbox does not know."""
    known = call.arm.facts.namespace(namespace)
    return list(call.arm.facts.providers[known]) if known else None
