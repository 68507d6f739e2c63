"""Bodies into objects, in the words of the API server's decoder."""

import orjson
import pytest

from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.request import GroupVersionKind
from azsandbox.kubernetes.schema.decode import decode
from azsandbox.kubernetes.schema.definitions import definitions

CONFIG_MAP = GroupVersionKind("", "v1", "ConfigMap")
POD = GroupVersionKind("", "v1", "Pod")
SERVICE = GroupVersionKind("", "v1", "Service")
DEPLOYMENT = GroupVersionKind("apps", "v1", "Deployment")
BAD_QUANTITY = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def read(gvk, body, content_type="application/json", validation="Warn"):
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return decode(definitions(), gvk, raw, content_type, validation)


def refusal(gvk, body, content_type="application/json", validation="Warn"):
    with pytest.raises(StatusError) as caught:
        read(gvk, body, content_type, validation)
    assert caught.value.code == 400
    return caught.value.message


def container(**fields):
    return {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", **fields}]}}


@pytest.mark.parametrize(
    ("body", "words", "summary"),
    [
        (b"{not json", "invalid character 'n' looking for beginning of object key string", "{not json"),
        (b"", "unexpected end of JSON input", "<empty>"),
        (
            b'{"metadata":{"name":"a"}} trailing',
            "invalid character 't' after top-level value",
            '{"metadata":{"name":"a"}} trai ...',
        ),
        (b"[" * 20_000, "invalid character '[' exceeded max depth", "5b" * 30 + " ..."),
        (b"[1,]", "invalid character ']' looking for beginning of value", "5b312c5d"),
    ],
)
def test_text_that_is_no_json_is_refused_with_the_scanners_words(body, words, summary):
    expected = f"(must be of type ConfigMap): couldn't get version/kind; json parse error: {words} ({summary})"
    assert refusal(CONFIG_MAP, body) == f"the object provided is unrecognized {expected}"


@pytest.mark.parametrize(
    ("gvk", "body", "error"),
    [
        (DEPLOYMENT, {"spec": {"replicas": "x"}}, "string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (DEPLOYMENT, {"spec": {"replicas": 1.5}}, "number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (DEPLOYMENT, {"spec": {"replicas": 2**31}}, "number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32"),
        (POD, {"spec": {"containers": {}}}, "object into Go struct field PodSpec.spec.containers of type []v1.Container"),
        (POD, container(ports=[{"containerPort": "80"}]), "string into Go struct field ContainerPort.spec.containers.ports.containerPort of type int32"),
        (CONFIG_MAP, {"metadata": {"labels": []}}, "array into Go struct field ObjectMeta.metadata.labels of type map[string]string"),
        (CONFIG_MAP, {"data": {"a": 1}}, "number into Go struct field ConfigMap.data of type string"),
        (SERVICE, {"spec": {"ports": [{"targetPort": True}]}}, "bool into Go struct field ServicePort.spec.ports.targetPort of type int32"),
    ],
)  # fmt: skip
def test_a_wrong_json_type_is_named_with_the_go_field(gvk, body, error):
    prefix = f'{gvk.kind} in version "v1" cannot be handled as a {gvk.kind}: json: cannot unmarshal '
    assert refusal(gvk, body) == prefix + error


def test_the_first_error_of_the_text_is_the_one_told():
    assert "of type bool" in refusal(POD, b'{"spec":{"hostNetwork":"x","containers":5}}')


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (container(resources={"limits": {"cpu": "much"}}), BAD_QUANTITY),
        (container(resources={"limits": {"cpu": "1Q"}}), BAD_QUANTITY),
        (container(resources={"limits": {"cpu": "1mm"}}), "unable to parse quantity's suffix"),
        (
            {"metadata": {"creationTimestamp": "yesterday"}},
            'parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"',
        ),
        (
            {"metadata": {"creationTimestamp": "2024-01-01"}},
            'parsing time "2024-01-01" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T"',
        ),
    ],
)
def test_scalars_with_a_form_of_their_own_say_what_is_wrong(body, error):
    assert refusal(POD, body) == f'Pod in version "v1" cannot be handled as a Pod: {error}'


@pytest.mark.parametrize(("text", "offset"), [("***", 0), ("abc", 0), ("YWJj*", 4), ("YW=j", 3)])
def test_bad_base64_is_named_by_its_offset(text, offset):
    message = refusal(CONFIG_MAP, {"binaryData": {"a": text}})
    assert message.endswith(f"illegal base64 data at input byte {offset}")


def test_unknown_fields_are_warned_of_by_path_and_dropped():
    found = read(POD, {"spec": {"containers": [{"name": "c", "imag": "x", "Image": "y"}]}, "Kind": 1})
    assert found.warnings == [
        'unknown field "spec.containers[0].imag"',
        'unknown field "spec.containers[0].Image"',
        'unknown field "Kind"',
    ]
    assert found.obj["spec"]["containers"] == [{"name": "c", "resources": {}}]


