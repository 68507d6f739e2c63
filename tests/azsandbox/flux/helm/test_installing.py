"""Installing a release."""

from __future__ import annotations

import asyncio

from azsandbox.controllers.client import path
from tests.azsandbox.flux.helm.releasing import CHART, NAMESPACE, WORKLOAD, Lab

WIDGET = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  names: {kind: Widget, plural: widgets, singular: widget}
  scope: Namespaced
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
"""
WIDGETS = {
    "crds/w.yaml": WIDGET,
    "templates/w.yaml": "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: one}\nspec: {a: b}\n",
}


async def test_a_release_is_installed_from_the_helm_chart_that_its_template_makes(lab: Lab) -> None:
    status = await lab.installed(CHART, values={"colour": "red"})
    assert await lab.data() == {"chart": "web-1.0.0", "colour": "red", "kind": "install", "revision": "1"}
    assert status["helmChart"] == f"{NAMESPACE}/{NAMESPACE}-web"
    message = "Helm install succeeded for release apps/web.v1 with chart web@1.0.0"
    conditions = [(c["type"], c["status"], c["reason"], c["message"]) for c in status["conditions"]]
    assert conditions == [
        ("Ready", "True", "InstallSucceeded", message),
        ("Released", "True", "InstallSucceeded", message),
    ]
    assert status["inventory"]["entries"] == [{"id": "apps_web__ConfigMap", "v": "v1"}]
    assert (status["history"][0]["status"], status["history"][0]["action"]) == ("deployed", "install")
    assert await lab.storage() == {"sh.helm.release.v1.web.v1": "deployed"}
    found = await lab.client.get(path("v1", "configmaps", NAMESPACE, "web"))
    assert found["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "Helm",
        "helm.toolkit.fluxcd.io/name": "web",
        "helm.toolkit.fluxcd.io/namespace": NAMESPACE,
    }
    assert {entry["manager"]: entry["operation"] for entry in found["metadata"]["managedFields"]} == {
        "helm-controller": "Apply"
    }
    [event] = lab.told("InstallSucceeded")
    assert event["metadata"] == {
        "helm.toolkit.fluxcd.io/app-version": "1.0.0",
        "helm.toolkit.fluxcd.io/revision": "1.0.0",
        "helm.toolkit.fluxcd.io/token": status["history"][0]["configDigest"],
    }
    url = path("v1", "events", NAMESPACE)
    chart_events = [e["message"] for e in await lab.client.list(url) if e["reason"] == "HelmChartCreated"]
    assert chart_events == ["Created HelmChart/apps/apps-web with SourceRef 'HelmRepository/apps/charts'"]


async def test_a_chart_from_an_oci_repository_has_the_digest_in_its_version(lab: Lab) -> None:
    digest = await lab.offer_oci(CHART)
    await lab.release(chartRef={"kind": "OCIRepository", "name": "web"})
    status = await lab.is_ready()
    version = f"1.0.0+{digest[7:19]}"
    assert (await lab.data() or {})["chart"] == f"web-{version}"
    assert (status["lastAttemptedRevision"], status["lastAttemptedRevisionDigest"]) == (version, digest)
    assert (status["history"][0]["chartVersion"], status["history"][0]["ociDigest"]) == (version, digest)
    await lab.offer_oci({**CHART, "values.yaml": "colour: green\n"})
    await lab.is_so("Released", "UpgradeSucceeded")
    assert (await lab.data() or {})["colour"] == "green"


async def test_an_install_waits_for_its_deployments_and_says_which_was_late(lab: Lab) -> None:
    await lab.release(timeout="1s", values={"replicas": 1, "nodeSelector": {"disk": "none"}})
    await lab.offer(WORKLOAD)
    status = await lab.is_so("Stalled", "RetriesExceeded", 1)
    late = "timeout waiting for: [Deployment/apps/web status: 'InProgress']"
    message = f"Helm install failed for release apps/web with chart web@1.0.0: {late}"
    assert {c["type"]: c["message"] for c in status["conditions"]} == {
        "Stalled": "Failed to install after 1 attempt(s)",
        "Ready": message,
        "Released": message,
    }
    assert (status["failures"], status["installFailures"], status["history"][0]["status"]) == (1, 1, "failed")
    [event] = lab.told("InstallFailed")
    start, _, logs = event["message"].partition("\n\nLast Helm logs:\n\n")
    assert start == message
    assert 'Created resource via patch: {"gvk":"apps/v1, Kind=Deployment","name":"web","namespace":"apps"}' in logs


async def test_an_install_is_done_as_soon_as_its_deployment_is_available(lab: Lab) -> None:
    await lab.release(values={"replicas": 1})
    async with asyncio.timeout(10):
        await lab.offer(WORKLOAD)
        await lab.is_ready()
    assert (await lab.client.get(path("apps/v1", "deployments", NAMESPACE, "web")))["status"]["availableReplicas"] == 1


async def test_an_install_that_does_not_wait_is_done_at_once(lab: Lab) -> None:
    await lab.installed(
        WORKLOAD, values={"replicas": 1, "nodeSelector": {"disk": "none"}}, install={"disableWait": True}
    )
    assert (await lab.client.get(path("apps/v1", "deployments", NAMESPACE, "web"))).get("status", {}).get(
        "availableReplicas"
    ) is None


async def test_definitions_of_a_chart_come_before_its_custom_resources(lab: Lab) -> None:
    status = await lab.installed(WIDGETS)
    assert (await lab.client.get(path("example.com/v1", "widgets", NAMESPACE, "one")))["spec"] == {"a": "b"}
    definition = path("apiextensions.k8s.io/v1", "customresourcedefinitions", "", "widgets.example.com")
    assert (await lab.client.get(definition))["metadata"]["labels"]["helm.toolkit.fluxcd.io/name"] == "web"
    assert [entry["id"] for entry in status["inventory"]["entries"]] == [
        "apps_one_example.com_Widget",
        "_widgets.example.com_apiextensions.k8s.io_CustomResourceDefinition",
    ]


async def test_without_its_definitions_a_custom_resource_fails_the_install_and_nothing_is_stored(lab: Lab) -> None:
    await lab.release(install={"crds": "Skip"})
    await lab.offer(WIDGETS)
    status = await lab.is_so("Released", "InstallFailed")
    assert (await lab.condition("Released"))["message"] == (
        "Helm install failed for release apps/web with chart web@1.0.0: unable to build kubernetes objects from "
        'release manifest: resource mapping not found for name: "one" namespace: "" from "": no matches for kind '
        '"Widget" in version "example.com/v1"\nensure CRDs are installed first'
    )
    assert "history" not in status
    assert await lab.storage() == {}
    assert not any(c["type"] == "Stalled" for c in status["conditions"])


async def test_an_object_of_nobody_is_taken_over_unless_that_is_not_wanted(lab: Lab) -> None:
    await lab.client.create(
        path("v1", "configmaps", NAMESPACE), {"metadata": {"name": "web"}, "data": {"colour": "old"}}
    )
    await lab.release(install={"disableTakeOwnership": True})
    await lab.offer(CHART)
    await lab.is_so("Released", "InstallFailed")
    assert (await lab.condition("Released"))["message"].partition("web@1.0.0: ")[2] == (
        'unable to continue with install: ConfigMap "web" in namespace "apps" exists and cannot be imported into the '
        "current release: invalid ownership metadata; label validation error: missing key "
        '"app.kubernetes.io/managed-by": must be set to "Helm"; annotation validation error: missing key '
        '"meta.helm.sh/release-name": must be set to "web"; annotation validation error: missing key '
        '"meta.helm.sh/release-namespace": must be set to "apps"'
    )
    await lab.change(install={"disableTakeOwnership": False})
    await lab.is_ready(2)
    assert (await lab.data() or {})["colour"] == "blue"


async def test_a_release_goes_to_its_target_namespace_which_is_made_if_that_is_asked_for(lab: Lab) -> None:
    status = await lab.installed(CHART, targetNamespace="elsewhere", install={"createNamespace": True})
    assert (await lab.data("elsewhere-web", "elsewhere") or {})["revision"] == "1"
    assert (status["history"][0]["name"], status["history"][0]["namespace"]) == ("elsewhere-web", "elsewhere")
    assert list(await lab.storage()) == ["sh.helm.release.v1.elsewhere-web.v1"]


async def test_a_release_of_a_name_too_long_gets_a_shorter_one(lab: Lab) -> None:
    await lab.installed(CHART, targetNamespace="a" * 52, install={"createNamespace": True})
    [name] = await lab.storage()
    short = name.removeprefix("sh.helm.release.v1.").removesuffix(".v1")
    assert len(short) == 53
    assert short.startswith("a" * 40 + "-")


async def test_a_chart_sees_the_clusters_version_and_api_versions(lab: Lab) -> None:
    template = """
