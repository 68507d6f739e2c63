"""Image pull secrets: the names and passwords that a pod brings along.

Rules: k8s.io/kubernetes, pkg/credentialprovider (config.go, keyring.go, secrets).
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from azsandbox.controllers.client import Object
from azsandbox.controllers.kubelet.images import Credential
from azsandbox.controllers.kubelet.references import References

_SCHEMES = ("https://", "http://")
_OLD_PATHS = ("v1", "v2")


def credentials(pod: Object, references: References) -> tuple[tuple[Credential, ...], list[str]]:
    """What the pod's pull secrets say, more exact places first, and the names of those that are not there."""
    found: list[Credential] = []
    missing = []
    for reference in pod["spec"].get("imagePullSecrets") or ():
        name = reference.get("name") or ""
        data = references.data("secret", pod["metadata"]["namespace"], name) if name else {}
        if data is None:
            missing.append(name)
        else:
            found += read(data)
    return tuple(sorted(found, key=lambda credential: credential.place, reverse=True)), missing


def read(data: dict[str, bytes]) -> list[Credential]:
    """The credentials in a secret of a `kubernetes.io/dockerconfigjson` or `kubernetes.io/dockercfg`; [] for others."""
    try:
        if ".dockerconfigjson" in data:
            entries = json.loads(data[".dockerconfigjson"])["auths"]
        else:
            entries = json.loads(data.get(".dockercfg", b"{}"))
        return [Credential(_place(place), *_pair(entry)) for place, entry in entries.items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def _place(text: str) -> str:
    for scheme in _SCHEMES:
        text = text.removeprefix(scheme)
    host, _, path = text.partition("/")
    path = path.strip("/")
    return host if not path or path in _OLD_PATHS else f"{host}/{path}"


def _pair(entry: dict[str, Any]) -> tuple[str, str]:
    """Name and password; `auth` counts for more than the fields of their own."""
    if entry.get("auth"):
        try:
            user, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
        except binascii.Error as error:
            message = f"auth is not base64: {error}"
            raise ValueError(message) from None
        return user, password
    return str(entry.get("username") or ""), str(entry.get("password") or "")
