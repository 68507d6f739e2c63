"""Microsoft.OperationalInsights: Log Analytics workspaces, their keys, and those deleted but recoverable.

Answers differ by api-version: up to 2020-10-01 ids and the sku's name are in lower case and
dates are RFC 1123 text; later ones write ids as asked and dates in ISO 8601.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import hashlib
import uuid
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import orjson

from azsandbox.arm import errors, polling
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.operations import when
from azsandbox.arm.provider import NameRule, Provider, action
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored, timestamp

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm
    from azsandbox.loganalytics.ingestion import Ingestion

DELETED = "deletedWorkspaces"
KEPT_DAYS = 14  # that a deleted workspace can be recovered ("Delete and recover Azure Log Analytics workspace")
OLD_FORM = "2020-10-01"  # the last api-version with lower-case ids and RFC 1123 dates
SKUS = ("Free", "Standard", "Premium", "PerNode", "PerGB2018", "Standalone", "CapacityReservation", "LACluster")
EXPIRY, LEAST_EXPIRY = 86_400.0, 60.0  # seconds between two looks for old rows: Azure's, and this machine's at least
PAID_DAYS = (30, 730)  # retentionInDays of PerGB2018


class OperationalInsights(Provider):
    """The namespace Microsoft.OperationalInsights."""

    namespace = "Microsoft.OperationalInsights"

    def __init__(self) -> None:
        super().__init__([Workspaces(), SharedKeys(), DeletedWorkspaces()])
        self._ingestion: Ingestion | None = None
        self._needed = asyncio.Event()

    def ingestion(self, arm: Arm) -> Ingestion:
        """What takes rows for the workspaces; made when somebody first has some, or asks for some."""
        if self._ingestion is None:
            from azsandbox.aks.facts import read
            from azsandbox.loganalytics.ingestion import Ingestion
            from azsandbox.loganalytics.rows import Rows

            rows = Rows(arm.services.state)
            latency = float(read("control-plane-logs")["latencySeconds"])
            self._ingestion = Ingestion(rows, arm.services.clock, latency)
            self._ingestion.expire(_kept_days(arm))
            self._needed.set()
        return self._ingestion

    async def run(self, arm: Arm) -> None:
        """Writes rows, and forgets old ones."""
        await self._needed.wait()
        ingestion = self.ingestion(arm)

        async def expire() -> None:
            while True:
                await asyncio.gather(arm.services.clock.sleep(EXPIRY), asyncio.sleep(LEAST_EXPIRY))
                ingestion.expire(_kept_days(arm))

        async with asyncio.TaskGroup() as group:
            group.create_task(ingestion.run(), name="log ingestion")
            group.create_task(expire(), name="log retention")


def _kept_days(arm: Arm) -> dict[str, int]:
    """Days that each workspace keeps rows, by customer id; those that can be recovered keep theirs too."""
    bodies = [stored.body for stored in arm.resources.all("Microsoft.OperationalInsights/workspaces")]
    kept = [orjson.loads(record.value) for record in arm.services.store.list(DELETED)]
    bodies += [one["body"] for one in kept if not expired(arm, one)]
    return {body["properties"]["customerId"]: body["properties"]["retentionInDays"] for body in bodies}


def _refusal(code: str, message: str, status: int = 400) -> errors.ArmError:
    return errors.ArmError(status, code, message)


class Workspaces(ResourceType):
    """Microsoft.OperationalInsights/workspaces."""

    name = "workspaces"
    tracked = True
    patch_merges = True
    removal_rank = 70
    names = NameRule(
        r"[A-Za-z0-9][A-Za-z0-9-]{2,61}[A-Za-z0-9]",
        "InvalidResourceName",
        "The workspace name '{name}' is invalid. Workspace name should include 4-63 letters, digits or '-'. "
        "The '-' shouldn't be the first or the last symbol.",
    )

    def seconds(self, call: Call, kind: str, current: Stored | None) -> float:
        return 20.0 if kind == "create" else 0.0

    async def accept(self, call: Call, current: Stored | None) -> Document:
        properties, now = call.properties, timestamp(call.arm.services.clock)
        before: Document = current.properties if current else {}
        restored = self._take_deleted(call) if current is None else None
        sku_name = (properties.get("sku") or {}).get("name") or (before.get("sku") or {}).get("name") or "PerGB2018"
        sku = next((s for s in SKUS if s.lower() == str(sku_name).lower()), None)
        if sku is None:
            raise _refusal(
                "InvalidParameter",
                f"The value '{sku_name}' of the parameter 'sku.name' is not valid: {', '.join(SKUS)}.",
            )
        days = properties.get("retentionInDays", before.get("retentionInDays", 30))
        if not isinstance(days, int) or not (PAID_DAYS[0] <= days <= PAID_DAYS[1] or (sku == "Free" and days == 7)):
            raise _refusal(
                "InvalidParameter",
                f"'RetentionInDays' property doesn't match the pricing tier limits. The value '{days}' is not between "
                f"{PAID_DAYS[0]} and {PAID_DAYS[1]}.",
            )
        quota = (properties.get("workspaceCapping") or {}).get("dailyQuotaGb")
        if quota is None:
            quota = (before.get("workspaceCapping") or {}).get("dailyQuotaGb", -1.0)
        features = {"legacy": 0, "searchVersion": 1, "enableLogAccessUsingOnlyResourcePermissions": True}
        features |= before.get("features") or {}
        features |= {k: v for k, v in (properties.get("features") or {}).items() if v is not None}
        same_sku = current is not None and (before.get("sku") or {}).get("name") == sku
        out: Document = {
            "customerId": before.get("customerId") or (restored or {}).get("customerId") or str(uuid.uuid4()),
            "sku": {"name": sku, "lastSkuUpdate": before["sku"]["lastSkuUpdate"] if same_sku else now},
            "retentionInDays": days,
            "features": features,
            "workspaceCapping": {
                "dailyQuotaGb": float(quota),
                "quotaNextResetTime": (before.get("workspaceCapping") or {}).get("quotaNextResetTime")
                or self._reset(call),
                "dataIngestionStatus": "RespectQuota",
            },
        }
        for key in ("publicNetworkAccessForIngestion", "publicNetworkAccessForQuery"):
            out[key] = properties.get(key) or before.get(key) or "Enabled"
        for key in ("forceCmkForQuery", "defaultDataCollectionRuleResourceId"):
            if properties.get(key) is not None:
                out[key] = properties[key]
        out["createdDate"] = before.get("createdDate") or now
        out["modifiedDate"] = now
        call.private.setdefault("lower", call.api_version[:10] <= OLD_FORM)
        body: Document = {"properties": out}
        for key in ("tags", "identity"):
            if call.document.get(key) is not None:
                body[key] = call.document[key]
        return body

    @staticmethod
    def _reset(call: Call) -> str:
        tomorrow = call.arm.services.clock.now() + dt.timedelta(days=1)
        return tomorrow.replace(hour=0, minute=0, second=0, microsecond=0).strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"

    def _take_deleted(self, call: Call) -> Document | None:
        """A workspace made anew in its old place within the recovery time is the old one, with its id and data."""
        store = call.arm.services.store
        record = store.get(DELETED, call.id.key)
        if record is None:
            return None
        kept: Document = orjson.loads(record.value)
        if expired(call.arm, kept):
            store.delete(DELETED, call.id.key)
            return None
        location = call.arm.facts.location(str(call.document.get("location")))
        if kept["body"]["location"] != location:
            raise _refusal(
                "Conflict",
                f"A workspace named '{call.id.name}' was deleted in location '{kept['body']['location']}' and can still be "
                "recovered there; it cannot be created in another location.",
                409,
            )
        store.delete(DELETED, call.id.key)
        found: Document = kept["body"]["properties"]
        return found

    def present(self, call: Call, stored: Stored) -> Document:
        old = call.api_version[:10] <= OLD_FORM
        properties = dict(stored.properties)
        sku, capping = dict(properties["sku"]), dict(properties["workspaceCapping"])
        if old:
            properties = {"source": "Azure"} | properties
            sku = {
                "name": sku["name"].lower(),
                "maxCapacityReservationLevel": 3000,
                "lastSkuUpdate": rfc1123(sku["lastSkuUpdate"]),
            }
            capping["quotaNextResetTime"] = rfc1123(capping["quotaNextResetTime"])
            for key in ("createdDate", "modifiedDate"):
                properties[key] = rfc1123(properties[key])
        properties |= {"sku": sku, "workspaceCapping": capping}
        body = {"properties": properties} | {k: v for k, v in stored.body.items() if k != "properties"}
        if old:
            id_ = stored.resource_id
            body["id"] = (
                f"/subscriptions/{id_.subscription}/resourcegroups/{id_.group}/providers/microsoft.operationalinsights/"
                f"workspaces/{id_.name}"
            )
        else:
            body["etag"] = f'"{stored.etag}"'
        return body

    async def put(self, call: Call) -> Answer:
        answer = await super().put(call)
        if answer.status == 201 and call.api_version[:10] > OLD_FORM:
            running = call.arm.operations.of(str(call.id))
            answer.headers["Location"] = call.url(call.path, call.query | {"t": running[0].id if running else ""})
            answer.headers |= polling.delay(call.arm, 5)
        return answer

    async def get(self, call: Call) -> Answer:
        """GET; one that follows the Location of a PUT is 202 until the workspace is ready, or pollers stop too soon."""
        if (token := call.query.get("t")) and (operation := call.arm.operations.get(token)) and operation.running:
            return Answer(202, None, {"Location": call.full_url, **polling.delay(call.arm, 5)})
        return await super().get(call)

    async def delete(self, call: Call) -> Answer:
        force = call.query.get("force", "").lower() == "true"
        current = call.current
        if current is not None:
            await self.check_delete(call, current)
            self._forget(call.arm, current, force)
            call.arm.resources.delete(current.id)
            return Answer(200)
        if force and call.arm.services.store.get(DELETED, call.id.key):
            call.arm.services.store.delete(DELETED, call.id.key)
            return Answer(200)
        return Answer(204)

    async def remove(self, arm: Arm, stored: Stored) -> None:
        self._forget(arm, stored, False)

    @staticmethod
    def _forget(arm: Arm, stored: Stored, force: bool) -> None:
        if force:
            provider = arm.provider(OperationalInsights.namespace)
            if isinstance(provider, OperationalInsights):
                provider.ingestion(arm).rows.forget(stored.properties["customerId"])
        else:
            value = orjson.dumps({"body": stored.body, "deleted": timestamp(arm.services.clock)})
            arm.services.store.put(DELETED, stored.id.lower(), value)

    @action("query")
    async def query(self, call: Call, stored: Stored | None) -> Answer:
        """The query API as Resource Manager hosts it; the answer is the same."""
        from azsandbox.loganalytics.api.errors import ApiError
        from azsandbox.loganalytics.api.query import Query

        assert stored is not None
        try:
            query = Query(call.arm, call.identity, call.body, call.headers.get("prefer", ""))
            return Answer(200, await query.on_workspaces(stored.properties["customerId"]))
        except ApiError as error:
            return Answer(error.status, error.body)

    @action("sharedKeys")
    async def shared_keys(self, call: Call, stored: Stored | None) -> Answer:
        """The two keys, in base64; the same at each call."""
        assert stored is not None
        return Answer(200, keys(stored))


def keys(stored: Stored) -> Document:
    """A workspace's keys: 64 bytes each, derived from its customer id (they open nothing)."""
    customer = stored.properties["customerId"]
    made = [base64.b64encode(hashlib.sha512(f"{customer}/{n}".encode()).digest()).decode() for n in (1, 2)]
    return {"primarySharedKey": made[0], "secondarySharedKey": made[1]}


