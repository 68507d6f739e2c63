"""Microsoft.KubernetesConfiguration/fluxConfigurations: what a cluster shall follow, and how it does.

The stored configuration is all that a handler writes. The agent in the cluster (azsandbox/aks/gitops) takes it from
here, makes it so, and reports; an operation ends when its report has come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from azsandbox.arm import errors
from azsandbox.arm.call import Call
from azsandbox.arm.operations import Work
from azsandbox.arm.provider import NameRule
from azsandbox.arm.providers.kubernetesconfiguration import flux_body, reports
from azsandbox.arm.providers.kubernetesconfiguration.base import ClusterConfiguration, settings
from azsandbox.arm.providers.kubernetesconfiguration.sources import SOURCES, secrets
from azsandbox.arm.resources import Document, Stored, timestamp

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm

TYPE = "Microsoft.KubernetesConfiguration/fluxConfigurations"


class FluxConfigurations(ClusterConfiguration):
    """Flux configurations. One may be put before the extension is there: its operation waits for it."""

    name = "fluxConfigurations"
    noun = "flux configuration"
    missing_text = "FluxConfiguration with name '{name}' not found."
    removal_rank = 4
    names = NameRule(
        r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?",
        "ValidationFailed",
        "The flux configuration name '{name}' is invalid. It must consist of at most 63 lower case alphanumeric "
        "characters, '-' or '.', and must start and end with an alphanumeric character.",
    )

    async def accept(self, call: Call, current: Stored | None) -> Document:
        self.cluster(call)
        unknown = set(call.document) - {"properties", "id", "name", "type", "etag", "systemData"}
        if unknown:
            raise errors.not_supported(f"{sorted(unknown)[0]} of a flux configuration")
        sent = call.properties
        properties = flux_body.accept(sent, current.properties if current else None)
        self._protect(call, sent, properties)
        call.private["modified"] = timestamp(call.arm.services.clock)
        return {"properties": properties}

    def _protect(self, call: Call, sent: Document, properties: Document) -> None:
        """Keeps what must not be shown beside the body: protected settings, and the secrets of a source."""
        fresh = settings(sent.get("configurationProtectedSettings"), "configurationProtectedSettings")
        fresh = flux_body.protected(fresh)
        key = SOURCES[properties["sourceKind"]]
        hidden = {f"{key}.{path}": value for path, value in secrets(key, sent[key]).items()}
        before = call.private.get("protected") or {}
        call.private["protected"] = before | fresh | hidden if call.method == "PATCH" else fresh | hidden

    async def perform(self, work: Work) -> None:
        if work.operation.kind == "delete":
            await reports.withdrawn(work)
        else:
            await reports.applied(work)

    def tell(self, stored: Stored, error: Document | None) -> None:
        stored.properties["errorMessage"] = error["message"] if error else ""

    async def remove(self, arm: Arm, stored: Stored) -> None:
        """Nothing to undo: a configuration goes without an operation only with its cluster."""
