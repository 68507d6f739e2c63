"""Gatekeeper in a cluster: templates, constraints, admission, audit."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from azsandbox.controllers.client import KubeClient, path
from azsandbox.controllers.events import timestamp
from azsandbox.kubernetes.errors import StatusError
from azsandbox.policy.audit import Audit
from azsandbox.policy.gatekeeper import Gatekeeper
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


async def test_an_audit_asks_for_the_kinds_in_two_requests_and_lists_those_of_constraints_alone(
    client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty groups have a document of discovery each; every pass asked for all of them."""
    known, asked = Gatekeeper(), list[str]()
    known.put(constraint())
    send: Any = client.transport.send

    async def noted(method: str, url: str, headers: dict[str, str], body: bytes) -> Any:
        if headers["user-agent"] == "noted":
            asked.append(f"{method} {url.partition('?')[0]}")
        return await send(method, url, headers, body)

    monkeypatch.setattr(client.transport, "send", noted)
    await Audit(client.named("noted"), known, 1, 1).audit()
    assert asked[:4] == ["GET /api/v1/namespaces", "GET /api", "GET /apis", "GET /api/v1/pods"]
    assert asked[4:] == [f"PATCH {KIND}/owner/status"]


async def test_others_get_their_turn_between_the_objects_of_an_audit(
    client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty policies judge a hundred pods in half a second, in which no request was answered."""
    for number in range(5):
        await client.create(PODS, pod(f"one-{number}"))
    known, happened = Gatekeeper(), list[str]()
    known.put(constraint())
    judge = known.judge
    monkeypatch.setattr(known, "judge", lambda *given: happened.append("judged") or judge(*given))

    async def other() -> None:
        while True:
            happened.append("other")
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await Audit(client, known, 1, 1).audit()
    task.cancel()
    judged = [at for at, what in enumerate(happened) if what == "judged"]
    assert len(judged) >= 5
    assert all("other" in happened[one:next_] for one, next_ in itertools.pairwise(judged))


async def test_an_audit_has_the_time_of_its_beginning(client: KubeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    await enforce(client, "dryrun")
    times: list[str] = []
    listed = Audit._objects

    async def slowly(audit: Audit, constraints: list[Any]) -> AsyncIterator[Any]:
        times.append(timestamp())
        async for found in listed(audit, constraints):
            yield found
        await asyncio.sleep(1.1)

    monkeypatch.setattr(Audit, "_objects", slowly)

    async def audited() -> Any:
        status = (await client.get(f"{KIND}/owner")).get("status") or {}
        return times and status.get("auditTimestamp", "") >= times[0] and status["auditTimestamp"]

    assert await until(audited) in times


async def test_what_changes_is_audited_soon_and_a_quiet_cluster_seldom(client: KubeClient) -> None:
    known = Gatekeeper()
    passes: list[float] = []

    class Counted(Audit):
        async def audit(self) -> None:
            passes.append(asyncio.get_running_loop().time())

    auditing = asyncio.create_task(Counted(client, known, 0.1, 3600).run())
    await asyncio.sleep(0.5)
    assert len(passes) == 2
    known.put(constraint())
    await asyncio.sleep(0.5)
    assert len(passes) == 4  # the second one sees what was stored while the first one looked
    known.put(constraint() | {"status": {"auditTimestamp": "2026-11-25T10:00:00Z"}})
    await asyncio.sleep(0.5)
    assert len(passes) == 4
    auditing.cancel()


async def test_a_template_that_cannot_be_used_says_so_in_its_status_and_defines_no_kind(client: KubeClient) -> None:
    await client.create(TEMPLATES, template("package broken\n\ndeny[x] { x := 1 }\n"))

    async def status() -> Any:
        return (await client.get(f"{TEMPLATES}/requiredlabels")).get("status")

    found = await until(status)
    assert found["byPod"][0]["errors"][0]["code"] == "ingest_error"
    assert found["created"] is False
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


async def refused(client: KubeClient, obj: dict[str, Any], url: str = PODS) -> str:
    """What is said of an object: "" if it passes."""
    try:
        await client.request("POST", url, obj, query={"dryRun": "All"})
    except StatusError as error:
        return error.message
    return ""


async def constrain(client: KubeClient, name: str, action: str = "deny", **spec: Any) -> None:
    """Another constraint, once it is enforced."""
    body = constraint(action)
    body["metadata"]["name"] = name
    body["spec"].update(spec)
    await client.create(KIND, body)

    async def enforced() -> Any:
        return ((await client.get(f"{KIND}/{name}")).get("status") or {}).get("byPod")

    await until(enforced)


async def test_refusals_stand_in_the_order_of_their_texts(client: KubeClient) -> None:
    await enforce(client)
    await constrain(client, "another", parameters={"labels": ["a"]})
    await constrain(client, "zone", parameters={"labels": ["zone"]})
    await constrain(client, "quiet", "dryrun", parameters={"labels": ["b"]})
    await constrain(client, "loud", "warn", parameters={"labels": ["c"]})
    texts = (
        '[another] labels required: {"a"}',
        '[owner] labels required: {"owner"}',
        '[zone] labels required: {"zone"}',
    )
    assert await refused(client, pod("bad")) == (
        'admission webhook "validation.gatekeeper.sh" denied the request: ' + "\n".join(texts)
    )


async def test_a_scoped_constraint_acts_where_its_actions_are_for(client: KubeClient) -> None:
    await enforce(client, "dryrun")
    audit = {"action": "dryrun", "enforcementPoints": [{"name": "audit.gatekeeper.sh"}]}
    everywhere = {"action": "deny", "enforcementPoints": [{"name": "*"}]}
    await constrain(client, "later", "scoped", scopedEnforcementActions=[audit])
    assert await refused(client, pod("bad")) == ""
    await client.create(PODS, pod("bad"))

    async def found() -> Any:
        return ((await client.get(f"{KIND}/later")).get("status") or {}).get("violations")

    (violation,) = await until(found)
    assert (violation["enforcementAction"], violation["enforcementActions"]) == ("scoped", ["dryrun"])
    await constrain(client, "always", "scoped", scopedEnforcementActions=[everywhere])
    assert "[always] labels required" in await refused(client, pod("bad2"))


async def test_an_audit_tells_the_first_violations_backwards_and_cuts_long_texts(client: KubeClient) -> None:
    for number in range(22):
        await client.create(PODS, pod(f"p{number:02}"))
    await enforce(client, "dryrun")
    await constrain(client, "long", "dryrun", parameters={"labels": ["x" * 300]})

    async def status(name: str) -> Any:
        found = (await client.get(f"{KIND}/{name}")).get("status") or {}
        return found if found.get("totalViolations") == 22 else None

    violations = (await until(lambda: status("owner")))["violations"]
    assert [violation["name"] for violation in violations] == [f"p{number:02}" for number in reversed(range(20))]
    message = (await until(lambda: status("long")))["violations"][0]["message"]
    assert message == 'labels required: {"' + "x" * 234 + "..."


async def test_a_config_leaves_namespaces_out(client: KubeClient) -> None:
    await enforce(client)
    config = {"apiVersion": "config.gatekeeper.sh/v1alpha1", "kind": "Config", "metadata": {"name": "config"}}
    match = [{"excludedNamespaces": ["def*"], "processes": ["webhook"]}]
    url = path("config.gatekeeper.sh/v1alpha1", "configs", "gatekeeper-system")
    await client.create(url, {**config, "spec": {"match": match}})

    async def passes() -> bool:
        return await refused(client, pod("bad")) == ""

    await until(passes)
    await client.patch(f"{url}/config", {"spec": {"match": [{"excludedNamespaces": ["*"], "processes": ["audit"]}]}})

    async def refuses() -> str:
        return await refused(client, pod("bad"))

    await until(refuses)


async def test_a_sync_set_brings_objects_to_policies(client: KubeClient) -> None:
    rego = (
        'package requiredlabels\n\nviolation[{"msg": name}] {\n'
        '  data.inventory.namespace["default"].v1.Secret[name]\n}\n'
    )
    await client.create(TEMPLATES, template(rego))
    await until(lambda: client.find(KIND))
    await constrain(client, "owner")
    secrets = path("v1", "secrets", "default")
    await client.create(secrets, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "known"}})
    assert await refused(client, pod("bad")) == ""
    gvks = [{"group": "", "version": "v1", "kind": "Secret"}]
    sync_set = {"apiVersion": "syncset.gatekeeper.sh/v1alpha1", "kind": "SyncSet", "metadata": {"name": "secrets"}}
    url = path("syncset.gatekeeper.sh/v1alpha1", "syncsets")
    await client.create(url, {**sync_set, "spec": {"gvks": gvks}})

    async def refuses() -> bool:
        return (await refused(client, pod("bad"))).endswith("[owner] known")

    await until(refuses)
    await client.delete(f"{url}/secrets")

    async def passes() -> bool:
        return await refused(client, pod("bad")) == ""

    await until(passes)


async def test_a_template_is_about_its_operations_only(client: KubeClient) -> None:
    updates = template()
    updates["spec"]["targets"][0]["operations"] = ["UPDATE"]
    await client.create(TEMPLATES, updates)
    await until(lambda: client.find(KIND))
    await constrain(client, "owner")
    await client.create(PODS, pod("bad"))
    with pytest.raises(StatusError, match="labels required"):
        await client.patch(f"{PODS}/bad", {"metadata": {"labels": {"other": "x"}}})


async def test_a_definition_that_is_deleted_is_made_again(client: KubeClient) -> None:
    await client.create(TEMPLATES, template())
    await until(lambda: client.find(KIND))
    url = path("apiextensions.k8s.io/v1", "customresourcedefinitions", name="requiredlabels.constraints.gatekeeper.sh")
    uid = (await client.get(url))["metadata"]["uid"]
    await client.delete(url)

    async def another() -> bool:
        found = await client.find(url)
        return found is not None and found["metadata"]["uid"] != uid

    await until(another)


async def said(client: KubeClient, rego: str) -> tuple[int, str]:
    """Code and text of what a template of one rule says of a pod."""
    await client.create(TEMPLATES, template(rego))
    await until(lambda: client.find(KIND))
    await constrain(client, "owner")
    with pytest.raises(StatusError) as refused:
        await client.create(PODS, pod("bad"))
    return refused.value.code, refused.value.message.partition("denied the request: ")[2]


async def test_a_message_that_is_no_text_is_an_error_of_the_review(client: KubeClient) -> None:
    text = "error reviewing resource bad: admission.k8s.gatekeeper.sh: Rego: extracting message binding: .msg accessor error: "
    rego = 'package odd\n\nviolation[{"msg": msg}] { msg := {"a": [1, true]} }\n'
    kind = "map[a:[1 true]] is of the type map[string]interface {}, expected string\n\n"
    assert await said(client, rego) == (500, text + kind)


async def test_two_values_of_a_rule_are_told_as_opa_tells_it(client: KubeClient) -> None:
    rego = 'package odd\n\na = 1 { true }\na = 2 { true }\n\nviolation[{"msg": "no"}] { a == 1 }\n'
    text = "[owner] template:4: eval_conflict_error: complete rules must not produce multiple outputs"
    assert await said(client, rego) == (403, text)


async def test_a_policy_sees_the_options_of_a_request(client: KubeClient) -> None:
    rego = 'package odd\n\nviolation[{"msg": msg}] { msg := sprintf("%v", [input.review.options]) }\n'
    code, text = await said(client, rego)
    assert code == 403
    assert '"apiVersion": "meta.k8s.io/v1"' in text
    assert '"kind": "CreateOptions"' in text


async def test_an_empty_action_is_none(client: KubeClient) -> None:
    await enforce(client, "")
    assert await refused(client, pod("bad")) == ""


async def test_a_scale_is_judged_as_a_scale(client: KubeClient) -> None:
    rego = """package scale

violation[{"msg": msg}] {
  review := input.review
  review.object.spec.replicas > 2
  msg := sprintf("%v %v: %v to %v", [review.kind.kind, review.name, review.oldObject.spec.replicas, review.object.spec.replicas])
}
"""
    await client.create(TEMPLATES, template(rego))
    await until(lambda: client.find(KIND))
    kinds = {"kinds": [{"apiGroups": ["autoscaling", "apps"], "kinds": ["*"]}]}
    await constrain(client, "small", match=kinds)
    template_of = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "a"}}, "template": template_of}
    url = path("apps/v1", "deployments", "default")
    await client.create(url, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec})
    with pytest.raises(StatusError) as refused:
        await client.patch(f"{url}/a/scale", {"spec": {"replicas": 3}})
    assert refused.value.message.endswith("denied the request: [small] Scale a: 1 to 3")
    scale = await client.patch(f"{url}/a/scale", {"spec": {"replicas": 2}})
    assert scale["spec"]["replicas"] == 2
    assert (await client.get(f"{url}/a"))["spec"]["replicas"] == 2


async def test_who_would_make_policies_of_rego_says_that_it_cannot(client: KubeClient) -> None:
    await enforce(client)
    by_pod = (await client.get(f"{KIND}/owner"))["status"]["byPod"]
    words = {
        tuple(pod["operations"]): [point["message"] for point in pod.get("enforcementPointsStatus") or []]
        for pod in by_pod
    }
    assert words == {
        ("audit", "generate", "mutation-status", "status"): ["K8sNativeValidation engine is missing"],
        ("mutation-webhook", "webhook"): [],
    }
