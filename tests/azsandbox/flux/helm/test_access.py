"""As whom and where releases are made, and what the controller's arguments say about that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from azsandbox.certificates import Authority
from azsandbox.controllers.client import KubeClient, path
from azsandbox.controllers.informer import Informers
from azsandbox.controllers.transports import Network
from azsandbox.flux.helm.chart_template import SOURCE
from azsandbox.flux.helm.helm_releases import HelmReleaseReconciler
from tests.azsandbox.flux.helm.releasing import CHART, HELM, NAMESPACE, Lab

SECRET = path("v1", "secrets", NAMESPACE, "remote")


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Lab]:
    """A cluster that is reached by network too."""
    found = Lab(tmp_path, Authority(tmp_path / "certificates"))
    await found.start()
    yield found
    await found.cluster.stop()


def kubeconfig(cluster: dict[str, str] | None = None, user: dict[str, str] | None = None) -> str:
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {"token": "t"}}],
    }
    return orjson.dumps(config).decode()


FILE = "references a {}, only {} is supported"
BAD = [
    ("a: b: c", "yaml: mapping values are not allowed in this context"),
    (
        "",
        "invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable",
    ),
    (
        kubeconfig({"certificate-authority": "/ca"}),
        "cluster 'c' " + FILE.format("certificate-authority file", "certificate-authority-data"),
    ),
    (kubeconfig(user={"tokenFile": "/t"}), "user 'u' " + FILE.format("tokenFile", "an inline token")),
]


async def test_a_release_is_made_in_the_cluster_of_a_kubeconfig(served: Lab) -> None:
    lab = served
    await lab.release(kubeConfig={"secretRef": {"name": "remote"}})
    await lab.offer(CHART)
    await lab.is_so("Ready", "RESTClientError")
    ready = await lab.condition("Ready")
    assert ready["message"] == "could not get KubeConfig secret 'apps/remote': secrets \"remote\" not found"
    await lab.client.create(
        path("v1", "secrets", NAMESPACE), {"metadata": {"name": "remote"}, "stringData": {"x": "y"}}
    )
    await lab.ask(request="1")
    missing = "KubeConfig secret 'apps/remote' does not contain a 'value' or 'value.yaml' key with data"
    assert (await lab.condition("Ready"))["message"] == missing
    for number, (text, message) in enumerate(BAD):
        await lab.client.patch(SECRET, {"stringData": {"value": text}})
        await lab.ask(request=f"bad {number}")
        expected = f"failed to load KubeConfig from secret 'apps/remote': {message}"
        assert (await lab.condition("Ready"))["message"] == expected
    await lab.client.patch(SECRET, {"stringData": {"value": kubeconfig()}})
    await lab.ask(request="nobody there")
    url = "https://127.0.0.1:1/api/v1/namespaces/apps/secrets?labelSelector=name%3Dweb%2Cowner%3Dhelm"
    wrong = f'query: failed to query with labels: Get "{url}": dial tcp 127.0.0.1:1: connect: connection refused'
    text = f"Could not determine release state: failed to retrieve last release from storage: {wrong}"
    assert (await lab.condition("Ready"))["message"] == text
    await lab.client.patch(SECRET, {"stringData": {"value": lab.cluster.kubeconfig()}})
    await lab.ask(request="good")
    await lab.is_ready()
    assert await lab.data() is not None


async def test_a_release_whose_kubeconfig_is_gone_is_left_when_it_is_deleted(served: Lab) -> None:
    lab = served
    secret = {"metadata": {"name": "remote"}, "stringData": {"value": lab.cluster.kubeconfig()}}
    await lab.client.create(path("v1", "secrets", NAMESPACE), secret)
    await lab.installed(CHART, kubeConfig={"secretRef": {"name": "remote"}})
    await lab.client.delete(SECRET)
    await lab.client.delete(lab.url)
    await lab.until(lambda found: found is None, lab.url)
    assert await lab.data() is not None


async def test_a_cloud_provider_gives_no_access_here(lab: Lab) -> None:
    await lab.release(kubeConfig={"configMapRef": {"name": "remote"}})
    await lab.offer(CHART)
    status = await lab.is_so("Stalled", "NotSupportedInSandbox")
    assert status["observedGeneration"] == 1
    assert "spec.kubeConfig.configMapRef" in (await lab.condition("Ready"))["message"]
    await lab.client.delete(lab.url)
    await lab.until(lambda found: found is None, lab.url)


async def test_a_release_that_names_no_account_is_made_as_the_default_one(lab: Lab) -> None:
    await lab.given("--default-service-account=deployer")
    await lab.release()
    await lab.offer(CHART)
    await lab.is_so("Ready", "StateError")
    message = (await lab.condition("Ready"))["message"]
    assert 'User "system:serviceaccount:apps:deployer" cannot list resource "secrets"' in message
    await lab.client.delete(lab.url)
    await lab.until(lambda found: found is None, lab.url)


async def test_sources_in_other_namespaces_are_refused_where_they_are_not_allowed(lab: Lab) -> None:
    await lab.given("--no-cross-namespace-refs=true")
    await lab.release(chartRef={"kind": "OCIRepository", "name": "web", "namespace": "default"})
    await lab.is_so("Stalled", "AccessDenied")
    denied = "cross-namespace references are not allowed: cannot access {}"
    assert (await lab.condition("Ready"))["message"] == denied.format("OCIRepository default/web")
    source = {"kind": "HelmRepository", "name": "charts", "namespace": "default"}
    body = {
        "apiVersion": HELM,
        "kind": "HelmRelease",
        "metadata": {"name": "other"},
        "spec": {"interval": "10m", "chart": {"spec": {"chart": "web", "sourceRef": source}}},
    }
    await lab.client.create(path(HELM, "helmreleases", NAMESPACE), body)
    lines = ""
    async with asyncio.timeout(10):
        while denied.format("HelmChart default/apps-other") not in lines:
            lines = lab.log()
            await asyncio.sleep(0.05)
    assert await lab.client.list(path(SOURCE, "helmcharts", "default")) == []


async def test_the_defaults_of_helm_3_are_taken_where_the_controller_is_told_to(lab: Lab) -> None:
    await lab.given("--feature-gates=UseHelm3Defaults=true")
    await lab.installed(CHART)
    found = await lab.client.get(path("v1", "configmaps", NAMESPACE, "web"))
    [own] = [entry for entry in found["metadata"]["managedFields"] if entry["manager"] == "helm-controller"]
    assert own["operation"] == "Update"


async def test_failures_are_retried_without_end_where_the_controller_is_told_to(lab: Lab) -> None:
    await lab.given("--feature-gates=DefaultToRetryOnFailure=true")
    bad = CHART["templates/cm.yaml"].replace("colour: {{ .Values.colour | quote }}", "colour: 1")
    await lab.release()
    await lab.offer({**CHART, "templates/cm.yaml": bad})
    await lab.is_so("Reconciling", "ProgressingWithRetry")
    assert (await lab.condition("Reconciling"))["message"] == "retrying after 5m0s"


async def test_fields_of_managers_to_override_are_the_controllers_when_it_looks_for_drift(lab: Lab) -> None:
    await lab.given("--override-manager=intruder")
    await lab.installed(CHART, driftDetection={"mode": "enabled"})
    url = path("v1", "configmaps", NAMESPACE, "web")
    await lab.client.request(
        "PATCH", url, {"data": {"more": "x"}}, {"fieldManager": "intruder"}, "application/merge-patch+json"
    )
    await lab.ask(request="1")
    await lab.until(lambda found: found is not None and "more" not in found["data"], url)
    managers = {entry["manager"] for entry in (await lab.client.get(url))["metadata"]["managedFields"]}
    assert "intruder" not in managers


async def test_the_controller_works_as_well_over_the_network(served: Lab, tmp_path: Path) -> None:
    lab = served
    await lab.stopped("helm-controller")
    file = tmp_path / "kubeconfig"
    file.write_text(lab.cluster.kubeconfig())
    client = KubeClient(Network(file), "helm-controller")
    informers = Informers(client)
    reconciler = HelmReleaseReconciler(client, informers, flux=lab.flux, namespace="flux-system")
    await informers.synced()
    task = asyncio.create_task(reconciler.run())
    try:
        status = await lab.installed(CHART, driftDetection={"mode": "enabled"})
        assert status["history"][0]["status"] == "deployed"
        await lab.client.delete(lab.url)
        await lab.until(lambda found: found is None, lab.url)
        assert await lab.data() is None
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await informers.stop()
        await client.close()
