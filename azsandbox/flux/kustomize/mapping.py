"""From a kind to the path of its resource, by discovery that is kept and asked again when a kind is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.flux.kustomize.identity import Identity, join_version, split_version
from azsandbox.kubernetes.errors import StatusError


class NoMatch(Exception):
    """The cluster knows no such kind; the message is that of client-go's REST mapper."""

    def __init__(self, kind: str, group: str, versions: Sequence[str] = ()) -> None:
        if not versions:
            super().__init__(f'no matches for kind "{kind}" in group "{group}"')
        else:
            super().__init__(f'no matches for kind "{kind}" in version "{join_version(group, versions[0])}"')


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of the API: its version, the plural that its paths have, and whether it lies in namespaces."""

    api_version: str
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        """URL path; a namespace that does not apply is left out."""
        return path(self.api_version, self.plural, namespace if self.namespaced else "", name)


class Mapping:
    """The resources of one API server, a request for each group version that is asked for."""

    def __init__(self, client: KubeClient) -> None:
        self.client = client
        self._known: dict[str, dict[str, Resource]] = {}  # apiVersion → kind → resource
        self._lock = asyncio.Lock()

    async def resource(self, api_version: str, kind: str) -> Resource:
        """The resource of a kind in a version. Raises NoMatch, or StatusError where discovery fails."""
        found = self._known.get(api_version, {}).get(kind)
        if found is None:
            async with self._lock:
                found = self._known.get(api_version, {}).get(kind) or (await self._read(api_version)).get(kind)
        if found is None:
            group, version = split_version(api_version)
            raise NoMatch(kind, group, [version])
        return found

    async def preferred(self, group: str, kind: str) -> Resource:
        """The resource of a kind in the version that the server prefers of those that have it. Raises NoMatch."""
        for api_version in await self._versions(group):
            found = self._known.get(api_version, {}).get(kind) or (await self._read(api_version)).get(kind)
            if found is not None:
                return found
        raise NoMatch(kind, group)

    async def path_of(self, obj: Object) -> str:
        """URL path of an object. Raises NoMatch."""
        metadata = obj["metadata"]
        resource = await self.resource(obj["apiVersion"], obj["kind"])
        return resource.path(metadata.get("namespace") or "", metadata["name"])

    async def path_of_entry(self, who: Identity, version: str) -> str:
        """URL path of an inventory's entry. Raises NoMatch."""
        resource = await self.resource(join_version(who.group, version), who.kind)
        return resource.path(who.namespace, who.name)

    async def _versions(self, group: str) -> list[str]:
        if not group:
            return ["v1"]
        try:
            answer = await self.client.get(f"/apis/{group}")
        except StatusError as error:
            if error.code == 404:
                return []
            raise
        preferred = str((answer.get("preferredVersion") or {}).get("groupVersion", ""))
        others = [str(v["groupVersion"]) for v in answer.get("versions") or []]
        return [v for v in (preferred, *(o for o in others if o != preferred)) if v]

    async def _read(self, api_version: str) -> dict[str, Resource]:
        """Asks for the resources of a group version; one that is not there has none."""
        try:
            answer = await self.client.get(f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}")
        except StatusError as error:
            if error.code != 404:
                raise
            answer = {}
        found = {
            str(row["kind"]): Resource(api_version, str(row["name"]), bool(row["namespaced"]))
            for row in answer.get("resources") or []
            if "/" not in row["name"]
        }
        self._known[api_version] = found
        return found
