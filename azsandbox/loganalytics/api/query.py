"""One query: who asks, of what, and the answer."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

from azsandbox.arm.resources import Stored
from azsandbox.loganalytics import kql
from azsandbox.loganalytics.api import errors
from azsandbox.loganalytics.api.statistics import Meter
from azsandbox.loganalytics.kql import values
from azsandbox.loganalytics.tables import Content
from azsandbox.loganalytics.timespan import interval

SECONDS, MOST_SECONDS = 180.0, 600.0  # Azure Monitor, "Timeouts" of the query API
HERE = "127.0.0.1"  # where all queries come from: the sandbox has no private links
WORKSPACES = "Microsoft.OperationalInsights/workspaces"
READ = "Microsoft.OperationalInsights/workspaces/query/{}read"
READ_OF_RESOURCE = "Microsoft.Insights/logs/{}read"
_RENDER = (
    "visualization", "title", "accumulate", "isQuerySorted", "kind", "legend", "series", "yMin", "yMax", "xAxis",
    "xColumn", "xTitle", "yAxis", "yColumns", "ySplit", "yTitle", "anomalyColumns",
)  # fmt: skip


def workspace_of(arm: Any, customer_id: str) -> Stored | None:
    """The workspace with a customer id."""
    wanted = customer_id.lower()
    for stored in arm.resources.all(WORKSPACES):
        if stored.properties["customerId"].lower() == wanted:
            found: Stored = stored
            return found
    return None


def preferences(header: str) -> dict[str, str]:
    """What a Prefer header asks for: wait=60,include-statistics=true."""
    found = {}
    for part in re.split(r"[,;]", header):
        name, _, value = part.strip().partition("=")
        if name:
            found[name.lower()] = value.strip().strip('"').lower()
    return found


class Query:
    """A request of an identity about a workspace or a resource, as far as it is checked."""

    def __init__(self, arm: Any, identity: Any, body: Any, prefer: str) -> None:
        self.arm, self.identity = arm, identity
        if not isinstance(body, dict):
            raise errors.invalid("the body must be a JSON object")
        if unknown := [key for key in body if key not in ("query", "timespan", "workspaces", "workspaceFilters")]:
            raise errors.not_supported(f"the property '{unknown[0]}'")
        text = body.get("query")
        if not isinstance(text, str) or not text.strip():
            raise errors.invalid("the property 'query' is required")
        self.text, self.prefer = text, preferences(prefer)
        self.others = body.get("workspaces") or []
        self.since, self.until = self._time(body.get("timespan"))

    def _time(self, timespan: Any) -> tuple[int | None, int | None]:
        if not timespan:
            return None, None
        try:
            start, end = interval(str(timespan), self.arm.services.clock.now())
        except ValueError:
            raise errors.invalid(f"the timespan '{timespan}' is not in the format of ISO 8601") from None
        return int(start.timestamp() * 1e6), int(end.timestamp() * 1e6)

    def _permits(self, action: str, scope: str, tables: set[str] | None = None) -> bool:
        access = self.arm.access
        if access.permits(self.identity, action.format(""), scope):
            return True
        return bool(tables) and all(access.permits(self.identity, action.format(f"{t}/"), scope) for t in tables or ())

    async def on_workspaces(self, customer_id: str) -> dict[str, Any]:
        """The answer of a workspace, and of others that the body names. Raises ApiError."""
        found = []
        for name in [customer_id, *self.others]:
            stored = workspace_of(self.arm, name) or self._by_name(str(name))
            if stored is None:
                raise errors.no_workspace()
            found.append(stored)
        names = self._named_tables()
        if not all(self._permits(READ, stored.id, names) for stored in found):
            raise errors.forbidden()
        for stored in found:
            if stored.properties.get("publicNetworkAccessForQuery") == "Disabled":
                raise errors.from_outside(stored.name, HERE)
        return await self._answer([stored.properties["customerId"] for stored in found], None)

    def _by_name(self, name: str) -> Stored | None:
        if name.startswith("/"):
            stored: Stored | None = self.arm.resources.get(name)
            return stored if stored is not None and stored.type.lower() == WORKSPACES.lower() else None
        return next((s for s in self.arm.resources.all(WORKSPACES) if s.name.lower() == name.lower()), None)

    async def on_resource(self, resource_id: str) -> dict[str, Any]:
        """The answer about one resource and what is below it, from all workspaces that have rows of it."""
        stored = self.arm.resources.get(resource_id)
        if stored is None:
            raise errors.ApiError(404, "ResourceNotFoundError", "The resource could not be found")
        if stored.type.lower() == WORKSPACES.lower():
            return await self.on_workspaces(stored.properties["customerId"])
        if not self._permits(READ_OF_RESOURCE, stored.id, self._named_tables()):
            raise errors.forbidden()
        lower = stored.id.lower()
        workspaces = [s.properties["customerId"] for s in self.arm.resources.all(WORKSPACES)]
        return await self._answer(workspaces, lambda found: found == lower or found.startswith(lower + "/"))

    def _named_tables(self) -> set[str]:
        from azsandbox.loganalytics.tables import known

        return set(re.findall(r"\w+", self.text)) & set(known())

    def _seconds(self) -> float:
        """How long the client waits: `wait` of Prefer, three minutes without it, ten at most."""
        asked = self.prefer.get("wait", "")
        return min(float(asked), MOST_SECONDS) if asked.isdigit() else SECONDS

    async def _answer(self, workspaces: list[str], keep: Any) -> dict[str, Any]:
        rows = self.arm.provider("Microsoft.OperationalInsights").ingestion(self.arm).rows
        content = Content(rows, workspaces, self.text, self.since, self.until, keep)
        now: dt.datetime = self.arm.services.clock.now()
        meter = Meter()
        try:
            result = await asyncio.to_thread(meter.measured, kql.run, self.text, content, now, self._seconds())
            tables = await asyncio.to_thread(lambda: [_written(table) for table in result.tables])
        except kql.KqlError as error:
            raise errors.of_query(error) from None
        body: dict[str, Any] = {"tables": tables}
        if result.errors:
            body["error"] = errors.partial(result.errors)
        if self.prefer.get("include-render") == "true":
            given = {key.lower(): value for key, value in result.visualization.items()}
            defaults: Mapping[str, Any] = {"accumulate": False, "isQuerySorted": False, "yMin": "NaN", "yMax": "NaN"}
            body["render"] = {key: given.get(key.lower(), defaults.get(key)) for key in _RENDER} if given else {}
        if self.prefer.get("include-statistics") == "true":
            body["statistics"] = meter.read(tables, content.scanned)
        return body


def _written(table: kql.Table) -> dict[str, Any]:
    kinds = [column.type for column in table.columns]
    return {
        "name": table.name,
        "columns": [{"name": column.name, "type": column.type} for column in table.columns],
        "rows": [[values.answered(v, k) for v, k in zip(row, kinds, strict=True)] for row in table.rows],
    }
