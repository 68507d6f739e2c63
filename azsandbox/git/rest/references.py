"""References (GitHub docs, REST, "Git references")."""

from __future__ import annotations

import re

from azsandbox.git import edits
from azsandbox.git.accounts import Permission
from azsandbox.git.commit import OBJECT_ID, ZERO
from azsandbox.git.program import GitFailed
from azsandbox.git.protection import NO_FORCE
from azsandbox.git.push import Change, Push
from azsandbox.git.repositories import Settings
from azsandbox.git.repository import HEADS, Repository
from azsandbox.git.rest import shapes
from azsandbox.git.rest.answers import Answer, ApiError, not_found
from azsandbox.git.rest.call import Call

_NAME = re.compile(r"refs/[^/]+/.+")


async def get(call: Call) -> Answer:
    """One."""
    settings, git = _filled(call)
    name = f"refs/{call.params['ref']}"
    id_ = git.resolve(name)
    if id_ is None:
        raise not_found()
    return Answer(200, shapes.reference(settings, name, id_, (await git.kinds([id_]))[0], call.links))


async def list_all(call: Call) -> Answer:
    """All."""
    return await _listed(call, "refs/")


async def matching(call: Call) -> Answer:
    """Those whose name begins with what the path says."""
    return await _listed(call, f"refs/{call.params['ref']}")


async def create(call: Call) -> Answer:
    """Makes one that points to an object that is there."""
    settings, git = _filled(call, "push")
    body = call.body({"ref": "string", "sha": "string"}, ("ref", "sha"))
    name, new = body["ref"], body["sha"]
    if not _NAME.fullmatch(name):
        raise ApiError(422, f"Reference name {name!r} is not valid: it begins with 'refs' and has two slashes")
    kind = await _kind(git, new)
    if git.resolve(name) is not None:
        raise ApiError(422, "Reference already exists")
    await _move(call, settings, git, Change(ZERO, new, name))
    shown = shapes.reference(settings, name, new, kind, call.links)
    return Answer(201, shown, {"Location": shown["url"]})


async def update(call: Call) -> Answer:
    """Moves one, forward unless `force` is asked for."""
    settings, git = _filled(call, "push")
    body = call.body({"sha": "string", "force": "boolean"}, ("sha",))
    name, new = f"refs/{call.params['ref']}", body["sha"]
    old = git.resolve(name)
    if old is None:
        raise ApiError(422, "Reference does not exist")
    kind = await _kind(git, new)
    forward = old == new or await git.is_ancestor(old, new)
    if not forward and not body.get("force"):
        raise ApiError(422, "Update is not a fast forward")
    change = Change(old, new, name)
    if not forward and call.host.judge(settings, change, call.viewer).forward_only:
        raise ApiError(422, NO_FORCE)
    await _move(call, settings, git, change)
    return Answer(200, shapes.reference(settings, name, new, kind, call.links))


async def delete(call: Call) -> Answer:
    """Takes one away."""
    settings, git = _filled(call, "push")
    name = f"refs/{call.params['ref']}"
    old = git.resolve(name)
    if old is None:
        raise ApiError(422, "Reference does not exist")
    if name == HEADS + settings.default_branch:
        raise ApiError(422, f"refusing to delete the current branch: {name}")
    await _move(call, settings, git, Change(old, ZERO, name))
    return Answer(204)


async def _move(call: Call, settings: Settings, git: Repository, change: Change) -> None:
    refused = call.host.judge(settings, change, call.viewer).refused
    if refused:
        raise ApiError(422, "\n".join(refused))
    try:
        await edits.move(git, change.reference, change.new, change.old)
    except (edits.Moved, GitFailed):
        raise ApiError(422, "Reference update failed") from None
    if change.old != change.new:
        call.host.pushed(Push(settings.owner, settings.name, (change,), call.account().login))


async def _kind(git: Repository, id_: str) -> str:
    kind = (await git.kinds([id_]))[0] if OBJECT_ID.fullmatch(id_) else "missing"
    if kind == "missing":
        raise ApiError(422, "Object does not exist")
    return kind


async def _listed(call: Call, prefix: str) -> Answer:
    settings, git = _filled(call)
    found = [(name, id_) for name, id_ in git.references().items() if name.startswith(prefix)]
    kinds = await git.kinds([id_ for _, id_ in found])
    return call.paged(
        [
            shapes.reference(settings, name, id_, kind, call.links)
            for (name, id_), kind in zip(found, kinds, strict=True)
        ]
    )


def _filled(call: Call, needed: Permission = "pull") -> tuple[Settings, Repository]:
    settings, git = call.repository(needed)
    if not git.references():
        raise ApiError(409, "Git Repository is empty.")
    return settings, git
