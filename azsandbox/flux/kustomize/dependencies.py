"""spec.dependsOn: what must be ready first, and the order in which a source's Kustomizations are queued."""

from __future__ import annotations

from collections.abc import Iterable

from azsandbox.controllers.client import KubeClient, Object, Objects, path
from azsandbox.flux import conditions
from azsandbox.flux.expressions import BadExpression, FailedExpression, dependency_is_ready
from azsandbox.flux.kustomize.sources import API_VERSION, RESOURCE, source_of
from azsandbox.kubernetes.errors import StatusError


class NotReady(Exception):
    """A dependency that is not ready; the message is Flux's."""


class BadDependency(Exception):
    """A dependency that can never be checked, since its expression is wrong; the message is Flux's."""


async def check(client: KubeClient, obj: Object, revision: str, *, additive: bool) -> None:
    """Checks that what a Kustomization depends on is ready, at `revision` where it has the same source.

    With `additive` a readyExpr comes on top of that, otherwise it stands for it. Raises NotReady or BadDependency.
    """
    namespace = obj["metadata"]["namespace"]
    for reference in obj["spec"].get("dependsOn") or []:
        where = reference.get("namespace") or namespace
        name = f"{where}/{reference['name']}"
        try:
            dependency = await client.get(path(API_VERSION, RESOURCE, where, reference["name"]))
        except StatusError as error:
            raise NotReady(f"dependency '{name}' not found: {error}") from None
        text = reference.get("readyExpr")
        if text:
            if not _holds(text, obj, dependency):
                raise NotReady(f"dependency '{name}' is not ready according to readyExpr eval")
            if not additive:
                continue
        if not is_settled(dependency):
            raise NotReady(f"dependency '{name}' is not ready")
        if source_of(dependency) == source_of(obj) and dependency["status"].get("lastAppliedRevision") != revision:
            raise NotReady(f"dependency '{name}' revision is not up to date")


def is_settled(obj: Object) -> bool:
    """Whether a Kustomization is ready, and has said so of what its spec says now."""
    status = obj.get("status") or {}
    observed = status.get("observedGeneration") == obj["metadata"]["generation"]
    return observed and conditions.is_true(obj, conditions.READY)


def has_settled(obj: Object, old: Object | None) -> bool:
    """Whether a change is what others may have waited for: it has become ready, or ready at another revision."""
    if not is_settled(obj):
        return False
    revision = obj["status"].get("lastAppliedRevision")
    return old is None or not is_settled(old) or old["status"].get("lastAppliedRevision") != revision


def is_waiting(obj: Object) -> bool:
    """Whether a Kustomization was last seen to wait for another."""
    return conditions.reason(obj, conditions.READY) == "DependencyNotReady"


def waiting_for(obj: Object, others: Iterable[Object]) -> Objects:
    """Those of `others` that were seen to wait, and depend on `obj`."""
    metadata = obj["metadata"]
    found = []
    for other in others:
        own = other["metadata"]["namespace"]
        names = {(d.get("namespace") or own, d["name"]) for d in other["spec"].get("dependsOn") or ()}
        if is_waiting(other) and (metadata["namespace"], metadata["name"]) in names:
            found.append(other)
    return found


def _holds(text: str, obj: Object, dependency: Object) -> bool:
    try:
        return dependency_is_ready(text, obj, dependency)
    except BadExpression as error:
        raise BadDependency(f"terminal error: {error}") from None
    except FailedExpression as error:
        raise NotReady(str(error)) from None


def sorted_by_dependency(objects: Iterable[Object]) -> Objects:
    """Objects in an order in which each comes after those that it depends on (fluxcd/pkg/runtime/dependency).

    Raises ValueError for a circle.
    """
    by_key = {(o["metadata"]["namespace"], o["metadata"]["name"]): o for o in objects}
    found: Objects = []
    done: set[tuple[str, str]] = set()

    def visit(key: tuple[str, str], way: tuple[tuple[str, str], ...]) -> None:
        if key in done or key not in by_key:
            return
        if key in way:
            circle = " -> ".join("/".join(part) for part in (*way[way.index(key) :], key))
            raise ValueError(f"circular dependency detected: {circle}")
        obj = by_key[key]
        for reference in obj["spec"].get("dependsOn") or []:
            visit((reference.get("namespace") or key[0], reference["name"]), (*way, key))
        done.add(key)
        found.append(obj)

    for key in by_key:
        visit(key, ())
    return found
