"""Custom resources: pruning, defaults, validation and CEL rules in the API server's words."""

import copy

import pytest

from azsandbox.kubernetes.apply.typed import ABSENT
from azsandbox.kubernetes.schema import crds, structural
from azsandbox.kubernetes.schema.cel import CelError, compiled
from azsandbox.kubernetes.schema.custom_rules import validate_rules
from azsandbox.kubernetes.schema.custom_values import validate, validate_lists
from azsandbox.kubernetes.schema.definitions import definitions
from azsandbox.kubernetes.schema.embedded import validate_embedded
from azsandbox.kubernetes.schema.structural import PRESERVE
from azsandbox.kubernetes.validation import custom_resource_definitions

STRING, INTEGER = {"type": "string"}, {"type": "integer"}
RULES = "x-kubernetes-validations"


def objects(**properties):
    return {"type": "object", "properties": properties}


def texts(found):
    return [error.text for error in found]


def errors_of(schema, value, old=ABSENT):
    return texts(validate(objects(x=schema), {"x": value}, {"x": old} if old is not ABSENT else ABSENT))


class TestPruning:
    def test_unknown_fields_go_at_every_level_and_are_named(self):
        schema = objects(spec=objects(a=STRING, items={"type": "array", "items": objects(x=INTEGER)}))
        obj = {"kind": "W", "metadata": {}, "extra": 1, "spec": {"a": "1", "b": 2, "items": [{"x": 1, "y": 2}]}}
        assert sorted(structural.prune(schema, obj, whole=True)) == ["extra", "spec.b", "spec.items[0].y"]
        assert obj == {"kind": "W", "metadata": {}, "spec": {"a": "1", "items": [{"x": 1}]}}

    def test_among_many_alike_elements_the_odd_ones_are_still_pruned_and_lose_null(self):
        items = {"type": "array", "items": objects(id=STRING, v=STRING)}
        alike = [{"id": str(number), "v": "v1"} for number in range(3)]
        odd = [{"id": "a", "more": 1}, {"id": {"b": 1}}, {"id": "c", "v": None}, None]
        obj = {"entries": copy.deepcopy([*alike, *odd])}
        assert structural.prune(objects(entries=items), obj) == ["entries[3].more", "entries[4].id.b"]
        structural.apply_defaults(objects(entries=items), obj)
        assert obj["entries"] == [*alike, {"id": "a"}, {"id": {}}, {"id": "c"}, None]

    def test_preserved_parts_stay_but_declared_ones_below_are_pruned(self):
        schema = objects(free={**objects(known=objects(x=INTEGER)), PRESERVE: True})
        obj = {"free": {"any": {"deep": [None]}, "known": {"x": 1, "y": 2}}}
        assert structural.prune(schema, obj, whole=True) == ["free.known.y"]
        assert obj == {"free": {"any": {"deep": [None]}, "known": {"x": 1}}}


class TestDefaults:
    def test_missing_and_null_fields_are_filled_in_and_nullable_ones_keep_null(self):
        schema = objects(
            a={**STRING, "default": "x"},
            b={**STRING, "nullable": True, "default": "y"},
            c=STRING,
            d={**INTEGER, "default": 3},
        )
        obj = {"a": None, "b": None, "c": None}
        structural.apply_defaults(schema, obj)
        assert obj == {"a": "x", "b": None, "d": 3}

    def test_defaults_apply_within_defaults_and_lists(self):
        schema = objects(spec={**objects(mode={**STRING, "default": "fast"}), "default": {}})
        obj = {}
        structural.apply_defaults(schema, obj)
        assert obj == {"spec": {"mode": "fast"}}


