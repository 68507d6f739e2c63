"""Flux goes out of a cluster as `flux uninstall` takes it out, also when it was begun before in another way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit.errors import CommandFailed, LabError
from labkit.gitops import uninstall
from labkit.output import Output

NAMESPACE = "flux-system"
# What lesson 34 commits: notification-controller gives a Provider a finalizer.
PROVIDER = {
    "apiVersion": "notification.toolkit.fluxcd.io/v1beta3",
    "kind": "Provider",
    "metadata": {"name": "github", "namespace": NAMESPACE},
    "spec": {"type": "github", "address": "https://github.com/contoso/clusters", "secretRef": {"name": "token"}},
}
KEPT = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "kept", "namespace": "default"},
    "data": {"a": "1"},
}


class Kubectl:
    """kubectl on the cluster of a kubeconfig, as the lab runs it."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    def __call__(self, words: list[str], *, input: str | None = None, check: bool = True) -> Output:
        command = ["kubectl", "--kubeconfig", str(self.kubeconfig), *words]
        ended = subprocess.run(command, input=input, capture_output=True, text=True, check=False, timeout=90)
        if check and ended.returncode:
            raise CommandFailed(" ".join(words), ended.returncode, ended.stdout, ended.stderr)
        return Output(" ".join(words), ended.returncode, ended.stdout, ended.stderr)

    def names(self, *words: str) -> str:
        return self(["get", *words, "--ignore-not-found", "-o", "name"]).stdout.strip()

    def create(self, obj: dict[str, Any]) -> None:
        self(["create", "-f", "-"], input=json.dumps(obj))


@pytest.fixture
def kubectl(tmp_path: Path) -> Iterator[Kubectl]:
    kubeconfig = tmp_path / "kubeconfig"
    command = [sys.executable, "-m", "azsandbox", "cluster", "--nodes", "1", "--flux", "--kubeconfig", str(kubeconfig)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # it says where it is when it answers
            found = Kubectl(kubeconfig)
            found(["wait", "--for=condition=Available", "deployment", "--all", "-n", NAMESPACE, "--timeout=60s"])
            found.create(PROVIDER)
            finalizer = "--for=jsonpath={.metadata.finalizers[0]}=finalizers.fluxcd.io"
            found(["wait", finalizer, "provider/github", "-n", NAMESPACE, "--timeout=30s"])
            found.create(KEPT)
            yield found
        finally:
            process.terminate()


def test_flux_goes_with_its_namespace_though_a_provider_has_a_finalizer_and_nobody_to_take_it_off(
    kubectl: Kubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lesson 31 deleted the namespace so, and everything after it waited for ever: it stayed Terminating."""
    assert uninstall.installed(kubectl)
    kubectl(["delete", "deployments", "-n", NAMESPACE, "-l", uninstall.PART, "--cascade=foreground"])
    kubectl(["delete", "namespace", NAMESPACE, "--wait=false"])
    assert not kubectl(["wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=2s"], check=False).ok
    assert uninstall.begun(kubectl, NAMESPACE)
    uninstall.uninstall(kubectl, NAMESPACE)
    assert not kubectl.names("namespace", NAMESPACE)
    assert not kubectl.names("crd,clusterroles,clusterrolebindings", "-l", uninstall.PART)
    assert kubectl.names("configmap", "kept") == "configmap/kept"
    assert not uninstall.begun(kubectl, NAMESPACE)
    assert "finalizers" in capsys.readouterr().out
    uninstall.uninstall(kubectl, NAMESPACE)  # there is nothing to do


def test_what_azures_extension_keeps_is_left_alone() -> None:
    asked: list[list[str]] = []

    def kubectl(words: list[str], **_: Any) -> Output:
        asked.append(words)
        made = "   2026-11-26T00:36:10Z\n"
        return Output(" ".join(words), 0, f"providers.notification.toolkit.fluxcd.io{made}{uninstall.AZURES}{made}", "")

    with pytest.raises(LabError, match="kept here by Azure's extension"):
        uninstall.uninstall(kubectl, NAMESPACE)
    assert not uninstall.installed(kubectl)
    assert {words[0] for words in asked} == {"get"}


def test_a_namespace_that_does_not_go_is_named_with_its_own_words() -> None:
    status = {"phase": "Terminating", "conditions": [{"status": "True", "message": "Some content remains: a.b has 1"}]}

    def kubectl(words: list[str], **_: Any) -> Output:
        said = json.dumps({"status": status}) if words[:2] == ["get", "namespace"] else ""
        return Output(" ".join(words), 1 if words[:2] == ["delete", "namespace"] else 0, said, "")

    with pytest.raises(LabError, match=r"found it after 60 s: Terminating Some content remains: a\.b has 1"):
        uninstall.uninstall(kubectl, NAMESPACE)
