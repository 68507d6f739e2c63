"""The resources that an API server serves: the built-in ones of its version, and those of CRDs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from azsandbox.kubernetes.request import GroupVersionKind

DEFAULT_MINOR = "1.35"

# One object served under two groups or versions is stored once, at the version named here.
STORED_AS: dict[tuple[str, str], tuple[str, str]] = {
    ("events.k8s.io", "events"): ("", "events"),
}


@dataclass(frozen=True)
class Subresource:
    """A part of a resource with a path of its own, e.g. `pods/eviction`."""

    name: str
    kind: GroupVersionKind
    verbs: tuple[str, ...]


@dataclass(frozen=True)
class Resource:
    """One resource in one version, as discovery tells it."""

    group: str
    version: str
    name: str  # plural, as in paths
    singular: str
    kind: str
    namespaced: bool
    verbs: tuple[str, ...]
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[Subresource, ...] = ()
    storage_version: str = ""  # the version that is stored, where it is not `version`
    custom: bool = False  # of a CRD
    list_kind: str = ""
    selectable: tuple[str, ...] = ()  # fields that a custom resource can be selected by, as JSON paths

    @property
    def gvk(self) -> GroupVersionKind:
        return GroupVersionKind(self.group, self.version, self.kind)

    @property
    def stored_gvk(self) -> GroupVersionKind:
        """The type in which it lies in the store."""
        group, _ = STORED_AS.get((self.group, self.name), (self.group, self.name))
        return GroupVersionKind(group, self.storage_version or self.version, self.kind)

    @property
    def collection(self) -> str:
        """Where the store keeps it."""
        group, name = STORED_AS.get((self.group, self.name), (self.group, self.name))
        return f"{group}/{name}"

    @property
    def qualified(self) -> str:
        """`deployments.apps`, or `pods` for the core group."""
        return f"{self.name}.{self.group}" if self.group else self.name

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def key(self, namespace: str, name: str) -> str:
        """The key of an object in the collection."""
        return f"{namespace}/{name}" if self.namespaced else name

    def prefix(self, namespace: str) -> str:
        """What the keys of a namespace's objects begin with; "" for all."""
        return f"{namespace}/" if self.namespaced and namespace else ""

    def subresource(self, name: str) -> Subresource | None:
        return next((sub for sub in self.subresources if sub.name == name), None)

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the resource, of an object, or of a part of one."""
        base = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return base + scope + "/" + "/".join(part for part in (self.name, name, subresource) if part)


@cache
def discovery_document(minor: str = DEFAULT_MINOR) -> dict[str, Any]:
    """The discovery documents of a Kubernetes minor version, `/api` and `/apis`, as data has them."""
    found = files("azsandbox") / "data" / "kubernetes" / minor / "discovery.json"
    return orjson.loads(found.read_bytes())


@cache
def built_in(minor: str = DEFAULT_MINOR) -> tuple[Resource, ...]:
    """The built-in resources of a Kubernetes minor version, in the order of discovery."""
    found = []
    document = discovery_document(minor)
    for group in [*document["/api"]["items"], *document["/apis"]["items"]]:
        group_name = group["metadata"].get("name", "")
        preferred = group["versions"][0]["version"]
        for version in group["versions"]:
            for item in version["resources"]:
                found.append(_resource(group_name, version["version"], preferred, item))
    return tuple(found)


def _resource(group: str, version: str, preferred: str, item: dict[str, Any]) -> Resource:
    return Resource(
        group=group,
        version=version,
        name=item["resource"],
        singular=item.get("singularResource", ""),
        kind=item["responseKind"]["kind"],
        namespaced=item["scope"] == "Namespaced",
        verbs=tuple(item["verbs"]),
        short_names=tuple(item.get("shortNames", ())),
        categories=tuple(item.get("categories", ())),
        subresources=tuple(
            Subresource(sub["subresource"], _gvk(sub.get("responseKind") or {}, group, version), tuple(sub["verbs"]))
            for sub in item.get("subresources", ())
        ),
        storage_version="v1" if group == "events.k8s.io" else preferred,
    )


def _gvk(kind: dict[str, str], group: str, version: str) -> GroupVersionKind:
    """A response kind; empty group and version mean those of the resource."""
    if not kind.get("group") and not kind.get("version"):
        return GroupVersionKind(group, version, kind.get("kind", ""))
    return GroupVersionKind(kind.get("group", ""), kind.get("version", ""), kind.get("kind", ""))


class ResourceTable:
    """Resources by path and by kind. CRDs come and go in it."""

    def __init__(self, minor: str = DEFAULT_MINOR) -> None:
        self.minor = minor
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        self._by_kind: dict[GroupVersionKind, Resource] = {}
        self._aggregated: list[tuple[str, str]] = []  # groups and versions of APIServices with a Service
        self.generation = 0  # grows with every change, for caches of discovery and OpenAPI
        self._named: tuple[int, dict[tuple[str, str], Resource]] = (-1, {})  # generation, name and group → resource
        for resource in built_in(minor):
            self._put(resource)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._by_path.values())

    def find(self, group: str, version: str, name: str) -> Resource | None:
        """The resource at a path."""
        return self._by_path.get((group, version, name))

    def of_kind(self, gvk: GroupVersionKind) -> Resource | None:
        """The resource that serves a type."""
        return self._by_kind.get(gvk)

    def named(self, name: str, group: str = "") -> Resource | None:
        """The resource of a plural name in a group, at its preferred version."""
        generation, known = self._named
        if generation != self.generation:
            known = {}
            for resource in self._by_path.values():
                known.setdefault((resource.name, resource.group), resource)
            self._named = (self.generation, known)
        return known.get((name, group))

    def versions(self, group: str) -> list[str]:
        """Versions served of a group, preferred first; [] if the group is not there."""
        found = [version for g, version, _ in self._by_path if g == group]
        return list(dict.fromkeys([*found, *(version for g, version in self._aggregated if g == group)]))

    def groups(self) -> list[str]:
        """Names of all groups, in the order of discovery; "" is the core group."""
        found = [group for group, _, _ in self._by_path]
        return list(dict.fromkeys([*found, *(group for group, _ in self._aggregated)]))

    def replace_custom(self, resources: list[Resource]) -> None:
        """Puts these in the place of all custom resources."""
        before = [r for r in self._by_path.values() if r.custom]
        if before == resources:
            return
        for resource in before:
            del self._by_path[resource.group, resource.version, resource.name]
            self._by_kind.pop(resource.gvk, None)
        for resource in resources:
            self._put(resource)
        self.generation += 1

    def replace_aggregated(self, resources: list[Resource], versions: list[tuple[str, str]]) -> None:
        """Puts these in the place of all resources of aggregated APIs.

        `versions` are groups and versions that have an APIService, also those that cannot be asked now.
        """
        for resource in [r for r in self._by_path.values() if (r.group, r.version) in self._aggregated]:
            del self._by_path[resource.group, resource.version, resource.name]
            self._by_kind.pop(resource.gvk, None)
        for resource in resources:
            self._put(resource)
        self._aggregated = versions
        self.generation += 1

    def _put(self, resource: Resource) -> None:
        self._by_path[resource.group, resource.version, resource.name] = resource
        self._by_kind.setdefault(resource.gvk, resource)
