"""From a path to the handler: Resource Manager's own addresses first, then the types of providers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from azsandbox.arm import errors, ids, locks
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.ids import Target
from azsandbox.arm.resource_type import ResourceType

if TYPE_CHECKING:
    from azsandbox.arm.conditions import Attributes
    from azsandbox.arm.provider import Arm

VERBS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}


async def answer(call: Call) -> Answer:
    """Routes one authenticated request. Raises ArmError."""
    from azsandbox.arm.providers.resources import routes

    _check_subscription(call)
    if found := await routes.answer(call):
        return found
    target = ids.parse(call.path)
    if target is None and ids.segments(call.path)[:1] == ["subscriptions"]:
        raise errors.not_supported(f"{call.method} of '{call.path}'")
    if target is None or not target.types:
        raise errors.gateway(404, "InvalidResourceType", f"The resource path '{call.path}' could not be found.")
    if target.scope.lower().startswith("/providers/microsoft.management/managementgroups/"):
        raise errors.not_supported("management groups")
    resolve(call, target)
    assert call.target is not None and call.resource_type is not None
    type_, target = call.resource_type, call.target
    name = call.action
    kind = "read" if name.lower() in type_.read_actions else "action"
    verb = f"{name}/{kind}" if name else VERBS.get(call.method, type_.post_verb)
    action = f"{type_.full_name}/{verb}"
    authorize(call, action, target.access_scope, type_.attributes(call))
    if call.method in ("PUT", "PATCH"):
        from azsandbox.arm import linked  # which a start need not wait for

        linked.check(call, type_.full_name, action, target.access_scope)
    _check_registered(call)
    _check_group(call)
    return await dispatch(call, type_, name)


async def dispatch(call: Call, type_: ResourceType, name: str) -> Answer:
    """Hands a resolved call to its type's handler."""
    target = call.target
    assert target is not None
    call.answer_headers |= type_.headers(call)
    if name:
        if call.method != "POST":
            raise errors.method_not_allowed(call.method, f"{type_.full_name}/{name}")
        locks.check(call, target.id)
        return await type_.post(call, name)
    if target.is_collection:
        if call.method == "GET":
            return await type_.list(call)
        if call.method == "POST":
            return await type_.post_collection(call)
        raise errors.method_not_allowed(call.method, type_.full_name)
    if call.method in ("PUT", "PATCH", "DELETE"):
        locks.check(call, target.id)
    handler = {
        "GET": type_.get,
        "HEAD": type_.get,
        "PUT": type_.put,
        "PATCH": type_.patch,
        "DELETE": type_.delete,
    }.get(call.method)
    if handler is None:
        raise errors.method_not_allowed(call.method, type_.full_name)
    if call.method not in ("PUT", "PATCH", "DELETE") or not call.arm.policies.any():
        answer = await handler(call)
        return Answer(204, None, answer.headers) if call.method == "HEAD" and answer.status == 200 else answer
    return await _held_to_policies(call, handler)


async def _held_to_policies(call: Call, handler: Callable[[Call], Awaitable[Answer]]) -> Answer:
    """A write or a deletion, as far as policies let it through."""
    from azsandbox.arm.policy import enforcement

    if call.method == "DELETE":
        enforcement.check_delete(call)
        return await handler(call)
    enforcement.apply(call)
    answer = await handler(call)
    enforcement.after(call)
    return answer


