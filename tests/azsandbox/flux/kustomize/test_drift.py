from __future__ import annotations

from typing import Any

import pytest

from azsandbox.controllers.client import Object
from azsandbox.flux.field_managers import cleanup, taken_over
from azsandbox.flux.kustomize.drift import BadRule, IgnoreRules, has_drifted, without

ME = "kustomize-controller"


def deployment(replicas: int, *managers: Object, **metadata: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "team",
            "resourceVersion": "1",
            "managedFields": list(managers),
            **metadata,
        },
        "spec": {"replicas": replicas, "template": {"containers": [{"name": "a", "image": "x"}]}},
    }


def manager(name: str, fields: Object, operation: str = "Apply", **more: str) -> Object:
    return {"manager": name, "operation": operation, "apiVersion": "apps/v1", "fieldsV1": fields, **more}


def test_labels_annotations_and_content_count_but_not_the_status() -> None:
    assert not has_drifted(deployment(1, labels={}), {**deployment(1), "status": {"replicas": 1}})
    assert has_drifted(deployment(1), deployment(2))
    assert has_drifted(deployment(1, labels={"a": "b"}), deployment(1))
    assert has_drifted(None, deployment(1))


def test_an_ignored_path_is_no_drift_and_keeps_what_the_cluster_has() -> None:
    rules = IgnoreRules([{"paths": ["/spec/replicas"], "target": {"kind": "Deploy.*", "namespace": "team"}}])
    existing, desired = deployment(5), deployment(1)
    assert not rules.has_drifted(existing, desired)
    assert rules.payload(deployment(1), existing, desired, ME)["spec"]["replicas"] == 5
    other = deployment(5, manager("autoscaler", {"f:spec": {"f:replicas": {}}}))
    assert "replicas" not in rules.payload(deployment(1), other, desired, ME)["spec"]
    mine = deployment(5, manager(ME, {"f:spec": {"f:replicas": {}}}))
    assert rules.payload(deployment(1), mine, desired, ME)["spec"]["replicas"] == 5


def test_a_rule_for_others_changes_nothing() -> None:
    for target in ({"kind": "Deploy"}, {"name": "other"}, {"labelSelector": "app=web"}):
        rules = IgnoreRules([{"paths": ["/spec/replicas"], "target": target}])
        assert rules.has_drifted(deployment(5), deployment(1))


def test_an_element_of_a_list_belongs_to_who_applied_it_by_its_key() -> None:
    rules = IgnoreRules([{"paths": ["/spec/template/containers/0/image"]}])
    fields = {"f:spec": {"f:template": {"f:containers": {'k:{"name":"a"}': {"f:image": {}}}}}}
    existing, desired = deployment(1, manager("updater", fields)), deployment(1)
    existing["spec"]["template"]["containers"][0]["image"] = "y"
    payload = rules.payload(deployment(1), existing, desired, ME)
    assert payload["spec"]["template"]["containers"] == [{"name": "a"}]


def test_a_bad_rule_is_refused() -> None:
    with pytest.raises(BadRule, match=r"^failed to create ignore rule selector: invalid name regex: "):
        IgnoreRules([{"paths": ["/a"], "target": {"name": "("}}])
    with pytest.raises(BadRule, match="invalid label selector: "):
        IgnoreRules([{"paths": ["/a"], "target": {"labelSelector": "=="}}])


def test_paths_are_json_pointers() -> None:
    obj = {"metadata": {"annotations": {"a/b": "1", "c~d": "2"}}}
    assert without(obj, ["/metadata/annotations/a~1b", "/none/at/all"]) == {"metadata": {"annotations": {"c~d": "2"}}}


def test_fields_of_kubectl_become_the_controllers() -> None:
    mine, theirs = {"f:data": {"f:a": {}}}, {"f:data": {"f:b": {}, ".": {}}}
    status = manager("kubectl-edit", {"f:status": {}}, "Update", subresource="status")
    obj = deployment(
        1,
        manager(ME, mine),
        manager("kubectl-patch", theirs, "Update"),
        manager("other", {"f:x": {}}, "Update"),
        status,
        annotations={"kubectl.kubernetes.io/last-applied-configuration": "{}"},
    )
    remove, replace = cleanup(obj, taken_over(ME), ME)
    assert remove == {"op": "remove", "path": "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration"}
    assert replace["path"] == "/metadata/managedFields"
    assert [entry["manager"] for entry in replace["value"]] == ["other", "kubectl-edit", ME]
    assert replace["value"][-1]["fieldsV1"] == {"f:data": {"f:a": {}, "f:b": {}, ".": {}}}
    assert cleanup(deployment(1, manager("other", {}, "Update")), taken_over(ME), ME) == []
    assert cleanup(deployment(1, manager("other", {}, "Update")), taken_over(ME, ["other"]), ME) != []
