"""The schemas of CustomResourceDefinitions: what Kubernetes allows in them.

Source: k8s.io/apiextensions-apiserver, pkg/apis/apiextensions/validation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from azsandbox.kubernetes.schema import crd_defaults, crd_structure, custom_rules
from azsandbox.kubernetes.schema.cel import CelError
from azsandbox.kubernetes.schema.crd_paths import FieldPathError, field_path
from azsandbox.kubernetes.schema.structural import EMBEDDED, LIST_KEYS, LIST_TYPE, MAP_TYPE, PRESERVE, RULES, Schema
from azsandbox.kubernetes.validation.errors import Errors, forbidden, invalid, not_supported, required

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_META = ("metadata", "kind", "apiVersion")
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_LIST_TYPES = ("atomic", "set", "map")
# keywords under the names of Go's fields, in their order
_GO_NAMES = {
    "id": "ID",
    "$schema": "Schema",
    "$ref": "Ref",
    "description": "Description",
    "type": "Type",
    "nullable": "Nullable",
    "format": "Format",
    "title": "Title",
    "maximum": "Maximum",
    "exclusiveMaximum": "ExclusiveMaximum",
    "minimum": "Minimum",
    "exclusiveMinimum": "ExclusiveMinimum",
    "maxLength": "MaxLength",
    "minLength": "MinLength",
    "pattern": "Pattern",
    "maxItems": "MaxItems",
    "minItems": "MinItems",
    "uniqueItems": "UniqueItems",
    "multipleOf": "MultipleOf",
    "enum": "Enum",
    "maxProperties": "MaxProperties",
    "minProperties": "MinProperties",
    "required": "Required",
    "items": "Items",
    "allOf": "AllOf",
    "oneOf": "OneOf",
    "anyOf": "AnyOf",
    "not": "Not",
    "properties": "Properties",
    "additionalProperties": "AdditionalProperties",
    "patternProperties": "PatternProperties",
    "dependencies": "Dependencies",
    "additionalItems": "AdditionalItems",
    "definitions": "Definitions",
    "externalDocs": "ExternalDocs",
    "example": "Example",
    "default": "Default",
    PRESERVE: "XPreserveUnknownFields",
    EMBEDDED: "XEmbeddedResource",
    "x-kubernetes-int-or-string": "XIntOrString",
    LIST_KEYS: "XListMapKeys",
    LIST_TYPE: "XListType",
    MAP_TYPE: "XMapType",
    RULES: "XValidations",
}
_NOT_AT_ROOT = frozenset(
    {
        "ID",
        "Schema",
        "Ref",
        "Nullable",
        "Enum",
        "MaxProperties",
        "MinProperties",
        "AllOf",
        "OneOf",
        "AnyOf",
        "Not",
        "AdditionalProperties",
        "PatternProperties",
        "Dependencies",
        "AdditionalItems",
        "Definitions",
        "Default",
        "XEmbeddedResource",
        "XIntOrString",
        "XListMapKeys",
        "XListType",
        "XMapType",
    }
)
# the order in which Kubernetes names what may stand at the root
_AT_ROOT = " ".join(name for name in _GO_NAMES.values() if name not in _NOT_AT_ROOT)


@dataclass(frozen=True)
class _Place:
    """What holds where a schema stands."""

    forbidden_defaults: str = ""  # why defaults are not allowed
    in_metadata: bool = False
    no_old_self: str = ""  # the path of the first part around it that cannot be told apart from one change to the next
    cel: bool = True  # whether rules are compiled
    root: bool = False


@dataclass
class _Found:
    """Errors of schemas, and apart from them those of CEL."""

    schema: Errors = field(default_factory=list)
    cel: Errors = field(default_factory=list)

    def add(self, other: _Found) -> None:
        self.schema += other.schema
        self.cel += other.cel


def validate_schema(schema: Schema, path: str, status: bool) -> Errors:
    """Errors of the root schema of a version; `status` says whether that has the subresource."""
    found: Errors = _beside_status(schema, path) if status else []
    if schema.get("nullable"):
        found.append(forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    fault = crd_structure.conversion_fault(schema)
    structural = crd_structure.validate_structural(schema, path) if not fault else []
    structural = structural or ([] if fault else crd_defaults.validate_defaults(schema, path))
    found += structural
    judged = _walk(schema, path, _Place(cel=not fault and not structural, root=True))
    found += judged.schema + judged.cel
    return found or ([invalid(path, "", fault)] if fault else [])


def _beside_status(schema: Schema, path: str) -> Errors:
    for key, name in _GO_NAMES.items():
        if not schema.get(key) and (schema.get(key) is None or key not in ("additionalProperties", PRESERVE)):
            continue
        if name == "Type" and schema["type"] != "object":
            text = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
            return [invalid(f"{path}.type", schema["type"], text)]
        if name in _NOT_AT_ROOT:
            text = (
                f"only [{_AT_ROOT}] fields are allowed at the root of the schema if the status subresource is enabled"
            )
            return [invalid(path, _internal(schema), text)]
    return []


def _internal(schema: Schema) -> dict[str, Any]:
    """A schema as the internal Go type is printed."""
    found: dict[str, Any] = {}
    for key, name in _GO_NAMES.items():
        value = schema.get(key)
        if isinstance(value, Mapping) and key in ("items", "not", "additionalProperties"):
            value = _internal(dict(value))
        elif key == "properties" and value:
            value = {child: _internal(value[child]) for child in sorted(value)}
        found[name] = value
    return found


def _walk(schema: Schema, path: str, place: _Place) -> _Found:
    found = _Found(_standard(schema, path, place))
    if schema.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        found.schema.append(forbidden(f"{path}.uniqueItems", text))
    values = schema.get("additionalProperties")
    if values is not None:
        if schema.get("properties") and values is not True:
            text = "additionalProperties and properties are mutual exclusive"
            found.schema.append(forbidden(f"{path}.additionalProperties", text))
        if isinstance(values, dict):
            why = "inside additionalProperties applying to object metadata"
            below = replace(place, forbidden_defaults=why) if place.in_metadata else place
            found.add(_walk(values, f"{path}.additionalProperties", replace(below, root=False)))
    for name, child in sorted((schema.get("properties") or {}).items()):
        found.add(_walk(child, f"{path}.properties[{name}]", _below(schema, name, path, place)))
    logical = replace(place, cel=False, root=False)
    if isinstance(schema.get("not"), dict):
        found.add(_walk(schema["not"], f"{path}.not", logical))
    for keyword in ("allOf", "oneOf", "anyOf"):
        for index, child in enumerate(schema.get(keyword) or ()):
            found.add(_walk(child, f"{path}.{keyword}[{index}]", logical))
    for name, child in sorted((schema.get("definitions") or {}).items()):
        found.add(_walk(child, f"{path}.definitions[{name}]", logical))
    found.add(_items(schema, path, replace(place, root=False)))
    found.schema += _extensions(schema, path)
    found.add(_rules(schema, path, place, not found.schema))
    return found


def _below(schema: Schema, name: str, path: str, place: _Place) -> _Place:
    """What holds for a property."""
    found = replace(place, root=False)
    if (schema.get(MAP_TYPE) or "granular") != "granular" and not place.no_old_self:
        found = replace(found, no_old_self=path)
    if (place.root or schema.get(EMBEDDED)) and name in _META:
        found = replace(found, in_metadata=True)
        if place.root:
            found = replace(found, forbidden_defaults=f"in top-level {name}")
    return found


def _items(schema: Schema, path: str, place: _Place) -> _Found:
    found = _Found()
    items = schema.get("items")
    if schema.get(LIST_TYPE) != "map" and not place.no_old_self:
        place = replace(place, no_old_self=path)
    if isinstance(items, dict):
        found.add(_walk(items, f"{path}.items", place))
    for index, child in enumerate(items if isinstance(items, list) else ()):
        found.add(_walk(child, f"{path}.items[{index}]", place))
    return found


def _standard(schema: Schema, path: str, place: _Place) -> Errors:
    found: Errors = []
    kind = schema.get("type", "")
    if kind and kind not in _TYPES:
        found.append(not_supported(f"{path}.type", kind, _TYPES))
    if schema.get("default") is not None and place.forbidden_defaults:
        found.append(forbidden(f"{path}.default", f"must not be set {place.forbidden_defaults}"))
    for name in ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"):
        value = schema.get(name)
        if value or (value is not None and name in ("additionalItems", "$ref")):
            found.append(forbidden(f"{path}.{name}", f"{name} is not supported"))
    if kind == "null":
        text = "type cannot be set to null, use nullable as an alternative"
        found.append(forbidden(f"{path}.type", text))
    if schema.get("items") and isinstance(schema["items"], list):
        found.append(forbidden(f"{path}.items", "items must be a schema object and not an array"))
    if place.in_metadata and schema.get(EMBEDDED):
        found.append(forbidden(f"{path}.{EMBEDDED}", "must not be used inside of resource meta"))
    return found


def _must_be(kind: str, wanted: str, keyword: str, path: str) -> Errors:
    text = f"must be {wanted} if {keyword} is specified"
    if kind == wanted:
        return []
    return [invalid(f"{path}.type", kind, text) if kind else required(f"{path}.type", text)]


def _extensions(schema: Schema, path: str) -> Errors:
    """The keywords of Kubernetes: what lists and maps are to merging."""
    found: Errors = []
    kind, list_type, map_type = schema.get("type", ""), schema.get(LIST_TYPE), schema.get(MAP_TYPE)
    keys = schema.get(LIST_KEYS) or []
    items = schema.get("items") if isinstance(schema.get("items"), dict) else None
    if schema.get(PRESERVE) is False:
        found.append(invalid(f"{path}.{PRESERVE}", False, "must be true or undefined"))
    if map_type is not None:
        found += _must_be(kind, "object", MAP_TYPE, path)
        if map_type not in ("atomic", "granular"):
            found.append(not_supported(f"{path}.{MAP_TYPE}", map_type, ("atomic", "granular")))
    if list_type is not None:
        wrong = _must_be(kind, "array", LIST_TYPE, path)
        found += wrong
        if not wrong and list_type == "set" and items is not None:
            found += _set(items, path)
        if list_type not in _LIST_TYPES:
            found.append(not_supported(f"{path}.{LIST_TYPE}", list_type, _LIST_TYPES))
    if keys and list_type != "map":
        text, where = f"must be map if {LIST_KEYS} is non-empty", f"{path}.{LIST_TYPE}"
        found.append(required(where, text) if list_type is None else invalid(where, list_type, text))
    if list_type == "map":
        found += _map(keys, schema.get("items"), path)
    if items is not None and list_type in ("set", "map"):
        found += _keys(list_type, keys, items, path)
    return found


def _set(items: Schema, path: str) -> Errors:
    text = f"must be atomic as item of a list with {LIST_TYPE}=set"
    list_type = items.get(LIST_TYPE)
    if items.get("type") == "array" and list_type not in (None, "atomic"):
        return [invalid(f"{path}.items.{LIST_TYPE}", list_type, text)]
    if items.get("type") == "object" and items.get(MAP_TYPE) != "atomic":
        return [invalid(f"{path}.items.{MAP_TYPE}", list_type, text)]  # the other keyword's value, as Kubernetes has it
    return []


def _map(keys: list[str], items: Any, path: str) -> Errors:
    found: Errors = []
    if not keys:
        found.append(required(f"{path}.{LIST_KEYS}", f"must not be empty if {LIST_TYPE} is map"))
    if items is None:
        return [*found, required(f"{path}.items", f"must have a schema if {LIST_TYPE} is map")]
    if not isinstance(items, dict):
        text = f"must only have a single schema if {LIST_TYPE} is map"
        return [*found, invalid(f"{path}.items", {"Schema": None, "JSONSchemas": items}, text)]
    if items.get("type") != "object":
        text = f"must be object if parent array's {LIST_TYPE} is map"
        return [*found, invalid(f"{path}.items.type", items.get("type", ""), text)]
    properties = items.get("properties") or {}
    for index, key in enumerate(keys):
        if key not in properties:
            found.append(invalid(f"{path}.{LIST_KEYS}", keys, "entries must all be names of item properties"))
        elif properties[key].get("type") in ("array", "object"):
            text = f"must be a scalar type if parent array's {LIST_TYPE} is map"
            found.append(invalid(f"{path}.items.properties[{key}].type", "object", text))
        if key in keys[:index]:
            found.append(invalid(f"{path}.{LIST_KEYS}", keys, "must not contain duplicate entries"))
    return found


def _keys(list_type: str, keys: list[str], items: Schema, path: str) -> Errors:
    found: Errors = []
    if items.get("nullable"):
        found.append(forbidden(f"{path}.items.nullable", f"cannot be nullable when {LIST_TYPE} is {list_type}"))
    properties = items.get("properties") or {}
    for key in keys if list_type == "map" else ():
        part, where = properties.get(key), f"{path}.items.properties[{key}]"
        if part is None:
            continue
        if key not in (items.get("required") or ()) and part.get("default") is None:
            text = f"this property is in {LIST_KEYS}, so it must have a default or be a required property"
            found.append(required(f"{where}.default", text))
        if part.get("nullable"):
            text = f"this property is in {LIST_KEYS}, so it cannot be nullable"
            found.append(forbidden(f"{where}.nullable", text))
    return found


def _rules(schema: Schema, path: str, place: _Place, sound: bool) -> _Found:
    """Rules in CEL. They are compiled only where the schema is sound so far."""
    found = _Found()
    rules = schema.get(RULES) or []
    for index, rule in enumerate(rules):
        found.schema += _rule(schema, rule, f"{path}.{RULES}[{index}]")
    if not sound or found.schema or not place.cel:
        return found
    for index, rule in enumerate(rules):
        found.cel += _compiled(rule, f"{path}.{RULES}[{index}]", place)
    return found


def _rule(schema: Schema, rule: Mapping[str, Any], where: str) -> Errors:
    found: Errors = []
    text, message = rule.get("rule") or "", rule.get("message") or ""
    if not text.strip():
        found.append(required(f"{where}.rule", "rule is not specified"))
    elif message and not message.strip():
        found.append(invalid(f"{where}.message", message, "must be non-empty if specified"))
    elif _has_breaks(message.strip()):
        found.append(invalid(f"{where}.message", message, "must not contain line breaks"))
    elif _has_breaks(text.strip()) and not message:
        problem = "message must be specified if rule contains line breaks"
        found.append(required(f"{where}.message", problem))
    said = rule.get("messageExpression") or ""
    if said and not said.strip():
        problem = "messageExpression must be non-empty if specified"
        found.append(required(f"{where}.messageExpression", problem))
    if rule.get("reason") is not None and rule["reason"] not in _REASONS:
        found.append(not_supported(f"{where}.reason", rule["reason"], _REASONS))
    place = rule.get("fieldPath") or ""
    if place and not place.strip():
        found.append(invalid(f"{where}.fieldPath", place, "must be non-empty if specified"))
    if _has_breaks(place):
        found.append(invalid(f"{where}.fieldPath", place, "must not contain line breaks"))
    if place and not _leads_somewhere(schema, place):
        found.append(invalid(f"{where}.fieldPath", place, "must be a valid path"))
    return found


def _has_breaks(text: str) -> bool:
    return re.search(r"[\n\r]", text) is not None


def _leads_somewhere(schema: Schema, path: str) -> bool:
    if crd_structure.conversion_fault(schema):
        return True
    try:
        field_path(path, schema)
    except FieldPathError:
        return False
    return True


def _compiled(rule: Mapping[str, Any], where: str, place: _Place) -> Errors:
    found: Errors = []
    try:
        custom_rules.program(dict(rule), rule["rule"])
    except CelError as error:
        found.append(invalid(f"{where}.rule", _shown(rule), f"compilation failed: {error}"))
    said = rule.get("messageExpression")
    if said:
        try:
            custom_rules.program(dict(rule), said)
        except CelError as error:
            text = f"messageExpression compilation failed: {error}"
            found.append(invalid(f"{where}.messageExpression", _shown(rule), text))
    if re.search(r"\boldSelf\b", rule["rule"]):
        if place.no_old_self:
            text = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {place.no_old_self}"
            found.append(invalid(f"{where}.rule", rule["rule"], text))
    elif rule.get("optionalOldSelf") is not None:
        text = "may not be set if oldSelf is not used in rule"
        found.append(invalid(f"{where}.optionalOldSelf", rule["optionalOldSelf"], text))
    return found


def _shown(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as the internal Go type is printed."""
    return {
        "Rule": rule.get("rule", ""),
        "Message": rule.get("message", ""),
        "MessageExpression": rule.get("messageExpression", ""),
        "Reason": rule.get("reason"),
        "FieldPath": rule.get("fieldPath", ""),
        "OptionalOldSelf": rule.get("optionalOldSelf"),
    }
