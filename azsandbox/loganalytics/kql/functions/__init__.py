"""Scalar functions, a module a field. A function says the types it takes and gives, and computes a value."""

from __future__ import annotations

import functools
from typing import Any

from azsandbox.loganalytics.kql.compiler import Compiled, Scope, as_type, compile_
from azsandbox.loganalytics.kql.errors import NotSupported, SemanticError
from azsandbox.loganalytics.kql.functions.model import ANY, Function
from azsandbox.loganalytics.kql.syntax import Call, Literal, Name

_ALIASES = {
    "iif": "iff",
    "todouble": "toreal",
    "parse_json": "todynamic",
    "parsejson": "todynamic",
    "toobject": "todynamic",
    "floor": "bin",
    "notempty": "isnotempty",
    "notnull": "isnotnull",
    "pack": "bag_pack",
    "tohours": "tohours",
    "replace": "replace_regex",
    "tobool": "tobool",
    "toboolean": "tobool",
    "hourofday": "hourofday",
    "columnifexists": "column_ifexists",
    "array_strcat": "strcat_array",
}


@functools.cache
def known() -> dict[str, Function]:
    """All functions by name."""
    from azsandbox.loganalytics.kql.functions import conversions, dynamics, logic, mathematics, texts, times

    found: dict[str, Function] = {}
    for module in (conversions, dynamics, logic, mathematics, texts, times):
        found |= module.FUNCTIONS
    return found


# What Kusto has besides, as far as queries on logs use it: refused by name and not as unknown.
_OTHERS_WORDS = """
    bin_at bin_auto row_number prev next row_cumsum row_rank_dense row_rank_min row_window_session series_decompose
    series_stats series_fit_line series_outliers geo_distance_2points geo_info_from_ip_address ipv4_is_match
    ipv4_is_private ipv4_compare ipv4_lookup parse_ipv4 ipv4_is_in_range ipv6_compare ipv6_is_match parse_ipv6 parse_url
    parse_urlquery parse_path parse_user_agent parse_version parse_xml parse_csv extractjson extract_json zip
    hash hash_md5 hash_sha1 hash_sha256 hash_xxhash64 new_guid rand cursor_after ingestion_time current_cluster_endpoint
    current_database current_principal database cluster table external_table materialized_view workspace app resource
    treepath bag_merge bag_remove_keys bag_set_key array_rotate_left array_sort_asc array_sort_desc array_split
    array_shift_left welch_test estimate_data_size has_any_index format_bytes make_string to_utf8 unicode_codepoints_from_string
    base64_encode_tostring base64_decode_tostring base64_encode_fromguid gzip_compress_to_base64_string punycode_from_string
"""
_OTHERS = frozenset(_OTHERS_WORDS.split())


def call(expression: Call, scope: Scope) -> Compiled:
    """A call compiled. Raises SemanticError for an unknown function, a wrong number or type of arguments."""
    name = _ALIASES.get(expression.name, expression.name)
    special = _SPECIAL.get(name)
    if special is not None:
        return special(expression, scope)
    function = known().get(name)
    if function is None:
        from azsandbox.loganalytics.kql.aggregates import NAMES

        if expression.name in NAMES:
            raise SemanticError("SEM0260", f"Aggregate function '{expression.name}' is not allowed in this context")
        if expression.name in _OTHERS:
            raise NotSupported(f"the function '{expression.name}'")
        raise SemanticError("SEM0260", f"Unknown function: '{expression.name}'.")
    given = [compile_(argument, scope) for argument in expression.arguments]
    if not function.least <= len(given) <= function.most:
        expected = str(function.least) if function.least == function.most else f"at least {function.least}"
        raise SemanticError("SEM0219", f"{expression.name}(): function expects {expected} argument(s).")
    kinds = [found.type for found in given]
    wanted = function.wanted(kinds)
    arguments = [
        found.value if want == ANY else as_type(found, want) for found, want in zip(given, wanted, strict=True)
    ]
    result = function.result(kinds) if callable(function.result) else function.result
    compute = function.compute(kinds) if function.by_type else function.compute
    strict, lenient = function.strict, function.lenient

    def value(row: Any) -> Any:
        found = [argument(row) for argument in arguments]
        if strict and any(one is None for one in found):
            return "" if result == "string" else None
        if not lenient:
            return compute(*found)
        try:
            return compute(*found)
        except (ValueError, TypeError, OverflowError, ArithmeticError, KeyError, IndexError):
            return None

    fixed = all(found.constant for found in given) and not function.volatile
    if fixed:
        once = value(())
        return Compiled(result, lambda row: once, True)
    return Compiled(result, value)


def _now(expression: Call, scope: Scope) -> Compiled:
    moment = scope.now
    if not expression.arguments:
        return Compiled("datetime", lambda row: moment, True)
    offset = compile_(expression.arguments[0], scope)
    span = as_type(offset, "timespan")
    return Compiled("datetime", lambda row: None if (s := span(row)) is None else moment + s, offset.constant)


def _ago(expression: Call, scope: Scope) -> Compiled:
    if len(expression.arguments) != 1:
        raise SemanticError("SEM0219", "ago(): function expects 1 argument(s).")
    moment, offset = scope.now, compile_(expression.arguments[0], scope)
    if offset.type not in ("timespan", "dynamic"):
        raise SemanticError("SEM0024", f"ago(): argument #1 expected to be a timespan expression, found {offset.type}")
    span = as_type(offset, "timespan")
    return Compiled("datetime", lambda row: None if (s := span(row)) is None else moment - s, offset.constant)


def _column_ifexists(expression: Call, scope: Scope) -> Compiled:
    if len(expression.arguments) != 2 or not isinstance(expression.arguments[0], Literal):
        raise SemanticError("SEM0219", "column_ifexists(): function expects a string literal and a default.")
    name = str(expression.arguments[0].value)
    there = any(column.name == name for column in scope.columns)
    return compile_(Name(name) if there else expression.arguments[1], scope)


_SPECIAL = {"now": _now, "ago": _ago, "column_ifexists": _column_ifexists}
