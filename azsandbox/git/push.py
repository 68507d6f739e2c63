"""Pushes: what a client asks for, what became of it, and how a refusal is told to git.

A push begins with lines of `old new reference`, framed as packets (gitprotocol-pack). They are read on their way
to git, so that protected branches are held without a hook process, and so that what was pushed is known after.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field

from azsandbox.git.repositories import Settings
from azsandbox.git.repository import OBJECT_ID

_COMMAND = re.compile(rb"([0-9a-f]{40}(?:[0-9a-f]{24})?) ([0-9a-f]{40}(?:[0-9a-f]{24})?) ([^\0\n]+)")
_LIMIT = 4 * 1024 * 1024  # bytes of commands: some 40,000 references
_SIDEBAND = 1000  # bytes a packet at most, which the older side-band takes too
HEADS = "refs/heads/"


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
    """A push that was done: the references that moved, and who pushed."""

    repository: str
    changes: tuple[Change, ...]
    pusher: str = ""
    pusher_id: str = ""


@dataclass
class Commands:
    """Reads the commands from the beginning of a push, chunk by chunk."""

    compressed: bool = False
    changes: list[Change] = field(default_factory=list)
    capabilities: frozenset[str] = frozenset()
    complete: bool = False

    def __post_init__(self) -> None:
        self._buffer = b""
        self._inflate = zlib.decompressobj(31) if self.compressed else None

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes of the body. Raises ValueError for what is no push."""
        if self.complete:
            return
        self._buffer += self._inflate.decompress(chunk) if self._inflate else chunk
        while len(self._buffer) >= 4:
            size = int(self._buffer[:4], 16)
            if size == 0:
                self.complete = True
                return
            if size < 4 or len(self._buffer) > _LIMIT:
                raise ValueError("the push does not begin with packets of commands")
            if len(self._buffer) < size:
                return
            self._line(self._buffer[4:size])
            self._buffer = self._buffer[size:]

    def _line(self, line: bytes) -> None:
        command, _, capabilities = line.partition(b"\0")
        if capabilities:
            self.capabilities = frozenset(capabilities.decode("utf-8", "replace").split())
        found = _COMMAND.fullmatch(command.rstrip(b"\n"))
        if found:  # others are `shallow …` and push certificates
            old, new, reference = (part.decode("utf-8", "surrogateescape") for part in found.groups())
            self.changes.append(Change(old, new, reference))


def refusal(settings: Settings, changes: list[Change]) -> str:
    """Why a push must not reach git, as GitHub words it; "" if it may."""
    for change in changes:
        protection = settings.protection(change.branch) if change.branch else None
        if protection is None:
            continue
        if change.deleted:
            return f"error: GH006: Protected branch update failed for {change.reference}.\nerror: Cannot delete this branch"
        if protection.require_pull_request and not change.created:
            return (
                f"error: GH006: Protected branch update failed for {change.reference}.\n"
                "error: Changes must be made through a pull request."
            )
    return ""


def guarded(settings: Settings, changes: list[Change]) -> bool:
    """Whether git must refuse to force: a push that touches a protected branch is held to its rule as a whole."""
    return any(c.branch and settings.protection(c.branch) for c in changes)


def report(commands: Commands, message: str) -> bytes:
    """The body that tells git that nothing was taken, with a message for its user."""
    lines = [b"unpack ok\n"]
    lines += [
        b"ng " + c.reference.encode("utf-8", "surrogateescape") + b" protected branch hook declined\n"
        for c in commands.changes
    ]
    status = b"".join(packet(line) for line in lines) + b"0000"
    if not commands.capabilities & {"side-band-64k", "side-band"}:
        return status
    told = "".join(f"{line}\n" for line in message.splitlines()).encode()
    out = b"".join(packet(b"\2" + told[i : i + _SIDEBAND]) for i in range(0, len(told), _SIDEBAND))
    out += b"".join(packet(b"\1" + status[i : i + _SIDEBAND]) for i in range(0, len(status), _SIDEBAND))
    return out + b"0000"


def packet(data: bytes) -> bytes:
    """One packet: four hexadecimal digits of its length, and the data."""
    return f"{len(data) + 4:04x}".encode() + data


def is_object_id(text: str) -> bool:
    """Whether it is a full object id."""
    return OBJECT_ID.fullmatch(text) is not None
