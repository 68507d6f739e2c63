"""Web hooks (GitHub docs, REST, "Repository webhooks")."""

from __future__ import annotations

from typing import Any

from azsandbox.git.commit import ZERO
from azsandbox.git.events import shown_hook
from azsandbox.git.hooks import Delivery, Hook, known_events
from azsandbox.git.push import HEADS, Change, Push
from azsandbox.git.repositories import Settings
from azsandbox.git.rest.answers import Answer, ApiError, not_found, refused
from azsandbox.git.rest.call import Call

_FIELDS = {
    "name": "string",
    "active": "boolean",
    "events": "array",
    "config": "object",
    "add_events": "array",
    "remove_events": "array",
}
_FORMS = ("json", "form")


async def list_all(call: Call) -> Answer:
    """All of a repository."""
    settings = _settings(call)
    return call.paged([shown_hook(settings, hook, call.links) for hook in call.host.hooks.of(settings)])


async def get(call: Call) -> Answer:
    """One."""
    settings = _settings(call)
    return Answer(200, shown_hook(settings, _hook(call, settings), call.links))


async def create(call: Call) -> Answer:
    """Makes one, and sends it a ping."""
    settings = _settings(call)
    body = call.body(_FIELDS)
    if body.get("name", "web") != "web":
        raise _wrong(f"{body['name']!r} is not a hook's name; it is 'web'")
    hook = Hook(call.host.hooks.new_id(), "", [])
    hook.created = hook.updated = call.host.repositories.now()
    _configure(hook, body.get("config") or {})
    if not hook.url:
        raise _wrong("Config must contain URL for webhooks")
    hook.active = body.get("active", True)
    hook.events = _events(body.get("events", ["push"]))
    if any(_same(hook, other) for other in call.host.hooks.of(settings)):
        raise _wrong("Hook already exists on this repository")
    call.host.hooks.save(settings, hook)
    call.host.ping(settings, hook, call.account().login)
    shown = shown_hook(settings, hook, call.links)
    return Answer(201, shown, {"Location": shown["url"]})


async def update(call: Call) -> Answer:
    """Changes what a body names; a `config` replaces the one that there was, secret included."""
    settings = _settings(call)
    hook = _hook(call, settings)
    body = call.body(_FIELDS)
    if "config" in body:
        hook.content_type, hook.insecure_ssl, hook.secret = "form", "0", ""
        _configure(hook, body["config"])
    hook.active = body.get("active", hook.active)
    hook.events = _events(body.get("events", hook.events))
    added = [event for event in _events(body.get("add_events", [])) if event not in hook.events]
    hook.events = [event for event in [*hook.events, *added] if event not in body.get("remove_events", [])]
    hook.updated = call.host.repositories.now()
    call.host.hooks.save(settings, hook)
    return Answer(200, shown_hook(settings, hook, call.links))


async def delete(call: Call) -> Answer:
    """Takes one away."""
    settings = _settings(call)
    call.host.hooks.delete(settings, _hook(call, settings))
    return Answer(204)


async def ping(call: Call) -> Answer:
    """Sends a ping."""
    settings = _settings(call)
    call.host.ping(settings, _hook(call, settings), call.account().login)
    return Answer(204)


async def test(call: Call) -> Answer:
    """Sends the latest commit of the default branch as if it had been pushed now."""
    settings = _settings(call)
    hook = _hook(call, settings)
    new = call.host.repositories.of(settings).resolve(HEADS + settings.default_branch)
    if new is not None:
        old = (await call.host.repositories.of(settings).commits([new]))[0].parents
        change = Change(old[0] if old else ZERO, new, HEADS + settings.default_branch)
        push = Push(settings.owner, settings.name, (change,), call.account().login)
        call.host.test(settings, hook, push)
    return Answer(204)


async def deliveries(call: Call) -> Answer:
    """What was delivered, the latest first."""
    settings = _settings(call)
    call.refuse_query("cursor")
    hook = _hook(call, settings)
    return call.paged([_listed(delivery) for delivery in call.host.hooks.deliveries(settings, hook)])


async def delivery(call: Call) -> Answer:
    """One delivery: what was sent, and what came back."""
    settings = _settings(call)
    found = _delivery(call, settings, _hook(call, settings))
    return Answer(200, _listed(found) | {"url": found.url, "request": found.request, "response": found.response})


async def redeliver(call: Call) -> Answer:
    """Sends a delivery once more."""
    settings = _settings(call)
    hook = _hook(call, settings)
    call.host.redeliver(settings, hook, _delivery(call, settings, hook))
    return Answer(202, {})


def _settings(call: Call) -> Settings:
    """Hooks are for those who administer a repository; for others there are none."""
    settings = call.settings("push" if call.method != "GET" else "pull")
    if call.viewer.role(call.host.accounts, settings) != "admin":
        raise not_found()
    return settings


def _hook(call: Call, settings: Settings) -> Hook:
    found = call.host.hooks.get(settings, call.number("hook_id"))
    if found is None:
        raise not_found()
    return found


def _delivery(call: Call, settings: Settings, hook: Hook) -> Delivery:
    wanted = call.number("delivery_id")
    found = next((d for d in call.host.hooks.deliveries(settings, hook) if d.id == wanted), None)
    if found is None:
        raise not_found()
    return found


def _configure(hook: Hook, config: dict[str, Any]) -> None:
    url = config.get("url", hook.url)
    if not isinstance(url, str) or (url and not url.startswith(("http://", "https://"))):
        raise _wrong("Url is missing a scheme")
    hook.url = url
    hook.content_type = str(config.get("content_type", hook.content_type))
    if hook.content_type not in _FORMS:
        raise _wrong(f"content_type {hook.content_type!r} is not 'json' or 'form'")
    hook.insecure_ssl = str(int(config.get("insecure_ssl", hook.insecure_ssl) in (1, "1", True)))
    hook.secret = str(config.get("secret", hook.secret) or "")


def _events(names: list[Any]) -> list[str]:
    """Events, checked: those that the sandbox never sends are refused by name."""
    found = [str(name) for name in names]
    unknown = [name for name in found if name not in known_events() and name != "*"]
    if unknown:
        known = ", ".join(known_events())
        raise refused(f"the events {', '.join(unknown)} of hooks; it sends {known}")
    return found


def _same(hook: Hook, other: Hook) -> bool:
    return (hook.url, hook.content_type, sorted(hook.events)) == (other.url, other.content_type, sorted(other.events))


def _wrong(message: str) -> ApiError:
    return ApiError(422, "Validation Failed", [{"resource": "Hook", "code": "custom", "message": message}])


def _listed(found: Delivery) -> dict[str, Any]:
    return {
        "id": found.id,
        "guid": found.guid,
        "delivered_at": found.delivered_at,
        "redelivery": found.redelivery,
        "duration": found.duration,
        "status": found.status,
        "status_code": found.status_code,
        "event": found.event,
        "action": found.action,
        "installation_id": None,
        "repository_id": found.repository_id,
        "throttled_at": None,
    }
