"""Commits and tags, parsed from what git stores of them."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

OBJECT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
ZERO = "0" * 40

_PERSON = re.compile(r"(.*?) ?<(.*?)> (-?\d+) ([+-]\d{4})")


@dataclass(frozen=True)
class Person:
    """Who wrote or made a commit, and when (seconds since 1970, and minutes east of UTC)."""

    name: str
    email: str
    seconds: int
    offset: int = 0

    @property
    def date(self) -> str:
        """The time in UTC, as GitHub's REST API writes it."""
        return dt.datetime.fromtimestamp(self.seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def local_date(self) -> str:
        """The time in the person's own zone, as web hooks write it."""
        zone = dt.timezone(dt.timedelta(minutes=self.offset))
        text = dt.datetime.fromtimestamp(self.seconds, zone).isoformat(timespec="seconds")
        return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


@dataclass(frozen=True)
class Commit:
    """What a commit says of itself. `signature` is "" when it is unsigned; `payload` is what was signed."""

    id: str
    tree: str
    parents: tuple[str, ...]
    author: Person
    committer: Person
    message: str
    signature: str = ""
    payload: str = ""


@dataclass(frozen=True)
class Tag:
    """An annotated tag."""

    id: str
    target: str
    target_type: str
    name: str
    tagger: Person
    message: str


def parse_commit(id_: str, raw: bytes) -> Commit:
    """A commit from the bytes of its object."""
    headers, message, charset = _split(raw)
    text = message.decode(charset, "replace")
    signature = headers.get(b"gpgsig", [b""])[0].decode("utf-8", "replace")
    return Commit(
        id_,
        headers[b"tree"][0].decode(),
        tuple(parent.decode() for parent in headers.get(b"parent", ())),
        _person(headers[b"author"][0], charset),
        _person(headers[b"committer"][0], charset),
        text.rstrip("\n"),
        signature,
        _unsigned(raw).decode("utf-8", "replace") if signature else "",
    )


def parse_tag(id_: str, raw: bytes) -> Tag:
    """An annotated tag from the bytes of its object."""
    headers, message, charset = _split(raw)
    return Tag(
        id_,
        headers[b"object"][0].decode(),
        headers[b"type"][0].decode(),
        headers[b"tag"][0].decode(charset, "replace"),
        _person(headers.get(b"tagger", [b" <> 0 +0000"])[0], charset),
        message.decode(charset, "replace").rstrip("\n"),
    )


def _split(raw: bytes) -> tuple[dict[bytes, list[bytes]], bytes, str]:
    """Headers (a value may go on over lines that begin with a space), message, and the message's character set."""
    head, _, message = raw.partition(b"\n\n")
    headers: dict[bytes, list[bytes]] = {}
    last: list[bytes] = []
    for line in head.split(b"\n"):
        if line.startswith(b" ") and last:
            last[-1] += b"\n" + line[1:]
            continue
        name, _, value = line.partition(b" ")
        last = headers.setdefault(name, [])
        last.append(value)
    charset = headers.get(b"encoding", [b"utf-8"])[0].decode("latin-1")
    try:
        b"".decode(charset)
    except LookupError:
        charset = "latin-1"
    return headers, message, charset


def _unsigned(raw: bytes) -> bytes:
    """The object without its signature."""
    head, separator, message = raw.partition(b"\n\n")
    return re.sub(rb"\ngpgsig [^\n]*(?:\n [^\n]*)*", b"", head) + separator + message


def _person(value: bytes, charset: str) -> Person:
    found = _PERSON.fullmatch(value.decode(charset, "replace"))
    if found is None:
        return Person("", "", 0)
    name, email, seconds, zone = found.groups()
    minutes = int(zone[1:3]) * 60 + int(zone[3:5])
    return Person(name, email, int(seconds), -minutes if zone[0] == "-" else minutes)
