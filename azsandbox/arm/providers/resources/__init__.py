"""Microsoft.Resources: subscriptions, resource groups, providers, tags and the lists over everything."""

from __future__ import annotations

from azsandbox.arm.provider import Provider
from azsandbox.arm.providers.resources.groups import ResourceGroups
from azsandbox.arm.providers.resources.tags import Tags

__all__ = ["Resources"]


class Resources(Provider):
    """The namespace Microsoft.Resources. Its own addresses, outside /providers/, are in routes.py."""

    namespace = "Microsoft.Resources"

    def __init__(self) -> None:
        super().__init__([ResourceGroups(), Tags()])
