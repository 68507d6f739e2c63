"""Columns and rows of custom resources, by the printer columns of their CRD."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.tables.cells import Row, since

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

_PART = re.compile(
    r"""\.(?P<name>(?:\\.|[^.\[\]\\])+) | \['(?P<quoted>[^']+)'\] | \[(?P<index>-?\d+)\] | \[(?P<all>\*)\]
      | \[\?\(@\.(?P<field>[\w.-]+)\s*==\s*["'](?P<value>[^"']*)["']\)\]""",
    re.VERBOSE,
)


def _step(found: list[Any], part: re.Match[str]) -> list[Any]:
    key = part["name"] or part["quoted"]
    if key is not None:
        key = re.sub(r"\\(.)", r"\1", key)
        return [item[key] for item in found if isinstance(item, dict) and key in item]
    lists = [item for item in found if isinstance(item, list)]
    if part["index"] is not None:
        index = int(part["index"])
        return [item[index] for item in lists if -len(item) <= index < len(item)]
    entries = [entry for item in lists for entry in item]
    if part["field"]:
        return [e for e in entries if isinstance(e, dict) and str(e.get(part["field"])) == part["value"]]
    return entries


def json_path(path: str) -> Callable[[Object], list[Any]]:
    """A reader for a JSON path as printer columns use it: names, indexes, [*] and simple filters."""
    parts = list(_PART.finditer(path))

    def read(obj: Object) -> list[Any]:
        found: list[Any] = [obj]
        for part in parts:
            found = _step(found, part)
        return found

    return read


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def cell(found: list[Any], kind: str) -> Any:
    """A cell of a column's type; None where there is nothing to show."""
    if not found or found[0] is None:
        return None
    value = found[0]
    if kind == "integer":
        if isinstance(value, float):
            return int(value)
        return value if isinstance(value, int) else None
    if kind == "number":
        return value if isinstance(value, int | float) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if kind == "date":
        try:
            return since(value)
        except (ValueError, AttributeError):
            return "<invalid>"
    return _text(value)


def custom_columns(server: ApiServer, resource: Resource) -> tuple[list[Object], Row]:
    """The columns of a custom resource, and what makes its rows."""
    from azsandbox.kubernetes.tables import built_in

    name = built_in(server.minor, "rbac.authorization.k8s.io", "v1", "roles")[0]
    columns, readers = [name], []
    for column in server.custom.columns(resource):
        fallback = f"Custom resource definition column (in JSONPath format): {column['jsonPath']}"
        columns.append(
            {
                "name": column["name"],
                "type": column["type"],
                "format": column.get("format", ""),
                "description": column.get("description") or fallback,
                "priority": column.get("priority", 0),
            }
        )
        readers.append((json_path(column["jsonPath"]), column["type"]))

    def row(obj: Object) -> list[Any]:
        return [obj["metadata"]["name"], *(cell(read(obj), kind) for read, kind in readers)]

    return columns, row
