"""Repositories (GitHub docs, REST, "Repositories")."""

from __future__ import annotations

from typing import Any

from azsandbox.git import edits
from azsandbox.git.accounts import Account, at_least
from azsandbox.git.commit import ZERO, Person
from azsandbox.git.push import Change, Push
from azsandbox.git.repositories import GitError, Settings
from azsandbox.git.repository import HEADS
from azsandbox.git.rest import shapes
from azsandbox.git.rest.answers import Answer, ApiError, invalid, not_found, refused
from azsandbox.git.rest.call import Call

_FLAGS = [name for name, value in (shapes.OPTIONS | shapes.MERGE_OPTIONS).items() if isinstance(value, bool)]
_WORDS = [name for name, value in shapes.MERGE_OPTIONS.items() if isinstance(value, str)]
_FIELDS = {
    "name": "string",
    "description": "string|null",
    "homepage": "string|null",
    "private": "boolean",
    "visibility": "string",
    "auto_init": "boolean",
    "archived": "boolean",
    "default_branch": "string",
    **dict.fromkeys(_FLAGS, "boolean"),
    **dict.fromkeys(_WORDS, "string"),
}
_REFUSED_ON_CREATE = ("gitignore_template", "license_template", "team_id", "custom_properties")


async def get(call: Call) -> Answer:
    """One."""
    return Answer(200, _shown(call, call.settings()))


async def list_own(call: Call) -> Answer:
    """Those that who is signed in may do something with; `affiliation` and `type` narrow it."""
    who = call.account()
    call.refuse_query("since", "before")
    wanted = set(call.query.get("affiliation", "owner,collaborator,organization_member").split(","))
    kind = call.query.get("type", "all")
    found = []
    for settings in call.host.repositories.list():
        own = settings.owner.lower() == who.login.lower()
        member = settings.owner.lower() == call.host.accounts.organization.login.lower()
        affiliated = ("owner" in wanted and own) or ("organization_member" in wanted and member)
        if affiliated and (kind not in ("owner", "member") or own == (kind == "owner")):
            found.append(settings)
    return _listed(call, found, "full_name")


async def list_of(call: Call) -> Answer:
    """Those of a user or an organization that who asks may read."""
    owner = call.host.accounts.get(call.params["owner"])
    if owner is None:
        raise not_found()
    return _listed(call, call.host.repositories.list(owner.login), "created")


async def create_own(call: Call) -> Answer:
    """A new one of who is signed in."""
    return await _create(call, call.account())


async def create_of(call: Call) -> Answer:
    """A new one of the organization."""
    owner = call.host.accounts.get(call.params["owner"])
    if owner is None or owner.kind != "Organization":
        raise not_found()
    if not call.host.accounts.may_create(call.account(), owner):
        raise ApiError(403, "You need admin access to the organization before adding a repository to it.")
    return await _create(call, owner)


async def _create(call: Call, owner: Account) -> Answer:
    call.must_write()
    body = call.body(_FIELDS, ("name",))
    call.refuse(body, *_REFUSED_ON_CREATE)
    private = _visibility(body, False)
    try:
        git = await call.host.repositories.create(
            owner.login,
            body["name"],
            private=private,
            description=body.get("description"),
            homepage=body.get("homepage"),
            options={name: body[name] for name in (*_FLAGS, *_WORDS) if name in body},
        )
    except GitError as error:
        entry = {"resource": "Repository", "code": "custom", "field": error.field, "message": error.message}
        raise ApiError(422, "Repository creation failed.", [entry]) from None
    settings = call.host.repositories.settings(git.owner, git.name)
    if settings is None:
        raise not_found()
    if body.get("auto_init"):
        await _first_commit(call, settings)
    shown = _shown(call, settings)
    return Answer(201, shown, {"Location": shown["url"]})


async def update(call: Call) -> Answer:
    """Changes what a body names. Raises ApiError, also for a new name: the sandbox has no renaming."""
    settings = call.settings("admin")
    body = call.body(_FIELDS)
    call.refuse(body, "security_and_analysis")
    if body.get("name", settings.name) != settings.name:
        raise refused("the renaming of a repository")
    if "default_branch" in body and body["default_branch"] != settings.default_branch:
        branch = body["default_branch"]
        if call.host.repositories.of(settings).resolve(HEADS + branch) is None:
            message = (
                f"The branch {branch} was not found. Please push that ref first or create it via the Git Data API."
            )
            raise invalid("Repository", "default_branch", "invalid", message)
        await call.host.repositories.set_default_branch(settings, branch)
        settings = call.settings("admin")
    settings.private = _visibility(body, settings.private)
    for name in ("description", "homepage", "archived"):
        if name in body:
            setattr(settings, name, body[name])
    settings.options |= {name: body[name] for name in (*_FLAGS, *_WORDS) if name in body}
    settings.updated = call.host.repositories.now()
    call.host.repositories.save(settings)
    return Answer(200, _shown(call, settings))


async def delete(call: Call) -> Answer:
    """Deletes one with all that belongs to it."""
    settings = call.settings("admin")
    await call.host.delete(settings)
    return Answer(204)


def _visibility(body: dict[str, Any], private: bool) -> bool:
    visibility = body.get("visibility")
    if visibility not in (None, "public", "private"):
        raise refused(f"the visibility {visibility!r}")
    if visibility is not None:
        return bool(visibility == "private")
    return bool(body.get("private", private))


def _shown(call: Call, settings: Settings) -> dict[str, Any]:
    accounts = call.host.accounts
    role = call.viewer.role(accounts, settings)
    return shapes.whole_repository(settings, accounts, role, call.host.repositories.of(settings), call.links)


def _listed(call: Call, found: list[Settings], sort: str) -> Answer:
    accounts = call.host.accounts
    roles = {settings.key: call.viewer.role(accounts, settings) for settings in found}
    found = [settings for settings in found if at_least(roles[settings.key], "pull")]
    if call.query.get("visibility", call.query.get("type")) in ("public", "private"):
        private = call.query.get("visibility", call.query.get("type")) == "private"
        found = [settings for settings in found if settings.private == private]
    sort = call.query.get("sort", sort)
    if sort == "full_name":
        found.sort(key=lambda s: s.key, reverse=call.query.get("direction") == "desc")
    else:
        field = sort if sort in ("created", "updated", "pushed") else "created"
        found.sort(key=lambda s: (getattr(s, field), s.id), reverse=call.query.get("direction", "desc") == "desc")
    of = call.host.repositories.of
    return call.paged([shapes.repository(s, accounts, roles[s.key], of(s), call.links) for s in found])


async def _first_commit(call: Call, settings: Settings) -> None:
    """What `auto_init` asks for: a README, in a first commit on the default branch."""
    git, who = call.host.repositories.of(settings), call.account()
    text = f"# {settings.name}\n" + (f"{settings.description}\n" if settings.description else "")
    blob = await edits.write_blob(git, text.encode())
    by = Person(who.login, who.email, int(call.host.clock.now().timestamp()))
    new = await edits.commit_file(git, None, "README.md", blob, message="Initial commit", author=by, committer=by)
    reference = HEADS + settings.default_branch
    await edits.move(git, reference, new, ZERO)
    call.host.pushed(Push(settings.owner, settings.name, (Change(ZERO, new, reference),), who.login))
