"""The OpenAPI documents, as kubectl reads them."""

from types import SimpleNamespace

import orjson
import pytest

from azsandbox.kubernetes.request import Request
from azsandbox.kubernetes.resources import Resource, ResourceTable
from azsandbox.kubernetes.schema.definitions import definitions
from azsandbox.kubernetes.schema.openapi import OpenApi


@pytest.fixture(scope="module")
def openapi():
    types = SimpleNamespace(definitions=definitions())
    return OpenApi(SimpleNamespace(resources=ResourceTable(), version="v1.35.4", minor="1.35", types=types))


def custom(name):
    """A custom resource of the group example.com."""
    kind = name.removesuffix("s").capitalize()
    return Resource("example.com", "v1", name, "", kind, True, ("get",), custom=True, list_kind=f"{kind}List")


def get(openapi, path, **headers):
    return openapi.answer(
        Request.to("GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()})
    )


def test_the_index_names_each_group_version_with_a_hash(openapi):
    paths = orjson.loads(get(openapi, "/openapi/v3").body)["paths"]
    assert {"api", "api/v1", "apis", "apis/apps/v1", "version"} <= paths.keys()
    assert paths["api/v1"]["serverRelativeURL"].startswith("/openapi/v3/api/v1?hash=")


def test_a_patch_says_kind_and_field_validation(openapi):
    document = orjson.loads(get(openapi, "/openapi/v3/apis/apps/v1").body)
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}
    assert patch["x-kubernetes-action"] == "patch"
    assert "fieldValidation" in [parameter["name"] for parameter in patch["parameters"]]


def test_every_reference_is_in_the_document(openapi):
    document = orjson.loads(get(openapi, "/openapi/v3/api/v1").body)
    known = document["components"]["schemas"]

    def references(value):
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"].rpartition("/")[2]
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    assert set(references(document)) <= known.keys()


def test_fields_have_their_defaults_enumerations_and_list_types(openapi):
    schemas = orjson.loads(get(openapi, "/openapi/v3/api/v1").body)["components"]["schemas"]
    protocol = schemas["io.k8s.api.core.v1.ContainerPort"]["properties"]["protocol"]
    assert (protocol["default"], protocol["enum"]) == ("TCP", ["SCTP", "TCP", "UDP"])
    assert "Possible enum values" in protocol["description"]
    ports = schemas["io.k8s.api.core.v1.Container"]["properties"]["ports"]
    assert ports["x-kubernetes-list-map-keys"] == ["containerPort", "protocol"]
    assert ports["x-kubernetes-patch-merge-key"] == "containerPort"


def test_documents_can_be_cached_by_their_hash(openapi):
    tag = get(openapi, "/openapi/v3/apis/batch/v1").headers["etag"]
    assert get(openapi, "/openapi/v3/apis/batch/v1", If_None_Match=tag).status == 304
    stale = get(openapi, "/openapi/v3/apis/batch/v1?hash=OLD")
    assert (stale.status, stale.headers["location"]) == (301, f"/openapi/v3/apis/batch/v1?hash={tag.strip(chr(34))}")


def test_unknown_documents_and_media_types_are_refused(openapi):
    assert get(openapi, "/openapi/v3/apis/none/v1").status == 404
    assert get(openapi, "/openapi/v3/apis/batch/v1", Accept="text/html").status == 406


def test_v2_comes_as_json_and_in_protocol_buffers(openapi):
    assert orjson.loads(get(openapi, "/openapi/v2").body)["swagger"] == "2.0"
    found = get(openapi, "/openapi/v2", Accept="application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
    assert found.status == 200
    assert found.body.startswith(b"\x0a\x032.0")
    assert b"fieldValidation" in found.body


def test_a_definition_changes_the_document_of_its_group_alone():
    table = ResourceTable()
    schemas = {"pears": {"type": "object"}}
    server = SimpleNamespace(
        resources=table,
        version="v1.35.4",
        minor="1.35",
        types=SimpleNamespace(definitions=definitions()),
        custom=SimpleNamespace(schema_of=lambda resource: schemas[resource.name]),
    )
    served, made = OpenApi(server), []
    build = served._build
    served._build = lambda resources: made.append([resource.name for resource in resources]) or build(resources)

    def read(path):
        found = get(served, path)
        return found.headers["etag"], orjson.loads(found.body)

    before = read("/openapi/v3/apis/batch/v1")
    assert get(served, "/openapi/v3/apis/example.com/v1").status == 404
    table.replace_custom([custom("pears")])
    tag, document = read("/openapi/v3/apis/example.com/v1")
    assert "com.example.v1.Pear" in document["components"]["schemas"]
    assert read("/openapi/v3/apis/batch/v1") == before
    assert made == [["cronjobs", "jobs"], ["pears"]]

    schemas["pears"] = {"type": "object", "properties": {"spec": {"type": "string"}}}
    changed, document = read("/openapi/v3/apis/example.com/v1")
    assert changed != tag
    assert document["components"]["schemas"]["com.example.v1.Pear"]["properties"]["spec"] == {"type": "string"}
    table.replace_custom([])
    assert get(served, "/openapi/v3/apis/example.com/v1").status == 404
    assert made == [["cronjobs", "jobs"], ["pears"], ["pears"]]
