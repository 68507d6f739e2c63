"""The one process of a sandbox: its ports, certificates, clock and state, and the services that share them.

    TLS port     mode A: https://localhost:PORT is Resource Manager, Entra ID and Graph, and the Git host below /git
    proxy port   mode B: a proxy for Azure's and GitHub's own host names; plain http for the managed identity endpoint

A host listens on 127.0.0.1 only. Its ports are kept with the state, so that what clients wrote down
(kubeconfigs, base URLs) stays valid when it starts again.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import logging
import os
import random
import signal
import sqlite3
import time
import uuid
from email.utils import formatdate
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from azsandbox import garbage
from azsandbox.certificates import Authority
from azsandbox.clock import Clock, Speed
from azsandbox.dispatch import App, Dispatch, Receive, Scope, Send, endpoint
from azsandbox.home import Home
from azsandbox.proxy import Proxy
from azsandbox.store import Bucket, Store, Unusable

if TYPE_CHECKING:
    from azsandbox.aks.identity.issuer import Issuers
    from azsandbox.clusters import Clusters
    from azsandbox.git.git_host import GitHost
    from azsandbox.keyvault.vaults import Vaults
    from azsandbox.registry import Registries

log = logging.getLogger("azsandbox.host")

ADDRESS = "127.0.0.1"
PORTS = range(20000, 32000)  # below the ephemeral range, so that no outgoing connection holds a port when we come back
# public registries and chart repositories (data/registry; a test compares)
PUBLIC_REGISTRIES = (
    "docker.io",
    "ghcr.io",
    "index.docker.io",
    "kubereboot.github.io",
    "mcr.microsoft.com",
    "registry-1.docker.io",
    "registry.hub.docker.com",
    "registry.k8s.io",
    "stefanprodan.github.io",
)
LOG_HOSTS = ("api.loganalytics.io", "api.loganalytics.azure.com")
GIT_HOSTS = ("github.com", "api.github.com", "raw.githubusercontent.com")
VAULT_HOSTS = ".vault.azure.net"
ISSUER_HOSTS = "*.oic.prod-aks.azure.com"
CLUSTER_HOSTS = ".azmk8s.io"  # <prefix>.hcp.<region>.azmk8s.io, and private clusters' names
KEEP_ALIVE_SECONDS = 120
GRACE_SECONDS = 0.5  # what requests under way get when the sandbox stops


class HostError(Exception):
    """The sandbox cannot start; the message says why and what to do."""


class Host:
    """Listens, and owns the store, clock, authority, directory, Resource Manager and clusters.

    `speed` is the clock's (fast, real, stepped); None takes the one of the last start. `port` is the TLS port
    to listen on (None: that of the last start). `tunnel` lets the proxy pass other hosts on to the network.
    """

    def __init__(
        self, home: Path | Home, speed: Speed | None = None, *, port: int | None = None, tunnel: bool = False
    ) -> None:
        self.home = home if isinstance(home, Home) else Home(home)
        self.home.make()
        self._lock = self._take_lock()
        self.home.environment.unlink(missing_ok=True)  # of a sandbox that was killed
        self.state = self._open_state()
        self.settings = self.state.bucket("host")
        ids = self._setting("ids") or self._set("ids", _new_ids())
        self.tenant_id: str = ids["tenant_id"]
        self.subscription_id: str = ids["subscription_id"]
        self.speed = cast(Speed, speed or (self._setting("speed") or {}).get("value") or "fast")
        self._set("speed", {"value": self.speed})
        self.clock = Clock(self.speed)
        self.authority = Authority(self.home.path)
        self.dispatch = Dispatch()
        self.tunnel = tunnel
        self.tls_port = port or 0
        self.proxy_port = 0
        self.arm: Any = None
        self._clusters: Clusters | None = None
        self._git: GitHost | None = None
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopped = asyncio.Event()

    # --- what the services get (azsandbox.arm.provider.Services)

    @property
    def store(self) -> Bucket:
        """Resource Manager's bucket."""
        return self.state.bucket("arm")

    @cached_property
    def entra(self) -> Any:
        """Entra ID: tokens and the directory."""
        from azsandbox.entra import Entra

        return Entra(self.state.bucket("entra"), self.clock, self.tenant_id, self.subscription_id)

    @property
    def clusters(self) -> Clusters:
        """The Kubernetes clusters. Made when first asked for: their API server takes a while to import."""
        if self._clusters is None:
            from azsandbox.clusters import Clusters

            self._clusters = Clusters(self)
        return self._clusters

    @cached_property
    def registries(self) -> Registries:
        """The container registries' content. Made when first asked for, as the clusters are."""
        from azsandbox.registry import Registries

        registries = Registries(self)
        registries.sweep()
        return registries

    @cached_property
    def data_plane(self) -> App:
        """The application of the container registries."""
        from azsandbox.registry import DataPlane

        return DataPlane(self.registries)

    @cached_property
    def vaults(self) -> Vaults:
        """The key vaults' content. Made when first asked for."""
        from azsandbox.keyvault.vaults import Vaults

        return Vaults(self)

    @cached_property
    def vault_data(self) -> App:
        """The application of the key vaults."""
        from azsandbox.keyvault import DataPlane

        return DataPlane(self.vaults)

    @cached_property
    def issuers(self) -> Issuers:
        """The OpenID Connect issuers of managed clusters. Made when first asked for."""
        from azsandbox.aks.identity.issuer import Issuers

        return Issuers(self.arm)

    @cached_property
    def public_registries(self) -> App:
        """The application of the public registries and chart repositories that the kit knows."""
        from azsandbox.registry import PublicRegistries

        return PublicRegistries(self.registries)

    @cached_property
    def log_queries(self) -> App:
        """The query API of Log Analytics. Made when first asked, as the query language takes a while to import."""
        from azsandbox.loganalytics.api import QueryApi

        return QueryApi(self.arm)

    @property
    def git(self) -> GitHost:
        """The Git host. Made when first asked for."""
        if self._git is None:
            from azsandbox.git.git_host import GitHost
            from azsandbox.git.tokens import SECRET

            secret = self.entra.tokens.secret(SECRET)
            bucket = self.state.bucket("git")
            folder = self.home.path / "git"
            self._git = GitHost(folder, bucket, self.clock, secret, self.dispatch, self.authority.bundle)
        return self._git

    @property
    def owner_ids(self) -> tuple[str, ...]:
        """Principals that own the subscription from the start."""
        return cast("tuple[str, ...]", self.entra.owner_ids)

    # --- life

    async def start(self) -> None:
        """Listens and serves; returns when the first request can be answered. Raises HostError."""
        from uvicorn.config import Config
        from uvicorn.server import ServerState

        from azsandbox.http_connection import HttpConnection

        self._build()
        config = Config(
            cast(Any, self.dispatch),
            http="httptools",
            ws="none",  # an API server has WebSockets, and a port of its own
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        config.load()
        self._connections = ServerState()
        self._connections.default_headers = config.encoded_headers

        def http() -> asyncio.Protocol:
            return HttpConnection(config=config, server_state=self._connections, app_state={})

        self.proxy = Proxy(self.dispatch, self.authority, http, self.ports, self._api_server, self.tunnel)
        ports = self._setting("ports") or {}
        first = random.choice(PORTS)  # noqa: S311 - a port, not a secret
        context = self.authority.context("localhost", ADDRESS, "::1")
        self.tls_port = await self._listen(http, self.tls_port or ports.get("tls") or first, context)
        self.proxy_port = await self._listen(self.proxy.connection, ports.get("proxy") or self.tls_port + 1, None)
        self._set("ports", {"tls": self.tls_port, "proxy": self.proxy_port})
        self.entra.listens(f"https://localhost:{self.tls_port}", f"http://{ADDRESS}:{self.proxy_port}")
        self._spawn(self._tick(config.encoded_headers))
        if hasattr(self.arm, "start"):
            await _maybe(self.arm.start())
        if self.state.bucket("clusters").count("clusters"):
            self._spawn(self.clusters.restore())
        self._write_environment()
        log.info("listening: %s, proxy http://%s:%s", f"https://localhost:{self.tls_port}", ADDRESS, self.proxy_port)

    async def run(self) -> None:
        """Serves until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopped.set)
        await self.start()
        garbage.tune()
        await self._stopped.wait()
        await self.stop()

    async def stop(self) -> None:
        """Ends within two seconds: watches are told to finish, requests under way get a moment, the rest is cut."""
        log.info("stopping")
        for server in self._servers:
            server.close()
        for part in (self.arm, self._clusters, self._git):
            if part is not None and hasattr(part, "close"):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GRACE_SECONDS):
                        await _maybe(part.close())
        for connection in list(self._connections.connections):
            connection.shutdown()
        if self._connections.tasks:
            await asyncio.wait(list(self._connections.tasks), timeout=GRACE_SECONDS)
        for connection in list(self._connections.connections):
            connection.transport.abort()
        for task in [*self._connections.tasks, *self._tasks]:
            task.cancel()
        await asyncio.sleep(0)
        self.home.environment.unlink(missing_ok=True)
        self.state.close()
        os.close(self._lock)
        log.info("stopped")

    def ports(self) -> set[int]:
        """Ports on loopback that are the sandbox's own."""
        own = {self.tls_port, self.proxy_port}
        return own | set(self._clusters.ports()) if self._clusters is not None else own

    def _api_server(self, host: str) -> int | None:
        """The port of the API server behind a cluster's host name; 0 when no cluster of that name runs; None for a
        name that is not a cluster's."""
        if not host.endswith(CLUSTER_HOSTS):
            return None
        return (self._clusters.port(host) if self._clusters is not None else None) or 0

    # --- parts

    def _build(self) -> None:
        """Makes the services and enters them in the table of hosts."""
        entra = self.entra.app
        from azsandbox.arm import Arm

        self.arm = Arm(self)
        arm: App = self.arm.app

        async def git(scope: Scope, receive: Receive, send: Send) -> None:
            await self.git.app(scope, receive, send)

        async def registry(scope: Scope, receive: Receive, send: Send) -> None:
            await self.data_plane(scope, receive, send)

        async def logs(scope: Scope, receive: Receive, send: Send) -> None:
            await self.log_queries(scope, receive, send)

        async def issuers(scope: Scope, receive: Receive, send: Send) -> None:
            await self.issuers.app(scope, receive, send)

        async def public(scope: Scope, receive: Receive, send: Send) -> None:
            await self.public_registries(scope, receive, send)

        all_of_them = endpoint(arm, entra, git, registry, logs)
        for name in ("localhost", ADDRESS, "::1"):
            self.dispatch.serve(name, all_of_them)
        for name in GIT_HOSTS:
            self.dispatch.serve(name, git)
        self.dispatch.ask(self._public_address)
        self.dispatch.ask(self._key_vault)
        self.dispatch.serve("management.azure.com", arm)
        for name in ("login.microsoftonline.com", "graph.microsoft.com", "169.254.169.254"):
            self.dispatch.serve(name, entra)
        for name in LOG_HOSTS:
            self.dispatch.serve(name, logs)
        self.dispatch.serve("*.azurecr.io", registry)
        self.dispatch.serve(ISSUER_HOSTS, issuers)
        self.entra.directory.federated_credentials.ask(lambda issuer: self.issuers.keys(issuer))
        for name in PUBLIC_REGISTRIES:
            self.dispatch.serve(name, public)

    def _key_vault(self, host: str) -> App | None:
        """What answers at the name of a key vault; nothing where there is no such vault, as if DNS had no such name."""
        if not host.endswith(VAULT_HOSTS):
            return None
        return self.vault_data if self.vaults.at(host) is not None else None

    def _public_address(self, host: str) -> App | None:
        """What answers at an address that a Service of a cluster was given."""
        if self._clusters is None:
            return None
        from azsandbox.public_addresses import PublicAddresses

        return PublicAddresses(self._clusters.running).find(host)

    # --- listening

    async def _listen(self, factory: Any, port: int, context: Any) -> int:
        """Listens on `port`, or on the next free one after it, which the log says."""
        loop = asyncio.get_running_loop()
        for candidate in range(port, min(port + 500, 65536)):
            try:
                server = await loop.create_server(factory, ADDRESS, candidate, ssl=context, backlog=1024)
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
                continue
            if candidate != port:
                log.warning("port %s is busy; listening on %s instead", port, candidate)
            self._servers.append(server)
            return candidate
        raise HostError(f"no free port from {port} to {port + 499} on {ADDRESS}. Choose one: azsandbox up --port N")

    async def _tick(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Keeps the Date header of answers at the present second."""
        while True:
            self._connections.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode()), *headers]
            await asyncio.sleep(1 - time.time() % 1)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a part of the sandbox failed", exc_info=task.exception())

    # --- state

    def _open_state(self) -> Store:
        try:
            return Store(self.home.state)
        except (Unusable, sqlite3.OperationalError) as error:
            os.close(self._lock)
            if isinstance(error, Unusable):
                raise HostError(f"{error}. {self.home.begin_anew()}") from None
            raise HostError(f"{self.home.state} cannot be opened: {error}") from None

    def _take_lock(self) -> int:
        descriptor = os.open(self.home.lock, os.O_RDWR | os.O_CREAT, 0o600)
        for _ in range(20):  # whoever asks whether a sandbox runs here holds the lock for an instant
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.01)
            else:
                return descriptor
        os.close(descriptor)
        raise HostError(
            f"a sandbox is running on {self.home.path} already. See it: azsandbox status; end it: azsandbox down"
        )

    def _setting(self, name: str) -> dict[str, Any] | None:
        record = self.settings.get("settings", name)
        return cast("dict[str, Any]", json.loads(record.value)) if record else None

    def _set(self, name: str, value: dict[str, Any]) -> dict[str, Any]:
        if self._setting(name) != value:
            self.settings.put("settings", name, json.dumps(value).encode())
        return value

    def _write_environment(self) -> None:
        from azsandbox.environment import describe, write_az_configuration

        described = describe(self)
        write_az_configuration(self.home, described)
        self.home.write(self.home.environment.name, json.dumps(described, indent=1))


def _new_ids() -> dict[str, str]:
    return {"tenant_id": str(uuid.uuid4()), "subscription_id": str(uuid.uuid4())}


async def _maybe(result: Any) -> Any:
    """Awaits what may be awaited."""
    return await result if asyncio.iscoroutine(result) or asyncio.isfuture(result) else result


def serve(home: Home, speed: Speed | None = None, *, port: int | None = None, tunnel: bool = False) -> None:
    """Runs a sandbox in this process until it is told to stop. Raises HostError."""
    import uvloop

    os.umask(0o077)  # whatever is written below the home, by git as well, is its owner's alone

    async def main() -> None:
        await Host(home, speed, port=port, tunnel=tunnel).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
