"""kubectl gets the token that is kept, where it lasts; else it signs in by its plug-in."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit import kept_tokens, kubeconfig
from labkit.session import LASTS, Session
from labkit.token import write_private
from tests.labkit.test_token import USER

LONG = LASTS + kept_tokens.EARLY + 60
ENVIRONMENT = {"AZURE_CLIENT_ID": "dev"}


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A kubeconfig whose user signs in by the lab's plug-in."""
    document = kubeconfig.converted(yaml.safe_load(USER), environment=ENVIRONMENT, cache=tmp_path / "tokens")
    return kubeconfig.write(tmp_path / "kubeconfig", document)


def keep(path: Path, token: str, seconds: float) -> None:
    """What the plug-in would keep for the user of the kubeconfig at `path`."""
    stanza = kubeconfig.read(path)["users"][0]["user"]["exec"]
    variables = {item["name"]: item["value"] for item in stanza["env"]}
    asked = kept_tokens.asked_for(stanza["args"][len(kubeconfig.plug_in()[1]) :])
    file = kept_tokens.place(*asked, {**os.environ, **variables})
    write_private(Path(file), kept_tokens.written(token, int(time.time() + seconds)))


def user(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = kubeconfig.read(path)["users"][0]["user"]
    return found


def test_a_kept_token_stands_in_the_kubeconfig_that_kubectl_gets(lab: Path) -> None:
    session, before = Session(), lab.read_text()
    assert session.kubeconfig(lab, ["get", "pods"]) == lab  # nobody has signed in yet
    keep(lab, "first", LONG)
    file = session.kubeconfig(lab, ["get", "pods"])
    assert user(file) == {"token": "first"}
    assert kubeconfig.read(file)["clusters"] == kubeconfig.read(lab)["clusters"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert lab.read_text() == before
    keep(lab, "second", LONG)
    assert user(session.kubeconfig(lab, ["get", "pods"])) == {"token": "second"}


def test_a_kubeconfig_that_changed_is_read_anew(lab: Path) -> None:
    session = Session()
    keep(lab, "kept", LONG)
    assert session.kubeconfig(lab, ["get", "pods"]) != lab
    document = kubeconfig.read(lab)
    document["clusters"][0]["cluster"]["server"] = "https://another"
    kubeconfig.write(lab, document)
    file = session.kubeconfig(lab, ["get", "pods"])
    assert kubeconfig.read(file)["clusters"][0]["cluster"]["server"] == "https://another"


def test_a_token_that_may_end_while_kubectl_runs_is_left_to_the_plug_in(lab: Path) -> None:
    keep(lab, "short", LASTS)
    assert Session().kubeconfig(lab, ["get", "pods"]) == lab


def test_the_token_of_another_person_is_not_given(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(lab, "kept", LONG)
    assert Session().kubeconfig(lab, ["get", "pods"]) != lab
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "of somebody else")
    assert Session().kubeconfig(lab, ["get", "pods"]) == lab


def test_kubectl_config_is_about_the_file_itself(lab: Path) -> None:
    keep(lab, "kept", LONG)
    assert Session().kubeconfig(lab, ["get", "pods"]) != lab
    assert Session().kubeconfig(lab, ["config", "view"]) == lab


def test_users_who_sign_in_otherwise_stay_as_they_are(tmp_path: Path, lab: Path) -> None:
    document = kubeconfig.read(lab)
    document["users"][0]["user"] = {"client-certificate-data": "x", "client-key-data": "y"}
    admin = kubeconfig.write(tmp_path / "admin", document)
    broken = tmp_path / "broken"
    broken.write_text("{")
    session = Session()
    assert [session.kubeconfig(path, ["get"]) for path in (admin, broken, tmp_path / "none")] == [
        admin,
        broken,
        tmp_path / "none",
    ]
