"""Gatekeeper's own pods: which run, and what each does. Statuses name them."""

from __future__ import annotations

from collections.abc import Callable

from azsandbox.controllers.client import Object
from azsandbox.controllers.informer import Informers

SYSTEM_LABEL = "gatekeeper.sh/system"
GENERATE = "generate"  # makes ValidatingAdmissionPolicies
# What a pod does that names no --operation (gatekeeper, package operations)
_ALL = ["audit", GENERATE, "mutation-controller", "mutation-status", "mutation-webhook", "status", "webhook"]
_OPERATION = "--operation="


class GatekeeperPods:
    """The ready pods of Gatekeeper in a namespace."""

    def __init__(self, informers: Informers, namespace: str) -> None:
        self.namespace = namespace
        self._pods = informers.of("v1", "pods")
        self._listeners: list[Callable[[], object]] = []
        self._pods.on_change(self._changed)

    def on_change(self, listener: Callable[[], object]) -> None:
        """Calls `listener` when a pod comes or goes."""
        self._listeners.append(listener)

    def _changed(self, kind: str, pod: Object, old: Object | None) -> None:
        if pod["metadata"].get("namespace") != self.namespace or not _is_own(pod):
            return
        if kind == "DELETED" or old is None or _runs(pod) != _runs(old):
            for listener in list(self._listeners):
                listener()

    def operations(self) -> dict[str, list[str]]:
        """What each pod that runs does, by its name."""
        own = [pod for pod in self._pods.list(self.namespace) if _is_own(pod) and _runs(pod)]
        found = {pod["metadata"]["name"]: operations_of(pod["spec"]) for pod in own}
        return dict(sorted(found.items()))


def operations_of(spec: Object) -> list[str]:
    """What a pod of this spec does, by the arguments of its container: all, if it names nothing."""
    arguments = [arg for container in spec["containers"] for arg in container.get("args") or []]
    named = {arg.removeprefix(_OPERATION) for arg in arguments if arg.startswith(_OPERATION)}
    return sorted(named) or list(_ALL)


def _is_own(pod: Object) -> bool:
    return (pod["metadata"].get("labels") or {}).get(SYSTEM_LABEL) == "yes"


def _runs(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
