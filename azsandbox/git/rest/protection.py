"""The rules of protected branches (GitHub docs, REST, "Branch protection")."""

from __future__ import annotations

from typing import Any

from azsandbox.git.protection import Protection
from azsandbox.git.repositories import Settings
from azsandbox.git.repository import HEADS
from azsandbox.git.rest import shapes
from azsandbox.git.rest.answers import Answer, ApiError, refused
from azsandbox.git.rest.call import Call

_REQUIRED = ("required_status_checks", "enforce_admins", "required_pull_request_reviews", "restrictions")
_FIELDS = {
    "required_status_checks": "object|null",
    "enforce_admins": "boolean|null",
    "required_pull_request_reviews": "object|null",
    "restrictions": "object|null",
    "allow_force_pushes": "boolean|null",
    "allow_deletions": "boolean|null",
    "lock_branch": "boolean|null",
}
_REFUSED = (
    "required_linear_history",
    "block_creations",
    "required_conversation_resolution",
    "allow_fork_syncing",
    "required_signatures",
)
_REVIEWS: dict[str, Any] = {
    "dismiss_stale_reviews": False,
    "require_code_owner_reviews": False,
    "require_last_push_approval": False,
    "required_approving_review_count": 1,
}


async def get(call: Call) -> Answer:
    """The rule of a branch."""
    settings, branch = _branch(call)
    rule = settings.protection(branch)
    if rule is None:
        raise ApiError(404, "Branch not protected")
    return Answer(200, _shown(call, settings, branch, rule))


async def update(call: Call) -> Answer:
    """Protects a branch, or changes how. Raises ApiError for what the sandbox could not hold."""
    settings, branch = _branch(call)
    body = call.body(_FIELDS, _REQUIRED)
    call.refuse(body, *_REFUSED)
    rule = Protection(
        enforce_admins=bool(body["enforce_admins"]),
        contexts=_contexts(body["required_status_checks"]),
        strict=bool((body["required_status_checks"] or {}).get("strict")),
        reviews=_reviews(body["required_pull_request_reviews"]),
        pushers=_pushers(call, settings, body["restrictions"]),
        allow_force_pushes=bool(body.get("allow_force_pushes")),
        allow_deletions=bool(body.get("allow_deletions")),
        lock_branch=bool(body.get("lock_branch")),
    )
    settings.protections[branch] = rule.stored()
    call.host.repositories.save(settings)
    return Answer(200, _shown(call, settings, branch, rule))


async def delete(call: Call) -> Answer:
    """Takes the protection away."""
    settings, branch = _branch(call)
    if settings.protections.pop(branch, None) is None:
        raise ApiError(404, "Branch not protected")
    call.host.repositories.save(settings)
    return Answer(204)


def _branch(call: Call) -> tuple[Settings, str]:
    settings = call.settings("push")
    if call.viewer.role(call.host.accounts, settings) != "admin":
        raise ApiError(404, "Not Found")
    branch = call.params["branch"]
    if call.host.repositories.of(settings).resolve(HEADS + branch) is None:
        raise ApiError(404, "Branch not found")
    return settings, branch


def _contexts(checks: dict[str, Any] | None) -> tuple[str, ...] | None:
    if checks is None:
        return None
    found = [str(context) for context in checks.get("contexts") or ()]
    for check in checks.get("checks") or ():
        if check.get("app_id") not in (None, -1):
            raise refused("status checks of one application")
        found.append(str(check.get("context", "")))
    return tuple(dict.fromkeys(found))


def _reviews(asked: dict[str, Any] | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    for name in ("dismissal_restrictions", "bypass_pull_request_allowances"):
        if any((asked.get(name) or {}).values()):
            raise refused(f"the field {name!r} here")
    count = asked.get("required_approving_review_count", 1)
    if not isinstance(count, int) or not 0 <= count <= 6:
        raise ApiError(422, "Invalid request.\n\nrequired_approving_review_count must be between 0 and 6.")
    return {name: asked.get(name, default) for name, default in _REVIEWS.items()}


def _pushers(call: Call, settings: Settings, asked: dict[str, Any] | None) -> tuple[str, ...] | None:
    if asked is None:
        return None
    if settings.owner.lower() != call.host.accounts.organization.login.lower():
        entry = "Only organization repositories can have users and team restrictions"
        raise ApiError(422, "Validation Failed", [{"message": entry}])
    for name in ("teams", "apps"):
        if asked.get(name):
            raise refused(f"restrictions to {name}")
    # logins that GitHub does not know it leaves out
    known = (call.host.accounts.get(str(login)) for login in asked.get("users") or ())
    return tuple(account.login for account in known if account is not None and account.kind == "User")


def _shown(call: Call, settings: Settings, branch: str, rule: Protection) -> dict[str, Any]:
    url = f"{call.links.repository(settings)}/branches/{branch}/protection"
    found: dict[str, Any] = {"url": url}
    if rule.contexts is not None:
        found["required_status_checks"] = {
            "url": f"{url}/required_status_checks",
            "strict": rule.strict,
            "contexts": list(rule.contexts),
            "contexts_url": f"{url}/required_status_checks/contexts",
            "checks": [{"context": context, "app_id": None} for context in rule.contexts],
        }
    if rule.pushers is not None:
        users = [call.host.accounts.get(login) for login in rule.pushers]
        found["restrictions"] = {
            "url": f"{url}/restrictions",
            "users_url": f"{url}/restrictions/users",
            "teams_url": f"{url}/restrictions/teams",
            "apps_url": f"{url}/restrictions/apps",
            "users": [shapes.account(user, call.links) for user in users if user is not None],
            "teams": [],
            "apps": [],
        }
    if rule.reviews is not None:
        found["required_pull_request_reviews"] = {"url": f"{url}/required_pull_request_reviews", **rule.reviews}
    return found | {
        "required_signatures": {"url": f"{url}/required_signatures", "enabled": False},
        "enforce_admins": {"url": f"{url}/enforce_admins", "enabled": rule.enforce_admins},
        "required_linear_history": {"enabled": False},
        "allow_force_pushes": {"enabled": rule.allow_force_pushes},
        "allow_deletions": {"enabled": rule.allow_deletions},
        "block_creations": {"enabled": False},
        "required_conversation_resolution": {"enabled": False},
        "lock_branch": {"enabled": rule.lock_branch},
        "allow_fork_syncing": {"enabled": False},
    }
