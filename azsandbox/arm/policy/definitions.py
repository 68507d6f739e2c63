"""Policy definitions and initiatives: where they are found, and what Azure says of a rule that is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from azsandbox.arm import errors, ids
from azsandbox.arm.policy import expressions
from azsandbox.arm.policy.built_in import DEFINITIONS, INITIATIVES, KUBERNETES, built_in
from azsandbox.arm.policy.conditions import LOGIC, OPERATORS
from azsandbox.arm.policy.fields import WORDS

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

Document = dict[str, Any]

MODES = ("All", "Indexed", KUBERNETES)
EFFECTS = {
    e.lower(): e
    for e in (
        "Append",
        "Audit",
        "AuditIfNotExists",
        "Deny",
        "DenyAction",
        "DeployIfNotExists",
        "Disabled",
        "Manual",
        "Modify",
        "Mutate",
        "AddToNetworkGroup",
        "AuditAction",
    )
}
WORKING = (
    "append",
    "audit",
    "auditifnotexists",
    "deny",
    "denyaction",
    "deployifnotexists",
    "disabled",
    "manual",
    "modify",
)
"""Effects that the sandbox has, in lower case; assignments of others are refused by name."""
TAGS = re.compile(r"tags([.\[].+)?", re.IGNORECASE | re.DOTALL)


def find(arm: Arm, id_: str) -> Document | None:
    """The definition or initiative of that id, built in or custom: {"id", "name", "type", "properties"}."""
    try:
        found = ids.of(id_)
    except ValueError:
        return None
    type_ = {DEFINITIONS.lower(): DEFINITIONS, INITIATIVES.lower(): INITIATIVES}.get(found.type.lower())
    if type_ is None:
        return None
    if not found.scope:
        row = built_in(type_).get(found.name.lower())
        return shown(row, type_) if row else None
    stored = arm.resources.get(found)
    return stored.body if stored else None


def shown(row: Document, type_: str) -> Document:
    """A built-in one as it is answered."""
    return {
        "properties": row["properties"],
        "id": f"/providers/{type_}/{row['name']}",
        "type": type_,
        "name": row["name"],
    }


def is_set(id_: str) -> bool:
    """Whether an id is that of an initiative."""
    return "/policysetdefinitions/" in id_.lower()


def version_of(body: Document) -> str:
    """The version of a definition: its own, that of its metadata, or 1.0.0."""
    properties = body["properties"]
    return str(properties.get("version") or (properties.get("metadata") or {}).get("version") or "1.0.0")


def major(body: Document) -> str:
    """The version by which it is referred to where nothing is said: 9.*.*, 1.*.*-preview."""
    number, dash, suffix = version_of(body).partition("-")
    return f"{number.split('.')[0]}.*.*{dash}{suffix}"


def effect_of(body: Document, values: Document) -> str:
    """The effect of a definition with these values of its parameters, as it is written."""
    effect = body["properties"]["policyRule"]["then"]["effect"]
    return str(expressions.resolve(effect, expressions.Scope(parameters=values)))


def check_rule(name: str, mode: str, rule: Any, parameters: Document, known_types: Any) -> None:
    """Raises what Azure says of a rule that it cannot read."""
    if not isinstance(rule, dict):
        raise _wrong("Required property 'policyRule' not found in JSON")
    if extra := [key for key in rule if key.lower() not in ("if", "then")]:
        raise _wrong(f"Could not find member '{extra[0]}' on object of type 'PolicyRuleDefinition'. Path '{extra[0]}'.")
    for part in ("if", "then"):
        if not isinstance(rule.get(part), dict):
            raise _wrong(f"Required property '{part}' not found in JSON. Path ''.")
    effect = rule["then"].get("effect")
    if not isinstance(effect, str) or not effect:
        raise _wrong("Required property 'effect' not found in JSON. Path 'then'.")
    _check_condition(name, rule["if"], "if", known_types)
    used: set[str] = set()
    for text in _strings(rule):
        if expressions.is_expression(text):
            used |= _check_expression(name, text)
    defined = {p.lower() for p in parameters}
    if unknown := sorted(p for p in used if p.lower() not in defined):
        raise errors.ArmError(
            400,
            "InvalidPolicyParameters",
            f"The policy '{name}' could not be parameterized because of validation errors. Please check if policy "
            f"parameters are properly defined. The inner exception 'The policy parameter(s) '{','.join(unknown)}' are used "
            "in the policy rule, but are not defined.'.",
        )
    if unused := [p for p in parameters if p.lower() not in {u.lower() for u in used}]:
        raise errors.ArmError(
            400,
            "UnusedPolicyParameters",
            f"The policy '{name}' has defined parameters '{','.join(unused)}' which are not used in the policy rule. Please "
            "either remove these parameters from the definition or ensure that they are used in the policy rule.",
        )
    if not expressions.is_expression(effect) and effect.lower() not in EFFECTS:
        text = f"The policy definition '{name}' rule is invalid. The policy effect '{effect}' is not valid."
        raise errors.ArmError(400, "InvalidPolicyRuleEffect", text)
    if mode == KUBERNETES:
        _check_template(name, rule["then"].get("details"))
    else:
        _check_details(name, effect.lower(), rule["then"].get("details"), mode)


def _check_condition(name: str, condition: Any, path: str, known_types: Any) -> None:
    if not isinstance(condition, dict):
        raise _wrong(f"Error converting the value at '{path}' to a condition")
    words = {key.lower(): key for key in condition}
    logic = [word for word in words if word in LOGIC]
    if logic:
        word = logic[0]
        inner = condition[words[word]]
        if len(words) > 1:
            other = next(key for key in condition if key != words[word])
            raise _wrong(
                f"Could not find member '{other}' on object of type 'LogicalExpression'. Path '{path}.{other}'."
            )
        if word == "not":
            return _check_condition(name, inner, f"{path}.not", known_types)
        if not isinstance(inner, list) or not inner:
            raise _wrong(f"The '{words[word]}' at '{path}' must be an array of conditions, and not empty")
        for number, each in enumerate(inner):
            _check_condition(name, each, f"{path}.{words[word]}[{number}]", known_types)
        return None
    for word, key in words.items():
        if word not in OPERATORS and word not in ("field", "value", "count"):
            raise _wrong(
                f"Could not find member '{key}' on object of type 'LeafExpressionDefinition'. Path '{path}.{key}'."
            )
    operators = [key for word, key in words.items() if word in OPERATORS]
    subjects = [key for word, key in words.items() if word in ("field", "value", "count")]
    if len(subjects) != 1 or len(operators) != 1:
        raise _wrong(
            f"A condition has one of field, value and count, and one operator; found {list(condition)} at '{path}'"
        )
    if "field" in words:
        _check_field(name, condition[words["field"]], known_types)
    if "count" in words:
        counted = condition[words["count"]]
        if not isinstance(counted, dict) or ("field" in counted) == ("value" in counted):
            raise _wrong(f"A count has either field or value. Path '{path}.count'.")
        if "field" in counted:
            _check_field(name, counted["field"], known_types)
        if "where" in counted:
            _check_condition(name, counted["where"], f"{path}.count.where", known_types)
    return None


def _check_field(name: str, field: Any, known_types: Any) -> None:
    """An alias must be of a resource type that there is, as far as the sandbox knows the types of a provider."""
    if not isinstance(field, str):
        raise _wrong("Error converting the value of 'field' to a string")
    if expressions.is_expression(field) or TAGS.fullmatch(field):
        return
    lower = field.lower()
    if lower in WORDS or lower.startswith(("identity.", "systemdata.")):
        return
    namespace, slash, rest = field.partition("/")
    if not slash:
        text = (
            f"The policy definition '{name}' rule is invalid. The 'field' property '{field}' of the policy rule doesn't exist "
            "as an alias. Expected a word such as type, name, location or tags, or an alias with its resource type."
        )
        raise errors.ArmError(400, "InvalidPolicyAlias", text)
    types = known_types(namespace)
    if types is None:  # a provider that the sandbox knows nothing of, so no resource of it is ever judged
        return
    if not any(rest.lower().startswith(t.lower() + "/") for t in types):
        text = (
            f"The policy definition '{name}' rule is invalid. The 'field' property '{field}' of the policy rule doesn't exist "
            f"as an alias under provider '{namespace}' and resource type '{rest.split('/')[0]}'."
        )
        raise errors.ArmError(400, "InvalidPolicyAlias", text)


def _check_expression(name: str, text: str) -> set[str]:
    try:
        return expressions.parameters(expressions.check(text))
    except expressions.UnknownFunctionError as error:
        raise errors.not_supported(f"the template function '{error.function}' in policy rules") from None
    except expressions.ExpressionError as error:
        raise errors.ArmError(
            400,
            "InvalidPolicyRule",
            f"The policy definition '{name}' rule is invalid. The language expression '{text}' could not be parsed: {error}.",
        ) from None


def _check_details(name: str, effect: str, details: Any, mode: str) -> None:
    """What deployIfNotExists, modify and denyAction do stands in their `details` (documentation of each effect)."""
    if effect not in ("deployifnotexists", "modify", "denyaction"):
        return
    good = isinstance(details, dict)
    if good and effect == "deployifnotexists":
        good = bool(details.get("type") and details.get("roleDefinitionIds"))
        properties = (details.get("deployment") or {}).get("properties")
        good = good and isinstance(properties, dict) and isinstance(properties.get("template"), dict)
    elif good and effect == "modify":
        good = bool(details.get("roleDefinitionIds")) and bool(details.get("operations"))
    elif good:
        good = [str(a).lower() for a in details.get("actionNames") or []] == ["delete"]
    if good and effect == "denyaction" and details.get("cascadeBehaviors") and mode.lower() != "indexed":
        good = False
    if not good:
        raise invalid_details(name)


def invalid_details(name: str) -> errors.ArmError:
    """400 for the `details` of an effect that cannot be read."""
    text = f"The policy definition '{name}' rule is invalid. The policy effect 'details' property could not be parsed."
    return errors.ArmError(400, "InvalidPolicyRuleEffectDetails", text)


def _check_template(name: str, details: Any) -> None:
    """The `details` of a definition for clusters name a constraint template."""
    info = details.get("templateInfo") if isinstance(details, dict) else None
    if isinstance(details, dict) and "mutationInfo" in details:
        raise errors.not_supported("mutation of Kubernetes objects by policy (mutationInfo)")
    if isinstance(details, dict) and ("constraintTemplate" in details or "constraint" in details):
        raise errors.not_supported("constraintTemplate and constraint in a policy rule (use templateInfo)")
    if not isinstance(info, dict) or info.get("sourceType") not in ("PublicURL", "Base64Encoded"):
        raise invalid_details(name)
    check_template_url(details)


def check_template_url(details: Document) -> None:
    """Refuses by name a constraint template that is not among those of the catalogue."""
    from azsandbox.aks.policy.facts import has_template

    info = details.get("templateInfo") or {}
    url = str(info.get("url") or "")
    if info.get("sourceType") == "PublicURL" and not has_template(url):
        raise errors.not_supported(f"the constraint template at '{url}'; it has those of the catalogue's policies")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key != "deployment":  # of a template that is deployed: its expressions are that template's
                yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _wrong(text: str) -> errors.ArmError:
    return errors.ArmError(400, "InvalidPolicyRule", f"Failed to parse policy rule: '{text}'.")
