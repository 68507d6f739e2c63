"""A query, from its text to its result."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from azsandbox.loganalytics.kql import budget
from azsandbox.loganalytics.kql.compiler import Compiled, Scope, compile_
from azsandbox.loganalytics.kql.errors import (
    NotSupported,
    PartialError,
    SemanticError,
    record_limit,
    unresolved_alone,
    unresolved_table,
)
from azsandbox.loganalytics.kql.joins import join, union
from azsandbox.loganalytics.kql.operators import OPERATORS, SOURCES
from azsandbox.loganalytics.kql.parser import parse
from azsandbox.loganalytics.kql.summarize import summarize
from azsandbox.loganalytics.kql.syntax import Operator, Query
from azsandbox.loganalytics.kql.table import Source, Table


@dataclass
class Result:
    """The tables of a query, how the last of them is to be drawn, and what of them is not whole."""

    tables: list[Table]
    visualization: dict[str, Any] = field(default_factory=dict)
    errors: list[PartialError] = field(default_factory=list)


def run(text: str, source: Source, now: dt.datetime, seconds: float = 600.0) -> Result:
    """What a query answers, if it takes no more than `seconds`. Raises KqlError."""
    with budget.limited(seconds):
        try:
            return _run(text, source, now)
        except RecursionError:
            raise SemanticError("SEM0001", "The query is nested too deeply") from None


def _run(text: str, source: Source, now: dt.datetime) -> Result:
    script = parse(text)
    engine = _Engine(source, now)
    for let in script.lets:
        engine.let(let.name, let.value)
    tables = [engine.statement(query) for query in script.queries]
    named = [t for t in tables if t.name != "getschema"]
    for number, table in enumerate(named):
        table.name = "PrimaryResult" if number == 0 else f"PrimaryResult_{number}"
    most = script.options.get("truncationmaxrecords")
    errors = []
    if most is not None and any(len(table.rows) > most for table in tables):
        tables = [table.cut(most) for table in tables]
        errors.append(record_limit(most))
    return Result(tables, engine.visualization, errors)


class _Engine:
    def __init__(self, source: Source, now: dt.datetime) -> None:
        self.source, self.now = source, now
        self.lets: dict[str, Compiled | Table] = {}
        self.visualization: dict[str, Any] = {}

    def scope(self, table: Table | None = None) -> Scope:
        return Scope(table.columns if table else (), self.lets, self.now, self.query)

    def let(self, name: str, value: Any) -> None:
        """Notes what a name means; a name for another name means what that one does."""
        if isinstance(value, Query):
            if isinstance(value.source, str) and not value.operators and value.source in self.lets:
                self.lets[name] = self.lets[value.source]
            else:
                self.lets[name] = self.query(value)
        else:
            self.lets[name] = compile_(value, self.scope())

    def statement(self, query: Query) -> Table:
        """The table of a query that stands by itself; a name alone could as well be a scalar's."""
        try:
            return self.query(query)
        except SemanticError:
            if isinstance(query.source, str) and not query.operators:
                raise unresolved_alone(query.source) from None
            raise

    def query(self, query: Query) -> Table:
        first = query.operators[0].name if query.operators else ""
        table = self._source(query.source, first)
        for operator in query.operators:
            budget.check(0)
            try:
                table = self._apply(operator, table)
            except SemanticError as error:
                raise error.within(operator.name) from None
        return table

    def _source(self, source: str | Operator | Query, first: str) -> Table:
        """The table that a query begins with; `first` is the operator that reads it, which refusals name."""
        if isinstance(source, Query):
            found = self.query(source)
            return Table(found.columns, found.rows)
        if isinstance(source, Operator):
            try:
                if source.name == "union":
                    return self._union(source, [])
                return SOURCES[source.name](source, self.scope())
            except SemanticError as error:
                raise error.within(source.name) from None
        known = self.lets.get(source)
        if isinstance(known, Table):
            return Table(known.columns, known.rows)
        table = self.source.find(source) if known is None else None
        if table is None:
            missing = unresolved_table(source)
            raise missing.within(first) if first else missing
        return table

    def _apply(self, operator: Operator, table: Table) -> Table:
        if operator.name == "summarize":
            return summarize(operator, table, self.scope(table))
        if operator.name in ("join", "lookup"):
            return join(operator, table, self.query(operator.queries[0]))
        if operator.name == "union":
            return self._union(operator, [("union_arg0", table)])
        if operator.name == "render":
            self.visualization = {"visualization": operator.options["visualization"], **operator.options["properties"]}
        found = OPERATORS.get(operator.name)
        if found is None:
            raise NotSupported(f"the operator '{operator.name}'")
        result = found(operator, table, self.scope(table))
        if operator.name == "as":
            self.lets[operator.options["name"]] = result
        return result

    def _union(self, operator: Operator, before: list[tuple[str, Table]]) -> Table:
        tables = list(before)
        for query in operator.queries:
            name = query.source if isinstance(query.source, str) else f"union_arg{len(tables)}"
            try:
                tables.append((name, self.query(query)))
            except SemanticError as error:
                if operator.options.get("isfuzzy") != "true" or query.operators or error.code != "SEM0100":
                    raise
        return union(operator, tables)
