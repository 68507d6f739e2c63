"""What a policy assignment means for the cluster: which definitions it brings, with which effect and parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from labkit.checks.evidence import Evidence, Object
from labkit.checks.facts import policies
from labkit.checks.governance_access import encloses
from labkit.checks.governance_logs import times
from labkit.checks.lookup import at, same


@dataclass(frozen=True)
class Applied:
    """A definition as one assignment applies it, by itself or as a member of an initiative."""

    assignment: Object
    effect: str
    why_not: str
    parameters: Object = field(repr=False)
    """The values that the definition gets; one that the assignment leaves out is not here."""

    @property
    def name(self) -> str:
        """Name of the assignment."""
        return str(at(self.assignment, "name") or at(self.assignment, "properties.displayName") or "?")

    @property
    def object_id(self) -> str:
        """Resource id of the assignment."""
        return str(at(self.assignment, "id") or "")

    @property
    def denies(self) -> bool:
        """True if what breaks the policy is refused on this cluster."""
        return not self.why_not

    def changed(self) -> datetime | None:
        """When the assignment was made or last changed, or None if its answer does not say."""
        keys = ("properties.metadata.createdOn", "properties.metadata.updatedOn", "systemData.createdAt")
        moments = times(at(self.assignment, key) for key in (*keys, "systemData.lastModifiedAt"))
        return max(moments, default=None)


def guid(key: str) -> str:
    """GUID of the definition that data/policies.toml calls `key`."""
    return str(policies()["definitions"][key]["id"])


def applied(evidence: Evidence, key: str) -> list[Applied]:
    """How the assignments at the cluster and above it apply the definition `key`; those that deny come first."""
    found = [item for assignment in evidence.read("policy-assignments") for item in _of(evidence, assignment, key)]
    return sorted(found, key=lambda item: not item.denies)


def assigned(evidence: Evidence, initiative: str) -> list[Applied]:
    """The assignments of the `initiative`, with the effect that it gives the privileged policy."""
    wanted = str(policies()["initiatives"][initiative]["id"])
    found = applied(evidence, "privileged")
    return [i for i in found if str(at(i.assignment, "properties.policyDefinitionId")).lower().endswith(wanted)]


def _of(evidence: Evidence, assignment: Object, key: str) -> Iterator[Applied]:
    definition = str(at(assignment, "properties.policyDefinitionId") or "").lower()
    known = (evidence.maybe("policy-definitions") or {}).get(definition)
    given = {name: at(value, "value") for name, value in (at(assignment, "properties.parameters") or {}).items()}
    if definition.endswith(f"/{guid(key)}"):
        parameters = {**_defaults(known), **given}
        yield _applied(evidence, assignment, key, parameters, "")
        return
    if "/policysetdefinitions/" not in definition:
        return
    if known is not None:
        values = {**_defaults(known), **given}
        for member in known["members"]:
            if str(member.get("policyDefinitionId") or "").lower().endswith(f"/{guid(key)}"):
                parameters = {
                    name: _value(at(value, "value"), values) for name, value in (member.get("parameters") or {}).items()
                }
                yield _applied(evidence, assignment, key, parameters, str(member.get("policyDefinitionReferenceId")))
        return
    for initiative in policies()["initiatives"].values():
        if definition.endswith(f"/{initiative['id']}") and key in initiative["members"]:
            yield _applied(evidence, assignment, key, {"effect": initiative["effect"], **given}, "")


def _defaults(definition: Object | None) -> Object:
    parameters = (definition or {}).get("parameters") or {}
    return {
        name: at(value, "defaultValue") for name, value in parameters.items() if at(value, "defaultValue") is not None
    }


def _value(value: Any, values: Object) -> Any:
    """What a member's parameter is: "[parameters('effect')]" is the initiative's own, anything else is itself."""
    asked = re.fullmatch(r"\[\s*parameters\('([^']+)'\)\s*\]", value) if isinstance(value, str) else None
    return at(values, asked.group(1)) if asked else value


def _applied(evidence: Evidence, assignment: Object, key: str, parameters: Object, reference: str) -> Applied:
    default = str(policies()["definitions"][key]["default"])
    effect = _overridden(assignment, reference) or str(at(parameters, "effect") or default)
    outside = [scope for scope in at(assignment, "properties.notScopes") or [] if encloses(scope, evidence.cluster_id)]
    mode = at(assignment, "properties.enforcementMode") or "Default"
    why_not = ""
    if outside:
        why_not = f"notScopes leaves the cluster out: {outside[0]}"
    elif not same(mode, "Default"):
        why_not = f"its enforcementMode is {mode}"
    elif not same(effect, "Deny"):
        given = at(assignment, "properties.parameters.effect") is not None
        why_not = f"its effect is {effect}" if given else f"its effect is {effect}, the default, since it names none"
    return Applied(assignment, effect, why_not, parameters)


def _overridden(assignment: Object, reference: str) -> str:
    """The effect that the assignment's overrides give the member `reference`, or empty."""
    for override in at(assignment, "properties.overrides") or []:
        if not same(at(override, "kind"), "policyEffect"):
            continue
        selectors = at(override, "selectors") or []
        named = [at(s, "in") for s in selectors if same(at(s, "kind"), "policyDefinitionReferenceId") and at(s, "in")]
        if not named or any(same(reference, name) for names in named for name in names):
            return str(at(override, "value") or "")
    return ""


def constraints_of(constraints: list[Object], key: str) -> list[Object]:
    """The constraints that the add-on made of the definition `key`: its id is in an annotation.

    The kind says nothing: a definition moves to a newer template, and Defender adds constraints of the same kind.
    """
    wanted = guid(key)
    return [
        item
        for item in constraints
        if wanted in str(at(item["annotations"], "azure-policy-definition-id") or "").lower()
    ]


def excluded(item: Applied) -> list[str]:
    """The namespaces that the assignment leaves out; when it names none, those of the definition."""
    names = at(item.parameters, "excludedNamespaces")
    return list(policies()["excluded_namespaces"] if names is None else names)
