"""`labkit token`: the credential plug-in that kubectl and other clients of Kubernetes run to get a token.

It takes the place of kubelogin: azure-identity signs in, and the answer is an ExecCredential as the Kubernetes
documentation describes it ("client-go credential plugins"). A token is kept, 0600, until it nears its end.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labkit.errors import TokenError

AKS_SERVER = "6dae42f8-4368-4678-94ff-3960e28e3630"
"""Application id of the Azure Kubernetes Service AAD Server, the same in every tenant (AKS docs, kubelogin)."""

API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
CACHE_VARIABLE = "LABKIT_TOKEN_CACHE"
EARLY = 120
"""Seconds before its end from which on a kept token is not given out."""

# What decides who signs in and where; a token got under one set is not given out under another.
IDENTITY_VARIABLES = ("AZURE_", "IDENTITY_", "MSI_", "HTTPS_PROXY", "https_proxy")


def exec_credential(
    server_id: str = AKS_SERVER,
    tenant_id: str = "",
    *,
    environ: Mapping[str, str] | None = None,
    credential: Any = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """An ExecCredential with a token for the API server whose application id is `server_id`.

    `environ` is the environment of the process: KUBERNETES_EXEC_INFO says which version to answer in. Raises
    TokenError when nobody is signed in, or for a version that is not known.
    """
    environ = os.environ if environ is None else environ
    version = _api_version(environ.get("KUBERNETES_EXEC_INFO", ""))
    moment = now or datetime.now(UTC)
    kept = _cache_file(server_id, tenant_id, environ)
    token, expires = _read(kept, moment) or _sign_in(server_id, tenant_id, credential, kept)
    ends = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": version,
        "kind": "ExecCredential",
        "status": {"expirationTimestamp": ends, "token": token},
    }


def _api_version(information: str) -> str:
    if not information:
        return API_VERSIONS[0]
    try:
        asked = json.loads(information)["apiVersion"]
    except (ValueError, KeyError, TypeError) as error:
        message = f"KUBERNETES_EXEC_INFO is not an ExecCredential: {information[:200]!r}."
        raise TokenError(message, "labkit token --kubeconfig FILE") from error
    if asked not in API_VERSIONS:
        message = f"the client asks for {asked!r}; labkit token answers in {' or '.join(API_VERSIONS)}."
        raise TokenError(message, "labkit token --kubeconfig FILE")
    return str(asked)


def _cache_file(server_id: str, tenant_id: str, environ: Mapping[str, str]) -> Path:
    folder = Path(environ.get(CACHE_VARIABLE) or Path.home() / ".labkit" / "tokens")
    identity = sorted((name, value) for name, value in environ.items() if name.startswith(IDENTITY_VARIABLES))
    key = json.dumps([server_id, tenant_id, identity])
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def _read(path: Path, now: datetime) -> tuple[str, int] | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        token, expires = str(kept["token"]), int(kept["expires_on"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (token, expires) if expires - EARLY > now.timestamp() else None


def _sign_in(server_id: str, tenant_id: str, credential: Any, kept: Path) -> tuple[str, int]:
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity import CredentialUnavailableError, DefaultAzureCredential

    source = credential or DefaultAzureCredential()
    options = {"tenant_id": tenant_id} if tenant_id else {}
    try:
        got = source.get_token(f"{server_id}/.default", **options)
    except (CredentialUnavailableError, ClientAuthenticationError) as error:
        first = str(error).strip().splitlines()[0]
        raise TokenError(f"no token for the API server: {first}", "az login, or: labkit use sandbox") from error
    write_private(kept, json.dumps({"token": got.token, "expires_on": got.expires_on}))
    return got.token, int(got.expires_on)


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path` for this user's eyes only (0600), whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)
