"""What a template is made of: text, and the words of actions (Go, text/template/parse, lex.go)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from azsandbox.flux.quoting import quoted

LEFT, RIGHT = "{{", "}}"
_SPACES = " \t\r\n"
_TRIMMING = re.compile(r"[ \t\r\n]+-\}\}")  # an end that takes the spaces after it away
_TERMINATORS = " \t\r\n.,|:)("
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]+(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]+)?|0[bB][01_]+|0[oO][0-7_]+"
    r"|[0-9_]+(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]+)?|\.[0-9_]+(?:[eE][+-]?[0-9_]+)?)i?"
)


class Kind(Enum):
    """Kinds of tokens."""

    TEXT = auto()
    LEFT = auto()
    RIGHT = auto()
    SPACE = auto()
    IDENTIFIER = auto()
    KEYWORD = auto()
    BOOL = auto()
    NIL = auto()
    DOT = auto()
    FIELD = auto()
    VARIABLE = auto()
    NUMBER = auto()
    CHARACTER = auto()
    STRING = auto()
    RAW = auto()
    DECLARE = auto()
    ASSIGN = auto()
    PIPE = auto()
    OPEN = auto()
    CLOSE = auto()
    COMMA = auto()
    OTHER = auto()
    EOF = auto()


KEYWORDS = frozenset(("block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"))


class TemplateError(Exception):
    """A template that cannot be read or run; the message is Go's."""


@dataclass(frozen=True)
class Token:
    """One word. `at` is where it begins, in characters."""

    kind: Kind
    text: str
    at: int
    line: int

    def __str__(self) -> str:
        """As errors show it."""
        if self.kind is Kind.EOF:
            return "EOF"
        if self.kind is Kind.KEYWORD or self.kind is Kind.DOT or self.kind is Kind.NIL:
            return f"<{self.text}>"
        return f"{quoted(self.text[:10])}..." if len(self.text) > 10 else quoted(self.text)


