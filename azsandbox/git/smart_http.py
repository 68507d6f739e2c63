"""github.com: git's smart HTTP protocol at /OWNER/REPOSITORY(.git), with GitHub's answers to who may not."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from azsandbox.dispatch import Receive, Scope, Send, header
from azsandbox.git import http_backend, protection
from azsandbox.git.accounts import at_least
from azsandbox.git.credentials import BadCredentials, Viewer
from azsandbox.git.http_backend import body_of
from azsandbox.git.push import Change, Commands, Push, Report
from azsandbox.git.repositories import MAX_PACK, Settings, path_below

if TYPE_CHECKING:
    from azsandbox.git.git_host import GitHost

SSH_PATH = "/.ssh/"  # where the sandbox's environment sends git's SSH addresses of github.com
MAX_REQUEST = 16 * 1024 * 1024  # bytes of what a fetch asks for

_PATH = re.compile(r"/([^/]+)/([^/]+?)(?:\.git)?/(info/refs|git-upload-pack|git-receive-pack)")
_UPLOAD, _RECEIVE = "git-upload-pack", "git-receive-pack"
_NOT_FOUND = "Repository not found."


async def answer(host: GitHost, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers one request."""
    # 1. What is asked for: one of the three endpoints of the smart protocol.
    path = scope["path"]
    if path.startswith(SSH_PATH):
        await _say(send, 403, _no_ssh(path))
        return
    found = _PATH.fullmatch(path)
    if found is None:
        await _say(
            send, 404, f"NotSupportedInSandbox: the sandbox's github.com serves git, and no pages such as {path}."
        )
        return
    owner, name, endpoint = found.groups()
    service = _service(scope) if endpoint == "info/refs" else endpoint
    if service not in (_UPLOAD, _RECEIVE) or (scope["method"] == "GET") != (endpoint == "info/refs"):
        await _say(send, 403, "Please upgrade your git client.\nGitHub.com no longer supports git over dumb-http.")
        return
    # 2. Who asks.
    try:
        viewer = host.viewer(header(scope, b"authorization"))
    except BadCredentials:
        text = "Invalid username or token. Password authentication is not supported for Git operations."
        await _sign_in(send, text)
        return
    # 3. Whether they may. A repository that they may not read is not there for them.
    settings = host.repositories.settings(owner, name)
    role = viewer.role(host.accounts, settings) if settings else "none"
    if settings is None or role == "none":
        await (_say(send, 404, _NOT_FOUND) if viewer.account else _sign_in(send, _NOT_FOUND))
        return
    if service == _UPLOAD:
        await _fetch(host, scope, receive, send, settings, endpoint, viewer)
        return
    if viewer.account is None:
        await _sign_in(send, "No anonymous write access.")
    elif settings.archived:
        await _say(send, 403, "This repository was archived so it is read-only.")
    elif viewer.reads_only or not at_least(role, "push"):
        await _say(send, 403, f"Permission to {settings.full_name}.git denied to {viewer.login}.")
    elif endpoint == "info/refs":
        await _run(host, scope, send, body_of(receive, MAX_REQUEST), settings, endpoint, viewer)
    else:
        await _push(host, scope, receive, send, settings, viewer)


async def _fetch(
    host: GitHost, scope: Scope, receive: Receive, send: Send, settings: Settings, endpoint: str, viewer: Viewer
) -> None:
    size = header(scope, b"content-length")
    if size.isdigit() and int(size) > MAX_REQUEST:
        await _say(send, 413, f"The request is larger than {MAX_REQUEST} bytes.")
        return
    await _run(host, scope, send, body_of(receive, MAX_REQUEST), settings, endpoint, viewer)


async def _run(
    host: GitHost,
    scope: Scope,
    send: Send,
    body: AsyncIterator[bytes],
    settings: Settings,
    endpoint: str,
    viewer: Viewer,
) -> None:
    path = f"/{path_below(settings.owner, settings.name)}/{endpoint}"
    await http_backend.run(scope, send, body, root=host.repositories.folder, path=path, user=viewer.login)


async def _push(host: GitHost, scope: Scope, receive: Receive, send: Send, settings: Settings, viewer: Viewer) -> None:
    # 1. The commands, which stand at the beginning of the body.
    commands = Commands(compressed=header(scope, b"content-encoding") in ("gzip", "x-gzip"))
    body = body_of(receive, MAX_PACK + MAX_REQUEST)
    try:
        async for chunk in body:
            commands.feed(chunk)
            if commands.complete:
                break
    except ValueError as error:
        await _say(send, 400, f"{error}.")
        return
    # 2. What the rules of protected branches say of each.
    verdicts = {change: host.judge(settings, change, viewer) for change in commands.changes}
    refused = {
        c.reference: f"refusing to delete the current branch: {c.reference}"
        for c in commands.changes
        if c.deleted and c.branch == settings.default_branch
    }
    refused |= {c.reference: protection.DECLINED for c, verdict in verdicts.items() if verdict.refused}
    if refused and "atomic" in commands.capabilities:
        refused |= {c.reference: "atomic push failure" for c in verdicts if c.reference not in refused}
    message = "".join(_told(change, verdict) for change, verdict in verdicts.items())
    held = frozenset(c.reference for c, v in verdicts.items() if v.forward_only and c.reference not in refused)
    report = Report(commands, refused, message, held, protection.DECLINED)
    # 3. Nothing is left for git to do.
    if commands.changes and len(refused) == len(commands.changes):
        async for _ in body:
            pass
        await _reply(send, 200, report.end(), [(b"content-type", b"application/x-git-receive-pack-result")])
        return

    # 4. Git does the rest; its hook sees to it that protected branches only move forward.
    async def rest() -> AsyncIterator[bytes]:
        yield commands.kept(set(refused))
        async for chunk in body:
            yield commands.plain(chunk)

    def ended() -> None:
        if report.accepted:
            host.pushed(Push(settings.owner, settings.name, report.accepted, viewer.login))

    await http_backend.run(
        scope,
        send,
        rest(),
        root=host.repositories.folder,
        path=f"/{path_below(settings.owner, settings.name)}/{_RECEIVE}",
        user=viewer.login,
        plain=True,
        configuration={"core.hooksPath": str(host.hooks_folder)} if held else None,
        variables={"FORWARD_ONLY": "\n".join(sorted(held))},
        report=report,
        ended=ended,
    )


def _told(change: Change, verdict: protection.Verdict) -> str:
    if verdict.refused:
        return protection.refusal(change.reference, verdict.refused)
    return protection.bypass(change.reference, verdict.bypassed) if verdict.bypassed else ""


def _service(scope: Scope) -> str:
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    return query.get("service", [""])[0]


def _no_ssh(path: str) -> str:
    wanted = re.sub(r"(?:\.git)?/(?:info/refs|git-upload-pack|git-receive-pack)$", "", path.removeprefix(SSH_PATH))
    return f"NotSupportedInSandbox: git over SSH is not supported; use https://github.com/{wanted.lstrip('/')}.git"


async def _say(send: Send, status: int, text: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    """Answers in plain text, which git shows after `remote:`."""
    await _reply(send, status, f"{text}\n".encode(), [(b"content-type", b"text/plain"), *(headers or [])])


async def _sign_in(send: Send, text: str) -> None:
    await _say(send, 401, text, [(b"www-authenticate", b'Basic realm="GitHub"')])


async def _reply(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    length = [(b"content-length", str(len(body)).encode()), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": body})
