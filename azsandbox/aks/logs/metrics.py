"""Platform metrics of managed clusters that diagnostic settings export, from what metrics-server says of the nodes."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from azsandbox.aks.facts import read
from azsandbox.controllers.client import path
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.quantity import Quantity
from azsandbox.loganalytics.rows import Row

if TYPE_CHECKING:
    from azsandbox.aks.logs.control_plane import ControlPlaneLogs

PERIOD = 60.0
"""Seconds of Azure's time between two values: their time grain is PT1M."""

LEAST = 5.0
"""Seconds of this machine that pass between two values at least."""


async def measure(logs: ControlPlaneLogs) -> None:
    """Writes one value of each metric, if a setting wants them."""
    destinations = logs.routes.get("AllMetrics", ())
    if not destinations:
        return
    client = logs.cluster.client.named("azure-monitor")
    try:
        used = await client.list(path("metrics.k8s.io/v1beta1", "nodes"))
        nodes = {n["metadata"]["name"]: n for n in await client.list(path("v1", "nodes"))}
    except StatusError:
        return  # no metrics-server yet
    values: dict[str, list[float]] = {}
    for item in used:
        node = nodes.get(item["metadata"]["name"])
        if node is not None:
            for name, value in _of_node(item["usage"], node["status"].get("allocatable") or {}).items():
                values.setdefault(name, []).append(value)
    moment = logs.arm.services.clock.now()
    units = read("control-plane-logs")["metrics"]
    for name, found in values.items():
        made = logs.records.metric(name, units[name], found, moment)
        for to in destinations:
            logs.ingestion.put(to.workspace, functools.partial(_same, made))


def _same(made: tuple[str, Row]) -> tuple[str, Row]:
    return made


def _of_node(usage: dict[str, str], allocatable: dict[str, str]) -> dict[str, float]:
    cpu, memory = _number(usage.get("cpu")), _number(usage.get("memory"))
    found = {"node_cpu_usage_millicores": cpu * 1000, "node_memory_working_set_bytes": memory}
    if whole := _number(allocatable.get("cpu")):
        found["node_cpu_usage_percentage"] = 100 * cpu / whole
    if whole := _number(allocatable.get("memory")):
        found["node_memory_working_set_percentage"] = 100 * memory / whole
    return found


def _number(text: Any) -> float:
    return Quantity.parse(str(text)).milli / 1000 if text else 0.0