class Lexer:
    """Takes a template apart. `name` is for errors."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text, self.at = name, text, 0

    def error(self, message: str, at: int | None = None) -> TemplateError:
        """What is wrong at a place, or here."""
        line = 1 + self.text.count("\n", 0, self.at if at is None else at)
        return TemplateError(f"template: {self.name}:{line}: {message}")

    def _token(self, kind: Kind, start: int, text: str | None = None) -> Token:
        found = self.text[start : self.at] if text is None else text
        return Token(kind, found, start, 1 + self.text.count("\n", 0, start))

    def tokens(self) -> Iterator[Token]:
        """The tokens, EOF last. Raises TemplateError."""
        trims = False
        while True:
            start = self.at
            found = self.text.find(LEFT, start)
            end = len(self.text) if found < 0 else found
            piece = self.text[start:end]
            if trims:
                piece = piece.lstrip(_SPACES)
            marked = found >= 0 and self._trims_left(found)
            if marked:
                piece = piece.rstrip(_SPACES)
            self.at = end
            if piece:
                yield self._token(Kind.TEXT, start + (end - start - len(piece) if trims and not marked else 0), piece)
            if found < 0:
                yield self._token(Kind.EOF, self.at, "")
                return
            inside = found + len(LEFT) + (2 if marked else 0)
            if self.text.startswith("/*", inside):
                trims = self._comment(inside)
                continue
            self.at = inside
            yield self._token(Kind.LEFT, found, LEFT)
            yield from self._action()
            trims = self.text[self.at - 3 : self.at - 2] == "-" and self.text[self.at - 4] in _SPACES

    def _trims_left(self, at: int) -> bool:
        inside = at + len(LEFT)
        return self.text[inside : inside + 1] == "-" and self.text[inside + 1 : inside + 2] in tuple(_SPACES)

    def _comment(self, inside: int) -> bool:
        """Skips a comment; returns whether it trims what follows."""
        end = self.text.find("*/", inside)
        if end < 0:
            raise self.error("unclosed comment", inside)
        self.at = end + 2
        trims = _TRIMMING.match(self.text, self.at)
        if trims is None and not self.text.startswith(RIGHT, self.at):
            raise self.error("comment ends before closing delimiter")
        self.at = trims.end() if trims else self.at + len(RIGHT)
        return trims is not None

    def _action(self) -> Iterator[Token]:
        depth = 0
        while True:
            trimming = _TRIMMING.match(self.text, self.at)
            if trimming or self.text.startswith(RIGHT, self.at):
                if depth:
                    raise self.error("unclosed left paren")
                start = self.at
                self.at = trimming.end() if trimming else self.at + len(RIGHT)
                yield self._token(Kind.RIGHT, start, RIGHT)
                return
            if self.at >= len(self.text):
                raise self.error("unclosed action")
            token = self._word()
            depth += (token.kind is Kind.OPEN) - (token.kind is Kind.CLOSE)
            if depth < 0:
                raise self.error("unexpected right paren", token.at)
            yield token

    def _word(self) -> Token:
        start, letter = self.at, self.text[self.at]
        if letter in _SPACES:
            while self.at < len(self.text) and self.text[self.at] in _SPACES:
                self.at += 1
            return self._token(Kind.SPACE, start)
        if letter in "\"'":
            return self._quoted(letter)
        if letter == "`":
            end = self.text.find("`", start + 1)
            if end < 0:
                raise self.error("unterminated raw quoted string")
            self.at = end + 1
            return self._token(Kind.RAW, start)
        if self.text.startswith(":=", start):
            self.at += 2
            return self._token(Kind.DECLARE, start)
        singles = {"=": Kind.ASSIGN, "|": Kind.PIPE, "(": Kind.OPEN, ")": Kind.CLOSE, ",": Kind.COMMA}
        if letter in singles:
            self.at += 1
            return self._token(singles[letter], start)
        if letter in "+-0123456789" or (letter == "." and self.text[start + 1 : start + 2].isdigit()):
            return self._number()
        if letter in ".$":
            return self._reference(letter)
        if letter.isalnum() or letter == "_":
            return self._identifier()
        if letter == ":":
            raise self.error("expected :=")
        if letter.isascii() and letter.isprintable():
            self.at += 1
            return self._token(Kind.OTHER, start)
        raise self.error(f"unrecognized character in action: {_shown(letter)}")

    def _quoted(self, mark: str) -> Token:
        start = self.at
        what = "unterminated quoted string" if mark == '"' else "unterminated character constant"
        self.at += 1
        while True:
            letter = self.text[self.at : self.at + 1]
            if letter in ("", "\n"):
                raise self.error(what)
            self.at += 2 if letter == "\\" else 1
            if letter == mark:
                return self._token(Kind.STRING if mark == '"' else Kind.CHARACTER, start)

    def _number(self) -> Token:
        start = self.at
        found = _NUMBER.match(self.text, start)
        end = found.end() if found else start + 1
        if found is None or self.text[end : end + 1].isalnum():
            raise self.error(f"bad number syntax: {quoted(self.text[start : end + 1])}")
        self.at = end
        return self._token(Kind.NUMBER, start)

    def _name(self) -> None:
        while self.at < len(self.text) and (self.text[self.at].isalnum() or self.text[self.at] == "_"):
            self.at += 1

    def _terminated(self) -> bool:
        rest = self.text[self.at : self.at + 1]
        return not rest or rest in _TERMINATORS or self.text.startswith(RIGHT, self.at)

    def _reference(self, letter: str) -> Token:
        start = self.at
        self.at += 1
        self._name()
        if not self._terminated():
            raise self.error(f"bad character {_shown(self.text[self.at])}")
        if letter == "$":
            return self._token(Kind.VARIABLE, start)
        return self._token(Kind.FIELD if self.at > start + 1 else Kind.DOT, start)

    def _identifier(self) -> Token:
        start = self.at
        self._name()
        if not self._terminated():
            raise self.error(f"bad character {_shown(self.text[self.at])}")
        word = self.text[start : self.at]
        kind = Kind.IDENTIFIER
        if word in KEYWORDS:
            kind = Kind.KEYWORD
        elif word in ("true", "false"):
            kind = Kind.BOOL
        elif word == "nil":
            kind = Kind.NIL
        return self._token(kind, start)


def _shown(letter: str) -> str:
    """A character as %#U prints it."""
    return f"U+{ord(letter):04X} '{letter}'"
