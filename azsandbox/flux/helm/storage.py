"""Helm's storage: a Secret for each version of a release (helm.sh/helm/v4/pkg/storage)."""

from __future__ import annotations

import time
from collections.abc import Callable

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.flux.helm import releases
from azsandbox.flux.helm.errors import HelmFailed
from azsandbox.flux.helm.releases import Release
from azsandbox.kubernetes.errors import StatusError

TYPE, OWNER = "helm.sh/release.v1", "helm"
SYSTEM_LABELS = ("name", "owner", "status", "version", "createdAt", "modifiedAt")


class StorageError(HelmFailed):
    """Storage could not be read or written; the message is Helm's."""


class ReleaseNotFound(StorageError):
    """There is no such release."""

    def __init__(self) -> None:
        super().__init__("release: not found")


class NoDeployedRelease(StorageError):
    """There is no release of a name that is deployed."""

    def __init__(self, name: str) -> None:
        super().__init__(f'"{name}" has no deployed releases')


class Storage:
    """The releases in a namespace, read and written as `client`.

    `observers` are called with every release that has been written or deleted. `max_history` is how many a release's
    storage keeps, 0 for all.
    """

    def __init__(
        self, client: KubeClient, namespace: str, observers: tuple[Callable[[Release], None], ...] = ()
    ) -> None:
        self.client, self.namespace, self.observers = client, namespace, observers
        self.max_history = 0

    def observed_by(self, *observers: Callable[[Release], None]) -> Storage:
        """The same storage, with observers."""
        return Storage(self.client, self.namespace, observers)

    async def history(self, name: str) -> list[Release]:
        """Every version of a release, the oldest first. Raises ReleaseNotFound if there is none."""
        return await self._query({"name": name, "owner": OWNER})

    async def last(self, name: str) -> Release:
        """The newest version. Raises ReleaseNotFound."""
        return (await self.history(name))[-1]

    async def deployed(self, name: str) -> list[Release]:
        """The versions that are deployed, the oldest first. Raises NoDeployedRelease if there is none."""
        try:
            return await self._query({"name": name, "owner": OWNER, "status": releases.DEPLOYED})
        except ReleaseNotFound:
            raise NoDeployedRelease(name) from None

    async def get(self, name: str, version: int) -> Release:
        """One version. Raises ReleaseNotFound."""
        key = _key(name, version)
        try:
            secret = await self.client.get(self._path(key))
        except StatusError as error:
            if error.code == 404:
                raise ReleaseNotFound from None
            raise StorageError(f'get: failed to get "{key}": {error.message}') from None
        return _release(secret)

    async def create(self, release: Release) -> None:
        """Stores a new version, and removes the oldest beyond `max_history`."""
        if self.max_history > 0:
            await self._make_room(release["name"])
        labels = {**release.get("labels", {}), "createdAt": str(int(time.time()))}
        try:
            await self.client.create(self._path(), self._secret(release, labels))
        except StatusError as error:
            if error.reason == "AlreadyExists":
                raise StorageError("release: already exists") from None
            raise StorageError(f"create: failed to create: {error.message}") from None
        self._tell(release)

    async def update(self, release: Release) -> None:
        """Stores what a version has become."""
        labels = {**release.get("labels", {}), "modifiedAt": str(int(time.time()))}
        secret = self._secret(release, labels)
        try:
            await self.client.update(self._path(secret["metadata"]["name"]), secret)
        except StatusError as error:
            raise StorageError(f"update: failed to update: {error.message}") from None
        self._tell(release)

    async def delete(self, name: str, version: int) -> None:
        """Removes a version. Raises ReleaseNotFound."""
        release = await self.get(name, version)
        try:
            await self.client.delete(self._path(_key(name, version)))
        except StatusError as error:
            raise StorageError(error.message) from None
        self._tell(release)

    async def _make_room(self, name: str) -> None:
        """Removes the oldest versions but the deployed one, so that one more keeps to the limit."""
        try:
            known = await self.history(name)
        except ReleaseNotFound:
            return
        deployed = [release["version"] for release in known if release["info"].get("status") == releases.DEPLOYED]
        surplus = len(known) - (self.max_history - 1)
        for release in known:
            if surplus <= 0:
                return
            if not deployed or release["version"] != deployed[-1]:
                await self.delete(name, release["version"])
                surplus -= 1

    async def _query(self, labels: dict[str, str]) -> list[Release]:
        selector = ",".join(f"{key}={labels[key]}" for key in sorted(labels))
        try:
            answer = await self.client.request("GET", self._path(), query={"labelSelector": selector})
        except StatusError as error:
            raise StorageError(f"query: failed to query with labels: {error.message}") from None
        found = []
        for secret in answer["items"]:
            try:
                found.append(_release(secret))
            except (ValueError, OSError, KeyError):
                continue  # Helm passes over what it cannot read
        if not found:
            raise ReleaseNotFound
        return sorted(found, key=lambda release: int(release["version"]))

    def _path(self, name: str = "") -> str:
        return path("v1", "secrets", self.namespace, name)

    def _secret(self, release: Release, labels: dict[str, str]) -> Object:
        own = {
            "name": release["name"],
            "owner": OWNER,
            "status": release["info"]["status"],
            "version": str(release["version"]),
        }
        metadata = {"name": _key(release["name"], release["version"]), "labels": {**labels, **own}}
        data = {"release": releases.encode(release)}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": TYPE, "data": data}

    def _tell(self, release: Release) -> None:
        for observer in self.observers:
            observer(release)


def _key(name: str, version: int) -> str:
    return f"sh.helm.release.v1.{name}.v{version}"


def _release(secret: Object) -> Release:
    release = releases.decode((secret.get("data") or {}).get("release", ""))
    labels = secret["metadata"].get("labels") or {}
    release["labels"] = {key: value for key, value in labels.items() if key not in SYSTEM_LABELS}
    return release
