"""Commits (GitHub docs, REST, "Commits")."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any
from urllib.parse import quote

from azsandbox.git import diff, facts
from azsandbox.git.program import GitFailed
from azsandbox.git.repositories import Settings
from azsandbox.git.rest import shapes
from azsandbox.git.rest.answers import Answer, ApiError, not_found, refused
from azsandbox.git.rest.call import Call


async def list_all(call: Call) -> Answer:
    """The history of a branch or commit (`sha`), the newest first; of a path, author or time, if asked."""
    settings, git = call.repository()
    call.refuse_query("committer")
    if not git.branches():
        raise ApiError(409, "Git Repository is empty.")
    start = await git.commit_id(call.query.get("sha") or settings.default_branch)
    if start is None:
        raise not_found()
    ages = {"since": "--max-age", "until": "--min-age"}
    limits = [f"{option}={_seconds(call, name)}" for name, option in ages.items() if call.query.get(name)]
    if author := call.query.get("author"):
        account = call.host.accounts.get(author)
        addresses = [account.email, account.address] if account else [author]
        limits += ["--fixed-strings", *(f"--author=<{address}>" for address in addresses if address)]
    path = call.query.get("path", "").strip("/")
    skip = (call.page - 1) * call.per_page
    ids = await git.history([start], path, skip, call.per_page + 1, limits)
    commits = await git.commits(ids[: call.per_page])
    shown = [shapes.commit(settings, commit, call.host.accounts, call.links) for commit in commits]
    return call.page_of(shown, len(ids) > call.per_page)


async def get(call: Call) -> Answer:
    """One commit with what it changed; `Accept: application/vnd.github.sha` gives the id alone."""
    settings, git = call.repository()
    accept = call.headers.get("accept", "")
    if re.search(r"vnd\.github\.(v3\.)?(diff|patch)", accept):
        raise refused(f"the media type {accept!r} here")
    if not git.branches():
        raise ApiError(409, "Git Repository is empty.")
    id_ = await git.commit_id(call.params["ref"])
    if id_ is None:
        raise ApiError(422, f"No commit found for SHA: {call.params['ref']}")
    if re.search(r"vnd\.github\.(v3\.)?sha", accept):
        return Answer(200, id_.encode(), content_type="application/vnd.github.sha; charset=utf-8")
    commit = (await git.commits([id_]))[0]
    changes = await diff.of_commit(git, id_)
    added, removed = sum(c.additions for c in changes), sum(c.deletions for c in changes)
    files = changes[: facts.github()["limits"]["listedCommitFiles"]]
    return Answer(
        200,
        shapes.commit(settings, commit, call.host.accounts, call.links)
        | {
            "stats": {"total": added + removed, "additions": added, "deletions": removed},
            "files": [_file(call, settings, id_, file) for file in files],
        },
    )


def _file(call: Call, settings: Settings, commit: str, file: diff.FileDiff) -> dict[str, Any]:
    path = quote(file.path, errors="surrogateescape")
    html = f"{call.links.html}/{settings.full_name}"
    found: dict[str, Any] = {
        "sha": file.id,
        "filename": file.path,
        "status": file.status,
        "additions": file.additions,
        "deletions": file.deletions,
        "changes": file.additions + file.deletions,
        "blob_url": f"{html}/blob/{commit}/{path}",
        "raw_url": f"{html}/raw/{commit}/{path}",
        "contents_url": f"{call.links.repository(settings)}/contents/{path}?ref={commit}",
    }
    if file.patch is not None:
        found["patch"] = file.patch
    if file.previous:
        found["previous_filename"] = file.previous
    return found


def _seconds(call: Call, name: str) -> int:
    """A time in the query, in seconds since 1970. Raises ApiError."""
    try:
        found = dt.datetime.fromisoformat(call.query[name].replace("Z", "+00:00"))
    except ValueError:
        message = f"Invalid request.\n\n{name} is not a time such as 2026-11-25T10:00:00Z."
        raise ApiError(422, message) from None
    return max(0, int((found if found.tzinfo else found.replace(tzinfo=dt.UTC)).timestamp()))


async def commit_of(call: Call, given: str) -> str:
    """The id of the commit that is meant. Raises ApiError."""
    _, git = call.repository()
    try:
        found = await git.commit_id(given)
    except GitFailed:
        found = None
    if found is None:
        raise ApiError(422, f"No commit found for SHA: {given}")
    return found
