"""tostring, tolong, todatetime …: each gives null where a value is none of its type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from azsandbox.loganalytics.kql import values
from azsandbox.loganalytics.kql.functions.model import ANY, Function, Kinds, function


def _to(kind: str) -> Function:
    def compute(kinds: Kinds) -> Callable[..., Any]:
        source = kinds[0]
        return lambda value: values.convert(value, source, kind)

    return function(ANY, kind, compute, by_type=True, strict=False)


FUNCTIONS = {
    **{f"to{kind}": _to(kind) for kind in ("string", "int", "long", "real", "bool", "datetime", "timespan", "guid")},
    "todecimal": _to("decimal"),
    "todynamic": function(ANY, "dynamic", values.parsed_json, strict=False),
    "gettype": function(
        ANY, "string", lambda kinds: lambda value: _type_of(value, kinds[0]), by_type=True, strict=False
    ),
}


def _type_of(value: Any, kind: str) -> str:
    if kind != "dynamic":
        return kind
    if value is None:
        return "null"
    names = {dict: "dictionary", list: "array", str: "string", bool: "bool", int: "long", float: "double"}
    return names.get(type(value), "string")
