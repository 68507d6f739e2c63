"""Whether a user may: Kubernetes RBAC, and whatever is asked before it (Azure RBAC, on AKS).

Semantics and texts: k8s.io/kubernetes, plugin/pkg/auth/authorizer/rbac; k8s.io/apiserver, handlers/responsewriters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from azsandbox.kubernetes.errors import StatusError, qualified
from azsandbox.kubernetes.request import Object, Request, User

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class Question:
    """What someone wants to do: with a resource, or with a path that is none."""

    user: User
    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""  # of a request that names no resource

    @classmethod
    def of(cls, request: Request) -> Question:
        """What a request asks."""
        if request.resource is not None:
            found = request.resource
            group, version, name = found.group, found.version, found.name
        elif request.unknown:
            group, version, name = request.unknown
        else:
            return cls(request.user, request.method.lower(), path=request.path)
        subject = request.name
        if not subject and request.verb in ("list", "watch", "deletecollection"):
            # a list of one name is authorized as that name
            for term in request.param("fieldSelector").split(","):
                key, equal, value = term.partition("=")
                if key == "metadata.name" and equal:
                    subject = value.lstrip("=")
        # a namespace is within itself, so that a role of its own may speak of it
        namespace = subject if (group, name) == ("", "namespaces") else request.namespace
        return cls(request.user, request.verb, group, version, name, request.subresource, namespace, subject)


@dataclass(frozen=True)
class Decision:
    """Allowed, denied, or no opinion (then the next authorizer is asked)."""

    allowed: bool = False
    denied: bool = False
    reason: str = ""


Authorizer = Callable[[Question], Decision]


def rule_allows(rule: Object, question: Question) -> bool:
    """Whether a PolicyRule covers a question."""
    verbs = rule.get("verbs") or ()
    if "*" not in verbs and question.verb not in verbs:
        return False
    if question.path:
        return any(_path_matches(pattern, question.path) for pattern in rule.get("nonResourceURLs") or ())
    groups = rule.get("apiGroups") or ()
    if "*" not in groups and question.group not in groups:
        return False
    wanted = f"{question.resource}/{question.subresource}" if question.subresource else question.resource
    resources = rule.get("resources") or ()
    any_parent = f"*/{question.subresource}" if question.subresource else "*"
    if not {"*", wanted, any_parent} & set(resources):
        return False
    names = rule.get("resourceNames") or ()
    return not names or question.name in names


def _path_matches(pattern: str, path: str) -> bool:
    if pattern == "*" or pattern == path:
        return True
    return pattern.endswith("*") and path.startswith(pattern[:-1])


class Rbac:
    """Answers by the roles and bindings in the cluster."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self._bindings: dict[str, _Bindings] | None = None  # by namespace; "": those of the whole cluster
        self._roles: dict[tuple[str, str], Object] = {}
        for name in ("roles", "clusterroles", "rolebindings", "clusterrolebindings"):
            server.registry.on_write(f"{RBAC}/{name}", self._forget)

    def _forget(self) -> None:
        self._bindings = None

    def _load(self) -> dict[str, _Bindings]:
        if self._bindings is None:
            self._roles = {("", role["metadata"]["name"]): role for role in self._objects("clusterroles")}
            for role in self._objects("roles"):
                self._roles[role["metadata"]["namespace"], role["metadata"]["name"]] = role
            self._bindings = {"": _Bindings("")}
            for binding in self._objects("clusterrolebindings"):
                self._bindings[""].add(binding)
            for binding in self._objects("rolebindings"):
                namespace = binding["metadata"]["namespace"]
                self._bindings.setdefault(namespace, _Bindings(namespace)).add(binding)
        return self._bindings

    def _objects(self, name: str) -> list[Object]:
        resource = self.server.resources.named(name, RBAC)
        assert resource is not None
        return self.server.registry.unchanging(resource)

    def rules(self, user: User, namespace: str) -> Iterator[tuple[Object, str, str]]:
        """Rules that hold for a user in a namespace ("": cluster-wide): rule, where it comes from, or an error text."""
        bindings = self._load()
        for where in ("", namespace) if namespace else ("",):
            for binding, subject in bindings[where].of(user) if where in bindings else ():
                yield from self._rules_of(binding, subject, where)

    def _rules_of(self, binding: Object, subject: Object, namespace: str) -> Iterator[tuple[Object, str, str]]:
        ref = binding["roleRef"]
        scope = namespace if ref["kind"] == "Role" else ""
        role = self._roles.get((scope, ref["name"]))
        if role is None:
            kind = "role" if ref["kind"] == "Role" else "clusterrole"
            yield {}, "", f'{kind}.{RBAC} "{ref["name"]}" not found'
            return
        bound = binding["kind"]
        name = binding["metadata"]["name"]
        where = f'{bound} "{name}/{namespace}"' if namespace else f'{bound} "{name}"'
        reason = f'RBAC: allowed by {where} of {ref["kind"]} "{ref["name"]}" to {_subject_text(subject)}'
        for rule in role.get("rules") or ():
            yield rule, reason, ""

    def __call__(self, question: Question) -> Decision:
        missing: list[str] = []
        for rule, reason, error in self.rules(question.user, question.namespace):
            if error:
                missing.append(error)
            elif rule_allows(rule, question):
                return Decision(allowed=True, reason=reason)
        texts = list(dict.fromkeys(missing))
        if not texts:
            return Decision()
        text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        return Decision(reason=f"RBAC: {text}")


