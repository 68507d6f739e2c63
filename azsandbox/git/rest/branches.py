"""Branches and tags (GitHub docs, REST, "Branches")."""

from __future__ import annotations

from typing import Any

from azsandbox.git.repositories import Settings
from azsandbox.git.repository import HEADS
from azsandbox.git.rest import shapes
from azsandbox.git.rest.answers import Answer, ApiError
from azsandbox.git.rest.call import Call


async def list_all(call: Call) -> Answer:
    """All by name; `protected` narrows it."""
    settings, git = call.repository()
    url = call.links.repository(settings)
    found = []
    for name, id_ in git.branches().items():
        protected = settings.protection(name) is not None
        if call.query.get("protected") in (None, "") or (call.query["protected"] == "true") == protected:
            commit = {"sha": id_, "url": f"{url}/commits/{id_}"}
            found.append({"name": name, "commit": commit, "protected": protected})
    return call.paged(found)


async def get(call: Call) -> Answer:
    """One, with its commit."""
    settings, git = call.repository()
    name = call.params["branch"]
    id_ = git.resolve(HEADS + name)
    if id_ is None:
        raise ApiError(404, "Branch not found")
    commit = (await git.commits([id_]))[0]
    url = f"{call.links.repository(settings)}/branches/{name}"
    return Answer(
        200,
        {
            "name": name,
            "commit": shapes.commit(settings, commit, call.host.accounts, call.links),
            "_links": {"self": url, "html": f"{call.links.html}/{settings.full_name}/tree/{name}"},
            "protected": settings.protection(name) is not None,
            "protection": _protection(settings, name),
            "protection_url": f"{url}/protection",
        },
    )


async def tags(call: Call) -> Answer:
    """All tags with the commits that they lead to, the latest names first."""
    settings, git = call.repository()
    url = call.links.repository(settings)
    found = []
    for name in sorted(git.tags(), reverse=True):
        id_ = await git.commit_id(f"refs/tags/{name}")
        if id_ is not None:
            found.append(
                {
                    "name": name,
                    "zipball_url": f"{url}/zipball/refs/tags/{name}",
                    "tarball_url": f"{url}/tarball/refs/tags/{name}",
                    "commit": {"sha": id_, "url": f"{url}/commits/{id_}"},
                    "node_id": shapes.node_id("REF", settings.id, f"refs/tags/{name}"),
                }
            )
    return call.paged(found)


def _protection(settings: Settings, branch: str) -> dict[str, Any]:
    rule = settings.protection(branch)
    contexts = list(rule.contexts or ()) if rule else []
    level = "off" if not contexts or rule is None else "everyone" if rule.enforce_admins else "non_admins"
    return {
        "enabled": rule is not None,
        "required_status_checks": {
            "enforcement_level": level,
            "contexts": contexts,
            "checks": [{"context": context, "app_id": None} for context in contexts],
        },
    }
