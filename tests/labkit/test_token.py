"""The credential plug-in, and the kubeconfig that runs it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import kept_tokens, kubeconfig, token
from labkit.errors import KubeconfigError, TokenError

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Credential:
    """Gives out numbered tokens, each good for an hour."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def get_token(self, scope: str, **options: Any) -> Any:
        self.asked.append((scope, options))
        return SimpleNamespace(token=f"token-{len(self.asked)}", expires_on=int((NOW + timedelta(hours=1)).timestamp()))


def info(version: str) -> str:
    return json.dumps({"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}})


@pytest.mark.parametrize("version", ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"])
def test_the_answer_has_the_version_that_the_client_asks_for(tmp_path: Path, version: str) -> None:
    environ = {"KUBERNETES_EXEC_INFO": info(version), token.CACHE_VARIABLE: str(tmp_path)}
    credential = Credential()
    answer = token.exec_credential(tenant_id="t", environ=environ, credential=credential, now=NOW)
    assert answer == {
        "apiVersion": version,
        "kind": "ExecCredential",
        "status": {"token": "token-1", "expirationTimestamp": "2026-11-22T13:00:00Z"},
    }
    assert credential.asked == [("6dae42f8-4368-4678-94ff-3960e28e3630/.default", {"tenant_id": "t"})]


@pytest.mark.parametrize("text", ["{", "[]", info("client.authentication.k8s.io/v1alpha1")])
def test_a_client_that_asks_for_something_else_is_refused(tmp_path: Path, text: str) -> None:
    environ = {"KUBERNETES_EXEC_INFO": text, token.CACHE_VARIABLE: str(tmp_path)}
    with pytest.raises(TokenError):
        token.exec_credential(environ=environ, credential=Credential(), now=NOW)


def test_a_token_is_kept_for_this_user_alone_until_it_nears_its_end(tmp_path: Path) -> None:
    environ = {token.CACHE_VARIABLE: str(tmp_path / "tokens")}
    credential = Credential()

    def ask(moment: datetime) -> str:
        answer = token.exec_credential(environ=environ, credential=credential, now=moment)
        return str(answer["status"]["token"])

    assert ask(NOW) == "token-1"
    assert ask(NOW + timedelta(minutes=57)) == "token-1"
    assert ask(NOW + timedelta(minutes=59)) == "token-2"
    (kept,) = (tmp_path / "tokens").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_a_kept_token_that_is_damaged_is_not_used(tmp_path: Path) -> None:
    environ = {token.CACHE_VARIABLE: str(tmp_path)}
    credential = Credential()
    token.exec_credential(environ=environ, credential=credential, now=NOW)
    next(tmp_path.iterdir()).write_text("{")
    assert token.exec_credential(environ=environ, credential=credential, now=NOW)["status"]["token"] == "token-2"


@pytest.mark.parametrize(
    "change", [{"AZURE_CLIENT_ID": "another"}, {"IDENTITY_HEADER": "another"}, {"HTTPS_PROXY": "http://elsewhere"}]
)
def test_another_person_does_not_get_the_kept_token(tmp_path: Path, change: dict[str, str]) -> None:
    environ = {token.CACHE_VARIABLE: str(tmp_path)}
    credential = Credential()
    token.exec_credential(environ=environ, credential=credential, now=NOW)
    answer = token.exec_credential(environ={**environ, **change}, credential=credential, now=NOW)
    assert answer["status"]["token"] == "token-2"


def plug_in(*arguments: str, python: Sequence[str] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    """Run what a kubeconfig of the lab names, without anything of this process's environment that signs in.

    `python` are further options of the interpreter.
    """
    command, first = kubeconfig.plug_in()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(kept_tokens.IDENTITY_VARIABLES)}
    return subprocess.run(
        [command, *python, *first, *arguments],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def keep(folder: Path, environment: dict[str, str]) -> None:
    outside = {name: value for name, value in os.environ.items() if name.startswith(kept_tokens.IDENTITY_VARIABLES)}
    assert not set(outside) & set(environment)
    file = Path(kept_tokens.place("SERVER", "TENANT", environment))
    token.write_private(file, kept_tokens.written("kept", int(datetime.now(UTC).timestamp()) + 3600))
    assert file.parent == folder


def test_a_kept_token_is_given_to_kubectl_by_a_bare_python(tmp_path: Path) -> None:
    environment = {token.CACHE_VARIABLE: str(tmp_path), "AZURE_CLIENT_ID": "me"}
    keep(tmp_path, environment)
    asked = info("client.authentication.k8s.io/v1beta1")
    ended = plug_in("--server-id", "SERVER", "--tenant-id", "TENANT", KUBERNETES_EXEC_INFO=asked, **environment)
    answer = json.loads(ended.stdout)
    assert answer["apiVersion"] == "client.authentication.k8s.io/v1beta1"
    assert answer["status"]["token"] == "kept"
    assert "-S" in kubeconfig.plug_in()[1]
    imports = ("-X", "importtime")
    again = plug_in("--server-id", "SERVER", "--tenant-id", "TENANT", python=imports, **environment)
    assert json.loads(again.stdout)["status"]["token"] == "kept"
    imported = again.stderr
    assert not {"argparse", "hashlib", "json", "pathlib", "typing", "labkit", "azure"} & {
        line.rsplit("|", 1)[1].strip().split(".")[0] for line in imported.splitlines() if "|" in line
    }


def test_without_a_kept_token_kubectl_gets_what_labkit_token_says(tmp_path: Path) -> None:
    environment = {token.CACHE_VARIABLE: str(tmp_path), "AZURE_CLIENT_ID": "me"}
    keep(tmp_path, environment)
    environment["KUBERNETES_EXEC_INFO"] = "{"
    ended = plug_in("--server-id", "SERVER", "--tenant-id", "TENANT", **environment)
    assert ended.returncode == 2
    assert ended.stderr.startswith("labkit: KUBERNETES_EXEC_INFO is not an ExecCredential")
    assert "usage: labkit token" in plug_in("--help").stdout


@pytest.mark.parametrize("odd", ["a'b", 'a"b', "a\\b", "ä"])
def test_what_is_no_bearer_token_is_left_to_labkit_token(tmp_path: Path, odd: str) -> None:
    environment = {token.CACHE_VARIABLE: str(tmp_path)}
    file = Path(kept_tokens.place(token.AKS_SERVER, "", environment))
    token.write_private(file, kept_tokens.written(odd, int(NOW.timestamp())))
    assert kept_tokens.read(str(file), 0.0) == (odd, int(NOW.timestamp()))
    assert kept_tokens.kept([], environment, 0.0) is None


def test_nobody_signed_in_is_told_how(tmp_path: Path) -> None:
    from azure.identity import CredentialUnavailableError

    class Nobody:
        def get_token(self, scope: str, **options: Any) -> Any:
            raise CredentialUnavailableError("nobody")

    with pytest.raises(TokenError, match=r"nobody Next: az login"):
        token.exec_credential(environ={token.CACHE_VARIABLE: str(tmp_path)}, credential=Nobody(), now=NOW)


USER = """
apiVersion: v1
kind: Config
clusters:
- name: aks-baseline
  cluster: {server: "https://aks.hcp.westeurope.azmk8s.io:443", certificate-authority-data: QQ==}
contexts:
- name: aks-baseline
  context: {cluster: aks-baseline, user: clusterUser_rg_aks-baseline}
current-context: aks-baseline
users:
- name: clusterUser_rg_aks-baseline
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1beta1
      command: kubelogin
      args: [get-token, --environment, AzurePublicCloud, --server-id, SERVER, --client-id, C, --tenant-id, TENANT,
        --login, devicecode]
      provideClusterInfo: false
- name: old
  user:
    auth-provider: {name: azure, config: {apiserver-id: OLD, tenant-id: T2}}
- name: certificate
  user: {client-certificate-data: QQ==, client-key-data: QQ==}
"""


def test_users_of_kubelogin_sign_in_by_labkit_token() -> None:
    before = kubeconfig.parse(USER)
    after = kubeconfig.converted(
        before, environment={"HTTPS_PROXY": "http://p"}, proxy="http://p", cache=Path("/kept/tokens")
    )
    user, old, certificate = (entry["user"] for entry in after["users"])
    command, first = kubeconfig.plug_in()
    assert user["exec"]["command"] == command
    assert user["exec"]["args"] == [*first, "--server-id", "SERVER", "--tenant-id", "TENANT"]
    assert user["exec"]["apiVersion"] == "client.authentication.k8s.io/v1"
    assert user["exec"]["interactiveMode"] == "Never"
    assert {"name": "HTTPS_PROXY", "value": "http://p"} in user["exec"]["env"]
    assert {"name": token.CACHE_VARIABLE, "value": "/kept/tokens"} in user["exec"]["env"]
    assert old["exec"]["args"][-4:] == ["--server-id", "OLD", "--tenant-id", "T2"]
    assert certificate == before["users"][2]["user"]
    assert after["clusters"][0]["cluster"]["proxy-url"] == "http://p"
    assert kubeconfig.parse(USER) == before


def test_converting_twice_changes_nothing_more() -> None:
    once = kubeconfig.converted(kubeconfig.parse(USER))
    assert kubeconfig.converted(once) == once


def test_a_kubeconfig_is_merged_by_name_and_written_for_this_user_alone(tmp_path: Path) -> None:
    other = kubeconfig.parse(USER.replace("aks-baseline", "second"))
    both = kubeconfig.merged(kubeconfig.parse(USER), other)
    assert [entry["name"] for entry in both["clusters"]] == ["aks-baseline", "second"]
    assert both["current-context"] == "second"
    again = kubeconfig.merged(both, other)
    assert again == both
    path = kubeconfig.write(tmp_path / "lab" / "kubeconfig", both)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kubeconfig.read(path) == both


@pytest.mark.parametrize("text", ["[", "a: 1", "", "clusters: 3"])
def test_what_is_no_kubeconfig_is_refused(text: str) -> None:
    with pytest.raises(KubeconfigError):
        kubeconfig.parse(text)


def test_a_kubeconfig_that_kubectl_emptied_takes_a_cluster_again() -> None:
    emptied = kubeconfig.parse("apiVersion: v1\nkind: Config\nclusters: null\ncontexts: null\nusers: null\n")
    merged = kubeconfig.merged(emptied, kubeconfig.parse(USER))
    assert [entry["name"] for entry in merged["clusters"]] == ["aks-baseline"]
