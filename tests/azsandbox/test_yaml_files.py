from __future__ import annotations

from importlib import resources

import pytest
import yaml

from azsandbox import yaml_files

DATA = resources.files("azsandbox") / "data"


@pytest.mark.parametrize("file", ["aks/workloads/base.yaml", "aks/workloads/objects.yaml", "policy/gatekeeper.yaml"])
def test_the_sandbox_s_files_mean_what_they_mean_to_pyyaml(file: str) -> None:
    text = DATA.joinpath(file).read_text("utf-8")
    expected = [item for item in yaml.safe_load_all(text) if item]
    assert expected and yaml_files.load_all(text) == expected
    if len(expected) == 1:
        assert yaml_files.load(text) == expected[0]


def test_what_is_written_is_read_again_with_its_keys_in_order() -> None:
    value = {"users": [{"name": "admin", "user": {"token": "a" * 2000}}], "clusters": [], "kind": "Config"}
    text = yaml_files.dump(value)
    assert yaml.safe_load(text) == value and list(yaml.safe_load(text)) == list(value)


def test_objects_of_python_are_not_made() -> None:
    with pytest.raises(yaml.YAMLError):
        yaml_files.load("!!python/object/apply:os.getcwd []")
