"""Kubernetes versions of AKS: what is offered, what a short or empty version means, what may follow."""

from __future__ import annotations

import re
from typing import Any

from azsandbox.aks import facts

OFFICIAL, LONG_TERM = "KubernetesOfficial", "AKSLongTermSupport"
PATTERN = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def parts(version: str) -> tuple[int, ...]:
    """Comparable form of "1.35" or "1.35.7"."""
    return tuple(int(p) for p in version.removeprefix("v").split("."))


def minor(version: str) -> str:
    """ "1.35" of "1.35.7"."""
    return ".".join(version.split(".")[:2])


def minors() -> list[dict[str, Any]]:
    """The minor versions offered, newest first."""
    found: list[dict[str, Any]] = facts.read("kubernetes-versions")["minors"]
    return found


def row(version: str) -> dict[str, Any] | None:
    """What is known of the minor version of `version`."""
    return next((m for m in minors() if m["version"] == minor(version)), None)


def resolve(version: str, support_plan: str = OFFICIAL) -> tuple[str, str] | None:
    """The version as kept and the full one: "" → ("1.35", "1.35.7"), "1.35.4" → ("1.35.4", "1.35.4").

    None where the region does not offer it under the support plan.
    """
    wanted = (version or facts.read("kubernetes-versions")["default"]).removeprefix("v")
    found = row(wanted) if PATTERN.fullmatch(wanted) else None
    if found is None or support_plan not in found["plans"]:
        return None
    if wanted == found["version"]:
        return wanted, found["patches"][-1]
    return (wanted, wanted) if wanted in found["patches"] else None


def upgrades(current: str, support_plan: str = OFFICIAL) -> list[str]:
    """Full versions that a control plane at `current` may go to: newer patches, and those of the next minor."""
    major, low, *_ = parts(current)
    out = []
    for found in reversed(minors()):
        if support_plan in found["plans"] and parts(found["version"]) in ((major, low), (major, low + 1)):
            out += [p for p in found["patches"] if parts(p) > parts(current)]
    return out


def listing() -> list[dict[str, Any]]:
    """`values` of a location's kubernetesVersions."""
    out = []
    for found in minors():
        plan = found["plans"][0]
        entry: dict[str, Any] = {"version": found["version"], "capabilities": {"supportPlan": list(found["plans"])}}
        if found.get("preview"):
            entry["isPreview"] = True
        if found["version"] == facts.read("kubernetes-versions")["default"]:
            entry["isDefault"] = True
        entry["patchVersions"] = {p: {"upgrades": upgrades(p, plan)} for p in found["patches"]}
        out.append(entry)
    return out


def pool_versions(control_plane: str) -> list[str]:
    """Full versions that a pool may have under a control plane: not newer, at most three minors older."""
    _, high, *_ = parts(control_plane)
    lowest = high - int(facts.read("kubernetes-versions")["poolSkewMinors"])
    return [
        patch
        for found in minors()
        for patch in reversed(found["patches"])
        if parts(patch) <= parts(control_plane) and parts(patch)[1] >= lowest
    ]