def resolve(call: Call, target: Target) -> None:
    """Finds the type of a target and puts its canonical form into the call. Raises what Azure says of unknown ones."""
    arm = call.arm
    namespace = arm.facts.namespace(target.namespace)
    if namespace is None:
        raise errors.unknown_namespace(target.namespace)
    full = arm.facts.type("/".join((namespace, *target.types)))
    action = ""
    if full is None and call.method == "POST" and target.is_collection and len(target.types) > 1:
        action, target = target.types[-1], Target(target.scope, target.namespace, target.types[:-1], target.names)
        full = arm.facts.type("/".join((namespace, *target.types)))
    provider = arm.provider(namespace)
    if action and provider and (known := provider.types.get("/".join((*target.types, action)).lower())):
        full, action = known.full_name, ""
        target = Target(target.scope, target.namespace, (*target.types, known.name.rsplit("/", 1)[-1]), target.names)
    if full is None:
        raise errors.unknown_type("/".join(target.types), namespace, call.api_version)
    if not arm.facts.has_version(full, call.api_version):
        raise _wrong_version(call, full, target)
    namespace, _, name = full.partition("/")
    scope = canonical_scope(arm, target.scope)
    types = tuple(name.split("/"))
    names = target.names
    if not target.is_collection and (stored := arm.resources.get(Target(scope, namespace, types, names).id)):
        scope, names = stored.resource_id.scope, stored.resource_id.names
    elif len(names) > 1 or (target.is_collection and names):
        count = len(names) if target.is_collection else len(names) - 1
        above = arm.resources.get(ids.ResourceId(scope, namespace, types[:count], names[:count]))
        if above:
            scope, names = above.resource_id.scope, (*above.resource_id.names, *names[count:])
    if types[-1].lower().startswith("operation") and len(types) > 1 and not arm.has_type(full):
        raise errors.operation_not_found(names[-1] if names else "")
    call.target, call.action = Target(scope, namespace, types, names), action
    call.resource_type = arm.type_of(full)


def canonical_scope(arm: Arm, scope: str) -> str:
    """A scope in the case it is stored in: subscription, group, and the resource that is extended."""
    parts = ids.segments(scope)
    if parts[:1] and parts[0].lower() == "subscriptions":
        parts[0] = "subscriptions"
        if len(parts) > 1:
            parts[1] = parts[1].lower()
        if len(parts) > 3 and parts[2].lower() == "resourcegroups":
            parts[2] = "resourceGroups"
            if stored := arm.resources.get(ids.group(parts[1], parts[3])):
                parts[3] = stored.name
    text = ids.scope_text(parts)
    stored = arm.resources.get(text) if "providers" in [p.lower() for p in parts] else None
    return stored.id if stored else text


def authorize(call: Call, action: str, scope: str, attributes: Attributes | None = None) -> None:
    """Raises AuthorizationFailed unless the caller's roles allow the action at the scope; `attributes` are what
    conditions of their assignments may ask of the request."""
    identity = call.identity
    if not scope.lower().startswith("/subscriptions/") and action.endswith("/read"):
        return  # what the tenant has, such as built-in roles, anyone in it may read
    if not call.arm.access.permits(identity, action, scope or "/", attributes=attributes):
        raise errors.authorization_failed(identity.name, identity.object_id, action, scope or "/")


def _wrong_version(call: Call, full: str, target: Target) -> errors.ArmError:
    """400 with locations for a type that has some, else 404."""
    facts = call.arm.facts
    namespace, _, name = full.partition("/")
    versions, places = facts.versions(full), facts.locations_of(full)
    if not places:
        return errors.unknown_type(name, namespace, call.api_version, versions)
    location = ""
    if not target.is_collection and (stored := call.arm.resources.get(target.id)):
        location = str(stored.body.get("location", ""))
    if not location and isinstance(call.body, dict):
        location = str(call.body.get("location") or "")
    if not location and call.group and (found := call.arm.resources.get(ids.group(call.subscription, call.group))):
        location = str(found.body.get("location", ""))
    return errors.no_registered_provider(location, call.api_version, name, versions, places)


def _check_subscription(call: Call) -> None:
    parts = ids.segments(call.path)
    parts[:1] = [p.lower() for p in parts[:1]]
    if parts[:1] != ["subscriptions"] or len(parts) < 2:
        return
    if parts[1].lower() != call.arm.services.subscription_id.lower():
        raise errors.subscription_not_found(parts[1])


def _check_registered(call: Call) -> None:
    from azsandbox.arm.providers.resources import registration

    assert call.target is not None
    if call.method not in ("PUT", "PATCH", "POST") or not call.target.scope.lower().startswith("/subscriptions/"):
        return
    if registration.state(call.arm, call.target.namespace) not in ("Registered", "Registering"):
        raise errors.missing_registration(call.subscription, call.target.namespace)


def _check_group(call: Call) -> None:
    """The resource group must be there, and not on its way out when something is to be written."""
    name = call.group
    if name is None:
        return
    group = call.arm.resources.get(ids.group(call.arm.services.subscription_id, name))
    if group is None:
        raise errors.group_not_found(name)
    if call.method in ("PUT", "PATCH") and group.state == "Deleting":
        raise errors.group_being_deleted(name)