apiVersion: v1
kind: ConfigMap
metadata: {name: seen}
data:
  version: "{{ .Capabilities.KubeVersion }}"
  deployments: "{{ .Capabilities.APIVersions.Has "apps/v1/Deployment" }}"
  none: "{{ .Capabilities.APIVersions.Has "example.com/v9" }}"
  helm: "{{ .Capabilities.HelmVersion.Version }}"
  namespace: "{{ (lookup "v1" "Namespace" "" "apps").status.phase }}"
"""
    await lab.installed({"templates/seen.yaml": template})
    found = await lab.data("seen") or {}
    version = (await lab.client.get("/version"))["gitVersion"]
    assert found == {
        "version": version,
        "deployments": "true",
        "none": "false",
        "helm": "v4.2",
        "namespace": "Active",
    }


async def test_a_chart_that_does_not_take_the_clusters_version_is_not_installed(lab: Lab) -> None:
    await lab.release()
    await lab.offer(CHART, more='kubeVersion: "<1.20.0-0"\n')
    await lab.is_so("Released", "InstallFailed")
    version = (await lab.client.get("/version"))["gitVersion"]
    assert (await lab.condition("Released"))["message"].partition("web@1.0.0: ")[2] == (
        f"chart requires kubeVersion: <1.20.0-0 which is incompatible with Kubernetes {version}"
    )


async def test_a_dependency_of_a_chart_is_installed_where_its_condition_holds(lab: Lab) -> None:
    parts = {
        "charts/part/Chart.yaml": "apiVersion: v2\nname: part\nversion: 1.0.0\n",
        "charts/part/templates/p.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: part}\ndata: {a: b}\n",
        "values.yaml": "colour: blue\npart: {enabled: false}\n",
    }
    more = "dependencies:\n- {name: part, version: 1.0.0, condition: part.enabled}\n"
    await lab.release()
    await lab.offer({**CHART, **parts}, more=more)
    await lab.is_ready()
    assert await lab.data("part") is None
    await lab.change(values={"part": {"enabled": True}})
    await lab.is_ready(2)
    assert await lab.data("part") == {"a": "b"}
