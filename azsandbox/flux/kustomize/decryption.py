"""spec.decryption: the sandbox decrypts nothing, and refuses what would have to be."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.flux.object_refs import ObjectRef
from azsandbox.kubernetes.errors import StatusError

_ENCRYPTED = "ENC[AES256_GCM,"  # how SOPS writes a value
_DISABLED = "kustomize.toolkit.fluxcd.io/decrypt"


class DecryptionError(Exception):
    """Keys that cannot be had; the message is Flux's."""


class NotSupported(Exception):
    """An encrypted object, which the sandbox does not decrypt."""


async def import_keys(client: KubeClient, obj: Object, default_secret: str, namespace: str) -> None:
    """Reads the Secret with the keys, as Flux does before each build. Raises DecryptionError.

    `default_secret` is that of --sops-age-secret, in the controller's `namespace`.
    """
    decryption = obj["spec"].get("decryption")
    if not decryption:
        return
    name, where = (decryption.get("secretRef") or {}).get("name", ""), obj["metadata"]["namespace"]
    if not name:
        name, where = default_secret, namespace
    if not name:
        return
    try:
        await client.get(path("v1", "secrets", where, name))
    except StatusError as error:
        if error.code == 404:
            raise DecryptionError(str(error)) from None
        raise DecryptionError(f"cannot get sops decryption Secret '{where}/{name}': {error}") from None


def refuse(obj: Object) -> None:
    """Raises NotSupported for an object that decryption would have to decrypt."""
    if "sops" in obj or _is_encrypted(obj.get("data")):
        raise NotSupported(
            f"spec.decryption: '{ObjectRef.of(obj)}' is encrypted with SOPS, and decryption is not supported in the sandbox; "
            "take the object out of the path, or put it into the cluster unencrypted"
        )


def _is_encrypted(data: Any) -> bool:
    """Whether a value of a Secret or a ConfigMap is encrypted, or a whole encrypted file."""
    for value in data.values() if isinstance(data, dict) else ():
        if isinstance(value, str):
            if _ENCRYPTED in value:
                return True
            try:
                if _ENCRYPTED.encode() in base64.b64decode(value, validate=True):
                    return True
            except (binascii.Error, ValueError):
                continue
    return False


def is_encrypted_secret(obj: Object) -> bool:
    """Whether an object is a Secret that SOPS has encrypted, and that does not ask to be left so."""
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    disabled = str(annotations.get(_DISABLED, "")).lower() == "disabled"
    return obj.get("kind") == "Secret" and obj.get("apiVersion") == "v1" and "sops" in obj and not disabled
