"""The functions of deployment templates, besides those that policy rules have too (arm/policy/expressions.py).

Azure Resource Manager documentation, "ARM template functions". What has to be asked of a resource (`reference`, `list*`)
raises Pending, so that whoever carries the template out can ask, keep the answer in `found`, and try again.
"""

from __future__ import annotations

import base64
import copy
import datetime as dt
import hashlib
import json
import re
import urllib.parse
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from azsandbox.arm.policy import expressions
from azsandbox.arm.policy.expressions import ExpressionError, text_of

Document = dict[str, Any]

# The namespace of guid() (Bicep documentation, "String functions for Bicep", guid).
GUIDS = uuid.UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830")
ENVIRONMENT = {
    "name": "AzureCloud",
    "resourceManager": "https://management.azure.com/",
    "authentication": {
        "loginEndpoint": "https://login.microsoftonline.com/",
        "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
    },
    "suffixes": {"acrLoginServer": ".azurecr.io", "keyvaultDns": ".vault.azure.net"},
}


class Pending(Exception):
    """A function needs the state of a resource, or the answer of one of its actions, that nobody has asked for yet."""

    def __init__(self, key: str, function: str, arguments: list[Any]) -> None:
        super().__init__(key)
        self.key, self.function, self.arguments = key, function, arguments


@dataclass
class Context:
    """What the expressions of one template can ask."""

    subscription: Document
    group: Document  # {} for a deployment at a subscription
    deployment: Document
    now: dt.datetime
    tenant: Document = field(default_factory=dict)
    parameters: Document = field(default_factory=dict)
    variables: Document = field(default_factory=dict)  # as the template has them
    symbols: dict[str, str] = field(default_factory=dict)  # id of a resource by its symbolic name
    found: dict[str, Any] = field(default_factory=dict)  # answers to what was pending
    copies: dict[str, int] = field(default_factory=dict)  # index by the name of a loop, "" the innermost
    _known: Document = field(default_factory=dict)

    def resolve(self, value: Any) -> Any:
        """`value` with all expressions in it worked out. Raises ExpressionError, Pending."""
        return expressions.resolve(_looped(value, self), self._scope())

    def within(self, **copies: int) -> Context:
        """The same context in one turn of a loop."""
        inner = copy.copy(self)
        inner.copies, inner._known = {**self.copies, **copies}, {}
        return inner

    def _scope(self) -> expressions.Scope:
        return expressions.Scope(
            parameters=self.parameters,
            group=self.group,
            subscription=self.subscription,
            now=self.now,
            functions=_functions(self),
        )

    def variable(self, name: str) -> Any:
        """The value of a variable."""
        key = next((k for k in self.variables if k.lower() == name.lower()), None)
        if key is None:
            raise ExpressionError(f"The template variable '{name}' is not found")
        if key not in self._known:
            self._known[key] = self.resolve(self.variables[key])
        return self._known[key]


def _looped(value: Any, context: Context) -> Any:
    """Properties that a `copy` beside them makes: [{"name", "count", "input"}]."""
    if isinstance(value, list):
        return [_looped(item, context) for item in value]
    if not isinstance(value, dict):
        return value
    loops = value.get("copy")
    if not isinstance(loops, list) or not all(isinstance(e, dict) and "input" in e for e in loops):
        return {key: _looped(inner, context) for key, inner in value.items()}
    out = {key: _looped(inner, context) for key, inner in value.items() if key != "copy"}
    for entry in loops:
        count = int(context.resolve(entry["count"]))
        turns = [context.within(**{"": n, str(entry["name"]): n}) for n in range(count)]
        out[str(entry["name"])] = [turn.resolve(entry["input"]) for turn in turns]
    return out


def resource_id(outer: str, type_: str, names: list[Any]) -> str:
    """The id of a resource of the full type below `outer`. Raises ExpressionError for too few or too many names."""
    namespace, *types = type_.split("/")
    parts = [part for name in names for part in str(name).split("/")]
    if len(parts) != len(types) or not types:
        raise ExpressionError(
            f"Unable to evaluate template language function 'resourceId': the type '{type_}' requires '{len(types)}' "
            "resource name argument(s)"
        )
    id_ = f"{outer}/providers/{namespace}"
    for word, name in zip(types, parts, strict=True):
        id_ += f"/providers/{name}" if word.lower() == "providers" else f"/{word}/{name}"
    if type_.lower() == "microsoft.resources/resourcegroups" and outer.count("/") == 2:
        return f"{outer}/resourceGroups/{parts[0]}"
    return id_


def _resource_id(context: Context, arguments: list[Any]) -> str:
    at = next((i for i, a in enumerate(arguments) if "/" in str(a) and not str(a).startswith("/")), 0)
    subscription = arguments[0] if at == 2 else context.subscription["subscriptionId"]
    group = arguments[at - 1] if at else context.group.get("name")
    outer = f"/subscriptions/{subscription}" + (f"/resourceGroups/{group}" if group else "")
    return resource_id(outer, str(arguments[at]), arguments[at + 1 :])


