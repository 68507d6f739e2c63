"""Upgrades, and what is done about those that fail."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.controllers.client import STRATEGIC, path
from azsandbox.flux.helm.storage import Storage
from tests.azsandbox.flux.helm.releasing import CHART, NAMESPACE, WORKLOAD, Lab

WRONG = (
    'server-side apply failed for object apps/web apps/v1, Kind=Deployment: Deployment.apps "web" is invalid: '
    "spec.replicas: Invalid value: -1: must be greater than or equal to 0"
)


async def test_changed_values_upgrade_a_release(lab: Lab) -> None:
    before = await lab.installed(CHART)
    await lab.change(values={"colour": "green"})
    status = await lab.is_ready(2)
    assert await lab.data() == {"chart": "web-1.0.0", "colour": "green", "kind": "upgrade", "revision": "2"}
    new, old = status["history"]
    assert (new["version"], new["status"], new["action"]) == (2, "deployed", "upgrade")
    assert (old["version"], old["status"], "action" in old) == (1, "superseded", False)
    assert new["configDigest"] != before["history"][0]["configDigest"] == old["configDigest"]
    assert (await lab.condition("Ready"))["message"] == (
        "Helm upgrade succeeded for release apps/web.v2 with chart web@1.0.0"
    )
    assert await lab.storage() == {
        "sh.helm.release.v1.web.v1": "superseded",
        "sh.helm.release.v1.web.v2": "deployed",
    }


async def test_a_new_version_of_the_chart_upgrades_a_release_and_removes_what_it_has_no_more(lab: Lab) -> None:
    extra = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\ndata: {a: b}\n"
    await lab.installed({**CHART, "templates/extra.yaml": extra})
    await lab.offer(CHART, "1.1.0")
    await lab.is_so("Released", "UpgradeSucceeded")
    assert (await lab.data() or {})["chart"] == "web-1.1.0"
    assert await lab.data("extra") is None


async def test_nothing_is_released_without_a_change(lab: Lab) -> None:
    before = await lab.installed(CHART)
    await lab.ask(request="1")
    await lab.ask(request="2")
    after = await lab.status()
    assert after["history"] == before["history"]
    assert list(await lab.storage()) == ["sh.helm.release.v1.web.v1"]


async def test_a_failed_upgrade_stays_with_the_last_good_release_second_in_the_history(lab: Lab) -> None:
    await lab.installed(WORKLOAD)
    await lab.change(values={"replicas": -1})
    status = await lab.is_so("Stalled", "RetriesExceeded", 2)
    message = f"Helm upgrade failed for release apps/web with chart web@1.0.0: {WRONG}"
    assert {c["type"]: c["message"] for c in status["conditions"]} == {
        "Stalled": "Failed to upgrade after 1 attempt(s)",
        "Ready": message,
        "Released": message,
    }
    assert [(one["version"], one["status"]) for one in status["history"]] == [(2, "failed"), (1, "deployed")]
    assert (status["failures"], status["upgradeFailures"]) == (1, 1)
    assert await lab.storage() == {"sh.helm.release.v1.web.v1": "deployed", "sh.helm.release.v1.web.v2": "failed"}
    await lab.change(values={"replicas": 0})
    healed = await lab.is_ready(3)
    assert "failures" not in healed and "upgradeFailures" not in healed


async def test_a_failed_upgrade_is_rolled_back_where_that_is_its_remediation(lab: Lab) -> None:
    await lab.installed(WORKLOAD, upgrade={"remediation": {"retries": 0, "remediateLastFailure": True}})
    await lab.change(values={"replicas": -1})
    status = await lab.is_so("Stalled", "RetriesExceeded", 2)
    conditions = {c["type"]: (c["status"], c["reason"], c["message"]) for c in status["conditions"]}
    back = "Helm rollback to previous release apps/web.v1 with chart web@1.0.0 succeeded"
    assert conditions["Ready"] == ("False", "RollbackSucceeded", back)
    assert conditions["Remediated"] == ("True", "RollbackSucceeded", back)
    assert [(one["version"], one["status"]) for one in status["history"]] == [
        (3, "deployed"),
        (2, "failed"),
        (1, "superseded"),
    ]
    [event] = lab.told("RollbackSucceeded")
    assert event["message"] == back


async def test_a_failed_upgrade_whose_remediation_is_uninstall_is_installed_anew(lab: Lab) -> None:
    remediation = {"retries": 0, "remediateLastFailure": True, "strategy": "uninstall"}
    await lab.installed(WORKLOAD, upgrade={"remediation": remediation})
    await lab.change(values={"replicas": -1})
    status = await lab.is_so("Stalled", "RetriesExceeded", 2)
    assert (await lab.condition("Stalled"))["message"] == "Failed to install after 1 attempt(s)"
    assert (status["failures"], status["installFailures"], status["upgradeFailures"]) == (2, 1, 1)
    assert [(one["version"], one["status"]) for one in status["history"]] == [(1, "failed")]
    assert await lab.client.find(path("apps/v1", "deployments", NAMESPACE, "web")) is None


async def test_a_failed_install_is_uninstalled_and_tried_again_until_its_retries_are_used_up(lab: Lab) -> None:
    await lab.release(values={"replicas": -1}, install={"remediation": {"retries": 1}})
    await lab.offer(WORKLOAD)
    status = await lab.is_so("Stalled", "RetriesExceeded", 1)
    assert (await lab.condition("Stalled"))["message"] == "Failed to install after 2 attempt(s)"
    assert (status["failures"], status["installFailures"], status["history"][0]["status"]) == (2, 2, "failed")
    assert await lab.storage() == {"sh.helm.release.v1.web.v1": "failed"}
    what = "Helm uninstall remediation for release apps/web.v1 with chart web@1.0.0 succeeded"
    assert [event["message"] for event in lab.told("UninstallSucceeded")] == [what]


async def test_the_last_failure_of_an_install_is_undone_too_where_that_is_asked_for(lab: Lab) -> None:
    remediation = {"retries": 0, "remediateLastFailure": True}
    await lab.release(values={"replicas": -1}, install={"remediation": remediation})
    await lab.offer(WORKLOAD)
    status = await lab.is_so("Stalled", "RetriesExceeded", 1)
    conditions = {c["type"]: c["reason"] for c in status["conditions"]}
    assert (conditions["Ready"], conditions["Remediated"]) == ("InstallFailed", "UninstallSucceeded")
    assert await lab.storage() == {}


async def test_a_release_whose_strategy_is_to_retry_waits_and_tries_again(lab: Lab) -> None:
    retry = {"name": "RetryOnFailure", "retryInterval": "1s"}
    await lab.installed(WORKLOAD, upgrade={"strategy": retry})
    await lab.change(values={"replicas": -1})
    status = await lab.is_so("Reconciling", "ProgressingWithRetry", 2)
    assert {c["type"]: c["message"] for c in status["conditions"]}["Reconciling"] == "retrying after 1s"

    def twice(obj: Any) -> bool:
        return bool(obj["status"].get("upgradeFailures", 0) >= 2)

    await lab.until(twice, lab.url)
    await lab.change(values={"replicas": 0})
    healed = await lab.is_ready(3)
    assert "failures" not in healed


async def test_failures_are_forgotten_when_that_is_asked_for(lab: Lab) -> None:
    await lab.installed(WORKLOAD)
    await lab.change(values={"replicas": -1})
    await lab.is_so("Stalled", "RetriesExceeded", 2)
    await lab.ask(request="1")
    assert (await lab.status())["upgradeFailures"] == 1
    assert list(await lab.storage()) == ["sh.helm.release.v1.web.v1", "sh.helm.release.v1.web.v2"]
    await lab.ask(reset="2")
    status = await lab.is_so("Stalled", "RetriesExceeded", 2)
    assert (status["lastHandledResetAt"], status["upgradeFailures"]) == ("2", 1)
    assert "sh.helm.release.v1.web.v3" in await lab.storage()


async def test_a_release_that_is_in_sync_is_upgraded_when_that_is_forced(lab: Lab) -> None:
    await lab.installed(CHART)
    await lab.ask(force="1")
    status = await lab.status()
    assert (status["lastHandledForceAt"], status["history"][0]["version"]) == ("1", 2)
    await lab.ask(request="2")
    assert (await lab.status())["history"][0]["version"] == 2


async def test_storage_keeps_as_many_releases_as_are_asked_for_and_the_deployed_one(lab: Lab) -> None:
    await lab.installed(CHART, maxHistory=1)
    for generation, colour in enumerate(("red", "green"), 2):
        await lab.change(values={"colour": colour})
        await lab.is_ready(generation)
    assert await lab.storage() == {
        "sh.helm.release.v1.web.v2": "superseded",
        "sh.helm.release.v1.web.v3": "deployed",
    }


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"releaseName": "other"}, "other"),
        ({"storageNamespace": "default"}, "web"),
    ],
)
async def test_a_release_that_goes_elsewhere_is_taken_away_from_where_it_was(
    lab: Lab, change: dict[str, Any], name: str
) -> None:
    await lab.installed(CHART)
    await lab.change(**change)
    status = await lab.is_ready(2)
    assert (status["history"][0]["name"], status["history"][0]["version"]) == (name, 1)
    assert (await lab.data() is None) == (name != "web")
    assert (await lab.data(name) or {})["kind"] == "install"
    assert len(await lab.storage(change.get("storageNamespace", NAMESPACE))) == 1


async def test_values_of_the_release_stay_below_new_ones_where_they_are_to_be_preserved(lab: Lab) -> None:
    template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {{ .Values.data | toJson }}\n"
    await lab.installed(
        {"templates/cm.yaml": template, "values.yaml": "data: {a: '1', b: '1', c: '1'}\n"},
        values={"data": {"b": "2"}},
        upgrade={"preserveValues": True},
    )
    await lab.change(values={"data": {"c": "3"}})
    await lab.is_ready(2)
    assert await lab.data() == {"a": "1", "b": "2", "c": "3"}


async def test_a_release_that_an_action_left_half_way_is_unlocked_and_made_anew(lab: Lab) -> None:
    await lab.installed(CHART)
    await lab.stopped("helm-controller")
    storage = Storage(lab.client, NAMESPACE)
    release = await storage.last("web")
    release["info"]["status"] = "pending-upgrade"
    await storage.update(release)
    await lab.scale("helm-controller", 1)
    await lab.is_so("Released", "UpgradeSucceeded")
    assert [event["message"] for event in lab.told("PendingRelease")] == [
        "Unlocked Helm release apps/web.v1 with chart web@1.0.0 in pending-upgrade state"
    ]


async def test_a_release_that_somebody_else_has_changed_is_upgraded(lab: Lab) -> None:
    await lab.installed(CHART)
    storage = Storage(lab.client, NAMESPACE)
    release = await storage.last("web")
    release["manifest"] += "\n# changed"
    await storage.update(release)
    await lab.ask(request="1")
    status = await lab.status()
    assert [one["version"] for one in status["history"]] == [2]  # what was before is nothing to go by


async def test_an_upgrade_on_the_clients_side_leaves_what_others_have_added(lab: Lab) -> None:
    await lab.installed(WORKLOAD, install={"serverSideApply": False})
    url = path("apps/v1", "deployments", NAMESPACE, "web")
    side = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "side:1"}]}}}}
    await lab.client.patch(url, side, STRATEGIC)
    await lab.change(values={"nodeSelector": {"disk": "ssd"}})
    await lab.is_ready(2)
    pod = (await lab.client.get(url))["spec"]["template"]["spec"]
    assert sorted(container["name"] for container in pod["containers"]) == ["side", "web"]
    assert pod["nodeSelector"] == {"disk": "ssd"}


async def test_what_a_failed_upgrade_has_created_goes_where_that_is_asked_for(lab: Lab) -> None:
    await lab.installed(CHART, upgrade={"cleanupOnFail": True})
    new = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a-new}\n"
    bad = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: z-bad}\ndata: {a: 1}\n"
    await lab.offer({**CHART, "templates/new.yaml": new, "templates/z.yaml": bad}, "1.1.0")
    await lab.is_so("Released", "UpgradeFailed")
    [event] = lab.told("UpgradeFailed")
    assert 'cleanup on fail set: {"cleaning_resources":2}' in event["message"]
    assert "resource cleanup complete: {}" in event["message"]
    assert await lab.data("a-new") is None


async def test_a_rollback_that_fails_is_told_of(lab: Lab) -> None:
    await lab.installed(CHART, upgrade={"remediation": {"retries": 1}}, rollback={"timeout": "1s"})
    hook = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: h, annotations: {helm.sh/hook: pre-rollback}}\ndata: {a: 1}\n"
    await lab.offer({**CHART, "templates/h.yaml": hook}, "1.1.0")
    await lab.until(lambda obj: "1.1.0" in str((obj or {})["status"]["history"][0]), lab.url)
    bad = CHART["templates/cm.yaml"].replace("colour: {{ .Values.colour | quote }}", "colour: 1")
    await lab.offer({**CHART, "templates/cm.yaml": bad}, "1.2.0")
    status = await lab.is_so("Remediated", "RollbackFailed")
    assert status["failures"] >= 2
    assert "warning: Hook pre-rollback web/templates/h.yaml failed" in (await lab.condition("Remediated"))["message"]
