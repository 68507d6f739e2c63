"""Warnings as headers of an answer. Rules: k8s.io/apiserver, pkg/endpoints/filters/warning.go."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_ALL, _EACH = 4 * 1024, 256  # characters of all warnings together, and of each once they are more than that


def headers(warnings: Iterable[str]) -> list[str]:
    """Values of Warning headers. What cannot stand in a header is left out, what is too long is cut."""
    texts = [text for text in dict.fromkeys(warnings) if text and not _has_control(text)]
    if sum(map(len, texts)) <= _ALL:
        return [_quoted(text) for text in texts]
    found: list[str] = []
    written = 0
    for text in texts:
        if written >= _ALL:
            break
        found.append(_quoted(text[:_EACH]))
        written += min(len(text), _EACH)
    return found


def _has_control(text: str) -> bool:
    return not text.isprintable() and any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{escaped}"'
