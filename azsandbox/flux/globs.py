"""Globs of names, as Go has them (path/filepath, Match)."""

from __future__ import annotations

import re
from functools import lru_cache


def glob_matches(glob: str, name: str) -> bool:
    """Whether a name fits a glob without "/" (Go's filepath.Match); never for a malformed one."""
    pattern = _compiled(glob)
    return bool(pattern and pattern.fullmatch(name))


def expression(glob: str) -> str:
    """The regular expression of a glob, empty for a malformed one."""
    pattern = _compiled(glob)
    return pattern.pattern if pattern else ""


def is_glob(text: str) -> bool:
    """Whether a glob is well-formed."""
    return _compiled(text) is not None


@lru_cache(maxsize=4096)
def _compiled(glob: str) -> re.Pattern[str] | None:
    """The regular expression of a glob, None for a malformed one."""
    out, at = [""], 0  # what stands between the stars
    while at < len(glob):
        character = glob[at]
        at += 1
        if character == "*":
            out.append("")
        elif character == "?":
            out[-1] += "[^/]"
        elif character == "[":
            found, at = _class(glob, at)
            if not found:
                return None
            out[-1] += found
        elif character == "\\":
            if at == len(glob):
                return None
            out[-1] += re.escape(glob[at])
            at += 1
        else:
            out[-1] += re.escape(character)
    # What comes first after a star will do for all but the last of them, so they are never tried again (as in fnmatch)
    first, *between = out
    parts = [first, *(f"(?>[^/]*?{part})" for part in between[:-1]), *(f"[^/]*{part}" for part in between[-1:])]
    return re.compile("".join(parts), re.DOTALL)


def _class(glob: str, at: int) -> tuple[str, int]:
    """The character class that begins at `at`, after its "[", and where it ends; "" for a malformed one."""
    negated = glob[at : at + 1] == "^"
    at += negated
    ranges: list[tuple[str, str]] = []
    while at < len(glob):
        if glob[at] == "]" and ranges:
            members = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in ranges if low <= high)
            if not members:  # only ranges like z-a, which hold no character
                return ("[^/]" if negated else "(?!)"), at + 1
            return f"[{'^' if negated else ''}{members}]", at + 1
        low, at = _member(glob, at)
        high = low
        if glob[at : at + 1] == "-":
            high, at = _member(glob, at + 1)
        if not low or not high:
            return "", at
        ranges.append((low, high))
    return "", at


def _member(glob: str, at: int) -> tuple[str, int]:
    """One character of a class and where it ends; "" where there is none."""
    if at >= len(glob) or glob[at] in "-]":
        return "", at
    if glob[at] == "\\":
        return glob[at + 1 : at + 2], at + 2
    return glob[at], at + 1
