"""The command line: what it prints, and with which exit code it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labkit import cli, targets, token
from labkit.errors import TargetError
from labkit.lab import Lab
from labkit.settings import Settings
from tests.labkit.healthy import HealthyArm, HealthyKubernetes, cluster
from tests.labkit.test_lab import FakeTarget
from tests.labkit.test_token import USER


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(targets, "choose", lambda settings, folder: FakeTarget())
    monkeypatch.setenv("KUBECONFIG", "before")
    monkeypatch.setenv("LABKIT_PROBE", "before")
    return tmp_path


@pytest.fixture
def arm(home: Path, monkeypatch: pytest.MonkeyPatch) -> HealthyArm:
    reader = HealthyArm()
    monkeypatch.setattr(Lab, "_arm_or_none", lambda lab: reader)
    monkeypatch.setattr(Lab, "kubernetes", lambda lab: HealthyKubernetes())
    return reader


def labkit(home: Path, *arguments: str) -> int:
    return cli.main(["--lab", str(home), *arguments])


def test_checks_that_pass_end_with_0(home: Path, arm: HealthyArm, capsys: pytest.CaptureFixture[str]) -> None:
    assert labkit(home, "check", "cluster.sku-tier", "cluster.vnet") == 0
    assert "2 checks: 2 pass" in capsys.readouterr().out


def test_a_check_that_fails_ends_with_1_and_shows_hints_when_asked(
    home: Path, arm: HealthyArm, capsys: pytest.CaptureFixture[str]
) -> None:
    arm.answers[cluster()["id"].lower()]["sku"]["tier"] = "Free"
    assert labkit(home, "check", "cluster.sku-tier") == 1
    assert "hint" not in capsys.readouterr().out
    assert labkit(home, "check", "cluster.sku-tier", "--hints") == 1
    assert "hint 3: " in capsys.readouterr().out


def test_reports_are_written_in_the_forms_of_their_endings(home: Path, arm: HealthyArm, tmp_path: Path) -> None:
    files = [tmp_path / f"report{ending}" for ending in (".html", ".xml", ".sarif", ".json")]
    options = [option for file in files for option in ("--report", str(file))]
    assert labkit(home, "check", "cluster.sku-tier", *options) == 0
    assert all(file.stat().st_size > 200 for file in files)


def test_checks_are_listed_without_a_target(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lab, "open", lambda *_, **__: pytest.fail("the list needs no target"))
    assert labkit(home, "check", "--list", "--lesson", "13") == 0
    assert "cluster.system-pool-taint" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "cluster.nothing"], "no check is called 'cluster.nothing'"),
        (["check", "--lesson", "99"], "no check belongs to lesson '99'"),
        (["settings", "azure.region=West Europe"], "azure.region must be a region's short name"),
        (["up", "99"], "lesson '99' makes nothing"),
        (["token", "--kubeconfig", "/no/such/file"], "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_with_exit_code_2(
    home: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert labkit(home, *arguments) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Next: " in err
    assert "Traceback" not in err


def test_a_target_that_does_not_answer_ends_with_2(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Down:
        kind = "sandbox"

        def connect(self) -> Any:
            raise TargetError("it is down.", "labkit up")

    monkeypatch.setattr(targets, "choose", lambda settings, folder: Down())
    assert labkit(home, "status") == 2
    assert "it is down. Next: labkit up" in capsys.readouterr().err


def test_a_refusal_of_azure_is_no_traceback(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from azure.core.exceptions import HttpResponseError

    def refuse(lab: Lab, lesson: str) -> None:
        raise HttpResponseError("(AuthorizationFailed) you may not\nCode: AuthorizationFailed")

    monkeypatch.setattr(Lab, "make", refuse)
    assert labkit(home, "up", "12") == 2
    assert capsys.readouterr().err == "labkit: (AuthorizationFailed) you may not\n"


def test_a_fault_of_the_lab_itself_is_not_hidden(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lab, "make", lambda lab, lesson: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        labkit(home, "up", "12")


def test_the_target_is_chosen_and_kept(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subscription = "00000000-0000-0000-0000-000000000001"
    assert labkit(home, "use", "aks", "--subscription", subscription) == 0
    settings = Settings.load(home / "lab.toml")
    assert (settings.target, settings.subscription_id) == ("aks", subscription)
    assert labkit(home, "use", "context", "--context", "mine") == 0
    assert Settings.load(home / "lab.toml").context == "mine"
    with pytest.raises(SystemExit) as ended:
        labkit(home, "use", "gcp")
    assert ended.value.code == 2


def test_settings_are_shown_created_and_changed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert labkit(home, "settings") == 0
    assert "these are the defaults" in capsys.readouterr().out
    assert not (home / "lab.toml").exists()
    assert labkit(home, "settings", "--create") == 0
    assert labkit(home, "settings", "azure.region=northeurope", "system_pool.max_count=7") == 0
    settings = Settings.load(home / "lab.toml")
    assert (settings.region, settings.system_pool.max_count) == ("northeurope", 7)


def test_token_prints_an_exec_credential(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def answer(server_id: str, tenant_id: str) -> dict[str, Any]:
        asked.append((server_id, tenant_id))
        return {"kind": "ExecCredential"}

    monkeypatch.setattr(token, "exec_credential", answer)
    assert labkit(home, "token", "--tenant-id", "t") == 0
    assert json.loads(capsys.readouterr().out) == {"kind": "ExecCredential"}
    assert labkit(home, "token", "--server-id", "a", "--server-id", "b") == 0
    assert json.loads(capsys.readouterr().out) == {"kind": "ExecCredential"}
    assert asked == [(token.AKS_SERVER, "t"), ("a", ""), ("b", "")]


def test_token_converts_a_kubeconfig(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(USER)
    assert labkit(home, "token", "--kubeconfig", str(file)) == 0
    assert "kubelogin" not in file.read_text()


def test_status_says_where_the_lab_runs(home: Path, arm: HealthyArm, capsys: pytest.CaptureFixture[str]) -> None:
    arm.list = lambda path, version: []  # type: ignore[attr-defined]
    assert labkit(home, "status") == 0
    out = capsys.readouterr().out
    assert "a place" in out
    assert "aks-baseline" in out
