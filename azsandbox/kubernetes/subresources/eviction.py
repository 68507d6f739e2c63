"""POST pods/eviction: a deletion that disruption budgets may refuse.

Rules and texts: k8s.io/kubernetes, pkg/registry/core/pod/storage/eviction.go.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from azsandbox.kubernetes import answers, errors, negotiation, options
from azsandbox.kubernetes.delete_options import DeleteOptions
from azsandbox.kubernetes.registry import now
from azsandbox.kubernetes.request import GroupVersionKind, Object, Request, Response
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.selectors import from_object
from azsandbox.kubernetes.verbs import writing
from azsandbox.kubernetes.verbs.delete import delete_object

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

MOST_DISRUPTED = 2000  # pods whose eviction a budget remembers


async def answer(server: ApiServer, request: Request) -> Response:
    """Evicts a pod. Raises 429 if a budget has none to spare, 500 if several budgets cover it."""
    if request.verb != "create":
        raise errors.method_not_allowed()
    resource = request.resource
    assert resource is not None
    negotiation.produced(request)
    negotiation.accepted(request, tables=False)
    options.write_options(request, "CreateOptions")
    eviction = writing.read_body(server, request, GroupVersionKind("policy", "v1", "Eviction"))
    writing.check_names(request, resource, eviction, request.name)
    pod = server.registry.get(resource, request.namespace, request.name)
    asked = _delete_options(request, eviction)
    if not _unprotected(pod):
        budgets = _budgets(server, pod)
        if len(budgets) > 1:
            raise errors.plain_500(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            )
        if budgets and not _may_go_unready(pod, budgets[0]):
            _spend(server, request, budgets[0], pod)
    if not request.dry_run and not asked.dry_run:
        pod = _with_condition(server, resource, pod)
    await delete_object(server, request, resource, pod, asked)
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
    return answers.respond(request, status, 201)


def _with_condition(server: ApiServer, resource: Resource, pod: Object) -> Object:
    """The pod, stored with a condition that says why it goes."""
    changed = copy.deepcopy(pod)
    conditions = changed.setdefault("status", {}).setdefault("conditions", [])
    conditions[:] = [item for item in conditions if item["type"] != _CONDITION["type"]]
    conditions.append({**_CONDITION, "lastTransitionTime": now()})
    server.registry.replace(resource, changed, pod["metadata"]["resourceVersion"])
    return changed


_CONDITION = {
    "type": "DisruptionTarget",
    "status": "True",
    "lastProbeTime": None,
    "lastTransitionTime": None,
    "reason": "EvictionByEvictionAPI",
    "message": "Eviction API: evicting",
}


def _delete_options(request: Request, eviction: Object) -> DeleteOptions:
    import orjson

    inner = eviction.get("deleteOptions") or {}
    body = orjson.dumps({"kind": "DeleteOptions", "apiVersion": "v1", **inner})
    fake = Request("DELETE", request.path, request.query, {"content-type": "application/json"}, body, request.user)
    return DeleteOptions(fake)


def _unprotected(pod: Object) -> bool:
    """Pods that are done, pending or going away can be evicted whatever budgets say."""
    phase = (pod.get("status") or {}).get("phase")
    return phase in ("Succeeded", "Failed", "Pending") or bool(pod["metadata"].get("deletionTimestamp"))


def _budgets(server: ApiServer, pod: Object) -> list[Object]:
    labels = pod["metadata"].get("labels") or {}
    found = []
    for budget in server.peek_list("poddisruptionbudgets.policy", pod["metadata"]["namespace"]):
        selector = budget["spec"].get("selector")
        if selector is not None and from_object(selector).matches_labels(labels):
            found.append(budget)
    return found


def _ready(pod: Object) -> bool:
    return any(
        c["type"] == "Ready" and c["status"] == "True" for c in (pod.get("status") or {}).get("conditions") or ()
    )


def _may_go_unready(pod: Object, budget: Object) -> bool:
    """A pod that is not ready disturbs nobody, once enough others are, or when the budget always lets it go."""
    if _ready(pod):
        return False
    status = budget.get("status") or {}
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    return status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0) and status.get("desiredHealthy", 0) > 0


def _spend(server: ApiServer, request: Request, budget: Object, pod: Object) -> None:
    """Takes one disruption from the budget and notes the pod in it. Raises 429."""
    name = budget["metadata"]["name"]
    status = budget.get("status") or {}
    cause = "Cannot evict pod as it would violate the pod's disruption budget."
    detail = ""
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        detail = f"The disruption budget {name} is still being processed by the server."
        raise errors.too_many_requests(
            cause, 10, {"causes": [{"reason": "DisruptionBudget", "message": detail}], "retryAfterSeconds": 10}
        )
    if status.get("disruptionsAllowed", 0) < 0:
        raise errors.forbidden("poddisruptionbudget", name, "pdb disruptions allowed is negative")
    if len(status.get("disruptedPods") or {}) > MOST_DISRUPTED:
        raise errors.forbidden(
            "poddisruptionbudget",
            name,
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
        )
    if status.get("disruptionsAllowed", 0) == 0:
        detail = (
            f"The disruption budget {name} needs {status.get('desiredHealthy', 0)} healthy pods and has "
            f"{status.get('currentHealthy', 0)} currently"
        )
        for condition in status.get("conditions") or ():
            if condition["type"] == "DisruptionAllowed" and condition.get("reason") == "SyncFailed":
                detail = f"{detail}: {condition['message']}" if condition.get("message") else detail
        raise errors.too_many_requests(cause, 0, {"causes": [{"reason": "DisruptionBudget", "message": detail}]})
    if request.dry_run:
        return
    changed = copy.deepcopy(budget)
    changed["status"]["disruptionsAllowed"] -= 1
    changed["status"].setdefault("disruptedPods", {})[pod["metadata"]["name"]] = now()
    resource = server.resource("poddisruptionbudgets.policy")
    server.registry.replace(resource, changed, budget["metadata"]["resourceVersion"])
