"""Which bindings hold for whom, and in what order they are looked at."""

from __future__ import annotations

from typing import Any

from azsandbox.kubernetes.authz import RBAC, Rbac
from azsandbox.kubernetes.request import Object, User
from azsandbox.kubernetes.server import ApiServer
from azsandbox.store import Store

READS: Object = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}


def _server(bindings: list[tuple[str, str, list[Object]]]) -> ApiServer:
    """A server with the role `reads` and bindings to it: name, namespace ("" for all) and subjects."""
    server = ApiServer(Store(None).bucket("test"))

    def add(kind: str, name: str, namespace: str, **parts: Any) -> None:
        resource = server.resources.named(kind, RBAC)
        assert resource is not None
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        server.registry.insert(resource, {"metadata": metadata, **parts})

    add("clusterroles", "reads", "", rules=[READS])
    for name, namespace, subjects in bindings:
        kind = "rolebindings" if namespace else "clusterrolebindings"
        add(kind, name, namespace, subjects=subjects, roleRef={"kind": "ClusterRole", "name": "reads"})
    return server


def _reasons(server: ApiServer, user: User, namespace: str = "") -> list[str]:
    return [reason for _, reason, _ in Rbac(server).rules(user, namespace)]


def test_a_user_has_the_bindings_of_name_and_groups_in_order_each_by_the_first_subject_that_names_them() -> None:
    group, user = {"kind": "Group", "name": "team"}, {"kind": "User", "name": "ann"}
    server = _server([("b", "", [group, user]), ("a", "", [user]), ("c", "", [{"kind": "User", "name": "bob"}])])
    text = 'RBAC: allowed by ClusterRoleBinding "{}" of ClusterRole "reads" to {}'
    assert _reasons(server, User("ann", groups=("team",))) == [
        text.format("a", 'User "ann"'),
        text.format("b", 'Group "team"'),
    ]
    assert _reasons(server, User("eve", groups=("team",))) == [text.format("b", 'Group "team"')]
    assert _reasons(server, User("team")) == []


def test_an_account_without_a_namespace_is_of_the_bindings_own() -> None:
    server = _server([("here", "one", [{"kind": "ServiceAccount", "name": "robot"}])])
    assert len(_reasons(server, User("system:serviceaccount:one:robot"), "one")) == 1
    assert _reasons(server, User("system:serviceaccount:two:robot"), "one") == []
    assert _reasons(server, User("system:serviceaccount:one:robot"), "two") == []
    assert _reasons(server, User("system:serviceaccount:one:robot")) == []


def test_a_binding_that_comes_later_holds() -> None:
    server = _server([])
    rbac = Rbac(server)
    assert list(rbac.rules(User("ann"), "")) == []
    resource = server.resources.named("clusterrolebindings", RBAC)
    assert resource is not None
    subjects = [{"kind": "User", "name": "ann"}]
    reference = {"kind": "ClusterRole", "name": "none"}
    server.registry.insert(resource, {"metadata": {"name": "late"}, "subjects": subjects, "roleRef": reference})
    assert list(rbac.rules(User("ann"), "")) == [({}, "", f'clusterrole.{RBAC} "none" not found')]
