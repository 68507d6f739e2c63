"""What a URL path means: the verb, and the resource, sub-resource, namespace and name that it names."""

from __future__ import annotations

from azsandbox.kubernetes.request import Request
from azsandbox.kubernetes.resources import ResourceTable

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get"}


def resolve(request: Request, resources: ResourceTable) -> bool:
    """Fills in what `request` asks for. False if its path is not one of resources (discovery, health …)."""
    parts = request.path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3 and parts[1]:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return False
    if request.path.startswith("//") or not resources.versions(group):
        return False
    if not version or "" in rest:  # a doubled slash
        request.unknown = (group, version, "")
        return True
    watch = rest[0] == "watch"  # the deprecated /api/v1/watch/…
    if watch:
        rest = rest[1:]
    if len(rest) >= 3 and rest[0] == "namespaces" and rest[2] not in ("status", "finalize"):
        request.namespace, rest = rest[1], rest[2:]
    if not rest:
        return False
    resource = resources.find(group, version, rest[0])
    request.name = rest[1] if len(rest) > 1 else ""
    request.subresource = rest[2] if len(rest) > 2 else ""
    request.proxy_path = "/".join(rest[3:])
    request.verb = VERBS.get(request.method, "")
    if request.verb == "get" and not request.name:
        request.verb = "watch" if watch or request.flag("watch") else "list"
    elif request.verb == "get" and watch:
        request.verb = "watch"
        request.query = {**request.query, "fieldSelector": [f"metadata.name={request.name}"]}
    elif request.verb == "delete" and not request.name:
        request.verb = "deletecollection"
    if resource is None:
        # authorization comes first and wants to know what was meant
        request.unknown = (group, version, rest[0])
        return True
    request.resource = resource
    if resource.namespaced is False and request.namespace:
        request.unknown = (group, version, rest[0])  # nothing is installed at such a path
    return True
