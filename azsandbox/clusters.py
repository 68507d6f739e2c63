"""The Kubernetes clusters of a sandbox: which there are, and which of them run."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from azsandbox.certificates import Authority
from azsandbox.clock import Clock
from azsandbox.store import Bucket, Store

if TYPE_CHECKING:
    from azsandbox.cluster import Cluster
    from azsandbox.controllers.informer import Controller

log = logging.getLogger(__name__)

Configure = Callable[["Cluster"], None]
_COLLECTION = "clusters"
_DEPENDENCIES = 30.0  # seconds after which Flux looks again whether a dependency is ready (--requeue-dependency)
_FLUX = "flux"  # the folder of a cluster in which Flux keeps its artifacts


class ClusterHome(Protocol):
    """What clusters need of the host: the folder of the installation."""

    @property
    def path(self) -> Path: ...


class ClusterHost(Protocol):
    """What clusters need of the process that they live in."""

    @property
    def state(self) -> Store: ...
    @property
    def home(self) -> ClusterHome: ...
    @property
    def authority(self) -> Authority: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def proxy_port(self) -> int: ...


class Clusters:
    """Clusters by an id of the caller's choice. What runs is remembered, and runs again after a restart.

    Append to `configure` what is to be done to every cluster before it starts, e.g. authenticators.
    """

    def __init__(self, host: ClusterHost) -> None:
        self._host = host
        self._bucket = host.state.bucket("clusters")
        self._running: dict[str, Cluster] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self.configure: list[Configure] = []
        self.controllers: Sequence[type[Controller]] | None = None  # None: all

    # --- life

    async def create(
        self, cluster_id: str, version: str, fqdn: str = "", options: dict[str, Any] | None = None
    ) -> Cluster:
        """A cluster that runs; one of that id that is there already is started and returned as it is.

        `version` is what its API says it is ("v1.34.4"), `options` go to its controllers and must be JSON.
        """
        if self._record(cluster_id) is None:
            record = {"version": version, "fqdn": fqdn.lower(), "port": 0, "runs": True, "options": options or {}}
            self._bucket.create(_COLLECTION, cluster_id, orjson.dumps(record))
        return await self.start(cluster_id)

    async def start(self, cluster_id: str) -> Cluster:
        """Starts a cluster that is there. KeyError if it is not."""
        async with self._locks.setdefault(cluster_id, asyncio.Lock()):
            if cluster_id in self._running:
                return self._running[cluster_id]
            record = self._record(cluster_id)
            if record is None:
                raise KeyError(f"no cluster {cluster_id!r}")
            cluster = await self._start(cluster_id, record)
            self._running[cluster_id] = cluster
            self._save(cluster_id, {**record, "runs": True, "port": cluster.port})
            return cluster

    async def _start(self, cluster_id: str, record: dict[str, Any]) -> Cluster:
        from azsandbox.cluster import Cluster, all_controllers  # takes a tenth of a second, which a start need not wait
        from azsandbox.flux.runtime import FluxRuntime, Outbound

        authority = self.authority(cluster_id)
        folder = authority.ca.parent / _FLUX
        outbound = Outbound(f"http://127.0.0.1:{self._host.proxy_port}", self._host.authority.ca)
        names = [name for name in ("127.0.0.1", "localhost", record["fqdn"]) if name]
        cluster = Cluster(
            cluster_id,
            self._bucket_of(cluster_id),
            record["version"],
            all_controllers() if self.controllers is None else self.controllers,
            {
                "profile": "kubelet",
                "clock": self._host.clock,
                "warming_up": self._host.clock.scaled,
                "flux": FluxRuntime(folder, outbound, settling=self._host.clock.scaled(_DEPENDENCIES)),
                **record["options"],
            },
            authority,
        )
        for configure in self.configure:
            configure(cluster)
        try:
            await cluster.start(names, record["port"])
        except BaseException:  # what already runs of it, such as its listener, must not stay
            await cluster.stop()
            raise
        return cluster

    async def stop(self, cluster_id: str) -> None:
        """Stops a cluster; its state stays."""
        async with self._locks.setdefault(cluster_id, asyncio.Lock()):
            cluster = self._running.pop(cluster_id, None)
            if cluster is not None:
                await cluster.stop()
            record = self._record(cluster_id)
            if record is not None:
                self._save(cluster_id, {**record, "runs": False})

    async def rotate(self, cluster_id: str) -> None:
        """Starts a cluster anew with another authority and another administrator's token. KeyError if it is not there."""
        from azsandbox.cluster import forget_admin_token

        await self.stop(cluster_id)
        self.authority(cluster_id).renew()
        forget_admin_token(self._bucket_of(cluster_id))
        await self.start(cluster_id)

    async def delete(self, cluster_id: str) -> None:
        """Stops a cluster and forgets its state."""
        await self.stop(cluster_id)
        if self._record(cluster_id) is not None:
            self._bucket.delete(_COLLECTION, cluster_id)
        self._host.state.drop(f"cluster/{cluster_id}")
        await asyncio.to_thread(shutil.rmtree, self.authority(cluster_id).ca.parent / _FLUX, ignore_errors=True)
        self._locks.pop(cluster_id, None)

    async def restore(self) -> None:
        """Starts what ran when the sandbox ended."""
        for record in self._bucket.list(_COLLECTION):
            if orjson.loads(record.value)["runs"]:
                try:
                    await self.start(record.key)
                except Exception:  # one that does not start is told of, and keeps no other from starting
                    log.exception("cluster %s does not start", record.key)

    async def close(self) -> None:
        """Stops all clusters; they run again after a restart."""
        await asyncio.gather(*(cluster.stop() for cluster in self._running.values()), return_exceptions=True)
        self._running.clear()

    def upgrade(self, cluster_id: str, version: str) -> None:
        """Lets the API of a cluster say another version, at once and after restarts."""
        record = self._record(cluster_id)
        if record is None:
            raise KeyError(f"no cluster {cluster_id!r}")
        self._save(cluster_id, {**record, "version": version})
        if cluster_id in self._running:
            cluster = self._running[cluster_id]
            cluster.version = cluster.server.version = version

    # --- looking

    def get(self, cluster_id: str) -> Cluster | None:
        """A cluster that runs, or None."""
        return self._running.get(cluster_id)

    def running(self) -> list[Cluster]:
        """All clusters that run."""
        return list(self._running.values())

    def exists(self, cluster_id: str) -> bool:
        """Whether a cluster is there, running or not."""
        return self._record(cluster_id) is not None

    def authority(self, cluster_id: str) -> Authority:
        """A cluster's own certificate authority."""
        folder = self._host.home.path / "clusters" / cluster_id.strip("/").replace("/", "_")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Authority(folder)

    def key_set(self, cluster_id: str) -> dict[str, Any]:
        """The public key of a cluster's service account tokens, whether it runs or not."""
        from azsandbox.kubernetes.tokens import key_set, signing_key

        return key_set(signing_key(self._host.state.bucket(f"cluster/{cluster_id}")))

    def ports(self) -> list[int]:
        """Ports on loopback that clusters listen on."""
        return [cluster.port for cluster in self._running.values() if cluster.port]

    def port(self, fqdn: str) -> int | None:
        """The port on loopback of the running cluster that clients reach by a host name, or None."""
        for cluster_id, cluster in self._running.items():
            record = self._record(cluster_id)
            if record is not None and record["fqdn"] == fqdn.lower():
                return cluster.port or None
        return None

    # --- inside

    def _bucket_of(self, cluster_id: str) -> Bucket:
        return self._host.state.bucket(f"cluster/{cluster_id}")

    def _record(self, cluster_id: str) -> dict[str, Any] | None:
        found = self._bucket.get(_COLLECTION, cluster_id)
        record: dict[str, Any] | None = orjson.loads(found.value) if found else None
        return record

    def _save(self, cluster_id: str, record: dict[str, Any]) -> None:
        if self._record(cluster_id) != record:
            self._bucket.put(_COLLECTION, cluster_id, orjson.dumps(record))
