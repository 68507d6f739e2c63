"""What the types of Microsoft.ContainerService have in common: operations, casing, and one change at a time."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from azsandbox.arm.call import Answer, Call
from azsandbox.arm.operations import Operation, Style, timed
from azsandbox.arm.provider import NameRule
from azsandbox.arm.providers.containerservice.errors import invalid, not_allowed
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored

CLUSTERS = "Microsoft.ContainerService/managedClusters"
POOLS = f"{CLUSTERS}/agentPools"
_LOCATION = "/subscriptions/{subscription}/providers/Microsoft.ContainerService/locations/{location}"
STYLE = Style(
    status_path=_LOCATION + "/operations/{id}",
    result_path=_LOCATION + "/operationresults/{id}",
    body=timed,
    done=204,
    version="2016-03-30",
    retry_after=10,
)
CREDENTIAL_STATES = {
    "create": "Creating",
    "update": "Updating",
    "delete": "Deleting",
    "stop": "Stopping",
    "start": "Starting",
    "rotateClusterCertificates": "RotatingClusterCertificates",
    "upgradeNodeImageVersion": "UpgradingNodeImageVersion",
    "abort": "Canceling",
}


@dataclasses.dataclass(frozen=True)
class AksNames(NameRule):
    """A name rule whose refusal has AKS's form."""

    parameter: str = "resourceName"
    details: str = ""

    def check(self, name: str) -> None:
        if not re.fullmatch(self.pattern, name):
            raise invalid(self.parameter, self.details.replace("{name}", name))


class AksType(ResourceType):
    """A type of AKS."""

    style = STYLE

    def aks_id(self, id_: str) -> str:
        """An id as AKS writes it: `resourcegroups` in lower case."""
        return id_.replace("/resourceGroups/", "/resourcegroups/", 1)

    def parent_cluster(self, call: Call) -> Stored:
        """The cluster that the path lies in. Raises ParentResourceNotFound."""
        parent = call.id.parent if not call.target or not call.target.is_collection else call.target.owner
        while parent is not None and len(getattr(parent, "names", ())) > 1:
            parent = parent.parent  # type: ignore[union-attr]
        assert parent is not None
        stored = call.arm.resources.get(parent)
        if stored is None:
            raise self.parent_missing(call, parent)  # type: ignore[arg-type]
        return stored

    def accepted(self, call: Call, operation: Operation, body: Any = None) -> Answer:
        """202 with both headers of an operation."""
        return Answer(202, body, self.operation_headers(call, operation))


def state_of(operation: Operation, stored: Stored | None) -> str:
    """What AKS calls the operation that runs: the state of the resource."""
    return (stored.state if stored else None) or CREDENTIAL_STATES.get(operation.kind, "Updating")


def check_idle(call: Call, cluster: Stored, pool: str = "") -> None:
    """Raises 409 while another operation runs on the cluster, or on the pool that is to be changed; a change of the
    cluster waits for all of its pools."""
    arm = call.arm
    for operation in arm.operations.below(cluster.id):
        stored = arm.resources.get(operation.resource)
        if operation.type.lower() == CLUSTERS.lower():
            raise not_allowed(
                f"Operation is not allowed: Another operation ({state_of(operation, stored)}) is in progress, please "
                "wait for it to finish before starting a new operation. See https://aka.ms/aks-pending-operation for "
                "more details."
            )
        if operation.type.lower() != POOLS.lower():
            continue
        name = operation.resource.rsplit("/", 1)[-1]
        if not pool:
            raise not_allowed(
                f"Managed Cluster operation is not allowed: Another operation ({state_of(operation, stored)}) is in "
                f"progress on agent pool ({name}), please wait for it to finish before starting a new operation."
            )
        if name.lower() == pool.lower():
            raise not_allowed(
                f"Operation is not allowed: Another agentpool operation ({state_of(operation, stored)}) is in progress, "
                "please wait for it to finish before starting a new operation. See "
                "https://aka.ms/aks-pending-operation for more details."
            )


def check_running(cluster: Stored) -> None:
    """Raises 409 for a change of a stopped cluster."""
    if (cluster.properties.get("powerState") or {}).get("code") == "Stopped":
        raise not_allowed(
            f"managed cluster is in Stopped state, operation is not allowed. Please start the managed cluster "
            f"{cluster.name} first."
        )


def known(section: Document, sent: Document, where: str, refuse: Any) -> Document:
    """The properties of a body that are kept. Refused ones raise; unknown ones raise AKS's decoder error."""
    out: Document = {}
    for key, value in sent.items():
        if key in section["readOnly"]:
            continue
        if key in section["refused"]:
            if value not in (None, False, {}, [], ""):
                raise refuse(section["refused"][key])
            continue
        if key not in section["kept"]:
            raise refuse(f"the property '{where}.{key}'")
        if value is not None:
            out[key] = value
    return out
