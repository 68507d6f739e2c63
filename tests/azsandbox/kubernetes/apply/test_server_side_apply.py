"""Server-side apply and managedFields: who owns what, and what happens when two want the same."""

import copy

import pytest

from azsandbox.kubernetes.apply import record_update
from azsandbox.kubernetes.apply.managed_fields import APPLY
from azsandbox.kubernetes.apply.server_side import LAST_APPLIED, Configuration, server_side_apply
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.request import GroupVersionKind
from azsandbox.kubernetes.schema.definitions import definitions
from azsandbox.kubernetes.schema.typed_values import normalize

CONFIG_MAP = GroupVersionKind("", "v1", "ConfigMap")
DEPLOYMENT = GroupVersionKind("apps", "v1", "Deployment")
THEN, NOW = "2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z"


def apply(current, applied, manager="alice", force=False, gvk=CONFIG_MAP, now=NOW, subresource=""):
    type_ = definitions().type_of(gvk)
    head = {"apiVersion": gvk.api_version, "kind": gvk.kind}
    configuration = Configuration({**head, **applied}, manager, gvk, type_, now, force, subresource)
    merged, managed = server_side_apply(current, configuration)
    obj = {**normalize(type_, merged), **head}
    obj["metadata"]["uid"] = "1"
    obj["metadata"]["managedFields"] = managed
    return obj


def write(current, manager="editor", gvk=CONFIG_MAP, now=NOW, **fields):
    """An update that sets top-level fields."""
    type_ = definitions().type_of(gvk)
    new = copy.deepcopy(current) if current else {"metadata": {"name": "app"}}
    new = {**normalize(type_, {**new, **fields}), "apiVersion": gvk.api_version, "kind": gvk.kind}
    record_update(new, current, manager, gvk.api_version, "", now, type_)
    new["metadata"]["uid"] = "1"
    return new


def settings(labels=None, **data):
    metadata = {"name": "app", **({"labels": labels} if labels else {})}
    return {"metadata": metadata, "data": data} if data else {"metadata": metadata}


def owners(obj):
    return {(e["manager"], e["operation"]): e["fieldsV1"] for e in obj["metadata"]["managedFields"]}


def refused(*args, **kwargs):
    with pytest.raises(StatusError) as caught:
        apply(*args, **kwargs)
    return caught.value


def test_an_applier_owns_what_it_sets_and_no_dots():
    obj = apply(None, settings(mode="fast"))
    assert obj["metadata"]["managedFields"] == [
        {
            "manager": "alice",
            "operation": "Apply",
            "apiVersion": "v1",
            "time": NOW,
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:data": {"f:mode": {}}},
        }
    ]


def test_an_update_owns_the_maps_that_it_made_too():
    assert owners(write(None, data={"a": "1"})) == {("editor", "Update"): {"f:data": {".": {}, "f:a": {}}}}


def test_another_value_of_an_owned_field_is_a_conflict():
    error = refused(apply(None, settings(mode="fast")), settings(mode="slow"), "bob")
    assert (error.code, error.message) == (409, 'Apply failed with 1 conflict: conflict with "alice": .data.mode')
    assert error.details == {
        "causes": [{"reason": "FieldManagerConflict", "message": 'conflict with "alice"', "field": ".data.mode"}]
    }


def test_several_conflicts_are_listed_by_manager():
    current = apply(None, settings({"tier": "web"}, mode="fast", size="big"))
    error = refused(current, settings({"tier": "db"}, mode="slow", size="small"), "bob")
    lines = ["- .data.mode", "- .data.size", "- .metadata.labels.tier"]
    assert error.message == 'Apply failed with 3 conflicts: conflicts with "alice":\n' + "\n".join(lines)


def test_a_conflict_with_an_update_names_the_version():
    error = refused(write(None, data={"mode": "fast"}), settings(mode="slow"))
    assert error.message == 'Apply failed with 1 conflict: conflict with "editor" using v1: .data.mode'


def test_force_takes_the_field_and_an_owner_without_fields_is_gone():
    obj = apply(apply(None, settings(mode="fast")), settings(mode="slow"), "bob", force=True)
    assert obj["data"] == {"mode": "slow"}
    assert owners(obj) == {("bob", "Apply"): {"f:data": {"f:mode": {}}}}


def test_an_equal_value_is_shared_and_the_new_entry_has_no_time():
    obj = apply(apply(None, settings(mode="fast")), settings(mode="fast"), "bob")
    assert [entry.get("time") for entry in obj["metadata"]["managedFields"]] == [None, NOW]


def test_a_field_that_its_only_owner_drops_is_removed():
    current = apply(None, settings({"a": "1"}, mode="fast", size="big"))
    obj = apply(current, settings(mode="fast"))
    assert obj["data"] == {"mode": "fast"}
    assert "labels" not in obj["metadata"]


def test_a_field_that_another_owns_too_stays():
    current = apply(apply(None, settings(mode="fast")), settings(mode="fast"), "bob")
    obj = apply(current, settings(other="x"))
    assert obj["data"] == {"mode": "fast", "other": "x"}


def test_a_field_that_an_update_changed_is_no_longer_the_appliers():
    current = write(apply(None, settings(mode="fast", size="big")), data={"mode": "slow", "size": "big"})
    obj = apply(current, settings(size="big"))
    assert obj["data"] == {"mode": "slow", "size": "big"}


def test_an_apply_with_only_a_name_gives_up_everything():
    obj = apply(apply(None, settings({"x": "y"}, a="1")), settings())
    assert "data" not in obj
    assert obj["metadata"]["managedFields"] == []


