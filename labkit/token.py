"""`labkit token`: the credential plug-in that kubectl and other clients of Kubernetes run to get a token.

It takes the place of kubelogin: azure-identity signs in, and the answer is an ExecCredential as the Kubernetes
documentation describes it ("client-go credential plugins"). A token is kept, 0600, until it nears its end; kubectl gets
a kept one from `kept_tokens.py`, without this.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labkit import kept_tokens
from labkit.errors import TokenError
from labkit.kept_tokens import AKS_SERVER, CACHE_VARIABLE, EARLY

__all__ = ["AKS_SERVER", "CACHE_VARIABLE", "EARLY", "exec_credential", "write_private"]


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
    try:
        version = kept_tokens.version_asked(environ.get("KUBERNETES_EXEC_INFO", ""))
    except ValueError as error:
        raise TokenError(str(error), "labkit token --kubeconfig FILE") from error
    moment = now or datetime.now(UTC)
    file = kept_tokens.place(server_id, tenant_id, environ)
    token, expires = kept_tokens.read(file, moment.timestamp()) or _sign_in(server_id, tenant_id, credential, file)
    return kept_tokens.credential(version, token, expires)


def _sign_in(server_id: str, tenant_id: str, credential: Any, file: str) -> tuple[str, int]:
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity import CredentialUnavailableError, DefaultAzureCredential

    source = credential or DefaultAzureCredential()
    options = {"tenant_id": tenant_id} if tenant_id else {}
    try:
        got = source.get_token(f"{server_id}/.default", **options)
    except (CredentialUnavailableError, ClientAuthenticationError) as error:
        first = str(error).strip().splitlines()[0]
        raise TokenError(f"no token for the API server: {first}", "az login, or: labkit use sandbox") from error
    expires = int(got.expires_on)
    write_private(Path(file), kept_tokens.written(got.token, expires))
    return got.token, expires


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path` for this user's eyes only (0600), whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)
