"""Parses scalar expressions, by precedence: or, and, equality and string operators, + -, * / %, unary, postfix."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any

from azsandbox.loganalytics.kql import values
from azsandbox.loganalytics.kql.errors import NotSupported
from azsandbox.loganalytics.kql.lexer import Token, failure, tokens, unquoted
from azsandbox.loganalytics.kql.syntax import (
    Among,
    Between,
    Binary,
    Call,
    Expression,
    Literal,
    Member,
    Name,
    Named,
    Query,
    Star,
    ToScalar,
    Unary,
)

COMPARISONS = {"==", "!=", "<>", "<", "<=", ">", ">=", "=~", "!~"}
WORDS = (
    "contains", "contains_cs", "has", "has_cs", "hasprefix", "hasprefix_cs", "hassuffix", "hassuffix_cs",
    "startswith", "startswith_cs", "endswith", "endswith_cs", "like", "notlike",
)  # fmt: skip
LISTS = ("in", "has_any", "has_all")
TYPED = {
    "datetime": "datetime", "date": "datetime", "timespan": "timespan", "time": "timespan", "guid": "guid",
    "int": "int", "long": "long", "real": "real", "double": "real", "bool": "bool", "boolean": "bool",
    "decimal": "decimal",
}  # fmt: skip


class Expressions:
    """A reader of tokens that understands expressions; `parser.Parser` adds queries."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.at = 0

    # --- tokens

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def ahead(self, count: int = 1) -> Token:
        return self.tokens[min(self.at + count, len(self.tokens) - 1)]

    def advance(self) -> Token:
        found = self.token
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return found

    def is_sign(self, *signs: str) -> bool:
        return self.token.kind == "sign" and self.token.text in signs

    def is_word(self, *words: str) -> bool:
        return self.token.kind == "name" and self.token.text in words

    def take_sign(self, sign: str) -> bool:
        if self.is_sign(sign):
            self.advance()
            return True
        return False

    def take_word(self, *words: str) -> bool:
        if self.is_word(*words):
            self.advance()
            return True
        return False

    def expect(self, sign: str) -> Token:
        if not self.is_sign(sign):
            raise self.wrong()
        return self.advance()

    def wrong(self, token: Token | None = None) -> Exception:
        """The refusal at a token, by default the one that comes next."""
        found = token or self.token
        return failure(self.text, found.start, found.text)

    def name(self) -> str:
        """A name, plain or in brackets. Raises QuerySyntaxError."""
        if self.token.kind == "name":
            return self.advance().text
        if self.is_sign("[") and self.ahead().kind == "string":
            self.advance()
            found = unquoted(self.advance().text)
            self.expect("]")
            return found
        raise self.wrong()

    # --- expressions

    def named(self) -> Named:
        """expression, name = expression, or (name, …) = expression."""
        if self.token.kind == "name" and self.ahead().kind == "sign" and self.ahead().text == "=":
            name = self.name()
            self.advance()
            return Named(name, self.expression())
        if self.is_sign("[") and self.ahead().kind == "string" and self.ahead(3).text == "=":
            name = self.name()
            self.advance()
            return Named(name, self.expression())
        if self.is_sign("("):
            mark = self.at
            names = self._names_in_parentheses()
            if names and self.take_sign("="):
                return Named("", self.expression(), names)
            self.at = mark
        return Named("", self.expression())

    def _names_in_parentheses(self) -> tuple[str, ...]:
        self.advance()
        names = []
        while self.token.kind == "name":
            names.append(self.advance().text)
            if not self.take_sign(","):
                break
        return tuple(names) if self.take_sign(")") else ()

    def expression(self) -> Expression:
        left = self._and()
        while self.take_word("or"):
            left = Binary("or", left, self._and())
        return left

    def _and(self) -> Expression:
        left = self._comparison()
        while self.take_word("and"):
            left = Binary("and", left, self._comparison())
        return left

    def _comparison(self) -> Expression:
        left = self._sum()
        while True:
            if self.token.kind == "sign" and self.token.text in COMPARISONS:
                sign = self.advance().text
                left = Binary("!=" if sign == "<>" else sign, left, self._sum())
                continue
            negated = self.is_sign("!") and self.ahead().kind == "name" and self.ahead().start == self.token.end
            word = (self.ahead() if negated else self.token).text
            if not negated and self.token.kind != "name":
                return left
            if word in WORDS:
                self.at += 2 if negated else 1
                left = Binary(f"!{word}" if negated else word, left, self._sum())
            elif word == "matches" and not negated and self.ahead().text == "regex":
                self.at += 2
                left = Binary("matches regex", left, self._sum())
            elif word in LISTS and not (negated and word != "in"):
                left = self._among(left, negated)
            elif word == "between":
                self.at += 2 if negated else 1
                self.expect("(")
                low = self.expression()
                self.expect("..")
                high = self.expression()
                self.expect(")")
                left = Between(left, low, high, negated)
            else:
                return left

    def _among(self, operand: Expression, negated: bool) -> Among:
        if negated:
            self.advance()
        token = self.advance()
        word = token.text
        if word == "in" and self.is_sign("~") and self.token.start == token.end:
            self.advance()
            word = "in~"
        word = f"!{word}" if negated else word
        self.expect("(")
        query = self._query_in_list()
        if query is not None:
            self.expect(")")
            return Among(word, operand, (), query)
        items = []
        while not self.is_sign(")"):
            items.append(self.expression())
            if not self.take_sign(","):
                break
        self.expect(")")
        return Among(word, operand, tuple(items))

    def _query_in_list(self) -> Query | None:
        """A query in place of a list's items: a name that a pipe follows."""
        if self.token.kind == "name" and self.ahead().text == "|":
            return self.query()
        return None

    def query(self) -> Query:
        """A tabular expression; the parser of queries knows how."""
        raise self.wrong()

    def _sum(self) -> Expression:
        left = self._product()
        while self.is_sign("+", "-"):
            left = Binary(self.advance().text, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._unary()
        while self.is_sign("*", "/", "%"):
            left = Binary(self.advance().text, left, self._unary())
        return left

    def _unary(self) -> Expression:
        if self.is_sign("-", "+"):
            return Unary(self.advance().text, self._unary())
        return self._postfix(self._primary())

    def _postfix(self, base: Expression) -> Expression:
        while True:
            if self.is_sign("."):
                self.advance()
                base = Member(base, Literal(self.name(), "string"))
            elif self.is_sign("["):
                self.advance()
                base = Member(base, self.expression())
                self.expect("]")
            else:
                return base

    def _primary(self) -> Expression:
        token = self.token
        if token.kind == "string":
            parts = [unquoted(self.advance().text)]
            while self.token.kind == "string":
                parts.append(unquoted(self.advance().text))  # literals side by side are one
            return Literal("".join(parts), "string")
        if token.kind == "long":
            self.advance()
            return Literal(int(token.text, 0 if token.text[:2].lower() == "0x" else 10), "long")
        if token.kind == "real":
            self.advance()
            return Literal(float(token.text), "real")
        if token.kind == "timespan":
            self.advance()
            return Literal(values.short_timespan(token.text), "timespan")
        if token.kind == "sign" and token.text == "(":
            self.advance()
            found = self.expression()
            self.expect(")")
            return found
        if token.kind == "sign" and token.text == "*":
            self.advance()
            return Star()
        if token.kind == "sign" and token.text == "[":
            return Name(self.name())
        if token.kind == "name":
            return self._word()
        raise self.wrong()

    def _word(self) -> Expression:
        token = self.advance()
        word = token.text
        if not self.is_sign("("):
            if word in ("true", "false"):
                return Literal(word == "true", "bool")
            if word[0].isdigit() or word == "$":
                raise self.wrong(token)
            return Name(word)
        if word in TYPED:
            literal = self._typed(TYPED[word])
            if literal is not None:
                return literal
        if word == "dynamic":
            self.advance()
            value = self._dynamic()
            self.expect(")")
            return Literal(value, "dynamic")
        self.advance()
        if word == "toscalar":
            query = self.query()
            self.expect(")")
            return ToScalar(query)
        arguments: list[Expression] = []
        while not self.is_sign(")"):
            arguments.append(self.expression())
            if not self.take_sign(","):
                break
        self.expect(")")
        return Call(word, tuple(arguments))

    def _typed(self, kind: str) -> Literal | None:
        """datetime(2026-01-01), guid(…), int(null): what is in parentheses is no expression. None if it is one."""
        opening = self.token
        closing = next((i for i in range(self.at, len(self.tokens)) if self.tokens[i].text == ")"), None)
        if closing is None:
            raise self.wrong(self.tokens[-1])
        text = self.text[opening.end : self.tokens[closing].start].strip()
        text = unquoted(text) if re.fullmatch(r"\"[^\"]*\"|'[^']*'", text) else text
        value = self._value(kind, text)
        if value is _NONE:
            raise self.wrong(self.tokens[self.at + 1])
        self.at = closing + 1
        return Literal(value, kind)

    @staticmethod
    def _value(kind: str, text: str) -> Any:
        if text.lower() == "null" or (not text and kind not in ("datetime", "timespan")):
            return None
        if kind == "real" and text.lower() in _NO_NUMBERS:
            return float(text)
        converted = values.convert(text, "string", kind)
        if converted is None and kind == "timespan":
            return values.literal_timespan(text) or _NONE
        return _NONE if converted is None else converted

    def _dynamic(self) -> Any:
        """A JSON value, with Kusto's quotes, and its literals of other types."""
        if self.take_sign("{"):
            bag: dict[str, Any] = {}
            while not self.is_sign("}"):
                key = unquoted(self.advance().text) if self.token.kind == "string" else self.name()
                self.expect(":")
                bag[key] = self._dynamic()
                if not self.take_sign(","):
                    break
            self.expect("}")
            return bag
        if self.take_sign("["):
            items = []
            while not self.is_sign("]"):
                items.append(self._dynamic())
                if not self.take_sign(","):
                    break
            self.expect("]")
            return items
        if self.take_word("null"):
            return None
        negative = self.take_sign("-")
        found = self._primary()
        if not isinstance(found, Literal):
            raise NotSupported("an expression within dynamic()")
        value = found.value
        if isinstance(value, (dt.datetime, dt.timedelta, Decimal)):
            return values.text(value, found.type)
        return -value if negative else value


_NONE = object()
_NO_NUMBERS = ("nan", "inf", "+inf", "-inf")
