"""Helm's library: when it is loaded, and that nothing of it is left behind."""

from __future__ import annotations

import subprocess
import sys

import helm_python

from azsandbox.controllers.client import path
from azsandbox.flux.helm import engine
from azsandbox.flux.helm.charts import ChartArchive
from azsandbox.flux.helm.engine import Purpose, RenderFailed
from tests.azsandbox.flux.helm.releasing import CHART, NAMESPACE, Lab, packed

LOADED = "import sys, azsandbox.flux.helm.reconcilers, azsandbox.cluster; print('helm_python' in sys.modules)"


def test_the_library_is_not_loaded_before_there_is_a_chart() -> None:
    command = [sys.executable, "-c", LOADED]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


async def test_rendering_leaves_nothing_open() -> None:
    chart = await engine.load(ChartArchive.read(packed(CHART)))
    before = helm_python.open_handles_count()
    bad = await engine.load(ChartArchive.read(packed({"templates/a.yaml": "{{ .Values.a.b.c }}"})))
    for number in range(20):
        purpose = Purpose("web", "apps", number + 1)
        rendered = await engine.render(chart, {"colour": str(number)}, purpose)
        assert f'colour: "{number}"' in rendered.files["web/templates/cm.yaml"]
        try:
            await engine.render(bad, {}, purpose)
        except RenderFailed as error:
            assert "nil pointer" in str(error)
    assert helm_python.open_handles_count() == before


async def test_charts_of_several_releases_are_rendered_side_by_side(lab: Lab) -> None:
    """The source of all is one OCIRepository, so that each has a version of its own of everything but the chart."""
    await lab.offer_oci(CHART)
    url = path("helm.toolkit.fluxcd.io/v2", "helmreleases", NAMESPACE)
    for number in range(12):
        spec = {
            "interval": "10m",
            "chartRef": {"kind": "OCIRepository", "name": "web"},
            "values": {"colour": f"colour {number}"},
        }
        body = {
            "apiVersion": "helm.toolkit.fluxcd.io/v2",
            "kind": "HelmRelease",
            "metadata": {"name": f"r{number}"},
            "spec": spec,
        }
        await lab.client.create(url, body)
    for number in range(12):
        where = path("v1", "configmaps", NAMESPACE, f"r{number}")
        found = await lab.until(lambda found: found is not None, where)
        assert found["data"]["colour"] == f"colour {number}"
