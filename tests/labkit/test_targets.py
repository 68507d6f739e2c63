"""Each target connects, or says what is wrong and what to do."""

from __future__ import annotations

import ast
import base64
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import targets
from labkit.errors import TargetError
from labkit.settings import Settings

FACTS = {
    "arm_endpoint": "https://localhost:4443",
    "proxy": "http://127.0.0.1:4080",
    "ca": "/home/ca.pem",
    "bundle": "/home/bundle.pem",
    "tunnel": False,
    "subscription_id": "s",
    "tenant_id": "t",
    "object_id": "o",
    "identity_endpoint": "http://127.0.0.1:4080/msi/token",
    "identity_header": "h",
}


class FakeProcess:
    """Stands in for subprocess.run: notes what is run, and answers."""

    def __init__(self, facts: Any = FACTS, up: int = 0, said: str = "") -> None:
        self.commands: list[list[str]] = []
        self.environments: list[dict[str, str]] = []
        self._facts, self._up, self._said = facts, up, said
        self.runs = False

    def __call__(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        self.environments.append(options["env"])
        if command[-1] == "up":
            self.runs = self._up == 0
            return subprocess.CompletedProcess(command, self._up, "", self._said)
        if not self.runs:
            return subprocess.CompletedProcess(command, 2, "", "azsandbox env: no sandbox runs")
        text = self._facts if isinstance(self._facts, str) else json.dumps(self._facts)
        return subprocess.CompletedProcess(command, 0, text, "")


def test_the_sandbox_is_started_and_its_environment_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZSANDBOX_HOME", raising=False)
    process = FakeProcess()
    connection = targets.Sandbox(tmp_path, ["azsandbox"], process).connect()
    assert process.commands == [["azsandbox", "env", "--json"], ["azsandbox", "up"], ["azsandbox", "env", "--json"]]
    assert process.environments[0]["AZSANDBOX_HOME"] == str(tmp_path / ".azsandbox")
    assert (connection.subscription_id, connection.tenant_id, connection.object_id) == ("s", "t", "o")
    assert not connection.costs
    environment = connection.environment
    assert environment["HTTPS_PROXY"] == environment["https_proxy"] == "http://127.0.0.1:4080"
    assert environment["REQUESTS_CA_BUNDLE"] == environment["SSL_CERT_FILE"] == "/home/ca.pem"
    assert environment["IDENTITY_ENDPOINT"].endswith("/msi/token")
    assert "127.0.0.1" in environment["NO_PROXY"]


def test_with_a_tunnel_the_public_roots_are_trusted_too(tmp_path: Path) -> None:
    connection = targets.Sandbox(tmp_path, ["azsandbox"], FakeProcess({**FACTS, "tunnel": True})).connect()
    assert connection.environment["SSL_CERT_FILE"] == "/home/bundle.pem"


def test_connecting_again_starts_a_sandbox_that_was_killed(tmp_path: Path) -> None:
    process = FakeProcess()
    sandbox = targets.Sandbox(tmp_path, ["azsandbox"], process)
    sandbox.connect()
    process.runs = False
    sandbox.connect()
    assert [command[1] for command in process.commands] == ["env", "up", "env"] * 2


def test_a_sandbox_that_runs_is_asked_once(tmp_path: Path) -> None:
    process = FakeProcess()
    process.runs = True
    targets.Sandbox(tmp_path, ["azsandbox"], process).connect()
    assert [command[1] for command in process.commands] == ["env"]


def test_a_sandbox_that_does_not_start_says_why(tmp_path: Path) -> None:
    process = FakeProcess(up=1, said="port 4443 is taken")
    with pytest.raises(TargetError, match=r"port 4443 is taken Next: azsandbox logs"):
        targets.Sandbox(tmp_path, ["azsandbox"], process).connect()


@pytest.mark.parametrize("answer", ["nonsense", "{}", '"text"'])
def test_an_answer_that_is_no_environment_is_refused(tmp_path: Path, answer: str) -> None:
    with pytest.raises(TargetError, match="something else than its environment"):
        targets.Sandbox(tmp_path, ["azsandbox"], FakeProcess(answer)).connect()


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="does not start"):
        targets.Sandbox(tmp_path, [str(tmp_path / "no-such-program")]).connect()


def jwt(claims: dict[str, str]) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.sig"


class Credential:
    def get_token(self, *scopes: str, **options: Any) -> Any:
        return SimpleNamespace(token=jwt({"tid": "tenant", "oid": "me"}), expires_on=0)


def test_a_subscription_is_taken_from_the_settings_and_the_tenant_from_the_token() -> None:
    connection = targets.Subscription("sub", credential=Credential()).connect()
    assert (connection.subscription_id, connection.tenant_id, connection.object_id) == ("sub", "tenant", "me")
    assert connection.costs


def test_nobody_signed_in_is_told_to_sign_in() -> None:
    from azure.identity import CredentialUnavailableError

    class Nobody:
        def get_token(self, *scopes: str, **options: Any) -> Any:
            raise CredentialUnavailableError("no az here\nand more")

    with pytest.raises(TargetError, match=r"nobody is signed in to Azure: no az here Next: az login"):
        targets.Subscription("sub", credential=Nobody()).connect()


KUBECONFIG = """
clusters: [{name: c, cluster: {server: "https://c"}}]
contexts: [{name: one, context: {cluster: c, user: u}}, {name: two, context: {cluster: c, user: u}}]
users: [{name: u, user: {}}]
current-context: two
"""


def test_a_context_is_read_only_and_must_exist(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(KUBECONFIG)
    assert targets.Context("", file).connect().context == "two"
    connection = targets.Context("one", file).connect()
    assert connection.reads_only
    assert connection.kubeconfig == file
    assert targets.Context("one", file, "sub").connect().subscription_id == "sub"
    with pytest.raises(TargetError, match="has no context 'three'; it has one, two"):
        targets.Context("three", file).connect()
    with pytest.raises(TargetError, match="cannot be read"):
        targets.Context("one", tmp_path / "none").connect()


def test_the_settings_choose_the_target(tmp_path: Path) -> None:
    kinds = [targets.choose(Settings({"lab": {"target": kind}}), tmp_path).kind for kind in targets.KINDS]
    assert kinds == ["sandbox", "aks", "context"]


def test_only_one_module_knows_that_a_sandbox_exists() -> None:
    """Wall 1 of the design. Texts may speak of it; code may not reach for it."""
    root = Path(targets.__file__).parent
    for path in root.rglob("*.py"):
        source = path.read_text()
        for node in ast.walk(ast.parse(source)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "azsandbox" for name in names), path
        if path.name != "targets.py":
            assert "azsandbox" not in source.lower(), path
