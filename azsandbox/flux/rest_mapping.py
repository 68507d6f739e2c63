"""Which resource a kind is: what discovery says, kept until a kind is asked for that it did not name."""

from __future__ import annotations

from dataclasses import dataclass

from azsandbox.controllers.client import KubeClient, path
from azsandbox.flux.object_refs import ObjectRef
from azsandbox.kubernetes.errors import StatusError


@dataclass(frozen=True)
class Resource:
    """A kind of a version as the API serves it."""

    api_version: str
    kind: str
    name: str  # plural, as in URLs
    namespaced: bool

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """URL path of its objects in a namespace, or of one of them. A cluster-wide kind has no namespace."""
        return path(self.api_version, self.name, namespace if self.namespaced else "", name, subresource)


class NoMatch(LookupError):
    """The API server serves no such kind; the message is client-go's."""

    def __init__(self, kind: str, where: str) -> None:
        super().__init__(f'no matches for kind "{kind}" in {where}')


class RestMapping:
    """The kinds of one API server. It asks for a group and version when it first meets one."""

    def __init__(self, client: KubeClient) -> None:
        self.client = client
        self._versions: dict[str, dict[str, Resource]] = {}  # by apiVersion, then kind
        self._preferred: dict[str, list[str]] = {}  # a group's apiVersions, the preferred one first

    def forget(self) -> None:
        """Asks anew from now on, as after definitions have changed."""
        self._versions.clear()
        self._preferred.clear()

    async def of(self, api_version: str, kind: str) -> Resource:
        """The resource of a kind in a version. Raises NoMatch."""
        found = self._versions.get(api_version, {}).get(kind)
        if found is None:  # it may be new
            found = (await self._discover(api_version)).get(kind)
        if found is None:
            raise NoMatch(kind, f'version "{api_version}"')
        return found

    async def preferred(self, ref: ObjectRef) -> Resource:
        """The resource of a kind in the version that its group prefers. Raises NoMatch."""
        for fresh in (False, True):
            for api_version in await self.versions_of(ref.group, fresh=fresh):
                found = self._versions.get(api_version) or await self._discover(api_version)
                if ref.kind in found:
                    return found[ref.kind]
        raise NoMatch(ref.kind, f'group "{ref.group}"')

    async def versions_of(self, group: str, *, fresh: bool = False) -> list[str]:
        """The apiVersions of a group, the preferred one first; none where there is no such group."""
        if not group:
            return ["v1"]
        if fresh or group not in self._preferred:
            self._preferred.clear()
            for version in [v for v in self._versions if fresh and v.startswith(f"{group}/")]:
                del self._versions[version]
            for known in (await self.client.get("/apis")).get("groups") or ():
                first = known["preferredVersion"]["groupVersion"]
                rest = [v["groupVersion"] for v in known["versions"] if v["groupVersion"] != first]
                self._preferred[known["name"]] = [first, *rest]
        return self._preferred.get(group, [])

    async def all(self) -> list[Resource]:
        """Every kind that the server has now, sub-resources left out."""
        self.forget()
        await self.versions_of("-")  # fills what groups there are
        versions = ["v1", *(version for versions in self._preferred.values() for version in versions)]
        return [resource for version in versions for resource in (await self._discover(version)).values()]

    async def _discover(self, api_version: str) -> dict[str, Resource]:
        try:
            answer = await self.client.get(f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}")
        except StatusError as error:
            if error.code != 404:
                raise
            answer = {}
        found = {
            item["kind"]: Resource(api_version, item["kind"], item["name"], bool(item["namespaced"]))
            for item in answer.get("resources") or ()
            if "/" not in item["name"]
        }
        self._versions[api_version] = found
        return found
