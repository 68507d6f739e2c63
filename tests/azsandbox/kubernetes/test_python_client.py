"""The official Python client against a cluster that runs: typed, dynamic, watch, exec and create_from_yaml."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

kubernetes = pytest.importorskip("kubernetes")

from kubernetes import client, config, dynamic, stream, utils, watch  # noqa: E402

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "one"},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "app", "image": "nginx:1.27", "env": [{"name": "COLOR", "value": "blue"}]}],
    },
}


@pytest.fixture(scope="module")
def api(bare_cluster: Path) -> Iterator[Any]:
    with config.new_client_from_config(str(bare_cluster)) as found:
        yield found


@pytest.fixture
def namespace(api: Any) -> str:
    name = f"python-{uuid.uuid4().hex[:8]}"
    core = client.CoreV1Api(api)
    core.create_namespace({"metadata": {"name": name}})
    seen = watch.Watch()
    for event in seen.stream(core.list_namespaced_service_account, name, timeout_seconds=10):
        if event["object"].metadata.name == "default":  # pods need it
            seen.stop()
    return name


def created_pod(api: Any, namespace: str) -> None:
    """A pod that runs, followed by a watch until it does."""
    core = client.CoreV1Api(api)
    seen = watch.Watch()
    events = seen.stream(core.list_namespaced_pod, namespace, timeout_seconds=20)
    dynamic.DynamicClient(api).resources.get(api_version="v1", kind="Pod").create(body=POD, namespace=namespace)
    for event in events:
        conditions = event["object"].status.conditions or []
        if any(c.type == "Ready" and c.status == "True" for c in conditions):
            seen.stop()
            return
    raise AssertionError("the pod did not become ready")


def test_typed_objects_are_created_read_scaled_and_deleted(api: Any, namespace: str) -> None:
    apps = client.AppsV1Api(api)
    body = client.V1Deployment(
        metadata=client.V1ObjectMeta(name="web"),
        spec=client.V1DeploymentSpec(
            replicas=1,
            selector=client.V1LabelSelector(match_labels={"app": "web"}),
            template=client.V1PodTemplateSpec(
                metadata=client.V1ObjectMeta(labels={"app": "web"}),
                spec=client.V1PodSpec(containers=[client.V1Container(name="web", image="nginx:1.27")]),
            ),
        ),
    )
    created = apps.create_namespaced_deployment(namespace, body)
    assert created.spec.strategy.rolling_update.max_surge == "25%"
    scaled = apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 2}})
    assert scaled.spec.replicas == 2
    listed = apps.list_namespaced_deployment(namespace, label_selector="app!=other")
    assert [item.metadata.name for item in listed.items] == ["web"]
    deleted = api.sanitize_for_serialization(apps.delete_namespaced_deployment("web", namespace))
    assert (deleted["status"], deleted["details"]["name"]) == ("Success", "web")
    with pytest.raises(client.ApiException) as refused:
        apps.read_namespaced_deployment("none", namespace)
    assert (refused.value.status, refused.value.reason) == (404, "Not Found")


def test_a_watch_sees_a_pod_become_ready_and_exec_answers(api: Any, namespace: str) -> None:
    created_pod(api, namespace)
    core = client.CoreV1Api(api)
    assert "is simulated" in core.read_namespaced_pod_log("one", namespace)
    call = (core.connect_get_namespaced_pod_exec, "one", namespace)
    options = {"stderr": True, "stdin": False, "stdout": True, "tty": False}
    assert stream.stream(*call, command=["printenv", "COLOR"], **options) == "blue\n"
    refused = stream.stream(*call, command=["ps"], _preload_content=False, **options)
    refused.run_forever(timeout=10)
    assert "containers of this cluster are simulated" in refused.read_stderr()
    assert refused.returncode == 126


def test_the_dynamic_client_applies_and_patches(api: Any, namespace: str) -> None:
    maps = dynamic.DynamicClient(api).resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"color": "blue"}}
    maps.server_side_apply(body=body, namespace=namespace, field_manager="first")
    with pytest.raises(dynamic.exceptions.ConflictError):
        other = {**body, "data": {"color": "red"}}
        maps.server_side_apply(body=other, namespace=namespace, field_manager="second")
    change = {"metadata": {"name": "settings"}, "data": {"size": "1"}}
    maps.patch(body=change, namespace=namespace, content_type="application/merge-patch+json")
    assert maps.get(name="settings", namespace=namespace).data.to_dict() == {"color": "blue", "size": "1"}
    with pytest.raises(dynamic.exceptions.UnprocessibleEntityError):
        maps.create(body={**body, "metadata": {"name": "No Name"}}, namespace=namespace)
    maps.delete(name="settings", namespace=namespace)


def test_yaml_is_created_from_a_file(api: Any, namespace: str, tmp_path: Path) -> None:
    file = tmp_path / "objects.yaml"
    file.write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n"
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: once}\nspec:\n  template:\n    spec:\n"
        "      restartPolicy: Never\n      containers: [{name: app, image: 'busybox:1.37', command: ['true']}]\n"
    )
    utils.create_from_yaml(api, str(file), namespace=namespace)
    assert client.BatchV1Api(api).read_namespaced_job("once", namespace).spec.completions == 1
    with pytest.raises(utils.FailToCreateError) as refused:
        utils.create_from_yaml(api, str(file), namespace=namespace)
    assert "already exists" in str(refused.value)


def test_port_forward_is_refused(api: Any, namespace: str) -> None:
    created_pod(api, namespace)
    core = client.CoreV1Api(api)
    with pytest.raises(client.ApiException) as refused:
        stream.portforward(core.connect_get_namespaced_pod_portforward, "one", namespace, ports="80")
    assert "503" in str(refused.value)
