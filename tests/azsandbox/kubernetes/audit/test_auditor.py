"""Audit events as kube-apiserver writes them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import orjson

from azsandbox.aks.facts import read
from azsandbox.kubernetes import bootstrap
from azsandbox.kubernetes.audit import AuditEvent, Auditor, Level, Policy
from azsandbox.kubernetes.authz import Question
from azsandbox.kubernetes.request import MASTER, Request, User
from azsandbox.kubernetes.server import ApiServer
from azsandbox.store import Store

POLICY = Policy(read("audit-policy")["rules"])
NODE = User("system:node:n1", ("system:nodes", "system:authenticated"))
DEV = User("dev@contoso.example", ("developers", "system:authenticated"), "42", {"oid": ("42",)})


class Recorded:
    """An API server without a cluster, and the events of what it is asked."""

    def __init__(self, policy: Policy = POLICY, **options: Any) -> None:
        self.server = ApiServer(Store(None).bucket("cluster"))
        bootstrap.fill(self.server)
        self.events: list[AuditEvent] = []
        self.server.audit = Auditor(
            policy, self.events.append, lambda: dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC), **options
        )

    async def ask(self, method: str, url: str, body: Any = None, user: User = MASTER, **headers: str) -> Any:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        sent.setdefault("content-type", "application/json")
        return await self.server.handle(Request.to(method, url, data, sent, user))

    def last(self) -> dict[str, Any]:
        return self.events[-1].document()


def level(user: User, verb: str, group: str, resource: str, subresource: str = "", path: str = "") -> Level:
    return POLICY.level(user, Question(user, verb, group, "v1", resource, subresource, "default", "x", path))


def test_the_policy_records_writes_in_full_secrets_by_their_metadata_and_noise_not_at_all() -> None:
    assert level(DEV, "create", "apps", "deployments") is Level.REQUEST_RESPONSE
    assert level(DEV, "get", "apps", "deployments") is Level.REQUEST
    assert level(DEV, "create", "", "secrets") is Level.METADATA
    assert level(DEV, "create", "", "serviceaccounts", "token") is Level.METADATA
    assert level(DEV, "create", "", "serviceaccounts") is Level.REQUEST_RESPONSE
    assert level(DEV, "create", "example.org", "widgets") is Level.METADATA
    assert level(DEV, "create", "", "events") is Level.NONE
    assert level(NODE, "get", "", "nodes") is Level.NONE
    assert level(NODE, "patch", "", "pods", "status") is Level.REQUEST
    assert level(DEV, "get", "", "", path="/healthz/etcd") is Level.NONE
    assert level(DEV, "get", "", "", path="/api") is Level.METADATA


def test_a_policy_without_a_rule_that_matches_records_nothing() -> None:
    only = Policy([{"level": "Request", "verbs": ["create"], "resources": [{"group": "", "resources": ["pods/*"]}]}])
    ask = Question(DEV, "create", "", "v1", "pods", "exec", "default", "x")
    assert only.level(DEV, ask) is Level.REQUEST
    assert only.level(DEV, Question(DEV, "create", "", "v1", "pods", "", "default", "x")) is Level.NONE
    assert Policy(()).level(DEV, ask) is Level.NONE


async def test_an_event_of_a_create_has_the_fields_of_audit_k8s_io_in_their_order() -> None:
    recorded = Recorded()
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    await recorded.ask("POST", "/api/v1/namespaces?fieldManager=me", namespace, user_agent="kubectl/v1.35.4")
    event = recorded.last()
    assert list(event) == [
        "kind", "apiVersion", "level", "auditID", "stage", "requestURI", "verb", "user", "userAgent", "objectRef",
        "responseStatus", "requestObject", "responseObject", "requestReceivedTimestamp", "stageTimestamp",
        "annotations",
    ]  # fmt: skip
    assert (event["level"], event["stage"], event["verb"]) == ("RequestResponse", "ResponseComplete", "create")
    assert event["requestURI"] == "/api/v1/namespaces?fieldManager=me"
    assert event["objectRef"] == {"resource": "namespaces", "name": "shop", "apiVersion": "v1"}
    assert event["requestObject"] == namespace
    assert event["responseObject"]["metadata"]["uid"]
    assert event["responseStatus"] == {"metadata": {}, "code": 201}
    assert event["stageTimestamp"] == "2026-01-02T03:04:05.000006Z"


async def test_whoever_acts_as_another_is_named_beside_them() -> None:
    recorded = Recorded()
    await recorded.ask("GET", "/api/v1/namespaces/default/secrets", impersonate_user="eve", impersonate_group="crew")
    event = recorded.last()
    assert event["user"]["username"] == "kubernetes-admin"
    assert event["impersonatedUser"] == {"username": "eve", "groups": ["crew", "system:authenticated"]}
    assert event["responseStatus"]["status"] == "Failure"
    assert event["responseStatus"]["reason"] == "Forbidden"
    assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"


async def test_what_kubernetes_rbac_allows_says_by_which_binding() -> None:
    recorded = Recorded()
    await recorded.ask("GET", "/api/v1/namespaces", user=User("boss", ("system:nodes", "system:authenticated")))
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "devs"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "developers"}],
    }
    await recorded.ask("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    await recorded.ask("GET", "/api/v1/namespaces/default/pods", user=DEV)
    event = recorded.last()
    assert event["user"] == {"username": DEV.name, "uid": "42", "groups": list(DEV.groups), "extra": {"oid": ["42"]}}
    assert event["annotations"]["authorization.k8s.io/decision"] == "allow"


async def test_a_watch_is_recorded_when_it_starts_and_when_it_ends_by_one_id() -> None:
    recorded = Recorded()
    answer = await recorded.ask("GET", "/api/v1/namespaces/default/pods?watch=true&timeoutSeconds=1")
    assert [e.stage for e in recorded.events] == ["ResponseStarted"]
    async for _ in answer.stream:
        pass
    assert [e.stage for e in recorded.events] == ["ResponseStarted", "ResponseComplete"]
    assert len({e.audit_id for e in recorded.events}) == 1
    assert recorded.last()["verb"] == "watch"


async def test_bodies_that_cannot_be_read_are_left_out() -> None:
    recorded = Recorded()
    answer = await recorded.ask("POST", "/api/v1/namespaces", b"{ not json")
    assert answer.status == 400
    event = recorded.last()
    assert "requestObject" not in event
    assert event["responseStatus"]["code"] == 400


async def test_omitted_verbs_are_not_recorded_and_every_request_is_told_of_all_the_same() -> None:
    told: list[str] = []
    recorded = Recorded(omitted=("list",), after=lambda request, response: told.append(request.verb))
    await recorded.ask("GET", "/api/v1/namespaces/default/pods")
    assert (recorded.events, told) == ([], ["list"])


async def test_of_a_large_body_its_name_is_kept_and_the_rest_is_said_to_be_skipped() -> None:
    recorded = Recorded()
    large = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "large", "annotations": {"a": "x" * 70_000}}}
    assert (await recorded.ask("POST", "/api/v1/namespaces", large)).status == 201
    event = recorded.last()
    assert event["objectRef"]["name"] == "large"
    assert event["requestObject"] == event["responseObject"] == "skipped-too-big-size-object"
    assert len(recorded.events[-1].request_body) < 1000


async def test_yaml_is_recorded_as_the_api_server_reads_it() -> None:
    recorded = Recorded()
    body = b"apiVersion: v1\nkind: Namespace\nmetadata: {name: dates, annotations: {since: 2026-01-02, at: 1:30}}\n"
    url = "/api/v1/namespaces/dates?fieldManager=test"
    answer = await recorded.ask("PATCH", url, body, content_type="application/apply-patch+yaml")
    assert answer.status == 201, answer.body
    assert recorded.last()["requestObject"]["metadata"]["annotations"] == {"since": "2026-01-02", "at": "1:30"}
