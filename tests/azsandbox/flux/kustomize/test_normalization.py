from __future__ import annotations

from azsandbox.flux.kustomize.normalization import normalized


def test_a_deployment_is_sent_as_go_writes_it() -> None:
    container = {"name": "web", "image": "nginx:1.27", "ports": [{"containerPort": 80}], "args": []}
    pod = {"hostNetwork": False, "containers": [container]}
    obj = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "creationTimestamp": None},
        "spec": {"replicas": 0, "replica": 2, "template": {"spec": pod}, "selector": {"matchLabels": {"app": "web"}}},
        "status": {"replicas": 3},
    }
    assert normalized(obj) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {},
            "template": {
                "metadata": {},
                "spec": {
                    "containers": [
                        {
                            "name": "web",
                            "image": "nginx:1.27",
                            "ports": [{"containerPort": 80, "protocol": "TCP"}],
                            "resources": {},
                        }
                    ]
                },
            },
        },
    }


def test_the_text_of_a_secret_becomes_data() -> None:
    obj = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "stringData": {"a": "x"},
        "data": {"b": "eQ==\n"},
    }
    assert normalized(obj)["data"] == {"a": "eA==", "b": "eQ=="}
    assert "stringData" not in normalized(obj)


def test_what_does_not_fit_its_type_and_what_go_does_not_know_is_left_for_the_server() -> None:
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"n": 1}}
    assert normalized(wrong) == wrong
    custom = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "a"},
        "extra": 1,
        "status": {"x": 1},
    }
    assert normalized(custom) == {key: value for key, value in custom.items() if key != "status"}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "a"}, "rules": []}
    assert normalized(role) is role
