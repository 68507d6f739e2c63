"""The Kusto Query Language, as much of it as docs/sandbox.md says; the rest is refused by name.

    lexer, parser, expressions   text → syntax
    compiler                     scalar expressions over the columns of a table
    operators, joins, summarize  what stands between the pipes
    functions, aggregates        what can be called
    values                       types, conversions, comparison, and how results are written
    engine                       a query, from its text to its result

Semantics: learn.microsoft.com/kusto/query, an article an operator or function. Errors: `errors`.
"""

from azsandbox.loganalytics.kql.engine import Result, run
from azsandbox.loganalytics.kql.errors import (
    KqlError,
    NotSupported,
    PartialError,
    QuerySyntaxError,
    SemanticError,
    TimeIsUp,
    TooLarge,
)
from azsandbox.loganalytics.kql.table import Column, Source, Table

__all__ = [
    "Column",
    "KqlError",
    "NotSupported",
    "PartialError",
    "QuerySyntaxError",
    "Result",
    "SemanticError",
    "Source",
    "Table",
    "TimeIsUp",
    "TooLarge",
    "run",
]
