"""What brings a resource into line: the deployment of DeployIfNotExists, the operations of Modify.

Both act in the name of the assignment's identity and with its roles ("Remediate non-compliant resources with Azure
Policy", how remediation access control works): without them they are refused as anybody else is.
"""

from __future__ import annotations

import copy
import hashlib
from typing import TYPE_CHECKING, Any

from azsandbox.arm import errors, ids
from azsandbox.arm.policy import expressions, fields
from azsandbox.arm.policy.conditions import Judge
from azsandbox.arm.policy.enforcement import changes, scope_of
from azsandbox.arm.policy.in_force import Policy
from azsandbox.arm.resources import Document, without

if TYPE_CHECKING:
    from azsandbox.arm.inner_requests import Acting
    from azsandbox.arm.provider import Arm

VERSION = "2021-04-01"  # of the api that the deployments of policies go by
EFFECTS = ("deployifnotexists", "modify")


def identity(arm: Arm, assignment: Document) -> Acting:
    """The managed identity of an assignment. Raises ArmError where it has none."""
    from azsandbox.arm.inner_requests import Acting

    held = assignment.get("identity") or {}
    users = list((held.get("userAssignedIdentities") or {}).values())
    principal = held.get("principalId") or (users[0]["principalId"] if users else "")
    directory = arm.services.entra.directory
    found = directory.get(principal) if principal else None
    if found is None:
        text = f"The policy assignment '{assignment['id']}' has no managed identity, which its remediation needs."
        raise errors.ArmError(400, "ResourceIdentityRequired", text)
    groups = tuple(directory.groups_of(principal))
    return Acting(principal, str(getattr(found, "app_id", "") or principal), "servicePrincipal", groups)


def deployment_name(policy: Policy, resource: Document) -> str:
    """PolicyDeployment_ and a number, the same for the same policy and resource."""
    text = f"{policy.assignment['id']}|{policy.reference}|{resource['id']}".lower()
    return f"PolicyDeployment_{int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], 'big')}"


def deployment(arm: Arm, policy: Policy, resource: Document) -> tuple[str, Document]:
    """Id and body of what DeployIfNotExists deploys for a resource; its template's expressions are left to it."""
    details = policy.rule["then"]["details"]
    scope = scope_of(arm, policy, resource)
    Judge(resource, scope)  # gives field() the resource
    body: Document = details["deployment"]
    properties = {k: v for k, v in body["properties"].items() if k != "template"}
    sent: Document = {
        "properties": {**expressions.resolve(properties, scope), "template": body["properties"]["template"]}
    }
    at = f"/subscriptions/{arm.services.subscription_id}"
    wide = str(expressions.resolve(details.get("deploymentScope"), scope) or "ResourceGroup").lower()
    parts = str(resource["id"]).split("/")
    if wide == "subscription" or len(parts) < 5:
        sent["location"] = expressions.resolve(body.get("location"), scope) or resource.get("location")
    else:
        at = "/".join(parts[:5])
    return f"{at}/providers/Microsoft.Resources/deployments/{deployment_name(policy, resource)}", sent


async def deploy(arm: Arm, policy: Policy, resource: Document) -> str:
    """Deploys for a resource; gives the id of the deployment. Raises ArmError where it fails."""
    from azsandbox.arm import inner_requests

    id_, body = deployment(arm, policy, resource)
    acting = identity(arm, policy.assignment)
    await inner_requests.ended(arm, id_)  # one that is in progress is not disturbed
    await inner_requests.send(arm, acting, "POST", f"{id_}/validate", VERSION, body)
    await inner_requests.send(arm, acting, "PUT", id_, VERSION, body)
    await inner_requests.ended(arm, id_)
    stored = arm.resources.get(id_)
    if stored is not None and stored.state != "Succeeded":
        told = stored.properties.get("error") or {"code": "DeploymentCanceled", "message": "It was canceled."}
        raise errors.ArmError(409, told["code"], told["message"], target=id_, details=told.get("details"))
    return id_


async def modify(arm: Arm, policy: Policy, resource: Document) -> None:
    """Does the operations of Modify to a resource: to its tags by themselves, to more by writing it anew."""
    from azsandbox.arm import inner_requests

    acting = identity(arm, policy.assignment)
    scope = scope_of(arm, policy, resource)
    changed = copy.deepcopy(resource)
    names: list[str] = []
    for name, operation, value in changes(policy, resource, scope):
        names.append(name)
        if operation == "remove":
            fields.drop(name, changed)
        else:
            fields.put(name, changed, value, only_missing=operation == "add")
    id_ = str(resource["id"])
    if all(name.lower().startswith("tags") for name in names):
        body = {"operation": "Replace", "properties": {"tags": changed.get("tags") or {}}}
        await inner_requests.send(
            arm, acting, "PATCH", f"{id_}/providers/Microsoft.Resources/tags/default", VERSION, body
        )
        return
    version = arm.facts.versions(ids.of(id_).type)[0]
    await inner_requests.put(arm, acting, id_, version, without(changed, ("id", "name", "type", "etag", "systemData")))


async def bring_into_line(arm: Arm, policy: Policy, resource: Document) -> str:
    """Does what the effect of a policy does to a resource; gives the id of a deployment, "" without one."""
    if policy.effect.lower() == "deployifnotexists":
        return await deploy(arm, policy, resource)
    await modify(arm, policy, resource)
    return ""


def told(error: Any) -> Document:
    """An error as a remediation tells it of a resource."""
    found: Document = (
        error.error if isinstance(error, errors.ArmError) else {"code": "InternalServerError", "message": str(error)}
    )
    return found
