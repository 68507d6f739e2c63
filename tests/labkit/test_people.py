"""Other people than the learner: who they are where the lab runs, how they sign in, and the groups of lab.toml."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit import cli, kept_tokens, people, targets
from labkit import token as token_module
from labkit.errors import ReadError, TargetError, TokenError
from labkit.kept_tokens import AKS_SERVER
from labkit.lab import Lab
from labkit.settings import Settings
from labkit.token import write_private
from tests.labkit.test_lab import FakeTarget
from tests.labkit.test_targets import FACTS, Credential, FakeProcess
from tests.labkit.test_token import USER

PERSONAS = {"developer": {"user": "dev@lab", "name": "Dev", "identity_header": "dev's"}}


def test_the_sandbox_has_people_who_sign_in_by_a_header_of_their_own(tmp_path: Path) -> None:
    connection = targets.Sandbox(tmp_path, ["azsandbox"], FakeProcess({**FACTS, "personas": PERSONAS})).connect()
    dev = connection.people["developer"]
    assert (dev.user, dev.name, dev.environment["IDENTITY_HEADER"]) == ("dev@lab", "Dev", "dev's")
    assert connection.environment["IDENTITY_HEADER"] == "h"
    assert dev.environment["HTTPS_PROXY"] == connection.environment["HTTPS_PROXY"]


def test_on_azure_they_are_named_by_the_settings_and_sign_in_by_az_in_their_own_folder(tmp_path: Path) -> None:
    settings = Settings({"lab": {"target": "aks"}, "people": {"developer": "dev@contoso.com"}})
    target = targets.choose(settings, tmp_path)
    target._credential, target._subscription_id = Credential(), "sub"  # type: ignore[attr-defined]
    connection = target.connect()
    assert list(connection.people) == ["developer"]
    dev = connection.people["developer"]
    assert dev.environment["AZURE_CONFIG_DIR"] == str(tmp_path / ".labkit/people/developer/azure")
    assert dev.environment["AZURE_TOKEN_CREDENTIALS"] == "AzureCliCredential"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    known = {"developer": targets.Stranger("dev@lab", "Dev", {"IDENTITY_HEADER": "dev's", "AZURE_CONFIG_DIR": "/d"})}
    monkeypatch.setattr(targets, "choose", lambda *_: FakeTarget(people=known))
    return Lab.open(tmp_path, quiet=True)


def test_a_role_that_nobody_has_names_the_setting(lab: Lab) -> None:
    with pytest.raises(TargetError, match=r"'reader'.*developer.*Next: labkit settings people\.reader=NAME@TENANT"):
        lab.person("reader")


def answering(monkeypatch: pytest.MonkeyPatch, code: int, out: str, err: str = "") -> list[Any]:
    asked: list[Any] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        asked.append((command, options["env"]))
        return subprocess.CompletedProcess(command, code, out, err)

    monkeypatch.setattr(people.subprocess, "run", run)
    return asked


def token(claims: dict[str, str], ends: str = "2100-01-01T00:00:00Z") -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return json.dumps({"status": {"token": f"e30.{payload}.sig", "expirationTimestamp": ends}})


def test_a_token_is_asked_for_once_in_the_environment_of_the_person(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, 0, token({"oid": "dev-id"}))
    dev = lab.person("developer")
    assert dev.object_id == dev.object_id == "dev-id"
    ((command, environment),) = asked
    servers = ["--server-id", "https://management.azure.com", "--server-id", AKS_SERVER]
    assert command == [sys.executable, "-m", "labkit", "token", *servers, "--tenant-id", lab.tenant_id]
    assert environment["IDENTITY_HEADER"] == "dev's"
    assert environment["LABKIT_TOKEN_CACHE"].endswith(".labkit/people/developer/tokens")


def test_one_sign_in_is_enough_for_azure_and_for_the_cluster(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the process of a sign-in keeps is what their kubectl finds."""
    dev = lab.person("developer")
    monkeypatch.setattr(lab, "credentials", lambda reader, admin=False: yaml.safe_load(USER))
    asked: list[str] = []

    def sign_in(server_id: str, tenant_id: str, credential: Any, file: str) -> tuple[str, int]:
        asked.append(server_id)
        if server_id == "nobody-knows-it":
            raise TokenError("no such application", "")
        write_private(Path(file), kept_tokens.written(f"for-{server_id}", 4102444800))
        return f"for-{server_id}", 4102444800

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as theirs:
            for name, value in options["env"].items():
                theirs.setenv(name, value)
            assert cli.main([*command[3:], "--server-id", "nobody-knows-it"]) == 0
        return subprocess.CompletedProcess(command, 0, capsys.readouterr().out, "")

    monkeypatch.setattr(token_module, "_sign_in", sign_in)
    monkeypatch.setattr(people.subprocess, "run", run)
    got = dev.credential.get_token("https://management.azure.com/.default")
    assert got.token == "for-https://management.azure.com"
    assert asked == ["https://management.azure.com", AKS_SERVER, "nobody-knows-it"]
    stanza = yaml.safe_load(dev.kubeconfig().read_text())["users"][0]["user"]["exec"]
    environment = {**os.environ, **{item["name"]: item["value"] for item in stanza["env"]}}
    place = kept_tokens.place(AKS_SERVER, lab.tenant_id, environment)
    assert kept_tokens.read(place, 0.0) == (f"for-{AKS_SERVER}", 4102444800)


