"""Deploy keys (GitHub docs, REST, "Deploy keys"): kept and shown. Nothing signs in with one, as there is no SSH here."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from azsandbox.git.repositories import Settings, next_id
from azsandbox.git.rest.answers import Answer, invalid, not_found
from azsandbox.git.rest.call import Call
from azsandbox.store import Bucket

COLLECTION = "keys"
_KINDS = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
_FORM = "key is invalid. You must supply a key in OpenSSH public key format"


async def list_all(call: Call) -> Answer:
    """All of a repository."""
    settings = _settings(call)
    return call.paged([_shown(call, settings, key) for key in _keys(call.host.bucket, settings)])


async def get(call: Call) -> Answer:
    """One."""
    settings = _settings(call)
    return Answer(200, _shown(call, settings, _key(call, settings)))


async def create(call: Call) -> Answer:
    """Adds one, which no repository may have yet."""
    settings = _settings(call)
    body = call.body({"title": "string", "key": "string", "read_only": "boolean"}, ("key",))
    key = " ".join(body["key"].split()[:2])
    if not _is_public_key(key):
        raise invalid("PublicKey", "key", "custom", _FORM)
    bucket = call.host.bucket
    if any(orjson.loads(record.value)["key"] == key for record in bucket.list(COLLECTION)):
        raise invalid("PublicKey", "key", "custom", "key is already in use")
    made = {
        "id": next_id(bucket, COLLECTION),
        "key": key,
        "title": body.get("title") or " ".join(body["key"].split()[2:]) or "Untitled",
        "created_at": call.host.repositories.now(),
        "read_only": bool(body.get("read_only", False)),
        "added_by": call.account().login,
    }
    bucket.put(COLLECTION, f"{settings.key}/{made['id']}", orjson.dumps(made))
    shown = _shown(call, settings, made)
    return Answer(201, shown, {"Location": shown["url"]})


async def delete(call: Call) -> Answer:
    """Takes one away."""
    settings = _settings(call)
    key = _key(call, settings)
    call.host.bucket.delete(COLLECTION, f"{settings.key}/{key['id']}")
    return Answer(204)


def forget(bucket: Bucket, settings: Settings) -> None:
    """Deletes those of a repository."""
    for record in bucket.list(COLLECTION, f"{settings.key}/"):
        bucket.delete(COLLECTION, record.key)


def _settings(call: Call) -> Settings:
    """Keys are for those who administer a repository; for others there are none."""
    settings = call.settings("push" if call.method != "GET" else "pull")
    if call.viewer.role(call.host.accounts, settings) != "admin":
        raise not_found()
    return settings


def _keys(bucket: Bucket, settings: Settings) -> list[dict[str, Any]]:
    found = [orjson.loads(record.value) for record in bucket.list(COLLECTION, f"{settings.key}/")]
    return sorted(found, key=lambda key: int(key["id"]))


def _key(call: Call, settings: Settings) -> dict[str, Any]:
    record = call.host.bucket.get(COLLECTION, f"{settings.key}/{call.number('key_id')}")
    if record is None:
        raise not_found()
    found: dict[str, Any] = orjson.loads(record.value)
    return found


def _shown(call: Call, settings: Settings, key: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": key["id"],
        "key": key["key"],
        "url": f"{call.links.repository(settings)}/keys/{key['id']}",
        "title": key["title"],
        "verified": True,
        "created_at": key["created_at"],
        "read_only": key["read_only"],
        "added_by": key["added_by"],
        "last_used": None,
        "enabled": True,
    }


def _is_public_key(text: str) -> bool:
    kind, _, data = text.partition(" ")
    try:
        decoded = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return False
    size = int.from_bytes(decoded[:4])
    return kind in _KINDS and decoded[4 : 4 + size] == kind.encode() and len(decoded) > 4 + size
