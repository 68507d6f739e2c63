"""Gatekeeper in a cluster: templates, constraints, admission, audit."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.controllers.client import KubeClient, path
from azsandbox.kubernetes.errors import StatusError
from tests.azsandbox.policy.conftest import until
from tests.azsandbox.policy.test_rego import LABELS

TEMPLATES = path("templates.gatekeeper.sh/v1", "constrainttemplates")
KIND = path("constraints.gatekeeper.sh/v1beta1", "requiredlabels")
PODS = path("v1", "pods", "default")


def template(rego: str = LABELS) -> dict[str, Any]:
    labels = {"type": "object", "properties": {"labels": {"type": "array", "items": {"type": "string"}}}}
    crd = {"spec": {"names": {"kind": "RequiredLabels"}, "validation": {"openAPIV3Schema": labels}}}
    return {
        "apiVersion": "templates.gatekeeper.sh/v1",
        "kind": "ConstraintTemplate",
        "metadata": {"name": "requiredlabels"},
        "spec": {"crd": crd, "targets": [{"target": "admission.k8s.gatekeeper.sh", "rego": rego}]},
    }


def constraint(action: str = "deny") -> dict[str, Any]:
    match = {"kinds": [{"apiGroups": [""], "kinds": ["Pod"]}], "namespaces": ["default"]}
    return {
        "apiVersion": "constraints.gatekeeper.sh/v1beta1",
        "kind": "RequiredLabels",
        "metadata": {"name": "owner"},
        "spec": {"enforcementAction": action, "match": match, "parameters": {"labels": ["owner"]}},
    }


def pod(name: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]},
    }


async def enforce(client: KubeClient, action: str = "deny") -> None:
    await client.create(TEMPLATES, template())
    await until(lambda: client.find(KIND))
    await client.create(KIND, constraint(action))

    async def enforced() -> Any:
        return ((await client.get(f"{KIND}/owner")).get("status") or {}).get("byPod")

    await until(enforced)


async def test_a_pod_that_violates_a_constraint_is_refused_and_a_good_one_passes(client: KubeClient) -> None:
    await enforce(client)
    with pytest.raises(StatusError) as refused:
        await client.create(PODS, pod("bad"))
    text = 'admission webhook "validation.gatekeeper.sh" denied the request: [owner] labels required: {"owner"}'
    assert (refused.value.code, refused.value.reason, refused.value.message) == (403, "Forbidden", text)
    await client.create(PODS, pod("good", owner="me"))
    await client.create(path("v1", "pods", "kube-system"), pod("elsewhere"))


async def test_the_audit_finds_what_was_there_before(client: KubeClient) -> None:
    await client.create(PODS, pod("old"))
    await enforce(client, "dryrun")

    async def violations() -> Any:
        return ((await client.get(f"{KIND}/owner")).get("status") or {}).get("violations")

    (found,) = await until(violations)
    assert (found["name"], found["enforcementAction"], found["message"]) == (
        "old",
        "dryrun",
        'labels required: {"owner"}',
    )


async def test_a_template_that_cannot_be_used_says_so_in_its_status_and_defines_no_kind(client: KubeClient) -> None:
    await client.create(TEMPLATES, template("package broken\n\ndeny[x] { x := 1 }\n"))

    async def status() -> Any:
        return (await client.get(f"{TEMPLATES}/requiredlabels")).get("status")

    found = await until(status)
    assert found["byPod"][0]["errors"][0]["code"] == "ingest_error"
    assert "created" not in found
    assert await client.find(KIND) is None


async def test_without_a_pod_that_judges_everything_passes(client: KubeClient) -> None:
    await enforce(client)
    deployment = path("apps/v1", "deployments", "gatekeeper-system", "gatekeeper-controller-manager")
    await client.patch(f"{deployment}/scale", {"spec": {"replicas": 0}})

    async def passes() -> bool:
        try:
            await client.create(PODS, pod("bad"))
        except StatusError:
            return False
        return True

    await until(passes)
