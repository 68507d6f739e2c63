"""What a Git server has: its references, and packs of objects (git's smart HTTP protocol, version 0).

Spoken directly, since that costs no process and gives the server's own words where it refuses; what a pack holds is
git's business (git_fetch).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from azsandbox.flux.quoting import quoted
from azsandbox.flux.source.git_access import GitAccess, GitError
from azsandbox.flux.web import Answer, NoAnswer, Web

PEELED = "^{}"  # after the name of an annotated tag: the commit that it points to
UPLOAD, RECEIVE = "git-upload-pack", "git-receive-pack"  # services of a server
_NO_REFERENCE = "capabilities" + PEELED


class EmptyRepository(GitError):
    """A repository that has no reference yet."""


@dataclass(frozen=True)
class Advertisement:
    """Commits by the names of references, such as refs/heads/main, and what the server can do."""

    references: dict[str, str]
    capabilities: frozenset[str] = frozenset()

    def commit(self, name: str) -> str:
        """The commit that a reference stands for, empty if there is none; a tag's is what it points to."""
        name = name.removesuffix(PEELED)
        return self.references.get(name + PEELED) or self.references.get(name, "")

    @property
    def gives_packs(self) -> bool:
        """Whether `pack` can be asked for one commit alone."""
        return "shallow" in self.capabilities


async def advertised(web: Web, access: GitAccess, timeout: float, service: str = UPLOAD) -> Advertisement:
    """What the server has. Raises GitError in go-git's words, EmptyRepository if that is nothing."""
    answer = await asked(web, access, f"info/refs?service={service}", timeout)
    found: dict[str, str] = {}
    capabilities: frozenset[str] = frozenset()
    for line in packets(answer.body):
        if line.startswith(b"ERR "):
            raise GitError(line[4:].decode("utf-8", "replace").strip())
        text, _, can = line.partition(b"\0")
        capabilities |= frozenset(can.decode("utf-8", "replace").split())
        sha, _, name = text.strip().decode("utf-8", "replace").partition(" ")
        if name and name != _NO_REFERENCE and len(sha) == 40:
            found[name] = sha
    if not found:
        raise EmptyRepository("remote repository is empty")
    return Advertisement(found, capabilities)


async def pack(web: Web, access: GitAccess, wanted: str, held: str, timeout: float) -> bytes:
    """A pack of what `wanted` (a commit, or a tag of one) has and `held`, fetched so before, has not.

    History is left out. Raises GitError.
    """
    can = "side-band-64k ofs-delta no-progress agent=git/1.0"
    lines = [packet(f"want {wanted} {can}{' thin-pack' if held else ''}\n")]
    lines += [packet(f"shallow {held}\n")] if held else []
    lines += [packet("deepen 1\n"), "0000"]
    lines += [packet(f"have {held}\n")] if held else []
    lines += [packet("done\n")]
    answer = await asked(web, access, UPLOAD, timeout, "".join(lines).encode())
    found = bytearray()
    for line in packets(answer.body):
        if line[:1] == b"\1":
            found += line[1:]
        elif line[:1] == b"\3" or line.startswith(b"ERR "):
            raise GitError(line.lstrip(b"\3").removeprefix(b"ERR ").decode("utf-8", "replace").strip())
    if not found.startswith(b"PACK"):
        raise GitError("unexpected EOF")
    return bytes(found)


def packet(line: str) -> str:
    """A line in git's packet format."""
    return f"{len(line.encode()) + 4:04x}{line}"


async def asked(web: Web, access: GitAccess, place: str, timeout: float, body: bytes = b"") -> Answer:
    """What the server answers: to a GET of `place` below the repository, or with a body of the service that it names.

    Raises GitError.
    """
    headers = {"User-Agent": "git/1.0", "Accept": "*/*"}
    if access.authorization:
        headers["Authorization"] = access.authorization
    if body:
        headers |= {"Content-Type": f"application/x-{place}-request", "Accept": f"application/x-{place}-result"}
    url = f"{access.bare_url}/{place}"
    try:
        answer = await web.request(
            "POST" if body else "GET",
            url,
            headers,
            body,
            certificates=access.certificates,
            proxy=access.proxy,
            timeout=timeout,
        )
    except NoAnswer as error:
        raise GitError(str(error)) from error
    _check(answer)
    return answer


def _check(answer: Answer) -> None:
    if 200 <= answer.status < 300:
        return
    words = {401: "authentication required", 403: "authorization failed", 404: "repository not found"}
    if answer.status in words:
        raise GitError(f"{words[answer.status]}: {answer.text}")
    raise GitError(f"unexpected client error: unexpected requesting {quoted(answer.url)} status code: {answer.status}")


def packets(body: bytes) -> Iterator[bytes]:
    """The lines of git's packet format; a length of 0 stands for none."""
    at = 0
    while at + 4 <= len(body):
        try:
            length = int(body[at : at + 4], 16)
        except ValueError:
            raise GitError("invalid pkt-len found") from None
        if length >= 4:
            yield body[at + 4 : at + length]
        at += max(length, 4)
