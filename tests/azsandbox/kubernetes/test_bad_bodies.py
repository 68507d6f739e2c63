"""Bodies that no client should send: too large, too deep, in no encoding, of no type."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.kubernetes.schema import json_text
from tests.azsandbox.kubernetes.conftest import Ask, body_of

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
YAML = "application/yaml"


def nested(depth: int, key: str = "a") -> bytes:
    """JSON objects, each in the next."""
    return b'{"%s":' % key.encode() * depth + b"1" + b"}" * depth


async def refused(ask: Ask, body: bytes, content_type: str = "application/json") -> tuple[int, str]:
    answer = await ask("POST", CONFIGMAPS, body, content_type=content_type)
    found: dict[str, Any] = body_of(answer)
    return answer.status, found["message"]


async def test_a_body_deeper_than_10000_levels_is_refused_as_go_refuses_it(ask: Ask) -> None:
    status, message = await refused(ask, nested(10_001))
    assert status == 400
    assert "json parse error: invalid character '{' exceeded max depth" in message
    status, message = await refused(ask, nested(10_001), YAML)
    assert (status, "yaml: exceeded max depth of 10000" in message) == (400, True)


async def test_depth_in_a_field_that_is_not_known_is_a_warning_only(ask: Ask) -> None:
    body = b'{"metadata":{"name":"a"},"other":' + nested(9_990) + b"}"
    answer = await ask("POST", f"{CONFIGMAPS}?dryRun=All", body)
    assert (answer.status, answer.warnings) == (201, ['unknown field "other"'])


async def test_depth_that_cannot_be_stored_is_a_refusal(ask: Ask) -> None:
    revision = b'{"metadata":{"name":"a"},"revision":1,"data":' + nested(5_000) + b"}"
    answer = await ask("POST", "/apis/apps/v1/namespaces/default/controllerrevisions", revision)
    assert (answer.status, body_of(answer)["message"]) == (400, "exceeded max depth")


def test_a_deep_text_has_the_value_that_it_says() -> None:
    value = json_text.parse(b'{"a":[' + nested(300) + b',"x\\ud800",{"b":1,"b":2}]}')
    for _ in range(300):
        value = {"a": [value["a"][0]["a"], *value["a"][1:]]}
    inner, text, repeated = value["a"]
    assert (inner, text, repeated, repeated.earlier) == (1, "x\ufffd", {"b": 2}, [("b", 1)])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"\xff", "invalid character '\u00ff' looking for beginning of value"),
        (b"\xc3\xa9", "invalid character '\u00c3' looking for beginning of value"),
        (b"nul", "invalid character ' ' in literal null (expecting 'l')"),
        (b"-", "invalid character ' ' in numeric literal"),
    ],
)
async def test_json_is_read_byte_by_byte(ask: Ask, body: bytes, words: str) -> None:
    status, message = await refused(ask, body)
    assert (status, f"json parse error: {words} (" in message) == (400, True)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"a: \xff", "yaml: invalid leading UTF-8 octet"),
        (b"a: \xc3(", "yaml: invalid trailing UTF-8 octet"),
        (b"a: \xc3", "yaml: incomplete UTF-8 octet sequence"),
        (b'a: "\x07"', "yaml: control characters are not allowed"),
        (b"a: &x [*x]", "yaml: anchor 'x' value contains itself"),
        (b"a: *x", "yaml: unknown anchor 'x' referenced"),
        (b"? [a]\n: b", 'yaml: invalid map key: []interface {}{"a"}'),
        (b"!!binary x", "yaml: !!binary value contains invalid base64 data"),
    ],
)
async def test_yaml_that_cannot_be_read_is_refused_in_the_words_of_go_yaml(ask: Ask, body: bytes, words: str) -> None:
    status, message = await refused(ask, body, YAML)
    assert (status, f": {words} (" in message) == (400, True), message


async def test_only_the_first_yaml_document_counts(ask: Ask) -> None:
    body = b"metadata: {name: first}\n---\nmetadata: {name: second}\n"
    answer = await ask("POST", CONFIGMAPS, body, content_type=YAML)
    assert body_of(answer)["metadata"]["name"] == "first"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/json,application/yaml", "application/*", ";;", "x"]
)
async def test_a_media_type_that_is_not_read_is_415(ask: Ask, content_type: str) -> None:
    status, message = await refused(ask, b"{}", content_type)
    assert (status, message) == (
        415,
        "the body of the request was in an unknown format - accepted media types include: application/json, "
        "application/yaml, application/vnd.kubernetes.protobuf",
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty data (<empty>)"),
        (b"k8s\x00", "empty body (6b387300)"),
        (b"k8s\x00\x0a\x04", "unexpected EOF (6b3873000a04)"),
        (b"xxxx", "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0] (78787878)"),
    ],
)
async def test_bytes_that_are_no_protobuf_message_are_refused(ask: Ask, body: bytes, words: str) -> None:
    status, message = await refused(ask, body, "application/vnd.kubernetes.protobuf")
    assert (status, message) == (400, f"the object provided is unrecognized (must be of type ConfigMap): {words}")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"preconditions":"a"}', "json: cannot unmarshal string into Go struct field DeleteOptions.preconditions of type v1.Preconditions"),
        (b'{"dryRun":1.5}', "json: cannot unmarshal number into Go struct field DeleteOptions.dryRun of type []string"),
        (b'{"kind":"Status","apiVersion":"v1"}', "converting (v1.Status) to (v1.DeleteOptions): unknown conversion"),
        (b'{"kind":"Pod","apiVersion":"v1"}', 'no kind "Pod" is registered for version "v1" in scheme "pkg/runtime/scheme.go:111"'),
        (b"{", "couldn't get version/kind; json parse error: unexpected end of JSON input"),
    ],
)  # fmt: skip
async def test_delete_options_that_are_none_are_refused(ask: Ask, body: bytes, message: str) -> None:
    answer = await ask("DELETE", f"{CONFIGMAPS}/kube-root-ca.crt", body)
    assert (answer.status, body_of(answer)["message"]) == (400, message)