def test_an_empty_map_is_owned_as_a_leaf():
    current = apply(None, {"metadata": {"name": "app"}, "data": {}})
    assert owners(current) == {("alice", "Apply"): {"f:data": {}}}
    assert refused(current, settings(a="1"), "bob").message.endswith('conflict with "alice": .data')


def workload(*containers, replicas=0):
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": list(containers)}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"metadata": {"name": "web"}, "spec": spec}


def deploy(current, applied, manager="alice", force=False):
    return apply(current, applied, manager, force, gvk=DEPLOYMENT)


def test_list_elements_are_owned_by_key_with_defaults_of_the_keys():
    obj = deploy(None, workload({"name": "web", "ports": [{"containerPort": 80}]}))
    containers = owners(obj)["alice", "Apply"]["f:spec"]["f:template"]["f:spec"]["f:containers"]
    port = {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}}
    assert containers == {'k:{"name":"web"}': {".": {}, "f:name": {}, "f:ports": port}}


def test_a_conflict_in_a_list_names_the_element():
    current = deploy(None, workload({"name": "web", "image": "a"}))
    error = refused(current, workload({"name": "web", "image": "b"}), "bob", gvk=DEPLOYMENT)
    assert error.message.endswith('.spec.template.spec.containers[name="web"].image')


def test_an_atomic_list_conflicts_as_a_whole():
    current = deploy(None, workload({"name": "web", "args": ["-a", "-b"]}))
    error = refused(current, workload({"name": "web", "args": ["-a"]}), "bob", gvk=DEPLOYMENT)
    assert error.message.endswith('containers[name="web"].args')


def test_appliers_add_elements_to_one_list_and_each_removes_its_own():
    current = deploy(None, workload({"name": "a"}))
    current = deploy(current, workload({"name": "b"}), "bob")
    names = [c["name"] for c in current["spec"]["template"]["spec"]["containers"]]
    assert names == ["a", "b"]
    current = deploy(current, workload({"name": "c"}))
    assert [c["name"] for c in current["spec"]["template"]["spec"]["containers"]] == ["b", "c"]


@pytest.mark.parametrize(
    ("applied", "message"),
    [
        ({"metadata": {"name": "app"}, "dat": {}}, ".dat: field not declared in schema"),
        ({"metadata": {"name": "app", "finalizers": ["x/a", "x/a"]}}, '.metadata.finalizers: duplicate entries for key [="x/a"]'),
        ({"metadata": {"name": "app"}, "data": ["a"]}, ".data: expected map, got &{[a]}"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_type_is_500(applied, message):
    error = refused(None, applied)
    assert error.code == 500
    assert error.message == f"failed to create typed patch object (/app; /v1, Kind=ConfigMap): {message}"


def test_another_kind_and_managed_fields_are_400():
    error = refused(None, {"kind": "Secret", "metadata": {"name": "x"}})
    assert (error.code, error.message) == (400, "invalid object type: /v1, Kind=Secret")
    error = refused(None, {"metadata": {"name": "x", "managedFields": []}})
    assert (error.code, error.message) == (400, "metadata.managedFields must be nil")


def test_fields_from_before_the_first_apply_belong_to_a_manager_of_their_own():
    current = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "app", "uid": "1"}, "data": {"a": "1"}}
    obj = apply(current, settings(b="2"))
    assert owners(obj)["before-first-apply", "Update"] == {"f:data": {".": {}, "f:a": {}}}


def test_kubectl_takes_over_what_it_applied_on_the_client_side():
    last = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"app"},"data":{"mode":"fast"}}'
    metadata = {"name": "app", "annotations": {LAST_APPLIED: last}}
    current = write(None, "kubectl-client-side-apply", metadata=metadata, data={"mode": "fast"})
    obj = apply(current, settings(mode="slow"), "kubectl")
    assert obj["data"] == {"mode": "slow"}
    assert '"mode":"slow"' in obj["metadata"]["annotations"][LAST_APPLIED]
    assert refused(current, settings(mode="slow"), "other").code == 409


@pytest.mark.parametrize("entries", [[], [{}]])
def test_empty_managed_fields_forget_all_managers(entries):
    current = write(None, data={"a": "1"})
    new = {**copy.deepcopy(current), "data": {"a": "2"}}
    new["metadata"]["managedFields"] = entries
    record_update(new, current, "editor", "v1", "", NOW, definitions().type_of(CONFIG_MAP))
    assert "managedFields" not in new["metadata"]


def test_the_oldest_of_more_than_ten_updaters_become_ancient_changes():
    obj = write(None, "m00", now="2026-01-01T00:00:00Z", data={"k00": ""})
    for index in range(1, 12):
        data = {**obj["data"], f"k{index:02}": ""}
        obj = write(obj, f"m{index:02}", now=f"2026-01-01T00:00:{index:02}Z", data=data)
    entries = obj["metadata"]["managedFields"]
    assert len(entries) == 10
    ancient = next(entry for entry in entries if entry["manager"] == "ancient-changes")
    assert set(ancient["fieldsV1"]["f:data"]) == {".", "f:k00", "f:k01", "f:k02"}


def test_writes_of_a_subresource_have_an_entry_of_their_own():
    current = apply(None, settings(a="1"))
    obj = apply(current, settings(b="1"), subresource="status")
    assert [(e["operation"], e.get("subresource")) for e in obj["metadata"]["managedFields"]] == [
        (APPLY, None),
        (APPLY, "status"),
    ]
