"""Draining a node: cordon it, evict its pods within their disruption budgets, wait until they are gone."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from azsandbox.arm.errors import ArmError
from azsandbox.clock import Clock
from azsandbox.controllers.client import KubeClient, path
from azsandbox.controllers.informer import controller_of
from azsandbox.kubernetes.errors import StatusError

Document = dict[str, Any]
RETRY = 5.0  # seconds of Azure's between attempts that a budget refused
STEP = 1.0  # between looks at pods on their way out
LEAST = 0.05  # seconds of this machine between either


class DrainTimeout(Exception):
    """Pods stayed on a node longer than the drain may take; `pod` is one, `reason` what kept it."""

    def __init__(self, node: str, pod: str, reason: str) -> None:
        super().__init__(f"{node}: {pod}: {reason}")
        self.node, self.pod, self.reason = node, pod, reason

    def error(self) -> ArmError:
        """What AKS reports when an upgrade ends so."""
        return ArmError(
            400,
            "UpgradeFailed",
            f"Drain node {self.node} failed when evicting pod {self.pod}. Eviction failed with Too many Requests error. "
            "This is often caused by a restrictive Pod Disruption Budget (PDB) policy. See "
            f"https://aka.ms/aks/debugdrainfailures. Original error: {self.reason}",
        )


def to_evict(pod: Document) -> bool:
    """Whether a pod must leave a node that is drained: not those of DaemonSets, mirror pods, or ended ones."""
    if pod["status"].get("phase") in ("Succeeded", "Failed"):
        return False
    if "kubernetes.io/config.mirror" in (pod["metadata"].get("annotations") or {}):
        return False
    owner = controller_of(pod)
    return owner is None or owner["kind"] != "DaemonSet"


async def drain(client: KubeClient, node: str, clock: Clock, seconds: float = 1800.0) -> None:
    """Evicts the pods of `node`, for at most `seconds` of Azure's. Raises DrainTimeout."""
    until = time.monotonic() + max(clock.patience(seconds), 0.2)
    refused: dict[str, str] = {}
    while True:
        pods = [p for p in await client.list(path("v1", "pods"), fieldSelector=f"spec.nodeName={node}") if to_evict(p)]
        if not pods:
            return
        blocked = False
        for pod in pods:
            name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
            if "deletionTimestamp" in pod["metadata"]:
                continue
            body = {
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": name, "namespace": namespace},
            }
            try:
                await client.create(path("v1", "pods", namespace, name, "eviction"), body)
            except StatusError as error:
                if error.code == 404:
                    continue
                refused[f"{namespace}/{name}"] = error.message
                blocked = True
        if time.monotonic() > until:
            first = next(iter(refused), f"{pods[0]['metadata']['namespace']}/{pods[0]['metadata']['name']}")
            raise DrainTimeout(node, first.rpartition("/")[2], refused.get(first, "the pod did not end in time"))
        await asyncio.gather(clock.sleep(RETRY if blocked else STEP), asyncio.sleep(LEAST))
