"""POST pods/binding: the scheduler's decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azsandbox.kubernetes import answers, errors, negotiation, options
from azsandbox.kubernetes.copies import copy_of
from azsandbox.kubernetes.registry import now
from azsandbox.kubernetes.request import GroupVersionKind, Request, Response
from azsandbox.kubernetes.validation.errors import FieldError, not_supported, required
from azsandbox.kubernetes.verbs import writing

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

ZONE_LABELS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


async def answer(server: ApiServer, request: Request) -> Response:
    """Binds a pod to the node that the body names. Raises 409 if it is bound, or going away."""
    if request.verb != "create":
        raise errors.method_not_allowed()
    resource = request.resource
    assert resource is not None
    negotiation.produced(request)
    negotiation.accepted(request, tables=False)
    options.write_options(request, "CreateOptions")
    binding = writing.read_body(server, request, GroupVersionKind("", "v1", "Binding"))
    if (binding.get("metadata") or {}).get("name", request.name) != request.name:
        raise errors.bad_request("name in URL does not match name in Binding object")
    writing.check_names(request, resource, binding, request.name)
    target = binding.get("target") or {}
    found: list[FieldError] = []
    if target.get("kind") not in (None, "", "Node"):
        found.append(not_supported("target.kind", target["kind"], ["Node", "<empty>"]))
    if not target.get("name"):
        found.append(required("target.name"))
    if server.peek("namespaces", "", request.namespace) is None:
        raise errors.not_found("namespaces", request.namespace)
    if found:
        texts = [error.text for error in found]
        raise errors.plain_500(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
    old = server.registry.get(resource, request.namespace, request.name)
    uid = binding["metadata"].get("uid")
    if uid and uid != old["metadata"]["uid"]:
        cause = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}"
        raise errors.conflict("pods/binding", request.name, cause)
    refusal = ""
    if old["metadata"].get("deletionTimestamp"):
        refusal = f"pod {request.name} is being deleted, cannot be assigned to a host"
    elif old["spec"].get("nodeName"):
        refusal = f'pod {request.name} is already assigned to node "{old["spec"]["nodeName"]}"'
    elif old["spec"].get("schedulingGates"):
        refusal = f"pod {request.name} has non-empty .spec.schedulingGates"
    if refusal:
        raise errors.conflict("pods/binding", request.name, refusal)
    new = copy_of(old)
    new["spec"]["nodeName"] = target["name"]
    annotations = binding["metadata"].get("annotations")
    if annotations:
        new["metadata"].setdefault("annotations", {}).update(annotations)
    node = server.peek("nodes", "", target["name"])
    for label in ZONE_LABELS:
        value = ((node or {}).get("metadata", {}).get("labels") or {}).get(label)
        if value:
            new["metadata"].setdefault("labels", {})[label] = value
    status = new.setdefault("status", {})
    status.pop("nominatedNodeName", None)  # ClearingNominatedNodeNameAfterBinding
    conditions = [c for c in status.get("conditions") or [] if c["type"] != "PodScheduled"]
    before = next((c for c in status.get("conditions") or [] if c["type"] == "PodScheduled"), None)
    if before is None or before["status"] != "True":
        generation = new["metadata"].get("generation")
        scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now()}
        if generation and before and "observedGeneration" in before:
            scheduled["observedGeneration"] = generation
        status["conditions"] = [*conditions, scheduled]
    writing.record_owner(server, request, resource, new, old)
    if not request.dry_run:
        server.registry.replace(resource, new, old["metadata"]["resourceVersion"])
    status_object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
    return answers.respond(request, status_object, 201)
