"""A Kubernetes cluster: an API server over a bucket of the store, its listener, and what makes it live."""

from __future__ import annotations

import asyncio
import base64
import logging
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azsandbox import yaml_files
from azsandbox.controllers import metrics_server
from azsandbox.controllers.client import KubeClient
from azsandbox.controllers.informer import Controller, Informers
from azsandbox.controllers.transports import InProcess
from azsandbox.kubernetes import bootstrap
from azsandbox.kubernetes.listener import Listener
from azsandbox.kubernetes.request import MASTER
from azsandbox.kubernetes.server import ApiServer
from azsandbox.store import Bucket, Store
from azsandbox.tasks import end

if TYPE_CHECKING:
    from azsandbox.certificates import Authority
    from azsandbox.controllers.client import Transport
    from azsandbox.kubernetes.serving import Server

log = logging.getLogger(__name__)

DEFAULT_VERSION = "v1.35.4"
_SECRETS, _ADMIN = "server/keys", "admin-token"


def forget_admin_token(bucket: Bucket) -> None:
    """Has the cluster of a bucket make another administrator's token when it starts next."""
    if bucket.get(_SECRETS, _ADMIN):
        bucket.delete(_SECRETS, _ADMIN)


class Cluster:
    """One cluster. `start` makes it answer on a loopback port; `stop` ends that and its controllers."""

    def __init__(
        self,
        name: str,
        bucket: Bucket,
        version: str = DEFAULT_VERSION,
        controllers: Sequence[type[Controller]] = (),
        options: dict[str, Any] | None = None,
        authority: Authority | None = None,
    ) -> None:
        self.name, self.bucket, self.version = name, bucket, version
        self.server = ApiServer(bucket, version)
        self.listener = Listener(self.server)
        self.client = KubeClient(InProcess(self.server, MASTER))
        self.server.extensions[metrics_server.GROUP] = metrics_server.MetricsServer(
            self.client, informers=lambda: self._informers
        )
        self.port = 0
        self.authority = authority
        self._controllers, self._options = controllers, options or {}
        self._uvicorn: Server | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._informers: Informers | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What its controllers are given."""
        return dict(self._options)

    def listed(self, api_version: str, resource: str) -> list[dict[str, Any]]:
        """Objects of a kind as its controllers' watches have them; none while they do not run."""
        return self._informers.of(api_version, resource).list() if self._informers is not None else []

    def add(self, *controllers: type[Controller], **options: Any) -> None:
        """More controllers, and options for all; before the cluster starts."""
        self._controllers = [*self._controllers, *controllers]
        self._options = {**self._options, **options}

    @property
    def url(self) -> str:
        """Where clients on this machine reach it."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def admin_token(self) -> str:
        """The administrator's token, made once and kept in the bucket."""
        record = self.bucket.get(_SECRETS, _ADMIN)
        if record is None:
            record = self.bucket.create(_SECRETS, _ADMIN, secrets.token_urlsafe(32).encode())
        return record.value.decode()

    @property
    def ca_pem(self) -> str:
        """The certificate of the cluster's authority, "" for a cluster that does not listen."""
        return self.authority.ca.read_text() if self.authority else ""

    async def start(self, names: Sequence[str] = ("127.0.0.1", "localhost"), port: int = 0) -> None:
        """Fills a new cluster and starts its controllers. With an authority it listens too, on `port` of loopback
        (0, or a port that is busy: a free one), with a certificate for `names`."""
        bootstrap.fill(self.server)
        self.server.authentication.static.add(self.admin_token, MASTER)
        if self.authority is not None:
            await self._listen(self.authority, names, port)
        self.server.address = f"127.0.0.1:{self.port}"
        await self.server.custom.start()
        await self.server.aggregation.start()
        self._start_controllers()

    async def _listen(self, authority: Authority, names: Sequence[str], port: int) -> None:
        import socket

        from azsandbox.kubernetes.serving import serve

        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
        except OSError:
            if not port:
                raise
            log.warning("port %s of cluster %s is busy; it listens on another", port, self.name)
            listening.bind(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        self._uvicorn, task = await serve(self.listener, listening, authority.context_for_clients(*names))
        self._tasks.append(task)

    def _start_controllers(self) -> None:
        if not self._controllers:
            return
        from azsandbox.controllers.kubelet import Kubelet

        self._informers = Informers(self.client)
        options = {"cluster": self, "authority": self.authority, "tokens": self.server.tokens, **self._options}
        if "flux" in options:
            options["output"], options["ports"] = options["flux"].output, options["flux"].ports
        for kind in self._controllers:
            controller = kind(self.client, self._informers, **options)
            if isinstance(controller, Kubelet):
                self.server.pods = controller  # it answers for logs, exec and attach
            self._tasks.append(asyncio.create_task(self._watched(controller), name=f"{self.name} {controller.name}"))

    async def _watched(self, controller: Controller) -> None:
        try:
            await controller.run()
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("%s of %s ended", controller.name, self.name)

    async def stop(self) -> None:
        """Ends listener and controllers; the state stays in the bucket."""
        await self.server.stop()
        if self._uvicorn is not None:
            self._uvicorn.end()
        serving = [task for task in self._tasks if self._uvicorn is not None and task.get_name().startswith("serve ")]
        await end(task for task in self._tasks if task not in serving)
        if self._informers is not None:
            await self._informers.stop()
        await self.server.aggregation.stop()
        await self.server.custom.stop()
        if serving:
            await asyncio.wait(serving, timeout=3)  # it ends by itself, once its connections have
            await end(serving)

    def kubeconfig(self, user: str = "admin", token: str = "") -> str:
        """A kubeconfig with the administrator's token, or another."""
        ca = base64.b64encode(self.ca_pem.encode()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": self.name, "cluster": {"server": self.url, "certificate-authority-data": ca}}],
            "users": [{"name": user, "user": {"token": token or self.admin_token}}],
            "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": user}}],
            "current-context": self.name,
        }
        return yaml_files.dump(config)


