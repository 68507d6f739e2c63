from __future__ import annotations

from typing import Any

import orjson
import pytest

from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.patch import json_patch


def copies(count: int) -> list[dict[str, Any]]:
    return [{"op": "copy", "from": "/data", "path": f"/data/{number}"} for number in range(count)]


def test_copies_of_a_whole_into_itself_end_at_three_mebibytes() -> None:
    with pytest.raises(StatusError) as refused:
        json_patch.apply({"data": {"a": "b"}}, copies(60))
    assert (refused.value.code, refused.value.reason) == (422, "Invalid")


def test_what_copies_little_is_applied() -> None:
    assert len(orjson.dumps(json_patch.apply({"data": {"a": "b"}}, copies(10)))) < json_patch.MAX_COPIED
