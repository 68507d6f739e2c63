"""Bodies of requests: JSON, and of a depth that functions can walk."""

from __future__ import annotations

import json

import pytest

from azsandbox import json_bodies


def test_json_is_read_as_deep_as_the_limit() -> None:
    text = "[" * json_bodies.MOST_NESTED + "]" * json_bodies.MOST_NESTED
    assert json.dumps(json_bodies.parse(text)) == text


@pytest.mark.parametrize("depth", [json_bodies.MOST_NESTED + 1, 2000, 100_000])
@pytest.mark.parametrize(("before", "after"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_what_is_nested_deeper_is_refused(before: str, after: str, depth: int) -> None:
    with pytest.raises(json.JSONDecodeError):
        json_bodies.parse((before * depth + "1" + after * depth).encode())


def test_many_brackets_that_are_not_nested_are_read() -> None:
    assert json_bodies.parse(json.dumps([[]] * 1000)) == [[]] * 1000


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"NaN", b'"\\ud800"'])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        json_bodies.parse(text)
