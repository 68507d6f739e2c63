"""YAML as kustomize reads it (kyaml, on yaml.v3): what a rendered manifest goes through before Helm sees it again.

Unlike the API server's YAML, `yes` and `on` are strings here, and a key that is there twice is an error.
"""

from __future__ import annotations

import base64
import re
from typing import Any, ClassVar

import yaml

from azsandbox.flux import go_yaml

_PLAIN = "plain"
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?(0b[01]+|0o[0-7]+|0x[0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SEPARATOR = re.compile(r"\n---.*\n")
_UNFOLDED = 1 << 31  # columns: kyaml folds no lines


class MalformedYaml(ValueError):
    """Text that is no YAML, or no YAML that kustomize takes; the message is kyaml's."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Composes nodes and leaves plain scalars unresolved."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {None: [(_PLAIN, re.compile(r"", re.DOTALL))]}


def read_all(text: str) -> list[Any]:
    """The documents of a stream, empty ones left out. Raises MalformedYaml."""
    text = text.replace("\r\n", "\n")
    parts, start = [], 0
    for found in _SEPARATOR.finditer(text):
        after = found.group()[4:].strip()
        if after and not after.startswith("#"):
            raise MalformedYaml(f"invalid document separator: {found.group().strip()}")
        parts.append(text[start : found.start()] + "\n")
        start = found.end()
    values = [_read(part) for part in [*parts, text[start:]]]
    return [value for value in values if value is not None]


def write_all(values: list[Any]) -> str:
    """Documents as kustomize writes them: keys in order, no empty annotations, no folded lines."""
    return "---\n".join(go_yaml.write(value, _UNFOLDED) for value in values)


def _read(text: str) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_node() if loader.check_node() else None
    except yaml.YAMLError as error:
        raise MalformedYaml(f"MalformedYAMLError: {go_yaml.error_words(error)}") from None
    finally:
        loader.dispose()
    return None if node is None else _value(node)


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    found: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        if key_node.tag == _PLAIN and key_node.value == "<<":
            parts = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            for part in parts:
                merged = {**_value(part), **merged}
            continue
        key = str(key_node.value)
        line = key_node.start_mark.line + 1
        if key in lines:
            text = f'yaml: unmarshal errors:\n  line {line}: mapping key "{key}" already defined at line {lines[key]}'
            raise MalformedYaml(text)
        lines[key] = line
        found[key] = _value(value_node)
    return {**merged, **found}


def _scalar(node: yaml.ScalarNode) -> Any:
    text = node.value
    if node.tag != _PLAIN:
        kind = node.tag.rpartition(":")[2]
        if kind == "binary":
            return base64.b64decode(text).decode("utf-8", "replace")
        return _plain(text) if kind in ("int", "float", "bool", "null") else text
    return _plain(text)


def _plain(text: str) -> Any:
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text[0] in "+-.0123456789":
        digits = text.replace("_", "")
        if _INT.fullmatch(digits):
            bare = digits.lstrip("+-")
            octal = len(bare) > 1 and bare[0] == "0" and bare[1] not in "box"
            value = int(bare, 8) if octal else int(bare, 0)
            return -value if digits[0] == "-" else value
        if _FLOAT.fullmatch(digits):
            return float(digits)
    return text
