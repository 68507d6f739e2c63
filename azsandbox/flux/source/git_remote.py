"""What a Git server says of its references, before anything is fetched (git's smart HTTP protocol, version 0)."""

from __future__ import annotations

from collections.abc import Iterator

from azsandbox.flux.quoting import quoted
from azsandbox.flux.source.git_access import GitAccess, GitError
from azsandbox.flux.web import Answer, NoAnswer, Web

PEELED = "^{}"  # after the name of an annotated tag: the commit that it points to
_NO_REFERENCE = "capabilities" + PEELED
_SERVICE = "git-upload-pack"


class EmptyRepository(GitError):
    """A repository that has no reference yet."""


async def references(web: Web, access: GitAccess, timeout: float) -> dict[str, str]:
    """Commits by the names of references, such as refs/heads/main. Raises GitError in go-git's words."""
    url = f"{access.bare_url}/info/refs?service={_SERVICE}"
    headers = {"User-Agent": "git/1.0", "Accept": "*/*"}
    if access.authorization:
        headers["Authorization"] = access.authorization
    try:
        answer = await web.request(
            "GET", url, headers, certificates=access.certificates, proxy=access.proxy, timeout=timeout
        )
    except NoAnswer as error:
        raise GitError(str(error)) from error
    _check(answer)
    found = dict(_advertised(answer.body))
    if not found:
        raise EmptyRepository("remote repository is empty")
    return found


def _check(answer: Answer) -> None:
    if 200 <= answer.status < 300:
        return
    words = {401: "authentication required", 403: "authorization failed", 404: "repository not found"}
    if answer.status in words:
        raise GitError(f"{words[answer.status]}: {answer.text}")
    raise GitError(f"unexpected client error: unexpected requesting {quoted(answer.url)} status code: {answer.status}")


def _advertised(body: bytes) -> Iterator[tuple[str, str]]:
    for line in _lines(body):
        if line.startswith(b"ERR "):
            raise GitError(line[4:].decode("utf-8", "replace").strip())
        commit, _, name = line.partition(b"\0")[0].strip().decode("utf-8", "replace").partition(" ")
        if name and name != _NO_REFERENCE and len(commit) == 40:
            yield name, commit


def _lines(body: bytes) -> Iterator[bytes]:
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


def commit_of(found: dict[str, str], name: str) -> str:
    """The commit that a reference stands for, empty if there is none; a tag's is what it points to."""
    name = name.removesuffix(PEELED)
    return found.get(name + PEELED) or found.get(name, "")
