"""The paths of a resource in an OpenAPI document: operations with their action, kind and parameters.

kubectl looks here for PATCH operations with a `fieldValidation` parameter before it trusts the server to validate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from azsandbox.kubernetes.request import GroupVersionKind
from azsandbox.kubernetes.resources import Resource, Subresource

_REF = "#/components/schemas/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_MEDIA = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_PATCHES = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")
_STRATEGIC = "application/strategic-merge-patch+json"
_LIST_PARAMETERS = {
    "allowWatchBookmarks": "boolean",
    "continue": "string",
    "fieldSelector": "string",
    "labelSelector": "string",
    "limit": "integer",
    "resourceVersion": "string",
    "resourceVersionMatch": "string",
    "sendInitialEvents": "boolean",
    "timeoutSeconds": "integer",
    "watch": "boolean",
}
_WRITE_PARAMETERS = {"dryRun": "string", "fieldManager": "string", "fieldValidation": "string"}
_DELETE_PARAMETERS = {
    "dryRun": "string",
    "gracePeriodSeconds": "integer",
    "orphanDependents": "boolean",
    "propagationPolicy": "string",
}
_ACTIONS = {"create": "post", "get": "get", "list": "list", "update": "put", "delete": "delete", "patch": "patch"}
_METHODS = {
    "create": "post",
    "get": "get",
    "list": "get",
    "update": "put",
    "delete": "delete",
    "patch": "patch",
    "deletecollection": "delete",
}


def operations(
    resource: Resource, schema: str, name_of: Callable[[GroupVersionKind], str]
) -> dict[str, dict[str, Any]]:
    """The path items of a resource and its sub-resources; `schema` is the definition of its kind."""
    scope = "namespaces/{namespace}/" if resource.namespaced else ""
    base = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    collection = f"{base}/{scope}{resource.name}"
    found: dict[str, dict[str, Any]] = {}
    verbs = set(resource.verbs)
    of_collection = [verb for verb in ("list", "create", "deletecollection") if verb in verbs]
    of_object = [verb for verb in ("get", "update", "patch", "delete") if verb in verbs]
    _add(found, collection, resource, of_collection, resource.gvk, schema)
    if of_object:
        _add(found, f"{collection}/{{name}}", resource, of_object, resource.gvk, schema)
    if resource.namespaced and "list" in verbs:
        _add(found, f"{base}/{resource.name}", resource, ["list"], resource.gvk, schema)
    for sub in resource.subresources:
        _add(
            found,
            f"{collection}/{{name}}/{sub.name}",
            resource,
            list(sub.verbs),
            sub.kind,
            _sub_schema(sub, schema, resource, name_of),
        )
    return found


def _sub_schema(sub: Subresource, schema: str, resource: Resource, name_of: Callable[[GroupVersionKind], str]) -> str:
    return schema if sub.kind == resource.gvk else name_of(sub.kind)


def _add(
    found: dict[str, dict[str, Any]],
    path: str,
    resource: Resource,
    verbs: Sequence[str],
    gvk: GroupVersionKind,
    schema: str,
) -> None:
    item: dict[str, Any] = {}
    for verb in verbs:
        method = _METHODS.get(verb)
        if method and method not in item:
            item[method] = _operation(path, resource, verb, gvk, schema)
    if not item:
        return
    names = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
    item["parameters"] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}
        for name in names
    ] + [_query("pretty", "string")]
    found[path] = item


def _query(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": True}}


def _operation(path: str, resource: Resource, verb: str, gvk: GroupVersionKind, schema: str) -> dict[str, Any]:
    parameters: dict[str, str] = {}
    if verb in ("list", "deletecollection"):
        parameters = _LIST_PARAMETERS | (_DELETE_PARAMETERS if verb == "deletecollection" else {})
    elif verb == "delete":
        parameters = _DELETE_PARAMETERS
    elif verb in ("create", "update", "patch"):
        parameters = _WRITE_PARAMETERS | ({"force": "boolean"} if verb == "patch" else {})
    answer = schema
    if verb == "list":
        kind = resource.list_kind or f"{resource.kind}List"
        answer = schema.rpartition(".")[0] + f".{kind}"
    elif verb in ("delete", "deletecollection"):
        answer = _META + "Status"
    operation: dict[str, Any] = {
        "operationId": _operation_id(path, resource, verb),
        "tags": ["_".join((resource.group.partition(".")[0] or "core", resource.version))],
        "parameters": [_query(name, kind) for name, kind in sorted(parameters.items())],
        "responses": {
            "200": {"description": "OK", "content": {media: {"schema": {"$ref": _REF + answer}} for media in _MEDIA}},
            "401": {"description": "Unauthorized"},
        },
        "x-kubernetes-action": _ACTIONS.get(verb, verb),
        "x-kubernetes-group-version-kind": gvk._asdict(),
    }
    if verb in ("create", "update"):
        operation["requestBody"] = {"content": {"*/*": {"schema": {"$ref": _REF + schema}}}, "required": True}
    elif verb == "patch":
        kinds = _PATCHES if resource.custom else (*_PATCHES, _STRATEGIC)
        content = {kind: {"schema": {"$ref": f"{_REF}{_META}Patch"}} for kind in kinds}
        operation["requestBody"] = {"content": content, "required": True}
    elif verb in ("delete", "deletecollection"):
        operation["requestBody"] = {"content": {"*/*": {"schema": {"$ref": f"{_REF}{_META}DeleteOptions"}}}}
    return operation


def _operation_id(path: str, resource: Resource, verb: str) -> str:
    """The name of an operation as client generators use it, e.g. listAppsV1NamespacedDeployment."""
    words = {"get": "read", "update": "replace", "deletecollection": "deletecollection"}
    group = (resource.group.partition(".")[0] or "core").capitalize()
    scope = "Namespaced" if "{namespace}" in path else ""
    tail = path.rpartition("{name}/")[2] if "{name}/" in path else ""
    suffix = "" if scope or not (verb == "list" and resource.namespaced) else "ForAllNamespaces"
    return f"{words.get(verb, verb)}{group}{resource.version.capitalize()}{scope}{resource.kind}{tail.capitalize()}{suffix}"
