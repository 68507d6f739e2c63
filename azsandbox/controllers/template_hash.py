"""The hash of a pod template, which names ReplicaSets and revisions.

Kubernetes hashes Go's own print of the template with FNV-1a; nothing may rely on the
value, so here it is FNV-1a of the template's canonical JSON, in the same safe alphabet.
"""

from __future__ import annotations

from typing import Any

import orjson

from azsandbox.controllers.client import Object

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: no words
_MAPS = ("labels", "annotations", "nodeSelector", "metadata")


def fnv32a(data: bytes) -> int:
    """FNV-1a, 32 bits."""
    value = 0x811C9DC5
    for byte in data:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def safe_encode(text: str) -> str:
    """`text` in letters and digits that form no words (apimachinery, util/rand)."""
    return "".join(_ALPHABET[ord(char) % len(_ALPHABET)] for char in text)


def canonical(value: Any) -> Any:
    """`value` without what means nothing: nulls, empty lists and empty maps of strings."""
    if isinstance(value, dict):
        found = {key: canonical(item) for key, item in value.items()}
        return {k: v for k, v in found.items() if v is not None and v != [] and not (v == {} and k in _MAPS)}
    if isinstance(value, list):
        return [canonical(item) for item in value]
    return value


def canonical_bytes(value: Any) -> bytes:
    return orjson.dumps(canonical(value), option=orjson.OPT_SORT_KEYS)


def template_hash(template: Object, collisions: int | None = None) -> str:
    """The hash of a template; `collisions` is the owner's status.collisionCount."""
    data = canonical_bytes(template) + (b"" if collisions is None else str(collisions).encode())
    return safe_encode(str(fnv32a(data)))


def same_template(one: Object, other: Object) -> bool:
    """Whether two templates are equal but for the pod-template-hash label."""
    return canonical(_without_hash(one)) == canonical(_without_hash(other))


def _without_hash(template: Object) -> Object:
    metadata = template.get("metadata") or {}
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != "pod-template-hash"}
    return {**template, "metadata": {**metadata, "labels": labels}}
