"""Binds a pod's waiting claims once its node is chosen, and waits until they are bound.

Rules: k8s.io/kubernetes, pkg/scheduler/framework/plugins/volumebinding/binder.go.
"""

from __future__ import annotations

import asyncio

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.scheduler.snapshot import PodInfo
from azsandbox.controllers.scheduler.volumes import Bindings, VolumeSources
from azsandbox.controllers.storage.matching import BOUND_BY_CONTROLLER, SELECTED_NODE, is_bound

BIND_TIMEOUT = 600.0  # seconds


class BindingFailed(Exception):
    """The claims of a pod could not be bound."""


class VolumeBinder:
    """Writes bindings of claims and volumes, which the volume controller and provisioners complete."""

    def __init__(self, client: KubeClient, sources: VolumeSources) -> None:
        self.client, self.sources = client, sources
        self._changed = asyncio.Event()
        sources.claims.on_change(self._claim_changed)

    def _claim_changed(self, kind: str, claim: Object, old: Object | None) -> None:
        self._changed.set()

    async def bind(self, pod: PodInfo, node: str, bindings: Bindings) -> None:
        """Names volumes their claims and claims their node. Raises BindingFailed or StatusError."""
        for claim, volume in bindings.static:
            metadata = claim["metadata"]
            change = {
                "metadata": {
                    "resourceVersion": volume["metadata"]["resourceVersion"],
                    "annotations": {BOUND_BY_CONTROLLER: "yes"},
                },
                "spec": {
                    "claimRef": {
                        "kind": "PersistentVolumeClaim",
                        "namespace": metadata["namespace"],
                        "name": metadata["name"],
                        "uid": metadata["uid"],
                        "apiVersion": "v1",
                        "resourceVersion": metadata["resourceVersion"],
                    }
                },
            }
            await self.client.patch(path("v1", "persistentvolumes", "", volume["metadata"]["name"]), change)
        for claim in bindings.dynamic:
            metadata = claim["metadata"]
            if (metadata.get("annotations") or {}).get(SELECTED_NODE) == node:
                continue
            url = path("v1", "persistentvolumeclaims", metadata["namespace"], metadata["name"])
            await self.client.patch(url, {"metadata": {"annotations": {SELECTED_NODE: node}}})
        waits_for = [claim for claim, _ in bindings.static] + bindings.dynamic
        try:
            async with asyncio.timeout(BIND_TIMEOUT):
                await self._wait(pod, node, waits_for)
        except TimeoutError:
            raise BindingFailed("binding volumes: context deadline exceeded") from None

    async def _wait(self, pod: PodInfo, node: str, claims: list[Object]) -> None:
        names = [claim["metadata"]["name"] for claim in claims]
        chosen = {claim["metadata"]["name"]: claim for claim in claims}
        while True:
            self._changed.clear()
            done = True
            for name in names:
                claim = self.sources.claims.get(f"{pod.namespace}/{name}")
                if claim is None:
                    raise BindingFailed(f'binding volumes: pvc "{pod.namespace}/{name}" does not exist any more')
                if is_bound(claim):
                    continue
                done = False
                selected = (claim["metadata"].get("annotations") or {}).get(SELECTED_NODE)
                seen = chosen[name]["metadata"]["resourceVersion"] != claim["metadata"]["resourceVersion"]
                if seen and selected is not None and selected != node:
                    raise BindingFailed(
                        f'binding volumes: provisioning failed for PVC "{name}"'
                        if not selected
                        else f'binding volumes: selectedNode annotation value "{selected}" not set to '
                        f'scheduled node "{node}"'
                    )
            if done:
                return
            await self._changed.wait()
