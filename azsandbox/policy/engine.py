"""One engine for the policies of all templates, so that an object under review is read once for all of them.

The engine is regorus, which is true to v0 where others give wrong answers for partial sets. An engine belongs to the
thread that made it, so everything here runs in the event loop, where one judgement costs a tenth of a millisecond.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import orjson

_PLACE = re.compile(r"-->\s*(?P<file>[^:]+):(?P<line>\d+):(?P<column>\d+).*?error:\s*(?P<text>.*)", re.DOTALL)
_LATER = re.compile(r"-->\s*[^:]+:(\d+):\d+.*?definition", re.DOTALL)
# The engine's words for what OPA's compiler refuses (opa, package ast: compile.go, check.go)
_COMPILE_ERRORS = (
    (re.compile(r"use of undefined variable `([^`]+)` is unsafe"), "rego_unsafe_var_error: var {} is unsafe"),
    (re.compile(r"var (\S+) is unsafe"), "rego_unsafe_var_error: var {} is unsafe"),
    (re.compile(r"could not find function (\S+)"), "rego_type_error: undefined function {}"),
    (re.compile(r"var `([^`]+)` used before definition"), "rego_compile_error: var {} assigned above"),
)
_NAME = re.compile(r"\w+")
_EVALUATED = re.compile(r"[^:]+:(\d+): rego_parse_error: (.*)", re.DOTALL)
_EVALUATION_ERRORS = (  # opa, package topdown: errors.go
    ("rule conflicts with", "eval_conflict_error: complete rules must not produce multiple outputs"),
    ("functions must not", "eval_conflict_error: functions must not produce multiple outputs for same inputs"),
    ("value for key", "eval_conflict_error: object keys must be unique"),
)
_LEFT_OVER = 50  # policies that were replaced or removed stay in the engine; after so many it is made anew

# What judges: each constraint's parameters in the place of `input.parameters` (frameworks, drivers/rego/rego.go)
_HOOK = """package hooks.{place}

found{head} {{
  parameters := input.parameters.{place}[name]
  one := {{"review": input.review, "parameters": parameters}}
  answer := data.{place}.violation[_] with input as one
}}
"""
_HEADS = {False: "[[name, answer]]", True: " contains [name, answer] if"}

Answers = list[dict[str, Any]]


class RegoError(Exception):
    """A template's Rego cannot be used. `code` is Gatekeeper's word for why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Module(NamedTuple):
    """A file of Rego."""

    name: str
    source: str


class Policy(Protocol):
    """What a template means."""

    v1: bool
    reads_inventory: bool

    def modules(self, place: str) -> list[Module]:
        """Its modules, in packages below `place`."""


class Known(Protocol):
    """A document `data`, which changes with its version."""

    version: int

    def text(self) -> str:
        """It as JSON."""


class RegoEngine:
    """The policies by kind. Those of v0 and those of v1 have an engine each, since an engine speaks one of them."""

    def __init__(self) -> None:
        self._policies: dict[str, tuple[Policy, str]] = {}  # with its place
        self._engines: dict[bool, Any] = {}
        self._versions: dict[bool, int] = {}
        self._places = itertools.count()
        self._left_over = 0

    def __contains__(self, kind: str) -> bool:
        return kind in self._policies

    def put(self, kind: str, policy: Policy) -> None:
        """Takes a policy in, or its newer version."""
        self.drop(kind)
        self._policies[kind] = policy, f"p{next(self._places)}"
        if policy.v1 in self._engines:
            self._add(policy, self._policies[kind][1])

    def drop(self, kind: str) -> None:
        """Forgets a policy."""
        if self._policies.pop(kind, None) is not None:
            self._left_over += 1
        if self._left_over > _LEFT_OVER:
            self._engines.clear()
            self._versions.clear()
            self._left_over = 0

    def judge(
        self, review: dict[str, Any], parameters: Mapping[str, Mapping[str, Any]], known: Known | None = None
    ) -> Iterator[tuple[str, str, Answers | RegoError]]:
        """What constraints have against an object: kind, name and answers with `msg`, or why there are none.

        `parameters` are those of the constraints, by kind and name. `known` is what there is besides: `data.inventory`.
        """
        places = {self._policies[kind][1]: found for kind, found in parameters.items()}
        text = orjson.dumps({"review": review, "parameters": places}).decode()
        ready: set[bool] = set()
        for kind, constraints in parameters.items():
            policy, place = self._policies[kind]
            engine = self._engine(policy.v1)
            if policy.reads_inventory and known is not None and self._versions.get(policy.v1) != known.version:
                engine.clear_data()
                engine.add_data_json(known.text())
                self._versions[policy.v1] = known.version
                ready.discard(policy.v1)
            if policy.v1 not in ready:
                engine.set_input_json(text)
                ready.add(policy.v1)
            try:
                found = engine.eval_rule_as_json(f"data.hooks.{place}.found")
            except RuntimeError as error:
                ready.discard(policy.v1)
                for name in constraints:
                    yield kind, name, RegoError("rego_eval_error", evaluation_error(error))
                continue
            answers: dict[str, Answers] = {}
            for name, answer in orjson.loads(found) if found else ():
                if isinstance(answer, dict) and "msg" in answer:
                    answers.setdefault(name, []).append(answer)
            for name in answers:
                yield kind, name, answers[name]

    def _engine(self, v1: bool) -> Any:
        found = self._engines.get(v1)
        if found is None:
            found = self._engines[v1] = new_engine(v1)
            for policy, place in self._policies.values():
                if policy.v1 == v1:
                    self._add(policy, place)
        return found

    def _add(self, policy: Policy, place: str) -> None:
        engine = self._engines[policy.v1]
        for module in policy.modules(place):
            engine.add_policy(module.name, module.source)
        engine.add_policy(f"hook_{place}", _HOOK.format(place=place, head=_HEADS[policy.v1]))


