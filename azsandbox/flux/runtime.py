"""What the reconcilers of one cluster share besides its API: a folder for artifacts, the way out, events, logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from azsandbox.controllers.output import ContainerOutput
from azsandbox.controllers.ports import ProgramPorts
from azsandbox.flux.events import Notifications


@dataclass(frozen=True)
class Outbound:
    """How a controller reaches Git hosts, registries and webhooks.

    Inside a sandbox that is the sandbox's own `proxy`, which answers for Azure's and others' host names, and the file
    of authorities `ca` to trust; a bare cluster goes straight out.
    """

    proxy: str = ""
    ca: Path | None = None

    def variables(self) -> dict[str, str]:
        """Environment variables with which git and other programs take this way."""
        found: dict[str, str] = {}
        if self.proxy:
            found |= {"HTTPS_PROXY": self.proxy, "https_proxy": self.proxy, "HTTP_PROXY": self.proxy}
            found |= {
                "http_proxy": self.proxy,
                "NO_PROXY": "localhost,127.0.0.1,::1",
                "no_proxy": "localhost,127.0.0.1,::1",
            }
        if self.ca:
            found |= {"GIT_SSL_CAINFO": str(self.ca), "SSL_CERT_FILE": str(self.ca)}
        return found


@dataclass
class FluxRuntime:
    """One cluster's. `folder` holds source-controller's storage and whatever the controllers unpack; `output` is what
    the controllers log, `ports` are where they listen; `identity` gives the client id of the managed identity that
    nodes of Azure have, empty elsewhere; `settling` are the seconds until what waits for a dependency looks again after
    that has become ready (Flux looks every 30)."""

    folder: Path
    outbound: Outbound = field(default_factory=Outbound)
    notifications: Notifications = field(default_factory=Notifications)
    output: ContainerOutput = field(default_factory=ContainerOutput)
    ports: ProgramPorts = field(default_factory=ProgramPorts)
    identity: Callable[[], str] = lambda: ""
    settling: float = 1.0

    @property
    def storage(self) -> Path:
        """Where artifacts lie."""
        return self.folder / "artifacts"
