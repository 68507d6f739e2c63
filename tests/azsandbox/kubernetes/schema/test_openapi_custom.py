"""The schemas of custom resources as OpenAPI publishes them."""

from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.schema.openapi_custom import published

METADATA = {"$ref": "#/definitions/ObjectMeta", "description": "meta"}
DESCRIBED = {"apiVersion": "version", "kind": "kind"}
WIDGETS = Resource(
    group="example.com", version="v1", name="widgets", singular="widget", kind="Widget", namespaced=True, verbs=()
)
GVK = [{"group": "example.com", "version": "v1", "kind": "Widget"}]


def of(schema, v2=True, selectable=()):
    return published(schema, WIDGETS, METADATA, DESCRIBED, selectable, v2)


def test_a_root_that_preserves_unknown_fields_has_no_properties_in_v2():
    schema = {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {"spec": {"type": "object"}},
    }
    assert of(schema) == {"type": "object", "x-kubernetes-group-version-kind": GVK}
    assert set(of(schema, v2=False)["properties"]) == {"apiVersion", "kind", "metadata", "spec"}


def test_what_v2_cannot_say_is_left_out():
    spec = {
        "type": "object",
        "required": ["size", "name"],
        "anyOf": [{"required": ["size"]}],
        "properties": {
            "size": {"type": "integer", "nullable": True},
            "name": {"type": "string"},
            "free": {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
                "properties": {"a": {"type": "string"}},
            },
        },
    }
    found = of({"type": "object", "properties": {"spec": spec}})["properties"]["spec"]
    assert found == {
        "type": "object",
        "required": ["name"],
        "properties": {
            "size": {},
            "name": {"type": "string"},
            "free": {"x-kubernetes-preserve-unknown-fields": True},
        },
    }


def test_embedded_objects_have_metadata_and_need_version_and_kind():
    inner = {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": {"type": "object"}}}
    found = of({"type": "object", "properties": {"template": inner}}, v2=False)["properties"]["template"]
    assert set(found["properties"]) == {"apiVersion", "kind", "metadata", "spec"}
    assert found["required"] == ["kind", "apiVersion"]


def test_selectable_fields_are_named():
    found = of({"type": "object"}, selectable=(".spec.color",))
    assert found["x-kubernetes-selectable-fields"] == [{"fieldPath": "spec.color"}]
