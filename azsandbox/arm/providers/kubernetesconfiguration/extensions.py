"""Microsoft.KubernetesConfiguration/extensions: what Azure installs into a managed cluster as a Helm release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azsandbox.aks.gitops import extension, refusals
from azsandbox.arm import errors
from azsandbox.arm.call import Call
from azsandbox.arm.operations import Work
from azsandbox.arm.provider import NameRule
from azsandbox.arm.providers.kubernetesconfiguration import extension_body
from azsandbox.arm.providers.kubernetesconfiguration.base import ClusterConfiguration, cluster_of, settings
from azsandbox.arm.resources import Document, Stored, timestamp

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

TYPE = "Microsoft.KubernetesConfiguration/extensions"
IDENTITIES = ("SystemAssigned", "UserAssigned", "None")


class Extensions(ClusterConfiguration):
    """Extensions. microsoft.flux has its effect in the cluster; of others the operation fails by name."""

    name = "extensions"
    noun = "extension"
    missing_text = "Extension instance with name '{name}' not found."
    names = NameRule(
        r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?",
        "ValidationFailed",
        "The extension name '{name}' is invalid. It must consist of lower case alphanumeric characters, '-' or '.', and "
        "must start and end with an alphanumeric character.",
    )

    async def accept(self, call: Call, current: Stored | None) -> Document:
        cluster = self.cluster(call)
        sent = call.properties
        offered = bool(call.document.get("plan") or (current and current.body.get("plan")))
        old = current.properties if current else None
        body: Document = {}
        for key, value in self._beside(call, current).items():
            body[key] = value
        location = str(cluster.body["location"])
        body["properties"] = extension_body.accept(sent, old, offered=offered, location=location)
        self._check_single(call, cluster, body["properties"]["extensionType"])
        self._protect(call, sent)
        call.private["modified"] = timestamp(call.arm.services.clock)
        return body

    def _beside(self, call: Call, current: Stored | None) -> Document:
        """What a body has besides properties: the plan of an offer, and a user-assigned identity.

        A system-assigned identity is accepted and not shown on AKS, where the extension gets one of its own
        (aksAssignedIdentity).
        """
        document, out = call.document, {}
        unknown = set(document) - {
            "identity",
            "plan",
            "properties",
            "location",
            *("id", "name", "type", "etag", "systemData"),
        }
        if unknown:
            raise errors.not_supported(f"{sorted(unknown)[0]} of an extension")
        plan = document.get("plan") or (current.body.get("plan") if current else None)
        if plan:
            out["plan"] = plan
        identity = document.get("identity") or {}
        kind = identity.get("type", "None")
        if kind not in IDENTITIES:
            raise extension_body.failed(f"identity.type must be one of {', '.join(IDENTITIES)}, not '{kind}'.")
        if kind == "UserAssigned":
            out["identity"] = {"type": kind, "userAssignedIdentities": identity.get("userAssignedIdentities") or {}}
        return out

    def _check_single(self, call: Call, cluster: Stored, kind: str) -> None:
        """A type is installed into a cluster once."""
        for other in call.arm.resources.children(cluster.id, self.full_name):
            if other.id.lower() != call.id.key and other.properties["extensionType"].lower() == kind.lower():
                raise errors.ArmError(
                    409,
                    "Conflict",
                    f"The extension type '{kind}' is installed on the cluster already, as the extension '{other.name}'.",
                )

    def _protect(self, call: Call, sent: Document) -> None:
        """Keeps protected settings beside the body, so that no answer has them."""
        fresh = settings(sent.get("configurationProtectedSettings"), "configurationProtectedSettings")
        before = call.private.get("protected") or {}
        call.private["protected"] = before | fresh if call.method == "PATCH" else fresh

    async def perform(self, work: Work) -> None:
        stored = work.resource
        cluster = cluster_of(work.arm, work.operation.resource)
        if stored is None or cluster is None:
            return
        flux = stored.properties["extensionType"].lower() == extension_body.FLUX
        if work.operation.kind == "delete":
            if flux:
                await extension.uninstall(work, cluster)
            await work.wait()
            return
        if not cluster.body.get("identity"):
            raise refusals.failed(
                "Extensions are only supported on clusters using Managed Service Identity. See "
                "https://aka.ms/aks-extensions-service-principal-not-supported"
            )
        if not flux:
            kind = stored.properties["extensionType"]
            raise errors.not_supported(
                f"the extension type '{kind}'; the one that it installs is {extension_body.FLUX}"
            )
        await extension.install(work, cluster, stored)

    def completed(self, work: Work, stored: Stored) -> None:
        """The version that runs, and the identity that AKS gave the extension."""
        if work.operation.kind in ("create", "update"):
            stored.properties["currentVersion"] = work.operation.data.get("version")
            stored.properties["aksAssignedIdentity"] = work.operation.data.get("identity")

    def tell(self, stored: Stored, error: Document | None) -> None:
        stored.properties.pop("errorInfo", None)
        stored.properties["statuses"] = []
        if error is not None:
            stored.properties["errorInfo"] = dict(error)
            if error["code"] == refusals.CODE and not stored.properties.get("currentVersion"):
                stored.properties["statuses"] = [_status(error["message"])]

    async def remove(self, arm: Arm, stored: Stored) -> None:
        """Nothing to undo: an extension goes without an operation only with its cluster."""


def _status(message: str) -> Document:
    """How a failed installation stands in `statuses` (Microsoft Learn, "Troubleshoot extension issues")."""
    text = message.removeprefix(refusals.FRAME)
    return {"code": "InstallationFailed", "displayStatus": None, "level": None, "message": text, "time": None}
