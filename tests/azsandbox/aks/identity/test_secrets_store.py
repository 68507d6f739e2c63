"""The Secrets Store add-on: a pod's CSI volume holds what its identity may read of a vault, and follows changes."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.azsandbox.aks.identity.conftest import SET, Lab, pod

IMAGE = "mcr.microsoft.com/oss/kubernetes/pause:3.9"


def provider_class(
    name: str, *objects: str, secrets: list[dict[str, Any]] | None = None, **parameters: str
) -> dict[str, Any]:
    array = "".join(f"  - |\n    objectName: {item}\n    objectType: secret\n" for item in objects)
    found = {"keyvaultName": "kv-wi", "objects": f"array:\n{array}", "usePodIdentity": "false", **parameters}
    spec: dict[str, Any] = {"provider": "azure", "parameters": found}
    if secrets:
        spec["secretObjects"] = secrets
    metadata = {"name": name, "namespace": "shop"}
    return {
        "apiVersion": "secrets-store.csi.x-k8s.io/v1",
        "kind": "SecretProviderClass",
        "metadata": metadata,
        "spec": spec,
    }


def mounting(name: str, wanted: str) -> dict[str, Any]:
    volume = {
        "driver": "secrets-store.csi.k8s.io",
        "readOnly": True,
        "volumeAttributes": {"secretProviderClass": wanted},
    }
    container = {
        "name": "app",
        "image": IMAGE,
        "volumeMounts": [{"name": "store", "mountPath": "/mnt/store", "readOnly": True}],
    }
    return pod(name, opted_in=False, containers=[container], volumes=[{"name": "store", "csi": volume}])


def until(look: Callable[[], Any], seconds: float = 60) -> Any:
    """What `look` finds, as soon as it finds something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.2)
    raise AssertionError("it did not come")


def messages(lab: Lab, name: str, reason: str) -> list[str]:
    found = lab.get("events", "-n", "shop", "--field-selector", f"involvedObject.name={name},reason={reason}")
    return [event["message"] for event in found["items"]]


@pytest.fixture(scope="module")
def store(linked: Lab) -> Lab:
    secret = {
        "secretName": "synced",
        "type": "Opaque",
        "labels": {"a": "b"},
        "data": [{"objectName": "greeting", "key": "word"}],
    }
    mine = {"clientID": linked.made["client"], "tenantId": linked.made["tenant"]}
    linked.apply(provider_class("vault", "greeting", secrets=[secret], **mine), mounting("reader", "vault"))
    until(lambda: linked.get("pod", "reader", "-n", "shop")["status"].get("phase") == "Running")
    return linked


def test_the_add_on_brings_what_it_needs(store: Lab) -> None:
    driver = store.get("csidriver", "secrets-store.csi.k8s.io")["spec"]
    assert driver["tokenRequests"] == [{"audience": "api://AzureADTokenExchange"}] and driver["podInfoOnMount"] is True
    names = {item["metadata"]["name"] for item in store.get("daemonsets", "-n", "kube-system")["items"]}
    assert {"aks-secrets-store-csi-driver", "aks-secrets-store-provider-azure"} <= names


def test_a_pod_finds_the_secret_in_its_volume(store: Lab) -> None:
    assert store.kubectl("exec", "reader", "-n", "shop", "--", "cat", "/mnt/store/greeting") in ("hello", "changed")
    status = store.get("secretproviderclasspodstatus", "reader-shop-vault", "-n", "shop")
    assert status["status"]["mounted"] is True and status["status"]["podName"] == "reader"
    assert [item["id"] for item in status["status"]["objects"]] == ["secret/greeting"]
    assert status["metadata"]["ownerReferences"][0]["kind"] == "Pod"


def test_a_secret_is_synced_and_goes_with_its_pod(store: Lab) -> None:
    found = store.get("secret", "synced", "-n", "shop")
    assert base64.b64decode(found["data"]["word"]).decode() in ("hello", "changed")
    assert found["metadata"]["labels"] == {"a": "b", "secrets-store.csi.k8s.io/managed": "true"}
    assert [owner["name"] for owner in found["metadata"]["ownerReferences"]] == ["reader"]


