"""PATCH bodies applied to objects, and what is refused."""

import orjson
import pytest

from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.patch import JSON, MERGE, STRATEGIC, apply_patch
from azsandbox.kubernetes.request import GroupVersionKind
from azsandbox.kubernetes.schema.decode import patch_reader
from azsandbox.kubernetes.schema.definitions import definitions
from azsandbox.kubernetes.schema.typed_values import normalize

CONFIG_MAP = GroupVersionKind("", "v1", "ConfigMap")
DEPLOYMENT = GroupVersionKind("apps", "v1", "Deployment")
SERVICE = GroupVersionKind("", "v1", "Service")


def patched(gvk, current, media, patch, validation="Warn"):
    types = definitions()
    type_ = types.type_of(gvk)
    body = patch if isinstance(patch, bytes) else orjson.dumps(patch)
    head = {"kind": gvk.kind, "apiVersion": gvk.api_version}
    before = {**normalize(type_, current), **head}
    return apply_patch(media, before, body, type_, patch_reader(types, gvk), validation)


def change(gvk, current, media, patch):
    return patched(gvk, current, media, patch)[0]


def refusal(gvk, current, media, patch, validation="Warn"):
    with pytest.raises(StatusError) as caught:
        patched(gvk, current, media, patch, validation)
    return caught.value.code, caught.value.message


SETTINGS = {"metadata": {"name": "s", "finalizers": ["x/a", "x/c"]}, "data": {"a": "1", "b": "2"}}
DOES_NOT_APPLY = (422, "the server rejected our request due to an error in our request")


def data(*operations):
    return change(CONFIG_MAP, SETTINGS, JSON, list(operations)).get("data")


