"""YAML as the API server reads it; most of what it is sent as YAML is JSON, which is read by a shorter way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from azsandbox.kubernetes.schema import yaml_text

SIMPLE = {
    "apiVersion": "v1",
    "metadata": {"name": "true", "labels": {"a b": "1e3", "<<": "y", "": ""}},
    "data": {"text": 'a: b # c\n"quoted" \\ \r\x08 & * ! | > % @ `', "unicode": "\x85 \u2028"},
    "spec": {"on": True, "n": None, "count": -12, "list": [[], {}, [0, "0x1"]]},
}


@pytest.mark.parametrize("layout", [{}, {"indent": 2}, {"separators": (",", ":")}])
def test_json_is_read_as_the_yaml_that_it_is(monkeypatch: pytest.MonkeyPatch, layout: dict[str, object]) -> None:
    body = json.dumps(SIMPLE, **layout).encode()  # type: ignore[arg-type]
    assert yaml_text.parse(body) == (SIMPLE, [])
    monkeypatch.setattr(yaml_text, "_json", lambda text: None)
    assert yaml_text.parse(body) == (SIMPLE, [])


@pytest.mark.parametrize(
    ("body", "value", "repeated"),
    [
        (b'{"a": 1, "a": 2}', {"a": 2}, ['yaml: unmarshal errors:\n  line 1: key "a" already set in map']),
        (b'{"a": 1.50, "b": 1e3}', {"a": 1.5, "b": 1000}, []),
        (b'{"a": 100000000000000000000}', {"a": 1e20}, []),
        (b'{"a": 010, "b": .5, "c": ~, "d": yes}', {"a": 8, "b": 0.5, "c": None, "d": True}, []),
        ('{"a": "ä"}'.encode(), {"a": "ä"}, []),
        (b'{"a": b} # not JSON', {"a": "b"}, []),
    ],
)
def test_what_yaml_reads_in_its_own_way_stays_so(body: bytes, value: object, repeated: list[str]) -> None:
    assert yaml_text.parse(body) == (value, repeated)


@pytest.mark.parametrize("body", [b'{"a": "\x7f"}', b'{"a": "\x01"}', b'{"' + b"k" * 2000 + b'": 1}', b'{"a": 1'])
def test_json_that_is_no_yaml_is_refused(body: bytes) -> None:
    with pytest.raises(yaml_text.BadYaml):
        yaml_text.parse(body)


@pytest.mark.parametrize("text", ["[", "{a: ", '["]",'])
def test_what_is_nested_too_deeply_is_given_up_at_that_depth(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0
    real = yaml_text._Loader.get_event

    def counted(self: Any) -> Any:
        nonlocal seen
        seen += 1
        return real(self)

    monkeypatch.setattr(yaml_text._Loader, "get_event", counted)
    with pytest.raises(yaml_text.BadYaml, match=r"^yaml: exceeded max depth of 10000$"):
        yaml_text.parse(b"a: " + text.encode() * 100_000)
    assert seen < 50_000