class TestValues:
    @pytest.mark.parametrize(
        ("schema", "value", "text"),
        [
            (INTEGER, "big", 'x: Invalid value: "string": x in body must be of type integer: "string"'),
            ({**INTEGER, "minimum": 1}, 0, "x: Invalid value: 0: x in body should be greater than or equal to 1"),
            ({**INTEGER, "maximum": 1, "exclusiveMaximum": True}, 1, "x: Invalid value: 1: x in body should be less than 1"),
            ({**INTEGER, "multipleOf": 5}, 7, "x: Invalid value: 7: x in body should be a multiple of 5"),
            ({**STRING, "enum": ["a", "b"]}, "c", 'x: Unsupported value: "c": supported values: "a", "b"'),
            ({**STRING, "maxLength": 3}, "long", "x: Too long: may not be more than 3 bytes"),
            ({**STRING, "minLength": 2}, "y", 'x: Invalid value: "y": x in body should be at least 2 chars long'),
            ({**STRING, "pattern": "^[0-9]+%$"}, "abc", "x: Invalid value: \"abc\": x in body should match '^[0-9]+%$'"),
            ({**STRING, "format": "date"}, "no", 'x: Invalid value: "no": x in body must be of type date: "no"'),
            ({"type": "array", "items": STRING, "minItems": 1}, [], "x: Invalid value: 0: x in body should have at least 1 items"),
            ({"type": "array", "items": STRING, "maxItems": 1}, ["a", "b"], "x: Too many: 2: must have at most 1 item"),
            ({"x-kubernetes-int-or-string": True}, 1.5, 'x: Invalid value: "number": x in body must be of type integer,string: "number"'),
            ({**objects(), "required": ["y"]}, {}, "x.y: Required value"),
        ],
    )  # fmt: skip
    def test_a_value_that_does_not_fit_says_why(self, schema, value, text):
        assert errors_of(schema, value) == [text]

    def test_logical_keywords_name_no_field(self):
        schema = {**objects(a=STRING, b=STRING), "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
        none = '<nil>: Invalid value: "": "x" must validate one and only one schema (oneOf). Found none valid'
        two = '<nil>: Invalid value: "": "x" must validate one and only one schema (oneOf). Found 2 valid alternatives'
        assert errors_of(schema, {}) == [none, "x.a: Required value"]
        assert errors_of(schema, {"a": "1", "b": "2"}) == [two]

    def test_what_an_update_leaves_alone_is_not_judged_again(self):
        schema = {**STRING, "maxLength": 3}
        assert errors_of(schema, "long", old="long") == []
        assert errors_of(schema, "other", old="long") != []

    def test_elements_may_not_repeat_their_keys(self):
        rows = {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": objects(name=STRING),
        }
        found = validate_lists(objects(rows=rows), {"rows": [{"name": "a"}, {"name": "a"}]})
        assert texts(found) == ['rows[1]: Duplicate value: {"name":"a"}']

    def test_embedded_resources_need_their_kind(self):
        schema = objects(tmpl={"type": "object", "x-kubernetes-embedded-resource": True, PRESERVE: True})
        found = validate_embedded(schema, {"tmpl": {"data": {}}})
        assert texts(found) == ["tmpl.apiVersion: Required value", "tmpl.kind: Required value"]


def rule(text, **more):
    return [{"rule": text, **more}]


RANGE = {**objects(min=INTEGER, max=INTEGER), RULES: rule("self.min <= self.max", message="min must not exceed max")}


class TestRules:
    def test_a_false_rule_gives_its_message_or_its_text(self):
        found = validate_rules(objects(spec=RANGE), {"spec": {"min": 5, "max": 1}})
        assert texts(found) == ["spec: Invalid value: min must not exceed max"]
        schema = objects(name={**STRING, RULES: rule("self.startsWith('a')")})
        found = validate_rules(schema, {"name": "b"})
        assert texts(found) == ["name: Invalid value: \"b\": failed rule: self.startsWith('a')"]

    def test_a_rule_that_fails_says_so(self):
        schema = objects(spec={**objects(a=INTEGER, b=INTEGER), RULES: rule("self.a / self.b > 0")})
        end = "evaluating rule: self.a / self.b > 0"
        found = validate_rules(schema, {"spec": {"a": 1, "b": 0}})
        assert texts(found) == [f'spec: Invalid value: "object": division by zero {end}']
        found = validate_rules(schema, {"spec": {"a": 1}})
        assert texts(found) == [f'spec: Invalid value: "object": no such key: b {end}']

    def test_transition_rules_need_a_value_before(self):
        schema = objects(id={**STRING, RULES: rule("self == oldSelf", message="id is immutable")})
        assert validate_rules(schema, {"id": "a"}) == []
        found = validate_rules(schema, {"id": "b"}, {"id": "a"})
        assert texts(found) == ['id: Invalid value: "b": id is immutable']

    def test_an_optional_old_self_runs_on_create_too(self):
        text = "oldSelf.hasValue() || self == 'New'"
        schema = objects(phase={**STRING, RULES: rule(text, optionalOldSelf=True, message="starts as New")})
        assert texts(validate_rules(schema, {"phase": "Old"})) == ['phase: Invalid value: "Old": starts as New']
        assert validate_rules(schema, {"phase": "Old"}, {"phase": "New"}) == []

    def test_message_expression_reason_and_field_path_shape_the_error(self):
        more = {
            "messageExpression": "'too many: ' + string(self.n)",
            "reason": "FieldValueForbidden",
            "fieldPath": ".n",
        }
        schema = objects(spec={**objects(n=INTEGER), RULES: rule("self.n < 5", **more)})
        assert texts(validate_rules(schema, {"spec": {"n": 7}})) == ["spec.n: Forbidden: too many: 7"]

    @pytest.mark.parametrize(
        "text",
        [
            "quantity('1Gi').isGreaterThan(quantity('1000Mi'))",
            "'abb'.find('b+') == 'bb' && 'a1b2'.findAll('[0-9]') == ['1', '2']",
            "[1, 2].isSorted() && [1, 2].sum() == 3",
            "isIP('10.0.0.1') && cidr('10.0.0.0/8').containsIP('10.1.2.3')",
            "url('https://x.example:8443/a').getPort() == '8443'",
            "['a', 'b'].join('-') == 'a-b'",
        ],
    )
    def test_kubernetes_libraries_are_there(self, text):
        assert compiled(text, ("self",)).run({"self": None}) is True

    def test_a_bad_expression_does_not_compile(self):
        with pytest.raises(CelError, match="undeclared reference"):
            compiled("nothing == 1", ("self",))


def definition(schema=None, **spec):
    version = {"name": "v1", "served": True, "storage": True}
    version["schema"] = {"openAPIV3Schema": schema or objects(spec=objects())}
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
    base = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    base["conversion"] = {"strategy": "None"}
    return {"metadata": {"name": "widgets.example.com"}, "spec": {**base, **spec}, "status": {"storedVersions": ["v1"]}}


class TestDefinitions:
    def test_a_plain_definition_is_right(self):
        assert custom_resource_definitions.create(definition()) == []

    @pytest.mark.parametrize(
        ("schema", "text"),
        [
            ({"type": "string"}, 'spec.validation.openAPIV3Schema.type: Invalid value: "string": must be object at the root'),
            (objects(a={"type": "text"}), 'spec.validation.openAPIV3Schema.properties[a].type: Unsupported value: "text": supported values: "array", "boolean", "integer", "number", "object", "string"'),
            (objects(a={"$ref": "x"}), "spec.validation.openAPIV3Schema.properties[a].$ref: Forbidden: $ref is not supported"),
            (objects(a={**INTEGER, "default": "ten"}), 'spec.validation.openAPIV3Schema.properties[a].default: Invalid value: "string":  in body must be of type integer: "string"'),
            (objects(metadata=objects(labels={"type": "object"})), "spec.validation.openAPIV3Schema.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified"),
            (objects(a={"type": "array", "items": STRING, "x-kubernetes-list-type": "bag"}), 'spec.validation.openAPIV3Schema.properties[a].x-kubernetes-list-type: Unsupported value: "bag": supported values: "atomic", "set", "map"'),
        ],
    )  # fmt: skip
    def test_a_schema_that_is_not_structural_is_refused(self, schema, text):
        assert texts(custom_resource_definitions.create(definition(schema))) == [text]

    def test_names_are_accepted_and_the_definition_is_established(self):
        judged = crds.with_status(definition(), [], "2026-01-01T00:00:00Z")
        assert [(c["type"], c["status"]) for c in judged["status"]["conditions"]] == [
            ("NamesAccepted", "True"),
            ("Established", "True"),
        ]
        (resource,) = crds.resources_of(judged)
        assert (resource.name, resource.kind, resource.list_kind, resource.custom) == (
            "widgets",
            "Widget",
            "WidgetList",
            True,
        )

    def test_a_name_that_another_definition_of_the_group_has_is_not_accepted(self):
        first = crds.with_status(definition(), [], "2026-01-01T00:00:00Z")
        second = copy.deepcopy(definition())
        second["metadata"]["name"] = "gadgets.example.com"
        second["spec"]["names"]["plural"] = "gadgets"
        judged = crds.with_status(second, [first], "2026-01-01T00:00:00Z")
        accepted = judged["status"]["conditions"][0]
        assert (accepted["status"], accepted["reason"]) == ("False", "ListKindConflict")
        assert not crds.is_established(judged)

    @pytest.mark.parametrize(
        ("names", "ordered"), [(["v1beta1", "v2", "v1", "v1alpha1", "foo"], ["v2", "v1", "v1beta1", "v1alpha1", "foo"])]
    )
    def test_versions_are_preferred_by_stability(self, names, ordered):
        assert sorted(names, key=crds.version_order) == ordered

    def test_list_types_of_the_schema_rule_ownership(self):
        schema = objects(spec=objects(rows={"type": "array", "items": STRING, "x-kubernetes-list-type": "set"}))
        type_ = structural.type_from(schema, definitions())
        assert type_.properties["spec"].properties["rows"].list_type == "set"
        assert type_.properties["metadata"].name.endswith("ObjectMeta")


def test_no_pattern_of_a_definition_stalls_on_a_value():
    assert "should match '^(a+)+$'" in errors_of({"type": "string", "pattern": "^(a+)+$"}, "a" * 60 + "!")[0]
