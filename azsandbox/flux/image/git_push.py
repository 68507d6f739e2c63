"""Pushes to a Git server, as go-git makes them (git's smart HTTP protocol, version 0)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from azsandbox.flux.source.git_access import GitAccess, GitError
from azsandbox.flux.source.git_remote import PEELED, RECEIVE, Advertisement, advertised, asked, packet, packets
from azsandbox.flux.web import Web

_NONE = "0" * 40
_SHA = re.compile(r"[0-9a-f]{40}")

Precedes = Callable[[str], Awaitable[bool]]  # whether a commit of the server is in the history of what is pushed


@dataclass(frozen=True)
class Refspec:
    """What to push where: refs/heads/main:refs/heads/other, with + before it for by force; nothing before : deletes.

    One * on each side stands for the same text.
    """

    source: str
    target: str
    force: bool = False

    @classmethod
    def parse(cls, text: str) -> Refspec:
        """Raises GitError for one that is none (go-git, RefSpec.Validate)."""
        force = text.startswith("+")
        source, colon, target = text.removeprefix("+").partition(":")
        if text.count(":") != 1 or not colon or not target:
            raise GitError("malformed refspec, separators are wrong")
        if source.count("*") != target.count("*") or source.count("*") > 1:
            raise GitError("malformed refspec, mismatched number of wildcards")
        return cls(source, target, force)

    def targets(self, local: Mapping[str, str]) -> dict[str, str]:
        """Commits by the references that they are pushed to; `local` are those that there are here."""
        if _SHA.fullmatch(self.source):
            return {self.target: self.source} if self.source in local.values() else {}
        if "*" not in self.source:
            return {self.target: local[self.source]} if self.source in local else {}
        start, _, end = self.source.partition("*")
        return {
            self.target.replace("*", name[len(start) : len(name) - len(end)]): sha
            for name, sha in local.items()
            if name.startswith(start) and name.endswith(end) and len(name) >= len(start) + len(end)
        }


@dataclass
class Push:
    """Sends commits to one server. `local` are the references here, `objects` a pack of what the server lacks."""

    web: Web
    access: GitAccess
    local: Mapping[str, str]
    objects: bytes
    options: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 60.0  # seconds

    async def send(self, specs: list[str], precedes: Precedes, *, force: bool = False) -> None:
        """Moves the references that refspecs name. Raises GitError, also if there is nothing to move."""
        found = await advertised(self.web, self.access, self.timeout, RECEIVE)
        commands: dict[str, tuple[str, str]] = {}
        for spec in map(Refspec.parse, specs):
            if not spec.source:
                self._delete(spec, found, commands)
                continue
            for name, new in spec.targets(self.local).items():
                old = found.references.get(name, _NONE)
                if old == new:
                    continue
                if not (force or spec.force or old == _NONE or await precedes(old)):
                    raise GitError(f"non-fast-forward update: {name}")
                commands[name] = (old, new)
        if not commands:
            raise GitError("already up-to-date")
        await self._send(commands, found)

    @staticmethod
    def _delete(spec: Refspec, found: Advertisement, commands: dict[str, tuple[str, str]]) -> None:
        if "delete-refs" not in found.capabilities:
            raise GitError("server does not support delete-refs")
        if spec.target in found.references and not spec.target.endswith(PEELED):
            commands[spec.target] = (found.references[spec.target], _NONE)

    async def _send(self, commands: Mapping[str, tuple[str, str]], found: Advertisement) -> None:
        can = [name for name in ("report-status", "push-options") if name in found.capabilities]
        lines = [f"{old} {new} {name}" for name, (old, new) in commands.items()]
        lines[0] += "\0" + " ".join([*can, "agent=git/1.0"])
        body = "".join(map(packet, lines)) + "0000"
        if "push-options" in can:
            body += "".join(packet(f"{key}={value}") for key, value in self.options.items()) + "0000"
        sent = body.encode()
        if any(new != _NONE for _, new in commands.values()):
            sent += self.objects
        answer = await asked(self.web, self.access, RECEIVE, self.timeout, sent)
        if "report-status" in can:
            _check(answer.body)


def _check(report: bytes) -> None:
    """Raises GitError for what a server did not take."""
    lines = [line.decode("utf-8", "replace").removesuffix("\n") for line in packets(report)]
    if not lines:
        return
    what, _, status = lines[0].partition(" ")
    if what != "unpack" or not status:
        raise GitError(f"malformed unpack status: {lines[0]}")
    if status != "ok":
        raise GitError(f"unpack error: {status}")
    for line in lines[1:]:
        verdict, _, rest = line.partition(" ")
        name, _, why = rest.partition(" ")
        if verdict == "ng" and why:
            raise GitError(f"command error on {name}: {why}")
        if verdict != "ok":
            raise GitError(f"malformed command status: {line}")
