"""raw.githubusercontent.com: a file as it is, at /OWNER/REPOSITORY/REF/PATH."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azsandbox.dispatch import Receive, Scope, Send, header
from azsandbox.git.credentials import BadCredentials, Viewer
from azsandbox.git.program import GitFailed
from azsandbox.git.repository import HEADS, TAGS, Repository

if TYPE_CHECKING:
    from azsandbox.git.git_host import GitHost


async def answer(host: GitHost, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers one request."""
    content = None
    parts = scope["path"].strip("/").split("/", 2)
    if scope["method"] in ("GET", "HEAD") and len(parts) == 3:
        try:
            viewer = host.viewer(header(scope, b"authorization"))
        except BadCredentials:
            viewer = Viewer()
        settings = host.repositories.settings(parts[0], parts[1])
        if settings is not None and viewer.role(host.accounts, settings) != "none":
            content = await _content(host.repositories.of(settings), parts[2])
    found = content is not None
    body = content if content is not None else b"404: Not Found"
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def _content(git: Repository, rest: str) -> bytes | None:
    """The file that `rest` names after a reference or commit; a branch's name may hold slashes."""
    for prefix in ("refs/heads/", "refs/tags/"):
        rest = rest.removeprefix(prefix)
    words = rest.split("/")
    for number in range(1, len(words)):
        ref, path = "/".join(words[:number]), "/".join(words[number:])
        if number > 1 and git.resolve(HEADS + ref) is None and git.resolve(TAGS + ref) is None:
            continue
        commit = await git.commit_id(ref)
        entry = await git.entry(commit, path) if commit else None
        if entry is not None and entry.kind == "blob":
            try:
                return await git.blob(entry.id)
            except GitFailed:
                return None
    return None
