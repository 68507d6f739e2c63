"""HelmRepositories and the HelmCharts of them, of registries and of Git repositories."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from azsandbox.flux.source.chart import Chart, unpack
from tests.azsandbox.flux.source.conftest import Sources, basic, condition
from tests.fidelity.fixtures import Fixtures

REPOSITORY, CHART, GIT = "HelmRepository", "HelmChart", "GitRepository"
FILES = {"values.yaml": "colour: blue\nsize: {w: 1, h: 2}\n", "templates/cm.yaml": "kind: ConfigMap\n"}


async def repository(sources: Sources, **spec: Any) -> None:
    await sources.make(REPOSITORY, "charts", **{"url": f"http://{sources.fixtures.address}/charts/team", **spec})


async def chart(sources: Sources, kind: str = REPOSITORY, source: str = "charts", **spec: Any) -> None:
    await sources.make(CHART, **{"chart": "web", "sourceRef": {"kind": kind, "name": source}, **spec})


async def built(sources: Sources) -> Chart:
    """The chart in the artifact."""
    status = await sources.ready(CHART)
    return Chart.load(unpack(sources.artifacts.file(status["artifact"]).read_bytes()))


async def test_a_version_is_chosen_by_its_range_and_pulled_as_it_is(sources: Sources, fixtures: Fixtures) -> None:
    digests = {v: fixtures.chart("web", v, FILES, "team") for v in ("1.0.0", "1.10.0", "1.9.0", "2.0.0-rc.1")}
    await repository(sources)
    await sources.ready(REPOSITORY, "charts")
    await chart(sources, version="<2")
    artifact = (await sources.ready(CHART))["artifact"]
    assert artifact["revision"] == "1.10.0"
    assert artifact["digest"] == f"sha256:{digests['1.10.0']}"
    await sources.change(CHART, version=">=2.0.0-0")
    assert (await sources.ready(CHART))["artifact"]["revision"] == "2.0.0-rc.1"


@pytest.mark.parametrize(
    ("spec", "reason", "message"),
    [
        (
            {"version": "3.x"},
            "InvalidChartReference",
            "failed to get chart version for remote reference: no 'web' chart with version matching '3.x' found",
        ),
        (
            {"chart": "none"},
            "InvalidChartReference",
            "failed to get chart version for remote reference: no chart name found",
        ),
    ],
)
async def test_a_chart_that_does_not_exist_stalls_until_it_is_asked_for_otherwise(
    sources: Sources, fixtures: Fixtures, spec: dict[str, str], reason: str, message: str
) -> None:
    fixtures.chart("web", "1.0.0", FILES, "team")
    await repository(sources)
    await sources.ready(REPOSITORY, "charts")
    await chart(sources, **spec)
    obj = await sources.until(CHART, "it", lambda found: condition(found, "Stalled"))
    assert condition(obj, "Stalled")["reason"] == reason
    assert condition(obj, "Stalled")["message"] == f"invalid chart reference: {message}"
    await sources.change(CHART, chart="web", version="1.x")
    assert (await sources.ready(CHART))["artifact"]["revision"] == "1.0.0"


async def test_values_files_are_laid_over_each_other_and_make_another_version(
    sources: Sources, fixtures: Fixtures
) -> None:
    fixtures.chart("web", "1.0.0", {**FILES, "prod.yaml": "colour: red\nsize: {w: 3}\n"}, "team")
    await repository(sources)
    await sources.ready(REPOSITORY, "charts")
    await chart(sources, valuesFiles=["values.yaml", "prod.yaml"])
    found = await built(sources)
    assert found.values == {"colour": "red", "size": {"w": 3, "h": 2}}
    assert found.metadata["version"] == "1.0.0+1"
    status = await sources.ready(CHART)
    assert status["conditions"][0]["message"] == (
        "packaged 'web' chart with version '1.0.0+1' and merged values files [values.yaml prod.yaml]"
    )
    await sources.change(CHART, valuesFiles=["values.yaml", "none.yaml"], ignoreMissingValuesFiles=True)
    assert (await sources.ready(CHART))["artifact"]["revision"] == "1.0.0+2"


async def test_a_repository_wants_a_user_and_its_charts_are_fetched_as_the_same(
    sources: Sources, fixtures: Fixtures
) -> None:
    fixtures.chart("web", "1.0.0", FILES, "team")
    fixtures.guarded["/charts/"] = basic("me", "secret")
    await sources.secret("creds", username="me")
    await repository(sources, secretRef={"name": "creds"})
    failed = await sources.failed(REPOSITORY, "charts")
    assert failed["reason"] == "AuthenticationFailed"
    assert failed["message"] == (
        "failed to detect authentication methods: secret 'apps/creds': malformed basic auth - has 'username' but "
        "missing 'password'"
    )
    await sources.secret("whole", username="me", password="secret")
    await sources.change(REPOSITORY, "charts", secretRef={"name": "whole"})
    await sources.ready(REPOSITORY, "charts")
    await chart(sources)
    assert (await sources.ready(CHART))["artifact"]["revision"] == "1.0.0"


async def test_an_index_that_is_none_is_told(sources: Sources, fixtures: Fixtures) -> None:
    fixtures.files["team/index.yaml"] = b"a: [1"
    await repository(sources)
    failed = await sources.failed(REPOSITORY, "charts")
    assert failed["reason"] == "IndexationFailed"
    start = "failed to load Helm repository from index YAML: failed to load index: error converting YAML to JSON: yaml:"
    assert failed["message"].startswith(start)


async def test_a_registry_is_a_record_and_its_charts_come_by_tag(sources: Sources, fixtures: Fixtures) -> None:
    digest = fixtures.chart("web", "1.1.0", FILES, "team")
    fixtures.chart("web", "1.2.0-rc.1", FILES, "team")
    await sources.make(REPOSITORY, "charts", url=f"oci://{fixtures.address}/team", type="oci", insecure=True)
    await chart(sources, version="1.x")
    artifact = (await sources.ready(CHART))["artifact"]
    assert (artifact["revision"], artifact["digest"]) == ("1.1.0", f"sha256:{digest}")
    record = await sources.flux.client.get(sources.url(REPOSITORY, "charts"))
    assert not record["metadata"].get("finalizers")
    assert not record.get("status")
    await sources.change(CHART, version="9.9.9")
    failed = await sources.until(CHART, "it", lambda obj: condition(obj, "Ready").get("reason") == "ChartPullError")
    place = f"{fixtures.address}/team/web:9.9.9"
    assert condition(failed, "Ready")["message"] == (
        f"chart pull error: failed to download chart for remote reference: failed to get 'oci://{place}': failed to "
        f'perform "FetchReference" on source: {place}: not found'
    )


async def test_a_registry_is_told_who_one_is_by_pull_secret_or_by_name(sources: Sources, fixtures: Fixtures) -> None:
    fixtures.chart("web", "1.1.0", FILES, "team")
    fixtures.guarded["/v2/team"] = basic("me", "secret")
    auth = base64.b64encode(b"me:secret").decode()
    config = json.dumps({"auths": {fixtures.address: {"auth": auth}}})
    await sources.flux.client.create(
        "/api/v1/namespaces/apps/secrets",
        {
            "metadata": {"name": "pull"},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": config},
        },
    )
    url = f"oci://{fixtures.address}/team"
    await sources.make(REPOSITORY, "charts", url=url, type="oci", insecure=True)
    await chart(sources)
    failed = await sources.until(CHART, "it", lambda obj: condition(obj, "Ready").get("status") == "False")
    assert condition(failed, "FetchFailed")["message"] == (
        "unknown build error: failed to authenticate with the Helm repository: chart pull error: failed to get chart "
        f'version for remote reference: could not get tags for "web": could not fetch tags for "{url}/web": GET '
        f'"http://{fixtures.address}/v2/team/web/tags/list": response status code 401: Unauthorized'
    )
    await sources.change(REPOSITORY, "charts", secretRef={"name": "pull"})
    await sources.ask(CHART)
    assert (await sources.ready(CHART))["artifact"]["revision"] == "1.1.0"


async def test_a_chart_in_a_git_repository_is_packaged_with_what_it_needs(sources: Sources, fixtures: Fixtures) -> None:
    fixtures.chart("cache", "2.1.0", FILES, "team")
    chart_yaml = {
        "apiVersion": "v2",
        "name": "web",
        "version": "0.3.0",
        "dependencies": [
            {"name": "library", "version": "1.x", "repository": "file://../library"},
            {"name": "cache", "version": "2.x", "repository": f"http://{fixtures.address}/charts/team", "alias": "kv"},
        ],
    }
    library = {"apiVersion": "v2", "name": "library", "version": "1.0.0", "type": "library"}
    files = {
        "charts/web/Chart.yaml": json.dumps(chart_yaml),
        "charts/web/values.yaml": "colour: blue\n",
        "charts/web/.helmignore": "*.md\n",
        "charts/web/README.md": "not in the package",
        "charts/web/templates/cm.yaml": "kind: ConfigMap\n",
        "charts/library/Chart.yaml": json.dumps(library),
        "prod.yaml": "colour: red\n",
    }
    sha = fixtures.commit("fleet", files)
    await sources.git(name="fleet")
    await sources.ready(GIT, "fleet")
    await chart(sources, GIT, "fleet", chart="./charts/web", reconcileStrategy="Revision", valuesFiles=["prod.yaml"])
    found = await built(sources)
    assert found.metadata["version"] == f"0.3.0+{sha[:12]}.1"
    assert found.values == {"colour": "red"}
    assert sorted(found.carried) == ["kv", "library"]
    assert "README.md" not in found.tree.files
    told = [reason for _, reason, _ in await sources.flux.events(CHART, "it", 2)]
    assert "ResolvedDependencies" in told


async def test_a_push_is_packaged_only_where_it_changes_the_version(sources: Sources, fixtures: Fixtures) -> None:
    files = {"web/Chart.yaml": "apiVersion: v2\nname: web\nversion: 0.1.0\n", "web/values.yaml": "a: 1\n"}
    fixtures.commit("fleet", files)
    await sources.git(name="fleet")
    await sources.ready(GIT, "fleet")
    await chart(sources, GIT, "fleet", chart="web")
    before = (await sources.ready(CHART))["artifact"]
    sha = fixtures.commit("fleet", {"web/values.yaml": "a: 2\n"})
    await sources.ask(GIT, "fleet")
    status = (await sources.until(CHART, "it", lambda obj: _observed(obj) == f"main@sha1:{sha}"))["status"]
    assert status["artifact"] == before
    fixtures.commit("fleet", {"web/Chart.yaml": files["web/Chart.yaml"].replace("0.1.0", "0.2.0")})
    await sources.ask(GIT, "fleet")
    await sources.until(CHART, "it", lambda obj: obj["status"]["artifact"]["revision"] == "0.2.0")
    assert (await built(sources)).values == {"a": 2}


def _observed(obj: dict[str, Any]) -> str:
    return str(obj["status"].get("observedSourceArtifactRevision"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"web/values.yaml": ""},
            "invalid chart reference: open /tmp/helmchart-apps-it-{}/source/web/Chart.yaml: no such file or directory",
        ),
        (
            {"web/Chart.yaml": "name: web\nversion: one\n"},
            'invalid chart reference: validation: chart.metadata.version "one" is invalid',
        ),
        (
            {"web/Chart.yaml": "name: web\nversion: 1.0.0\ndependencies: [{name: x, version: 1.x}]\n"},
            "dependency build error: failed to add local dependency 'x': no chart found at '/web/charts/x' "
            "(reference '')",
        ),
    ],
)
async def test_a_folder_that_is_no_chart_is_told(
    sources: Sources, fixtures: Fixtures, files: dict[str, str], message: str
) -> None:
    fixtures.commit("fleet", files)
    await sources.git(name="fleet")
    await sources.ready(GIT, "fleet")
    await chart(sources, GIT, "fleet", chart="web")
    failed = await sources.failed(CHART)
    start, _, end = message.partition("{}")
    assert failed["message"].startswith(start)
    assert failed["message"].endswith(end)
