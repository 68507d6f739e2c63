"""Parses queries: statements, tables, and the operators between pipes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from azsandbox.loganalytics.kql.errors import NotSupported
from azsandbox.loganalytics.kql.expressions import Expressions
from azsandbox.loganalytics.kql.lexer import unquoted
from azsandbox.loganalytics.kql.syntax import Let, Literal, Name, Named, Operator, Query, Script

JOINS = (
    "innerunique",
    "inner",
    "leftouter",
    "rightouter",
    "fullouter",
    "leftanti",
    "leftsemi",
    "rightanti",
    "rightsemi",
)
_JOIN_NAMES = {"anti": "leftanti", "leftantisemi": "leftanti", "rightantisemi": "rightanti"}
TYPES = ("string", "bool", "int", "long", "real", "datetime", "timespan", "dynamic", "guid", "decimal")
_TYPE_NAMES = {"double": "real", "boolean": "bool", "date": "datetime", "time": "timespan", "float": "real"}

OPTIONS = ("truncationmaxrecords",)
"""What `set` may set: "Request properties" of Kusto."""

# What Kusto has besides: refused by name, not as text that cannot be parsed.
_OTHERS = (
    "evaluate", "make-series", "mv-apply", "parse-where", "parse-kv", "reduce", "sample", "sample-distinct", "scan",
    "top-nested", "top-hitters", "invoke", "facet", "fork", "partition", "externaldata", "find", "consume",
    "macro-expand", "graph-match", "make-graph", "project-by-names", "assert-schema", "search",
)  # fmt: skip


def parse(text: str) -> Script:
    """What a query says. Raises QuerySyntaxError where it does not parse, and NotSupported."""
    return Parser(text).script()


class Parser(Expressions):
    """A query of a text."""

    def script(self) -> Script:
        lets: list[Let] = []
        queries: list[Query] = []
        options: dict[str, Any] = {}
        while self.token.kind != "end":
            if self.take_sign(";"):
                continue
            if self.is_word("let"):
                lets.append(self._let())
            elif self.is_word("set") and self.ahead().kind == "name":
                options |= self._set()
            elif self.is_word("declare", "alias", "restrict", "pattern") and self.ahead().kind == "name":
                raise NotSupported(f"the statement '{self.token.text}'")
            else:
                queries.append(self.query())
            if self.token.kind != "end":
                self.expect(";")
        if not queries:
            raise self.wrong()
        return Script(tuple(lets), tuple(queries), options)

    def _set(self) -> dict[str, Any]:
        """`set name = number`: what the request asks of the service itself."""
        self.advance()
        name = self.name()
        if name not in OPTIONS:
            raise NotSupported(f"the option '{name}' of 'set'")
        self.expect("=")
        if self.token.kind != "long":
            raise self.wrong()
        return {name: int(self.advance().text, 0)}

    def _let(self) -> Let:
        self.advance()
        name = self.name()
        self.expect("=")
        if self.is_sign("(") and self._is_function():
            raise NotSupported("functions made by 'let'")
        if self._begins_query():
            return Let(name, self.query())
        return Let(name, self.expression())

    def _is_function(self) -> bool:
        depth, at = 0, self.at
        while self.tokens[at].kind != "end":
            found = self.tokens[at].text
            depth += (found == "(") - (found == ")")
            at += 1
            if depth == 0:
                return self.tokens[min(at, len(self.tokens) - 1)].text == "{"
        return False

    def _begins_query(self) -> bool:
        """Whether a table comes: one that a pipe follows, a word that makes one, or a name alone."""
        if self.is_word("print", "datatable", "union", "search", "find", "externaldata", "materialize", "view"):
            return True
        if self.is_word("range") and self.ahead().kind == "name":
            return True
        depth = 0
        for token in self.tokens[self.at :]:
            depth += (token.text in "([{") - (token.text in ")]}") if token.kind == "sign" else 0
            if depth == 0 and token.kind == "sign" and token.text == "|":
                return True
            if token.kind == "end" or (depth == 0 and token.text == ";"):
                break
        return self.token.kind == "name" and self.token.text not in ("true", "false") and self.ahead().text in (";", "")

    # --- tables

    def query(self) -> Query:
        source = self._source()
        operators = []
        while self.take_sign("|"):
            operators.append(self._operator())
        return Query(source, tuple(operators))

    def _source(self) -> str | Operator | Query:
        if self.take_sign("("):
            found = self.query()
            self.expect(")")
            return found
        if self.is_word("print"):
            self.advance()
            return Operator("print", self._list(self.named))
        if self.is_word("range") and self.ahead().kind == "name":
            return self._range()
        if self.is_word("datatable"):
            return self._datatable()
        if self.is_word("union"):
            self.advance()
            return self._union()
        if self.is_word("materialize", "view") and self.ahead().text == "(":
            self.at += 2
            found = self.query()
            self.expect(")")
            return found
        if self.is_word("search", "find", "externaldata", "evaluate") and self.ahead().text not in ("|", "", ";"):
            raise NotSupported(f"the operator '{self.token.text}'")
        if self.is_word("workspace", "cluster", "database", "app", "resource", "table") and self.ahead().text == "(":
            raise NotSupported(f"the function '{self.token.text}'")
        token = self.token
        name = self.name()
        if name[:1].isdigit() or name == "$":
            raise self.wrong(token)
        if self.is_sign("("):
            raise NotSupported(f"the function '{name}' as a table")
        if self.take_sign("*"):
            raise NotSupported("names of tables with '*'")
        return name

    def _range(self) -> Operator:
        self.advance()
        name = self.name()
        bounds = []
        for word in ("from", "to", "step"):
            if not self.take_word(word):
                raise self.wrong()
            bounds.append(Named("", self.expression()))
        return Operator("range", tuple(bounds), options={"column": name})

    def _datatable(self) -> Operator:
        self.advance()
        self.expect("(")
        columns = []
        while not self.is_sign(")"):
            name = self.name()
            self.expect(":")
            columns.append((name, self._type()))
            if not self.take_sign(","):
                break
        self.expect(")")
        self.expect("[")
        items = []
        while not self.is_sign("]"):
            items.append(Named("", self.expression()))
            if not self.take_sign(","):
                break
        self.expect("]")
        return Operator("datatable", tuple(items), options={"columns": tuple(columns)})

    def _type(self) -> str:
        token = self.token
        found = _TYPE_NAMES.get(token.text, token.text)
        if found not in TYPES:
            raise self.wrong()
        self.advance()
        return found

    def _union(self) -> Operator:
        options: dict[str, Any] = {"kind": "outer"}
        while self.is_word("kind", "withsource", "isfuzzy") and self.ahead().text == "=":
            key = self.advance().text
            self.advance()
            options[key] = self.advance().text
        queries = []
        while True:
            if self.take_sign("("):
                queries.append(self.query())
                self.expect(")")
            elif self.is_sign("*"):
                raise NotSupported("names of tables with '*'")
            else:
                queries.append(Query(self.name()))
                if self.is_sign("*"):
                    raise NotSupported("names of tables with '*'")
            if not self.take_sign(","):
                break
        return Operator("union", queries=tuple(queries), options=options)

    # --- operators

    def _operator(self) -> Operator:
        token = self.token
        if token.kind != "name":
            raise self.wrong()
        name = token.text
        at = self.at + 1
        while self.tokens[at].text == "-" and self.tokens[at].start == self.tokens[at - 1].end:
            if self.tokens[at + 1].kind != "name" or self.tokens[at + 1].start != self.tokens[at].end:
                break
            name += f"-{self.tokens[at + 1].text}"
            at += 2
        reader = _READERS.get(name)
        if reader is None:
            if name in _OTHERS:
                raise NotSupported(f"the operator '{name}'")
            raise self.wrong(token)
        self.at = at
        return reader(self, name)

    def _list(self, read: Callable[[], Any]) -> tuple[Any, ...]:
        found = [read()]
        while self.take_sign(","):
            found.append(read())
        return tuple(found)

    def _where(self, name: str) -> Operator:
        return Operator(name, (Named("", self.expression()),))

    def _named_list(self, name: str) -> Operator:
        return Operator(name, self._list(self.named))

    def _patterns(self, name: str) -> Operator:
        return Operator(name, options={"patterns": self._list(self._pattern)})

    def _pattern(self) -> tuple[str, str]:
        """A column's name in which * stands for any text, and the order that project-reorder may add."""
        parts: list[str] = []
        while self.token.kind in ("name", "long") or self.is_sign("*", "["):
            before = self.tokens[self.at - 1]
            if parts and self.token.start != before.end:
                break
            parts.append(self.name() if self.is_sign("[") else self.advance().text)
        if not parts:
            raise self.wrong()
        order = self.advance().text if self.is_word("asc", "desc") else ""
        return "".join(parts), order

    def _no_more(self, name: str) -> Operator:
        return Operator(name)

    def _take(self, name: str) -> Operator:
        return Operator(name, (Named("", self.expression()),))

    def _order(self, name: str) -> Operator:
        if not self.take_word("by"):
            raise self.wrong()
        return Operator(name, options={"keys": self._list(self._key)})

    def _key(self) -> tuple[Named, bool, bool]:
        """An expression to sort by; whether it descends, and whether nulls come first."""
        expression = self.named()
        descending = True
        if self.is_word("asc", "desc"):
            descending = self.advance().text == "desc"
        first = not descending
        if self.take_word("nulls"):
            if not self.is_word("first", "last"):
                raise self.wrong()
            first = self.advance().text == "first"
        return expression, descending, first

    def _top(self, name: str) -> Operator:
        count = Named("", self.expression())
        if not self.take_word("by"):
            raise self.wrong()
        return Operator(name, (count,), options={"keys": (self._key(),)})

    def _distinct(self, name: str) -> Operator:
        return Operator(name, self._list(self.named))

    def _summarize(self, name: str) -> Operator:
        while self.token.text.startswith("hint") and self.ahead().text in (".", "="):
            raise NotSupported("hints")
        aggregates = () if self.is_word("by") else self._list(self.named)
        by = self._list(self.named) if self.take_word("by") else ()
        return Operator(name, aggregates, by)

    def _join(self, name: str) -> Operator:
        options: dict[str, Any] = {"kind": "innerunique" if name == "join" else "leftouter"}
        while self.token.kind == "name" and self.ahead().text in ("=", "."):
            token = self.advance()
            if self.is_sign(".") or token.text != "kind":
                raise NotSupported("hints")
            self.advance()
            kind = _JOIN_NAMES.get(self.token.text, self.token.text)
            if kind not in JOINS:
                raise self.wrong()
            self.advance()
            options["kind"] = kind
        if self.take_sign("("):
            right = self.query()
            self.expect(")")
        else:
            right = Query(self.name())
        if not self.take_word("on"):
            raise self.wrong()
        return Operator(name, self._list(self.named), queries=(right,), options=options)

    def _union_operator(self, name: str) -> Operator:
        return self._union()

    def _mv_expand(self, name: str) -> Operator:
        options: dict[str, Any] = {"types": {}}
        if self.is_word("bagexpansion", "kind", "with_itemindex") and self.ahead().text == "=":
            key = self.advance().text
            self.advance()
            if key != "with_itemindex":
                raise NotSupported(f"mv-expand with {key}")
            options["index"] = self.name()
        columns = []
        while True:
            columns.append(self.named())
            if self.is_word("to") and self.ahead().text == "typeof":
                self.at += 2
                self.expect("(")
                options["types"][len(columns) - 1] = self._type()
                self.expect(")")
            if not self.take_sign(","):
                break
        if self.take_word("limit"):
            options["limit"] = self.expression()
        return Operator(name, tuple(columns), options=options)

    def _parse(self, name: str) -> Operator:
        if self.is_word("kind") and self.ahead().text == "=":
            self.at += 2
            kind = self.advance().text
            if kind not in ("simple", "relaxed"):
                raise NotSupported(f"parse with kind={kind}")
        subject = Named("", self._sum())
        if not self.take_word("with"):
            raise self.wrong()
        pattern: list[tuple[str, str, str]] = []
        while self.token.kind in ("name", "string") or self.is_sign("*"):
            if self.token.kind == "string":
                pattern.append(("text", unquoted(self.advance().text), ""))
            elif self.take_sign("*"):
                pattern.append(("any", "", ""))
            else:
                column = self.name()
                kind = self._type() if self.take_sign(":") else "string"
                pattern.append(("column", column, kind))
        if not pattern:
            raise self.wrong()
        return Operator(name, (subject,), options={"pattern": tuple(pattern)})

    def _render(self, name: str) -> Operator:
        kind = self.name()
        options: dict[str, Any] = {}
        if self.take_word("with"):
            self.expect("(")
            while not self.is_sign(")"):
                key = self.name()
                self.expect("=")
                found = self._list(self.expression) if key == "ycolumns" else (self.expression(),)
                texts = [f.value if isinstance(f, Literal) else f.name if isinstance(f, Name) else "" for f in found]
                options[key] = texts if key in ("ycolumns", "xcolumn", "series") else texts[0]
                if not self.take_sign(","):
                    break
            self.expect(")")
        return Operator(name, options={"visualization": kind, "properties": options})

    def _as(self, name: str) -> Operator:
        return Operator(name, options={"name": self.name()})

    def _count(self, name: str) -> Operator:
        return Operator(name)


_READERS: dict[str, Callable[[Parser, str], Operator]] = {
    "where": Parser._where,
    "filter": Parser._where,
    "project": Parser._named_list,
    "project-away": Parser._patterns,
    "project-keep": Parser._patterns,
    "project-reorder": Parser._patterns,
    "project-rename": Parser._named_list,
    "extend": Parser._named_list,
    "take": Parser._take,
    "limit": Parser._take,
    "order": Parser._order,
    "sort": Parser._order,
    "top": Parser._top,
    "distinct": Parser._distinct,
    "summarize": Parser._summarize,
    "count": Parser._count,
    "join": Parser._join,
    "lookup": Parser._join,
    "union": Parser._union_operator,
    "mv-expand": Parser._mv_expand,
    "mvexpand": Parser._mv_expand,
    "parse": Parser._parse,
    "render": Parser._render,
    "getschema": Parser._no_more,
    "serialize": Parser._no_more,
    "as": Parser._as,
}
