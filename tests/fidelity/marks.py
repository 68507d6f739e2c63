"""Puts a mark such as <uid> or <time> in the place of what differs from run to run.

The recorded answers hold the same marks. The order of the rules matters: a token holds what looks like a hash, a
time what looks like a name's random end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_WORD = "[bcdfghjklmnpqrstvwxz2456789]"  # the letters of generated names (apimachinery, util/rand)
_HEX = "[0-9a-f]"
_AGE = r"(?:\d+[ywdhms]){1,3}"

Rule = tuple[re.Pattern[str], str]


def _rules(*pairs: tuple[str, str]) -> list[Rule]:
    return [(re.compile(pattern), mark) for pattern, mark in pairs]


_TEXT = _rules(
    (r"/tmp/[A-Za-z][A-Za-z0-9<>_.-]*?-?\d{6,10}(?![\w.-])", "<tmp>"),
    (r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", "<jwt>"),
    (rf"\b{_HEX}{{8}}(?:-{_HEX}{{4}}){{3}}-{_HEX}{{12}}\b", "<uid>"),
    (rf"\b(?:{_HEX}{{64}}|{_HEX}{{40}})\b", "<sha>"),
    (rf"(?:(?<=@sha1:){_HEX}{{7,12}}|(?<=\d\+){_HEX}{{12}})\b|(?<=commit '){_HEX}{{7,12}}(?=')", "<sha>"),
    (r"https?://[^/\s]+/(?=(?:gitrepository|ocirepository|helmrepository|helmchart|bucket)/)", "<storage>/"),
    (r"(?<![\w.])(?:\d+h)?(?:\d+m)?\d+\.\d+(?:µs|ms|s)\b", "<duration>"),
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| ?[+-]\d\d:?\d\d(?: [A-Z]+)?)", "<time>"),
    (
        r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (?:[+-]\d{4}|[A-Z]{3})",
        "<time>",
    ),
    (rf"\.{_HEX}{{16}}\b", ".<event>"),
    (rf"-{_WORD}{{7,10}}(?=-{_WORD}{{5}}\b|\b)", "-<hash>"),
    (rf"(?<=[a-z0-9>])-{_WORD}{{5}}(?![A-Za-z0-9])", "-<rand>"),
    (r"\b(?!0\.0\.0\.0|127\.0\.0\.1|255\.)(?:\d{1,3}\.){3}\d{1,3}\b(?!/)", "<ip>"),
    (r"((?:pod-template-hash|controller-revision-hash)=)[^,\s]+", r"\1<hash>"),
    (r"(topology\.kubernetes\.io/zone=)[^,\s]+", r"\1<zone>"),
    # the scheduler counts all nodes of the cluster, of which a case knows only its own
    (r"(\b0/)\d+(?= nodes are available)", r"\1<nodes>"),
    (
        r"\b\d+(?= (?:node\(s\) didn't match Pod's node affinity/selector|node\(s\) didn't satisfy plugin"
        r"|Preemption is not helpful for scheduling))",
        "<nodes>",
    ),
    (r"(?<=hash=)[0-9A-F]{64,128}\b", "<hash>"),
    (r"(resourceVersion|resource version|ResourceVersion|Resource Version)(\W+)\d+", r"\1\2<rv>"),
    (r"(esource version: <rv>)( \(|, current: )\d+", r"\1\2<rv>"),
)
_CONSOLE = _rules(
    (r" *\t *", "  "),
    (rf"(?<![\w.-]){_AGE}(?![\w.-])", "<age>"),
    (r"\b3[0-2]\d{3}(?=/(?:TCP|UDP|SCTP)\b|: provided port is already allocated)", "<nodePort>"),
    (r"(?<=\S) {2,}", "  "),
)
_LOG_HEAD = re.compile(r"^[EWI]\d{4} [\d:.]+ +\d+ ", re.MULTILINE)
_AGE_CELL = re.compile(rf"{_AGE}|<unknown>|<invalid>")
_HASHED = {
    "pod-template-hash",
    "controller-revision-hash",
    "controller.kubernetes.io/hash",
    "pod-template-generation",
}
_COUNTED = {"nodePort", "healthCheckNodePort", "remainingItemCount"}


def _apply(rules: list[Rule], text: str) -> str:
    for pattern, mark in rules:
        text = pattern.sub(mark, text)
    return text


class Marks:
    """Marks for the answers of one run.

    `word` is the run's own, `server` the API server's URL, `fixtures` the address of what Flux fetches from.
    """

    def __init__(self, word: str, server: str, nodes: Iterable[str], fixtures: str = "") -> None:
        self.literal = [(word, "<id>"), (server, "<server>"), (server.partition("://")[2], "<host>")]
        if fixtures:
            self.literal.append((fixtures, "<fixtures>"))
        names = "|".join(re.escape(name) for name in sorted(nodes, key=len, reverse=True))
        self.nodes = re.compile(rf"(?<![\w.-])(?:{names})(?![\w.-])") if names else None

    def text(self, text: str) -> str:
        for found, mark in self.literal:
            text = text.replace(found, mark)
        if self.nodes:
            text = self.nodes.sub("<node>", text)
        return _apply(_TEXT, text)

    def console(self, text: str) -> str:
        """A command's output: ages besides, and column gaps of any width as two spaces."""
        return "\n".join(_apply(_CONSOLE, line).rstrip() for line in self.text(text).splitlines())

    def errors(self, text: str) -> str:
        """As `console`; the heads of log lines are marked too."""
        return self.console(_LOG_HEAD.sub("<log> ", text))

    def value(self, value: Any, key: str = "") -> Any:
        """A JSON value found under `key`."""
        if isinstance(value, dict):
            if "digest" in value and isinstance(value.get("size"), int):
                value = {**value, "size": "<size>"}  # of an archive
            return {self.text(name): self.value(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return self._items([self.value(item, key) for item in value], key)
        if isinstance(value, str):
            return self._string(value, key)
        return f"<{key}>" if key in _COUNTED and value else value

    def _items(self, items: list[Any], key: str) -> list[Any]:
        if key.endswith("cells"):
            return ["<age>" if isinstance(item, str) and _AGE_CELL.fullmatch(item) else item for item in items]
        if key == "conditions" and all(isinstance(item, dict) for item in items):
            return sorted(items, key=lambda item: str(item.get("type")))
        if key.rpartition(".")[2] == "managedFields":
            return sorted(items, key=lambda item: [str(item.get(k)) for k in ("manager", "operation", "subresource")])
        return items

    def _string(self, value: str, key: str) -> str:
        if key == "resourceVersion" and value not in ("", "0"):
            return "<rv>"
        if key == "continue" and value:
            return "<continue>"
        if key in _HASHED:
            return "<hash>"
        if key == "topology.kubernetes.io/zone" and value:
            return "<zone>"
        return self.text(value)