def all_controllers() -> list[type[Controller]]:
    """Every controller of a cluster. Imported late: they are of no use to an API server alone."""
    from azsandbox.controllers.cluster_controllers import CONTROLLERS_CLUSTER
    from azsandbox.controllers.workloads import CONTROLLERS_WORKLOADS
    from azsandbox.flux.processes import FluxProcesses
    from azsandbox.policy.processes import GatekeeperProcesses

    return [*CONTROLLERS_CLUSTER, *CONTROLLERS_WORKLOADS, FluxProcesses, GatekeeperProcesses]


async def run_controllers(transport: Transport, options: dict[str, Any]) -> None:
    """Every controller as a client of the API server that `transport` leads to, until cancelled.

    What only the process of an API server knows (its signing keys, its authority) is not there: the controllers that
    need it leave that part to the other side.
    """
    from azsandbox.flux.runtime import FluxRuntime

    client = KubeClient(transport)
    informers = Informers(client)
    tasks = []
    with tempfile.TemporaryDirectory(prefix="azsandbox-") as folder:
        try:
            for kind in all_controllers():
                controller = kind(client, informers, **{"flux": FluxRuntime(Path(folder)), **options})
                tasks.append(asyncio.create_task(_watched(controller), name=controller.name))
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await informers.stop()
            await client.close()


async def _watched(controller: Controller) -> None:
    try:
        await controller.run()
    except Exception:
        log.exception("%s ended", controller.name)


async def run_bare(
    nodes: int,
    kubeconfig: Path,
    port: int = 0,
    ready: asyncio.Event | None = None,
    *,
    controllers: bool = True,
    flux: bool = False,
    gatekeeper: bool = False,
) -> None:
    """A bare cluster in the foreground, until cancelled: no ARM, nothing of AKS, state in memory.

    Without `controllers` it is an API server alone, for controllers that come over the network. With `flux` Flux is
    installed in it, and its controllers act as soon as a node has their pods; with `gatekeeper` so is Gatekeeper.
    """
    from azsandbox.certificates import Authority
    from azsandbox.flux.runtime import FluxRuntime

    with tempfile.TemporaryDirectory(prefix="azsandbox-") as home:
        authority = Authority(Path(home))
        bucket = Store(None).bucket("cluster")
        options = {"profile": "kwok", "flux": FluxRuntime(Path(home, "flux"))}
        cluster = Cluster(
            "sandbox", bucket, DEFAULT_VERSION, all_controllers() if controllers else (), options, authority
        )
        await cluster.start(port=port)
        try:
            await add_nodes(cluster.client, nodes)
            if flux:
                from azsandbox.flux.installation import install

                await install(cluster.client)
            if gatekeeper:
                from azsandbox.policy import installation

                await installation.install(cluster.client)
            write_private(kubeconfig, cluster.kubeconfig())
            if ready:
                ready.set()
            await asyncio.Event().wait()
        finally:
            await cluster.stop()


def write_private(file: Path, text: str) -> None:
    """Writes a file that only its owner can read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text(text)


# What a node offers, and what of it pods can have: a Standard_D4ds_v5 of AKS (reference control plane's nodes)
_CAPACITY = {"cpu": "4", "memory": "16374624Ki", "pods": "250"}
_ALLOCATABLE = {"cpu": "3860m", "memory": "14366560Ki", "pods": "250"}


async def add_nodes(client: KubeClient, count: int) -> None:
    """Plain nodes, named and labelled like those of the control plane that the transcripts were recorded with.

    A cluster that has nodes already gets those that are missing.
    """
    from azsandbox.controllers.client import path

    for index in range(count):
        name = f"aks-user1-12345678-vmss{index:06d}"
        if await client.find(path("v1", "nodes", name=name)) is not None:
            continue
        labels = {
            "agentpool": "user1",
            "kubernetes.azure.com/agentpool": "user1",
            "kubernetes.azure.com/mode": "user",
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "node.kubernetes.io/instance-type": "Standard_D4ds_v5",
            "topology.kubernetes.io/region": "westeurope",
            "topology.kubernetes.io/zone": f"westeurope-{index % 3 + 1}",
        }
        metadata = {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}}
        status = {"capacity": _CAPACITY, "allocatable": _ALLOCATABLE}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": status}
        await client.create(path("v1", "nodes"), node)
