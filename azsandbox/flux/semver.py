"""Semantic versions and ranges of them, by the rules of the library that Flux and Helm use (Masterminds/semver v3).

A range is groups joined by `||`, of constraints joined by spaces or commas: `>=1.2 <2`, `~1.2`, `^0.3`, `1.x`,
`1.2 - 1.4`. A group takes pre-releases only if one of its constraints names one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import total_ordering

from azsandbox.flux.quoting import quoted

LONGEST_VERSION, LONGEST_RANGE, MOST_GROUPS = 256, 512, 32

_TAIL = r"(?:-([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?(?:\+([0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*))?"
_VERSION = re.compile(r"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?" + _TAIL)
_PART = r"[0-9xX*|]+"
_PARTIAL = rf"v?({_PART})(?:\.({_PART}))?(?:\.({_PART}))?" + _TAIL
_CONSTRAINT = re.compile(rf"\s*(!=|>=|=>|<=|=<|~>|=|>|<|~|\^|)\s*({_PARTIAL})")
_SEPARATOR = re.compile(r"\s*(,?)\s*")
_HYPHEN = re.compile(rf"\s*({_PARTIAL})\s+-\s+({_PARTIAL})\s*")


class InvalidVersion(ValueError):
    """Text that is no version, or no range. The message is the library's."""


@total_ordering
@dataclass(frozen=True, eq=False)
class Version:
    """One version; what follows "+" counts for nothing when two are compared."""

    major: int
    minor: int
    patch: int
    pre: str = ""
    metadata: str = ""
    original: str = ""

    @classmethod
    def parse(cls, text: str) -> Version:
        """A version such as 1.2.3-rc.1+build, also with a leading v or without its last parts. InvalidVersion."""
        if len(text) > LONGEST_VERSION:
            raise InvalidVersion(f"version string is too long (max {LONGEST_VERSION} bytes)")
        found = _VERSION.fullmatch(text)
        if not found:
            raise InvalidVersion("invalid semantic version")
        major, minor, patch, pre, metadata = found.groups()
        for part in (pre or "").split("."):
            if len(part) > 1 and part.isdigit() and part[0] == "0":
                raise InvalidVersion("version segment starts with 0")
        return cls(int(major), int(minor or 0), int(patch or 0), pre or "", metadata or "", text)

    @classmethod
    def parse_full(cls, text: str) -> Version:
        """As `parse`, but with all three parts, which Flux wants of tags (fluxcd/pkg/version)."""
        if text.count(".") < 2:
            raise InvalidVersion("invalid semantic version")
        return cls.parse(text)

    @property
    def numbers(self) -> tuple[int, int, int]:
        return self.major, self.minor, self.patch

    def compare(self, other: Version) -> int:
        """Below, equal to or above 0 as this version is lower, equal or higher."""
        if self.numbers != other.numbers:
            return 1 if self.numbers > other.numbers else -1
        return compare_pre_releases(self.pre, other.pre)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.compare(other) == 0

    def __lt__(self, other: Version) -> bool:
        return self.compare(other) < 0

    def __hash__(self) -> int:
        return hash((self.numbers, self.pre))

    def __str__(self) -> str:
        text = ".".join(map(str, self.numbers))
        return text + (f"-{self.pre}" if self.pre else "") + (f"+{self.metadata}" if self.metadata else "")


def compare_pre_releases(one: str, other: str) -> int:
    """Below, equal to or above 0; none is higher than any."""
    if not one or not other:
        return bool(other) - bool(one)
    ones, others = one.split("."), other.split(".")
    for a, b in zip(ones, others, strict=False):
        if a == b:
            continue
        if a.isdigit() and b.isdigit():
            return 1 if int(a) > int(b) else -1
        if a.isdigit() != b.isdigit():
            return -1 if a.isdigit() else 1
        return 1 if a > b else -1
    return (len(ones) > len(others)) - (len(ones) < len(others))


