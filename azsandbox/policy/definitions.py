"""The definitions of Gatekeeper's kinds: of templates, and of the kind that a template makes."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Any

from azsandbox import yaml_files
from azsandbox.controllers.client import Object

GROUP, VERSION = "constraints.gatekeeper.sh", "v1beta1"


@cache
def facts() -> dict[str, Any]:
    """What is known of Gatekeeper (data/policy/gatekeeper.json)."""
    text = (resources.files("azsandbox") / "data" / "policy" / "gatekeeper.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def manifests(namespace: str) -> list[Object]:
    """Gatekeeper's definitions, access, webhooks and workloads."""
    text = (resources.files("azsandbox") / "data" / "policy" / "gatekeeper.yaml").read_text("utf-8")
    return yaml_files.load_all(text.replace("NAMESPACE", namespace).replace("VERSION", facts()["version"]))


def _selector() -> Object:
    expression = {
        "type": "object",
        "required": ["key", "operator"],
        "properties": {
            "key": {"type": "string"},
            "operator": {"type": "string"},
            "values": {**_strings(), "x-kubernetes-list-type": "atomic"},
        },
    }
    return {
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchExpressions": {"type": "array", "items": expression, "x-kubernetes-list-type": "atomic"},
            "matchLabels": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    }


def _strings() -> Object:
    return {"type": "array", "items": {"type": "string"}}


# A name with a star at its beginning, its end or both (gatekeeper, package wildcard)
_NAME: Object = {"type": "string", "pattern": r"^\*?[-:a-z0-9]*\*?$"}


def _names() -> Object:
    return {"type": "array", "items": dict(_NAME)}


def match_schema() -> Object:
    """The schema of `spec.match`."""
    return {
        "type": "object",
        "properties": {
            "kinds": {
                "type": "array",
                "items": {"type": "object", "properties": {"apiGroups": _strings(), "kinds": _strings()}},
            },
            "namespaces": _names(),
            "excludedNamespaces": _names(),
            "labelSelector": _selector(),
            "namespaceSelector": _selector(),
            "name": dict(_NAME),
            "scope": {"type": "string"},
            "source": {"type": "string", "enum": ["All", "Generated", "Original"]},
        },
    }


def preserving(schema: Object) -> Object:
    """A schema of the older kind, which lets pass what it does not name (frameworks, package constraint/pkg/schema)."""
    found = dict(schema)
    kind = found.get("type", "")
    if kind in ("", "object"):
        found["x-kubernetes-preserve-unknown-fields"] = True
    elif kind == "array" and not found.get("items"):
        found["items"] = {}
    if "properties" in found:
        found["properties"] = {name: preserving(value) for name, value in found["properties"].items()}
    for field in ("items", "additionalProperties"):
        if isinstance(found.get(field), dict):
            found[field] = preserving(found[field])
    return found


def constraint_definition(template: Object) -> Object:
    """The definition of the kind that a template makes: cluster-wide, with its parameters' schema."""
    spec = template["spec"]["crd"]["spec"]
    kind, short = spec["names"]["kind"], spec["names"].get("shortNames")
    validation = spec.get("validation") or {}
    parameters = validation.get("openAPIV3Schema")
    if validation.get("legacySchema"):
        parameters = preserving(parameters or {})
    scoped = {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "action": {"type": "string"},
                "enforcementPoints": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"name": {"type": "string"}}},
                },
            },
        },
    }
    schema = {
        "type": "object",
        "properties": {
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 63}}},
            "spec": {
                "type": "object",
                "properties": {
                    "enforcementAction": {"type": "string", "default": "deny"},
                    "scopedEnforcementActions": scoped,
                    "match": match_schema(),
                    **({} if parameters is None else {"parameters": parameters}),
                },
            },
            "status": {"x-kubernetes-preserve-unknown-fields": True},
        },
    }
    columns = [
        {
            "name": "enforcement-action",
            "description": "Type of enforcement action",
            "type": "string",
            "jsonPath": ".spec.enforcementAction",
        },
        {
            "name": "total-violations",
            "description": "Total number of violations",
            "type": "integer",
            "jsonPath": ".status.totalViolations",
        },
    ]
    names: Object = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": kind.lower(),
        "singular": kind.lower(),
        "categories": ["constraint", "constraints"],
        **({"shortNames": short} if short else {}),
    }
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
    }
    older = {**version, "name": "v1alpha1", "storage": False}
    owner = {
        "apiVersion": "templates.gatekeeper.sh/v1beta1",
        "kind": "ConstraintTemplate",
        "name": template["metadata"]["name"],
        "uid": template["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.lower()}.{GROUP}",
            "labels": {**(template["metadata"].get("labels") or {}), "gatekeeper.sh/constraint": "yes"},
            "ownerReferences": [owner],
        },
        "spec": {"group": GROUP, "scope": "Cluster", "names": names, "versions": [version, older]},
    }
