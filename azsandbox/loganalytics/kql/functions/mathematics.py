"""Functions of numbers, and bin(), which takes times too."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

from azsandbox.loganalytics.kql import values
from azsandbox.loganalytics.kql.errors import SemanticError
from azsandbox.loganalytics.kql.functions.model import ANY, Kinds, function

_EPOCH = dt.datetime(1, 1, 1, tzinfo=dt.UTC)


def _bin_type(kinds: Kinds) -> str:
    value, size = kinds
    if value in ("datetime", "timespan"):
        if size not in ("timespan", "long", "int", "real"):
            raise SemanticError("SEM0025", f"bin(): cannot round a value of type {value} to a multiple of type {size}")
        return value
    if value in values.NUMBERS and size in values.NUMBERS:
        return "real" if "real" in kinds else value
    raise SemanticError("SEM0025", f"bin(): cannot round a value of type {value} to a multiple of type {size}")


def _bin(kinds: Kinds) -> Callable[..., Any]:
    def span_of(size: Any) -> dt.timedelta:
        return size if isinstance(size, dt.timedelta) else dt.timedelta(days=float(size))

    def moment(value: dt.datetime, size: Any) -> dt.datetime:
        return _EPOCH + ((value - _EPOCH) // span_of(size)) * span_of(size)

    def span(value: dt.timedelta, size: Any) -> dt.timedelta:
        return (value // span_of(size)) * span_of(size)

    def number(value: Any, size: Any) -> Any:
        return math.floor(value / size) * size

    by_type: dict[str, Callable[..., Any]] = {"datetime": moment, "timespan": span}
    return by_type.get(kinds[0], number)


def _same(kinds: Kinds) -> str:
    return kinds[0] if kinds[0] in (*values.NUMBERS, "timespan") else "real"


def _round(value: float, digits: int = 0) -> float:
    scaled = value * 10**digits  # half away from zero, as .NET's MidpointRounding is there
    return math.copysign(math.floor(abs(scaled) + 0.5), scaled) / 10**digits


FUNCTIONS = {
    "bin": function(f"{ANY} {ANY}", _bin_type, _bin, by_type=True),
    "abs": function(ANY, _same, abs),
    "ceiling": function("real", "long", math.ceil),
    "round": function("real long", "real", _round, optional=1),
    "sqrt": function("real", "real", lambda value: math.sqrt(value) if value >= 0 else math.nan),
    "pow": function("real real", "real", lambda base, power: base**power),
    "exp": function("real", "real", math.exp),
    "log": function("real", "real", math.log),
    "log2": function("real", "real", math.log2),
    "log10": function("real", "real", math.log10),
    "sign": function("real", "long", lambda value: (value > 0) - (value < 0)),
    "isnan": function("real", "bool", math.isnan),
    "isinf": function("real", "bool", math.isinf),
    "isfinite": function("real", "bool", math.isfinite),
}