@dataclass(frozen=True)
class _Constraint:
    operator: str
    version: Version
    any_minor: bool = False  # 1, 1.x
    any_patch: bool = False  # 1.2, 1.2.x
    dirty: bool = False  # some part is left open

    def check(self, version: Version, with_pre: bool) -> bool:
        if version.pre and not with_pre:
            return False
        return _CHECKS[self.operator](self, version)

    def _equal(self, version: Version) -> bool:
        return self._tilde(version) if self.dirty else version == self.version

    def _not_equal(self, version: Version) -> bool:
        if self.dirty:
            if version.major != self.version.major:
                return True
            if version.minor != self.version.minor and not self.any_minor:
                return True
            if self.any_minor:
                return False
            if version.patch != self.version.patch and not self.any_patch:
                return True
            if self.any_patch:
                return compare_pre_releases(version.pre, self.version.pre) != 0
        return version != self.version

    def _greater(self, version: Version) -> bool:
        if not self.dirty or version.major != self.version.major:
            return version > self.version if not self.dirty else version.major > self.version.major
        if self.any_minor:
            return False
        if self.any_patch:
            return version.minor > self.version.minor
        return version > self.version

    def _less(self, version: Version) -> bool:
        return version < self.version

    def _at_least(self, version: Version) -> bool:
        return version >= self.version

    def _at_most(self, version: Version) -> bool:
        if not self.dirty:
            return version <= self.version
        if version.major != self.version.major:
            return version.major < self.version.major
        return self.any_minor or version.minor <= self.version.minor

    def _tilde(self, version: Version) -> bool:
        if version < self.version:
            return False
        if self.version.numbers == (0, 0, 0) and not self.any_minor and not self.any_patch:
            return True
        if version.major != self.version.major:
            return False
        return self.any_minor or version.minor == self.version.minor

    def _caret(self, version: Version) -> bool:
        if version < self.version:
            return False
        if self.version.major > 0 or self.any_minor or version.major != self.version.major:
            return version.major == self.version.major
        if self.version.minor > 0 or self.any_patch or version.minor != self.version.minor:
            return version.minor == self.version.minor
        return version.patch == self.version.patch


_CHECKS = {
    "": _Constraint._equal,
    "=": _Constraint._equal,
    "!=": _Constraint._not_equal,
    ">": _Constraint._greater,
    "<": _Constraint._less,
    ">=": _Constraint._at_least,
    "=>": _Constraint._at_least,
    "<=": _Constraint._at_most,
    "=<": _Constraint._at_most,
    "~": _Constraint._tilde,
    "~>": _Constraint._tilde,
    "^": _Constraint._caret,
}


class Range:
    """A range of versions. Raises InvalidVersion for text that is none."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST_RANGE:
            raise InvalidVersion(f"constraint string is too long (max {LONGEST_RANGE} bytes)")
        self.text = text
        groups = _HYPHEN.sub(lambda m: f">= {m[1]}, <= {m[7]} ", text).split("||")
        if len(groups) > MOST_GROUPS:
            raise InvalidVersion(f"too many constraint groups (max {MOST_GROUPS})")
        self._groups = [_group(group) for group in groups]

    def __contains__(self, version: Version) -> bool:
        return any(
            all(constraint.check(version, any(c.version.pre for c in group)) for constraint in group)
            for group in self._groups
        )

    def choose(self, texts: Iterable[str]) -> list[Version]:
        """Those of `texts` that are full versions in the range, lowest first."""
        found = []
        for text in texts:
            try:
                version = Version.parse_full(text)
            except InvalidVersion:
                continue
            if version in self:
                found.append(version)
        return sorted(found)


def _group(text: str) -> list[_Constraint]:
    found, at = [], 0
    while True:
        match = _CONSTRAINT.match(text, at)
        if not match:
            raise InvalidVersion(f"improper constraint: {quoted(text)}")
        found.append(_constraint(match))
        separator = _SEPARATOR.match(text, match.end())
        at = separator.end() if separator else match.end()
        if at == len(text) and not (separator and separator[1]):
            return found
        if at == match.end():
            raise InvalidVersion(f"improper constraint: {quoted(text)}")


def _constraint(match: re.Match[str]) -> _Constraint:
    operator, _, major, minor, patch, pre, _ = match.groups()
    suffix = f"-{pre}" if pre else ""
    try:
        if major in _OPEN:
            return _Constraint(operator, Version.parse(f"0.0.0{suffix}"), dirty=True)
        if minor in _OPEN:
            return _Constraint(operator, Version.parse(f"{major}.0.0{suffix}"), any_minor=True, dirty=True)
        if patch in _OPEN:
            return _Constraint(operator, Version.parse(f"{major}.{minor}.0{suffix}"), any_patch=True, dirty=True)
        return _Constraint(operator, Version.parse(f"{major}.{minor}.{patch}{suffix}"))
    except InvalidVersion:
        raise InvalidVersion("constraint parser error") from None


_OPEN = (None, "x", "X", "*")
