"""Payloads of the events that hooks get (GitHub docs, "Webhook events and payloads")."""

from __future__ import annotations

import asyncio
import datetime as dt
import secrets
from typing import Any

from azsandbox.git import facts
from azsandbox.git.accounts import Account, Accounts
from azsandbox.git.commit import Commit
from azsandbox.git.hooks import Event, Hook
from azsandbox.git.push import HEADS, TAGS, Change, Push
from azsandbox.git.repositories import Settings
from azsandbox.git.repository import FileChange, Repository
from azsandbox.git.rest import shapes
from azsandbox.git.statuses import Status

_SHORT = 12  # digits of an id in an address that compares


async def of_push(
    settings: Settings, repository: Repository, accounts: Accounts, push: Push, references: dict[str, str]
) -> list[Event]:
    """The events of a push: for each reference create or delete, and push; none for tags, if there are too many.

    `references` are those of the repository right after the push: by now it may have moved on.
    """
    most = facts.github()["limits"]["tagsWithEvents"]
    tags = [change for change in push.changes if change.reference.startswith(TAGS)]
    changes = [change for change in push.changes if len(tags) <= most or change not in tags]
    events = []
    for change in changes:
        if change.created or change.deleted:
            events.append(_comes_or_goes(settings, repository, accounts, push, change))
        events.append(Event("push", await push_payload(settings, repository, accounts, push, change, references)))
    return events


def ping(settings: Settings, repository: Repository, accounts: Accounts, hook: dict[str, Any], sender: str) -> Event:
    """What a hook gets first; `hook` is how the REST API shows it."""
    payload = {
        "zen": secrets.choice(facts.github()["zen"]),
        "hook_id": hook["id"],
        "hook": hook,
        "repository": _repository(settings, repository, accounts),
        "sender": _sender(accounts, sender),
    }
    return Event("ping", payload)


async def of_status(settings: Settings, repository: Repository, accounts: Accounts, status: Status) -> Event:
    """A status that a commit got."""
    commit = (await repository.commits([status.sha]))[0]
    url = shapes.GITHUB.repository(settings)
    creator = accounts.get(status.creator)
    branches = [
        {"name": name, "commit": {"sha": id_, "url": f"{url}/commits/{id_}"}, "protected": name in settings.protections}
        for name, id_ in repository.branches().items()
        if id_ == status.sha
    ]
    payload = {
        "id": status.id,
        "sha": status.sha,
        "name": settings.full_name,
        "avatar_url": shapes.account(creator)["avatar_url"] if creator else None,
        "target_url": status.target_url,
        "context": status.context,
        "description": status.description,
        "state": status.state,
        "commit": shapes.commit(settings, commit, accounts),
        "branches": branches,
        "created_at": status.created,
        "updated_at": status.created,
        "repository": _repository(settings, repository, accounts),
    }
    return Event("status", payload | _who(settings, accounts, status.creator))


async def push_payload(
    settings: Settings,
    repository: Repository,
    accounts: Accounts,
    push: Push,
    change: Change,
    references: dict[str, str],
) -> dict[str, Any]:
    """The payload of a push event."""
    tip, new, forced = await _moved(repository, change, references)
    ids = list(dict.fromkeys([*new, *([tip] if tip else [])]))
    found, changed, distinct = await asyncio.gather(
        repository.commits(ids), repository.changes(ids), _distinct(repository, change, new, references)
    )
    by_id = {commit.id: commit for commit in found}
    commits, head = [by_id[id_] for id_ in new], by_id.get(tip or "")
    pusher = accounts.get(push.pusher)
    base = _base(change, references)
    shown = {c.id: _commit(settings, accounts, c, changed[c.id], c.id in distinct) for c in commits}
    return {
        "ref": change.reference,
        "before": change.old,
        "after": change.new,
        "repository": _pushed_repository(settings, repository, accounts),
        "pusher": {"name": push.pusher, "email": pusher.email if pusher else None},
        **_who(settings, accounts, push.pusher),
        "created": change.created,
        "deleted": change.deleted,
        "forced": forced,
        "base_ref": base,
        "compare": _compare(settings, change, commits, base),
        "commits": list(shown.values()),
        "head_commit": None
        if head is None
        else shown.get(head.id) or _commit(settings, accounts, head, changed[head.id], True),
    }


async def _moved(
    repository: Repository, change: Change, references: dict[str, str]
) -> tuple[str | None, list[str], bool]:
    """The commit that a reference leads to now, the commits that are new to it, oldest first, and whether others were
    taken from it."""
    if change.deleted:
        return None, [], False
    tip = change.new if change.branch else await repository.commit_id(change.new)
    if tip is None:
        return None, [], False
    most = facts.github()["limits"]["commitsOfAPush"]
    if change.created:
        others = _others(change, references)
        new = [] if f"^{tip}" in others else await repository.history([tip, *others], most=most)
        return tip, list(reversed(new)), False
    both = await repository.history([f"{change.old}...{tip}"], most=most, limits=["--left-right"])
    new = [id_[1:] for id_ in both if id_.startswith(">")]
    return tip, list(reversed(new)), len(new) < len(both)


