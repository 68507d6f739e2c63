"""The key of a cluster's service account tokens."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from azsandbox.kubernetes.tokens import key_set, signing_key
from azsandbox.store import Store


def test_a_key_is_made_once_and_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every exchange of a token asks for the key set, and to read a key takes as long as thousands of requests."""
    read: list[bytes] = []
    load: Any = serialization.load_pem_private_key

    def counted(data: bytes, password: bytes | None) -> Any:
        read.append(data)
        return load(data, password)

    monkeypatch.setattr(serialization, "load_pem_private_key", counted)
    store = Store(None)
    one, other = store.bucket("cluster/one"), store.bucket("cluster/other")
    sets = [key_set(signing_key(one)) for _ in range(5)]
    assert len(read) == 1 and all(found == sets[0] for found in sets)
    assert key_set(signing_key(other)) != sets[0] and len(read) == 2
