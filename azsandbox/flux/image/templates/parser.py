"""From the words of a template to its tree (Go, text/template/parse, parse.go)."""

from __future__ import annotations

import ast
from collections.abc import Callable, Container
from typing import Any

from azsandbox.flux.image.templates import nodes
from azsandbox.flux.image.templates.lexer import Kind, Lexer, TemplateError, Token
from azsandbox.flux.image.templates.nodes import Node, Pipe, Template
from azsandbox.flux.quoting import quoted

_VALUES = frozenset(
    (Kind.BOOL, Kind.CHARACTER, Kind.DOT, Kind.FIELD, Kind.IDENTIFIER, Kind.NUMBER, Kind.NIL, Kind.RAW, Kind.STRING)
) | {Kind.VARIABLE, Kind.OPEN}


def parse(name: str, text: str, functions: Container[str]) -> Template:
    """Reads a template, which may use `functions`. Raises TemplateError."""
    return _Parser(name, text, functions).template()


class _Parser:
    def __init__(self, name: str, text: str, functions: Container[str]) -> None:
        self.lexer, self.functions = Lexer(name, text), functions
        self.source = self.lexer.tokens()
        self.ahead: list[Token] = []
        self.variables = ["$"]
        self.loops = 0
        self.found = Template(name, text)

    # --- tokens

    def next(self) -> Token:
        return self.ahead.pop() if self.ahead else next(self.source)

    def back(self, *tokens: Token) -> None:
        """Puts tokens back, the first of them next."""
        self.ahead += reversed(tokens)

    def peek(self) -> Token:
        token = self.next()
        self.back(token)
        return token

    def next_word(self) -> Token:
        token = self.next()
        while token.kind is Kind.SPACE:
            token = self.next()
        return token

    def peek_word(self) -> Token:
        token = self.next_word()
        self.back(token)
        return token

    def error(self, message: str, token: Token) -> TemplateError:
        return TemplateError(f"template: {self.found.name}:{token.line}: {message}")

    def unexpected(self, token: Token, where: str) -> TemplateError:
        return self.error(f"unexpected {token} in {where}", token)

    def expect(self, kind: Kind, where: str) -> Token:
        token = self.next_word()
        if token.kind is not kind:
            raise self.unexpected(token, where)
        return token

    # --- lists of nodes

    def template(self) -> Template:
        body: list[Node] = []
        while True:
            token = self.next()
            if token.kind is Kind.EOF:
                self.found.body = tuple(body)
                return self.found
            if token.kind is Kind.LEFT:
                word = self.next_word()
                if word.kind is Kind.KEYWORD and word.text == "define":
                    self._define()
                    continue
                self.back(word)
            ended, node = self._node(token)
            if ended:
                raise self.error(f"unexpected {{{{{ended}}}}}", token)
            if node is not None:
                body.append(node)

    def _define(self) -> None:
        name = self._text(self.next_word(), "define clause")
        self.expect(Kind.RIGHT, "define clause")
        kept, self.variables = self.variables, ["$"]
        body, ended, token = self._list()
        if ended != "end":
            raise self.unexpected(token, "define clause")
        self.variables = kept
        self.found.defined[name] = body

    def _text(self, token: Token, where: str) -> str:
        if token.kind not in (Kind.STRING, Kind.RAW):
            raise self.unexpected(token, where)
        return str(self._constant(token))

    def _list(self) -> tuple[tuple[Node, ...], str, Token]:
        """Nodes up to {{end}} or {{else}}, which of them it was, and where."""
        body: list[Node] = []
        while True:
            token = self.next()
            if token.kind is Kind.EOF:
                raise self.error("unexpected EOF", token)
            ended, node = self._node(token)
            if ended:
                return tuple(body), ended, token
            if node is not None:
                body.append(node)

    def _node(self, token: Token) -> tuple[str, Node | None]:
        """What a token begins: a node, or "end" or "else"."""
        if token.kind is Kind.TEXT:
            return "", nodes.Text(token.at, token.text)
        word = self.next_word()
        if word.kind is Kind.KEYWORD:
            return self._keyword(word)
        self.back(word)
        pipe = self._pipe("command", Kind.RIGHT)
        return "", nodes.Action(word.at, pipe)

    def _keyword(self, word: Token) -> tuple[str, Node | None]:
        kind = word.text
        if kind == "end":
            self.expect(Kind.RIGHT, "end")
            return "end", None
        if kind == "else":
            following = self.peek_word()
            if not (following.kind is Kind.KEYWORD and following.text in ("if", "with")):
                self.expect(Kind.RIGHT, "else")
            return "else", None
        if kind in ("if", "with", "range"):
            return "", self._branch(word)
        if kind in ("break", "continue"):
            token = self.next_word()
            if token.kind is not Kind.RIGHT:
                raise self.unexpected(token, f"{{{{{kind}}}}}")
            if not self.loops:
                raise self.error(f"{{{{{kind}}}}} outside {{{{range}}}}", word)
            return "", nodes.Leave(word.at, kind)
        if kind in ("template", "block"):
            return "", self._call(word)
        raise self.unexpected(word, "command")  # define, which stands outside of everything

    def _branch(self, word: Token) -> Node:
        kind = word.text
        known = len(self.variables)
        pipe = self._pipe(kind, Kind.RIGHT)
        self.loops += kind == "range"
        body, ended, token = self._list()
        self.loops -= kind == "range"
        otherwise: tuple[Node, ...] = ()
        if ended == "else":
            following = self.peek_word()
            if following.kind is not Kind.KEYWORD:
                otherwise, ended, token = self._list()
                if ended != "end":
                    raise self.error(f"expected end; found {{{{{ended}}}}}", token)
            elif following.text == kind and kind != "range":
                self.next_word()
                otherwise = (self._branch(following),)
            else:
                raise self.unexpected(following, "input")
        del self.variables[known:]
        return nodes.Branch(word.at, kind, pipe, body, otherwise)

    def _call(self, word: Token) -> Node:
        where = f"{word.text} clause"
        named = self.next_word()
        name = self._text(named, where)
        pipe = None
        token = self.next_word()
        if token.kind is not Kind.RIGHT:
            self.back(token)
            pipe = self._pipe(where, Kind.RIGHT)
        if word.text == "block":
            if pipe is None:
                raise self.error("missing value for block clause", word)
            kept, self.variables = self.variables, ["$"]
            body, ended, token = self._list()
            if ended != "end":
                raise self.unexpected(token, where)
            self.variables = kept
            self.found.defined[name] = body
        return nodes.Call(named.at, name, pipe)

    # --- pipes

    def _pipe(self, where: str, end: Kind) -> Pipe:
        first = self.peek_word()
        names, assigns = self._declared(where)
        commands: list[nodes.Command] = []
        while True:
            token = self.next_word()
            if token.kind is end:
                if not commands:
                    raise self.error(f"missing value for {where}", token)
                for number, command in enumerate(commands[1:], 2):
                    if isinstance(command.args[0], (nodes.Constant, nodes.Dot)):
                        raise self.error(f"non executable command in pipeline stage {number}", token)
                self.variables += () if assigns else names
                return Pipe(first.at, tuple(commands), names, assigns)
            if token.kind not in _VALUES:
                raise self.unexpected(token, where)
            self.back(token)
            commands.append(self._command())

    def _declared(self, where: str) -> tuple[tuple[str, ...], bool]:
        """The variables that a pipe sets, and whether they are there already."""
        names: list[str] = []
        while True:
            token = self.peek_word()
            if token.kind is not Kind.VARIABLE:
                break
            self.next_word()
            after, spaced = self.next(), []
            while after.kind is Kind.SPACE:
                spaced.append(after)
                after = self.next()
            if after.kind in (Kind.DECLARE, Kind.ASSIGN):
                names.append(token.text)
                if after.kind is Kind.ASSIGN:
                    self._check_variables(names, token)
                return tuple(names), after.kind is Kind.ASSIGN
            if after.kind is Kind.COMMA and where == "range" and not names:
                names.append(token.text)
                continue
            if names or after.kind is Kind.COMMA:
                raise self.error(f"too many declarations in {where}", token)
            self.back(token, *spaced, after)
            break
        if names:
            raise self.error("range can only initialize variables", self.peek_word())
        return (), False

    def _check_variables(self, names: list[str], token: Token) -> None:
        for name in names:
            if name not in self.variables:
                raise self.error(f"undefined variable {quoted(name)}", token)

    def _command(self) -> nodes.Command:
        first = self.peek_word()
        args: list[Node] = []
        while True:
            self.peek_word()
            operand = self._operand()
            if operand is not None:
                args.append(operand)
            token = self.next()
            if token.kind is Kind.SPACE:
                continue
            if token.kind in (Kind.RIGHT, Kind.CLOSE):
                self.back(token)
            elif token.kind is not Kind.PIPE:
                raise self.unexpected(token, "operand")
            break
        if not args:
            raise self.error("empty command", first)
        return nodes.Command(first.at, tuple(args))

    def _operand(self) -> Node | None:
        node = self._term()
        if node is None or self.peek().kind is not Kind.FIELD:
            return node
        at, names = self.peek().at, []
        while self.peek().kind is Kind.FIELD:
            names.append(self.next().text[1:])
        if isinstance(node, nodes.FieldChain):
            return nodes.FieldChain(at, (*node.names, *names))
        if isinstance(node, nodes.Variable):
            return nodes.Variable(at, node.name, (*node.fields, *names))
        if isinstance(node, Pipe):
            return nodes.Chain(at, node, tuple(names))
        if isinstance(node, nodes.Dot):
            return nodes.FieldChain(at, tuple(names))
        raise self.error(f"unexpected . after term {quoted(str(node))}", self.peek())

    def _term(self) -> Node | None:
        token = self.next_word()
        kind, text, at = token.kind, token.text, token.at
        if kind is Kind.IDENTIFIER:
            if text not in self.functions:
                raise self.error(f"function {quoted(text)} not defined", token)
            return nodes.Function(at, text)
        if kind is Kind.DOT:
            return nodes.Dot(at)
        if kind is Kind.VARIABLE:
            if text not in self.variables:
                raise self.error(f"undefined variable {quoted(text)}", token)
            return nodes.Variable(at, text)
        if kind is Kind.FIELD:
            return nodes.FieldChain(at, (text[1:],))
        if kind in (Kind.BOOL, Kind.CHARACTER, Kind.NUMBER, Kind.NIL, Kind.RAW, Kind.STRING):
            return nodes.Constant(at, self._constant(token), text)
        if kind is Kind.OPEN:
            return self._pipe("parenthesized pipeline", Kind.CLOSE)
        self.back(token)
        return None

    def _constant(self, token: Token) -> Any:
        readers: dict[Kind, Callable[[str], Any]] = {
            Kind.BOOL: lambda text: text == "true",
            Kind.NIL: lambda text: None,
            Kind.RAW: lambda text: text[1:-1],
            Kind.STRING: ast.literal_eval,  # Go's escapes are among Python's
            Kind.CHARACTER: lambda text: ord(ast.literal_eval(text)),
            Kind.NUMBER: _number,
        }
        try:
            return readers[token.kind](token.text)
        except (ValueError, SyntaxError, TypeError):
            raise self.error(f"illegal constant {quoted(token.text)}", token) from None


def _number(text: str) -> int | float:
    plain = text.replace("_", "")
    try:
        return (
            int(plain, 0) if not plain.lstrip("+-").startswith("0") or len(plain.lstrip("+-")) == 1 else _octal(plain)
        )
    except ValueError:
        return float.fromhex(plain) if "x" in plain.lower() else float(plain)


def _octal(text: str) -> int:
    digits = text.lstrip("+-")
    if digits.isdigit():
        value = int(digits, 8)
        return -value if text.startswith("-") else value
    return int(text, 0)
