"""The lab opens on any target, runs kubectl without a shell, and fetches a kubeconfig that works."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import labkit
from labkit import targets
from labkit.annotations import Annotator
from labkit.errors import CommandFailed, LabError, OperationFailed, ReadError, TargetError, ToolMissing
from labkit.lab import Lab
from labkit.settings import Settings
from tests.labkit.healthy import SUBSCRIPTION, HealthyArm, HealthyKubernetes
from tests.labkit.test_token import USER

PUBLIC = ["Check", "Lab", "LabError", "Report", "Result", "Settings", "Status", "__version__"]


def test_the_public_names_are_these() -> None:
    assert labkit.__all__ == sorted(PUBLIC) == PUBLIC
    for name in PUBLIC:
        assert getattr(labkit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = labkit.Nothing


def test_importing_the_package_imports_no_sdk() -> None:
    code = (
        "import sys, labkit, labkit.cli, labkit.token; labkit.Lab; "
        "slow = {'azure', 'kubernetes', 'ipywidgets', 'IPython', 'nbformat', 'yaml'} & {name.split('.')[0] for name in sys.modules}; "
        "sys.exit(', '.join(slow) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


class FakeTarget:
    kind = "sandbox"

    def __init__(self, **facts: Any) -> None:
        self.connected = 0
        self.facts = {
            "place": "a place",
            "subscription_id": SUBSCRIPTION,
            "environment": {"LABKIT_PROBE": "1"},
            **facts,
        }

    def connect(self) -> targets.Connection:
        self.connected += 1
        return targets.Connection(**self.facts)


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> FakeTarget:
    fake = FakeTarget()
    monkeypatch.setattr(targets, "choose", lambda settings, home: fake)
    for name in ("LABKIT_PROBE", "KUBECONFIG"):
        monkeypatch.setenv(name, "before")
    monkeypatch.setenv("LABKIT_HEADLESS", "1")
    return fake


def test_opening_writes_a_new_lab_toml_and_takes_the_environment_over(
    tmp_path: Path, target: FakeTarget, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = Lab.open(tmp_path)
    assert Settings.load(tmp_path / "lab.toml").cluster == "aks-baseline"
    assert os.environ["LABKIT_PROBE"] == "1"
    assert os.environ["KUBECONFIG"] == str(tmp_path / ".labkit" / "kubeconfig")
    assert lab.subscription_id == SUBSCRIPTION
    assert "Lab open on a place" in capsys.readouterr().out


def fake_kubectl(folder: Path, script: str) -> None:
    program = folder / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nimport os, sys\n{script}\n")
    program.chmod(0o755)


@pytest.fixture
def lab(tmp_path: Path, target: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    opened = Lab.open(tmp_path, quiet=True)
    monkeypatch.setattr(opened, "credentials", lambda reader, admin=False: __import__("yaml").safe_load(USER))
    return opened


def test_kubectl_runs_without_a_shell_and_with_the_labs_kubeconfig(
    tmp_path: Path, lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_kubectl(tmp_path, "print(sys.argv[1:], os.environ['KUBECONFIG'], sys.stdin.read())")
    output = lab.kubectl("get pods -l 'app in (a, b)' ; echo $HOME", input="kind: Pod")
    assert output.ok
    assert "['get', 'pods', '-l', 'app in (a, b)', ';', 'echo', '$HOME']" in output.stdout
    assert str(lab.kubeconfig_path) in output.stdout
    assert "kind: Pod" in output.stdout
    assert capsys.readouterr().out == output.stdout


def test_kubectl_collects_no_garbage_in_its_moment_unless_the_user_says_so(
    tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_kubectl(tmp_path, "print(os.environ['GOGC'], os.environ['GOMEMLIMIT'])")
    assert lab.kubectl("get pods").stdout == "off 512MiB\n"
    monkeypatch.setenv("GOGC", "100")
    assert lab.kubectl("get pods").stdout == "100 512MiB\n"


def test_kubectl_that_says_no_is_an_error_unless_it_may(tmp_path: Path, lab: Lab) -> None:
    fake_kubectl(tmp_path, "sys.stderr.write('Error from server (NotFound)'); sys.exit(1)")
    with pytest.raises(CommandFailed, match=r"'kubectl get x' ended with exit code 1: Error from server \(NotFound\)"):
        lab.kubectl("get x")
    output = lab.kubectl("get x", check=False)
    assert (output.returncode, output.ok) == (1, False)


def test_kubectl_is_run_again_when_what_answers_it_was_brought_back(
    tmp_path: Path, lab: Lab, target: FakeTarget
) -> None:
    """A sandbox that was killed between two cells comes back with the next request, also with one of kubectl."""
    before = target.connected
    refused = "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?"
    mark = tmp_path / "mark"
    fake_kubectl(
        tmp_path,
        f"import pathlib; mark = pathlib.Path({str(mark)!r})\n"
        f"if not mark.exists(): mark.touch(); sys.stderr.write({refused!r}); sys.exit(1)\nprint('pods')",
    )
    assert lab.kubectl("get pods").stdout == "pods\n"
    assert target.connected == before + 1


def test_an_annotation_is_set_when_what_answers_was_brought_back(
    lab: Lab, target: FakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [ReadError("not answered", 0), None, ReadError("no", 404, "NotFound")]
    lab.kubeconfig()
    before = target.connected

    def annotate(self: Annotator, path: str, annotations: dict[str, str], manager: str) -> None:
        if answer := answers.pop(0):
            raise answer

    monkeypatch.setattr(Annotator, "annotate", annotate)
    lab.annotate("/path", {"a": "b"}, "flux")
    assert target.connected == before + 1
    with pytest.raises(ReadError, match="no"):
        lab.annotate("/path", {"a": "b"}, "flux")


def test_nothing_lasts_longer_than_it_can_here(
    tmp_path: Path, lab: Lab, target: FakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kubectl waits for a namespace that does not go as long as it does not."""
    target.facts["longest"] = 1.0
    lab.connect()
    fake_kubectl(tmp_path, "")

    def run(command: list[str], *, timeout: float, **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, timeout, output=b"first\ndeleting ns x\n")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(OperationFailed, match=r"expected to end within 1 s; found it waiting: deleting ns x\. Next: "):
        lab.kubectl("delete namespace x")
    with pytest.raises(OperationFailed, match=r"Pods: not after 1 s; last seen: 1 of 2\."):
        lab.wait(lambda: "1 of 2", "Pods", timeout=1800)


