"""The dated facts that checks judge by, read from data once."""

from __future__ import annotations

import tomllib
from datetime import date
from functools import cache
from importlib import resources
from typing import Any


@cache
def _table(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("labkit").joinpath(f"data/{name}.toml").read_text(encoding="utf-8"))


def end_of_life(minor: str, support_plan: str) -> date | None:
    """The day on which AKS stops to support Kubernetes `minor` ("1.35") under `support_plan`; None if not known."""
    entry = _table("kubernetes-versions")["versions"].get(minor)
    if entry is None:
        return None
    found: date = entry["lts" if support_plan.lower() == "akslongtermsupport" else "community"]
    return found


def retirement(feature: str) -> date:
    """The day on which AKS retires `feature` (data/retirements.toml)."""
    found: date = _table("retirements")["features"][feature]
    return found


def system_workloads(feature: str) -> list[tuple[str, str]]:
    """Kind and namespace/name of what AKS runs for `feature` (data/system-workloads.toml)."""
    entry = _table("system-workloads")[feature]
    return [("DaemonSet", name) for name in entry.get("daemonsets", [])] + [
        ("Deployment", name) for name in entry.get("deployments", [])
    ]


def least_replicas() -> dict[str, int]:
    """Fewest available replicas of some system workloads, by namespace/name."""
    return dict(_table("system-workloads")["least"])


def flux() -> dict[str, Any]:
    """Releases of Flux and what they are tested with (data/flux.toml)."""
    return _table("flux")


def roles(use: str) -> tuple[str, ...]:
    """GUIDs of the built-in roles for `use`, for example "kubernetes-admin" (data/roles.toml)."""
    return tuple(_table("roles")["uses"][use])


def role_name(guid: str) -> str:
    """What Azure calls the built-in role `guid`; the GUID itself for another."""
    return str(_table("roles")["names"].get(guid.lower(), guid))


def right_to_read(source: str) -> str:
    """What somebody needs who may not read `source`, in words (data/roles.toml)."""
    table = _table("roles")
    if source in table["asks"]:
        return str(table["asks"][source])
    action = table["data-actions"].get(source)
    if action:
        return (
            f"a role with the data action Microsoft.ContainerService/managedClusters/{action}, which RBAC Reader lacks"
        )
    return "the role Reader on the resource group (for Kubernetes: RBAC Reader on the cluster)"


def policies() -> dict[str, Any]:
    """Policy definitions and initiatives (data/policies.toml)."""
    return _table("policies")


def governance(table: str) -> dict[str, Any]:
    """A table of data/governance.toml: logs, defender or cluster-admins."""
    return dict(_table("governance")[table])


def identity() -> dict[str, Any]:
    """Names and limits of workload identity (data/identity.toml)."""
    return _table("identity")


def workload() -> dict[str, Any]:
    """What the workload checks leave out and judge by (data/workload.toml)."""
    return _table("workload")
