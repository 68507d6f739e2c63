"""managedClusters/maintenanceConfigurations: when AKS may maintain and upgrade; written at once."""

from __future__ import annotations

import re

from azsandbox.arm.call import Call
from azsandbox.arm.providers.containerservice.base import AksType
from azsandbox.arm.providers.containerservice.errors import aks, invalid, missing
from azsandbox.arm.resources import Document, Stored

NAMES = ("default", "aksManagedAutoUpgradeSchedule", "aksManagedNodeOSUpgradeSchedule")
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
SCHEDULES = ("daily", "weekly", "absoluteMonthly", "relativeMonthly")


class MaintenanceConfigurations(AksType):
    """Planned maintenance; PUT answers 200 also when it creates, DELETE 200."""

    name = "managedClusters/maintenanceConfigurations"
    has_state = False
    created_status = 200
    deleted_status = 200

    async def accept(self, call: Call, current: Stored | None) -> Document:
        self.parent_cluster(call)
        name = call.id.name
        if name not in NAMES:
            raise invalid("maintenanceConfigurationName", f"The name must be one of {', '.join(NAMES)}, not {name}.")
        properties = {k: v for k, v in call.properties.items() if v is not None}
        unknown = set(properties) - {"timeInWeek", "notAllowedTime", "maintenanceWindow"}
        if unknown:
            raise invalid(f"properties.{sorted(unknown)[0]}", "This property is not known.")
        window = properties.get("maintenanceWindow")
        if name == "default":
            if window is not None:
                raise aks(
                    400,
                    "InvalidParameter",
                    "The maintenance configuration default takes timeInWeek and notAllowedTime, not maintenanceWindow.",
                    target="properties.maintenanceWindow",
                )
            self._check_week(properties)
        else:
            if window is None:
                raise missing("properties.maintenanceWindow")
            self._check_window(window)
        return {"properties": properties}

    def present(self, call: Call, stored: Stored) -> Document:
        return {k: v for k, v in stored.body.items() if k != "type"} | {
            "type": "Microsoft.ContainerService/managedClusters/maintenanceConfigurations"
        }

    def _check_week(self, properties: Document) -> None:
        for slot in properties.get("timeInWeek") or []:
            if slot.get("day") not in DAYS:
                raise invalid("properties.timeInWeek.day", f"{slot.get('day')} is not a day of the week.")
            for hour in slot.get("hourSlots") or []:
                if not isinstance(hour, int) or not 0 <= hour <= 23:
                    raise invalid("properties.timeInWeek.hourSlots", f"{hour} is not an hour from 0 to 23.")

    def _check_window(self, window: Document) -> None:
        where = "properties.maintenanceWindow"
        schedule = {k: v for k, v in (window.get("schedule") or {}).items() if v is not None}
        if len(schedule) != 1 or next(iter(schedule)) not in SCHEDULES:
            raise invalid(f"{where}.schedule", f"Exactly one of {', '.join(SCHEDULES)} must be set.")
        hours = window.get("durationHours")
        if not isinstance(hours, int) or not 4 <= hours <= 24:
            raise invalid(f"{where}.durationHours", "durationHours must be between 4 and 24.")
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", str(window.get("startTime") or "")):
            raise invalid(f"{where}.startTime", "startTime must be of the form HH:mm.")
        offset = window.get("utcOffset")
        if offset and not re.fullmatch(r"[+-]\d\d:\d\d", str(offset)):
            raise invalid(f"{where}.utcOffset", "utcOffset must be of the form +/-HH:mm.")
        day = next(iter(schedule.values())).get("dayOfWeek")
        if day is not None and day not in DAYS:
            raise invalid(f"{where}.schedule.dayOfWeek", f"{day} is not a day of the week.")
