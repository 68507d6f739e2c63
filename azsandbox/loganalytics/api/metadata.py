"""GET and POST …/metadata: the tables of a workspace with their columns (azure-rest-api-specs, "Get Metadata")."""

from __future__ import annotations

from typing import Any

from azsandbox.loganalytics.api import errors
from azsandbox.loganalytics.api.query import READ, workspace_of
from azsandbox.loganalytics.tables import known


def of_workspace(arm: Any, identity: Any, customer_id: str) -> dict[str, Any]:
    """What a workspace has. Raises ApiError."""
    stored = workspace_of(arm, customer_id)
    if stored is None:
        raise errors.no_workspace()
    if not arm.access.permits(identity, READ.format(""), stored.id):
        raise errors.forbidden()
    tables = [
        {
            "id": name,
            "name": name,
            "timespanColumn": "TimeGenerated",
            "columns": [{"name": column.name, "type": column.type} for column in columns],
            "related": {"workspaces": [stored.properties["customerId"]]},
        }
        for name, columns in known().items()
    ]
    workspace = {
        "id": stored.properties["customerId"],
        "resourceId": stored.id,
        "name": stored.name,
        "region": stored.body["location"],
        "related": {"tables": list(known())},
    }
    return {"tables": tables, "workspaces": [workspace]}
