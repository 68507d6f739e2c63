from __future__ import annotations

import base64
from pathlib import Path

import pytest

from azsandbox.certificates import Authority
from azsandbox.controllers.client import Object
from azsandbox.flux import secrets


def secret(**data: str | bytes) -> Object:
    encoded = {
        key.replace("_", "."): base64.b64encode(value.encode() if isinstance(value, str) else value).decode()
        for key, value in data.items()
    }
    return {"metadata": {"name": "creds", "namespace": "apps"}, "data": encoded}


def test_user_and_password_come_together_or_not_at_all() -> None:
    assert secrets.basic(secret(username="me", password="pw")) == ("me", "pw")
    assert secrets.basic(secret(token="t")) is None
    with pytest.raises(secrets.SecretError) as error:
        secrets.basic(secret(password="pw"))
    assert str(error.value) == "secret 'apps/creds': malformed basic auth - has 'password' but missing 'username'"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"tls_crt": "x"}, "secret 'apps/creds' contains 'tls.crt' but missing 'tls.key'"),
        ({"keyFile": "x"}, "secret 'apps/creds' contains 'tls.key' but missing 'tls.crt'"),
        ({}, "secret 'apps/creds' must contain either 'ca.crt' or both 'tls.crt' and 'tls.key'"),
    ],
)
def test_half_a_pair_of_certificate_and_key_is_refused(data: dict[str, str], message: str) -> None:
    with pytest.raises(secrets.NoCertificates) as error:
        secrets.certificates(secret(**data))
    assert str(error.value) == message


def test_authorities_of_a_secret_stand_alone_or_beside_the_systems(tmp_path: Path) -> None:
    pem = Authority(tmp_path).ca.read_bytes()
    found = secrets.certificates(secret(caFile=pem))
    assert len(found.context().get_ca_certs()) == 1
    assert len(found.context(system=True).get_ca_certs()) >= 1
    with pytest.raises(secrets.SecretError, match="failed to parse CA certificate"):
        secrets.certificates(secret(ca_crt="no certificate")).context()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "secret 'apps/creds': key 'address' not found"),
        ({"address": ""}, "secret 'apps/creds': proxy address is empty"),
        (
            {"address": "ftp://p"},
            "secret 'apps/creds': proxy URL must use one of the supported schemes (http, https, socks5), got 'ftp'",
        ),
        (
            {"address": "http://" + "p" * 2048},
            "secret 'apps/creds': proxy URL exceeds maximum length of 2048 characters",
        ),
    ],
)
def test_a_bad_proxy_is_told(data: dict[str, str], message: str) -> None:
    with pytest.raises(secrets.SecretError) as error:
        secrets.proxy(secret(**data))
    assert str(error.value) == message


def test_a_proxys_credentials_become_part_of_its_url() -> None:
    found = secrets.proxy(secret(address="http://proxy:3128", username="me", password="p@ss"))
    assert found == "http://me:p%40ss@proxy:3128"
