"""Rego as templates are written in it."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.policy.engine import RegoEngine, RegoError
from azsandbox.policy.inventory import Inventory
from azsandbox.policy.rego import RegoPolicy

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


def violations(policy: RegoPolicy, review: Any, parameters: Any, known: Inventory | None = None) -> Any:
    """What a policy answers by itself."""
    engine = RegoEngine()
    engine.put("Kind", policy)
    found = [answers for _, _, answers in engine.judge(review, {"Kind": {"one": parameters}}, known)]
    return found[0] if found else []


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
    found = violations(policy, pod("a"), {"labels": ["owner"]})
    assert found == [{"msg": 'labels required: {"owner"}', "details": {"missing": ["owner"]}}]
    assert violations(policy, pod("a", owner="me"), {"labels": ["owner"]}) == []


def test_libraries_helpers_and_init_containers_count() -> None:
    policy = RegoPolicy("images", IMAGES, [EXEMPT])
    found = violations(policy, pod("trusted/a", "docker.io/b"), {"pattern": "^registry/.+"})
    assert [answer["msg"] for answer in found] == ["c1"]


def test_many_policies_stand_in_one_engine_and_each_constraint_has_its_parameters() -> None:
    engine = RegoEngine()
    engine.put("Required", RegoPolicy("required", LABELS))
    engine.put("Images", RegoPolicy("images", IMAGES, [EXEMPT]))
    other = EXEMPT.replace("trusted/", "known/")
    engine.put("Others", RegoPolicy("others", IMAGES, [other]))
    parameters = {
        "Required": {"owner": {"labels": ["owner"]}, "team": {"labels": ["team"]}},
        "Images": {"own": {"pattern": "^registry/"}},
        "Others": {"own": {"pattern": "^registry/"}},
    }

    def said() -> list[tuple[str, str, str]]:
        found = engine.judge(pod("known/a", "trusted/b", owner="me"), parameters)
        return sorted((kind, name, answer["msg"]) for kind, name, answers in found for answer in answers)

    expected = [("Images", "own", "c0"), ("Others", "own", "c1"), ("Required", "team", 'labels required: {"team"}')]
    assert said() == expected
    for _ in range(60):  # so many that the engine is made anew
        engine.put("Others", RegoPolicy("others", IMAGES, [other]))
    assert said() == expected


def test_rego_of_version_1_is_understood() -> None:
    source = 'package a\n\nviolation contains {"msg": m} if {\n  m := input.parameters.text\n}\n'
    assert violations(RegoPolicy("a", source, v1=True), {}, {"text": "no"}) == [{"msg": "no"}]


def test_a_fault_of_one_policy_is_told_and_spares_the_others() -> None:
    engine = RegoEngine()
    engine.put("Bad", RegoPolicy("bad", 'package a\n\nviolation[{"msg": m}] { m := f(1) }\nf(x) = 1\nf(x) = 2\n'))
    engine.put("Good", RegoPolicy("good", 'package a\n\nviolation[{"msg": "no"}] { true }\n'))
    found = {kind: answers for kind, _, answers in engine.judge({}, {"Bad": {"a": {}}, "Good": {"a": {}}})}
    assert isinstance(found["Bad"], RegoError)
    assert found["Good"] == [{"msg": "no"}]


def test_the_inventory_is_read_anew_when_it_has_changed() -> None:
    source = 'package known\n\nviolation[{"msg": name}] { data.inventory.namespace[_].v1.Service[name] }\n'
    engine, inventory = RegoEngine(), Inventory()
    engine.put("Known", RegoPolicy("known", source))

    def known() -> list[Any]:
        return [answers for _, _, answers in engine.judge({}, {"Known": {"a": {}}}, inventory)]

    assert known() == []
    service = {"metadata": {"name": "web", "namespace": "default"}}
    inventory.put(("v1", "Service"), service)
    assert known() == [[{"msg": "web"}]]
    inventory.drop(("v1", "Service"), service)
    assert known() == []


def test_an_expression_that_does_not_parse_matches_nothing() -> None:
    policy = RegoPolicy("images", IMAGES, [EXEMPT])
    found = violations(policy, pod("docker.io/b"), {"pattern": "(["})
    assert [answer["msg"] for answer in found] == ["c0"]


TEMPLATE = "Could not ingest Rego: invalid ConstraintTemplate: "


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("violation[x] { x := 1 }", "1 error occurred: template:1: rego_parse_error: package expected"),
        ("package a\n\ndeny[x] { x := 1 }", "invalid rego: invalid module: missing required rules: [violation]"),
        (
            'package a\n\nviolation[{"msg": m}] { m := data.other.x } # data.this is none',
            "invalid data references: check refs failed on module {template}: errors (1):\ndisallowed ref data.other.x\n",
        ),
        (
            'package a\n\nimport data.other\n\nviolation[{"msg": m}] { m := other.x }',
            'invalid import: bad import: "data.other"',
        ),
        (
            'package a\n\nimport input.review\n\nviolation[{"msg": m}] { m := review.x }',
            'invalid import: cannot import input: "input.review"',
        ),
        (
            'package a\n\nimport rego.v1\n\nviolation contains {"msg": "no"} if { true }',
            'invalid import: bad import: "rego.v1"',
        ),
        (
            'package a\n\nviolation[{"msg": m}] { m := data.secrets[_]; data.inventory[_] }',
            "invalid data references: check refs failed on module {template}: errors (1):\ndisallowed ref data.secrets[_]\n",
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


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("x == 1", "template:4: rego_unsafe_var_error: var x is unsafe"),
        ("nothing(1)", "template:4: rego_type_error: undefined function nothing"),
        ('http.send({"url": "x"})', "template:4: rego_type_error: undefined function http.send"),
        ('msg := "a"', "template:5: rego_compile_error: var msg assigned above"),
        (
            'violation[{"msg": "no"}]',
            "template:3: rego_recursion_error: rule data.template.violation is recursive: "
            "data.template.violation -> data.template.violation",
        ),
    ],
)
def test_rego_that_parses_and_means_nothing_is_refused(body: str, text: str) -> None:
    with pytest.raises(RegoError) as refused:
        RegoPolicy("odd", f'package odd\n\nviolation[{{"msg": msg}}] {{\n  {body}\n  msg := "no"\n}}\n')
    assert refused.value.code == "ingest_error"
    assert str(refused.value) == f"Could not ingest Rego: unable to compile modules: 1 error occurred: {text}"


def test_hashes_are_known() -> None:
    rego = 'package hashes\n\nviolation[{"msg": msg}] { msg := concat(" ", [crypto.md5("a"), crypto.sha256("a")]) }\n'
    (found,) = violations(RegoPolicy("hashes", rego), pod("a"), {})
    assert found["msg"].startswith("0cc175b9c0f1b6a831c399e269772661 ca978112ca1bbdcafac231b39a23dc4d")


_VIOLATION = 'violation[{"msg": x}] { x := f(1) }\n'


@pytest.mark.parametrize(
    "text",
    [
        "f(x) = y { y := f(x) }\n",
        "  f(x) = y { y := f(x) }\n",
        "f(x) = y {\ny := g(x)\n}\ng(x) = y { y := f(x) }\n",
        "f(x) = y { y := g(x) } g(x) = y { y := f(x) }\n",
        "f(x) = f(x)\n",
        "f(x) = \nf(x)\n",
        'f(x) = y { y := data.lib["a"].f(x) }\n',
        "".join(f"f{n}(x) = y {{ y := f{n + 1}(x) }}\n" for n in range(500)) + "f(x) = y { y := f0(x) }\nf500(x) = 1\n",
        f"f(x) = y {{ y := {'[' * 5000}{']' * 5000} }}\n",
    ],
)
@pytest.mark.parametrize("after", [True, False])
def test_what_would_run_out_of_the_stack_is_refused(text: str, after: bool) -> None:
    source = f"package a\n{_VIOLATION}{text}" if after else f"package a\n{text}{_VIOLATION}"
    library = "package lib.a\nf(x) = y { y := g(x) }\ng(x) = y { y := f(x) }\n"
    with pytest.raises(RegoError, match=r"is recursive|more than the sandbox follows"):
        RegoPolicy("a", source, [library] if "lib" in text else [])


def test_recursion_is_named_as_opa_names_it() -> None:
    with pytest.raises(RegoError) as refused:
        RegoPolicy("a", f"package a\n{_VIOLATION}f(x) = y {{ y := g(x) }}\ng(x) = y {{ y := f(x) }}\n")
    said = (
        "rego_recursion_error: rule data.template.f is recursive: data.template.f -> data.template.g -> data.template.f"
    )
    assert said in str(refused.value)


def test_rules_of_the_same_name_in_a_library_are_no_recursion() -> None:
    source = "package a\nimport data.lib.b\n" + _VIOLATION + "f(x) = y { y := b.f(x) }\n"
    RegoPolicy("a", source, ["package lib.b\nf(x) = y { x > 1; y := 1 } else = z { z := 2 }\n"])