class _Bindings:
    """The bindings of a namespace, or of the whole cluster, by whom they name: each request asks for those of one user."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.all: list[Object] = []
        self._users: dict[str, list[tuple[int, int]]] = {}  # name → positions of bindings, and in their subjects
        self._groups: dict[str, list[tuple[int, int]]] = {}

    def add(self, binding: Object) -> None:
        for index, subject in enumerate(binding.get("subjects") or ()):
            kind, name = subject["kind"], subject["name"]
            if kind not in ("User", "Group"):
                name = f"system:serviceaccount:{subject.get('namespace') or self.namespace}:{name}"
            named = self._groups if kind == "Group" else self._users
            named.setdefault(name, []).append((len(self.all), index))
        self.all.append(binding)

    def of(self, user: User) -> Iterator[tuple[Object, Object]]:
        """The bindings that name a user or one of their groups, in order, each with the first subject that does."""
        found = set(self._users.get(user.name, ()))
        for group in user.groups:
            found.update(self._groups.get(group, ()))
        last = -1
        for position, index in sorted(found):
            if position != last:
                yield self.all[position], self.all[position]["subjects"][index]
            last = position


def _subject_text(subject: Object) -> str:
    if subject["kind"] == "ServiceAccount":
        return f'ServiceAccount "{subject["name"]}/{subject.get("namespace", "")}"'
    return f'{subject["kind"]} "{subject["name"]}"'


class Authorization:
    """Asks the authorizers in turn; the first that allows or denies decides."""

    def __init__(self, server: ApiServer) -> None:
        self.rbac = Rbac(server)
        self.authorizers: list[Authorizer] = [self.rbac]
        self.unresolved: list[
            Callable[[], str]
        ] = []  # what an authorizer says that cannot list its rules; "" of one off

    def decide(self, question: Question) -> Decision:
        if "system:masters" in question.user.groups:
            return Decision(allowed=True)
        reasons = []
        for authorizer in self.authorizers:
            decision = authorizer(question)
            if decision.allowed or decision.denied:
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        return Decision(reason="\n".join(reasons))

    def check(self, question: Question) -> None:
        """Raises 403 unless the question is answered yes."""
        decision = self.decide(question)
        if not decision.allowed:
            raise refusal(question, decision.reason)


def refusal(question: Question, reason: str = "") -> StatusError:
    """403 in the API server's words."""
    cause = f": {reason}" if reason else ""
    user = f'User "{question.user.name}" cannot {question.verb}'
    if question.path:
        return StatusError(403, "Forbidden", f'forbidden: {user} path "{question.path}"{cause}', {})
    name = f"{question.resource}/{question.subresource}" if question.subresource else question.resource
    text = f'{user} resource "{name}" in API group "{question.group}"'
    text += f' in the namespace "{question.namespace}"' if question.namespace else " at the cluster scope"
    target = qualified(question.resource, question.group)
    target = f'{target} "{question.name}"' if question.name else target
    details = {"name": question.name, "group": question.group, "kind": question.resource}
    details = {key: value for key, value in details.items() if value}
    return StatusError(403, "Forbidden", f"{target} is forbidden: {text}{cause}", details)
