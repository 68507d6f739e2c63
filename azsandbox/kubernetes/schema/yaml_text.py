"""YAML as the API server reads it: go-yaml's rules for plain scalars, turned into JSON values.

Differences to PyYAML: `y` and `n` are booleans, `1e3` is a number, dates and `1:30` are strings, keys become strings.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any, ClassVar

import yaml

from azsandbox.kubernetes.schema.json_text import number

MAX_DEPTH = 10_000  # of lists and mappings in each other (go-yaml, max_flow_level)
MAX_NODES = 400_000  # go-yaml refuses documents whose aliases expand beyond proportion

_PLAIN = "plain"
_ALIAS = re.compile(r"\*([\w-]+)")
_ANCHOR = re.compile(r"&([\w-]+)")
_TOO_DEEP = "yaml: exceeded max depth of 10000"
_CONVERTING = "error converting YAML to JSON: "
_UNMARSHAL = "yaml: unmarshal errors:\n"
_CORE = "tag:yaml.org,2002:"
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_TRUE = frozenset(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"))
_FALSE = frozenset(("n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"))
_NOT_FINITE = frozenset((".inf", "+.inf", "-.inf", ".nan"))
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INT = re.compile(r"[-+]?(0b[01]+|0x[0-9a-fA-F]+|0o?[0-7]+|0|[1-9][0-9]*)")


_ODD = re.compile(r"[\t\x7f]|\\u[dD]|\\/")
_LONG_KEY = 150  # a key of YAML must end within 1024 characters, which six for each escape may be


class BadYaml(ValueError):
    """The text is no YAML; the message is go-yaml's."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Composes nodes and leaves plain scalars unresolved."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {None: [(_PLAIN, re.compile(r"", re.DOTALL))]}


def parse(body: bytes) -> tuple[Any, list[str]]:
    """The JSON value of a YAML document, and the errors that only a strict decoder would make of it.

    Raises BadYaml.
    """
    text = _text(body)
    if text.startswith("{"):
        found = _json(text)
        if found is not None:
            return found, []
    node = _first(text)
    if node is None:
        return None, []
    reader = _Reader(text)
    try:
        value = reader.value(node)
    except RecursionError:
        raise BadYaml(_TOO_DEEP) from None
    if not reader.repeated:
        return value, []
    lines = "\n".join(f"  {text}" for text in reader.repeated)
    return value, [f"{_UNMARSHAL}{lines}"]


class _NotSimple(Exception):
    """JSON that YAML may read in another way."""


def _json(text: str) -> dict[str, Any] | None:
    """An object of JSON which YAML reads as the same; None for all else, of which only the YAML reader knows.

    What clients send to be applied is nearly always JSON, and composing YAML takes several times as long. Not taken are
    text beyond ASCII, tabs, escaped surrogates and slashes, numbers that are no small integers, and names that are repeated
    or too long for a key.
    """
    if not text.isascii() or _ODD.search(text):
        return None
    try:
        return dict(
            json.loads(text, object_pairs_hook=_pairs, parse_float=_refuse, parse_int=_small, parse_constant=_refuse)
        )
    except (ValueError, RecursionError, _NotSimple):
        return None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs) or any(len(key) > _LONG_KEY for key in found):
        raise _NotSimple
    return found


def _small(digits: str) -> int:
    if len(digits) > 18 or digits == "-0":
        raise _NotSimple
    return int(digits)


def _refuse(_: str) -> Any:
    raise _NotSimple


def _text(body: bytes) -> str:
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if body.startswith(mark):
            return body[2:].decode(encoding, "replace")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise BadYaml(f"yaml: {_OCTETS.get(error.reason, error.reason)}") from None


def _first(text: str) -> yaml.Node | None:
    """The first document of a text, None if there is none. Others are not looked at."""
    try:
        if text.count("[") + text.count("{") > MAX_DEPTH:
            _check_depth(text)
        loader = _Loader(text)
        try:
            return loader.get_node() if loader.check_node() else None
        finally:
            loader.dispose()
    except yaml.reader.ReaderError:
        raise BadYaml("yaml: control characters are not allowed") from None
    except RecursionError:
        raise BadYaml(_TOO_DEEP) from None
    except yaml.YAMLError as error:
        raise BadYaml(_words(error, text)) from None


def _check_depth(text: str) -> None:
    """Raises BadYaml for what is nested too deeply, at that depth: libyaml's time grows with its square."""
    loader, depth = _Loader(text), 0
    try:
        while loader.check_event():
            event = loader.get_event()
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise BadYaml(_TOO_DEEP)
            if isinstance(event, yaml.DocumentEndEvent):
                return
    finally:
        loader.dispose()


