"""What becomes of a release when its HelmRelease goes, and who acts on it."""

from __future__ import annotations

from azsandbox.controllers.client import path
from azsandbox.flux.helm.chart_template import SOURCE
from tests.azsandbox.flux.helm.releasing import CHART, NAMESPACE, Lab

RBAC = "rbac.authorization.k8s.io/v1"
KEPT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept, annotations: {helm.sh/resource-policy: keep}}\n"


async def delete(lab: Lab) -> None:
    await lab.client.delete(lab.url)
    await lab.until(lambda found: found is None, lab.url)


async def test_a_deleted_release_is_uninstalled_with_its_storage_and_its_helm_chart(lab: Lab) -> None:
    await lab.installed({**CHART, "templates/kept.yaml": KEPT})
    await delete(lab)
    assert await lab.data() is None
    assert await lab.storage() == {}
    assert await lab.client.find(path(SOURCE, "helmcharts", NAMESPACE, f"{NAMESPACE}-web")) is None
    kept = await lab.client.get(path("v1", "configmaps", NAMESPACE, "kept"))
    assert kept["metadata"]["annotations"]["meta.helm.sh/release-name"] == "web"
    assert lab.told("UninstallSucceeded")[0]["message"] == (
        "Helm uninstall succeeded for release apps/web.v1 with chart web@1.0.0"
    )


async def test_the_history_of_a_deleted_release_stays_where_it_is_to_be_kept(lab: Lab) -> None:
    await lab.installed(CHART, uninstall={"keepHistory": True})
    await delete(lab)
    assert await lab.storage() == {"sh.helm.release.v1.web.v1": "uninstalled"}


async def test_deleting_a_suspended_release_leaves_everything_as_it_is(lab: Lab) -> None:
    await lab.installed(CHART)
    await lab.change(suspend=True)
    await delete(lab)
    assert (await lab.data() or {})["colour"] == "blue"
    assert await lab.storage() == {"sh.helm.release.v1.web.v1": "deployed"}


async def test_a_suspended_release_says_that_it_has_been_seen_and_is_left_alone(lab: Lab) -> None:
    await lab.installed(CHART)
    await lab.change(suspend=True, values={"colour": "red"})
    await lab.ask(request="1")
    status = await lab.status()
    assert (status["observedGeneration"], status["lastHandledReconcileAt"]) == (2, "1")
    assert (await lab.data() or {})["colour"] == "blue"
    await lab.change(suspend=False)
    await lab.is_ready(3)
    assert (await lab.data() or {})["colour"] == "red"


async def test_a_release_that_helm_has_uninstalled_is_no_hindrance_to_deletion(lab: Lab) -> None:
    await lab.installed(CHART)
    await lab.client.delete(path("v1", "secrets", NAMESPACE, "sh.helm.release.v1.web.v1"))
    await delete(lab)
    assert (await lab.data() or {})["colour"] == "blue"


async def test_storage_is_read_as_the_account_that_the_release_names(lab: Lab) -> None:
    await lab.client.create(path("v1", "serviceaccounts", NAMESPACE), {"metadata": {"name": "deployer"}})
    await lab.release(serviceAccountName="deployer")
    await lab.offer(CHART)
    await lab.is_so("Ready", "StateError")
    assert (await lab.condition("Ready"))["message"] == (
        "Could not determine release state: failed to retrieve last release from storage: query: failed to query with "
        'labels: secrets is forbidden: User "system:serviceaccount:apps:deployer" cannot list resource "secrets" in '
        'API group "" in the namespace "apps"'
    )
    rule = {"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["*"]}
    await lab.client.create(path(RBAC, "roles", NAMESPACE), {"metadata": {"name": "deployer"}, "rules": [rule]})
    binding = {
        "metadata": {"name": "deployer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"},
        "subjects": [{"kind": "ServiceAccount", "name": "deployer", "namespace": NAMESPACE}],
    }
    await lab.client.create(path(RBAC, "rolebindings", NAMESPACE), binding)
    await lab.ask(request="1")
    await lab.is_ready()


async def test_a_deleted_namespace_takes_its_releases_along(lab: Lab) -> None:
    await lab.installed(CHART)
    await lab.client.delete(path("v1", "namespaces", "", NAMESPACE))
    await lab.until(lambda found: found is None, path("v1", "namespaces", "", NAMESPACE))
    assert await lab.client.find(lab.url) is None


async def test_a_deleted_target_namespace_is_told_of_and_heals_once_it_is_back(lab: Lab) -> None:
    await lab.client.create(path("v1", "namespaces"), {"metadata": {"name": "target"}})
    await lab.installed(CHART, targetNamespace="target", driftDetection={"mode": "enabled"})
    await lab.client.delete(path("v1", "namespaces", "", "target"))
    await lab.until(lambda found: found is None, path("v1", "namespaces", "", "target"))
    await lab.ask(request="1")
    ready = await lab.condition("Ready")
    assert ready["status"] == "False"
    assert 'namespaces "target" not found' in ready["message"]
    await lab.client.create(path("v1", "namespaces"), {"metadata": {"name": "target"}})
    await lab.ask(request="2")
    await lab.is_ready()
    assert await lab.data("target-web", "target") is not None