def test_who_has_not_signed_in_is_told_how(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, 1, "", "no token for the API server: Please run 'az login'\nmore")
    with pytest.raises(TokenError, match=r"Please run .* Next: AZURE_CONFIG_DIR=/d az login --username dev@lab"):
        lab.person("developer").credential.get_token("https://management.azure.com/.default")


def test_their_kubeconfig_is_theirs_and_private(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "credentials", lambda reader, admin=False: yaml.safe_load(USER))
    dev = lab.person("developer")
    path = dev.kubeconfig()
    assert path == lab.home / ".labkit/people/developer/kubeconfig"
    assert path != lab.kubeconfig_path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "dev's" in path.read_text()


class Graph(people.Directory):
    """Microsoft Graph as a list of what is asked."""

    def __init__(self, groups: list[dict[str, str]], refusal: str = "") -> None:
        self.groups, self.refusal = groups, refusal
        self.asked: list[tuple[str, str, Any]] = []

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        self.asked.append((method, path, body))
        if path.endswith("/$ref") and self.refusal:
            raise ReadError(self.refusal, 400)
        if method == "GET" and path.startswith("/v1.0/groups?"):
            return {"value": self.groups}
        return {"id": "new", "displayName": (body or {}).get("displayName", "")}


def test_a_group_that_is_there_is_taken_as_it_is() -> None:
    graph = Graph([{"displayName": "AKS Developers", "id": "g"}])
    found = people.group(graph, Settings(), "developer", targets.Stranger("dev@lab"))
    assert found == people.Group("AKS Developers", "g")
    assert graph.asked == [("GET", "/v1.0/groups?$filter=displayName%20eq%20%27AKS%20Developers%27", None)]


def test_a_group_that_is_not_there_is_made_with_its_person_in_it() -> None:
    graph = Graph([], refusal="One or more added object references already exist for …")
    found = people.group(graph, Settings(), "developer", targets.Stranger("dev@lab"))
    assert found.object_id == "new"
    assert [(method, path) for method, path, _ in graph.asked][1:] == [
        ("POST", "/v1.0/groups"),
        ("GET", "/v1.0/users/dev%40lab"),
        ("POST", "/v1.0/groups/new/members/$ref"),
    ]
    assert graph.asked[1][2]["mailNickname"] == "aks-developers"
    with pytest.raises(ReadError, match="Insufficient privileges"):
        Graph([], refusal="Insufficient privileges").join(found, "dev@lab")