def _subscription_id(context: Context, arguments: list[Any]) -> str:
    at = 0 if "/" in str(arguments[0]) else 1
    subscription = arguments[0] if at else context.subscription["subscriptionId"]
    return resource_id(f"/subscriptions/{subscription}", str(arguments[at]), arguments[at + 1 :])


def _ask(context: Context, function: str, arguments: list[Any]) -> Any:
    key = json.dumps([function.lower(), *arguments], sort_keys=True)
    if key not in context.found:
        raise Pending(key, function, arguments)
    return copy.deepcopy(context.found[key])


def _copy_index(context: Context, arguments: list[Any]) -> int:
    name = str(arguments[0]) if arguments and isinstance(arguments[0], str) else ""
    offset = next((a for a in arguments if isinstance(a, int)), 0)
    if name not in context.copies:
        raise ExpressionError("The template function 'copyIndex' is not expected at this location")
    return context.copies[name] + offset


def _unique(arguments: list[Any]) -> str:
    """Thirteen characters that depend on the arguments alone. Azure's own hash is not public: others than on Azure."""
    digest = hashlib.sha256("-".join(text_of(a) for a in arguments).encode()).digest()
    return base64.b32encode(digest).decode().lower()[:13]


_PLACE = re.compile(r"\{(\d+)(?::[^}]*)?\}")


def _format(arguments: list[Any]) -> str:
    form, *values = arguments
    texts = [text_of(value) for value in values]
    expressions.fits(len(form) + sum(len(texts[int(number)]) for number in _PLACE.findall(str(form))))
    return _PLACE.sub(lambda found: texts[int(found[1])], str(form))


def _same(one: Any, other: Any) -> bool:
    return bool(one == other)


def _union(arguments: list[Any]) -> Any:
    """Objects are merged however deep, of arrays each item is there once."""
    if all(isinstance(a, dict) for a in arguments):
        out: Document = {}
        for argument in arguments:
            for key, value in argument.items():
                deeper = isinstance(value, dict) and isinstance(out.get(key), dict)
                out[key] = _union([out[key], value]) if deeper else value
        return out
    items: list[Any] = []
    for argument in arguments:
        items += [item for item in argument if item not in items]
    return items


def _contains(arguments: list[Any]) -> bool:
    container, wanted = arguments
    if isinstance(container, str):
        return text_of(wanted) in container
    if isinstance(container, dict):
        return any(key.lower() == str(wanted).lower() for key in container)
    return wanted in (container or [])


def _functions(context: Context) -> dict[str, Callable[[list[Any]], Any]]:
    def asked(function: str) -> Callable[[list[Any]], Any]:
        return lambda arguments: _ask(context, function, arguments)

    own: dict[str, Callable[[list[Any]], Any]] = {
        "variables": lambda a: context.variable(str(a[0])),
        "resourceid": lambda a: _resource_id(context, a),
        "subscriptionresourceid": lambda a: _subscription_id(context, a),
        "tenantresourceid": lambda a: resource_id("", str(a[0]), a[1:]),
        "extensionresourceid": lambda a: resource_id(str(a[0]), str(a[1]), a[2:]),
        "reference": asked("reference"),
        "copyindex": lambda a: _copy_index(context, a),
        "deployment": lambda a: context.deployment,
        "environment": lambda a: ENVIRONMENT,
        "tenant": lambda a: context.tenant,
        "uniquestring": _unique,
        "guid": lambda a: str(uuid.uuid5(GUIDS, "-".join(text_of(x) for x in a))),
        "newguid": lambda a: str(uuid.uuid4()),
        "format": _format,
        "equals": lambda a: _same(*a),
        "contains": _contains,
        "union": _union,
        "base64": lambda a: base64.b64encode(str(a[0]).encode()).decode(),
        "base64tostring": lambda a: base64.b64decode(a[0]).decode(),
        "base64tojson": lambda a: json.loads(base64.b64decode(a[0])),
        "uri": lambda a: urllib.parse.urljoin(a[0], a[1]),
        "uricomponent": lambda a: urllib.parse.quote(a[0], safe=""),
        "uricomponenttostring": lambda a: urllib.parse.unquote(a[0]),
        "items": lambda a: [{"key": k, "value": a[0][k]} for k in sorted(a[0])],
        "objectkeys": lambda a: sorted(a[0]),
        "flatten": lambda a: [item for inner in a[0] for item in inner],
        "shallowmerge": lambda a: {k: v for each in a[0] for k, v in each.items()},
    }
    for name in ("listKeys", "listCredentials", "listClusterAdminCredential", "listClusterUserCredential"):
        own[name.lower()] = asked(name)
    return own


def check(value: Any) -> set[str]:
    """Names, in lower case, of the functions in `value` that there are not."""
    known = set(_functions(Context({"subscriptionId": "", "tenantId": ""}, {}, {}, dt.datetime.now(dt.UTC))))
    out: set[str] = set()
    if isinstance(value, str) and expressions.is_expression(value):
        used = expressions.functions(expressions.parse(value))
        out |= {name for name in used if name not in known and not expressions.has(name)}
    elif isinstance(value, dict):
        out = out.union(*(check(inner) for inner in value.values()))
    elif isinstance(value, list):
        out = out.union(*(check(inner) for inner in value))
    return out
