"""What a template asks for: its parameters with their values, and its resources with ids and dependencies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from azsandbox.arm import errors, ids
from azsandbox.arm.policy.expressions import ExpressionError, UnknownFunctionError
from azsandbox.arm.templates.language import Context, Pending, check, resource_id

Document = dict[str, Any]

KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "securestring": (str,),
    "int": (int,),
    "bool": (bool,),
    "object": (dict,),
    "secureobject": (dict,),
    "array": (list,),
}
SHOWN = {"securestring": "SecureString", "secureobject": "SecureObject"}
NOT_SENT = (
    "type", "name", "apiVersion", "condition", "dependsOn", "copy", "comments", "scope", "resources", "resourceGroup",
    "subscriptionId", "existing", "metadata",
)  # fmt: skip
DEPLOYMENTS = "Microsoft.Resources/deployments"


@dataclass
class Resource:
    """One resource of a template, a turn of a loop each; `body` holds expressions still."""

    id: str
    type: str
    name: str
    api_version: str
    body: Document
    context: Context
    needs: list[str] = field(default_factory=list)  # what dependsOn says: ids, names, symbolic names, names of loops
    symbol: str = ""
    loop: str = ""
    existing: bool = False

    def answers_to(self, word: str, outer: str) -> bool:
        """Whether a dependency, or the argument of reference(), means this one; `outer` is where the template lies."""
        lower = str(word).lower().rstrip("/")
        if lower in (self.id.lower(), self.name.lower(), self.symbol.lower(), self.loop.lower(), ""):
            return lower != ""
        return lower in (f"{self.type}/{self.name}".lower(), _paired(self.type, self.name).lower()) or (
            ids.same(f"{outer}/providers/{lower}", self.id)
        )


def invalid(text: str) -> errors.ArmError:
    """400 InvalidTemplate."""
    return errors.gateway(400, "InvalidTemplate", f"Deployment template validation failed: '{text}'.")


def parameters(template: Document, given: Any, context: Context) -> Document:
    """The value of each parameter: the given one, else its default. Raises InvalidTemplate."""
    declared: Document = template.get("parameters") or {}
    given = given or {}
    if not isinstance(given, dict) or not isinstance(declared, dict):
        raise errors.invalid_content(
            "The request content was invalid and could not be deserialized: 'parameters must be an object.'."
        )
    known = {name.lower() for name in declared}
    if extra := [name for name in given if name.lower() not in known]:
        raise invalid(
            f"The template parameters '{', '.join(extra)}' in the parameters file are not valid; they are not present in "
            "the original template and can therefore not be provided at deployment time. The only supported parameters for "
            f"this template are '{', '.join(declared)}'. Please see https://aka.ms/arm-pass-parameter-values for usage "
            "details."
        )
    out: Document = {}
    lower = {name.lower(): entry for name, entry in given.items()}
    for name, entry in declared.items():
        sent = lower.get(name.lower())
        if isinstance(sent, dict) and "reference" in sent:
            raise errors.not_supported("parameters that are secrets of a key vault (reference)")
        if isinstance(sent, dict) and sent.get("value") is not None:
            value = sent["value"]
        elif "defaultValue" in entry:
            context.parameters = out
            value = _resolved(context, entry["defaultValue"])
        elif entry.get("nullable"):
            value = None
        else:
            raise invalid(
                f"The value for the template parameter '{name}' is not provided. Please see "
                "https://aka.ms/arm-create-parameter-file for usage details."
            )
        out[name] = value
        if value is not None:
            _check_parameter(name, value, entry)
    return out


def _check_parameter(name: str, value: Any, entry: Document) -> None:
    kind = str(entry.get("type", "")).lower()
    if kind not in KINDS:
        raise errors.not_supported(f"the type '{entry.get('type')}' of the template parameter '{name}'")
    if not isinstance(value, KINDS[kind]) or (kind == "int" and isinstance(value, bool)):
        found = {str: "String", bool: "Boolean", int: "Integer", list: "Array", dict: "Object"}.get(
            type(value), "Float"
        )
        expected = {"int": "Integer", "bool": "Boolean"}.get(kind, shown_kind(kind))
        raise invalid(
            f"Template parameter JToken type is not valid. Expected '{expected}'. Actual '{found}'. Please see "
            "https://aka.ms/arm-create-parameter-file for usage details."
        )
    allowed = entry.get("allowedValues")
    if (
        allowed is not None
        and value not in allowed
        and not (isinstance(value, list) and all(v in allowed for v in value))
    ):
        raise invalid(
            f"The provided value for the template parameter '{name}' is not valid. The value '{value}' is not part of the "
            f"allowed value(s): '{','.join(map(str, allowed))}'."
        )


def shown_kind(kind: str) -> str:
    """A type of a parameter as a deployment shows it: String, SecureString, Int."""
    return SHOWN.get(kind.lower(), kind[:1].upper() + kind[1:].lower())


def read(template: Document, outer: str, context: Context) -> list[Resource]:
    """The resources of a template whose deployment lies at `outer`. Raises InvalidTemplate."""
    _check(template)
    entries = template.get("resources") or []
    if isinstance(entries, dict):  # symbolic names (languageVersion 2.0)
        entries = [{**entry, "symbol": symbol} for symbol, entry in entries.items()]
    out: list[Resource] = []
    for entry in entries:
        out += _expanded(entry, "", "", outer, context)
    context.symbols |= {r.symbol: r.id for r in out if r.symbol and not r.loop}
    return out


def _check(template: Document) -> None:
    if not isinstance(template.get("resources") or [], list | dict):
        raise invalid("The template's 'resources' must be an array")
    try:
        unknown = check({k: v for k, v in template.items() if k != "resources"}) | check(_shallow(template))
    except ExpressionError as error:
        raise invalid(str(error)) from None
    if unknown:
        raise errors.not_supported(f"the template function '{sorted(unknown)[0]}'")


def _shallow(template: Document) -> Any:
    """The resources without the templates of nested deployments, which are checked when it is their turn."""
    entries = template.get("resources") or []
    rows = entries.values() if isinstance(entries, dict) else entries
    return [
        {**r, "properties": {}} if str(r.get("type", "")).lower() == DEPLOYMENTS.lower() else r
        for r in rows
        if isinstance(r, dict)
    ]


def _expanded(entry: Document, type_: str, name: str, outer: str, context: Context) -> list[Resource]:
    """The resource of an entry, one for each turn of its loop, with its children."""
    loop = entry.get("copy")
    if loop is None:
        return _made(entry, type_, name, outer, context, "")
    if not isinstance(loop, dict) or "count" not in loop:
        raise invalid("A copy of a resource needs a name and a count")
    word = str(loop.get("name") or "")
    turns = int(_resolved(context, loop["count"]))
    out: list[Resource] = []
    for number in range(turns):
        inner = context.within(**{"": number, word: number})
        out += _made({k: v for k, v in entry.items() if k != "copy"}, type_, name, outer, inner, word)
    return out


def _made(entry: Document, above: str, named: str, outer: str, context: Context, loop: str) -> list[Resource]:
    condition = entry.get("condition")
    if condition is not None and _resolved(context, condition) is not True:
        return []
    for key in ("type", "name", "apiVersion"):
        if not entry.get(key):
            raise invalid(f"The template resource has no '{key}'")
    type_ = f"{above}/{entry['type']}" if above else str(_resolved(context, entry["type"]))
    name = str(_resolved(context, entry["name"]))
    name = f"{named}/{name}" if named else name
    scope = outer
    if entry.get("subscriptionId"):
        scope = f"/subscriptions/{_resolved(context, entry['subscriptionId'])}"
    if entry.get("resourceGroup"):
        subscription = "/".join(scope.split("/")[:3])
        scope = f"{subscription}/resourceGroups/{_resolved(context, entry['resourceGroup'])}"
    if entry.get("scope"):
        asked = str(_resolved(context, entry["scope"]))
        scope = asked if asked.startswith("/") else f"{outer}/providers/{_paired_scope(asked)}"
    try:
        id_ = resource_id(scope.rstrip("/"), type_, [name])
    except ExpressionError:
        raise invalid(
            f"The template resource '{name}' for type '{type_}' has incorrect segment lengths. A nested resource type must "
            "have identical number of segments as its resource name. A root resource type must have segment length one "
            "greater than its resource name. Please see https://aka.ms/arm-syntax-resources for usage details."
        ) from None
    needs = [str(d) for d in _resolved(context, entry.get("dependsOn") or [])]
    body = {k: v for k, v in entry.items() if k not in NOT_SENT and k != "symbol"}
    api = str(_resolved(context, entry["apiVersion"]))
    symbol, existing = str(entry.get("symbol") or ""), bool(entry.get("existing"))
    out = [Resource(id_, type_, name, api, body, context, needs, symbol, loop, existing)]
    if str(type_).lower() == DEPLOYMENTS.lower():
        return out
    for child in entry.get("resources") or []:
        out += _expanded(child, type_, name, outer, context)
    return out


def _paired(type_: str, name: str) -> str:
    """Microsoft.Network/virtualNetworks/a/subnets/b."""
    namespace, *types = type_.split("/")
    return "/".join((namespace, *(part for pair in zip(types, name.split("/"), strict=False) for part in pair)))


def _paired_scope(text: str) -> str:
    """`Microsoft.Network/virtualNetworks/a` as it stands in an id."""
    return text.removeprefix("providers/")


def _resolved(context: Context, value: Any) -> Any:
    """What must be known before anything is deployed. Raises InvalidTemplate, NotSupportedInSandbox."""
    try:
        return context.resolve(value)
    except UnknownFunctionError as error:
        raise errors.not_supported(f"the template function '{error.function}'") from None
    except ExpressionError as error:
        raise invalid(
            f"Unable to process template language expressions: '{error}'. Please see "
            "https://aka.ms/arm-template-expressions for usage details."
        ) from None
    except Pending as pending:
        raise invalid(
            f"The template function '{pending.function}' is not expected at this location. Please see "
            "https://aka.ms/arm-template-expressions for usage details."
        ) from None
