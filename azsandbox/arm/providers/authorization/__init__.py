"""Microsoft.Authorization: role definitions, role assignments, permissions, locks, and policy."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from azsandbox.arm import ids
from azsandbox.arm.access import ASSIGNMENTS
from azsandbox.arm.provider import Provider
from azsandbox.arm.providers.authorization.assignments import RoleAssignments, assignment
from azsandbox.arm.providers.authorization.definitions import RoleDefinitions
from azsandbox.arm.providers.authorization.locks import Locks
from azsandbox.arm.providers.authorization.permissions import Permissions

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm
    from azsandbox.arm.resource_type import ResourceType

__all__ = ["Authorization"]

POLICY = (
    "policyDefinitions",
    "policyDefinitions/versions",
    "policySetDefinitions",
    "policySetDefinitions/versions",
    "policyAssignments",
    "policyExemptions",
)
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"


class Authorization(Provider):
    """The namespace Microsoft.Authorization."""

    namespace = "Microsoft.Authorization"

    def __init__(self) -> None:
        super().__init__([RoleAssignments(), RoleDefinitions(), Permissions(), Locks()])
        self.late(_policy, *POLICY)
        self.late(_deny, "denyAssignments")

    def prepare(self, arm: Arm) -> None:
        """Makes the sandbox's owners Owner of the subscription."""
        scope = ids.subscription(arm.services.subscription_id)
        held = {s.body["properties"]["principalId"] for s in arm.resources.below(scope, ASSIGNMENTS)}
        for owner in arm.services.owner_ids:
            if owner not in held:
                name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{scope}/{owner}"))
                stored = assignment(arm, scope.extension(self.namespace, "roleAssignments", name), OWNER, owner, "User")
                arm.resources.put(stored)


def _deny() -> list[ResourceType]:
    from azsandbox.arm.providers.authorization.deny_assignments import DenyAssignments

    return [DenyAssignments()]


def _policy() -> list[ResourceType]:
    from azsandbox.arm.providers.authorization.policy_assignments import PolicyAssignments
    from azsandbox.arm.providers.authorization.policy_definitions import (
        PolicyDefinitions,
        PolicyDefinitionVersions,
        PolicySetDefinitions,
        PolicySetDefinitionVersions,
    )
    from azsandbox.arm.providers.authorization.policy_exemptions import PolicyExemptions

    return [
        PolicyDefinitions(),
        PolicyDefinitionVersions(),
        PolicySetDefinitions(),
        PolicySetDefinitionVersions(),
        PolicyAssignments(),
        PolicyExemptions(),
    ]
