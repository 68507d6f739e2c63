"""The types of what expressions of admission read: `request`, `namespaceObject` and a policy's `variables`.

Types are written as cel-go writes them: `list(int)`, `map(string, dyn)`, `kubernetes.UserInfo`. The engine knows no
types with fields, so that each path into one is declared as a name with dots beside its parts.
Fields: k8s.io/apiserver, pkg/admission/plugin/cel (BuildRequestType, BuildNamespaceType).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_TIME = "google.protobuf.Timestamp"
_LABELS = "map(string, string)"

FIELDS: dict[str, dict[str, str]] = {
    "kubernetes.AdmissionRequest": {
        "kind": "kubernetes.GroupVersionKind",
        "resource": "kubernetes.GroupVersionResource",
        "subResource": "string",
        "requestKind": "kubernetes.GroupVersionKind",
        "requestResource": "kubernetes.GroupVersionResource",
        "requestSubResource": "string",
        "name": "string",
        "namespace": "string",
        "operation": "string",
        "userInfo": "kubernetes.UserInfo",
        "dryRun": "bool",
        "options": "dyn",
    },
    "kubernetes.GroupVersionKind": dict.fromkeys(("group", "version", "kind"), "string"),
    "kubernetes.GroupVersionResource": dict.fromkeys(("group", "version", "resource"), "string"),
    "kubernetes.UserInfo": {
        "username": "string",
        "uid": "string",
        "groups": "list(string)",
        "extra": "map(string, list(string))",
    },
    "kubernetes.Namespace": {
        "metadata": "kubernetes.NamespaceMetadata",
        "spec": "kubernetes.NamespaceSpec",
        "status": "kubernetes.NamespaceStatus",
    },
    "kubernetes.NamespaceMetadata": {
        "name": "string",
        "generateName": "string",
        "namespace": "string",
        "labels": _LABELS,
        "annotations": _LABELS,
        "UID": "string",
        "creationTimestamp": _TIME,
        "deletionGracePeriodSeconds": "int",
        "deletionTimestamp": _TIME,
        "generation": "int",
        "resourceVersion": "string",
        "finalizers": "list(string)",
    },
    "kubernetes.NamespaceSpec": {"finalizers": "list(string)"},
    "kubernetes.NamespaceStatus": {"conditions": "list(kubernetes.NamespaceCondition)", "phase": "string"},
    "kubernetes.NamespaceCondition": {
        **dict.fromkeys(("status", "type", "message", "reason"), "string"),
        "lastTransitionTime": _TIME,
    },
}
OF = {
    "request": "kubernetes.AdmissionRequest",
    "namespaceObject": "kubernetes.Namespace",
    "authorizer": "kubernetes.authorization.Authorizer",
    "authorizer.requestResource": "kubernetes.authorization.ResourceCheck",
}
VARIABLES = "kubernetes.variables"

_NAMES = {
    "bool": "BOOL",
    "bytes": "BYTES",
    "double": "DOUBLE",
    "google.protobuf.Duration": "DURATION",
    "dyn": "DYN",
    "int": "INT",
    "list": "LIST",
    "map": "MAP",
    "null_type": "NULL",
    "string": "STRING",
    _TIME: "TIMESTAMP",
    "type": "TYPE",
    "uint": "UINT",
}
_SHOWN = {there: here for here, there in _NAMES.items()}
_MACRO = re.compile(r"\bhas\(\s*(\w+)")


def shown(kind: Any) -> str:
    """A type of the engine in cel-go's words."""
    text = re.sub(r"\b[A-Z_]+\b", lambda found: _SHOWN.get(found.group(), found.group()), str(kind))
    return text.replace("<", "(").replace(">", ")")


def declared(cel: Any, text: str, names: tuple[str, ...], variables: Mapping[str, str], loose: bool) -> dict[str, Any]:
    """What an expression can read, with types. `variables` are a policy's own, name to type.

    `loose` takes what has fields for values of any type; so is what `has` looks into, whose type the engine mistakes.
    """
    asked = set(_MACRO.findall(text))
    found: dict[str, str] = {}
    for name in names:
        fields = variables if name == "variables" else None
        kind = VARIABLES if name == "variables" else OF.get(name, "dyn")
        if name in asked or (loose and (kind in FIELDS or fields is not None)):
            found[name] = "dyn"
        else:
            _declare(found, name, kind, fields)
    return {name: _of(cel.Type, kind) for name, kind in found.items()}


def _declare(found: dict[str, str], name: str, kind: str, fields: Mapping[str, str] | None = None) -> None:
    found[name] = kind
    for field, inner in (FIELDS.get(kind, {}) if fields is None else fields).items():
        _declare(found, f"{name}.{field}", inner)


def has_fields(kind: str) -> bool:
    """Whether a type, in cel-go's words, is one with fields."""
    return kind == VARIABLES or kind in FIELDS


def has_field(kind: str, field: str, variables: Mapping[str, str]) -> bool:
    """Whether a type has a field. `variables` are a policy's own."""
    return field in (variables if kind == VARIABLES else FIELDS.get(kind, {}))


def _of(kinds: Any, text: str) -> Any:
    """The engine's type for cel-go's words."""
    head, _, inside = text.partition("(")
    parts = _parts(inside.removesuffix(")")) if inside else []
    if head == "list":
        return kinds.List(_of(kinds, parts[0]))
    if head == "map":
        return kinds.Map(*(_of(kinds, part) for part in parts))
    if head == "type":
        return kinds.TYPE
    if head in _NAMES:
        return getattr(kinds, _NAMES[head])
    return kinds.AbstractType(head, [_of(kinds, part) for part in parts])


def _parts(text: str) -> list[str]:
    """Parameters of a type, split at the commas outside brackets."""
    found, depth, start = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            found.append(text[start:at].strip())
            start = at + 1
    return [*found, text[start:].strip()]
