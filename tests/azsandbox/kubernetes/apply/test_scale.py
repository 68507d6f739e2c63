"""Who owns the replicas of an object that is scaled."""

import pytest

from azsandbox.kubernetes.apply import scale
from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.schema.definitions import definitions

NOW = "2026-01-01T00:00:05Z"
PATH = scale.path_of(".spec.replicas")
TYPE = definitions().type_of(scale.SCALE)


def owned_by_alice():
    entry = {"manager": "alice", "operation": "Apply", "apiVersion": "apps/v1", "time": NOW, "fieldsType": "FieldsV1"}
    entry["fieldsV1"] = {"f:spec": {"f:replicas": {}, "f:paused": {}}}
    return {"metadata": {"name": "web", "managedFields": [entry]}}


def scale_of(replicas):
    head = {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "web"}}
    return {**head, "spec": {"replicas": replicas}, "status": {"replicas": 0}}


def test_scaling_takes_the_replicas_and_has_an_entry_without_time():
    old, new = owned_by_alice(), owned_by_alice()
    scale.record_scale(new, old, scale_of(1), scale_of(2), "hpa", PATH, "apps/v1", TYPE, NOW)
    alice, hpa = new["metadata"]["managedFields"]
    assert alice["fieldsV1"] == {"f:spec": {"f:paused": {}}}
    assert hpa == {
        "manager": "hpa",
        "operation": "Update",
        "apiVersion": "apps/v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:replicas": {}}},
        "subresource": "scale",
    }


def test_scaling_to_the_same_number_changes_no_owner():
    old, new = owned_by_alice(), owned_by_alice()
    scale.record_scale(new, old, scale_of(1), scale_of(1), "hpa", PATH, "apps/v1", TYPE, NOW)
    assert new == old


def test_applying_another_number_conflicts_with_the_owner_of_the_object():
    applied = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 2}}
    with pytest.raises(StatusError) as caught:
        scale.apply_scale(scale_of(1), owned_by_alice(), applied, "hpa", False, PATH, TYPE, NOW)
    assert caught.value.message == 'Apply failed with 1 conflict: conflict with "alice": .spec.replicas'
    merged, managers = scale.apply_scale(scale_of(1), owned_by_alice(), applied, "hpa", True, PATH, TYPE, NOW)
    assert merged["spec"]["replicas"] == 2
    assert [manager.name for manager in managers] == ["hpa"]
