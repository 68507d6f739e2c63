"""Rego as Gatekeeper's templates are written in it: v0, with a rule `violation` and its helpers. What cannot be used."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from azsandbox.policy import call_graph
from azsandbox.policy.engine import Module, RegoError, compile_error, explained, new_engine

_PACKAGE = re.compile(r"^\s*package\s+([\w.\[\]\"]+)", re.MULTILINE)
_RULE = re.compile(r"^\s*violation\b", re.MULTILINE)
_INVENTORY = re.compile(r"\bdata\.inventory\b")
_ASIDE = re.compile(r'#[^\n]*|"(?:[^"\\\n]|\\.)*"|`[^`]*`')  # comments and texts
_IMPORT = re.compile(r"^\s*import\s+([\w.]+)(?:\s+as\s+\w+)?", re.MULTILINE)
_DATA = re.compile(r"(?<![\w.])data(?:\.\w+|\[\w+\])*")
_MOVED = re.compile(
    rf"{_ASIDE.pattern}|(?P<library>^\s*package\s+lib\b)|(?P<package>^\s*package\s+[^\s;#]+)"
    r"|(?P<data>(?<![\w.])data\.lib\b)",
    re.MULTILINE,
)
_UNAVAILABLE = re.compile(r"\b(http\.send)\s*\(")  # what an installation switches off: --disable-opa-builtin
_ALLOWED = re.compile(r"data\.(inventory|lib)(\.|\[|$)")


class RegoPolicy:
    """The Rego of one template, looked through and parsed. Raises RegoError for what cannot be used."""

    def __init__(self, name: str, source: str, libraries: Sequence[str] = (), *, v1: bool = False) -> None:
        if _PACKAGE.search(source) is None:
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
        _check_calls(source, libraries)
        self.name, self.v1 = name, v1
        self.source, self.libraries = source, tuple(libraries)
        self.reads_inventory = any(_INVENTORY.search(text) for text in (source, *libraries))
        engine = new_engine(v1)
        try:
            for number, library in enumerate(libraries):
                engine.add_policy(f'libs["lib_{number}"]', library)
            engine.add_policy("template", source)
        except RuntimeError as error:
            raise _not_ingested(f"1 error occurred: {explained(error)}") from None
        _compile(engine, source)

    def modules(self, place: str) -> list[Module]:
        """Its modules, moved to packages of their own, so that many policies can stand in one engine."""

        def moved(source: str) -> str:
            def put(found: re.Match[str]) -> str:
                if found["package"]:
                    return f"package {place}"
                if found["library"]:
                    return f"package lib_{place}"
                return f"data.lib_{place}" if found["data"] else found[0]

            return _MOVED.sub(put, source)

        libraries = [Module(f"{place}_{number}", moved(text)) for number, text in enumerate(self.libraries)]
        return [*libraries, Module(place, moved(self.source))]


def _check_calls(source: str, libraries: Sequence[str]) -> None:
    """Raises RegoError for what the engine would follow until its stack, and with it the sandbox, is at its end."""
    try:
        call_graph.check(source, libraries)
    except call_graph.TooDeep as error:
        start, *_ = names = [f"data.{name}" for name in error.names]
        text = f"rego_recursion_error: rule {start} is recursive: {' -> '.join(names)}"
        if not error.recursive:
            text = f"rego_compile_error: {error.names[0]} is more than the sandbox follows"
        where = f"template:{error.line}: {text}"
        raise RegoError(
            "ingest_error", f"Could not ingest Rego: unable to compile modules: 1 error occurred: {where}"
        ) from None


def _compile(engine: Any, source: str) -> None:
    """Raises RegoError for Rego that parses and means nothing: the engine looks at that when it first evaluates."""
    fault = ""
    call = _UNAVAILABLE.search(_ASIDE.sub(_blank, source))
    if call is not None:
        fault = f"template:{source.count(chr(10), 0, call.start()) + 1}: rego_type_error: undefined function {call[1]}"
    package = _PACKAGE.search(source)
    try:
        engine.set_input_json("{}")
        engine.eval_rule_as_json(f"data.{package[1] if package else ''}.violation")
    except RuntimeError as error:
        fault = fault or compile_error(error, source)
    if fault:
        raise RegoError("ingest_error", f"Could not ingest Rego: unable to compile modules: 1 error occurred: {fault}")


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", found[0])


def _not_ingested(text: str) -> RegoError:
    return RegoError("ingest_error", f"Could not ingest Rego: invalid ConstraintTemplate: {text}")


def _check_references(source: str, module: str) -> None:
    """Raises RegoError for Rego that reads other than its libraries and the inventory."""
    code = _ASIDE.sub('""', source)
    for name in _IMPORT.findall(code):
        if name == "input" or name.startswith("input."):
            raise _not_ingested(f'invalid import: cannot import input: "{name}"')
        if name.partition(".")[0] != "future" and not name.startswith("data.lib"):
            raise _not_ingested(f'invalid import: bad import: "{name}"')
    foreign = [name for name in _DATA.findall(_IMPORT.sub("", code)) if not _ALLOWED.match(name)]
    if foreign:
        texts = "".join(f"disallowed ref {name}\n" for name in foreign)
        text = f"invalid data references: check refs failed on module {{{module}}}: errors ({len(foreign)}):\n{texts}"
        raise _not_ingested(text)
