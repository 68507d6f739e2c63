"""Microsoft.Resources: subscriptions, resource groups, providers, tags, deployments and the lists over everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azsandbox.arm.provider import Provider
from azsandbox.arm.providers.resources.groups import ResourceGroups
from azsandbox.arm.providers.resources.tags import Tags

if TYPE_CHECKING:
    from azsandbox.arm.resource_type import ResourceType

__all__ = ["Resources"]

LATE = ("deployments", "deployments/operations")


class Resources(Provider):
    """The namespace Microsoft.Resources. Its own addresses, outside /providers/, are in routes.py."""

    namespace = "Microsoft.Resources"

    def __init__(self) -> None:
        super().__init__([ResourceGroups(), Tags()])
        self.late(_deployments, *LATE)


def _deployments() -> list[ResourceType]:
    from azsandbox.arm.providers.resources.deployments import DeploymentOperations, Deployments

    return [Deployments(), DeploymentOperations()]
