"""Server-side apply and the ownership of fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.apply.managed_fields import record_update
from azsandbox.kubernetes.apply.reset_fields import reset_fields
from azsandbox.kubernetes.apply.server_side import Configuration, server_side_apply
from azsandbox.kubernetes.registry import now
from azsandbox.kubernetes.request import Object, Request
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.schema import json_text, yaml_text
from azsandbox.kubernetes.schema.decode import STRICT, WARN, with_string_data
from azsandbox.kubernetes.schema.typed_values import DecodeError, convert

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

__all__ = ["apply_request", "read_configuration", "record_update", "reset_fields", "server_side_apply"]


def apply_request(server: ApiServer, request: Request, resource: Resource, old: Object | None) -> Object:
    """The object that a PATCH of type apply makes of `old`, decoded and defaulted, with its managedFields.

    Raises 400, 409 for conflicts, 500 for a configuration that does not fit the type.
    """
    applied = read_configuration(request)
    type_ = server.type_of(resource)
    versions = {other.api_version for other in server.resources if other.collection == resource.collection}
    configuration = Configuration(
        applied,
        request.param("fieldManager"),
        resource.gvk,
        type_,
        now(),
        request.flag("force"),
        request.subresource,
        reset_fields(resource, request.subresource),
        versions.__contains__,
    )
    merged, managed = server_side_apply(old, configuration)
    head = {"kind": resource.kind, "apiVersion": resource.api_version}
    if resource.custom:
        obj = server.custom.coerced(resource, merged)
    else:
        try:
            obj = convert(type_, merged, parsed=True)[0]
        except DecodeError as error:
            raise errors.plain_500(_not_converted(resource, merged, str(error))) from None
    obj = {**head, **obj, **head}
    if resource.kind == "Secret" and not resource.group:
        obj = with_string_data(obj)
    server.default(resource, obj)
    metadata = obj.setdefault("metadata", {})
    metadata.pop("managedFields", None)
    if managed:
        metadata["managedFields"] = managed
    return obj


def read_configuration(request: Request) -> Object:
    """The configuration in a body, YAML or JSON; repeated keys are warned of. Raises 400."""
    validation = request.param("fieldValidation") or WARN
    prefix = "error decoding YAML: "
    try:
        value, repeated = yaml_text.parse(request.body)
    except yaml_text.BadYaml as error:
        raise errors.bad_request(f"{prefix}error converting YAML to JSON: {error}") from None
    if value is None:
        value = {}
    if not isinstance(value, dict):
        text = f"json: cannot unmarshal {json_text.go_kind(value)} into Go value of type map[string]interface {{}}"
        raise errors.bad_request(f"{prefix}error unmarshaling JSON: while decoding JSON: {text}")
    if repeated and validation in (STRICT, WARN):
        text = f"error converting YAML to JSON: {repeated[0]}"
        if validation == STRICT:
            raise errors.bad_request(f"error strict decoding YAML: {text}")
        request.warnings += yaml_text.warnings(text)
    return value


def _not_converted(resource: Resource, merged: Object, problem: str) -> str:
    """Why an applied object is none of its type, in the words of the converter from unstructured objects."""
    kind = f"{resource.group}/{resource.version}, Kind={resource.kind}"
    metadata = merged.get("metadata") or {}
    whose = f"{metadata.get('namespace') or ''}/{metadata.get('name') or ''}"
    return (
        f"failed to convert new object ({whose}; {kind}) to proper version: unable to convert unstructured object to "
        f"{kind}: {problem}"
    )
