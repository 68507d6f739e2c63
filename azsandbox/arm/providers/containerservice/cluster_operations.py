"""Actions of a managed cluster that take time: stop, start, abort, rotate, reset, run a command."""

from __future__ import annotations

import uuid
from typing import Any

from azsandbox.aks import control_plane, converge, facts
from azsandbox.arm import polling
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.operations import Work
from azsandbox.arm.provider import action
from azsandbox.arm.providers.containerservice import command_line, commands
from azsandbox.arm.providers.containerservice.base import CLUSTERS, check_idle, check_running
from azsandbox.arm.providers.containerservice.credentials import PRIVATE
from azsandbox.arm.providers.containerservice.errors import aks, missing, not_supported
from azsandbox.arm.resources import Document, Stored

ABORTABLE = ("create", "update", "stop", "start", "rotateClusterCertificates")


class ClusterOperations:
    """Mixed into the type of managed clusters."""

    @action("stop")
    async def stop(self: Any, call: Call, stored: Stored) -> Answer:
        """POST: stops control plane and nodes. On a stopped cluster it is done at once."""
        check_idle(call, stored)
        return self._act(call, stored, "stop", "Stopping", "Stopped")

    @action("start")
    async def start(self: Any, call: Call, stored: Stored) -> Answer:
        """POST: starts a stopped cluster."""
        check_idle(call, stored)
        return self._act(call, stored, "start", "Starting", "Running")

    @action("rotateClusterCertificates")
    async def rotate(self: Any, call: Call, stored: Stored) -> Answer:
        """POST: new certificates; kubeconfigs from before no longer work."""
        check_idle(call, stored)
        check_running(stored)
        return self._act(call, stored, "rotateClusterCertificates", "RotatingClusterCertificates", None)

    @action("rotateServiceAccountSigningKeys")
    async def rotate_keys(self: Any, call: Call, stored: Stored) -> Answer:
        """POST, refused by name."""
        raise not_supported("rotating the signing keys of service accounts")

    @action("resetAADProfile")
    async def reset_aad(self: Any, call: Call, stored: Stored) -> Answer:
        """POST: for legacy integration only, which no cluster of the sandbox has."""
        raise aks(
            400,
            "BadRequest",
            "Operation is not allowed: resetAADProfile is only for clusters with legacy Azure AD integration. Use a PUT "
            "of the managed cluster.",
        )

    @action("resetServicePrincipalProfile")
    async def reset_principal(self: Any, call: Call, stored: Stored) -> Answer:
        """POST {clientId, secret}: another service principal."""
        check_idle(call, stored)
        check_running(stored)
        client = call.document.get("clientId")
        if stored.body.get("identity"):
            raise aks(400, "BadRequest", "The managed cluster uses a managed identity, not a service principal.")
        if not client:
            raise aks(400, "InvalidParameter", "Required parameter clientId is missing (null).", target="clientId")
        stored.properties["servicePrincipalProfile"] = {"clientId": client}
        return self._act(call, stored, "resetServicePrincipalProfile", "Updating", None)

    @action("abort")
    async def abort(self: Any, call: Call, stored: Stored) -> Answer:
        """POST: ends the operation that runs; cluster and pools are Canceled."""
        running = [o for o in call.arm.operations.of(stored.id) if o.kind in ABORTABLE]
        if not running:
            raise aks(409, "OperationNotAllowed", "There is no operation in progress on the managed cluster to abort.")
        for operation in running:
            call.arm.operations.cancel(operation)
        now = call.arm.resources.get(stored.id) or stored
        now.properties["provisioningState"] = "Canceling"
        with call.arm.atomic():
            call.arm.resources.put(now)
            operation = self.begin(call, "abort", now, facts.seconds("cluster", "abort"))
        return self.accepted(call, operation)

    @action("runCommand")
    async def run_command(self: Any, call: Call, stored: Stored) -> Answer:
        """POST {command, clusterToken}: runs kubectl against the cluster; the result is at the URL in Location.

        In a cluster with Entra ID it runs as whom the token says, which is for the server application of AKS; in another
        as the administrator (AKS docs, "Use command invoke").
        """
        check_running(stored)
        if (stored.properties.get("apiServerAccessProfile") or {}).get("disableRunCommand"):
            raise aks(400, "BadRequest", "Run command is disabled on this managed cluster.")
        if call.document.get("context"):
            raise not_supported("files with a command (context of runCommand)")
        argv = command_line.parse(str(call.document.get("command") or ""))
        private: Document = {"argv": argv}
        if stored.properties.get("aadProfile"):
            private["token"] = call.document.get("clusterToken")
            if not private["token"]:
                raise missing("clusterToken")
        id_ = f"{stored.id}/commandResults/{uuid.uuid4().hex}"
        result = Stored(id_, f"{CLUSTERS}/commandResults", commands.document(id_, call.arm), private)
        type_ = call.arm.type_of(f"{CLUSTERS}/commandResults")
        with call.arm.atomic():
            call.arm.resources.put(result)
            type_.begin(call, "runCommand", result, commands.seconds())
        url = call.url(id_, {"api-version": call.api_version})
        return Answer(202, None, {"Location": url, **polling.delay(call.arm, 5)})

    # --- inside

    def _act(self: Any, call: Call, stored: Stored, kind: str, state: str, power: str | None) -> Answer:
        if power is not None and stored.properties["powerState"]["code"] == power:
            return Answer(204)
        stored.properties["provisioningState"] = state
        name = {"rotateClusterCertificates": "rotate", "resetServicePrincipalProfile": "resetAAD"}.get(kind, kind)
        with call.arm.atomic():
            call.arm.resources.put(stored)
            operation = self.begin(call, kind, stored, facts.seconds("cluster", name))
        return self.accepted(call, operation)

    async def perform_action(self: Any, work: Work, stored: Stored) -> None:
        """The work of an action."""
        kind = work.operation.kind
        if kind == "stop":
            work.progress(20, "stopping nodes and the control plane")
            await converge.stop(work.arm, stored)
        elif kind == "start":
            work.progress(20, "starting the control plane and nodes")
            await converge.start(work.arm, stored)
        elif kind == "rotateClusterCertificates":
            work.progress(20, "rotating certificates")
            await control_plane.rotate(work.arm, stored)
            latest = work.resource
            if latest is not None:
                latest.private.pop(PRIVATE, None)
                work.arm.resources.put(latest, touch=False)

    def action_ended(self: Any, work: Work, stored: Stored) -> None:
        """Power state and provisioning state when an action has ended."""
        operation = work.operation
        if operation.kind == "abort":
            stored.properties["provisioningState"] = "Canceled"
            work.arm.resources.put(stored)
        elif operation.kind in ("stop", "start") and operation.status == "Succeeded":
            code = "Stopped" if operation.kind == "stop" else "Running"
            stored.properties["powerState"] = {"code": code}
            work.arm.resources.put(stored)
            for pool in work.arm.resources.children(stored.id, f"{CLUSTERS}/agentPools"):
                stays = pool.properties["powerState"]["code"] == "Stopped" and not pool.private.get("withCluster")
                if stays:
                    continue
                pool.properties["powerState"] = {"code": code}
                pool.private["withCluster"] = operation.kind == "stop"
                work.arm.resources.put(pool)