def warnings(error: str) -> list[str]:
    """An error of strict decoding as warnings: one for each line that go-yaml complains of."""
    text = error.removeprefix(_CONVERTING).removeprefix(_UNMARSHAL)
    return [line.strip() for line in text.split("\n")]


# Python's words for broken UTF-8 as go-yaml's
_OCTETS = {
    "invalid start byte": "invalid leading UTF-8 octet",
    "invalid continuation byte": "invalid trailing UTF-8 octet",
    "unexpected end of data": "incomplete UTF-8 octet sequence",
}


def _words(error: yaml.YAMLError, text: str) -> str:
    problem = getattr(error, "problem", None) or str(error)
    if problem == "found undefined alias":
        found = _ALIAS.match(text, error.problem_mark.index)  # type: ignore[attr-defined]
        return f"yaml: unknown anchor '{found.group(1) if found else ''}' referenced"
    for mark in (getattr(error, "problem_mark", None), getattr(error, "context_mark", None)):
        if mark is not None and mark.line:
            line = mark.line + isinstance(error, yaml.scanner.ScannerError)  # the parser's lines count from zero
            return f"yaml: line {line}: {problem}"
    return f"yaml: {problem}"


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.repeated: list[str] = []
        self.nodes = 0
        self.within: set[int] = set()  # nodes on the way here

    def value(self, node: yaml.Node) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise BadYaml("yaml: document contains excessive aliasing")
        if isinstance(node, yaml.ScalarNode):
            return scalar(node)
        if id(node) in self.within:
            found = _ANCHOR.match(self.text, node.start_mark.index)
            raise BadYaml(f"yaml: anchor '{found.group(1) if found else ''}' value contains itself")
        self.within.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item) for item in node.value]
            assert isinstance(node, yaml.MappingNode)
            return self._mapping(node)
        finally:
            self.within.discard(id(node))

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag == _PLAIN and key_node.value == "<<":
                parts = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for part in parts:
                    if not isinstance(part, yaml.MappingNode):
                        raise BadYaml("yaml: map merge requires map or sequence of maps as the value")
                    merged = {**self._mapping(part), **merged}
                continue
            key = self._key(key_node)
            if key in found:
                self.repeated.append(f'line {key_node.start_mark.line + 1}: key "{key}" already set in map')
            found[key] = self.value(value_node)
        return {**merged, **found} if merged else found

    def _key(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise BadYaml(f"yaml: invalid map key: {_in_go(self.value(node))}")
        key = scalar(node)
        if key is None:
            return "null"
        return str(key).lower() if isinstance(key, bool) else str(key)


def _in_go(value: Any) -> str:
    """A value as Go's %#v writes it."""
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(_in_go, value))}}}"
    if isinstance(value, dict):
        items = ", ".join(f"{_in_go(key)}:{_in_go(item)}" for key, item in value.items())
        return f"map[interface {{}}]interface {{}}{{{items}}}"
    if value is None:
        return "interface {}(nil)"
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)


def scalar(node: yaml.ScalarNode) -> Any:
    """The value of a scalar."""
    text = node.value
    tag = node.tag
    if tag == _PLAIN:
        return plain(text)
    if tag == _CORE + "binary":
        try:
            return base64.b64decode(text, validate=True).decode("utf-8", "replace")
        except ValueError:
            raise BadYaml("yaml: !!binary value contains invalid base64 data") from None
    if tag in (_CORE + "int", _CORE + "float", _CORE + "bool", _CORE + "null"):
        value = plain(text)
        if isinstance(value, str):
            raise BadYaml(
                f"yaml: line {node.start_mark.line + 1}: cannot decode !!str `{text}` as a !!{tag.rpartition(':')[2]}"
            )
        return value
    return text


def resolves_to_text(text: str) -> bool:
    """Whether a plain scalar is read as the text that it is."""
    return text != "<<" and text.lower() not in _NOT_FINITE and isinstance(plain(text), str)


def plain(text: str) -> Any:
    """What a plain scalar means: itself, or a number, a boolean, null."""
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if text[0] in "+-.0123456789":
        digits = text.replace("_", "")
        if _INT.fullmatch(digits):
            return _integer(digits)
        if _FLOAT.fullmatch(digits):
            return number(float(digits))
    return text


def _integer(digits: str) -> int | float:
    sign = -1 if digits[0] == "-" else 1
    bare = digits.lstrip("+-")
    if bare[:2] in ("0b", "0x", "0o"):
        value = sign * int(bare, 0)
    elif len(bare) > 1 and bare[0] == "0":
        value = sign * int(bare, 8)
    else:
        value = sign * int(bare)
    return value if -(2**63) <= value < 2**64 else number(float(value))
