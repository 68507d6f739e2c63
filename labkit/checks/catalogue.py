"""All checks: the texts of data/checks.toml joined with the functions that judge."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import import_module, resources

from labkit.checks.core import Check
from labkit.checks.registry import ENTRIES
from labkit.errors import LabError

PARTS = (
    "cluster_state",
    "cluster_upgrades",
    "cluster_access",
    "cluster_network",
    "cluster_pools",
    "cluster_nodes",
    "governance_logs",
    "governance_access",
    "governance_registry",
    "governance_policy",
    "gitops_flux",
    "gitops_delivery",
    "gitops_repository",
    "identity_cluster",
    "identity_workloads",
    "identity_roles",
    "workload_pods",
    "workload_security",
    "workload_network",
    "workload_resilience",
)
"""The modules that judge, in labkit.checks."""


@cache
def checks() -> dict[str, Check]:
    """Every check by its id, in the catalogue's order."""
    for part in PARTS:
        import_module(f"labkit.checks.{part}")
    text = resources.files("labkit").joinpath("data/checks.toml").read_text(encoding="utf-8")
    found = {}
    for check_id, texts in tomllib.loads(text)["checks"].items():
        entry = ENTRIES[check_id]
        found[check_id] = Check(
            id=check_id,
            title=texts["title"],
            severity=texts["severity"],
            era=texts["era"],
            lesson=texts["lesson"],
            why=texts["why"],
            next=texts["next"],
            hints=tuple(texts["hints"]),
            references=tuple(texts["references"]),
            reads=entry.reads,
            also=entry.also,
            judge=entry.judge,
        )
    return found


def select(ids: Iterable[str] = (), *, lesson: str = "") -> tuple[Check, ...]:
    """The checks named by `ids` (an id, or a part such as "cluster"), or those of `lesson`; all without either.

    Raises LabError for an id that no check has.
    """
    known = checks()
    if lesson:
        chosen = tuple(check for check in known.values() if check.lesson == lesson)
        if not chosen:
            lessons = ", ".join(sorted({check.lesson for check in known.values()}))
            raise LabError(
                f"no check belongs to lesson {lesson!r}; lessons with checks are {lessons}", "labkit check --list"
            )
        return chosen
    wanted = tuple(ids)
    if not wanted:
        return tuple(known.values())
    found: dict[str, Check] = {}
    for name in wanted:
        matching = [check for check in known.values() if name in (check.id, check.part)]
        if not matching:
            raise LabError(f"no check is called {name!r}", "labkit check --list")
        found.update({check.id: check for check in matching})
    return tuple(found.values())


def sources(selected: Iterable[Check]) -> tuple[str, ...]:
    """The sources that the selected checks look at, each once, the cluster first."""
    named = ["cluster"]
    for check in selected:
        named += [*check.reads, *check.also]
    return tuple(dict.fromkeys(named))
