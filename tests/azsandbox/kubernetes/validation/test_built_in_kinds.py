"""What may not be created or changed, in the API server's words."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from azsandbox.kubernetes import defaults, strategy, validation
from azsandbox.kubernetes.request import GroupVersionKind
from azsandbox.kubernetes.resources import Resource, ResourceTable

TABLE = ResourceTable()
CONTAINER = {"name": "app", "image": "nginx:1.27"}
LABELS = {"app": "web"}
DIGIT_OR_LETTER = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)


def _resource(api_version: str, kind: str) -> Resource:
    group, _, version = api_version.rpartition("/")
    found = TABLE.of_kind(GroupVersionKind(group, version, kind))
    assert found is not None
    return found


def ready(api_version: str, kind: str, **fields: Any) -> tuple[Resource, dict[str, Any]]:
    resource = _resource(api_version, kind)
    obj: dict[str, Any] = {"apiVersion": api_version, "kind": kind, **copy.deepcopy(fields)}
    meta = obj.setdefault("metadata", {})
    meta.setdefault("name", "a")
    meta.setdefault("uid", "u")
    if resource.namespaced:
        meta.setdefault("namespace", "n")
    defaults.apply(resource.gvk, obj)
    strategy.prepare_create(resource, obj)
    return resource, obj


def faults(api_version: str, kind: str, **fields: Any) -> list[str]:
    resource, obj = ready(api_version, kind, **fields)
    return [error.text for error in validation.create(resource, obj)]


def pod(**spec: Any) -> list[str]:
    return faults("v1", "Pod", spec={"containers": [CONTAINER], **spec})


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"containers": []}, ["spec.containers: Required value"]),
        (
            {"containers": [{**CONTAINER, "ports": [{"containerPort": 0}, {"containerPort": 70000}]}]},
            [
                "spec.containers[0].ports[0].containerPort: Required value",
                "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ],
        ),
        (
            {"containers": [{**CONTAINER, "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}]},
            ['spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
        ),
        (
            {"containers": [{**CONTAINER, "volumeMounts": [{"name": "data", "mountPath": "/d"}]}]},
            ['spec.containers[0].volumeMounts[0].name: Not found: "data"'],
        ),
        (
            {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]},
            [
                "spec.tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'",
            ],
        ),
        (
            {"restartPolicy": "Sometimes"},
            ['spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"'],
        ),
        (
            {"hostPID": True, "shareProcessNamespace": True},
            [
                "spec.securityContext.shareProcessNamespace: Invalid value: true: "
                "ShareProcessNamespace and HostPID cannot both be enabled"
            ],
        ),
        (
            {"volumes": [{"name": "v", "emptyDir": {}, "configMap": {"name": "c"}}]},
            ["spec.volumes[0].configMap: Forbidden: may not specify more than 1 volume type"],
        ),
    ],
)
def test_a_pod_is_refused_field_by_field(spec: dict[str, Any], expected: list[str]) -> None:
    assert pod(**spec) == expected


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        (("v1", "ConfigMap"), {"data": {"..": "x"}}, ["data[..]: Invalid value: \"..\": must not be '..'"]),
        (
            ("v1", "ConfigMap"),
            {"metadata": {"labels": {"bad key": "x"}}},
            [
                f"metadata.labels: Invalid value: \"bad key\": name part {DIGIT_OR_LETTER} (e.g. 'MyName',  or "
                "'my.name',  or '123-abc', regex used for validation is "
                "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            ],
        ),
        (
            ("v1", "Secret"),
            {"type": "kubernetes.io/tls"},
            ["data[tls.crt]: Required value", "data[tls.key]: Required value"],
        ),
        (
            ("batch/v1", "CronJob"),
            {
                "spec": {
                    "schedule": "every day",
                    "jobTemplate": {
                        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}}
                    },
                }
            },
            ['spec.schedule: Invalid value: "every day": expected exactly 5 fields, found 2: [every day]'],
        ),
        (
            ("apps/v1", "Deployment"),
            {
                "spec": {
                    "selector": {"matchLabels": {"app": "x"}},
                    "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [CONTAINER]}},
                }
            },
            [
                'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'
            ],
        ),
        (
            ("policy/v1", "PodDisruptionBudget"),
            {"spec": {"minAvailable": 1, "maxUnavailable": 1, "selector": {"matchLabels": LABELS}}},
            [
                'spec: Invalid value: {"MinAvailable":1,"Selector":{"matchLabels":{"app":"web"}},"MaxUnavailable":1,'
                '"UnhealthyPodEvictionPolicy":null}: minAvailable and maxUnavailable cannot be both set'
            ],
        ),
        (
            ("v1", "PersistentVolume"),
            {"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}},
            ["spec: Required value: must specify a volume type"],
        ),
        (
            ("networking.k8s.io/v1", "Ingress"),
            {"spec": {}},
            ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"],
        ),
        (
            ("coordination.k8s.io/v1", "Lease"),
            {"spec": {"leaseDurationSeconds": 0}},
            ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"],
        ),
        (
            ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"),
            {"spec": {"policyName": "p"}},
            ["spec.validationActions: Required value: at least one validation action is required"],
        ),
    ],
)
def test_a_kind_is_refused_in_the_words_of_kubernetes(
    kind: tuple[str, str], fields: dict[str, Any], expected: list[str]
) -> None:
    assert faults(*kind, **fields) == expected


def test_a_running_pod_may_change_its_image_but_not_its_restart_policy() -> None:
    resource, old = ready("v1", "Pod", spec={"containers": [CONTAINER]})
    old["metadata"]["resourceVersion"] = "1"
    image = copy.deepcopy(old)
    image["spec"]["containers"][0]["image"] = "nginx:1.28"
    policy = copy.deepcopy(old)
    policy["spec"]["restartPolicy"] = "Never"

    assert validation.update(resource, image, old) == []
    (error,) = validation.update(resource, policy, old)
    assert error.field == "spec"
    assert error.detail.startswith("pod updates may not change fields other than `spec.containers[*].image`")
    assert '- "RestartPolicy": "Always",\n+ "RestartPolicy": "Never",\n' in error.detail


def test_an_object_that_is_being_deleted_gets_no_new_finalizers() -> None:
    resource, old = ready("v1", "ConfigMap")
    old["metadata"] |= {"resourceVersion": "1", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    new = copy.deepcopy(old)
    new["metadata"]["finalizers"] = ["example.com/x"]

    texts = {error.text for error in validation.update(resource, new, old)}

    said = (
        'no new finalizers can be added if the object is being deleted, found new finalizers []string{"example.com/x"}'
    )
    assert texts == {f"metadata.finalizers: Forbidden: {said}"}
