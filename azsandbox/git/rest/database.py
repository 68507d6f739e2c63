"""Objects of the git database, to be read (GitHub docs, REST, "Git database")."""

from __future__ import annotations

import base64
from typing import Any

from azsandbox.git.commit import OBJECT_ID
from azsandbox.git.program import GitFailed
from azsandbox.git.repository import Repository
from azsandbox.git.rest import shapes
from azsandbox.git.rest.answers import Answer, ApiError, not_found
from azsandbox.git.rest.call import Call


async def commit(call: Call) -> Answer:
    """A commit."""
    settings, git = call.repository()
    id_ = await _object(git, call.params["sha"], "commit")
    return Answer(200, shapes.git_commit(settings, (await git.commits([id_]))[0], call.links))


async def tag(call: Call) -> Answer:
    """An annotated tag."""
    settings, git = call.repository()
    found = await git.tag(await _object(git, call.params["sha"], "tag"))
    if found is None:
        raise not_found()
    return Answer(200, shapes.tag_object(settings, found, call.links))


async def tree(call: Call) -> Answer:
    """A tree, by its id or by what has one; with `recursive`, all below it."""
    settings, git = call.repository()
    if not git.references():
        raise ApiError(409, "Git Repository is empty.")
    given = call.params["sha"]
    start = git.resolve(given) or given
    if not OBJECT_ID.fullmatch(start):
        start = await git.commit_id(given) or ""
    try:
        entries = await git.entries_of(start, recursive="recursive" in call.query)
        id_ = await git.tree_id(start)
    except GitFailed:
        raise not_found() from None
    url = f"{call.links.repository(settings)}/git"
    rows = []
    for entry in entries:
        row: dict[str, Any] = {"path": entry.path, "mode": entry.mode, "type": entry.kind, "sha": entry.id}
        if entry.size is not None:
            row["size"] = entry.size
        if entry.kind != "commit":
            row["url"] = f"{url}/{entry.kind}s/{entry.id}"
        rows.append(row)
    return Answer(200, {"sha": id_, "url": f"{url}/trees/{id_}", "tree": rows, "truncated": False})


async def blob(call: Call) -> Answer:
    """A file's content."""
    settings, git = call.repository()
    id_ = await _object(git, call.params["sha"], "blob")
    content = await git.blob(id_)
    if "raw" in call.headers.get("accept", ""):
        return Answer(200, content, content_type="application/vnd.github.raw+json; charset=utf-8")
    return Answer(
        200,
        {
            "sha": id_,
            "node_id": shapes.node_id("B", settings.id, id_),
            "size": len(content),
            "url": f"{call.links.repository(settings)}/git/blobs/{id_}",
            "content": lines(content),
            "encoding": "base64",
        },
    )


def lines(content: bytes) -> str:
    """Base64 in lines of 60 characters, as GitHub writes it."""
    text = base64.b64encode(content).decode()
    return "".join(f"{text[i : i + 60]}\n" for i in range(0, len(text), 60))


async def _object(git: Repository, id_: str, kind: str) -> str:
    if not OBJECT_ID.fullmatch(id_) or await git.kinds([id_]) != [kind]:
        raise not_found()
    return id_
