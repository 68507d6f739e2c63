"""Helm's own client and what Flux releases: each reads the other's storage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import helm_python
import pytest

from azsandbox.certificates import Authority
from tests.azsandbox.flux.helm.releasing import CHART, NAMESPACE, Lab, packed

NOTES = {**CHART, "templates/NOTES.txt": "Released as {{ .Release.Name }}."}


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    found = Lab(tmp_path, Authority(tmp_path / "certificates"))
    await found.start()
    yield found
    await found.cluster.stop()


async def helm(lab: Lab, command: str, *arguments: Any, **options: Any) -> Any:
    """A command of Helm's client in the namespace of the release."""

    def run() -> Any:
        with helm_python.Config(kubeconfig_content=lab.cluster.kubeconfig(), namespace=NAMESPACE) as config:
            return getattr(config, command)(*arguments, **options)

    return await asyncio.to_thread(run)


async def test_helm_lists_and_reads_what_flux_has_released(lab: Lab) -> None:
    await lab.installed(NOTES, values={"colour": "red"})
    [listed] = await helm(lab, "list")
    assert (listed["name"], listed["status"], listed["revision"]) == ("web", "deployed", 1)
    assert await helm(lab, "get_values", "web") == {"colour": "red"}
    assert await helm(lab, "get_values", "web", all_values=True) == {"colour": "red"}
    metadata = await helm(lab, "get_metadata", "web")
    assert (metadata["chart"], metadata["version"], metadata["appVersion"]) == ("web", "1.0.0", "1.0.0")
    everything = await helm(lab, "get_all", "web")
    assert everything["info"]["notes"] == "Released as web."
    assert everything["summary"]["manifest"] == (
        "---\n# Source: web/templates/cm.yaml\napiVersion: v1\ndata:\n  chart: web-1.0.0\n  colour: red\n"
        '  kind: install\n  revision: "1"\nkind: ConfigMap\nmetadata:\n  labels:\n'
        "    helm.toolkit.fluxcd.io/name: web\n    helm.toolkit.fluxcd.io/namespace: apps\n  name: web\n\n"
    )


async def test_helm_rolls_back_what_flux_has_released_and_flux_takes_it_up_again(lab: Lab) -> None:
    await lab.installed(CHART, install={"serverSideApply": False})
    await lab.change(values={"colour": "red"})
    await lab.is_ready(2)
    versions = await helm(lab, "history", "web")
    assert [(one["revision"], one["status"]) for one in versions] == [(1, "superseded"), (2, "deployed")]
    await lab.change(suspend=True)
    await helm(lab, "rollback", "web", version=1)
    assert (await lab.data() or {})["colour"] == "blue"
    assert (await lab.storage())["sh.helm.release.v1.web.v3"] == "deployed"
    await lab.change(suspend=False)
    await lab.is_ready(4)
    assert (await lab.data() or {})["colour"] == "red"
    assert (await lab.storage())["sh.helm.release.v1.web.v4"] == "deployed"


async def test_helm_does_not_roll_back_what_flux_applies_and_owns(lab: Lab) -> None:
    await lab.installed(CHART)
    await lab.change(values={"colour": "red"})
    await lab.is_ready(2)
    with pytest.raises(helm_python.HelmError, match=r'conflicts with "helm-controller":\n- \.data\.colour'):
        await helm(lab, "rollback", "web", version=1)


async def test_flux_takes_over_what_helm_has_installed(lab: Lab) -> None:
    chart = helm_python.Chart.load_archive(packed(CHART))
    with chart:
        await helm(lab, "install", chart, "web", {"colour": "red"})
    await lab.release(values={"colour": "green"})
    await lab.offer(CHART)
    status = await lab.is_ready()
    assert (status["history"][0]["version"], (await lab.condition("Ready"))["reason"]) == (2, "UpgradeSucceeded")
    assert (await lab.data() or {})["colour"] == "green"
