"""listClusterUserCredential, listClusterAdminCredential, listClusterMonitoringUserCredential: kubeconfigs."""

from __future__ import annotations

import base64
from typing import Any

from azsandbox import yaml_files
from azsandbox.aks import control_plane
from azsandbox.aks.access import CLIENT_APP, SERVER_APP
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.provider import action
from azsandbox.arm.providers.containerservice.base import check_running
from azsandbox.arm.providers.containerservice.errors import aks, not_allowed
from azsandbox.arm.resources import Document, Stored

MONITORING = "clusterMonitoringUser"
PRIVATE = "admin-certificate"


class Credentials:
    """The actions of a managed cluster that hand out kubeconfigs."""

    @action("listClusterUserCredential")
    async def user_credential(self, call: Call, stored: Stored) -> Answer:
        """The kubeconfig of a user: by Entra ID where that is on, else a certificate."""
        check_running(stored)
        form = call.query.get("format", "azure").lower()
        if form not in ("azure", "exec", "web-browser"):
            raise aks(400, "InvalidParameter", f"The value {form} of the parameter format is invalid.", target="format")
        aad = stored.properties.get("aadProfile")
        if not aad and stored.properties["disableLocalAccounts"]:
            raise _local_accounts_off()
        user = entra_user(aad, form) if aad else certificate_user(call, stored)
        return _answer("clusterUser", call, stored, user, f"clusterUser_{stored.resource_id.group}_{stored.name}")

    @action("listClusterAdminCredential")
    async def admin_credential(self, call: Call, stored: Stored) -> Answer:
        """The kubeconfig of the administrator: a certificate of system:masters."""
        check_running(stored)
        if stored.properties["disableLocalAccounts"]:
            raise _local_accounts_off()
        name = f"clusterAdmin_{stored.resource_id.group}_{stored.name}"
        return _answer("clusterAdmin", call, stored, certificate_user(call, stored), name)

    @action("listClusterMonitoringUserCredential")
    async def monitoring_credential(self, call: Call, stored: Stored) -> Answer:
        """The kubeconfig of the monitoring user, who may only read."""
        check_running(stored)
        if stored.properties["disableLocalAccounts"]:
            raise _local_accounts_off()
        cluster = _running(call, stored)
        pem, key = cluster.authority.client(MONITORING)
        user = {"client-certificate-data": _b64(pem), "client-key-data": _b64(key)}
        name = f"{MONITORING}_{stored.resource_id.group}_{stored.name}"
        return _answer(MONITORING, call, stored, user, name)


def _local_accounts_off() -> Any:
    return aks(
        400,
        "BadRequest",
        "Getting static credential is not allowed because this cluster is set to disable local accounts.",
    )


def _running(call: Call, stored: Stored) -> Any:
    cluster = control_plane.running(call.arm, stored)
    if cluster is None:
        raise not_allowed(
            f"Operation is not allowed: the control plane of managed cluster {stored.name} is not running "
            f"(provisioning state {stored.state})."
        )
    return cluster


def certificate_user(call: Call, stored: Stored) -> Document:
    """A client certificate of system:masters with its key and a token, made once and kept with the cluster."""
    cluster = _running(call, stored)
    kept = stored.private.get(PRIVATE)
    if not kept:
        pem, key = cluster.authority.client("masterclient", ("system:masters",))
        kept = stored.private[PRIVATE] = {"certificate": pem, "key": key}
        call.arm.resources.put(stored, touch=False)
    return {
        "client-certificate-data": _b64(kept["certificate"]),
        "client-key-data": _b64(kept["key"]),
        "token": cluster.admin_token,
    }


def entra_user(aad: Document, form: str) -> Document:
    """The stanza that AKS gives with Entra ID on: kubelogin as an exec plug-in."""
    arguments = [
        "get-token",
        "--environment",
        "AzurePublicCloud",
        "--server-id",
        SERVER_APP,
        "--client-id",
        CLIENT_APP,
        "--tenant-id",
        aad["tenantID"],
        "--login",
        "devicecode",
    ]
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "args": arguments,
            "command": "kubelogin",
            "env": None,
            "installHint": "\nkubelogin is not installed which is required to connect to AAD enabled cluster.\n\n"
            "To learn more, please go to https://aka.ms/aks/kubelogin\n",
            "provideClusterInfo": False,
        }
    }


def _answer(name: str, call: Call, stored: Stored, user: Document, user_name: str) -> Answer:
    cluster = _running(call, stored)
    config = {
        "apiVersion": "v1",
        "clusters": [
            {
                "cluster": {"certificate-authority-data": _b64(cluster.ca_pem), "server": cluster.url},
                "name": stored.name,
            }
        ],
        "contexts": [{"context": {"cluster": stored.name, "user": user_name}, "name": stored.name}],
        "current-context": stored.name,
        "kind": "Config",
        "preferences": {},
        "users": [{"name": user_name, "user": user}],
    }
    return Answer(200, {"kubeconfigs": [{"name": name, "value": _b64(yaml_files.dump(config))}]})


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