def test_strict_validation_refuses_all_unknown_fields_at_once():
    message = refusal(CONFIG_MAP, {"datta": {}, "metadata": {"labls": {}}}, validation="Strict")
    assert message.endswith('strict decoding error: unknown field "datta", unknown field "metadata.labls"')


def test_ignored_validation_says_nothing():
    assert read(CONFIG_MAP, {"datta": {}}, validation="Ignore").warnings == []


def test_repeated_maps_merge_as_go_does_and_are_warned_of():
    found = read(CONFIG_MAP, b'{"data":{"x":"1"},"data":{"y":"2"}}')
    assert found.obj["data"] == {"x": "1", "y": "2"}
    assert found.warnings == ['duplicate field "data"']


def test_repeated_yaml_keys_name_their_line():
    found = read(CONFIG_MAP, b"metadata:\n  name: b\ndata:\n  x: one\n  x: two\n", "application/yaml")
    assert found.obj["data"] == {"x": "two"}
    assert found.warnings == ['line 5: key "x" already set in map']


def test_a_plain_y_in_yaml_is_a_boolean():
    assert "cannot unmarshal bool" in refusal(CONFIG_MAP, b"metadata: {labels: {a: y}}", "application/yaml")


def test_quantities_times_and_bytes_are_written_in_their_canonical_form():
    pod = container(resources={"limits": {"cpu": "1000m", "memory": 1073741824}})
    pod["metadata"]["deletionTimestamp"] = "2024-01-01T10:00:00.5+02:00"
    found = read(POD, pod).obj
    assert found["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1", "memory": "1073741824"}
    assert found["metadata"]["deletionTimestamp"] == "2024-01-01T08:00:00Z"
    assert read(CONFIG_MAP, {"binaryData": {"a": "YW\nI="}}).obj["binaryData"] == {"a": "YWI="}


def test_empty_fields_go_and_fields_without_omitempty_stay():
    body = {
        "metadata": {"name": "a", "labels": None, "annotations": {}, "creationTimestamp": None},
        "spec": {"containers": []},
    }
    assert read(POD, body).obj == {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": "a"},
        "spec": {"containers": []},
        "status": {},
    }
    condition = {"type": "x", "status": "True"}
    found = read(POD, {"spec": {}, "status": {"conditions": [condition]}}).obj
    assert found["spec"] == {"containers": None}
    assert found["status"]["conditions"] == [{**condition, "lastProbeTime": None, "lastTransitionTime": None}]


def test_a_null_value_of_a_map_is_the_zero_value():
    assert read(CONFIG_MAP, {"data": {"x": None, "y": ""}}).obj["data"] == {"x": "", "y": ""}


def test_fields_come_out_in_the_order_of_the_go_struct():
    found = read(POD, {"spec": {}, "metadata": {"labels": {"b": "1", "a": "2"}, "name": "x"}}).obj
    assert list(found) == ["kind", "apiVersion", "metadata", "spec", "status"]
    assert list(found["metadata"]) == ["name", "labels"]
    assert list(found["metadata"]["labels"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ({"kind": "List", "apiVersion": "v1"}, 'List in version "v1" cannot be handled as a ConfigMap: converting (v1.List) to (core.ConfigMap): unknown conversion'),
        ({"kind": "Deployment", "apiVersion": "apps/v1"}, 'Deployment in version "v1" cannot be handled as a ConfigMap: converting (v1.Deployment) to (core.ConfigMap): unknown conversion'),
        ({"apiVersion": "v2"}, 'ConfigMap in version "v2" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version "v2" in scheme "pkg/runtime/scheme.go:111"'),
    ],
)  # fmt: skip
def test_another_kind_cannot_be_handled(head, words):
    assert refusal(CONFIG_MAP, head) == words


def test_another_version_of_the_kind_is_refused():
    gvk = GroupVersionKind("autoscaling", "v1", "HorizontalPodAutoscaler")
    body = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
    expected = "the API version in the data (autoscaling/v2) does not match the expected API version (autoscaling/v1)"
    assert refusal(gvk, body) == expected


def test_string_data_of_a_secret_becomes_data():
    secret = GroupVersionKind("", "v1", "Secret")
    found = read(secret, {"data": {"a": "MQ=="}, "stringData": {"b": "2", "a": "3"}}).obj
    assert found["data"] == {"a": "Mw==", "b": "Mg=="}
    assert "stringData" not in found


def test_an_empty_list_of_managers_is_seen():
    assert read(CONFIG_MAP, {"metadata": {"managedFields": []}}).obj["metadata"] == {"managedFields": []}
