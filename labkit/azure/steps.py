"""The steps in their order, each with the lesson that teaches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from labkit.azure import (
    access,
    audit_logs,
    cluster,
    defender,
    gitops,
    key_vault,
    network,
    node_pools,
    policy,
    registry,
    resource_group,
    workload_identity,
    workspace,
)
from labkit.azure.clients import Clients
from labkit.errors import LessonError
from labkit.settings import Settings


class Making(Protocol):
    """What a module of a step offers."""

    def exists(self, clients: Clients, settings: Settings) -> bool:
        """True if the step is done."""

    def ensure(self, clients: Clients, settings: Settings, wait: Any) -> None:
        """Do what of the step is not done."""


@dataclass(frozen=True)
class Step:
    """A step: the lesson that teaches it, what it makes, and the module that can make it.

    `aside` is a step that no later lesson stands on, made for its own lesson alone: it costs by the
    subscription, takes something away, or decides what others may do.
    """

    lesson: str
    title: str
    module: Making
    aside: bool = False


STEPS = (
    Step("11", "resource group, providers and features", resource_group),
    Step("11", "network and subnets", network),
    Step("11", "log workspace", workspace),
    Step("12", "cluster", cluster),
    Step("13", "node pools", node_pools),
    Step("21", "control plane logs", audit_logs, aside=True),
    Step("22", "roles for groups, and local accounts off", access, aside=True),
    Step("23", "container registry", registry),
    Step("23", "Defender for Containers", defender, aside=True),
    Step("24", "policy add-on, and three policies", policy, aside=True),
    Step("31", "Flux, and the repository that it follows", gitops),
    Step("41", "key vault", key_vault),
    Step("41", "workload identity, and pods that use it", workload_identity),
)
LESSONS = tuple(dict.fromkeys(step.lesson for step in STEPS))


def up_to(lesson: str) -> tuple[Step, ...]:
    """The steps of `lesson` and of those before it. Raises LessonError for a lesson that makes nothing."""
    if lesson not in LESSONS:
        raise LessonError(f"lesson {lesson!r} makes nothing; those that do are {', '.join(LESSONS)}", "labkit up 12")
    return tuple(step for step in STEPS if step.lesson == lesson or (step.lesson < lesson and not step.aside))


def missing(lesson: str, clients: Clients, settings: Settings) -> tuple[Step, ...]:
    """The steps up to `lesson` that are not done; what comes after a missing one is not asked for."""
    steps = up_to(lesson)
    for index, step in enumerate(steps):
        if not step.module.exists(clients, settings):
            return steps[index:]
    return ()


def make(lesson: str, clients: Clients, settings: Settings, wait: Any) -> None:
    """Do the steps up to `lesson` that are not done."""
    for step in up_to(lesson):
        step.module.ensure(clients, settings, wait)
