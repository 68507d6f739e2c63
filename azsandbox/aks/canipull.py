"""canipull, the program with which `az aks check-acr` asks from a pod whether nodes may pull: the sandbox acts for it.

What it checks, its words and its exit codes: Azure/aks-canipull, main.go and pkg/exitcode; the text of a refusal as
seen on a cluster in October 2026. The canonical name of a registry is the sandbox's own.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

from azsandbox.controllers.client import Object
from azsandbox.controllers.kubelet.commands import Outcome
from azsandbox.controllers.kubelet.images import full_name, no_such_host

if TYPE_CHECKING:
    from azsandbox.aks.registry_images import RegistryImages

IMAGE = "mcr.microsoft.com/aks/canipull"
SECONDS = 1.0  # that a container of it runs; the sandbox's own choice, long enough to attach to it
NO_HOST, NO_PERMISSION = 52, 60
LEVEL = 2


class CanIPull:
    """Says of containers of that image what they print and how they end; of others nothing."""

    def __init__(self, images: RegistryImages) -> None:
        self._images = images

    def __call__(self, pod: Object, container: Object) -> Outcome | None:
        if (full_name(container.get("image", "")) or "").rpartition(":")[0] != IMAGE:
            return None
        level, hosts = _arguments([*(container.get("command") or [])[1:], *(container.get("args") or [])])
        if len(hosts) != 1:
            return Outcome(SECONDS, 0, ["No ACR input. Expect `canipull myacr.azurecr.io`."], whole=True)
        said: list[tuple[int, str]] = []
        code = self._check(hosts[0], said)
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Outcome(SECONDS, code, [f"[{now}] {text}" for at, text in said if at <= level], whole=True)

    def _check(self, host: str, said: list[tuple[int, str]]) -> int:
        """What it finds out of a registry, with the level of each line; the exit code."""
        images = self._images
        registry = images.registry(host)
        if registry is None:
            lookup = no_such_host(f"{host}/x:x").reason.partition("dial tcp: ")[2]
            said.append((LEVEL, f"Checking host name resolution ({host}): FAILED"))
            said.append((LEVEL, f"Failed to resolve specified fqdn {host}: {lookup}"))
            return NO_HOST
        location, own = str(registry.resource.body["location"]), images.location()
        said.append((LEVEL, f"Checking host name resolution ({host}): SUCCEEDED"))
        said.append((LEVEL, f"Canonical name for ACR ({host}): {registry.name}.{location}.cloudapp.azure.com."))
        said.append((LEVEL, f"ACR location: {location}"))
        said.append((6, "Loading azure.json file from /etc/kubernetes/azure.json"))
        if location != own:
            said.append((LEVEL, "Checking ACR location matches cluster location: FAILED"))
            text = f"ACR location '{location}' does not match your cluster location '{own}'. "
            said.append((LEVEL, text + "This may result in slow image pulls and extra cost."))
        if client_id := images.client_id():
            said.append((LEVEL, "Checking managed identity..."))
            said.append((6, "Cluster cloud name: AzurePublicCloud"))
            said.append((LEVEL, f"Kubelet managed identity client ID: {client_id}"))
            said.append((LEVEL, "Validating managed identity existance: SUCCEEDED"))
        else:
            said.append((4, "The cluster uses service principal."))
            said.append((LEVEL, "Validating service principal credential: SUCCEEDED"))
        if problem := images.exchange(registry):
            body = json.dumps(problem.body, separators=(",", ":"))
            said.append((LEVEL, "Validating image pull permission: FAILED"))
            text = f"ACR token exchange endpoint returned error status: {problem.status}. body: {body}"
            said.append((LEVEL, f"ACR {host} rejected token exchange: {text}"))
            return NO_PERMISSION
        said.append((LEVEL, "Validating image pull permission: SUCCEEDED"))
        said.append((LEVEL, f"\nYour cluster can pull images from {host}!"))
        return 0


def _arguments(given: list[str]) -> tuple[int, list[str]]:
    """The level of output and what is no option."""
    level, hosts, at_level = LEVEL, [], False
    for word in given:
        if at_level:
            level, at_level = int(word) if word.isdigit() else level, False
        elif word in ("-v", "--verbose"):
            at_level = True
        elif word.startswith(("-v", "--verbose=")):
            number = word.removeprefix("--verbose=").removeprefix("-v")
            level = int(number) if number.isdigit() else level
        else:
            hosts.append(word)
    return level, hosts