def new_engine(v1: bool) -> Any:
    """An engine with what OPA has besides."""
    import regorus

    engine: Any = regorus.Engine()
    engine.set_rego_v0(not v1)
    for function, arity, answer in _BUILT_IN:
        engine.add_extension(function, arity, answer)
    return engine


def explained(error: RuntimeError) -> str:
    """The engine's message in one line, in the form that OPA gives: file:line: code: text."""
    text = str(error).partition("Stack backtrace")[0].strip()
    place = _PLACE.search(text)
    if place is None:
        return " ".join(text.split())
    return f"{place['file']}:{place['line']}: rego_parse_error: {' '.join(place['text'].split())}"


def evaluation_error(error: RuntimeError) -> str:
    """The engine's message about an evaluation as OPA words it; the module of a template is called template."""
    text = explained(error)
    place = _EVALUATED.match(text)
    if place is None:
        return text
    said = next((words for start, words in _EVALUATION_ERRORS if place[2].startswith(start)), "")
    return f"template:{place[1]}: {said or f'eval_builtin_error: {place[2]}'}"


def compile_error(error: RuntimeError, source: str) -> str:
    """What OPA's compiler says of a fault that the engine finds when it evaluates; "" for one of the evaluation itself."""
    text = str(error).partition("Stack backtrace")[0].strip()
    place = _PLACE.search(text)
    if place is None:
        return ""
    if place["text"].startswith("recursion detected"):
        named = _NAME.match(source.splitlines()[int(place["line"]) - 1])
        name = f"data.template.{named[0] if named else ''}"
        return f"template:{place['line']}: rego_recursion_error: rule {name} is recursive: {name} -> {name}"
    for pattern, words in _COMPILE_ERRORS:
        found = pattern.search(place["text"])
        if found:
            line = place["line"]
            later = _LATER.search(place["text"])
            if words.startswith("rego_compile_error") and later:
                line = later[1]
            return f"{place['file']}:{line}: {words.format(*found.groups())}"
    return ""


def _re_match(pattern: str, value: str) -> bool:
    """Whether an expression is found in a value. One that does not parse matches nothing, as in OPA, which goes on."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.search(pattern, value, options) is not None
    except re2.error:
        return False


# What OPA has and the engine has not (OPA docs, "Policy reference"; some are deprecated)
_BUILT_IN = (
    ("re_match", 2, _re_match),
    ("any", 1, lambda values: any(value is True for value in values)),
    ("all", 1, lambda values: all(value is True for value in values)),
    ("crypto.md5", 1, lambda text: hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()),
    ("crypto.sha1", 1, lambda text: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()),
    ("crypto.sha256", 1, lambda text: hashlib.sha256(text.encode()).hexdigest()),
    ("cast_array", 1, lambda value: list(value) if isinstance(value, list | set | tuple) else value),
)
