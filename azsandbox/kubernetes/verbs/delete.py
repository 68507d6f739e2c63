"""DELETE of one object: at once, after a grace period, or when its finalizers are gone."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from azsandbox.kubernetes import answers, custom_deletion, errors, negotiation, strategy
from azsandbox.kubernetes.admission import DELETE, Attributes
from azsandbox.kubernetes.copies import copy_of
from azsandbox.kubernetes.delete_options import DeleteOptions
from azsandbox.kubernetes.request import Object, Request, Response
from azsandbox.kubernetes.resources import Resource
from azsandbox.kubernetes.verbs.writing import finished

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"


async def delete(server: ApiServer, request: Request) -> Response:
    """Deletes an object, or marks it for deletion. Answers with it, or with a Status that it is gone."""
    resource = request.resource
    assert resource is not None
    asked = DeleteOptions(request)
    obj = server.registry.get(resource, request.namespace, request.name)
    left = await delete_object(server, request, resource, obj, asked)
    if left is not None:
        return await answers.obj(server, request, resource, left)
    if strategy.rule(resource).returns_deleted and not resource.custom:
        return await answers.obj(server, request, resource, obj)
    details = {"name": request.name, "group": resource.group, "kind": resource.name, "uid": obj["metadata"]["uid"]}
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }
    return answers.respond(request, status, 200, negotiation.accepted(request, custom=resource.custom))


async def delete_object(
    server: ApiServer, request: Request, resource: Resource, obj: Object, asked: DeleteOptions
) -> Object | None:
    """Deletes `obj` as `asked`. Returns it as it waits for its end, or None if it is gone (then `obj` is its last state)."""
    dry_run = request.dry_run or asked.dry_run
    metadata = obj["metadata"]
    _check_preconditions(resource, obj, asked)
    attrs = Attributes(
        DELETE,
        resource,
        "",
        metadata.get("namespace", ""),
        metadata["name"],
        None,
        obj,
        request.user,
        dry_run,
        request.warnings,
    )
    await server.admission.mutate(attrs)
    await server.admission.validate(attrs)
    _warn_of_orphans(request, resource, asked)
    waiting = copy_of(obj)
    grace = _mark(resource, waiting, asked)
    if finished(waiting) and not grace:
        begins = "deletionTimestamp" not in metadata and resource.qualified == "pods"
        if not dry_run and (begins or metadata.get("deletionGracePeriodSeconds")):
            # first its grace is 0, as watches see, and then it is gone
            server.registry.replace(resource, waiting, metadata["resourceVersion"])
        if not dry_run:
            if waiting["metadata"].get("deletionTimestamp") and not metadata.get("deletionTimestamp"):
                _unmark(waiting)
            server.registry.remove(resource, waiting)
            server.released(resource, waiting)
        obj["metadata"]["resourceVersion"] = waiting["metadata"]["resourceVersion"]
        if "deletionTimestamp" in waiting["metadata"]:
            for key in ("deletionTimestamp", "deletionGracePeriodSeconds"):
                obj["metadata"][key] = waiting["metadata"][key]
            if waiting["metadata"].get("generation"):
                obj["metadata"]["generation"] = waiting["metadata"]["generation"]  # grew when the deletion began
        return None
    if waiting != obj and not dry_run:
        server.registry.replace(resource, waiting, metadata["resourceVersion"])
    return waiting


def _warn_of_orphans(request: Request, resource: Resource, asked: DeleteOptions) -> None:
    """Who deletes Jobs without a policy is told that their pods stay (pkg/registry/batch/job/storage)."""
    silent = (resource.group, resource.kind) != ("batch", "Job") or resource.version != "v1"
    if silent or asked.propagation is not None or asked.orphan is not None:
        return
    text = (
        "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or "
        "set propagationPolicy=Orphan to suppress this warning"
    )
    if text not in request.warnings:
        request.warnings.append(text)


def _unmark(obj: Object) -> None:
    """An object that goes at once never had a time of deletion, pods apart."""
    if obj.get("kind") != "Pod":
        for key in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            obj["metadata"].pop(key, None)


def _check_preconditions(resource: Resource, obj: Object, asked: DeleteOptions) -> None:
    metadata = obj["metadata"]
    if asked.uid and asked.uid != metadata["uid"]:
        cause = (
            f"the UID in the precondition ({asked.uid}) does not match the UID in record ({metadata['uid']}). "
            "The object might have been deleted and then recreated"
        )
        raise errors.conflict(resource.kind, metadata["name"], cause, resource.group)
    if asked.resource_version and asked.resource_version != metadata["resourceVersion"]:
        cause = (
            f"the ResourceVersion in the precondition ({asked.resource_version}) does not match the ResourceVersion in "
            f"record ({metadata['resourceVersion']}). The object might have been modified"
        )
        raise errors.conflict(resource.kind, metadata["name"], cause, resource.group)


def _mark(resource: Resource, obj: Object, asked: DeleteOptions) -> int:
    """Sets finalizers and the time of deletion on `obj`, in place. Returns the seconds of grace that are left to it."""
    metadata = obj["metadata"]
    if resource.qualified == custom_deletion.DEFINITIONS and not metadata.get("deletionTimestamp"):
        custom_deletion.begin(obj)
        return 0
    finalizers = _finalizers(resource, obj, asked)
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)
    grace = strategy.deletion_grace(resource, obj, asked.grace)
    already = metadata.get("deletionTimestamp")
    if already:
        current = metadata.get("deletionGracePeriodSeconds") or 0
        if grace is None:
            return 0
        if grace >= current and current:
            return current
        if grace < current:
            begun = dt.datetime.strptime(already, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC) - dt.timedelta(
                seconds=current
            )
            metadata["deletionTimestamp"] = strategy.rfc3339(begun + dt.timedelta(seconds=grace))
            metadata["deletionGracePeriodSeconds"] = grace
        return grace
    seconds = grace or 0
    metadata["deletionTimestamp"] = strategy.rfc3339(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds))
    if resource.qualified == "namespaces":  # has a deletion of its own, without a grace period
        obj.setdefault("status", {})["phase"] = "Terminating"
        return 0
    metadata["deletionGracePeriodSeconds"] = seconds
    if metadata.get("generation"):
        metadata["generation"] += 1
    return seconds


def _finalizers(resource: Resource, obj: Object, asked: DeleteOptions) -> list[str]:
    """Finalizers with those that the propagation policy puts on, or takes off."""
    current = list(obj["metadata"].get("finalizers") or [])
    others = [f for f in current if f not in (ORPHAN, FOREGROUND)]
    if asked.orphan is not None:
        return [*others, ORPHAN] if asked.orphan else others
    if asked.propagation == "Orphan":
        return [*others, ORPHAN]
    if asked.propagation == "Foreground":
        return [*others, FOREGROUND]
    if asked.propagation == "Background":
        return others
    if ORPHAN in current or FOREGROUND in current:
        return current
    if (resource.group, resource.kind) == (
        "batch",
        "Job",
    ):  # its default is to orphan (pkg/registry/batch/job/strategy.go)
        return [*others, ORPHAN]
    return current
