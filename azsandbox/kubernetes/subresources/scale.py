"""The scale sub-resource: replicas of anything that has some, in one form."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from azsandbox.kubernetes import answers, errors, negotiation, options
from azsandbox.kubernetes.admission import UPDATE, Attributes
from azsandbox.kubernetes.apply import read_configuration
from azsandbox.kubernetes.apply import scale as scaling
from azsandbox.kubernetes.registry import now
from azsandbox.kubernetes.request import GroupVersionKind, Object, Request, Response
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.selectors import LabelSelector, from_object
from azsandbox.kubernetes.validation.errors import invalid
from azsandbox.kubernetes.verbs import writing
from azsandbox.kubernetes.verbs.patch import media_of

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

SCALE = GroupVersionKind("autoscaling", "v1", "Scale")


async def answer(server: ApiServer, request: Request) -> Response:
    """GET, PUT or PATCH of a Scale."""
    resource = request.resource
    assert resource is not None
    if request.verb not in ("get", "update", "patch"):
        raise errors.method_not_allowed()
    if request.verb == "patch":
        media_of(request)
    negotiation.produced(request)
    negotiation.accepted(request, custom=resource.custom)
    wanted: Object = {}
    if request.verb != "get":
        options.write_options(request, "UpdateOptions" if request.verb == "update" else "PatchOptions")
    if request.verb == "update":
        wanted = writing.read_body(server, request, SCALE)
        writing.check_names(request, resource, wanted, request.name)
    old = server.registry.get(resource, request.namespace, request.name)
    scale = scale_of(server, resource, old)
    if request.verb == "get":
        return answers.respond(request, scale)
    managers = None
    if request.verb == "patch":
        media = request.headers.get("content-type", "").partition(";")[0]
        if media == "application/apply-patch+yaml":
            applied = read_configuration(request)
            path = scaling.path_of(_spec_path(server, resource))
            manager = request.param("fieldManager")
            type_ = server.types.named(SCALE)
            wanted, managers = scaling.apply_scale(
                scale, old, applied, manager, request.flag("force"), path, type_, now()
            )
        else:
            wanted = server.types.patched(server, request, _scale_resource(resource), media, copy.deepcopy(scale))
    version = (wanted.get("metadata") or {}).get("resourceVersion")
    if version and version != old["metadata"]["resourceVersion"]:
        raise errors.modified(resource.name, request.name, resource.group)
    asked = {**copy.deepcopy(scale), "spec": copy.deepcopy(wanted.get("spec") or {})}
    attrs = Attributes(
        UPDATE,
        resource,
        "scale",
        request.namespace,
        request.name,
        asked,
        scale,
        request.user,
        request.dry_run,
        request.warnings,
        options.told(request, "UpdateOptions"),
        form=SCALE,
    )
    await server.admission.mutate(attrs)
    replicas = (asked.get("spec") or {}).get("replicas", 0)
    if replicas < 0 and resource.custom:
        found = [invalid(_spec_path(server, resource), replicas, "should be a non-negative integer")]
        raise errors.invalid(resource.kind, resource.group, request.name, found)
    if replicas < 0:
        text = "must be greater than or equal to 0"
        raise errors.invalid("Scale", "autoscaling", request.name, [invalid("spec.replicas", replicas, text)])
    await server.admission.validate(attrs)
    new = copy.deepcopy(old)
    _set(new, _spec_path(server, resource), replicas)
    subresource, request.subresource = request.subresource, ""
    manager = options.field_manager(request)
    path = scaling.path_of(_spec_path(server, resource))
    if managers is not None:
        scaling.to_object(new, old, managers, path, resource.api_version)
    else:
        scaling.record_scale(
            new, old, scale, wanted, manager, path, resource.api_version, server.types.named(SCALE), now()
        )
    stored = await writing.store_changed(server, request, resource, new, old, admitted=True)
    request.subresource = subresource
    return answers.respond(request, scale_of(server, resource, stored))


def _scale_resource(resource: Resource) -> Resource:
    """The Scale as a resource of its own, so that a patch finds its type."""
    return Resource("autoscaling", "v1", resource.name, "", "Scale", resource.namespaced, ())


def _spec_path(server: ApiServer, resource: Resource) -> str:
    return str(server.custom.scale_paths(resource)["specReplicasPath"]) if resource.custom else ".spec.replicas"


def _at(obj: Object, path: str) -> Any:
    value: Any = obj
    for part in path.lstrip(".").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _set(obj: Object, path: str, value: Any) -> None:
    *parents, last = path.lstrip(".").split(".")
    for part in parents:
        obj = obj.setdefault(part, {})
    obj[last] = value


def scale_of(server: ApiServer, resource: Resource, obj: Object) -> Object:
    """The Scale of an object. Raises 500 for a custom resource without replicas."""
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    scale: Object = {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {},
        "status": {"replicas": 0},
    }
    if resource.custom:
        paths = server.custom.scale_paths(resource)
        replicas = _at(obj, paths["specReplicasPath"])
        if replicas is None:
            path = paths["specReplicasPath"]
            raise errors.internal(f"the spec replicas field {path!r} does not exist".replace("'", '"'))
        current = _at(obj, paths["statusReplicasPath"]) or 0
        selector = _at(obj, paths.get("labelSelectorPath") or "") if paths.get("labelSelectorPath") else ""
    else:
        replicas = (obj.get("spec") or {}).get("replicas") or 0
        current = (obj.get("status") or {}).get("replicas") or 0
        selector = _selector_text(obj)
    if replicas:
        scale["spec"]["replicas"] = replicas
    scale["status"]["replicas"] = current
    if selector:
        scale["status"]["selector"] = selector
    return scale


def _selector_text(obj: Object) -> str:
    """The selector of a workload as text, sorted by key."""
    selector = (obj.get("spec") or {}).get("selector")
    if obj["kind"] == "ReplicationController":
        selector = {"matchLabels": selector or {}}
    return text_of(from_object(selector))


def text_of(selector: LabelSelector) -> str:
    """A selector in the words that the server writes it in."""
    parts = []
    for requirement in sorted(selector.requirements, key=lambda r: r.key):
        values = ",".join(sorted(requirement.values))
        if requirement.operator == "in":
            parts.append(
                f"{requirement.key}={values}" if len(requirement.values) == 1 else f"{requirement.key} in ({values})"
            )
        elif requirement.operator == "notin":
            parts.append(f"{requirement.key} notin ({values})")
        elif requirement.operator == "exists":
            parts.append(requirement.key)
        else:
            parts.append(f"!{requirement.key}")
    return ",".join(parts)
