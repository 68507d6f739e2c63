"""Files and folders (GitHub docs, REST, "Repository contents")."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from typing import Any
from urllib.parse import quote

from azsandbox.git import edits, facts
from azsandbox.git.accounts import Account
from azsandbox.git.commit import ZERO, Person
from azsandbox.git.program import GitFailed
from azsandbox.git.push import Change, Push
from azsandbox.git.repositories import Settings
from azsandbox.git.repository import HEADS, Entry, Repository
from azsandbox.git.rest import shapes
from azsandbox.git.rest.answers import Answer, ApiError, not_found
from azsandbox.git.rest.call import Call
from azsandbox.git.rest.database import lines

_FIELDS = {
    "message": "string",
    "sha": "string",
    "branch": "string",
    "author": "object|null",
    "committer": "object|null",
}
_RAW, _OBJECT = "application/vnd.github.raw+json", "application/vnd.github.object+json"


async def get(call: Call) -> Answer:
    """A file with its content, a folder with its entries, a symbolic link, or a submodule."""
    settings, git = call.repository()
    ref = call.query.get("ref") or settings.default_branch
    path = call.params["path"].strip("/")
    if not git.branches():
        raise ApiError(404, "This repository is empty.")
    commit = await git.commit_id(ref)
    if commit is None:
        raise ApiError(404, f"No commit found for the ref {ref}")
    found = await git.entry(commit, path) if path else None
    if path and found is None:
        raise not_found()
    if found is not None and found.kind != "tree":
        return await _file(call, settings, git, found, ref)
    entries = await git.entries(commit, path)
    rows = [_entry(call, settings, entry, ref) for entry in sorted(entries, key=lambda e: e.path)]
    if "object" in call.headers.get("accept", ""):
        tree = found or Entry("040000", "tree", await git.tree_id(commit), None, "")
        return Answer(200, _entry(call, settings, tree, ref) | {"entries": rows}, content_type=_OBJECT)
    return Answer(200, rows)


async def put(call: Call) -> Answer:
    """Writes a file, in a commit of its own."""
    settings, git = call.repository("push")
    body = call.body(_FIELDS | {"content": "string"}, ("message", "content"))
    try:
        content = base64.b64decode("".join(body["content"].split()), validate=True)
    except (binascii.Error, ValueError):
        raise ApiError(422, "content is not valid Base64") from None
    change = await _Change.begin(call, settings, git, body)
    if change.entry is not None:
        change.must_match(body)
    blob = await edits.write_blob(git, content)
    new = await change.commit(blob)
    entry = await git.entry(new, change.path)
    if entry is None:
        raise not_found()
    shown = _entry(call, settings, entry, change.branch)
    return Answer(201 if change.entry is None else 200, {"content": shown, "commit": await change.done(new)})


async def delete(call: Call) -> Answer:
    """Takes a file away, in a commit of its own."""
    settings, git = call.repository("push")
    body = call.body(_FIELDS, ("message", "sha"))
    change = await _Change.begin(call, settings, git, body)
    if change.entry is None:
        raise not_found()
    change.must_match(body)
    new = await change.commit(None)
    return Answer(200, {"content": None, "commit": await change.done(new)})


class _Change:
    """A commit that the API makes of one file."""

    def __init__(
        self,
        call: Call,
        settings: Settings,
        git: Repository,
        body: dict[str, Any],
        parent: str | None,
        entry: Entry | None,
    ) -> None:
        self.call, self.settings, self.git, self.body = call, settings, git, body
        self.parent, self.entry = parent, entry
        self.path = call.params["path"].strip("/")
        self.branch: str = body.get("branch", settings.default_branch)

    @classmethod
    async def begin(cls, call: Call, settings: Settings, git: Repository, body: dict[str, Any]) -> _Change:
        """Finds the branch and what it has at the path. Raises ApiError."""
        made = cls(call, settings, git, body, None, None)
        made.parent = git.resolve(HEADS + made.branch)
        if made.parent is None:
            if git.branches() or body.get("branch", settings.default_branch) != settings.default_branch:
                raise ApiError(404, f"Branch {made.branch} not found")
            return made
        try:
            made.entry = await git.entry(made.parent, made.path)
        except GitFailed:  # it leads out of the repository
            raise ApiError(422, "path contains a malformed path component") from None
        if made.entry is not None and made.entry.kind == "tree":
            raise ApiError(422, f"{made.path} is a directory")
        return made

    def must_match(self, body: dict[str, Any]) -> None:
        """Raises ApiError when the file is another than the one that the client knows."""
        assert self.entry is not None
        if "sha" not in body:
            raise ApiError(422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
        if body["sha"] != self.entry.id:
            raise ApiError(409, f"{self.path} does not match {body['sha']}")

    async def commit(self, blob: str | None) -> str:
        """Makes the commit and moves the branch to it; its id. Raises ApiError."""
        who, now = self.call.account(), self.call.host.clock.now()
        committer = _person(self.body.get("committer"), who, now)
        author = _person(self.body.get("author"), committer, now)
        try:
            new = await edits.commit_file(
                self.git,
                self.parent,
                self.path,
                blob,
                message=self.body["message"],
                author=author,
                committer=committer,
                mode=self.entry.mode if self.entry is not None else "100644",
            )
        except GitFailed as error:
            raise ApiError(422, f"path {self.path!r} cannot be written: {error}") from None
        change = Change(self.parent or ZERO, new, HEADS + self.branch)
        refused = self.call.host.judge(self.settings, change, self.call.viewer).refused
        if refused:
            raise ApiError(409, f"Could not update file: {' '.join(refused)}")
        try:
            await edits.move(self.git, change.reference, new, change.old)
        except edits.Moved:
            at = self.git.resolve(change.reference) or ZERO
            raise ApiError(409, f"is at {at} but expected {change.old}") from None
        self.call.host.pushed(Push(self.settings.owner, self.settings.name, (change,), who.login))
        return new

    async def done(self, new: str) -> dict[str, Any]:
        """The commit as the answer has it."""
        return shapes.git_commit(self.settings, (await self.git.commits([new]))[0], self.call.links)


def _person(given: dict[str, Any] | None, otherwise: Account | Person, now: dt.datetime) -> Person:
    if given is None:
        if isinstance(otherwise, Person):
            return otherwise
        return Person(otherwise.login, otherwise.email, int(now.timestamp()))
    missing = [f'"{name}"' for name in ("name", "email") if not isinstance(given.get(name), str) or not given[name]]
    if missing:
        raise ApiError(
            422, f"Invalid request.\n\n{', '.join(missing)} {'was' if len(missing) == 1 else 'were'}n't supplied."
        )
    at = now
    if given.get("date"):
        try:
            at = dt.datetime.fromisoformat(str(given["date"]).replace("Z", "+00:00"))
        except ValueError:
            raise ApiError(422, f"Invalid request.\n\n{given['date']} is not a time.") from None
    offset = int((at.utcoffset() or dt.timedelta()).total_seconds() // 60)
    return Person(given["name"], given["email"], int(at.timestamp()), offset)


async def _file(call: Call, settings: Settings, git: Repository, entry: Entry, ref: str) -> Answer:
    shown = _entry(call, settings, entry, ref)
    if entry.kind == "commit":
        return Answer(200, shown | {"submodule_git_url": None})
    content = await git.blob(entry.id)
    if "raw" in call.headers.get("accept", ""):
        return Answer(200, content, content_type=f"{_RAW}; charset=utf-8")
    if shown["type"] == "symlink":
        return Answer(200, shown | {"target": content.decode("utf-8", "replace")})
    if len(content) > facts.github()["limits"]["inlinedBlobBytes"]:
        return Answer(200, shown | {"content": "", "encoding": "none"})
    return Answer(200, shown | {"content": lines(content), "encoding": "base64"})


def _entry(call: Call, settings: Settings, entry: Entry, ref: str) -> dict[str, Any]:
    kind = {"tree": "dir", "commit": "submodule"}.get(entry.kind, "symlink" if entry.mode == "120000" else "file")
    url = call.links.repository(settings)
    path = quote(entry.path, errors="surrogateescape")
    itself = f"{url}/contents/{path}?ref={quote(ref)}"
    database = f"{url}/git/{'blobs' if entry.kind == 'blob' else 'trees'}/{entry.id}"
    page = f"{call.links.html}/{settings.full_name}/{'tree' if kind == 'dir' else 'blob'}/{quote(ref)}/{path}"
    raw = f"{call.links.raw}/{settings.full_name}/{quote(ref)}/{path}" if entry.kind == "blob" else None
    return {
        "name": entry.path.rpartition("/")[2],
        "path": entry.path,
        "sha": entry.id,
        "size": entry.size or 0,
        "url": itself,
        "html_url": page,
        "git_url": database,
        "download_url": raw,
        "type": kind,
        "_links": {"self": itself, "git": database, "html": page},
    }
