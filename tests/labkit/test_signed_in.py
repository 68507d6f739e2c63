"""A kubeconfig of the lab's own is read from with the token that is kept; any other by the official client."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from labkit import kubeconfig, signed_in
from tests.labkit.test_session import keep
from tests.labkit.test_token import USER

AUTHORITY = "-----BEGIN CERTIFICATE-----\n"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kubeconfig whose user signs in by the lab's plug-in, through the sandbox's proxy."""
    for name in signed_in.PROXIES:
        monkeypatch.delenv(name, raising=False)
    document = kubeconfig.converted(yaml.safe_load(USER), proxy="http://127.0.0.1:1", cache=tmp_path / "tokens")
    document["clusters"][0]["cluster"]["certificate-authority-data"] = base64.b64encode(AUTHORITY.encode()).decode()
    return kubeconfig.write(tmp_path / "kubeconfig", document)


def authorization(connection: signed_in.Connection | None) -> str:
    assert connection is not None
    headers: dict[str, str] = {}
    connection.authorize(headers, "/api", "GET")
    return headers["Authorization"]


def test_the_kept_token_signs_in(lab: Path) -> None:
    assert signed_in.kept(lab, "") is None  # nobody has signed in yet
    keep(lab, "kept", 600)
    found = signed_in.kept(lab, "aks-baseline")
    assert found is not None
    assert found.host == "https://aks.hcp.westeurope.azmk8s.io:443"
    assert authorization(found) == "Bearer kept"
    assert found.pool.proxy.url == "http://127.0.0.1:1"
    assert found.pool.connection_pool_kw["ca_cert_data"] == AUTHORITY
    assert found.pool.connection_pool_kw["cert_reqs"] == "CERT_REQUIRED"
    assert signed_in.kept(lab, "another") is None


def test_it_takes_no_official_client(lab: Path) -> None:
    keep(lab, "kept", 600)
    code = (
        "import sys; from pathlib import Path; from labkit.readers import KubernetesReader; "
        f"KubernetesReader(Path({str(lab)!r})); sys.exit('kubernetes' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [("insecure-skip-tls-verify", True), ("tls-server-name", "x"), ("certificate-authority-data", None)],
)
def test_a_cluster_that_says_more_or_less_is_left_to_the_official_client(lab: Path, key: str, value: object) -> None:
    keep(lab, "kept", 600)
    document = kubeconfig.read(lab)
    cluster = document["clusters"][0]["cluster"]
    cluster[key] = value
    if value is None:
        del cluster[key]
    kubeconfig.write(lab, document)
    assert signed_in.kept(lab, "") is None


def test_a_proxy_of_the_environment_is_left_to_the_official_client(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = kubeconfig.read(lab)
    del document["clusters"][0]["cluster"]["proxy-url"]
    kubeconfig.write(lab, document)
    keep(lab, "kept", 600)
    assert authorization(signed_in.kept(lab, "")) == "Bearer kept"
    monkeypatch.setenv("HTTP_PROXY", "http://elsewhere")
    assert signed_in.kept(lab, "") is None
