"""JSON values by an OpenAPI schema, many of them a little wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]

NAMES = ("a", "b", "web")  # few, so that requests meet the same objects
_WORDS = (
    "",
    "a",
    "web",
    "Bad Name!",
    "x" * 300,
    "-",
    "a/b",
    "../a",
    "1",
    "1.5",
    "100m",
    "1Gi",
    "1e999",
    "50%",
    "true",
    "*",
    "10.0.0.1",
    "10.0.0.0/8",
    "::1",
    "http",
    "TCP",
    "Always",
    "2026-01-02T03:04:05Z",
    "2026-01-02T03:04:05.000006Z",
    "0 * * * *",
    "YQ==",
    "é\u2028\u0000",
    "$(X)",
    "self.a == 1",
    "kubernetes.io/x",
)
_NUMBERS = (0, 1, -1, 2, 80, 443, 65536, 2**31 - 1, 2**31, -(2**31) - 1, 2**63 - 1, 2**63, 2**70, 1.5, -0.0, 1e300)
_ANY: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, -1, 1.5, "", "a", [], [None], [[]], {}, {"a": None}, {"": {}}, "\u0000"]
)
_DEPTH = 7
_WRONG = 12  # one value in so many is of any type at all


def value(draw: Draw, schema: Schema, resolve: Callable[[str], Schema], depth: int = 0) -> Any:
    """A value that more or less has a schema. `resolve` gives the schema that a $ref means."""
    while "$ref" in schema or "allOf" in schema:
        schema = resolve(schema["$ref"]) if "$ref" in schema else schema["allOf"][0]
    if draw(st.integers(0, _WRONG)) == 0:
        return draw(_ANY)
    kind = schema.get("type")
    if "oneOf" in schema:  # IntOrString, Quantity
        return draw(st.one_of(st.sampled_from(_WORDS), st.sampled_from(_NUMBERS)))
    if schema.get("enum"):
        return draw(st.sampled_from([*schema["enum"], *schema["enum"], "Other"]))
    if kind == "object":
        return _object(draw, schema, resolve, depth)
    if kind == "array":
        size = 0 if depth > _DEPTH else draw(st.integers(0, 2))
        return [value(draw, schema.get("items") or {}, resolve, depth + 1) for _ in range(size)]
    if kind == "boolean":
        return draw(st.booleans())
    if kind in ("integer", "number"):
        return draw(st.sampled_from(_NUMBERS))
    if kind == "string":
        return draw(st.one_of(st.sampled_from(_WORDS), st.sampled_from(_WORDS), st.text(max_size=8)))
    return draw(_ANY)


def _object(draw: Draw, schema: Schema, resolve: Callable[[str], Schema], depth: int) -> Any:
    properties: Schema = schema.get("properties") or {}
    found: dict[str, Any] = {}
    for name in schema.get("required") or ():
        if name in properties and depth <= _DEPTH and draw(st.integers(0, 8)):
            found[name] = value(draw, properties[name], resolve, depth + 1)
    if properties and depth <= _DEPTH:
        for name in draw(st.lists(st.sampled_from(sorted(properties)), max_size=3, unique=True)):
            found[name] = value(draw, properties[name], resolve, depth + 1)
    of = schema.get("additionalProperties")
    if isinstance(of, dict) and depth <= _DEPTH:
        for key in draw(st.lists(st.sampled_from(_WORDS), max_size=2, unique=True)):
            found[key] = value(draw, of, resolve, depth + 1)
    if draw(st.integers(0, 15)) == 0:
        found[draw(st.sampled_from(_WORDS))] = draw(_ANY)
    return found