class TestJsonPatch:
    def test_operations_apply_in_order(self):
        found = data(
            {"op": "add", "path": "/data/c", "value": "3"},
            {"op": "copy", "from": "/data/a", "path": "/data/d"},
            {"op": "move", "from": "/data/c", "path": "/data/e"},
            {"op": "remove", "path": "/data/b"},
            {"op": "test", "path": "/data/e", "value": "3"},
        )
        assert found == {"a": "1", "d": "1", "e": "3"}

    def test_an_index_inserts_and_a_dash_appends(self):
        operations = [
            {"op": "add", "path": "/metadata/finalizers/1", "value": "x/b"},
            {"op": "add", "path": "/metadata/finalizers/-", "value": "x/d"},
            {"op": "remove", "path": "/metadata/finalizers/-1"},
        ]
        assert change(CONFIG_MAP, SETTINGS, JSON, operations)["metadata"]["finalizers"] == ["x/a", "x/b", "x/c"]

    @pytest.mark.parametrize(
        "operation",
        [
            {"op": "add", "path": "/metadata/finalizers/9", "value": "z"},
            {"op": "remove", "path": "/metadata/finalizers/7"},
            {"op": "remove", "path": "/data/nothing"},
            {"op": "frobnicate", "path": "/data/a"},
            {"path": "/data/a", "value": "x"},
            {"op": "add", "value": "x"},
            {"op": "test", "path": "/data/a", "value": "2"},
            {"op": "add", "path": "/spec/a/b", "value": "2"},
        ],
    )
    def test_an_operation_that_does_not_apply_is_422_without_the_reason(self, operation):
        assert refusal(CONFIG_MAP, SETTINGS, JSON, [operation]) == DOES_NOT_APPLY

    @pytest.mark.parametrize(
        ("patch", "words"),
        [
            ({"op": "add"}, "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
            (b"no json", "invalid character 'o' in literal null (expecting 'u')"),
        ],
    )
    def test_a_patch_that_is_no_list_of_operations_is_400(self, patch, words):
        assert refusal(CONFIG_MAP, SETTINGS, JSON, patch) == (400, f"error decoding patch: {words}")

    def test_a_path_without_a_slash_points_past_its_first_part(self):
        obj, warnings = patched(CONFIG_MAP, SETTINGS, JSON, [{"op": "add", "path": "data/a", "value": "x"}])
        assert obj["data"] == SETTINGS["data"]
        assert warnings == ['unknown field "a"']

    def test_a_tilde_one_stands_for_a_slash(self):
        current = {"metadata": {"annotations": {"x.io/y": "1"}}}
        patch = [{"op": "replace", "path": "/metadata/annotations/x.io~1y", "value": "2"}]
        assert change(CONFIG_MAP, current, JSON, patch)["metadata"]["annotations"] == {"x.io/y": "2"}


class TestMergePatch:
    def test_null_removes_and_maps_that_become_empty_go(self):
        assert "data" not in change(CONFIG_MAP, {"data": {"a": "1"}}, MERGE, {"data": {"a": None}})

    def test_unknown_fields_are_warned_of(self):
        assert patched(CONFIG_MAP, SETTINGS, MERGE, {"dat": {}})[1] == ['unknown field "dat"']
        assert patched(CONFIG_MAP, SETTINGS, MERGE, {"dat": {}}, "Ignore")[1] == []

    def test_strict_validation_makes_an_unknown_field_422(self):
        code, message = refusal(CONFIG_MAP, {}, MERGE, {"dat": 1}, "Strict")
        text = '{\\"apiVersion\\":\\"v1\\",\\"dat\\":1,\\"kind\\":\\"ConfigMap\\",\\"metadata\\":{}}'
        assert code == 422
        assert message == f' "" is invalid: patch: Invalid value: "{text}": strict decoding error: unknown field "dat"'

    def test_another_kind_cannot_come_of_a_patch(self):
        code, message = refusal(CONFIG_MAP, {}, MERGE, {"kind": "Secret"})
        assert code == 422
        assert message.endswith("converting (v1.Secret) to (core.ConfigMap): unknown conversion")

    def test_a_wrong_type_is_422(self):
        assert refusal(DEPLOYMENT, {}, MERGE, {"spec": {"replicas": "two"}})[0] == 422


def deployment(*containers, **pod):
    return {"spec": {"template": {"spec": {"containers": list(containers), **pod}}}}


def containers(current, patch):
    return change(DEPLOYMENT, current, STRATEGIC, patch)["spec"]["template"]["spec"]["containers"]


def names(items):
    return [item["name"] for item in items]


class TestStrategicMergePatch:
    two = deployment({"name": "app", "image": "x:1", "env": [{"name": "A", "value": "1"}]}, {"name": "side"})

    def test_elements_merge_by_name_and_a_new_one_goes_in_front(self):
        found = containers(self.two, deployment({"name": "new"}))
        assert names(found) == ["new", "app", "side"]
        found = containers(self.two, deployment({"name": "app", "image": "x:2"}))
        assert found[0]["image"] == "x:2"
        assert found[0]["env"] == [{"name": "A", "value": "1"}]

    def test_null_clears_a_field_of_an_element(self):
        patch = deployment({"name": "app", "env": [{"name": "A", "value": None, "valueFrom": {}}]})
        assert containers(self.two, patch)[0]["env"] == [{"name": "A", "valueFrom": {}}]

    def test_delete_directives_remove_an_element_or_empty_a_map(self):
        assert names(containers(self.two, deployment({"name": "side", "$patch": "delete"}))) == ["app"]
        found = change(
            DEPLOYMENT,
            deployment(nodeSelector={"a": "b"}),
            STRATEGIC,
            {"spec": {"template": {"spec": {"nodeSelector": {"$patch": "delete"}}}}},
        )
        assert "nodeSelector" not in found["spec"]["template"]["spec"]

    def test_replace_directive_takes_the_list_as_it_is(self):
        assert names(containers(self.two, deployment({"name": "only"}, {"$patch": "replace"}))) == ["only"]

    def test_an_unknown_directive_is_500(self):
        found = refusal(DEPLOYMENT, self.two, STRATEGIC, deployment({"name": "app", "$patch": "vanish"}))
        assert found == (500, "unknown patch type: vanish in map: map[$patch:vanish name:app]")

    def test_element_order_is_obeyed_and_what_only_the_server_has_keeps_its_place(self):
        current = deployment({"name": "a"}, {"name": "b"}, {"name": "c"})
        order = [{"name": "c"}, {"name": "a"}, {"name": "b"}]
        assert names(containers(current, deployment_order(order))) == ["c", "a", "b"]
        order = [{"name": "b"}, {"name": "d"}, {"name": "a"}]
        current = deployment({"name": "c"}, {"name": "a"}, {"name": "b"})
        assert names(containers(current, deployment_order(order, {"name": "d"}))) == ["c", "b", "d", "a"]

    def test_an_order_that_does_not_name_the_elements_is_500(self):
        patch = deployment_order([{"name": "a"}], {"name": "e"})
        code, message = refusal(DEPLOYMENT, self.two, STRATEGIC, patch)
        assert code == 500
        assert (
            message == "The order in patch list:\n[map[name:e]]\n doesn't match $setElementOrder list:\n[map[name:a]]\n"
        )

    def test_retain_keys_drops_the_others_and_must_name_what_is_set(self):
        current = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
        patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
        assert change(DEPLOYMENT, current, STRATEGIC, patch)["spec"]["strategy"] == {"type": "Recreate"}
        patch["spec"]["strategy"]["rollingUpdate"] = {}
        assert refusal(DEPLOYMENT, current, STRATEGIC, patch) == (400, "invalid patch format of retainKeys")

    def test_primitive_lists_merge_and_delete_by_value(self):
        current = {"metadata": {"finalizers": ["a", "b", "c"]}}
        patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["b"]}}
        assert change(CONFIG_MAP, current, STRATEGIC, patch)["metadata"]["finalizers"] == ["a", "c"]

    def test_an_element_without_its_merge_key_is_500(self):
        current = {"spec": {"ports": [{"port": 80}]}}
        found = refusal(SERVICE, current, STRATEGIC, {"spec": {"ports": [{"name": "noport"}]}})
        assert found == (500, "map: map[name:noport] does not contain declared merge key: port")


def deployment_order(order, *items):
    pod = {"$setElementOrder/containers": order}
    if items:
        pod["containers"] = list(items)
    return {"spec": {"template": {"spec": pod}}}
