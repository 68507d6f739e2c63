"""Nobody grants by roles and bindings what they lack themselves, unless they may `escalate` or `bind`.

Semantics and texts: Kubernetes 1.35, pkg/registry/rbac (policybased, validation) and
component-helpers/auth/rbac/validation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from azsandbox.kubernetes import errors
from azsandbox.kubernetes.authz import RBAC, Question
from azsandbox.kubernetes.request import Object, Request
from azsandbox.kubernetes.resources import Resource

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

_EVERYTHING: list[Object] = [
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
]
_KEPT_BY_COLLECTION = ("ownerReferences", "finalizers", "managedFields")  # what garbage collection writes


def check(server: ApiServer, request: Request, resource: Resource, new: Object, old: Object | None) -> None:
    """Raises 403 for a role or binding that grants more than its author has; 404 for a binding to no role."""
    if resource.group != RBAC or "system:masters" in request.user.groups:
        return
    if old is not None and _without_collection(new) == _without_collection(old):
        return
    if resource.name in ("roles", "clusterroles"):
        _check_role(server, request, resource, new, old)
    elif resource.name in ("rolebindings", "clusterrolebindings"):
        _check_binding(server, request, resource, new)


def _without_collection(obj: Object) -> Object:
    metadata = {k: v for k, v in obj["metadata"].items() if k not in _KEPT_BY_COLLECTION}
    return {**obj, "metadata": metadata}


def _check_role(server: ApiServer, request: Request, resource: Resource, new: Object, old: Object | None) -> None:
    may = Question(
        request.user, "escalate", RBAC, "*", resource.name, "", request.namespace, request.name
    )  # the name of the path: none when creating
    if server.authorization.decide(may).allowed:
        return
    name = new["metadata"].get("name", "")
    _confirm(server, request, resource, name, new.get("rules") or [])
    gathers = _aggregates(new) or (old is not None and _aggregates(old))
    if gathers and _missing(server, request, _EVERYTHING)[0]:
        text = "must have cluster-admin privileges to use the aggregationRule"
        raise errors.forbidden(resource.name, name, text, RBAC)


def _aggregates(role: Object) -> bool:
    return bool((role.get("aggregationRule") or {}).get("clusterRoleSelectors"))


def _check_binding(server: ApiServer, request: Request, resource: Resource, new: Object) -> None:
    ref = new.get("roleRef") or {}
    kind, name = ref.get("kind", ""), ref.get("name", "")
    plural = {"Role": "roles", "ClusterRole": "clusterroles"}.get(kind)
    if plural is None:
        raise errors.plain_500(f"unsupported role reference kind: {json.dumps(kind)}")
    may = Question(request.user, "bind", ref.get("apiGroup", ""), "*", plural, "", request.namespace, name)
    if server.authorization.decide(may).allowed:
        return
    role = server.peek(f"{plural}.{RBAC}", request.namespace if kind == "Role" else "", name)
    if role is None:
        raise errors.not_found(resource.name, name, RBAC)  # the server names the resource of the request here
    _confirm(server, request, resource, new["metadata"].get("name", ""), role.get("rules") or [])


def _confirm(server: ApiServer, request: Request, resource: Resource, name: str, rules: list[Object]) -> None:
    missing, problems = _missing(server, request, rules)
    if not missing:
        return
    lines = sorted({_text(rule) for rule in _compact(missing)})
    groups = _quoted(list(request.user.groups))
    text = (
        f"user {json.dumps(request.user.name)} (groups={groups}) is attempting to grant RBAC permissions "
        "not currently held:\n" + "\n".join(lines)
    )
    if problems:
        # the server reads roles in the name of the request's resource, and says so
        named = list(dict.fromkeys(f"{resource.name}.{RBAC} {problem.partition(' ')[2]}" for problem in problems))
        shown = named[0] if len(named) == 1 else f"[{', '.join(named)}]"
        text += f"; resolution errors: [{shown}]"
    raise errors.forbidden(resource.name, name, text, RBAC)


def _missing(server: ApiServer, request: Request, rules: list[Object]) -> tuple[list[Object], list[str]]:
    """What of `rules` the caller does not have, in its smallest parts; and texts of roles that are not there."""
    held: list[Object] = []
    problems: list[str] = []
    for rule, _, error in server.authorization.rbac.rules(request.user, request.namespace):
        if error:
            problems.append(error)
        else:
            held.append(rule)
    parts = [part for rule in rules for part in broken_down(rule)]
    return [part for part in parts if not any(covers(rule, part) for rule in held)], problems


def broken_down(rule: Object) -> Iterator[Object]:
    """A rule as rules of one group, resource, verb and name each."""
    verbs = rule.get("verbs") or ()
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in verbs:
                part = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                names = rule.get("resourceNames")
                if not names:
                    yield part
                for name in names or ():
                    yield {**part, "resourceNames": [name]}
    for path in rule.get("nonResourceURLs") or ():
        for verb in verbs:
            yield {"nonResourceURLs": [path], "verbs": [verb]}


def covers(owner: Object, part: Object) -> bool:
    """Whether a rule holds all of a smallest part."""
    names = owner.get("resourceNames")
    asked = part.get("resourceNames")
    return (
        _has(owner, part, "verbs")
        and _has(owner, part, "apiGroups")
        and all(_holds_resource(owner.get("resources") or (), name) for name in part.get("resources") or ())
        and all(
            any(_holds_path(pattern, path) for pattern in owner.get("nonResourceURLs") or ())
            for path in part.get("nonResourceURLs") or ()
        )
        and (not names or bool(asked and set(asked) <= set(names)))
    )


def _has(owner: Object, part: Object, key: str) -> bool:
    held = owner.get(key) or ()
    return "*" in held or set(part.get(key) or ()) <= set(held)


def _holds_resource(held: list[str] | tuple[str, ...], name: str) -> bool:
    if "*" in held or name in held:
        return True
    _, slash, sub = name.partition("/")
    return bool(slash) and f"*/{sub}" in held


def _holds_path(pattern: str, path: str) -> bool:
    return pattern == path or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))


def _compact(rules: list[Object]) -> list[Object]:
    """Smallest parts of one resource and name joined: their verbs in one rule."""
    found: list[Object] = []
    joined: dict[tuple[str, str, str | None], Object] = {}
    for rule in rules:
        if rule.get("nonResourceURLs"):
            found.append(rule)
            continue
        key = (rule["apiGroups"][0], rule["resources"][0], (rule.get("resourceNames") or [None])[0])
        if key in joined:
            joined[key]["verbs"] = joined[key]["verbs"] + rule["verbs"]
        else:
            joined[key] = dict(rule)
    return found + list(joined.values())


def _text(rule: Object) -> str:
    names = ("APIGroups", "Resources", "NonResourceURLs", "ResourceNames", "Verbs")
    keys = ("apiGroups", "resources", "nonResourceURLs", "resourceNames", "verbs")
    parts = [f"{name}:{_quoted(rule[key])}" for name, key in zip(names, keys, strict=True) if rule.get(key)]
    return "{" + ", ".join(parts) + "}"


def _quoted(values: list[str]) -> str:
    return "[" + " ".join(json.dumps(value, ensure_ascii=False) for value in values) + "]"
