"""Who may use a managed cluster: Entra ID's tokens and Azure's role assignments, asked by its API server.

AKS documentation, "Use Azure RBAC for Kubernetes authorization": Kubernetes RBAC is asked too; one yes is enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azsandbox.arm.resources import Stored
from azsandbox.kubernetes.authz import Decision, Question
from azsandbox.kubernetes.request import User

if TYPE_CHECKING:
    from azsandbox.cluster import Cluster

SERVER_APP = "6dae42f8-4368-4678-94ff-3960e28e3630"  # Azure Kubernetes Service AAD Server, in every tenant
CLIENT_APP = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"  # Azure Kubernetes Service AAD Client (kubelogin)
DATA = "Microsoft.ContainerService/managedClusters"
VERBS = {
    "get": "read",
    "list": "read",
    "watch": "read",
    "create": "write",
    "update": "write",
    "patch": "write",
    "delete": "delete",
    "deletecollection": "delete",
}
REFUSED = "User does not have access to the resource in Azure. Update role assignment to allow access."


def data_action(question: Question) -> str:
    """The data action that a request needs: "Microsoft.ContainerService/managedClusters/apps/deployments/read"."""
    parts = [DATA, question.group, question.resource or question.path.strip("/")]
    if question.subresource in ("exec", "attach", "portforward", "proxy"):
        return "/".join([*[p for p in parts if p], question.subresource, "action"])
    verb = VERBS.get(question.verb, f"{question.verb}/action")
    return "/".join(p for p in (*parts, verb) if p)


class ClusterAccess:
    """Authenticator and authorizer of one managed cluster; both read what is stored of it at every request."""

    def __init__(self, arm: Any, cluster_id: str) -> None:
        self.arm, self.cluster_id = arm, cluster_id

    @property
    def _stored(self) -> Stored | None:
        found: Stored | None = self.arm.resources.get(self.cluster_id)
        return found

    def _profile(self) -> dict[str, Any]:
        stored = self._stored
        return (stored.properties.get("aadProfile") or {}) if stored else {}

    def user_of(self, token: str) -> User | None:
        """The user that an Entra token names; None without Entra integration or for another token."""
        if not self._profile() or token.count(".") != 2:
            return None
        try:
            found = self.arm.services.entra.verify(token, (SERVER_APP, f"api://{SERVER_APP}", f"spn:{SERVER_APP}"))
        except Exception:  # any other token is for the next authenticator
            return None
        name = found.name if found.kind == "user" else found.object_id
        return User(name, tuple(found.groups), found.object_id, {"oid": (found.object_id,)})

    def decide(self, question: Question) -> Decision:
        """Azure's role assignments, for Entra users of a cluster with Azure RBAC."""
        oid = question.user.extra.get("oid")
        if not oid or not self._profile().get("enableAzureRBAC"):
            return Decision()
        scope = self.cluster_id
        if question.namespace:
            scope = f"{scope}/namespaces/{question.namespace}"
        identity = _Principal(oid[0], tuple(g for g in question.user.groups if not g.startswith("system:")))
        if self.arm.access.permits(identity, data_action(question), scope, data=True):
            return Decision(allowed=True, reason="Azure RBAC")
        return Decision(reason=REFUSED)


class _Principal:
    def __init__(self, object_id: str, groups: tuple[str, ...]) -> None:
        self.object_id, self.groups, self.name, self.kind = object_id, groups, object_id, "user"


def attach(arm: Any, cluster: Cluster) -> None:
    """Gives the API server of a managed cluster Entra's tokens and Azure's roles."""
    id_ = str(cluster._options.get("resource_id") or "")
    if not id_:
        return
    access = ClusterAccess(arm, id_)
    cluster.server.authentication.tokens.append(access.user_of)
    cluster.server.authorization.authorizers.append(access.decide)
