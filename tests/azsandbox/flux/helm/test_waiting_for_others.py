"""What a release waits for before it is made: dependencies and sources."""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.client import Object, path
from azsandbox.flux.helm.chart_template import SOURCE
from tests.azsandbox.flux.helm.releasing import CHART, HELM, NAMESPACE, Lab


async def other(lab: Lab, name: str, **spec: Any) -> str:
    """Creates another HelmRelease; returns its path."""
    chart = {"spec": {"chart": "web", "sourceRef": {"kind": "HelmRepository", "name": "charts"}}}
    body = {"apiVersion": HELM, "kind": "HelmRelease", "metadata": {"name": name}}
    url = path(HELM, "helmreleases", NAMESPACE)
    await lab.client.create(url, {**body, "spec": {"interval": "10m", "chart": chart, "suspend": True, **spec}})
    return f"{url}/{name}"


async def test_a_release_waits_for_those_that_it_depends_on(lab: Lab) -> None:
    await lab.release(dependsOn=[{"name": "base"}])
    await lab.offer(CHART)
    await lab.is_so("Ready", "DependencyNotReady")
    assert (await lab.condition("Ready"))["message"] == (
        "unable to get 'apps/base' dependency: helmreleases.helm.toolkit.fluxcd.io \"base\" not found"
    )
    url = await other(lab, "base")
    await lab.ask(request="1")
    status = await lab.status()
    assert {c["type"]: c["message"] for c in status["conditions"]} == {
        "Ready": "dependency 'apps/base' is not ready",
        "Reconciling": "Fulfilling prerequisites",
    }
    assert status["observedGeneration"] == -1
    ready = {"type": "Ready", "status": "True", "reason": "InstallSucceeded", "message": "made"}
    times = {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}
    await lab.say(url, {"observedGeneration": 1, "conditions": [{**ready, **times}]})
    await lab.is_ready()


async def test_a_dependency_is_ready_when_its_expression_says_so(lab: Lab) -> None:
    expression = "dep.metadata.labels['version'] == self.metadata.annotations['wants']"
    await other(lab, "base")
    await lab.release(dependsOn=[{"name": "base", "readyExpr": expression}])
    await lab.client.patch(lab.url, {"metadata": {"annotations": {"wants": "2"}}})
    base = path(HELM, "helmreleases", NAMESPACE, "base")
    await lab.client.patch(base, {"metadata": {"labels": {"version": "1"}}})
    await lab.offer(CHART)
    await lab.ask(request="1")
    await lab.is_so("Ready", "DependencyNotReady")
    assert (await lab.condition("Ready"))["message"] == (
        "dependency 'apps/base' is not ready according to readyExpr eval"
    )
    await lab.client.patch(base, {"metadata": {"labels": {"version": "2"}}})
    await lab.ask(request="2")
    await lab.is_ready()


async def test_an_expression_that_is_none_ends_the_reconciliation(lab: Lab) -> None:
    await other(lab, "base")
    await lab.release(dependsOn=[{"name": "base", "readyExpr": "nothing.x"}])
    status = await lab.is_so("Stalled", "InvalidCELExpression", 1)
    start = "Reconciliation failed terminally due to configuration error: failed to evaluate dependency base: "
    assert all(c["message"].startswith(start) for c in status["conditions"])


async def test_a_release_without_its_source_is_not_ready(lab: Lab) -> None:
    await lab.release(chartRef={"kind": "OCIRepository", "name": "web"})
    status = await lab.is_so("Ready", "ArtifactFailed")
    assert (await lab.condition("Ready"))["message"] == (
        'could not get Source object: OCIRepository.source.toolkit.fluxcd.io "web" not found'
    )
    assert status["observedGeneration"] == -1


async def test_a_release_waits_for_its_chart_and_says_what_is_wrong_with_it(lab: Lab) -> None:
    await lab.release()
    url = path(SOURCE, "helmcharts", NAMESPACE, f"{NAMESPACE}-web")
    await lab.is_so("Ready", "SourceNotReady")
    message = "HelmChart 'apps/apps-web' is not ready: latest generation of object has not been reconciled"
    assert (await lab.condition("Ready"))["message"] == message
    wrong: Object = {
        "type": "Ready",
        "status": "False",
        "reason": "InvalidChartReference",
        "message": "no chart name found",
    }
    times = {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}
    await lab.say(url, {"conditions": [{**wrong, **times}]})
    await lab.ask(request="1")
    assert (await lab.condition("Ready"))["message"] == "HelmChart 'apps/apps-web' is not ready: no chart name found"
    await lab.offer(CHART)
    await lab.is_ready()


async def test_an_artifact_that_is_gone_or_broken_is_said_to_be(lab: Lab) -> None:
    await lab.installed(CHART)
    url = path(SOURCE, "helmcharts", NAMESPACE, f"{NAMESPACE}-web")
    artifact = (await lab.client.get(url))["status"]["artifact"]
    file = lab.artifacts.file(artifact)
    file.write_bytes(b"broken")
    await lab.ask(request="1")
    message = f"Could not load chart: integrity failure: computed digest doesn't match '{artifact['digest']}'"
    assert (await lab.condition("Ready"))["message"] == message
    file.unlink()
    await lab.ask(request="2")
    assert (await lab.condition("Ready"))["message"] == "Source not ready: artifact not found. Retrying in 30s"
    assert (await lab.data() or {})["revision"] == "1"


async def test_a_template_that_changes_hands_leaves_no_helm_chart_behind(lab: Lab) -> None:
    await lab.installed(CHART)
    await lab.offer_oci(CHART)
    await lab.change(chart=None, chartRef={"kind": "OCIRepository", "name": "web"})
    await lab.is_ready(2)
    assert await lab.client.find(path(SOURCE, "helmcharts", NAMESPACE, f"{NAMESPACE}-web")) is None
    assert "helmChart" not in await lab.status()
