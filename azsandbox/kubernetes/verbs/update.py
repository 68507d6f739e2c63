"""PUT: the whole object anew, or the part of it that a sub-resource is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azsandbox.kubernetes import answers, errors, negotiation, options, strategy
from azsandbox.kubernetes.registry import now
from azsandbox.kubernetes.request import Object, Request, Response
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.validation.errors import invalid
from azsandbox.kubernetes.verbs import writing

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer


async def update(server: ApiServer, request: Request) -> Response:
    """Stores the body in the place of the object. Some kinds may be created so (201)."""
    resource = request.resource
    assert resource is not None
    negotiation.accepted(request, custom=resource.custom)
    options.write_options(request, "UpdateOptions")
    obj = writing.read_body(server, request, resource.gvk)
    writing.check_names(request, resource, obj, request.name)
    server.default(resource, obj)
    old = server.registry.find(resource, request.namespace, request.name)
    if old is None:
        return await _create_by_put(server, request, resource, obj)
    check_version(resource, obj, old)
    obj["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
    writing.record_owner(server, request, resource, obj, old)
    stored = await writing.store_changed(server, request, resource, obj, old)
    return await answers.obj(server, request, resource, stored)


async def _create_by_put(server: ApiServer, request: Request, resource: Resource, obj: Object) -> Response:
    rule = strategy.rule(resource)
    metadata = obj["metadata"]
    if metadata.get("uid"):
        cause = precondition_failed(resource, {"namespace": request.namespace, "name": request.name}, metadata["uid"])
        raise errors.conflict(resource.name, request.name, cause, resource.group)
    if not rule.create_on_update or request.subresource:
        raise errors.not_found(resource.name, request.name, resource.group)
    if metadata.get("resourceVersion") not in (None, "", "0"):
        raise errors.modified(resource.name, request.name, resource.group)
    metadata.pop("resourceVersion", None)
    metadata.setdefault("creationTimestamp", now())
    writing.record_owner(server, request, resource, obj, None)
    stored = await writing.store_new(server, request, resource, obj)
    return await answers.obj(server, request, resource, stored, 201)


# where Kubernetes keeps what it does not keep under its name
_KEYS = {
    "replicationcontrollers": "controllers",
    "endpoints": "services/endpoints",
    "nodes": "minions",
    "services": "services/specs",
    "ingresses.networking.k8s.io": "ingress",
}
_KEYS_WITH_GROUP = frozenset({"apiextensions.k8s.io", "apiregistration.k8s.io"})


def precondition_failed(resource: Resource, metadata: Object, uid: str) -> str:
    """Why an object of another uid is not written, as the storage says it; `metadata` is that of the stored object."""
    scope = f"{metadata['namespace']}/" if resource.namespaced else ""
    own = resource.custom or resource.group in _KEYS_WITH_GROUP
    kind = f"{resource.group}/{resource.name}" if own else _KEYS.get(resource.qualified, resource.name)
    return (
        f"StorageError: invalid object, Code: 4, Key: /registry/{kind}/{scope}{metadata['name']}, ResourceVersion: 0, "
        f"AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: "
        f"{metadata.get('uid', '')}"
    )


def check_version(resource: Resource, new: Object, old: Object) -> None:
    """The uid and resourceVersion that a body names must be the object's. Raises 409, 422, or 500 as for a bad number."""
    metadata, before = new["metadata"], old["metadata"]
    name = before["name"]
    uid = metadata.get("uid")
    if uid and uid != before["uid"]:
        cause = precondition_failed(resource, before, uid)
        raise errors.conflict(resource.name, name, cause, resource.group)
    version = metadata.get("resourceVersion") or ""
    if version in ("", "0"):
        if not strategy.rule(resource).unconditional_update:
            text = "must be specified for an update"
            kind = resource.name if resource.custom else resource.kind
            raise errors.invalid(kind, resource.group, name, [invalid("metadata.resourceVersion", 0, text)])
        return
    check_number(version)
    if version != before["resourceVersion"]:
        raise errors.modified(resource.name, name, resource.group)


def check_number(version: str) -> None:
    """The resourceVersion of an object is a number. Raises 500, as the server does."""
    try:
        options.parse_uint(version)
    except ValueError as error:
        raise errors.plain_500(str(error)) from None
