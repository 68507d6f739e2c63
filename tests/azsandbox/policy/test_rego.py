"""Rego as templates are written in it."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.policy.inventory import Inventory
from azsandbox.policy.rego import RegoError, RegoPolicy

LABELS = """package required

violation[{"msg": msg, "details": {"missing": missing}}] {
  provided := {label | input.review.object.metadata.labels[label]}
  required := {label | label := input.parameters.labels[_]}
  missing := required - provided
  count(missing) > 0
  msg := sprintf("labels required: %v", [missing])
}
"""
IMAGES = """package images

import data.lib.exempt.is_exempt

violation[{"msg": msg}] {
  container := containers[_]
  not is_exempt(container)
  not re_match(input.parameters.pattern, container.image)
  msg := sprintf("%v", [container.name])
}

containers[c] { c := input.review.object.spec.containers[_] }
containers[c] { c := input.review.object.spec.initContainers[_] }
"""
EXEMPT = 'package lib.exempt\n\nis_exempt(container) { startswith(container.image, "trusted/") }\n'


def pod(*images: str, **labels: str) -> dict[str, Any]:
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    return {
        "object": {
            "metadata": {"labels": labels},
            "spec": {"containers": containers[:1], "initContainers": containers[1:]},
        }
    }


def test_a_partial_set_of_v0_has_a_violation_with_the_text_that_opa_prints() -> None:
    policy = RegoPolicy("required", LABELS)
    found = policy.violations(pod("a"), {"labels": ["owner"]})
    assert found == [{"msg": 'labels required: {"owner"}', "details": {"missing": ["owner"]}}]
    assert policy.violations(pod("a", owner="me"), {"labels": ["owner"]}) == []


def test_libraries_helpers_and_init_containers_count() -> None:
    policy = RegoPolicy("images", IMAGES, [EXEMPT])
    found = policy.violations(pod("trusted/a", "docker.io/b"), {"pattern": "^registry/.+"})
    assert [answer["msg"] for answer in found] == ["c1"]


def test_the_inventory_is_read_anew_when_it_has_changed() -> None:
    source = 'package known\n\nviolation[{"msg": name}] { data.inventory.namespace[_].v1.Service[name] }\n'
    policy, inventory = RegoPolicy("known", source), Inventory()
    assert policy.violations({}, {}, inventory) == []
    service = {"metadata": {"name": "web", "namespace": "default"}}
    inventory.put(("v1", "Service"), service)
    assert policy.violations({}, {}, inventory) == [{"msg": "web"}]
    inventory.drop(("v1", "Service"), service)
    assert policy.violations({}, {}, inventory) == []


def test_an_expression_that_does_not_parse_matches_nothing() -> None:
    policy = RegoPolicy("images", IMAGES, [EXEMPT])
    found = policy.violations(pod("docker.io/b"), {"pattern": "(["})
    assert [answer["msg"] for answer in found] == ["c0"]


TEMPLATE = "Could not ingest Rego: invalid ConstraintTemplate: "


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("violation[x] { x := 1 }", "1 error occurred: template:1: rego_parse_error: package expected"),
        ("package a\n\ndeny[x] { x := 1 }", "invalid rego: invalid module: missing required rules: [violation]"),
        (
            'package a\n\nviolation[{"msg": m}] { m := data.other.x } # data.this is none',
            "invalid data references: check refs failed on module template: errors (1):\ndisallowed ref data.other.x\n",
        ),
        (
            'package a\n\nimport data.other\n\nviolation[{"msg": m}] { m := other.x }',
            'invalid import: bad import: "data.other"',
        ),
        (
            'package a\n\nimport input.review\n\nviolation[{"msg": m}] { m := review.x }',
            'invalid import: cannot import input: "input.review"',
        ),
    ],
)
def test_rego_that_cannot_be_used_says_why(source: str, text: str) -> None:
    with pytest.raises(RegoError) as refused:
        RegoPolicy("broken", source)
    assert (refused.value.code, str(refused.value)) == ("ingest_error", TEMPLATE + text)


def test_rego_that_does_not_parse_says_where() -> None:
    with pytest.raises(RegoError, match=r"ConstraintTemplate: 1 error occurred: template:\d: rego_parse_error: "):
        RegoPolicy("broken", 'package a\n\nviolation[{"msg": m}] {\n  m := \n}\n')


def test_a_library_stands_below_lib() -> None:
    with pytest.raises(RegoError, match=r"invalid lib prefix: path data\.exempt not found in lib prefixes"):
        RegoPolicy("images", IMAGES, [EXEMPT.replace("package lib.exempt", "package exempt")])