class SharedKeys(ResourceType):
    """POST …/sharedKeys, which Azure lists as a type."""

    name = "workspaces/sharedKeys"
    stored = False

    async def post_collection(self, call: Call) -> Answer:
        assert call.target is not None
        workspace = call.arm.resources.get(call.target.owner)
        if workspace is None:
            name = call.target.names[-1]
            raise errors.resource_not_found("Microsoft.OperationalInsights/workspaces", (name,), call.group)
        return Answer(200, keys(workspace))


class DeletedWorkspaces(ResourceType):
    """Workspaces that were deleted and can be recovered, of a subscription or a resource group."""

    name = "deletedWorkspaces"
    stored = False

    async def list(self, call: Call) -> Answer:
        assert call.target is not None
        prefix = call.target.scope.lower() + "/"
        records = call.arm.services.store.list(DELETED, prefix)
        found = [kept["body"] for r in records if not expired(call.arm, kept := orjson.loads(r.value))]
        return call.page(found)


def expired(arm: Arm, kept: dict[str, Any]) -> bool:
    """Whether the time for recovery is over."""
    return bool(arm.services.clock.now() > when(kept["deleted"]) + dt.timedelta(days=KEPT_DAYS))


def rfc1123(text: str) -> str:
    """ "Wed, 01 Jan 2025 00:00:00 GMT"."""
    return format_datetime(when(text), usegmt=True)
