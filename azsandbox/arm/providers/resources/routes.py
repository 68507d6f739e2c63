"""The addresses of Resource Manager itself, which do not have the form of a provider's resource."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from azsandbox.arm import errors, ids, routing
from azsandbox.arm.call import Answer, Call
from azsandbox.arm.ids import Target
from azsandbox.arm.providers import features
from azsandbox.arm.providers.resources import listing, registration, subscriptions

Handler = Callable[[Call, list[str]], Awaitable[Answer]]


async def answer(call: Call) -> Answer | None:
    """The answer, or None where the path belongs to a provider."""
    if found := await features.answer(call):
        return found
    parts = ids.segments(call.path)
    shape = "/".join(p.lower() if i % 2 == 0 else "*" for i, p in enumerate(parts))
    handler = ROUTES.get((call.method, shape))
    if handler is None and shape.startswith("subscriptions/*/resourcegroups") and len(parts) <= 5:
        return await _group(call, parts)
    if handler is None:
        return None
    return await handler(call, parts)


async def _group(call: Call, parts: list[str]) -> Answer | None:
    """Resource groups have no /providers/ in their path, and go the way of a type from here on."""
    action = parts[4] if len(parts) == 5 else ""
    if action and call.method != "POST":
        return None
    names = tuple(parts[1:4:2])
    found = call.arm.resources.get(ids.group(*names)) if len(names) == 2 else None
    call.target = Target("", "Microsoft.Resources", ("subscriptions", "resourceGroups"), (parts[1].lower(), *names[1:]))
    if found:
        call.target = Target("", "Microsoft.Resources", ("subscriptions", "resourceGroups"), found.resource_id.names)
    call.resource_type = type_ = call.arm.type_of(ids.GROUPS)
    call.action = action
    if not call.arm.facts.has_version(ids.GROUPS, call.api_version):
        raise errors.unknown_type(
            "resourceGroups",
            "Microsoft.Resources",
            call.api_version,
            call.arm.facts.versions("Microsoft.Resources/resourceGroups"),
        )
    verb = routing.VERBS.get(call.method, "action")
    scope = str(call.target.id) if not call.target.is_collection else f"/subscriptions/{parts[1]}"
    if not call.target.is_collection:
        routing.authorize(call, f"{ids.GROUPS}/{action + '/action' if action else verb}", scope)
    elif call.method == "GET":
        return await listing.visible(call, await type_.list(call), f"{ids.GROUPS}/read")
    return await routing.dispatch(call, type_, action)


async def _providers(call: Call, parts: list[str]) -> Answer:
    subscription = parts[1].lower() if parts[0].lower() == "subscriptions" else None
    if subscription:
        routing.authorize(call, "Microsoft.Resources/subscriptions/providers/read", f"/subscriptions/{subscription}")
    return call.page([registration.document(call.arm, n, subscription) for n in sorted(call.arm.facts.providers)])


async def _provider(call: Call, parts: list[str]) -> Answer:
    subscription = parts[1].lower() if parts[0].lower() == "subscriptions" else None
    if subscription:
        routing.authorize(call, "Microsoft.Resources/subscriptions/providers/read", f"/subscriptions/{subscription}")
    namespace = call.arm.facts.namespace(parts[-1])
    if namespace is None:
        raise errors.unknown_namespace(parts[-1])
    return Answer(200, registration.document(call.arm, namespace, subscription))


async def _register(call: Call, parts: list[str]) -> Answer:
    verb = parts[4].lower()
    namespace = call.arm.facts.namespace(parts[3])
    if namespace is None:
        raise errors.unknown_namespace(parts[3])
    routing.authorize(call, f"{namespace}/{verb}/action", f"/subscriptions/{parts[1]}")
    if verb == "unregister":
        if namespace in registration.ALWAYS:
            text = f"The resource provider '{namespace}' cannot be unregistered."
            raise errors.gateway(409, "CannotUnregisterRegistrationFreeResourceProvider", text)
        kept = [s for s in call.arm.resources.all() if s.type.split("/")[0] == namespace]
        if kept:
            text = (
                f"Cannot unregister the resource provider namespace '{namespace}' since there are existing resources "
                f"in use by the subscription: '{', '.join(s.id for s in kept[:3])}'."
            )
            raise errors.gateway(409, "MissingSubscriptionRegistration", text)
    registration.change(call.arm, namespace, verb == "register")
    return Answer(200, registration.document(call.arm, namespace, parts[1].lower()))


async def _deployment_operations(call: Call, parts: list[str]) -> Answer:
    """Operations of a deployment to a group are asked for at an address without its provider."""
    call.path = "/" + "/".join((*parts[:4], "providers", "Microsoft.Resources", *parts[4:]))
    return await routing.answer(call)


ROUTES: dict[tuple[str, str], Handler] = {
    ("GET", "subscriptions"): subscriptions.list_,
    ("GET", "subscriptions/*"): subscriptions.get,
    ("GET", "subscriptions/*/locations"): subscriptions.locations,
    ("GET", "tenants"): subscriptions.tenants,
    ("GET", "subscriptions/*/tagnames"): listing.tag_names,
    ("GET", "subscriptions/*/resources"): listing.resources,
    ("GET", "subscriptions/*/resourcegroups/*/resources"): listing.resources,
    ("GET", "subscriptions/*/resourcegroups/*/deployments/*/operations"): _deployment_operations,
    ("GET", "subscriptions/*/resourcegroups/*/deployments/*/operations/*"): _deployment_operations,
    ("GET", "subscriptions/*/providers"): _providers,
    ("GET", "subscriptions/*/providers/*"): _provider,
    ("GET", "providers"): _providers,
    ("GET", "providers/*"): _provider,
    ("POST", "subscriptions/*/providers/*/register"): _register,
    ("POST", "subscriptions/*/providers/*/unregister"): _register,
}
