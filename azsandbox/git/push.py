"""Pushes: what a client asks for, what became of it, and how a refusal is told to git.

A push begins with lines of `old new reference`, framed as packets (gitprotocol-pack). They are read on their way to
git, so that changes which a rule refuses are left out. What git reports of the others is read on its way back, so that
the host knows what was pushed, and the client what was refused.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

_COMMAND = re.compile(rb"([0-9a-f]{40}(?:[0-9a-f]{24})?) ([0-9a-f]{40}(?:[0-9a-f]{24})?) ([^\0\n]+)")
_LIMIT = 4 * 1024 * 1024  # bytes of commands: some 40,000 references
_SIDEBAND = 1000 - 5  # bytes of data in a packet, which the older side-band takes too
HEADS, TAGS = "refs/heads/", "refs/tags/"


@dataclass(frozen=True)
class Change:
    """One reference that a push moves. Ids are of zeros where there was, or will be, none."""

    old: str
    new: str
    reference: str

    @property
    def branch(self) -> str | None:
        """The name of the branch, None for tags and others."""
        return self.reference.removeprefix(HEADS) if self.reference.startswith(HEADS) else None

    @property
    def created(self) -> bool:
        return not self.old.strip("0")

    @property
    def deleted(self) -> bool:
        return not self.new.strip("0")


@dataclass(frozen=True)
class Push:
    """A push that was done: the references that moved, and the login of who pushed."""

    owner: str
    repository: str
    changes: tuple[Change, ...]
    pusher: str

    @property
    def full_name(self) -> str:
        """Owner and repository, as `contoso/gitops`."""
        return f"{self.owner}/{self.repository}"


@dataclass
class Commands:
    """Reads the commands from the beginning of a push, chunk by chunk."""

    compressed: bool = False
    changes: list[Change] = field(default_factory=list)
    capabilities: frozenset[str] = frozenset()
    complete: bool = False

    def __post_init__(self) -> None:
        self._buffer = b""
        self._others: list[bytes] = []  # `shallow …`
        self._named = b""
        self._inflate = zlib.decompressobj(31) if self.compressed else None

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes of the body. Raises ValueError for what is no push."""
        self._buffer += self.plain(chunk)
        while not self.complete and len(self._buffer) >= 4:
            size = int(self._buffer[:4], 16)
            if size == 0:
                self.complete = True
                self._buffer = self._buffer[4:]
                return
            if size < 4 or len(self._buffer) > _LIMIT:
                raise ValueError("the push does not begin with packets of commands")
            if len(self._buffer) < size:
                return
            self._line(self._buffer[4:size])
            self._buffer = self._buffer[size:]

    def plain(self, chunk: bytes) -> bytes:
        """A chunk of the body, decompressed if the body is. Raises ValueError."""
        if self._inflate is None:
            return chunk
        try:
            return self._inflate.decompress(chunk)
        except zlib.error as error:
            raise ValueError(f"the body is no gzip: {error}") from None

    def kept(self, without: set[str]) -> bytes:
        """The commands without those of some references, and what was read of the body beyond them."""
        changes = [change for change in self.changes if change.reference not in without]
        lines = list(self._others)
        for number, change in enumerate(changes):
            line = f"{change.old} {change.new} {change.reference}".encode("utf-8", "surrogateescape")
            lines.append(line + b"\0" + self._named if number == 0 and self._named else line)
        return b"".join(packet(line) for line in lines) + (b"0000" if self.complete else b"") + self._buffer

    def _line(self, line: bytes) -> None:
        command, _, capabilities = line.partition(b"\0")
        if capabilities:
            self._named = capabilities
            self.capabilities = frozenset(capabilities.decode("utf-8", "replace").split())
        found = _COMMAND.fullmatch(command.rstrip(b"\n"))
        if found is None:
            self._others.append(line)
        else:
            old, new, reference = (part.decode("utf-8", "surrogateescape") for part in found.groups())
            self.changes.append(Change(old, new, reference))


class Report:
    """Passes git's answer to a push on, and puts in what the host has to say.

    `refused` maps references that git was not asked about to the reason for each; `message` is shown to the user;
    `renamed` are references whose refusal by git's hook is given `reason`.
    """

    def __init__(
        self,
        commands: Commands,
        refused: Mapping[str, str] | None = None,
        message: str = "",
        renamed: frozenset[str] = frozenset(),
        reason: str = "",
    ) -> None:
        self._commands, self._refused, self._message = commands, refused or {}, message
        self._renamed, self._reason = renamed, reason
        # git adds this to what its hook said; GitHub does not
        self._unsaid = {f"error: hook declined to update {ref}\n".encode("utf-8", "surrogateescape") for ref in renamed}
        self._banded = bool(commands.capabilities & {"side-band-64k", "side-band"})
        self._reports = bool(commands.capabilities & {"report-status", "report-status-v2"})
        self._buffer = b""
        self._status = b""
        self.accepted: tuple[Change, ...] = ()

    def feed(self, chunk: bytes) -> bytes:
        """Takes a part of git's answer and gives what can go to the client now. Raises ValueError."""
        if not self._banded:
            self._status += chunk
            return b""
        self._buffer += chunk
        out = b""
        while len(self._buffer) >= 4:
            size = int(self._buffer[:4], 16)
            if size < 5:  # a flush: told at the end
                self._buffer = self._buffer[4:]
                continue
            if len(self._buffer) < size:
                break
            band, data = self._buffer[4], self._buffer[5:size]
            if band == 1:
                self._status += data
            elif data not in self._unsaid:
                out += self._buffer[:size]
            self._buffer = self._buffer[size:]
        return out

    def end(self) -> bytes:
        """The rest of the answer, when git has said all. `accepted` holds what git did from now on."""
        lines = list(_packets(self._status)) or ([b"unpack ok\n"] if self._refused else [])
        done = {line[3:].rstrip(b"\n").decode("utf-8", "surrogateescape") for line in lines if line.startswith(b"ok ")}
        self.accepted = tuple(change for change in self._commands.changes if change.reference in done)
        told = [self._worded(line) for line in lines]
        for reference, reason in self._refused.items():
            told.append(f"ng {reference} {reason}\n".encode("utf-8", "surrogateescape"))
        status = b"".join(packet(line) for line in told) + b"0000" if told and self._reports else b""
        if not self._banded:
            return status
        return _in_band(2, self._message.encode("utf-8", "surrogateescape")) + _in_band(1, status) + b"0000"

    def _worded(self, line: bytes) -> bytes:
        found = re.fullmatch(rb"ng (\S+) hook declined\n?", line)
        if found is None or found[1].decode("utf-8", "surrogateescape") not in self._renamed:
            return line
        return b"ng " + found[1] + b" " + self._reason.encode() + b"\n"


def packet(data: bytes) -> bytes:
    """One packet: four hexadecimal digits of its length, and the data."""
    return f"{len(data) + 4:04x}".encode() + data


def _packets(data: bytes) -> list[bytes]:
    found = []
    while len(data) >= 4 and (size := int(data[:4], 16)) >= 4:
        found.append(data[4:size])
        data = data[size:]
    return found


def _in_band(band: int, data: bytes) -> bytes:
    return b"".join(packet(bytes([band]) + data[i : i + _SIDEBAND]) for i in range(0, len(data), _SIDEBAND))