def test_a_new_version_reaches_file_status_and_secret(store: Lab) -> None:
    before = store.get("secretproviderclasspodstatus", "reader-shop-vault", "-n", "shop")["status"]["objects"]
    store.python(SET, VALUE="changed")
    until(lambda: messages(store, "reader", "MountRotationComplete"))
    assert store.kubectl("exec", "reader", "-n", "shop", "--", "cat", "/mnt/store/greeting") == "changed"
    until(lambda: messages(store, "reader", "SecretRotationComplete") == ["successfully rotated K8s secret synced"])
    assert base64.b64decode(store.get("secret", "synced", "-n", "shop")["data"]["word"]) == b"changed"
    after = store.get("secretproviderclasspodstatus", "reader-shop-vault", "-n", "shop")["status"]["objects"]
    assert before[0]["version"] != after[0]["version"]


@pytest.mark.parametrize(
    ("name", "parameters", "text"),
    [
        ("no-class", None, 'error: SecretProviderClass.secrets-store.csi.x-k8s.io "no-class" not found'),
        ("no-tenant", {"tenantId": ""}, "failed to mount objects, error: tenantId is not set"),
        ("no-identity", {}, "failed to get credentials, nodePublishSecretRef secret is not set"),
        ("pod-identity", {"usePodIdentity": "true"}, "dial tcp [::1]:2579: connect: connection refused"),
        ("unknown-node", {"useVMManagedIdentity": "true", "userAssignedIdentityID": "x"}, "Identity not found"),
        ("node", {"useVMManagedIdentity": "true", "userAssignedIdentityID": "ADDON"}, "ERROR CODE: Forbidden\n"),
        (
            "missing",
            {"clientID": "CLIENT", "objects": "array:\n- |\n  objectName: none\n  objectType: secret"},
            "SecretNotFound",
        ),
        (
            "key",
            {"clientID": "CLIENT", "objects": "array:\n- |\n  objectName: k\n  objectType: key"},
            "NotSupportedInSandbox",
        ),
        (
            "history",
            {
                "clientID": "CLIENT",
                "objects": "array:\n- |\n  objectName: a\n  objectType: secret\n  objectVersionHistory: 5",
            },
            "NotSupportedInSandbox: the sandbox does not support objectVersionHistory '5'",
        ),
        (
            "no-vault",
            {"clientID": "CLIENT", "keyvaultName": "kv-none"},
            "lookup kv-none.vault.azure.net on 168.63.129.16:53",
        ),
        ("stranger", {"clientID": "ADDON"}, "FromAssertion(): http call(https://login.microsoftonline.com/"),
    ],
)
def test_the_event_says_why_a_volume_does_not_mount(
    store: Lab, name: str, parameters: dict[str, str] | None, text: str
) -> None:
    words = {"CLIENT": store.made["client"], "ADDON": store.made["addon_client"]}
    if parameters is not None:
        given = {"tenantId": store.made["tenant"]} | {k: words.get(v, v) for k, v in parameters.items()}
        store.apply(provider_class(name, "greeting", **given))
    store.apply(mounting(name, name))
    found = until(lambda: messages(store, name, "FailedMount"))
    prefix = 'MountVolume.SetUp failed for volume "store" : rpc error: code = Unknown desc = '
    assert found[0].startswith(prefix) and text in found[0], found[0]
    assert store.get("pod", name, "-n", "shop")["status"]["phase"] == "Pending"
    store.kubectl("delete", "pod", name, "-n", "shop", "--wait=false")


def test_an_object_that_is_not_mounted_is_not_synced(store: Lab) -> None:
    mine = {"clientID": store.made["client"], "tenantId": store.made["tenant"]}
    wrong = {"secretName": "wrong", "type": "Opaque", "data": [{"objectName": "other", "key": "k"}]}
    store.apply(provider_class("wrong", "greeting", secrets=[wrong], **mine), mounting("wrong", "wrong"))
    found = until(lambda: messages(store, "wrong", "FailedToCreateSecret"))
    assert "file matching objectName other not found in the pod" in found[0]
    assert "not found" in store.kubectl("get", "secret", "wrong", "-n", "shop", check=False)


def test_no_value_is_in_the_sandboxs_log(store: Lab) -> None:
    store.python(SET, VALUE="s3cr3t-in-no-log")
    until(
        lambda: store.kubectl("exec", "reader", "-n", "shop", "--", "cat", "/mnt/store/greeting") == "s3cr3t-in-no-log"
    )
    log = store.sandbox.home.joinpath("sandbox.log").read_text()
    assert "kv-wi.vault.azure.net/secrets/greeting" in log and "s3cr3t-in-no-log" not in log
