"""The four roles of AKS, walked through every data action that Azure publishes, as four people."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from importlib import resources
from typing import Any

import httpx
import pytest

from tests.azsandbox.aks.access.conftest import (
    ADMIN,
    CLUSTER_ADMIN,
    READER,
    REFUSED,
    WRITER,
    Lab,
    arrived,
    review,
    role_data,
)

PREFIX = "Microsoft.ContainerService/managedClusters"
HOLDERS = {"reader": READER, "developer": WRITER, "admin": ADMIN, "auditor": CLUSTER_ADMIN}
VERBS = {
    "read": ("get", "list", "watch"),
    "write": ("create", "update", "patch"),
    "delete": ("delete", "deletecollection"),
    "impersonate/action": ("impersonate",),
    "bind/action": ("bind",),
    "escalate/action": ("escalate",),
    "use/action": ("use",),
}
EVERYBODY = {"selfsubjectaccessreviews", "selfsubjectrulesreviews"}  # by the ClusterRole system:basic-user


def published() -> list[tuple[str, str, str]]:
    """Group, resource and last part of every data action."""
    text = resources.files("azsandbox").joinpath("data", "aks", "data-actions.json").read_text("utf-8")
    groups: dict[str, dict[str, list[str]]] = json.loads(text)["resources"]
    return [(g, r, last) for g, found in groups.items() for r, parts in found.items() for last in parts]


def grants(role: str, action: str) -> bool:
    """What the published data actions of a role say of an action, computed here for the second time."""
    data = role_data(role)

    def among(name: str) -> bool:
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in data[name])

    return among("dataActions") and not among("notDataActions")


@pytest.fixture(scope="module")
def people(lab: Lab) -> dict[str, httpx.Client]:
    """Four people, each with one of the roles at the cluster."""
    apis = {who: lab.api(who) for who in HOLDERS}
    made = [lab.assign(who, role, lab.cluster) for who, role in HOLDERS.items()]
    for api in apis.values():
        arrived(api, verb="list", resource="pods", namespace="default")
    yield apis
    for path in made:
        lab.drop(path)
    for api in apis.values():
        arrived(api, allowed=False, verb="list", resource="pods", namespace="default")


@pytest.mark.parametrize("who", HOLDERS)
def test_a_role_allows_what_its_data_actions_say(people: dict[str, httpx.Client], who: str) -> None:
    wrong, allowed = [], {True: 0, False: 0}
    for group, resource, last in published():
        action = "/".join(part for part in (PREFIX, group, resource, last) if part)
        granted = grants(HOLDERS[who], action)
        for verb in VERBS.get(last, ("create", "get")):
            sub = {"subresource": "exec"} if last == "exec/action" else {}
            status = review(
                people[who], verb=verb, group=group, resource=resource, namespace="default", name="one", **sub
            )
            expected = granted or (resource in EVERYBODY and verb == "create")
            allowed[status["allowed"]] += 1
            if status["allowed"] is not expected or (not expected and status.get("reason") != REFUSED):
                wrong.append((action, verb, status))
    assert not wrong
    assert allowed[True] > 50
    assert bool(allowed[False]) is (who != "auditor")


def test_the_table_has_what_the_roles_name() -> None:
    known = {"/".join(part for part in (PREFIX, *row) if part) for row in published()}
    for role in HOLDERS.values():
        for pattern in role_data(role)["dataActions"] + role_data(role)["notDataActions"]:
            assert any(fnmatchcase(action.lower(), pattern.lower()) for action in known), pattern


CASES: list[tuple[dict[str, str], str]] = [
    # subresources are asked as what they are of, except pods/exec
    ({"verb": "get", "resource": "pods", "subresource": "log"}, "reader developer admin auditor"),
    ({"verb": "create", "resource": "pods", "subresource": "exec"}, "developer admin auditor"),
    ({"verb": "get", "resource": "pods", "subresource": "exec"}, "developer admin auditor"),
    ({"verb": "create", "resource": "pods", "subresource": "portforward"}, "developer admin auditor"),
    ({"verb": "get", "resource": "pods", "subresource": "portforward"}, "reader developer admin auditor"),
    ({"verb": "create", "resource": "pods", "subresource": "eviction"}, "developer admin auditor"),
    ({"verb": "patch", "group": "apps", "resource": "deployments", "subresource": "scale"}, "developer admin auditor"),
    ({"verb": "create", "resource": "serviceaccounts", "subresource": "token"}, "developer admin auditor"),
    ({"verb": "get", "resource": "nodes", "subresource": "proxy"}, "admin auditor"),
    ({"verb": "get", "resource": "nodes", "subresource": "metrics"}, "admin auditor"),
    ({"verb": "get", "group": "metrics.k8s.io", "resource": "nodes"}, "reader developer admin auditor"),
    # custom resources: only the roles with a * for everything
    ({"verb": "list", "group": "kustomize.toolkit.fluxcd.io", "resource": "kustomizations"}, "admin auditor"),
    ({"verb": "deletecollection", "group": "example.org", "resource": "widgets"}, "admin auditor"),
    # a built-in resource that Azure has no data action for is asked as a custom one
    ({"verb": "list", "group": "resource.k8s.io", "resource": "resourceclaims"}, "admin auditor"),
    ({"verb": "approve", "group": "certificates.k8s.io", "resource": "signers"}, ""),
    # everything at once
    ({"verb": "*", "resource": "pods"}, "developer admin auditor"),
    ({"verb": "get", "resource": "*"}, "admin auditor"),
    ({"verb": "*", "group": "apps", "resource": "*"}, "admin auditor"),
    ({"verb": "*", "group": "*", "resource": "*"}, "auditor"),
    ({"verb": "*", "group": "batch", "resource": "*"}, "developer admin auditor"),
    ({"verb": "read", "group": "batch", "resource": "*"}, ""),
    # paths: discovery is anybody's, the rest is a data action too
    ({"verb": "get", "path": "/apis/apps"}, "reader developer admin auditor"),
    ({"verb": "get", "path": "/healthz/etcd"}, "reader developer admin auditor"),
    ({"verb": "get", "path": "/metrics"}, "admin auditor"),
    ({"verb": "get", "path": "/logs"}, "admin auditor"),
    ({"verb": "post", "path": "/metrics"}, "admin auditor"),
]


@pytest.mark.parametrize(("asked", "who"), CASES)
def test_a_request_becomes_the_data_action_that_akss_webhook_asks(
    people: dict[str, httpx.Client], asked: dict[str, str], who: str
) -> None:
    place: dict[str, Any] = {} if "path" in asked else {"namespace": "default"}
    found = [name for name, api in people.items() if review(api, **asked, **place)["allowed"]]
    assert found == who.split()


def test_at_the_cluster_everything_takes_in_what_is_in_no_namespace(people: dict[str, httpx.Client]) -> None:
    asked = {"verb": "*", "group": "", "resource": "*"}
    assert [name for name, api in people.items() if review(api, **asked)["allowed"]] == ["auditor"]
    assert "resourcequotas" not in review(people["auditor"], **asked)["reason"]


def test_the_reason_names_assignment_and_role(people: dict[str, httpx.Client], lab: Lab) -> None:
    reason = review(people["reader"], verb="list", resource="pods", namespace="default")["reason"]
    role = READER.replace("-", "")
    assert reason.startswith("Access allowed by Azure RBAC Role Assignment ")
    assert reason.endswith(f" of Role {role} to user {lab.user('reader')}")
    status = review(people["reader"], verb="list", resource="secrets", namespace="default")
    assert status == {"allowed": False, "denied": True, "reason": REFUSED}
