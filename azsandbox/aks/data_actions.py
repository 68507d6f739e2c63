"""Which data actions of Azure a request to a managed cluster needs.

As AKS's authorization webhook asks (kubeguard/guard, authz/providers/azure/rbac/checkaccessreqhelper.go, with its check of
custom resources on). Its map of operations is made of what Azure publishes; so is this one, and data/aks/data-actions.json
has it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

from azsandbox.aks import facts
from azsandbox.kubernetes.authz import Question

PREFIX = "Microsoft.ContainerService/managedClusters"
GROUP, KIND = f"{PREFIX}/customResources:group", f"{PREFIX}/customResources:kind"
SUBRESOURCE = f"{PREFIX}/resources:subresource"
CUSTOM = "customresources"
# Subresources that conditions of role assignments may ask for.
_SUBRESOURCES = frozenset(
    {
        *(f"pods/{name}" for name in ("logs", "exec", "portforward", "proxy", "ephemeralcontainers", "attach")),
        *(f"{name}/scale" for name in ("deployments", "statefulsets", "replicasets")),
    }
)
_VERBS = {
    **dict.fromkeys(("get", "list", "watch"), "read"),
    **dict.fromkeys(("create", "patch", "update"), "write"),
    **dict.fromkeys(("delete", "deletecollection"), "delete"),
    **{verb: f"{verb}/action" for verb in ("bind", "escalate", "use", "impersonate")},
    "*": "*",
}

Namespaced = Callable[[str, str], bool | None]
"""Whether a resource (group, plural name) is in namespaces; None for one that the cluster does not serve."""


class NoAction(Exception):
    """There is no data action for a request: nobody can be granted it by Azure."""


@functools.cache
def published() -> dict[str, dict[str, list[str]]]:
    """The data actions that Azure publishes: their last parts, by API group ("" is core) and resource."""
    found: dict[str, dict[str, list[str]]] = facts.read("data-actions")["resources"]
    return found


@functools.cache
def _every() -> frozenset[str]:
    """Every published data action, in lower case; of paths the first."""
    found = {_full(g, r, last) for g, rs in published().items() for r, lasts in rs.items() for last in lasts}
    found |= {f"{PREFIX}/{CUSTOM}/{last}" for last in facts.read("data-actions")["custom_resources"]}
    found |= {f"{PREFIX}/{path}/read" for path in facts.read("data-actions")["paths"]}
    return frozenset(action.lower() for action in found)


def covers_any(pattern: str) -> bool:
    """Whether a data action of a role, with `*` or without, is or covers one that Azure publishes."""
    lower = pattern.lower()
    if lower in _every():
        return True
    if "*" in lower:
        form = re.compile(re.escape(lower).replace(r"\*", ".*"))
        return any(form.fullmatch(action) for action in _every())
    paths = (f"{PREFIX}/{path}/".lower() for path in facts.read("data-actions")["paths"])
    return lower.endswith("/read") and lower.startswith(tuple(paths))


def is_discovery(question: Question) -> bool:
    """Whether a request is one of discovery, which anybody who is signed in may make."""
    paths: list[str] = facts.read("data-actions")["discovery"]
    return question.verb.lower() == "get" and question.path.lower().startswith(tuple(paths))


def data_actions(question: Question, namespaced: Namespaced) -> list[str]:
    """The data actions that a request needs, all of them: "…/managedClusters/apps/deployments/read".

    It is one action, unless the request has `*` for a verb, a resource or a group. Raises NoAction.
    """
    if question.path:
        return ["/".join(part for part in (PREFIX, question.path.strip("/"), _action(question.verb)) if part)]
    if is_custom(question):
        return _of_custom_resources(question.verb)
    if "*" not in (question.verb, question.resource, question.group):
        if (question.resource, question.subresource) == ("pods", "exec"):
            last = "exec/action"
        else:
            last = _action(question.verb)
        return [_full(question.group, question.resource, last)]
    found = list(_of_wildcards(question, namespaced))
    if not found:
        raise NoAction(f"No operations were found for the verb: {question.verb}.")
    return found


def attributes(question: Question) -> dict[str, str | None]:
    """What conditions of role assignments may ask of a request."""
    found: dict[str, str | None] = {}
    if not question.path and is_custom(question):
        found = {GROUP: question.group, KIND: question.resource}
    if f"{question.resource}/{question.subresource}" in _SUBRESOURCES:
        found[SUBRESOURCE] = question.subresource
    return found


def is_custom(question: Question) -> bool:
    """Whether a resource is none that Azure publishes data actions for; core ones never are."""
    if question.group in ("", "*"):
        return False
    known = published().get(question.group)
    return known is None or (question.resource not in ("", "*") and question.resource not in known)


def _action(verb: str) -> str:
    return _VERBS.get(verb, "")


def _full(group: str, resource: str, last: str) -> str:
    return "/".join(part for part in (PREFIX, group, resource, last) if part)


def _of_custom_resources(verb: str) -> list[str]:
    last: list[str] = facts.read("data-actions")["custom_resources"]
    if verb == "*":
        return [f"{PREFIX}/{CUSTOM}/{one}" for one in last]
    if _action(verb) not in last:
        raise NoAction(f"No actions found for verb: {verb}, action: {_action(verb)}")
    return [f"{PREFIX}/{CUSTOM}/{_action(verb)}"]


def _of_wildcards(question: Question, namespaced: Namespaced) -> Iterator[str]:
    """The published actions that a request with `*` covers, of what the cluster serves."""
    wanted = _action(question.verb)
    for group, resources in published().items():
        if question.group not in ("*", group):
            continue
        for resource, last in resources.items():
            if question.resource not in ("*", resource):
                continue
            inside = namespaced(group, resource)
            if inside is None or (question.resource == "*" and question.namespace and not inside):
                continue
            yield from (_full(group, resource, one) for one in last if wanted in ("*", one))
