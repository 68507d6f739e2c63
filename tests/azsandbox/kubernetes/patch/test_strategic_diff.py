"""Strategic merge patches that are made from three versions of an object. What is expected is what
k8s.io/apimachinery's CreateThreeWayMergePatch gives for the same objects."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from azsandbox.kubernetes.errors import StatusError
from azsandbox.kubernetes.patch import strategic, strategic_diff
from azsandbox.kubernetes.request import GroupVersionKind
from azsandbox.kubernetes.schema.definitions import definitions

CONFIG_MAP = GroupVersionKind("", "v1", "ConfigMap")
DEPLOYMENT = GroupVersionKind("apps", "v1", "Deployment")
SERVICE = GroupVersionKind("", "v1", "Service")


def data(**values: str) -> dict[str, Any]:
    return {"metadata": {"name": "x"}, "data": values}


def finalizers(*names: str) -> dict[str, Any]:
    return {"metadata": {"name": "x", "finalizers": list(names)}}


def deployment(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "x"}, "spec": {**spec, "template": {"spec": {"containers": list(containers)}}}}


def container(name: str, image: str = "i:1", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": image, **more}


def env(**values: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def in_template(*containers: dict[str, Any], order: str) -> dict[str, Any]:
    names = {"$setElementOrder/containers": [{"name": name} for name in order.split()]}
    return {"spec": {"template": {"spec": {**names, **({"containers": list(containers)} if containers else {})}}}}


ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}
WEB = container("web")
A_TO_C = {
    "$setElementOrder/env": [{"name": "A"}, {"name": "C"}],
    "env": [*env(A="1", C="3"), {"$patch": "delete", "name": "B"}],
    "name": "web",
}
RECREATED = {"spec": {"strategy": {"$retainKeys": ["type"], "rollingUpdate": None, "type": "Recreate"}}}
IN_ORDER = {"$deleteFromPrimitiveList/finalizers": ["f/a"], "$setElementOrder/finalizers": ["f/b", "f/c"]}


@pytest.mark.parametrize(
    ("kind", "original", "modified", "current", "patch"),
    [
        pytest.param(CONFIG_MAP, data(a="1"), data(a="1"), data(a="1"), {}, id="nothing"),
        pytest.param(
            CONFIG_MAP, data(a="1", b="2"), data(a="1"), data(a="9", b="2", c="3"), {"data": {"a": "1", "b": None}},
            id="fields of others stay",
        ),
        pytest.param(
            DEPLOYMENT,
            deployment(WEB, container("side")),
            deployment(container("web", "i:2")),
            deployment(WEB, container("side"), container("other")),
            in_template({"image": "i:2", "name": "web"}, {"$patch": "delete", "name": "side"}, order="web"),
            id="elements of others stay",
        ),
        pytest.param(
            DEPLOYMENT,
            deployment(container("web", env=env(A="1", B="2"))),
            deployment(container("web", env=env(A="1", C="3"))),
            deployment(container("web", env=env(A="0", B="2", X="x"))),
            in_template(A_TO_C, order="web"),
            id="lists in lists",
        ),
        pytest.param(
            DEPLOYMENT,
            deployment(container("web", args=["-a", "-b"])),
            deployment(container("web", args=["-b"])),
            deployment(container("web", args=["-a", "-b"])),
            in_template({"args": ["-b"], "name": "web"}, order="web"),
            id="a list without a key is replaced",
        ),
        pytest.param(
            DEPLOYMENT,
            deployment(WEB, strategy=ROLLING),
            deployment(WEB, strategy={"type": "Recreate"}),
            deployment(WEB, strategy=ROLLING),
            RECREATED,
            id="keys to retain",
        ),
        pytest.param(
            DEPLOYMENT,
            deployment(container("a"), container("b")),
            deployment(container("b"), container("a")),
            deployment(container("a"), container("b")),
            in_template(order="b a"),
            id="another order",
        ),
        pytest.param(
            CONFIG_MAP, finalizers("f/a", "f/b"), finalizers("f/b", "f/c"), finalizers("f/a", "f/b", "f/z"),
            {"metadata": {**IN_ORDER, "finalizers": ["f/c"]}},
            id="lists of strings",
        ),
        pytest.param(
            SERVICE, {}, {"spec": {"ports": [{"port": 80}]}}, {"spec": {"ports": [{"port": 80, "targetPort": 8080}, {"port": 81}]}},
            {"spec": {"$setElementOrder/ports": [{"port": 80}]}},
            id="nothing was applied before",
        ),
    ],
)  # fmt: skip
def test_a_patch_has_what_changed_and_leaves_what_is_others(
    kind: GroupVersionKind,
    original: dict[str, Any],
    modified: dict[str, Any],
    current: dict[str, Any],
    patch: dict[str, Any],
) -> None:
    type_ = definitions().type_of(kind)
    assert type_ is not None
    assert strategic_diff.three_way(original, modified, current, type_) == patch


def test_an_object_that_is_patched_so_has_what_is_new_and_what_is_others() -> None:
    type_ = definitions().type_of(DEPLOYMENT)
    assert type_ is not None
    current = deployment(WEB, container("injected"))
    patch = strategic_diff.three_way(deployment(WEB), deployment(container("web", "i:2")), current, type_)
    found = strategic.apply(copy.deepcopy(current), patch, type_)
    assert found == deployment(container("web", "i:2"), container("injected"))


def test_a_field_that_there_is_not_makes_no_patch() -> None:
    type_ = definitions().type_of(CONFIG_MAP)
    assert type_ is not None
    with pytest.raises(StatusError, match='unable to find api field in struct ConfigMap for the json field "dat"'):
        strategic_diff.three_way({}, {"dat": {"a": "1"}}, {"dat": {"a": "2"}}, type_)
