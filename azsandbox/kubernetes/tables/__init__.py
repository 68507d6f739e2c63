"""Tables: what `kubectl get` prints, made by the server. Columns are data, rows a function a kind."""

from __future__ import annotations

import time
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import orjson

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.tables import access, core, others, storage, workloads
from azsandbox.kubernetes.tables.cells import Age, Row
from azsandbox.kubernetes.tables.custom import custom_columns

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer
    from azsandbox.store import Record

_ROWS: dict[str, Row] = {**core.ROWS, **workloads.ROWS, **storage.ROWS, **access.ROWS, **others.ROWS}


@cache
def _columns(minor: str) -> dict[str, list[list[Any]]]:
    found = files("azsandbox") / "data" / "kubernetes" / minor / "table-columns.json"
    columns: dict[str, list[list[Any]]] = orjson.loads(found.read_bytes())
    return columns


def definitions(server: ApiServer, resource: Resource) -> list[Object]:
    """The columnDefinitions of a resource's tables."""
    if resource.custom:
        return custom_columns(server, resource)[0]
    return built_in(server.minor, resource.group or "core", resource.version, resource.name)


@cache
def built_in(minor: str, group: str, version: str, name: str) -> list[Object]:
    """The columnDefinitions of a built-in resource; `group` is "core" for the core group."""
    keys = ("name", "type", "format", "priority", "description")
    found = _columns(minor).get(f"{group}/{version}/{name}") or _unknown(minor)
    return [dict(zip(keys, column, strict=True)) for column in found]


def _unknown(minor: str) -> list[list[Any]]:
    """The columns of a kind that has none of its own: those that roles have."""
    return _columns(minor)["rbac.authorization.k8s.io/v1/roles"]


def _created(obj: Object) -> list[Any]:
    return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")]


def _row(resource: Resource, row: Row, obj: Object, include: str) -> Object:
    """A row of a Table. Its cells may be ages yet."""
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
    return found


def render(
    server: ApiServer, resource: Resource, items: list[Object], metadata: Object, include: str = "Metadata"
) -> Object:
    """A Table of `items`; `include` says what of each object is in its row: None, Metadata or Object."""
    if resource.custom:
        columns, row = custom_columns(server, resource)
    else:
        columns, row = definitions(server, resource), _ROWS.get(resource.qualified, _created)
    rows = [_row(resource, row, obj, include) for obj in items]
    now = time.time()
    for found in rows:
        found["cells"] = [cell.text(now) if isinstance(cell, Age) else cell for cell in found["cells"]]
    return {**_head(metadata, columns), "rows": rows}


def _head(metadata: Object, columns: list[Object], version: str = "v1") -> Object:
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": metadata,
        "columnDefinitions": columns,
    }


def stored_table(server: ApiServer, resource: Resource, records: list[Record], metadata: Object, version: str) -> bytes:
    """The JSON of a Table of stored objects of a built-in kind, with their metadata in the rows."""
    row = _ROWS.get(resource.qualified, _created)
    return server.rows.table(
        resource,
        records,
        _head(metadata, definitions(server, resource), version),
        lambda value: server.registry.load(resource, value),
        lambda obj: _row(resource, row, obj, "Metadata"),
    )
