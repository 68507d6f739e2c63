"""Commit statuses (GitHub docs, REST, "Commit statuses"): what a CI or Flux says of a commit."""

from __future__ import annotations

from typing import Any

from azsandbox.git.repositories import Settings
from azsandbox.git.rest import shapes
from azsandbox.git.rest.answers import Answer, ApiError, invalid
from azsandbox.git.rest.call import Call
from azsandbox.git.rest.commits import commit_of
from azsandbox.git.statuses import STATES, Full, Status

_FIELDS = {"state": "string", "target_url": "string|null", "description": "string|null", "context": "string"}
_DESCRIPTION = 140  # characters


async def create(call: Call) -> Answer:
    """Adds a status to a commit."""
    settings = call.settings("push")
    body = call.body(_FIELDS, ("state",))
    sha = await commit_of(call, call.params["sha"])
    if body["state"] not in STATES:
        raise invalid("Status", "state", "custom", "state is not included in the list")
    description = body.get("description")
    if description is not None and len(description) > _DESCRIPTION:
        raise invalid("Status", "description", "custom", "description is too long (maximum is 140 characters)")
    try:
        status = call.host.statuses.add(
            settings,
            sha,
            body["state"],
            context=body.get("context") or "default",
            description=description,
            target_url=body.get("target_url"),
            creator=call.account().login,
            created=call.host.repositories.now(),
        )
    except Full as error:
        raise ApiError(422, "Validation Failed", [{"message": str(error)}]) from None
    call.host.status_added(settings, status)
    url = f"{call.links.repository(settings)}/statuses/{sha}"
    return Answer(201, shown(call, settings, status), {"Location": url})


async def list_all(call: Call) -> Answer:
    """All statuses of a commit, the latest first."""
    settings = call.settings()
    sha = await commit_of(call, call.params["ref"])
    found = call.host.statuses.of(settings, sha)
    return call.paged([shown(call, settings, status) for status in found])


async def combined(call: Call) -> Answer:
    """The latest status of each context, and what they come to."""
    settings = call.settings()
    sha = await commit_of(call, call.params["ref"])
    latest = call.host.statuses.latest(settings, sha)
    states = {status.state for status in latest}
    state = "failure" if states & {"error", "failure"} else "success" if states == {"success"} else "pending"
    url = f"{call.links.repository(settings)}/commits/{sha}"
    rows = [shown(call, settings, status) for status in latest]
    for row in rows:
        del row["creator"]
    owner = shapes.owner_of(settings, call.host.accounts)
    page = call.paged(rows)
    return Answer(
        200,
        {
            "state": state,
            "statuses": page.body,
            "sha": sha,
            "total_count": len(rows),
            "repository": shapes.minimal_repository(settings, owner, call.links),
            "commit_url": url,
            "url": f"{url}/status",
        },
        page.headers,
    )


def shown(call: Call, settings: Settings, status: Status) -> dict[str, Any]:
    """A status as answers have it."""
    creator = call.host.accounts.get(status.creator)
    account = shapes.account(creator, call.links) if creator else None
    return {
        "url": f"{call.links.repository(settings)}/statuses/{status.sha}",
        "avatar_url": account["avatar_url"] if account else None,
        "id": status.id,
        "node_id": shapes.node_id("SC", settings.id, status.id),
        "state": status.state,
        "description": status.description,
        "target_url": status.target_url,
        "context": status.context,
        "created_at": status.created,
        "updated_at": status.created,
        "creator": account,
    }
