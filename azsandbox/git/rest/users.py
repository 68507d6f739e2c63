"""Users and organizations (GitHub docs, REST, "Users" and "Organizations")."""

from __future__ import annotations

from typing import Any

from azsandbox.git import facts
from azsandbox.git.accounts import Account
from azsandbox.git.rest import shapes
from azsandbox.git.rest.answers import Answer, ApiError, not_found
from azsandbox.git.rest.call import Call


async def authenticated(call: Call) -> Answer:
    """Who is signed in."""
    who = call.account()
    own = call.host.repositories.list(who.login)
    private = sum(1 for settings in own if settings.private)
    size = sum(shapes.repository(s, call.host.accounts, "admin", call.host.repositories.of(s))["size"] for s in own)
    return Answer(
        200,
        _user(call, who)
        | {
            "private_gists": 0,
            "total_private_repos": private,
            "owned_private_repos": private,
            "disk_usage": size,
            "collaborators": 0,
            "two_factor_authentication": True,
            "plan": {"name": "free", "space": 976562499, "collaborators": 0, "private_repos": 10000},
        },
    )


async def get_user(call: Call) -> Answer:
    """A user, or an organization seen as one."""
    return Answer(200, _user(call, _account(call)))


async def get_organization(call: Call) -> Answer:
    """The organization."""
    who = _account(call)
    if who.kind != "Organization":
        raise not_found()
    repositories = call.host.repositories.list(who.login)
    return Answer(
        200,
        shapes.organization(who, call.links)
        | {
            "name": who.name,
            "company": None,
            "blog": "",
            "location": None,
            "email": None,
            "is_verified": False,
            "has_organization_projects": True,
            "has_repository_projects": True,
            "public_repos": sum(1 for settings in repositories if not settings.private),
            "public_gists": 0,
            "followers": 0,
            "following": 0,
            "html_url": f"{call.links.html}/{who.login}",
            "type": "Organization",
        },
    )


async def organizations(call: Call) -> Answer:
    """The organizations of who is signed in: all of the lab's people are in the one that there is."""
    call.account()
    return call.paged([shapes.organization(call.host.accounts.organization, call.links)])


async def rate_limit(call: Call) -> Answer:
    """There is none, as on a GitHub Enterprise Server that sets none."""
    raise ApiError(404, "Rate limiting is not enabled.")


def _account(call: Call) -> Account:
    found = call.host.accounts.get(call.params["login"])
    if found is None:
        raise not_found()
    return found


def _user(call: Call, who: Account) -> dict[str, Any]:
    public = sum(1 for settings in call.host.repositories.list(who.login) if not settings.private)
    return shapes.account(who, call.links) | {
        "name": who.name,
        "company": None if who.kind == "Organization" else f"@{facts.organization()}",
        "blog": "",
        "location": None,
        "email": None,
        "hireable": None,
        "bio": None,
        "twitter_username": None,
        "public_repos": public,
        "public_gists": 0,
        "followers": 0,
        "following": 0,
    }
