"""Discovery: which groups, versions and resources there are, plain and aggregated."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from azsandbox.kubernetes import answers, errors, negotiation
from azsandbox.kubernetes.negotiation import Accepted
from azsandbox.kubernetes.request import Object, Request, Response
from azsandbox.kubernetes.resources import Resource, discovery_document

if TYPE_CHECKING:
    from azsandbox.kubernetes.server import ApiServer

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class Discovery:
    """Answers /api, /apis and what lies below them down to a group's version."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self._aggregated: dict[tuple[str, int], tuple[bytes, str]] = {}

    async def answer(self, request: Request) -> Response:
        parts = [part for part in request.path.strip("/").split("/") if part]
        one_group = len(parts) == 2 and parts[0] == "apis"  # answers every method alike
        if request.method != "GET" and not one_group:
            raise errors.method_not_allowed()
        if len(parts) == 1:
            wanted = _aggregated_version(request)
            if wanted:
                return self._aggregate(request, parts[0])
        accepted = _plain(request)
        return answers.respond(request, self._plain_document(parts), 200, accepted)

    def _plain_document(self, parts: list[str]) -> Object:
        if parts == ["api"]:
            return {
                "kind": "APIVersions",
                "versions": ["v1"],
                "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": self.server.address}],
            }
        if parts == ["apis"]:
            groups = [self._group(group) for group in self.server.resources.groups() if group]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        if parts[0] == "apis" and len(parts) == 2:
            if not self.server.resources.versions(parts[1]):
                raise errors.StatusError(404, "", "404 page not found")
            return {"kind": "APIGroup", "apiVersion": "v1", **self._group(parts[1])}
        group, version = ("", parts[1]) if parts[0] == "api" else (parts[1], parts[2])
        versions = self.server.resources.versions(group)
        if not versions:
            raise errors.StatusError(404, "", "404 page not found")
        if version not in versions:
            raise errors.page_not_found()
        return self._resources(group, version)

    def _group(self, group: str) -> Object:
        versions = [{"groupVersion": f"{group}/{v}", "version": v} for v in self.server.resources.versions(group)]
        return {"name": group, "versions": versions, "preferredVersion": versions[0]}

    def _resources(self, group: str, version: str) -> Object:
        items: list[Object] = []
        for resource in sorted(self.server.resources, key=lambda r: r.name):
            if (resource.group, resource.version) != (group, version):
                continue
            items.append(_resource(resource))
            subs = resource.subresources if resource.custom else sorted(resource.subresources, key=lambda s: s.name)
            for sub in subs:
                items.append(_subresource(resource, sub))
        gv = f"{group}/{version}" if group else version
        out: Object = {"kind": "APIResourceList"}
        if group:
            out["apiVersion"] = "v1"
        return {**out, "groupVersion": gv, "resources": items}

    def _aggregate(self, request: Request, root: str) -> Response:
        key = (root, self.server.resources.generation)
        if key not in self._aggregated:
            document = self._aggregated_document(root)
            body = orjson.dumps(document)
            self._aggregated = {k: v for k, v in self._aggregated.items() if k[1] == key[1]}
            self._aggregated[key] = (body, f'"{hashlib.sha512(body).hexdigest().upper()}"')
        body, etag = self._aggregated[key]
        headers = {"etag": etag, "cache-control": "public", "vary": "Accept"}
        if request.headers.get("if-none-match") == etag:
            return Response(304, b"", headers)
        return Response(200, body, headers, content_type=AGGREGATED)

    def _aggregated_document(self, root: str) -> Object:
        """Built-in groups as data has them, custom ones after them."""
        base = discovery_document(self.server.resources.minor)[f"/{root}"]
        document: Object = {k: v for k, v in base.items() if k != "items"}
        items = list(base["items"])
        if root == "apis":
            built_in = {item["metadata"]["name"] for item in items}
            for group in self.server.resources.groups():
                if group and group not in built_in:
                    items.append(self._aggregated_group(group))
        return {**document, "items": items}

    def _aggregated_group(self, group: str) -> Object:
        versions = []
        for version in self.server.resources.versions(group):
            found = [r for r in self.server.resources if (r.group, r.version) == (group, version)]
            resources = [_aggregated_resource(r) for r in sorted(found, key=lambda r: r.name)]
            stale = {"version": version, "freshness": "Stale"}  # an aggregated version that cannot be asked
            fresh = {"version": version, "resources": resources, "freshness": "Current"}
            versions.append(fresh if resources else stale)
        return {"metadata": {"name": group}, "versions": versions}


def _aggregated_version(request: Request) -> bool:
    """Whether aggregated discovery v2 comes before plain JSON in what the client takes. v2beta1 is gone in 1.35."""
    for media, params in negotiation.clauses(request.headers.get("accept", "")):
        if params.get("as") == "APIGroupDiscoveryList":
            if media == "application/json" and params.get("v") == "v2" and params.get("g") == "apidiscovery.k8s.io":
                return True
            continue
        if media in ("application/json", "*/*", "application/yaml"):
            return False
    return False


def _plain(request: Request) -> Accepted:
    header = request.headers.get("accept", "")
    if not header:
        return Accepted()
    for media, params in negotiation.clauses(header):
        if params.get("as"):
            continue
        if media in ("*/*", negotiation.JSON, "application/*"):
            return Accepted()
        if media == negotiation.YAML:
            return Accepted(negotiation.YAML)
    if "application/vnd.kubernetes.protobuf" in header and "as=" not in header:
        return Accepted()
    raise errors.not_acceptable(negotiation.PLAIN)


# the order in which apiextensions names them
_CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")


def _resource(resource: Resource) -> Object:
    out: dict[str, Any] = {
        "name": resource.name,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(_CUSTOM_VERBS) if resource.custom else sorted(resource.verbs),
    }
    if resource.short_names:
        out["shortNames"] = list(resource.short_names)
    if resource.categories:
        out["categories"] = list(resource.categories)
    if "list" in resource.verbs and "watch" in resource.verbs:
        out["storageVersionHash"] = storage_version_hash(resource)
    return out


def _subresource(resource: Resource, sub: Any) -> Object:
    out: dict[str, Any] = {
        "name": f"{resource.name}/{sub.name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": sub.kind.kind,
        "verbs": sorted(sub.verbs),
    }
    if (sub.kind.group, sub.kind.version) != (resource.group, resource.version):
        out["group"], out["version"] = sub.kind.group, sub.kind.version
    return {k: v for k, v in out.items() if v != "" or k == "singularName"}


def storage_version_hash(resource: Resource) -> str:
    """base64 of the first 8 bytes of sha256("GROUP/VERSION/KIND") of the stored type."""
    stored = resource.stored_gvk
    text = f"{stored.group}/{stored.version}/{stored.kind}"
    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def _aggregated_resource(resource: Resource) -> Object:
    gvk = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    out: dict[str, Any] = {
        "resource": resource.name,
        "responseKind": gvk,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        out["shortNames"] = list(resource.short_names)
    if resource.categories:
        out["categories"] = list(resource.categories)
    if resource.subresources:
        out["subresources"] = [
            {
                "subresource": sub.name,
                "responseKind": {"group": sub.kind.group, "version": sub.kind.version, "kind": sub.kind.kind},
                "verbs": list(sub.verbs),
            }
            for sub in resource.subresources
        ]
    return out
