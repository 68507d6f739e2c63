"""Tables: what `kubectl get` prints, made by the server. Columns are data, rows a function a kind."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import orjson

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.tables import access, core, others, storage, workloads
from azsandbox.kubernetes.tables.cells import Row
from azsandbox.kubernetes.tables.custom import custom_columns

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

_ROWS: dict[str, Row] = {**core.ROWS, **workloads.ROWS, **storage.ROWS, **access.ROWS, **others.ROWS}

# what a table shows of a kind that has no columns of its own
_DEFAULT = [
    ["Name", "string", "name", 0, {"of": "ObjectMeta.name"}],
    ["Created At", "date", "", 0, {"of": "ObjectMeta.creationTimestamp"}],
]


@cache
def _columns(minor: str) -> dict[str, list[list[Any]]]:
    found = files("azsandbox") / "data" / "kubernetes" / minor / "table-columns.json"
    columns: dict[str, list[list[Any]]] = orjson.loads(found.read_bytes())
    return columns


@cache
def _descriptions(minor: str) -> dict[str, str]:
    """Descriptions of the fields that columns name as `Type.field`, from the OpenAPI definitions."""
    import kubernetes_validate

    folder = files(kubernetes_validate) / "kubernetes-json-schema"
    document = orjson.loads((folder / f"v{minor}.0-local" / "_definitions.json").read_bytes())
    wanted = {c[4]["of"] for columns in _columns(minor).values() for c in columns if isinstance(c[4], dict)}
    out: dict[str, str] = {}
    for name, definition in (document.get("$defs") or document.get("definitions")).items():
        kind = name.rpartition(".")[2]
        for field, schema in (definition.get("properties") or {}).items():
            key = f"{kind}.{field}"
            if key in wanted and (key not in out or ".v1." in name):
                out[key] = schema.get("description", "")
    return out


def definitions(server: ApiServer, resource: Resource) -> list[Object]:
    """The columnDefinitions of a resource's tables."""
    if resource.custom:
        return custom_columns(server, resource)[0]
    return _definitions(server.minor, resource.group or "core", resource.version, resource.name)


@cache
def _definitions(minor: str, group: str, version: str, name: str) -> list[Object]:
    texts = _descriptions(minor)
    out = []
    for title, kind, form, priority, description in _columns(minor).get(f"{group}/{version}/{name}", _DEFAULT):
        text = texts.get(description["of"], "") if isinstance(description, dict) else description
        out.append({"name": title, "type": kind, "format": form, "description": text, "priority": priority})
    return out


def _created(obj: Object) -> list[Any]:
    return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")]


def render(
    server: ApiServer, resource: Resource, items: list[Object], metadata: Object, include: str = "Metadata"
) -> Object:
    """A Table of `items`; `include` says what of each object is in its row: None, Metadata or Object."""
    if resource.custom:
        columns, row = custom_columns(server, resource)
    else:
        columns, row = definitions(server, resource), _ROWS.get(resource.qualified, _created)
    rows = []
    for obj in items:
        found: Object = {"cells": row(obj) if obj["metadata"].get("name") else []}
        if resource.qualified == "pods":
            conditions = core.pod_row_conditions(obj)
            if conditions:
                found["conditions"] = conditions
        if include == "Object":
            found["object"] = obj
        elif include == "Metadata":
            meta = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
            found["object"] = meta
        else:
            found["object"] = None
        rows.append(found)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    }
