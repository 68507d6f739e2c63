"""What the types of Microsoft.KubernetesConfiguration have in common: the cluster, operations, headers, times."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from azsandbox.arm import errors, ids
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.facts import read
from azsandbox.arm.operations import FINAL, Operation, Style, Work
from azsandbox.arm.resource_type import ResourceType
from azsandbox.arm.resources import Document, Stored

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

CLUSTERS = "Microsoft.ContainerService/managedClusters"
RUNNING = {"create": "Creating", "update": "Updating", "delete": "Deleting"}


def written(id_: str) -> str:
    """An id as it stands in the addresses of operations: the cluster's type is written ManagedClusters there."""
    return id_.replace("/Microsoft.ContainerService/managedClusters/", "/Microsoft.ContainerService/ManagedClusters/")


def status(operation: Operation) -> Document:
    """id, name, status: a running one says Creating, Updating or Deleting, a failed one has its `error`."""
    found = operation.status if operation.status in FINAL else RUNNING.get(operation.kind, operation.status)
    id_ = f"{written(operation.resource)}/operations/{operation.id}"
    out: Document = {"id": id_, "name": operation.id, "status": found}
    if operation.error is not None:
        out["error"] = operation.error
    return out


class _Style(Style):
    """Operations lie below the resource that they are about; Location names the resource itself."""

    def paths(self, operation: Operation) -> dict[str, str]:
        found = {"Azure-AsyncOperation": f"{written(operation.resource)}/operations/{operation.id}"}
        return found | ({"Location": written(operation.resource)} if operation.method == "PUT" else {})


class ClusterConfiguration(ResourceType):
    """A type that sits on a managed cluster."""

    extension = True
    style = _Style(body=status, retry_after=10)
    patch_merges = True
    noun = ""  # what people call it
    missing_text = ""  # of the provider's own 404; may hold {name}
    removal_rank = 5

    def cluster(self, call: Call) -> Stored:
        """The managed cluster that is asked about. Raises ResourceNotFound, NotSupportedInSandbox."""
        assert call.target is not None
        try:
            id_ = ids.of(call.target.scope)
        except ValueError:
            raise errors.not_supported(f"{self.full_name} on '{call.target.scope}'") from None
        if id_.type.lower() != CLUSTERS.lower():
            raise errors.not_supported(f"{self.full_name} on {id_.type}; they are there on {CLUSTERS}")
        stored = call.arm.resources.get(id_)
        if stored is None:
            raise errors.resource_not_found(CLUSTERS, id_.names, id_.group)
        return stored

    def headers(self, call: Call) -> dict[str, str]:
        return {"api-supported-versions": ", ".join(read(FACTS)["supportedVersions"][self.name])}

    def seconds(self, call: Call, kind: str, current: Stored | None) -> float:
        found: float = read(FACTS)["seconds"][self.name][kind]
        return found

    def not_found(self, call: Call) -> errors.ArmError:
        self.cluster(call)
        return errors.ArmError(404, "ResourceNotFound", self.missing_text.format(name=call.id.name))

    def present(self, call: Call, stored: Stored) -> Document:
        return stored.body | {"systemData": _system_data(stored)}

    async def list(self, call: Call) -> Answer:
        self.cluster(call)
        answer = await super().list(call)
        answer.body.setdefault("nextLink", None)
        return answer

    async def write(self, call: Call) -> Answer:
        """A change replaces one that is under way; nothing changes what is being deleted."""
        current = call.current
        for operation in call.arm.operations.of(current.id) if current else ():
            if operation.kind == "delete":
                message = f"The {self.noun} '{call.id.name}' is being deleted. Wait for the deletion to end."
                raise errors.ArmError(409, "Conflict", message)
        return await super().write(call)

    def written(self, call: Call, stored: Stored) -> None:
        self._supersede(call, stored)
        call.arm.resources.put(stored)

    async def check_delete(self, call: Call, current: Stored) -> None:
        self._supersede(call, current)

    def _supersede(self, call: Call, stored: Stored) -> None:
        for operation in call.arm.operations.of(stored.id):
            if operation.kind != "delete":
                call.arm.operations.cancel(operation)

    async def patch(self, call: Call) -> Answer:
        answer = await super().patch(call)
        answer.status = 202
        return answer

    async def delete(self, call: Call) -> Answer:
        """DELETE; with forceDelete=true the resource goes at once and what is in the cluster stays, as Azure has it."""
        self.cluster(call)
        current = call.current
        if current is None or call.query.get("forcedelete", "").lower() != "true":
            return await super().delete(call)
        for operation in call.arm.operations.of(current.id):
            call.arm.operations.cancel(operation)
        call.arm.resources.delete(current.id)
        return Answer(200, _FORCED)

    def ended(self, work: Work) -> None:
        super().ended(work)
        stored = work.resource
        if stored is not None:
            self.tell(stored, work.operation.error)
            work.arm.resources.put(stored)

    def tell(self, stored: Stored, error: Document | None) -> None:
        """Writes what the last operation failed of into the resource, or that it did not."""


FACTS = "kubernetes-configuration.json"
_FORCED: Document = {  # azure-cli-extensions recording test_k8s_extension
    "content": None,
    "statusCode": 200,
    "headers": [],
    "version": "1.1",
    "reasonPhrase": "OK",
    "trailingHeaders": [],
    "requestMessage": None,
    "isSuccessStatusCode": True,
}


def _system_data(stored: Stored) -> Document:
    """Who and when; the service does not tell who."""
    return {
        "createdBy": None,
        "createdByType": None,
        "createdAt": offset(stored.created),
        "lastModifiedBy": None,
        "lastModifiedByType": None,
        "lastModifiedAt": offset(stored.private.get("modified") or stored.changed),
    }


def offset(timestamp: str) -> str:
    """A time as this service writes it: seven decimals and an offset instead of Z."""
    return timestamp.removesuffix("Z") + "+00:00"


def settings(value: Any, where: str) -> dict[str, str]:
    """A map of settings, whose values must be strings; plain values are taken as their text, as the built-in policy of
    the Flux extension needs it. Raises InvalidRequestContent."""
    found = value or {}
    if isinstance(found, dict):
        found = {k: json.dumps(v) if isinstance(v, bool | int | float) else v for k, v in found.items()}
    if not isinstance(found, dict) or any(not isinstance(v, str) for v in found.values()):
        message = (
            "The request content was invalid and could not be deserialized: "
            f"'properties.{where} must be an object whose values are strings.'."
        )
        raise errors.invalid_content(message)
    return dict(found)


def check_known(sent: Document, known: tuple[str, ...], where: str) -> None:
    """Raises for a property that the type has not: nothing that is sent is passed over."""
    unknown = [key for key in sent if key not in known]
    if unknown:
        message = (
            "The request content was invalid and could not be deserialized: "
            f"'Could not find member '{unknown[0]}' on object of type '{where}'.'."
        )
        raise errors.invalid_content(message)


def cluster_of(arm: Arm, id_: str) -> Stored | None:
    """The managed cluster that a resource of this provider sits on."""
    return arm.resources.get(ids.of(id_).scope)