def test_a_missing_kubectl_is_named(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolMissing, match="kubectl is not on the PATH"):
        lab.kubectl("get pods")


def test_the_kubeconfig_is_fetched_converted_and_kept_private(lab: Lab) -> None:
    path = lab.kubeconfig()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert "kubelogin" not in text
    assert "LABKIT_PROBE" in text
    assert lab.kubeconfig() == path
    assert path.read_text() == text


def test_the_credentials_are_asked_of_azure(
    tmp_path: Path, target: FakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Arm:
        def post(self, path: str, api_version: str) -> dict[str, Any]:
            asked.append(path)
            return {"kubeconfigs": [{"name": "clusterUser", "value": base64.b64encode(USER.encode()).decode()}]}

    lab = Lab.open(tmp_path, quiet=True)
    lab.__dict__["_reader"] = Arm()
    lab.kubeconfig(admin=True)
    assert asked[0].endswith("/managedClusters/aks-baseline/listClusterAdminCredential")


def test_a_control_plane_that_is_just_starting_is_asked_again(lab: Lab) -> None:
    answers: list[Any] = [ReadError("not running", 409, "OperationNotAllowed"), {"kubeconfigs": []}]

    def ask() -> dict[str, Any]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert lab._when_ready(ask) == {"kubeconfigs": []}
    answers[:] = [ReadError("no", 403)]
    with pytest.raises(ReadError):
        lab._when_ready(ask)


def test_checks_are_run_on_what_the_lab_reads(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.__dict__["_reader"] = HealthyArm()
    lab.kubernetes = HealthyKubernetes  # type: ignore[assignment, method-assign]
    results = lab.check("cluster.sku-tier", "cluster.system-pool-taint")
    assert results.ok
    out = capsys.readouterr().out
    assert "2 checks: 2 pass" in out
    assert lab.check_step("11").ok
    with pytest.raises(LabError, match=r"no check is called 'cluster\.nothing' Next: labkit check --list"):
        lab.check("cluster.nothing")
    with pytest.raises(LabError, match="no check belongs to lesson '99'"):
        lab.check_step("99")
    assert lab.report(results).cluster == "aks-baseline"


def test_waiting_takes_a_poller_or_a_function_only(lab: Lab) -> None:
    lab.wait(lambda: True, "nothing")
    with pytest.raises(LabError, match="takes a poller or a function; found int"):
        lab.wait(3, "three")


def test_a_read_only_target_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config"
    file.write_text(USER)
    fake = FakeTarget(reads_only=True, kubeconfig=file, context="aks-baseline", subscription_id="", environment={})
    monkeypatch.setattr(targets, "choose", lambda settings, home: fake)
    monkeypatch.setenv("KUBECONFIG", "before")
    lab = Lab.open(tmp_path, quiet=True)
    assert lab.kubeconfig() == file
    assert file.read_text() == USER
    with pytest.raises(TargetError, match="nothing is made there"):
        lab.make("12")
    with pytest.raises(TargetError, match="Kubernetes to read, and not Azure"):
        _ = lab.arm


def test_missing_lessons_are_made_at_once_when_nobody_looks(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from labkit.azure import steps

    made: list[str] = []
    monkeypatch.setattr(steps, "missing", lambda lesson, clients, settings: () if made else steps.up_to(lesson))
    monkeypatch.setattr(steps, "make", lambda lesson, clients, settings, wait: made.append(lesson))
    lab.need("12")
    lab.need("12")
    assert made == ["12"]
