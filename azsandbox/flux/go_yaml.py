"""YAML as Go programs write it (go-yaml v2): what digests of values and rendered manifests are made of.

PyYAML's emitter and go-yaml's are both libyaml's; what differs is which strings get quotes and how a number looks.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_WIDTH = 80  # columns after which go-yaml folds a plain or quoted scalar
_LAST_PRINTABLE = "\uffff"  # go-yaml escapes what UTF-8 takes four bytes for
_TEXT = "tag:yaml.org,2002:str"
_BASE60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INT = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]*|[1-9][0-9]*)")
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
    r"([Tt][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]+)?(Z|[-+][0-9]{2}:[0-9]{2})| [0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]+)?)?"
)
_WORDS = frozenset(
    [
        "y",
        "Y",
        "yes",
        "Yes",
        "YES",
        "on",
        "On",
        "ON",
        "true",
        "True",
        "TRUE",
        "n",
        "N",
        "no",
        "No",
        "NO",
        "off",
        "Off",
        "OFF",
        "false",
        "False",
        "FALSE",
        "~",
        "null",
        "Null",
        "NULL",
        "<<",
        ".nan",
        ".NaN",
        ".NAN",
        ".inf",
        ".Inf",
        ".INF",
        "+.inf",
        "+.Inf",
        "+.INF",
        "-.inf",
        "-.Inf",
        "-.INF",
    ]
)


class _Dumper(yaml.SafeDumper):
    """Every scalar is a text that was made here, so that PyYAML adds neither tags nor quotes of its own."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def analyze_scalar(self, scalar: str) -> Any:
        analysis = super().analyze_scalar(scalar)
        if any(character > _LAST_PRINTABLE for character in scalar):
            analysis.allow_flow_plain = analysis.allow_block_plain = False
            analysis.allow_single_quoted = analysis.allow_block = False
        return analysis


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else '"' if is_ambiguous(text) else None
    return dumper.represent_scalar(_TEXT, text, style=style)


_Dumper.yaml_implicit_resolvers = {None: [(_TEXT, re.compile("", re.DOTALL))]}
_Dumper.add_representer(str, _text)
_Dumper.add_representer(int, lambda dumper, value: dumper.represent_scalar(_TEXT, str(value)))
_Dumper.add_representer(float, lambda dumper, value: dumper.represent_scalar(_TEXT, go_float(value)))
_Dumper.add_representer(bool, lambda dumper, value: dumper.represent_scalar(_TEXT, "true" if value else "false"))
_Dumper.add_representer(type(None), lambda dumper, _: dumper.represent_scalar(_TEXT, "null"))


def write(value: Any, width: int = _WIDTH) -> str:
    """A JSON value as YAML, keys in order; lines are folded after `width` columns."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=True, default_flow_style=False, allow_unicode=True, width=width
    )
    return text.removesuffix("...\n")


def is_ambiguous(text: str) -> bool:
    """Whether a string would be read as something else if it had no quotes."""
    if not text or text in _WORDS:
        return True
    if text[0] not in "+-.0123456789":
        return False
    digits = text.replace("_", "")
    return bool(_INT.fullmatch(digits) or _FLOAT.fullmatch(digits) or _BASE60.fullmatch(text) or _DATE.fullmatch(text))


def go_float(value: float) -> str:
    """A number as strconv.FormatFloat(v, 'g', -1, 64) writes it; a whole one as an integer (sigs.k8s.io/yaml)."""
    if value.is_integer() and -(2**63) <= value < 2**64:
        return str(int(value))
    power = int(f"{value:e}".partition("e")[2])
    if -4 <= power < 6:
        return repr(value)
    digits = repr(abs(value)).partition("e")[0].replace(".", "").strip("0")
    point = "." if len(digits) > 1 else ""
    return f"{'-' if value < 0 else ''}{digits[0]}{point}{digits[1:]}e{'-' if power < 0 else '+'}{abs(power):02d}"


def error_words(error: yaml.YAMLError) -> str:
    """An error of reading as go-yaml v3 words it: the line is that of the context where there is one.

    The scanner counts lines from zero; the parser has gone one line further when it complains.
    """
    problem = getattr(error, "problem", None) or str(error)
    for mark in (getattr(error, "context_mark", None), getattr(error, "problem_mark", None)):
        if mark is not None and mark.line:
            return f"yaml: line {mark.line + isinstance(error, yaml.scanner.ScannerError)}: {problem}"
    return f"yaml: {problem}"
