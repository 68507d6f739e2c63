"""YAML as kustomize and Helm read and write it."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.flux import go_yaml
from azsandbox.flux.helm import kyaml
from azsandbox.flux.helm.kyaml import MalformedYaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: yes", {"a": "yes"}),
        ("a: true", {"a": True}),
        ("a: 0644", {"a": 420}),
        ("a: 0o17", {"a": 15}),
        ("a: 1e3", {"a": 1000.0}),
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: ~\nb:", {"a": None, "b": None}),
        ("1: a\ntrue: b", {"1": "a", "true": "b"}),
        ("a: !!str 1\nb: !!int '7'\nc: !!binary aGVsbG8=", {"a": "1", "b": 7, "c": "hello"}),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
        ("a: >-\n  b\n  c\n", {"a": "b c"}),
    ],
)
def test_scalars_are_what_kustomize_takes_them_for(text: str, value: dict[str, Any]) -> None:
    assert kyaml.read_all(text) == [value]


def test_a_stream_has_documents_and_empty_ones_do_not_count() -> None:
    assert kyaml.read_all("a: 1\n---\n# nothing\n---\r\nb: 2\n---\n") == [{"a": 1}, {"b": 2}]
    assert kyaml.write_all([{"b": 1, "a": [{"d": None, "c": True}]}, {}]) == (
        "a:\n- c: true\n  d: null\nb: 1\n---\n{}\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", 'yaml: unmarshal errors:\n  line 2: mapping key "a" already defined at line 1'),
        ("a: [1, 2", "MalformedYAMLError: yaml: line 1: did not find expected ',' or ']'"),
        ("a: 1\n--- b: 2\n", "invalid document separator: --- b: 2"),
    ],
)
def test_what_is_no_yaml_is_refused(text: str, message: str) -> None:
    with pytest.raises(MalformedYaml) as caught:
        kyaml.read_all(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("yes", '"yes"'),
        ("0644", '"0644"'),
        ("1:30", '"1:30"'),
        ("2026-01-01", '"2026-01-01"'),
        ("", '""'),
        ("a: b", "'a: b'"),
        (" a", "' a'"),
        ("it's", "it's"),
        ("a\tb", '"a\\tb"'),
        ("a\nb\n", "|\n  a\n  b"),
        ("grüße ☃", "grüße ☃"),
        ("😀", '"\\U0001F600"'),
        (1.0, "1"),
        (1.5, "1.5"),
        (1e21, "1e+21"),
        (10_000_000_000, "10000000000"),
    ],
)
def test_values_are_written_as_go_writes_them(value: Any, text: str) -> None:
    assert go_yaml.write({"a": value}).rstrip("\n") == f"a: {text}"
