"""Tokens that `labkit token` kept, and the program that gives one to kubectl before anything large is imported.

kubectl runs its credential plug-in once each time it is called. So a kubeconfig of the lab runs this file by itself,
without site-packages (`python -I -S kept_tokens.py --server-id …`): a token that is kept costs the start of a bare
Python, and only where there is none does `labkit token` begin, with the same arguments. It therefore imports little of
the standard library, and nothing else; the rules of what is kept, and for whom, are here alone.
"""

# importing pathlib, json or hashlib would take longer than all else here
# ruff: noqa: PTH110, PTH111, PTH118, PTH120, PTH123

from __future__ import annotations

import os
import sys
import time
from _blake2 import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

AKS_SERVER = "6dae42f8-4368-4678-94ff-3960e28e3630"
"""Application id of the Azure Kubernetes Service AAD Server, the same in every tenant (AKS docs, kubelogin)."""

API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
CACHE_VARIABLE = "LABKIT_TOKEN_CACHE"
EARLY = 120
"""Seconds before its end from which on a kept token is not given out."""

# What decides who signs in and where; a token got under one set is not given out under another.
IDENTITY_VARIABLES = ("AZURE_", "IDENTITY_", "MSI_", "HTTPS_PROXY", "https_proxy")
FLAGS = ("--server-id", "--tenant-id")
PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=")
"""What a bearer token is made of (RFC 6750, 2.1); none of it is escaped in JSON, nor by repr."""


def place(server_id: str, tenant_id: str, environ: Mapping[str, str]) -> str:
    """The path of the file in which the token for `server_id` is kept, for whom `environ` signs in."""
    folder = environ.get(CACHE_VARIABLE) or os.path.join(os.path.expanduser("~"), ".labkit", "tokens")
    identity = sorted(f"{name}={value}" for name, value in environ.items() if name.startswith(IDENTITY_VARIABLES))
    key = "\0".join((server_id, tenant_id, *identity))  # no variable of an environment holds a NUL
    return os.path.join(folder, blake2b(os.fsencode(key), digest_size=16).hexdigest())


def read(path: str, now: float) -> tuple[str, int] | None:
    """The token at `path` and the second at which it ends; None if there is none that is good from `now` on."""
    try:
        with open(path, encoding="utf-8") as file:
            first, token = file.read().splitlines()
        expires = int(first)
    except (OSError, ValueError):
        return None
    return (token, expires) if expires - EARLY > now else None


def written(token: str, expires: int) -> str:
    """What a file of a kept token holds."""
    return f"{expires}\n{token}\n"


def credential(version: str, token: str, expires: int) -> dict[str, Any]:
    """The ExecCredential of that version, as the documentation of Kubernetes has it ("client-go credential plugins")."""
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires))
    return {
        "apiVersion": version,
        "kind": "ExecCredential",
        "status": {"expirationTimestamp": ends, "token": token},
    }


def version_asked(information: str) -> str:
    """The version that the client wants: KUBERNETES_EXEC_INFO says it. Raises ValueError with what it has instead."""
    if not information:
        return API_VERSIONS[0]
    for version in API_VERSIONS:
        if information.startswith(f'{{"kind":"ExecCredential","apiVersion":"{version}",'):  # as client-go writes it
            return version
    import json

    try:
        asked = json.loads(information)["apiVersion"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"KUBERNETES_EXEC_INFO is not an ExecCredential: {information[:200]!r}.") from error
    if asked not in API_VERSIONS:
        raise ValueError(f"the client asks for {asked!r}; labkit token answers in {' or '.join(API_VERSIONS)}.")
    return str(asked)


def asked_for(arguments: Sequence[str]) -> tuple[str, str]:
    """The server's id and the tenant's that the `arguments` of the plug-in name."""
    given = dict(zip(arguments[::2], arguments[1::2], strict=False))
    return given.get("--server-id", AKS_SERVER), given.get("--tenant-id", "")


def kept(arguments: Sequence[str], environ: Mapping[str, str], now: float) -> str | None:
    """The answer to `arguments` as text, if it can be given from what is kept."""
    if len(arguments) % 2 or not set(arguments[::2]) <= set(FLAGS):
        return None
    found = read(place(*asked_for(arguments), environ), now)
    try:
        version = version_asked(environ.get("KUBERNETES_EXEC_INFO", ""))
    except ValueError:
        return None
    if found is None or not set(found[0]) <= PLAIN:
        return None
    return repr(credential(version, *found)).replace("'", '"')


def main(arguments: list[str]) -> None:
    """Print the kept token, or become `labkit token`, which signs in, and says what is wrong."""
    answer = kept(arguments, os.environ, time.time())
    if answer is not None:
        print(answer)
        return
    script = os.path.join(os.path.dirname(sys.executable), "labkit")
    command = [script] if os.path.exists(script) else [sys.executable, "-m", "labkit"]
    os.execv(command[0], [*command, "token", *arguments])  # noqa: S606 - the lab's own program, without a shell


if __name__ == "__main__":
    main(sys.argv[1:])
