"""`labkit lab` serves the lessons on loopback only, with the target's environment in all that it starts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import jupyter
from labkit.errors import TargetError
from labkit.settings import Settings
from labkit.targets import Connection


def lab(home: Path) -> Any:
    connection = Connection(place="a place", environment={"HTTPS_PROXY": "http://127.0.0.1:1"})
    return SimpleNamespace(
        home=home,
        place="a place",
        connection=connection,
        kubeconfig_path=home / ".labkit" / "kubeconfig",
        settings=Settings(path=home / "lab.toml"),
    )


def test_jupyter_listens_on_loopback_and_keeps_its_token(tmp_path: Path) -> None:
    words = jupyter.command(tmp_path, browser=False, port=9999)
    assert "--ServerApp.ip=127.0.0.1" in words
    assert "--no-browser" in words
    assert "--LabApp.default_url=/lab/tree/notebooks/00-start-here.ipynb" in words
    assert not any("token" in word or "password" in word for word in words)


def test_kernels_inherit_the_targets_environment(tmp_path: Path) -> None:
    environment = jupyter.environment(lab(tmp_path))
    assert environment["HTTPS_PROXY"] == "http://127.0.0.1:1"
    assert environment["KUBECONFIG"] == str(tmp_path / ".labkit" / "kubeconfig")
    assert environment["LABKIT_SETTINGS"] == str(tmp_path / "lab.toml")
    config = Path(environment["JUPYTER_CONFIG_PATH"].split(os.pathsep)[-1]) / "labconfig" / "page_config.json"
    assert json.loads(config.read_text())["disabledExtensions"] == {
        "@jupyterlab/apputils-extension:announcements": True
    }


def test_code_that_is_wider_than_the_page_is_wrapped_and_does_not_scroll_sideways(tmp_path: Path) -> None:
    folder = Path(jupyter.environment(lab(tmp_path))["JUPYTER_CONFIG_PATH"].split(os.pathsep)[-1]) / "labconfig"
    settings = json.loads((folder / "default_setting_overrides.json").read_text())
    assert settings["@jupyterlab/notebook-extension:tracker"]["codeCellConfig"] == {"lineWrap": True}


def test_without_lessons_there_is_nothing_to_open(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="nothing to open"):
        jupyter.start(lab(tmp_path))


def test_a_lab_that_is_open_is_opened_again_and_not_started_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / jupyter.FIRST).write_text("{}")
    monkeypatch.setattr(jupyter, "_running", lambda home: "http://127.0.0.1:8888/lab")
    assert jupyter.start(lab(tmp_path), browser=False) == 0
    assert "open already: http://127.0.0.1:8888/lab" in capsys.readouterr().out
