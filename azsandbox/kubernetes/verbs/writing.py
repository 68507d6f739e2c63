"""What create, update and patch have in common: bodies decoded, names checked, fields owned, objects stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from azsandbox.kubernetes import errors, escalation, options, strategy, warnings
from azsandbox.kubernetes.admission import CREATE, UPDATE, Attributes
from azsandbox.kubernetes.copies import copy_of
from azsandbox.kubernetes.registry import now
from azsandbox.kubernetes.request import GroupVersionKind, Object, Request
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.validation.errors import with_empty_values

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer
from azsandbox.kubernetes.warnings import app_armor


def read_body(server: ApiServer, request: Request, gvk: GroupVersionKind) -> Object:
    """The object in a request's body, of a type. Unknown fields become warnings, or 400 when validation is strict."""
    found = server.decode(request, gvk)
    request.warnings += found.warnings
    request.emptied = found.emptied
    return found.obj


def check_names(request: Request, resource: Resource, obj: Object, name: str) -> None:
    """The namespace of a body must be that of the path; so must the name, where the path has one."""
    metadata = obj.setdefault("metadata", {})
    if resource.namespaced:
        found = metadata.get("namespace") or request.namespace
        if found != request.namespace:
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        metadata["namespace"] = request.namespace
    else:
        metadata.pop("namespace", None)
    if name:
        if not metadata.get("name"):
            text = f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
            raise errors.bad_request(text)
        if metadata["name"] != name:
            raise errors.bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            )


async def store_new(server: ApiServer, request: Request, resource: Resource, obj: Object) -> Object:
    """Takes a decoded, defaulted object through field management, admission, strategy and validation into the store."""
    attrs = Attributes(
        CREATE,
        resource,
        request.subresource,
        request.namespace,
        obj["metadata"].get("name", ""),
        obj,
        None,
        request.user,
        request.dry_run,
        request.warnings,
        options.told(request, "CreateOptions"),
    )
    request.warnings += warnings.deduplicate_owners(obj)
    if resource.custom:
        server.custom.refuse_create(resource, attrs.name)
    await server.admission.mutate(attrs)
    escalation.check(server, request, resource, obj, None)
    metadata = obj["metadata"]
    strategy.fill_system_metadata(obj, now())
    attrs.name = metadata.get("name", "")
    strategy.prepare_create(resource, obj, user=request.user)
    if (resource.group, resource.kind) == ("", "Pod"):
        request.warnings += app_armor.to_fields(obj)
    server.prune_ownership(resource, obj)
    found = with_empty_values(server.validate_create(resource, obj, request), request.emptied)
    if found:
        raise errors.invalid(
            resource.kind, resource.stored_gvk.group, metadata.get("name") or metadata.get("generateName", ""), found
        )
    request.warnings += warnings.of_write(resource, obj)
    existing = server.registry.record(resource, metadata.get("namespace", ""), metadata["name"])
    if existing is not None:
        error = errors.already_exists(resource.name, metadata["name"], resource.group)
        if server.registry.load(resource, existing.value)["metadata"].get("deletionTimestamp"):
            error.message = f"object is being deleted: {error.message}"
        raise error
    await server.admission.validate(attrs)
    if not resource.custom:
        server.default(resource, obj)  # once more, as when it is read back: a Job has its template's labels then
        server.types.as_stored(resource, obj)
    if not request.dry_run:
        with server.allocations(resource, obj, None):
            server.registry.insert(resource, obj)
    if resource.custom:
        server.custom.default(resource, obj)  # as when it is read back: a status has its defaults again then
    return obj


async def store_changed(
    server: ApiServer, request: Request, resource: Resource, new: Object, old: Object, *, admitted: bool = False
) -> Object:
    """Takes a changed object through admission, strategy and validation into the store.

    `admitted` says that admission has judged the change in another form: a Scale.
    Returns what is stored then; without a change that is `old`. Raises 409 when the object was written meanwhile.
    """
    metadata = new["metadata"]
    attrs = Attributes(
        UPDATE,
        resource,
        request.subresource,
        request.namespace,
        request.name,
        new,
        old,
        request.user,
        request.dry_run,
        request.warnings,
        options.told(request, "UpdateOptions"),
    )
    request.warnings += warnings.deduplicate_owners(new)
    if not admitted:
        await server.admission.mutate(attrs)
    escalation.check(server, request, resource, new, old)
    expected = old["metadata"]["resourceVersion"]
    strategy.prepare_update(resource, new, old, request.subresource, user=request.user)
    server.prune_ownership(resource, new)
    found = with_empty_values(server.validate_update(resource, new, old, request.subresource, request), request.emptied)
    if found:
        raise errors.invalid(resource.kind, resource.stored_gvk.group, metadata.get("name", ""), found)
    request.warnings += warnings.of_write(resource, new, old, request.subresource)
    if not admitted:
        await server.admission.validate(attrs)
    if not resource.custom:
        server.types.as_stored(resource, new)
    if same(new, old):
        return old
    metadata["resourceVersion"] = expected
    if request.dry_run:
        return new
    if finished(new):
        server.registry.remove(resource, copy_of(old))  # watches see the state that was stored
        return new
    with server.allocations(resource, new, old):
        return server.registry.replace(resource, new, expected)


def finished(obj: Object) -> bool:
    """Whether an object that is being deleted has nothing left to wait for."""
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if metadata.get("deletionGracePeriodSeconds"):
        return False
    return not (obj.get("kind") == "Namespace" and (obj.get("spec") or {}).get("finalizers"))


def same(new: Object, old: Object) -> bool:
    """Whether an update changes nothing; times of managed fields and the resourceVersion do not count."""
    if {k: v for k, v in new.items() if k != "metadata"} != {k: v for k, v in old.items() if k != "metadata"}:
        return False
    return _timeless(new["metadata"]) == _timeless(old["metadata"])


def _timeless(metadata: Object) -> Object:
    managed = [{k: v for k, v in entry.items() if k != "time"} for entry in metadata.get("managedFields") or ()]
    return {
        **{k: v for k, v in metadata.items() if k not in ("managedFields", "resourceVersion")},
        "managedFields": managed,
    }


def record_owner(server: ApiServer, request: Request, resource: Resource, new: Object, old: Object | None) -> None:
    """Notes in managedFields who set what."""
    server.record_update(resource, new, old, options.field_manager(request), request.subresource)
