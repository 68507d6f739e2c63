"""The kit's charts: packed alike each time, offered where learners look for them, usable by Helm's own client."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from azsandbox.environment import describe, variables
from azsandbox.registry import charts
from tests.azsandbox.registry.conftest import Azure

REPOSITORY = Path(__file__).parents[3]


@pytest.mark.parametrize("name", sorted(charts.offered()))
def test_a_chart_is_packed_to_the_same_bytes_each_time(name: str) -> None:
    for archive in charts.archives(name):
        again = charts.pack(name, archive.version, str(archive.metadata["appVersion"]), archive.created)
        assert again.content == archive.content
        assert (archive.metadata["name"], archive.metadata["apiVersion"]) == (name, "v2")


def test_the_sources_of_a_chart_carry_its_newest_version() -> None:
    for name, row in charts.offered().items():
        written = yaml.safe_load((REPOSITORY / f"azsandbox/data/charts/{name}/Chart.yaml").read_text())
        newest = row["versions"][0]
        assert {"version": written["version"], "appVersion": written["appVersion"]} == newest


async def test_a_chart_repository_has_an_index_and_what_it_names(azure: Azure) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(azure.host.dispatch)) as client:
        index = yaml.safe_load((await client.get("https://kubereboot.github.io/charts/index.yaml")).text)
        for row in index["entries"]["kured"]:
            archive = await client.get(row["urls"][0])
            assert hashlib.sha256(archive.content).hexdigest() == row["digest"]
        assert (await client.get("https://kubereboot.github.io/charts/other-1.0.0.tgz")).status_code == 404
        assert (await client.post("https://kubereboot.github.io/charts/index.yaml")).status_code == 405


async def test_helms_own_client_pulls_pushes_and_lists(azure: Azure, tmp_path: Path) -> None:
    await azure.create("labshop", adminUserEnabled=True)
    credentials = (await azure.arm("POST", f"{azure.id('labshop')}/listCredentials")).json()
    script = REPOSITORY / "tests/azsandbox/registry/helm_client.py"
    password = credentials["passwords"][0]["value"]
    environment = {
        **os.environ,
        **variables(describe(azure.host)),
        "HOME": str(tmp_path),
        "PYTHONPATH": str(REPOSITORY),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(tmp_path), "labshop.azurecr.io", "labshop", password,
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, errors = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, errors.decode()
    found = json.loads(out)
    assert found["indexed"] == ["6.1.0", "5.11.0", "5.5.2"] and found["versions"] == ["6.15.0", "6.11.0", "6.7.1"]
    assert "401" in found["refused"] and found["tags"] == ["6.1.0"] and found["same"] is True
    content = azure.host.registries.get("labshop")
    assert content is not None and content.content.manifest("helm/kured", "6.1.0").digest == found["digest"]  # type: ignore[union-attr]
    assert found["objects"] == [
        "ClusterRole",
        "ClusterRoleBinding",
        "DaemonSet",
        "Role",
        "RoleBinding",
        "ServiceAccount",
    ]
