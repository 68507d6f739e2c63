"""lab.toml is read, checked with errors that help, and written with its comments kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.errors import SettingsError
from labkit.keys import KEYS, POOL_TABLES
from labkit.settings import Settings, find, template


def test_the_defaults_are_those_of_the_series() -> None:
    settings = Settings()
    assert settings.region == "westeurope"
    assert settings.resource_group == "rg-aks-baseline"
    assert settings.audit_resource_group == "rg-aks-baseline-audit"
    assert settings.registry_resource_group == "rg-aks-baseline-acr"
    assert settings.cluster == "aks-baseline"
    assert (settings.vnet_cidr, settings.cluster_subnet_cidr, settings.aci_subnet_cidr) == (
        "10.10.0.0/16",
        "10.10.0.0/22",
        "10.10.4.0/23",
    )
    assert settings.retention_days == 30
    assert (settings.system_pool.min_count, settings.system_pool.max_count) == (2, 5)
    assert settings.system_pool.taints == ["CriticalAddonsOnly=true:NoSchedule"]
    assert (settings.user_pool.name, settings.user_pool.min_count, settings.user_pool.max_count) == ("user1", 1, 4)
    for pool in (settings.system_pool, settings.user_pool):
        assert (pool.os_disk_gb, pool.zones, pool.max_surge) == (100, ["1", "2", "3"], "33%")
    assert settings.repository == "aks-baseline-clusters"


def test_the_template_holds_every_key_and_no_other() -> None:
    import tomllib

    document = tomllib.loads(template())
    keys = {(table, key) for table, entries in document.items() for key in entries}
    known = {(key.table, key.name) for key in KEYS.values()}
    assert keys == known | {(table, key) for table, names in POOL_TABLES.items() for key in names}


@pytest.mark.parametrize(
    ("table", "key", "value", "expected"),
    [
        ("lab", "target", "azure", "one of 'sandbox'"),
        ("lab", "prefix", 3, "text on one line"),
        ("azure", "region", "West Europe", "a region's short name"),
        ("azure", "subscription_id", "my-subscription", "an id such as"),
        ("names", "resource_group", "ends.", "a resource group name"),
        ("names", "cluster", "-begins", "a cluster name"),
        ("names", "cluster", "a" * 64, "a cluster name"),
        ("names", "registry", "with-hyphen", "a registry name"),
        ("names", "vault", "two--hyphens", "a vault name"),
        ("names", "vault", "v" * 25, "a vault name"),
        ("network", "vnet_cidr", "10.10.0.1/16", "an IPv4 range"),
        ("network", "cluster_subnet_cidr", "10.11.0.0/22", "inside network.vnet_cidr"),
        ("network", "aci_subnet_cidr", "10.10.2.0/23", "apart from network.cluster_subnet_cidr"),
        ("network", "service_cidr", "10.10.0.0/24", "apart from network.vnet_cidr"),
        ("network", "pod_cidr", "10.0.0.0/15", "apart from network.service_cidr"),
        ("network", "dns_service_ip", "10.0.0.1", "other than its first"),
        ("network", "dns_service_ip", "10.9.0.10", "an address in network.service_cidr"),
        ("workspace", "retention_days", 7, "a whole number from 30 to 730"),
        ("workspace", "retention_days", True, "a whole number from 30 to 730"),
        ("cluster", "tier", "Paid", "one of 'Free'"),
        ("cluster", "local_accounts_disabled", "no", "true or false"),
        ("cluster", "authorized_ip_ranges", ["0.0.0.0"], "an IPv4 range"),
        ("system_pool", "name", "System", "a node pool name"),
        ("system_pool", "min_count", 9, "at most system_pool.max_count"),
        ("system_pool", "min_count", 0, "at least 1"),
        ("system_pool", "name", "user1", "a name that no other pool has"),
        ("system_pool", "zones", [1, 2, 3], 'a zone: "1"'),
        ("system_pool", "max_surge", 33, 'a percentage such as "33%"'),
        ("system_pool", "taints", ["CriticalAddonsOnly"], "a taint such as"),
        ("user_pool", "vm_size", "D4ds_v5", "a VM size"),
        ("names", "kluster", "x", "one of the keys"),
        ("naming", "cluster", "x", "one of the tables"),
    ],
)
def test_a_bad_value_is_named_with_what_was_expected_and_found(
    tmp_path: Path, table: str, key: str, value: object, expected: str
) -> None:
    import tomlkit

    file = tmp_path / "lab.toml"
    file.write_text(tomlkit.dumps({table: {key: value}}))
    with pytest.raises(SettingsError) as caught:
        Settings.load(file)
    text = str(caught.value)
    assert table in text
    assert expected in text
    assert "found" in text
    assert "Next: " in text


def test_text_that_is_no_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "lab.toml"
    file.write_text("[lab\n")
    with pytest.raises(SettingsError, match=r"must be TOML; found .*line 1"):
        Settings.load(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="labkit settings --create"):
        Settings.load(tmp_path / "lab.toml")


def test_saving_keeps_the_learners_comments(tmp_path: Path) -> None:
    file = tmp_path / "lab.toml"
    file.write_text('# mine\n[azure]\nregion = "westeurope" # near me\n')
    settings = Settings.load(file)
    settings.region = "northeurope"
    settings.system_pool.max_count = 6
    settings.save()
    text = file.read_text()
    assert text.startswith("# mine\n")
    assert 'region = "northeurope" # near me' in text
    again = Settings.load(file)
    assert (again.region, again.system_pool.max_count) == ("northeurope", 6)


def test_a_new_file_says_what_each_setting_is_for(tmp_path: Path) -> None:
    file = Settings().save(tmp_path / "lab.toml")
    assert file.read_text() == template()


def test_a_value_that_is_refused_changes_nothing() -> None:
    settings = Settings()
    with pytest.raises(SettingsError):
        settings.region = "West Europe"
    assert settings.region == "westeurope"
    with pytest.raises(AttributeError, match="no setting 'regoin'"):
        settings.regoin = "x"
    with pytest.raises(AttributeError, match="no key 'mincount'"):
        settings.system_pool.mincount = 1


def test_a_class_gives_each_learner_names_of_their_own() -> None:
    settings = Settings({"lab": {"prefix": "ada-", "suffix": "-07"}})
    assert settings.cluster == "ada-aks-baseline-07"
    assert settings.audit_resource_group == "ada-rg-aks-baseline-07-audit"
    assert settings.registry == "adaacraksbaseline07"
    assert settings.cluster_subnet == "snet-aks-baseline"
    with pytest.raises(SettingsError, match=r"names\.cluster"):
        Settings({"lab": {"prefix": "a" * 60}})


@pytest.mark.parametrize(
    ("text", "attribute", "value"),
    [
        ("azure.region=northeurope", "region", "northeurope"),
        ("lab.profile=2021", "profile", "2021"),
        ("workspace.retention_days=90", "retention_days", 90),
        ('cluster.authorized_ip_ranges=["203.0.113.7/32"]', "authorized_ip_ranges", ["203.0.113.7/32"]),
    ],
)
def test_settings_are_assigned_from_text(text: str, attribute: str, value: object) -> None:
    settings = Settings()
    settings.assign(text)
    assert getattr(settings, attribute) == value


@pytest.mark.parametrize("text", ["region=x", "azure.region", "azure.planet=mars"])
def test_an_assignment_to_nothing_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"a key of lab\.toml"):
        Settings().assign(text)


def test_the_file_is_found_from_a_folder_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABKIT_SETTINGS", raising=False)
    (tmp_path / "lab.toml").write_text("")
    below = tmp_path / "notebooks"
    below.mkdir()
    assert find(below) == tmp_path / "lab.toml"
    monkeypatch.setenv("LABKIT_SETTINGS", "/elsewhere/lab.toml")
    assert find(below) == Path("/elsewhere/lab.toml")


def test_a_new_lab_begins_beside_its_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABKIT_SETTINGS", raising=False)
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "notebooks").mkdir()
    assert find(tmp_path / "notebooks") == tmp_path / "lab.toml"
