"""Answers in the form that a client asks for: JSON, YAML, protocol buffers, streams of each."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import orjson
import pytest

from azsandbox.kubernetes import protobuf
from azsandbox.kubernetes.protobuf.wire import fields
from azsandbox.kubernetes.schema import yaml_writer
from azsandbox.kubernetes.schema.definitions import definitions
from azsandbox.kubernetes.schema.typed_values import normalize
from azsandbox.kubernetes.server import ApiServer
from tests.azsandbox.kubernetes.conftest import Ask, body_of

PROTOBUF = "application/vnd.kubernetes.protobuf"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
POD: dict[str, Any] = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": {
        "name": "web",
        "namespace": "default",
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "labels": {"b": "2", "a": "1"},
        "managedFields": [
            {"manager": "m", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}}
        ],
    },
    "spec": {
        "volumes": [{"name": "v", "configMap": {"name": "c", "items": [{"key": "k", "path": "p", "mode": 420}]}}],
        "containers": [
            {
                "name": "app",
                "image": "nginx",
                "env": [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}},
                "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 5},
            }
        ],
        "tolerations": [{"operator": "Exists", "tolerationSeconds": 0}],
        "terminationGracePeriodSeconds": 30,
        "hostNetwork": True,
    },
}
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "default": {"a": [1, 2.5]},
            "properties": {"list": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}},
        }
    },
}
CRD = {
    "kind": "CustomResourceDefinition",
    "apiVersion": "apiextensions.k8s.io/v1",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"plural": "widgets", "kind": "Widget"},
        "scope": "Namespaced",
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA}}],
    },
}
LEASE = {
    "kind": "Lease",
    "apiVersion": "coordination.k8s.io/v1",
    "metadata": {"name": "lock"},
    "spec": {"leaseDurationSeconds": -1, "renewTime": "2026-01-02T03:04:05.000006Z"},
}
POLICY = {
    "kind": "ValidatingAdmissionPolicy",
    "apiVersion": "admissionregistration.k8s.io/v1",
    "metadata": {"name": "p"},
    "spec": {
        "matchConstraints": {
            "resourceRules": [
                {"resourceNames": ["r"], "operations": ["CREATE"], "apiGroups": ["apps"], "resources": ["deployments"]}
            ]
        }
    },
}


@pytest.mark.parametrize("obj", [POD, CRD, LEASE, POLICY], ids=lambda obj: obj["kind"])
def test_an_object_is_the_same_after_a_way_through_protocol_buffers(obj: dict[str, Any]) -> None:
    known = definitions()
    type_ = known.type_of(protobuf_gvk(obj))
    assert type_ is not None
    written = normalize(type_, obj)
    found = protobuf.encode(known, written)
    assert found is not None and found.startswith(b"k8s\0")
    assert normalize(type_, protobuf.decode(found)) == written


def protobuf_gvk(obj: dict[str, Any]) -> Any:
    from azsandbox.kubernetes.request import GroupVersionKind

    return GroupVersionKind.of(obj)


async def test_a_client_that_prefers_protocol_buffers_gets_objects_lists_and_refusals_in_them(ask: Ask) -> None:
    await ask("POST", CONFIGMAPS, {"metadata": {"name": "one"}, "data": {"a": "1"}})
    one = await ask("GET", f"{CONFIGMAPS}/one", accept=f"{PROTOBUF},application/json")
    assert one.content_type == PROTOBUF
    assert protobuf.decode(one.body if isinstance(one.body, bytes) else b"")["data"] == {"a": "1"}
    several = await ask("GET", CONFIGMAPS, accept=PROTOBUF)
    assert isinstance(several.body, bytes)
    assert protobuf.decode(several.body)["items"][0]["metadata"]["name"] == "one"
    none = await ask("GET", f"{CONFIGMAPS}/none", accept=PROTOBUF)
    assert isinstance(none.body, bytes)
    assert (none.status, protobuf.decode(none.body)["reason"]) == (404, "NotFound")


@pytest.mark.parametrize("name", ["/one", ""])
async def test_metadata_alone_are_in_protocol_buffers_too(ask: Ask, name: str) -> None:
    await ask("POST", CONFIGMAPS, {"metadata": {"name": "one", "annotations": {"a": "b"}}})
    kind = "PartialObjectMetadata" if name else "PartialObjectMetadataList"
    answer = await ask("GET", CONFIGMAPS + name, accept=f"{PROTOBUF};as={kind};g=meta.k8s.io;v=v1")
    assert (answer.status, answer.content_type) == (200, PROTOBUF)
    assert isinstance(answer.body, bytes)
    unknown = dict(fields(answer.body[4:]))
    assert dict(fields(unknown[1])) == {1: b"meta.k8s.io/v1", 2: kind.encode()}
    metadata = unknown[2] if name else next(value for number, value in fields(unknown[2]) if number == 2)
    found = dict(fields(dict(fields(metadata))[1]))
    assert (found[1], found[3], dict(fields(found[12]))) == (b"one", b"default", {1: b"a", 2: b"b"})


async def test_a_table_is_never_in_protocol_buffers(ask: Ask) -> None:
    table = await ask("GET", CONFIGMAPS, accept=f"{PROTOBUF};as=Table;v=v1;g=meta.k8s.io")
    assert (table.status, body_of(table)["reason"]) == (406, "NotAcceptable")


async def test_a_watch_in_protocol_buffers_is_made_of_frames(api: ApiServer, ask: Ask) -> None:
    answer = await ask("GET", f"{CONFIGMAPS}?watch=1&timeoutSeconds=1", accept=PROTOBUF)
    assert answer.content_type == f"{PROTOBUF};stream=watch"
    await ask("POST", CONFIGMAPS, {"metadata": {"name": "two"}, "data": {"a": "2"}})
    assert answer.stream is not None
    async with asyncio.timeout(5):
        chunk = b""
        while not chunk:
            chunk = await anext(answer.stream)
    length = struct.unpack(">I", chunk[:4])[0]
    event = dict(fields(chunk[4 : 4 + length]))
    assert event[1] == b"ADDED"
    assert protobuf.decode(dict(fields(event[2]))[1])["metadata"]["name"] == "two"


def test_yaml_is_written_as_go_writes_it() -> None:
    value = {
        "text": "a\nb\n",
        "number": "1",
        "yes": "on",
        "time": "2026-01-02T03:04:05Z",
        "colon": "a: b",
        "empty": "",
        "none": None,
        "f:a": {},
        ".": [],
        "a10": 1.5,
        "a9": True,
    }
    assert yaml_writer.write(value).decode() == (
        '.: []\na9: true\na10: 1.5\ncolon: \'a: b\'\nempty: ""\nf:a: {}\nnone: null\nnumber: "1"\ntext: |\n  a\n  b\n'
        'time: "2026-01-02T03:04:05Z"\n"yes": "on"\n'
    )


async def test_people_get_indented_json(ask: Ask) -> None:
    plain = await ask("GET", "/api/v1/namespaces/default")
    assert isinstance(plain.body, bytes) and plain.body.count(b"\n") == 1
    read = await ask("GET", "/api/v1/namespaces/default", user_agent="curl/8.5")
    assert isinstance(read.body, bytes) and read.body.startswith(b'{\n  "')
    assert orjson.loads(read.body)["kind"] == "Namespace"


async def test_a_bad_timeout_is_refused_before_the_client_is_known(ask: Ask) -> None:
    answer = await ask("GET", "/api/v1/namespaces/default?timeout=1x", authorization="Bearer nobody")
    assert answer.status == 400
    text = 'invalid timeout specified in the request URL - time: unknown unit "x" in duration "1x"'
    assert body_of(answer)["message"] == text


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/api//v1", "application/json"),
        ("/api/v1//configmaps", "application/json"),
        ("/apis/apps//v1", "application/json"),
        ("/apis//apps/v1", "text/plain; charset=utf-8"),
        ("//api/v1", "text/plain; charset=utf-8"),
    ],
)
async def test_a_doubled_slash_is_not_found(ask: Ask, path: str, content_type: str) -> None:
    answer = await ask("GET", path)
    assert (answer.status, answer.content_type) == (404, content_type)


async def test_what_is_empty_comes_back_from_storage_as_null(ask: Ask) -> None:
    roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    made = body_of(await ask("POST", roles, {"metadata": {"name": "none"}, "rules": []}))
    assert made["rules"] is None
    before = made["metadata"]["resourceVersion"]
    again = body_of(await ask("PUT", f"{roles}/none", {"metadata": {"name": "none"}, "rules": []}))
    assert again["metadata"]["resourceVersion"] == before
