"""The facts in data files: each tells where it is from, names are unique and well formed, and one file's names are another's."""

from __future__ import annotations

import datetime as dt
import json
import re
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

DATA = Path(str(resources.files("azsandbox").joinpath("data")))
LABKIT = Path(str(resources.files("labkit").joinpath("data")))
FROM_AN_API_SERVER = {
    "bootstrap-objects.json",
    "discovery.json",
    "table-columns.json",
}  # described in the README beside them
GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
IMAGE = re.compile(r"mcr\.microsoft\.com/[a-z0-9][a-z0-9./_-]*:(v?\d[\w.-]*|v\{version\})")


def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DATA / name).read_text("utf-8"))
    return found


def words(value: Any) -> Iterator[str]:
    """Every string in a document, keys too."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from words(item)
    elif isinstance(value, list):
        for item in value:
            yield from words(item)
    elif isinstance(value, str):
        yield value


def json_files() -> list[str]:
    files = [p for p in sorted(DATA.rglob("*.json")) if p.name not in FROM_AN_API_SERVER]
    return [str(p.relative_to(DATA)) for p in files]


@pytest.mark.parametrize("name", json_files())
def test_a_data_file_names_its_source_and_date(name: str) -> None:
    data = read(name)
    assert len(data["source"]) > 20
    assert dt.date.fromisoformat(data["date"]) <= dt.date(2026, 11, 30)


def test_what_an_api_server_told_is_described_beside_it() -> None:
    readme = (DATA / "kubernetes/README.md").read_text("utf-8")
    assert {p.name for p in DATA.rglob("*.json")} >= FROM_AN_API_SERVER
    assert all(name in readme for name in FROM_AN_API_SERVER)


@pytest.mark.parametrize("path", sorted((DATA / "aks").rglob("*.yaml")), ids=lambda p: p.name)
def test_a_list_of_workloads_names_its_source_and_date(path: Path) -> None:
    text = path.read_text("utf-8")
    assert re.search(r"^# source: .{20,}$", text, re.MULTILINE)
    assert re.search(r"^# date: 2026-\d\d-\d\d$", text, re.MULTILINE)


@pytest.mark.parametrize("path", sorted(LABKIT.glob("*.toml")), ids=lambda p: p.name)
def test_a_file_of_the_lab_parses_and_facts_in_it_have_a_source(path: Path) -> None:
    text = path.read_text("utf-8")
    found = tomllib.loads(text)
    if path.name == "lab.toml":  # settings, not facts
        return
    assert re.search(r"\bSources?:", text)
    assert "date" in found or re.search(r"\b20\d\d\b", text.partition("[")[0])


@pytest.mark.parametrize(
    ("name", "key"),
    [("azure/locations.json", "locations"), ("azure/vm-sizes.json", "sizes"), ("azure/role-definitions.json", "roles")],
)
def test_names_are_unique_without_regard_to_case(name: str, key: str) -> None:
    names = [row["name"].lower() for row in read(name)[key]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", json_files())
def test_ids_that_look_like_guids_are_guids(name: str) -> None:
    for word in words(read(name)):
        for almost in re.findall(r"\b[0-9a-fA-F]{8}-[0-9a-zA-Z-]{20,}", word):
            assert GUID.fullmatch(almost), almost


def test_role_definitions_are_named_by_guids_and_their_names_are_unique() -> None:
    roles = read("azure/role-definitions.json")["roles"]
    assert all(GUID.fullmatch(role["name"]) for role in roles)
    titles = [role["properties"]["roleName"] for role in roles]
    assert len(titles) == len(set(titles))


def test_regions_have_no_zones_or_three_and_pairs_that_exist() -> None:
    locations = {row["name"]: row for row in read("azure/locations.json")["locations"]}
    for row in locations.values():
        assert re.fullmatch(r"[a-z0-9]+", row["name"])
        assert row["zones"] in (0, 3)
        assert -90 <= float(row["latitude"]) <= 90 and -180 <= float(row["longitude"]) <= 180
        # A pair may be a restricted region that public lists leave out.
        assert row["pairedRegion"] is None or re.fullmatch(r"[a-z0-9]+", row["pairedRegion"])


def test_sizes_are_offered_in_regions_that_exist() -> None:
    locations = {row["name"] for row in read("azure/locations.json")["locations"]}
    for row in read("azure/vm-sizes.json")["sizes"]:
        assert row["locations"] == "all" or set(row["locations"]) <= locations


def test_sizes_hold_together() -> None:
    for row in read("azure/vm-sizes.json")["sizes"]:
        room = row["tempDiskMB"] or row["cachedDiskBytes"] or row.get("nvmeDiskMiB", 0)
        assert not row["ephemeralOSDisk"] or room, row["name"]
        assert re.search(rf"_[A-Z]+{row['vCPUs']}[a-z]*(_|$)", row["name"]) or "_DS" in row["name"], row["name"]
        assert (row["gpus"] > 0) == row["name"].startswith("Standard_N"), row["name"]


@pytest.mark.parametrize(
    ("name", "cores", "memory", "temporary", "cache"),
    [
        ("Standard_DS2_v2", 2, 7, 14336, 92341796864),
        ("Standard_D2s_v3", 2, 8, 16384, 53687091200),
        ("Standard_D64s_v3", 64, 256, 524288, 1717986918400),
        ("Standard_F16s_v2", 16, 32, 131072, 274877906944),
        ("Standard_B1s", 1, 1, 4096, 32212254720),
        ("Standard_NC16as_T4_v3", 16, 110, 360448, 154618822656),
    ],
)
def test_sizes_are_as_the_service_listed_them(name: str, cores: int, memory: float, temporary: int, cache: int) -> None:
    """Capabilities from answers of Microsoft.Compute/skus, southcentralus, 3 Jun 2025."""
    row = next(r for r in read("azure/vm-sizes.json")["sizes"] if r["name"] == name)
    assert (row["vCPUs"], row["memoryGB"], row["tempDiskMB"], row["cachedDiskBytes"]) == (
        cores,
        memory,
        temporary,
        cache,
    )
    assert row["ephemeralOSDisk"] and row["premiumIO"]


def test_quotas_name_families_that_sizes_have() -> None:
    families = {row["family"] for row in read("azure/vm-sizes.json")["sizes"]}
    assert set(read("azure/quotas.json")["compute"]["families"]) <= families


def test_the_sizes_that_pools_get_by_default_include_one_that_is_offered() -> None:
    offered = {row["name"] for row in read("azure/vm-sizes.json")["sizes"]}
    assert offered & set(read("aks/defaults.json")["vmSizes"])
    assert read("aks/defaults.json")["vmSizes"][-1] in offered


def test_the_default_version_is_one_below_the_newest_and_offered() -> None:
    data = read("aks/kubernetes-versions.json")
    minors = [row["version"] for row in data["minors"]]
    assert data["default"] == minors[1]
    assert "KubernetesOfficial" in data["minors"][1]["plans"]
    assert minors == sorted(minors, key=lambda v: int(v.partition(".")[2]), reverse=True)


def test_patches_belong_to_their_minor_version_and_rise() -> None:
    for row in read("aks/kubernetes-versions.json")["minors"]:
        numbers = [int(patch.removeprefix(row["version"] + ".")) for patch in row["patches"]]
        assert numbers == sorted(set(numbers))


def test_the_lab_and_the_sandbox_agree_on_when_versions_end() -> None:
    lab = tomllib.loads((LABKIT / "kubernetes-versions.toml").read_text("utf-8"))["versions"]
    for row in read("aks/kubernetes-versions.json")["minors"]:
        assert str(lab[row["version"]]["community"]) == row["communityEnd"]
        assert str(lab[row["version"]]["lts"]) == row["longTermEnd"]


def test_a_node_image_has_the_form_that_aks_uses() -> None:
    data = read("aks/node-images.json")
    assert all(re.fullmatch(r"2026\d\d\.\d\d\.\d", release) for release in data["releases"])
    assert data["releases"] == sorted(data["releases"])
    for row in (row for rows in data["images"].values() for row in rows):
        assert row["containerd"].startswith("containerd://")
        assert re.match(r"\d+\.\d+\.\d+", row["kernel"])


def test_images_of_system_workloads_are_named_in_full_with_a_tag() -> None:
    names: list[str] = []
    for path in sorted((DATA / "aks/workloads").glob("*.yaml")):
        for entry in yaml.safe_load(path.read_text("utf-8")):
            names += [c["image"] for c in entry.get("containers", [])]
    assert names
    assert [name for name in names if not IMAGE.fullmatch(name)] == []


def test_the_labs_own_size_takes_an_ephemeral_disk_of_its_setting() -> None:
    lab = tomllib.loads((LABKIT / "lab.toml").read_text("utf-8"))
    for pool in ("system_pool", "user_pool"):
        row = next(r for r in read("azure/vm-sizes.json")["sizes"] if r["name"] == lab[pool]["vm_size"])
        assert row["ephemeralOSDisk"]
        assert max(row["cachedDiskBytes"] // 1024**3, row["tempDiskMB"] // 1024) >= lab[pool]["os_disk_gb"]


def test_services_that_a_subnet_can_be_delegated_to_are_unique_types() -> None:
    services = read("azure/subnet-delegations.json")["services"]
    assert len(services) == len({s.lower() for s in services})
    assert all(re.fullmatch(r"[A-Za-z]+\.[A-Za-z]+(/[A-Za-z]+)+", s) for s in services)
    assert "Microsoft.ContainerInstance/containerGroups" in services
