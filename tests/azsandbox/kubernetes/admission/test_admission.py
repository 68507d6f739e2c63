"""Admission controllers over objects that lie in a dictionary."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from azsandbox.kubernetes.admission import CREATE, Admission, Attributes
from azsandbox.kubernetes.admission.pod_security_checks import evaluate
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.request import GroupVersionKind
from azsandbox.kubernetes.resources import ResourceTable

TABLE = ResourceTable()
NAMESPACE: dict[str, Any] = {"metadata": {"name": "n", "labels": {}}, "status": {"phase": "Active"}}


class Objects:
    """Stands for the API server."""

    local_services: ClassVar[dict[Any, Any]] = {}

    def __init__(self, **objects: list[dict[str, Any]]) -> None:
        self.objects = {"namespaces": [NAMESPACE], "serviceaccounts": [_named("default")], **objects}
        self.written: list[dict[str, Any]] = []
        self.registry = self
        self.authorization = None

    def peek(self, name: str, namespace: str, key: str) -> dict[str, Any] | None:
        return next((o for o in self.peek_list(name) if o["metadata"]["name"] == key), None)

    def peek_list(self, name: str, namespace: str = "") -> list[dict[str, Any]]:
        return self.objects.get(name.partition(".")[0], [])

    def resource(self, name: str) -> Any:
        return TABLE.named(name)

    def replace(self, resource: Any, obj: dict[str, Any], expected: str) -> None:
        self.written.append(obj)


def _named(name: str, **fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "n", "resourceVersion": "1"}, **fields}


async def admitted(server: Objects, kind: str, spec: dict[str, Any], group: str = "") -> dict[str, Any]:
    resource = TABLE.of_kind(GroupVersionKind(group, "v1", kind))
    assert resource is not None
    obj = {"kind": kind, **_named("web", spec=spec)}
    attrs = Attributes(CREATE, resource, "", "n", "web", obj)
    admission = Admission(server)
    await admission.mutate(attrs)
    await admission.validate(attrs)
    return obj


def _pod(**more: Any) -> dict[str, Any]:
    return {"containers": [{"name": "app", "image": "nginx", **more}]}


async def test_a_pod_gets_the_token_of_its_account() -> None:
    spec = (await admitted(Objects(), "Pod", _pod()))["spec"]

    (volume,) = spec["volumes"]
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
    assert volume["projected"]["sources"][0] == {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
    assert spec["containers"][0]["volumeMounts"][0]["name"] == volume["name"]
    assert [item["tolerationSeconds"] for item in spec["tolerations"]] == [300, 300]
    assert (spec["priority"], spec["preemptionPolicy"]) == (0, "PreemptLowerPriority")


async def test_a_pod_of_a_missing_account_is_refused() -> None:
    with pytest.raises(StatusError) as error:
        await admitted(Objects(), "Pod", {**_pod(), "serviceAccountName": "nobody"})
    said = 'error looking up service account n/nobody: serviceaccount "nobody" not found'
    assert error.value.message == f'pods "web" is forbidden: {said}'


async def test_a_quota_counts_what_comes_in_and_refuses_what_exceeds_it() -> None:
    quota = _named("quota", spec={}, status={"hard": {"pods": "1"}, "used": {"pods": "0"}})
    server = Objects(resourcequotas=[quota])
    await admitted(server, "Pod", _pod())
    assert server.written[0]["status"]["used"] == {"pods": "1"}

    quota["status"]["used"] = {"pods": "1"}
    with pytest.raises(StatusError) as error:
        await admitted(server, "Pod", _pod())
    said = "exceeded quota: quota, requested: pods=1, used: pods=1, limited: pods=1"
    assert error.value.message == f'pods "web" is forbidden: {said}'


async def test_a_limit_range_fills_in_and_refuses() -> None:
    limits = _named("l", spec={"limits": [{"type": "Container", "default": {"cpu": "1"}, "max": {"cpu": "2"}}]})
    server = Objects(limitranges=[limits])
    pod = await admitted(server, "Pod", _pod())
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1"}
    assert (
        pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"]
        == "LimitRanger plugin set: cpu limit for container app"
    )

    with pytest.raises(StatusError, match="maximum cpu usage per Container is 2, but limit is 3"):
        await admitted(server, "Pod", _pod(resources={"limits": {"cpu": "3"}}))


async def test_a_service_gets_an_address_that_no_other_has() -> None:
    taken = _named("other", spec={"clusterIPs": ["10.96.0.10"]})
    server = Objects(services=[taken])
    spec = (await admitted(server, "Service", {"type": "ClusterIP", "ports": [{"port": 80}]}))["spec"]
    assert spec["clusterIP"].startswith("10.96.")
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")

    with pytest.raises(StatusError, match=r"failed to allocate IP 10.96.0.10: provided IP is already allocated"):
        await admitted(server, "Service", {"type": "ClusterIP", "clusterIP": "10.96.0.10", "ports": [{"port": 80}]})


async def test_an_unreachable_webhook_refuses_unless_it_is_to_be_ignored() -> None:
    webhook = {
        "name": "check.example.com",
        "clientConfig": {"service": {"name": "s", "namespace": "n"}},
        "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
        "failurePolicy": "Fail",
    }
    server = Objects(validatingwebhookconfigurations=[{"metadata": {"name": "w"}, "webhooks": [webhook]}])
    with pytest.raises(StatusError, match=r'failed calling webhook "check\.example\.com"'):
        await admitted(server, "ConfigMap", {})
    webhook["failurePolicy"] = "Ignore"
    await admitted(server, "ConfigMap", {})


def test_the_restricted_level_says_everything_that_a_plain_pod_lacks() -> None:
    reasons = [reason for reason, _ in evaluate("restricted", 35, {}, _pod())]
    expected = "allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile"
    assert ", ".join(reasons) == expected
    assert evaluate("baseline", 35, {}, _pod()) == []
