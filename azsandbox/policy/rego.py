"""Rego as Gatekeeper's templates are written in it: v0, with a rule `violation` and its helpers.

The engine is regorus, which is true to v0 where others give wrong answers for partial sets. An engine belongs to the
thread that made it, so everything here runs in the event loop, where one judgement costs a tenth of a millisecond.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

import orjson

_PACKAGE = re.compile(r"^\s*package\s+([\w.\[\]\"]+)", re.MULTILINE)
_RULE = re.compile(r"^\s*violation\b", re.MULTILINE)
_INVENTORY = re.compile(r"\bdata\.inventory\b")
_ASIDE = re.compile(r'#[^\n]*|"(?:[^"\\\n]|\\.)*"|`[^`]*`')  # comments and texts
_IMPORT = re.compile(r"^\s*import\s+([\w.]+)(?:\s+as\s+\w+)?", re.MULTILINE)
_DATA = re.compile(r"(?<![\w.])data(?:\.\w+)*")
_ALLOWED = re.compile(r"data\.(inventory|lib)(\.|$)")
_PLACE = re.compile(r"-->\s*(?P<file>[^:]+):(?P<line>\d+):(?P<column>\d+).*?error:\s*(?P<text>.*)", re.DOTALL)


class RegoError(Exception):
    """A template's Rego cannot be used. `code` is Gatekeeper's word for why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Known(Protocol):
    """A document `data`, which changes with its version."""

    version: int

    def text(self) -> str:
        """It as JSON."""


class Policy(Protocol):
    """What a template means."""

    def violations(self, review: Any, parameters: Any, known: Known | None = None) -> list[dict[str, Any]]:
        """What is wrong with an object under review: dicts with `msg` and perhaps `details`. Raises RegoError.

        `known` is what there is besides: `data.inventory`.
        """


class RegoPolicy:
    """The Rego of one template, compiled. Raises RegoError for what cannot be used."""

    def __init__(self, name: str, source: str, libraries: Sequence[str] = (), *, v1: bool = False) -> None:
        import regorus

        found = _PACKAGE.search(source)
        if found is None:
            raise _not_ingested("1 error occurred: template:1: rego_parse_error: package expected")
        if not _RULE.search(source):
            raise _not_ingested("invalid rego: invalid module: missing required rules: [violation]")
        for number, library in enumerate(libraries):
            package = _PACKAGE.search(library)
            if package is None or not package[1].startswith("lib."):
                where = f"data.{package[1]}" if package else "data"
                raise _not_ingested(f"invalid lib prefix: path {where} not found in lib prefixes")
            _check_references(library, f'libs["lib_{number}"]')
        _check_references(source, "template")
        self.name = name
        self._rule = f"data.{found[1]}.violation"
        self._knows = any(_INVENTORY.search(text) for text in (source, *libraries))
        self._version = -1
        self._engine: Any = regorus.Engine()
        self._engine.set_rego_v0(not v1)
        for function, arity, answer in _BUILT_IN:
            self._engine.add_extension(function, arity, answer)
        try:
            for number, library in enumerate(libraries):
                self._engine.add_policy(f'libs["lib_{number}"]', library)
            self._engine.add_policy("template", source)
        except RuntimeError as error:
            raise _not_ingested(f"1 error occurred: {_explained(error)}") from None

    def violations(self, review: Any, parameters: Any, known: Known | None = None) -> list[dict[str, Any]]:
        if self._knows and known is not None and known.version != self._version:
            self._engine.clear_data()
            self._engine.add_data_json(known.text())
            self._version = known.version
        self._engine.set_input_json(orjson.dumps({"review": review, "parameters": parameters}).decode())
        try:
            found = self._engine.eval_rule_as_json(self._rule)
        except RuntimeError as error:
            raise RegoError("rego_eval_error", _explained(error)) from None
        answers = orjson.loads(found) if found else []
        return [answer for answer in answers or [] if isinstance(answer, dict) and "msg" in answer]


def _not_ingested(text: str) -> RegoError:
    return RegoError("ingest_error", f"Could not ingest Rego: invalid ConstraintTemplate: {text}")


def _check_references(source: str, module: str) -> None:
    """Raises RegoError for Rego that reads other than its libraries and the inventory."""
    code = _ASIDE.sub('""', source)
    for name in _IMPORT.findall(code):
        if name == "input" or name.startswith("input."):
            raise _not_ingested(f'invalid import: cannot import input: "{name}"')
        if name.partition(".")[0] not in ("future", "rego") and not name.startswith("data.lib"):
            raise _not_ingested(f'invalid import: bad import: "{name}"')
    foreign = [name for name in _DATA.findall(_IMPORT.sub("", code)) if not _ALLOWED.match(name)]
    if foreign:
        texts = "".join(f"disallowed ref {name}\n" for name in foreign)
        text = f"invalid data references: check refs failed on module {module}: errors ({len(foreign)}):\n{texts}"
        raise _not_ingested(text)


def _explained(error: RuntimeError) -> str:
    """The engine's message in one line, in the form that OPA gives: file:line: code: text."""
    text = str(error).partition("Stack backtrace")[0].strip()
    place = _PLACE.search(text)
    if place is None:
        return " ".join(text.split())
    return f"{place['file']}:{place['line']}: rego_parse_error: {' '.join(place['text'].split())}"


def _re_match(pattern: str, value: str) -> bool:
    """Whether an expression is found in a value. One that does not parse matches nothing, as in OPA, which goes on."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.search(pattern, value, options) is not None
    except re2.error:
        return False


# What OPA still had for v0 and the engine has not (OPA docs, "Policy reference", deprecated functions)
_BUILT_IN = (
    ("re_match", 2, _re_match),
    ("any", 1, lambda values: any(value is True for value in values)),
    ("all", 1, lambda values: all(value is True for value in values)),
    ("cast_array", 1, lambda value: list(value) if isinstance(value, list | set | tuple) else value),
)
