"""Diagnostic settings on any resource, and the log and metric categories that a type has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azsandbox.arm import errors, ids
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.facts import read
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

LIMIT = 5  # diagnostic settings a resource
DESTINATIONS = ("storageAccountId", "serviceBusRuleId", "workspaceId", "eventHubAuthorizationRuleId", "eventHubName")


def categories(type_: str) -> dict[str, list[str]] | None:
    """The categories of a resource type: {"Logs": […], "Metrics": […]}; None where it has none."""
    found: dict[str, dict[str, list[str]]] = read("diagnostic-categories.json")["types"]
    return next((v for k, v in found.items() if k.lower() == type_.lower()), None)


def groups_of(category: str) -> list[str]:
    """The category groups that a category of logs is in."""
    return ["audit", "allLogs"] if category.startswith("kube-audit") else ["allLogs"]


def _flag(value: Any) -> bool:
    """A boolean, which templates of built-in policies send as text: "True", "False"."""
    return value.lower() == "true" if isinstance(value, str) else bool(value)


class DiagnosticSettings(ResourceType):
    """Microsoft.Insights/diagnosticSettings: PUT always answers 200, ids are in lower case up to the provider."""

    name = "diagnosticSettings"
    extension = True
    has_state = False
    created_status = 200
    missing_status = 204
    removal_rank = 10

    def _resource(self, call: Call) -> Stored:
        """The resource that the setting is on. Raises ResourceNotFound."""
        assert call.target is not None
        stored = call.arm.resources.get(call.target.scope)
        if stored is None:
            id_ = ids.of(call.target.scope)
            raise errors.resource_not_found(id_.type, id_.names, id_.group)
        return stored

    async def accept(self, call: Call, current: Stored | None) -> Document:
        resource, properties = self._resource(call), call.properties
        others = [s for s in call.arm.resources.children(resource.id, self.full_name) if s.id.lower() != call.id.key]
        if current is None and len(others) >= LIMIT:
            raise errors.ArmError(
                400,
                "BadRequest",
                f"The limit of {LIMIT} diagnostic settings was reached. To create a new setting, delete an existing one.",
            )
        if not any(properties.get(key) for key in (*DESTINATIONS, "marketplacePartnerId")):
            raise errors.ArmError(400, "BadRequest", "At least one data sink needs to be specified.")
        workspace = properties.get("workspaceId")
        if workspace and call.arm.resources.get(workspace) is None:
            raise errors.ArmError(
                404,
                "ResourceNotFound",
                f"The Resource 'Microsoft.OperationalInsights/workspaces/{workspace.rstrip('/').rsplit('/', 1)[-1]}' "
                f"under resource group '{ids.of(workspace).group}' was not found. For more details please go to "
                "https://aka.ms/ARMResourceNotFoundFix",
            )
        for key in DESTINATIONS[:2] + DESTINATIONS[3:4]:
            if properties.get(key):
                raise errors.not_supported(f"the destination '{key}' of diagnostic settings")
        known = categories(resource.type)
        if known is None:
            raise errors.ArmError(
                400,
                "ResourceTypeNotSupported",
                f"The resource type '{resource.type.lower()}' does not support diagnostic settings.",
            )
        logs = [self._entry(one, known["Logs"], True) for one in properties.get("logs") or []]
        metrics = [self._entry(one, known["Metrics"], False) for one in properties.get("metrics") or []]
        self._check_sinks(call.arm, workspace, logs + metrics, others)
        out: Document = {key: properties.get(key) for key in DESTINATIONS}
        out |= {"metrics": metrics, "logs": logs}
        out["logAnalyticsDestinationType"] = properties.get("logAnalyticsDestinationType")
        return {"location": None, "kind": None, "tags": None, "properties": out, "identity": None}

    @staticmethod
    def _entry(one: dict[str, Any], known: list[str], log: bool) -> Document:
        category, group = one.get("category"), one.get("categoryGroup")
        if log and group:
            if str(group).lower() not in ("alllogs", "audit"):
                raise errors.ArmError(400, "BadRequest", f"Category group '{group}' is not supported.")
        elif category not in known:
            raise errors.ArmError(400, "BadRequest", f"Category '{category}' is not supported.")
        out: Document = {"category": category}
        if log:
            out["categoryGroup"] = group
        else:
            out["timeGrain"] = one.get("timeGrain")
        out["enabled"] = _flag(one.get("enabled"))
        retention = one.get("retentionPolicy") or {}
        out["retentionPolicy"] = {"enabled": _flag(retention.get("enabled")), "days": int(retention.get("days") or 0)}
        return out

    @staticmethod
    def _check_sinks(arm: Arm, workspace: str | None, entries: list[Document], others: list[Stored]) -> None:
        """One category can go to one workspace by one setting only."""
        if not workspace:
            return
        wanted = {e["category"] or e.get("categoryGroup") for e in entries if e["enabled"]}
        for other in others:
            held = other.properties
            if not held.get("workspaceId") or not ids.same(held["workspaceId"], workspace):
                continue
            for entry in held["logs"] + held["metrics"]:
                category = entry["category"] or entry.get("categoryGroup")
                if entry["enabled"] and category in wanted:
                    raise errors.ArmError(
                        409,
                        "Conflict",
                        f"Data sink '{workspace}' is already used in diagnostic setting '{other.name}' for category "
                        f"'{category}'. Data sinks can't be reused in different settings on the same category for the same resource.",
                    )

    def present(self, call: Call, stored: Stored) -> Document:
        return stored.body | {"id": lowered(stored), "type": "Microsoft.Insights/diagnosticSettings"}

    def not_found(self, call: Call) -> errors.ArmError:
        self._resource(call)
        return errors.ArmError(
            404,
            "ResourceNotFound",
            f"The diagnostic setting '{call.id.name}' doesn't exist.",
        )


def lowered(stored: Stored) -> str:
    """The id as Microsoft.Insights writes it: lower case up to its provider, names of groups and resources kept."""
    id_ = stored.resource_id
    parts = ids.segments(id_.scope)
    keep = {1, 3}  # the subscription's and the group's name
    at = (
        len(parts) - 1 - [p.lower() for p in parts][::-1].index("providers")
        if "providers" in [p.lower() for p in parts]
        else len(parts)
    )
    keep |= set(range(at + 3, len(parts), 2))
    text = "".join("/" + (part if n in keep else part.lower()) for n, part in enumerate(parts))
    return f"{text}/providers/microsoft.insights/diagnosticSettings/{id_.name}"


class Categories(ResourceType):
    """Microsoft.Insights/diagnosticSettingsCategories."""

    name = "diagnosticSettingsCategories"
    extension = True
    stored = False

    def _all(self, call: Call) -> list[Document]:
        assert call.target is not None
        scope = call.target.scope
        resource = call.arm.resources.get(scope)
        if resource is None:
            id_ = ids.of(scope)
            raise errors.resource_not_found(id_.type, id_.names, id_.group)
        known = categories(resource.type)
        if known is None:
            raise errors.ArmError(
                400,
                "ResourceTypeNotSupported",
                f"The resource type '{resource.type.lower()}' does not support diagnostic settings.",
            )
        out: list[Document] = []
        for kind in ("Metrics", "Logs"):
            for name in known[kind]:
                groups = groups_of(name) if kind == "Logs" else []
                out.append(
                    {
                        "id": f"{resource.id}/providers/microsoft.insights/diagnosticSettingsCategories/{name}",
                        "type": "microsoft.insights/diagnosticSettingsCategories",
                        "name": name,
                        "properties": {"categoryType": kind} | ({"categoryGroups": groups} if groups else {}),
                    }
                )
        return out

    async def list(self, call: Call) -> Answer:
        return call.page(self._all(call))

    async def get(self, call: Call) -> Answer:
        found = next((c for c in self._all(call) if c["name"].lower() == call.id.name.lower()), None)
        if found is None:
            raise errors.ArmError(404, "ResourceNotFound", f"The category '{call.id.name}' is not found.")
        return Answer(200, found)
