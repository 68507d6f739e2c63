"""The orders in which tags are compared, and what of a tag is compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from azsandbox.controllers.client import Object
from azsandbox.flux.semver import InvalidVersion, Range, Version
from azsandbox.patterns import PatternError, compiled

Choose = Callable[[Sequence[str]], str]
_EMPTY = "version list argument cannot be empty"
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WORD = re.compile(r"[+-]?(?:inf|infinity|nan)", re.IGNORECASE)
_HEXADECIMAL = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+")


class InvalidPolicy(ValueError):
    """A policy that nothing can be chosen by; the message is the controller's."""


class NoChoice(ValueError):
    """Tags of which none can be chosen; the message is the controller's."""


def policy(spec: Object) -> Choose:
    """What chooses the latest of several tags, by spec.policy. Raises InvalidPolicy; the choice raises NoChoice."""
    if "semver" in spec:
        return _semver(spec["semver"].get("range", ""))
    for field, choose in (("alphabetical", _alphabetical), ("numerical", _numerical)):
        if field in spec:
            order = str(spec[field].get("order") or "asc").upper()
            if order not in ("ASC", "DESC"):
                text = f"invalid policy: invalid order argument provided: '{order}', must be one of: ASC, DESC"
                raise InvalidPolicy(text)
            return choose(descending=order == "DESC")
    raise InvalidPolicy("invalid policy: given ImagePolicyChoice object is invalid")


def _semver(text: str) -> Choose:
    try:
        wanted = Range(text)
    except InvalidVersion as error:
        raise InvalidPolicy(f"invalid policy: {error}") from None

    def choose(tags: Sequence[str]) -> str:
        if not tags:
            raise NoChoice(_EMPTY)
        latest: Version | None = None
        for tag in tags:
            try:
                version = Version.parse_full(tag)
            except InvalidVersion:
                continue
            if version in wanted and (latest is None or version > latest):
                latest = version
        if latest is None:
            raise NoChoice("unable to determine latest version from provided list")
        return latest.original

    return choose


def _alphabetical(*, descending: bool) -> Choose:
    def choose(tags: Sequence[str]) -> str:
        if not tags:
            raise NoChoice(_EMPTY)
        return min(tags) if descending else max(tags)

    return choose


def _numerical(*, descending: bool) -> Choose:
    def choose(tags: Sequence[str]) -> str:
        if not tags:
            raise NoChoice(_EMPTY)
        latest, highest = "", 0.0
        for index, tag in enumerate(tags):
            number = _number(tag)
            if index and ((number > highest) if descending else (number < highest)):
                continue
            latest, highest = tag, number
        return latest

    return choose


def _number(text: str) -> float:
    """A number as Go's strconv.ParseFloat reads it. Raises NoChoice."""
    found = None
    if _NUMBER.fullmatch(text) or _WORD.fullmatch(text):
        found = float(text)
    elif _HEXADECIMAL.fullmatch(text):
        found = float.fromhex(text)
    if found is None or (abs(found) == float("inf") and not _WORD.fullmatch(text)):
        raise NoChoice(f"failed to parse invalid numeric value '{text}'")
    return found


def filtered(tags: Sequence[str], pattern: str, extract: str) -> dict[str, str]:
    """What of each tag that fits a pattern is compared, with the tag. Raises InvalidPolicy."""
    try:
        expression = compiled(pattern)
    except PatternError as error:
        text = f"failed to filter tags: invalid regular expression pattern '{pattern}': {error}"
        raise InvalidPolicy(text) from None
    found: dict[str, str] = {}
    for tag in tags:
        if not extract:
            if expression.matches(tag):
                found[tag] = tag
            continue
        part = expression.expand(tag, extract)
        if part is not None:
            found[part] = tag
    return found


def latest(tags: Sequence[str], spec: Object) -> str:
    """The latest of several tags by spec.policy and spec.filterTags. Raises InvalidPolicy and NoChoice."""
    choose = policy(spec["policy"])
    filter_ = spec.get("filterTags")
    if filter_ is None:
        return choose(tags)
    compared = filtered(tags, filter_.get("pattern", ""), filter_.get("extract", ""))
    return compared[choose(list(compared))]