async def _distinct(repository: Repository, change: Change, new: list[str], references: dict[str, str]) -> set[str]:
    """Which of the new commits no other reference leads to."""
    others = _others(change, references)
    if change.created or not others or not new:
        return set(new)
    most = facts.github()["limits"]["commitsOfAPush"]
    return set(await repository.history([change.new, f"^{change.old}", *others], most=most))


def _others(change: Change, references: dict[str, str]) -> list[str]:
    return [f"^{id_}" for name, id_ in references.items() if name != change.reference]


def _base(change: Change, references: dict[str, str]) -> str | None:
    """The branch that a new reference begins at."""
    names = (name for name, id_ in references.items() if name.startswith(HEADS) and id_ == change.new)
    return next((name for name in names if name != change.reference), None) if change.created else None


def _compare(settings: Settings, change: Change, commits: list[Commit], base: str | None) -> str:
    address = f"{shapes.GITHUB.html}/{settings.full_name}"
    if not change.created:
        return f"{address}/compare/{change.old[:_SHORT]}...{change.new[:_SHORT]}"
    if base is not None or not commits:
        return f"{address}/compare/{change.reference.split('/', 2)[2]}"
    if len(commits) == 1:
        return f"{address}/commit/{commits[0].id}"
    return f"{address}/compare/{commits[0].id[:_SHORT]}^...{commits[-1].id[:_SHORT]}"


def _comes_or_goes(settings: Settings, repository: Repository, accounts: Accounts, push: Push, change: Change) -> Event:
    kind = "tag" if change.reference.startswith(TAGS) else "branch"
    payload: dict[str, Any] = {"ref": change.reference.split("/", 2)[-1], "ref_type": kind}
    if change.created:
        payload |= {
            "full_ref": change.reference,
            "master_branch": settings.default_branch,
            "description": settings.description,
        }
    payload |= {"pusher_type": "user", "repository": _repository(settings, repository, accounts)}
    return Event("create" if change.created else "delete", payload | _who(settings, accounts, push.pusher))


def _commit(
    settings: Settings, accounts: Accounts, commit: Commit, changes: list[FileChange], distinct: bool
) -> dict[str, Any]:
    def of(*letters: str) -> list[str]:
        return [c.path.encode("utf-8", "replace").decode() for c in changes if c.status in letters]

    return {
        "id": commit.id,
        "tree_id": commit.tree,
        "distinct": distinct,
        "message": commit.message,
        "timestamp": commit.committer.local_date,
        "url": f"{shapes.GITHUB.html}/{settings.full_name}/commit/{commit.id}",
        "author": _person(accounts, commit.author.name, commit.author.email),
        "committer": _person(accounts, commit.committer.name, commit.committer.email),
        "added": of("A"),
        "removed": of("D"),
        "modified": of("M", "T"),
    }


def _person(accounts: Accounts, name: str, email: str) -> dict[str, Any]:
    account = accounts.by_email(email)
    return {"name": name, "email": email, **({"username": account.login} if account else {})}


def _who(settings: Settings, accounts: Accounts, login: str) -> dict[str, Any]:
    owner = shapes.owner_of(settings, accounts)
    organization = {"organization": shapes.organization(owner)} if owner.kind == "Organization" else {}
    return organization | {"sender": _sender(accounts, login)}


def _sender(accounts: Accounts, login: str) -> dict[str, Any]:
    return shapes.account(accounts.get(login) or accounts.organization)


def _repository(settings: Settings, repository: Repository, accounts: Accounts) -> dict[str, Any]:
    found = shapes.repository(settings, accounts, "none", repository)
    del found["permissions"]
    return found | {"custom_properties": {}}


def _pushed_repository(settings: Settings, repository: Repository, accounts: Accounts) -> dict[str, Any]:
    """The repository as push events have it: its page as `url`, times in seconds, the owner with name and e-mail."""
    owner = shapes.owner_of(settings, accounts)
    found = _repository(settings, repository, accounts)
    return found | {
        "owner": {"name": owner.login, "email": _address(owner), **found["owner"]},
        "url": found["html_url"],
        "created_at": _seconds(settings.created),
        "pushed_at": _seconds(settings.pushed),
        "stargazers": 0,
        "master_branch": settings.default_branch,
        **({"organization": owner.login} if owner.kind == "Organization" else {}),
    }


def _address(owner: Account) -> str | None:
    return owner.email if owner.kind == "User" else None


def _seconds(text: str) -> int:
    return int(dt.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


def shown_hook(settings: Settings, hook: Hook, links: shapes.Links = shapes.GITHUB) -> dict[str, Any]:
    """A hook as answers and the ping have it; the secret never is."""
    url = f"{links.repository(settings)}/hooks/{hook.id}"
    config = {"content_type": hook.content_type, "insecure_ssl": hook.insecure_ssl, "url": hook.url}
    return {
        "type": "Repository",
        "id": hook.id,
        "name": "web",
        "active": hook.active,
        "events": hook.events,
        "config": ({"secret": "********"} if hook.secret else {}) | config,
        "updated_at": hook.updated,
        "created_at": hook.created,
        "url": url,
        "test_url": f"{url}/test",
        "ping_url": f"{url}/pings",
        "deliveries_url": f"{url}/deliveries",
        "last_response": hook.last_response,
    }
