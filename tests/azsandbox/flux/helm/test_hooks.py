"""Hooks and tests."""

from __future__ import annotations

from azsandbox.controllers.client import path
from tests.azsandbox.flux.helm.releasing import CHART, NAMESPACE, Lab

HOOK = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
  annotations: {{helm.sh/hook: "{events}", helm.sh/hook-weight: "{weight}", helm.sh/hook-delete-policy: {policy}}}
data: {{a: b}}
"""
TEST = """
apiVersion: batch/v1
kind: Job
metadata:
  name: "{{ .Release.Name }}-check"
  annotations: {helm.sh/hook: test}
spec:
  backoffLimit: 0
  activeDeadlineSeconds: {{ .Values.deadline }}
  template:
    spec:
      restartPolicy: Never
      nodeSelector: {{ .Values.nodeSelector | toJson }}
      containers: [{name: main, image: "registry.example.com/check:1"}]
"""
TESTED = {**CHART, "templates/test.yaml": TEST, "values.yaml": "colour: blue\ndeadline: 60\nnodeSelector: {}\n"}
LATE = {"deadline": 1, "nodeSelector": {"disk": "none"}}


def hook(name: str, events: str, weight: int = 0, policy: str = "before-hook-creation") -> str:
    return HOOK.format(name=name, events=events, weight=weight, policy=policy)


async def test_hooks_run_by_weight_before_and_after_and_go_as_their_policies_say(lab: Lab) -> None:
    hooks = {
        "templates/a.yaml": hook("second", "pre-install", 5),
        "templates/b.yaml": hook("first", "pre-install", -5),
        "templates/c.yaml": hook("after", "post-install"),
        "templates/d.yaml": hook("gone", "post-install", policy="hook-succeeded"),
        "templates/e.yaml": hook("upgrade", "pre-upgrade"),
    }
    status = await lab.installed({**CHART, **hooks})
    made = {}
    for name in ("first", "second", "web", "after"):
        found = await lab.client.get(path("v1", "configmaps", NAMESPACE, name))
        made[name] = int(found["metadata"]["resourceVersion"])
    assert sorted(made, key=made.__getitem__) == ["first", "second", "web", "after"]
    assert await lab.data("gone") is None
    assert await lab.data("upgrade") is None
    assert [entry["id"] for entry in status["inventory"]["entries"]] == ["apps_web__ConfigMap"]
    await lab.change(values={"colour": "red"})
    await lab.is_ready(2)
    assert await lab.data("upgrade") == {"a": "b"}


async def test_a_hook_that_fails_fails_the_install(lab: Lab) -> None:
    job = TEST.replace("helm.sh/hook: test", "helm.sh/hook: pre-install")
    await lab.release(values=LATE)
    await lab.offer({**TESTED, "templates/test.yaml": job})
    await lab.is_so("Stalled", "RetriesExceeded")
    assert (await lab.condition("Released"))["message"] == (
        "Helm install failed for release apps/web with chart web@1.0.0: failed pre-install: failed early due to "
        "stalled resources: [Job/apps/web-check status: 'Failed']"
    )
    assert await lab.data() is None


async def test_hooks_do_not_run_where_they_are_disabled(lab: Lab) -> None:
    await lab.installed({**CHART, "templates/a.yaml": hook("never", "pre-install")}, install={"disableHooks": True})
    assert await lab.data("never") is None


async def test_a_tested_release_is_ready_once_its_tests_have_succeeded(lab: Lab) -> None:
    await lab.release(test={"enable": True})
    await lab.offer(TESTED)
    status = await lab.is_so("TestSuccess", "TestSucceeded", 1)
    message = "Helm test succeeded for release apps/web.v1 with chart web@1.0.0: 1 test hook completed successfully"
    assert (await lab.condition("Ready"))["message"] == message
    assert status["history"][0]["testHooks"]["web-check"]["phase"] == "Succeeded"
    assert lab.told("TestSucceeded")[0]["message"] == message


async def test_a_failed_test_fails_the_release(lab: Lab) -> None:
    await lab.release(test={"enable": True}, values=LATE)
    await lab.offer(TESTED)
    status = await lab.is_so("Stalled", "RetriesExceeded", 1)
    failed = (
        "Helm test failed for release apps/web.v1 with chart web@1.0.0: failed early due to stalled resources: "
        "[Job/apps/web-check status: 'Failed']"
    )
    assert {c["type"]: (c["status"], c["message"]) for c in status["conditions"]} == {
        "Stalled": ("True", "Failed to install after 1 attempt(s)"),
        "Ready": ("False", failed),
        "Released": ("True", "Helm install succeeded for release apps/web.v1 with chart web@1.0.0"),
        "TestSuccess": ("False", failed),
    }
    assert (status["failures"], status["installFailures"]) == (1, 1)


async def test_a_failed_test_that_is_to_be_ignored_leaves_the_release_ready(lab: Lab) -> None:
    status = await lab.installed(TESTED, test={"enable": True, "ignoreFailures": True}, values=LATE)
    assert {c["type"]: c["reason"] for c in status["conditions"]} == {
        "Ready": "InstallSucceeded",
        "Released": "InstallSucceeded",
        "TestSuccess": "TestFailed",
    }
    assert (status["failures"], "installFailures" in status) == (1, False)
    assert status["history"][0]["testHooks"]["web-check"]["phase"] == "Failed"


async def test_tests_that_are_filtered_out_do_not_run(lab: Lab) -> None:
    status = await lab.installed(TESTED, test={"enable": True, "filters": [{"name": "web-check", "exclude": True}]})
    assert status["history"][0]["testHooks"] == {}
    assert (await lab.condition("TestSuccess"))["message"] == (
        "Helm test succeeded for release apps/web.v1 with chart web@1.0.0: no test hooks"
    )
