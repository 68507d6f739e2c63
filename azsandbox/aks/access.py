"""Who may use a managed cluster: Entra ID's tokens and Azure's role assignments, asked by its API server.

AKS documentation, "Use Microsoft Entra ID authorization for the Kubernetes API in AKS"; what is asked and what is said is
that of AKS's webhook, kubeguard/guard (authz/providers/azure). Kubernetes RBAC is asked first: one yes is enough.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from azsandbox.aks import data_actions, facts
from azsandbox.arm import ids
from azsandbox.arm.access import Held
from azsandbox.kubernetes.authz import Decision, Question
from azsandbox.kubernetes.request import User

if TYPE_CHECKING:
    from azsandbox.cluster import Cluster

SERVER_APP = "6dae42f8-4368-4678-94ff-3960e28e3630"  # Azure Kubernetes Service AAD Server, in every tenant
CLIENT_APP = "80faf920-1908-4b52-b5ef-a8e7bedfc67a"  # Azure Kubernetes Service AAD Client (kubelogin)
AUDIENCES = (SERVER_APP, f"api://{SERVER_APP}", f"spn:{SERVER_APP}")
NO_RULES = "webhook authorizer does not support user rule resolution"  # k8s.io/apiserver, plugin/pkg/authorizer/webhook
ALLOWED = "Access allowed by Azure RBAC"
REFUSED = Decision(
    denied=True,
    reason="User does not have access to the resource in Azure. Update role assignment to allow access.",
)
NOT_OURS = Decision(reason="Azure does not have opinion for this user.")
NO_ENTRA_USER = Decision(
    reason="Azure does not have opinion for this non AAD user. If you are an AAD user, please set Extra:oid parameter "
    "for impersonated user in the kubeconfig"
)
MOST_KEPT = 20_000  # decisions


class ClusterAccess:
    """Authenticator and authorizer of one managed cluster.

    A decision is kept until an assignment or a role changes. A new assignment, and the end of one, takes the time that
    durations.json says to arrive, on the scaled clock.
    """

    def __init__(self, arm: Any, cluster: Cluster, cluster_id: str) -> None:
        self.arm, self.cluster, self.cluster_id = arm, cluster, cluster_id
        self._profile: tuple[int, dict[str, Any]] = (-1, {})
        self._known: dict[str, list[Held]] = {}
        self._valid: tuple[int, float] = (-1, 0.0)  # the revision that is known, and until when it is all there is
        self._decisions: dict[tuple[Any, ...], Decision] = {}

    @property
    def profile(self) -> dict[str, Any]:
        """The cluster's aadProfile, {} without one; read again only when the cluster has changed."""
        revision, found = self._profile
        now = self.arm.resources.revision(self.cluster_id)
        if revision != now:
            stored = self.arm.resources.get(self.cluster_id)
            found = (stored.properties.get("aadProfile") or {}) if stored else {}
            self._profile = (now, found)
        return found

    def user_of(self, token: str) -> User | None:
        """The user that an Entra token names; None without Entra integration or for another token."""
        if not self.profile or token.count(".") != 2:
            return None
        try:
            found = self.arm.services.entra.verify(token, AUDIENCES)
        except Exception:  # any other token is for the next authenticator
            return None
        name = found.name if found.kind == "user" else found.object_id
        return User(name, tuple(found.groups), "", {"oid": (found.object_id,)})

    def decide(self, question: Question) -> Decision:
        """Azure's role assignments, for Entra users of a cluster with Azure RBAC; of others it has no opinion."""
        if not self.profile.get("enableAzureRBAC"):
            return Decision()
        user = question.user
        if user.name.lower().startswith("system:"):
            return NOT_OURS
        oid = user.extra.get("oid")
        if not oid:
            return NO_ENTRA_USER
        self._refresh()
        key = (
            *(user.name, oid[0], user.groups, question.verb, question.group, question.resource, question.subresource),
            *(question.namespace, question.path),
        )
        found = self._decisions.get(key)
        if found is None:
            if len(self._decisions) >= MOST_KEPT:
                self._decisions.clear()
            found = self._decisions[key] = self._ask(question, oid[0])
        return found

    def _refresh(self) -> None:
        """Forgets the decisions when what is known of the assignments changes."""
        access = self.arm.access
        revision, until = self._valid
        if revision == access.revision and until == float("inf"):
            return
        clock = self.arm.services.clock
        moment = self.arm.resources.seconds() - clock.scaled(facts.read("durations")["role assignment"])
        if revision == access.revision and moment < until:
            return
        self._known, ahead = access.as_known_at(moment)
        self._valid = (access.revision, ahead)
        self._decisions.clear()

    def _ask(self, question: Question, object_id: str) -> Decision:
        if question.path and data_actions.is_discovery(question):
            return Decision(allowed=True, reason=ALLOWED)
        try:
            actions = data_actions.data_actions(question, self._namespaced)
        except data_actions.NoAction:
            return REFUSED
        scope = self.cluster_id
        if question.namespace and not question.path:
            scope = f"{scope}/namespaces/{question.namespace}"
        principals = (object_id.lower(), *(g.lower() for g in question.user.groups if _is_guid(g)))
        held = [h for p in principals for h in self._known.get(p, ()) if ids.within(scope, h.scope)]
        said = data_actions.attributes(question)
        grants: list[Held] = []
        for action in actions:
            grant = self.arm.access.granting(held, action, data=True, attributes=said)
            if grant is None:
                return REFUSED
            grants.append(grant)
        name, role = (text.replace("-", "") for text in (grants[0].stored.name, grants[0].role))
        reason = f"{ALLOWED} Role Assignment {name} of Role {role} to user {question.user.name}"
        return Decision(allowed=True, reason=reason)

    def _namespaced(self, group: str, resource: str) -> bool | None:
        found = self.cluster.server.resources.named(resource, group)
        return None if found is None else found.namespaced


def _is_guid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def attach(arm: Any, cluster: Cluster) -> None:
    """Gives the API server of a managed cluster Entra's tokens and Azure's roles."""
    id_ = str(cluster.options.get("resource_id") or "")
    if not id_:
        return
    access = ClusterAccess(arm, cluster, id_)
    cluster.server.authentication.tokens.append(access.user_of)
    cluster.server.authorization.authorizers.append(access.decide)
    cluster.server.authorization.unresolved.append(lambda: NO_RULES if access.profile.get("enableAzureRBAC") else "")
