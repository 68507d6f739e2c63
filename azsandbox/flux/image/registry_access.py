"""How the registry of an ImageRepository is reached: its name, credentials, certificates, proxy."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.flux import secrets
from azsandbox.flux.azure import AzureProblem, NoIdentity, registry_credentials
from azsandbox.flux.durations import seconds
from azsandbox.flux.image.outcomes import NOT_SUPPORTED, Stalled
from azsandbox.flux.oci import BadName, OciClient, Repository, check_tag, split_reference
from azsandbox.flux.oci_credentials import ANONYMOUS, Credentials, Keyring, pull_secrets_of
from azsandbox.flux.runtime import FluxRuntime
from azsandbox.flux.secrets import Certificates, SecretError
from azsandbox.flux.web import Web
from azsandbox.kubernetes.errors import StatusError

_LEAST = 1.0  # seconds that a scan has at least


class BadImage(ValueError):
    """spec.image that names no repository; the message is the controller's."""


class NoAccess(Exception):
    """Credentials or certificates that are not to be had; the message is the controller's."""


def image_repository(image: str, *, insecure: bool) -> Repository:
    """The repository that spec.image names, without scheme, tag and digest. Raises BadImage."""
    scheme, found, _ = image.partition("://")
    if found:
        raise BadImage(f"image '{image}' should not include URL scheme; remove '{scheme}://'")
    name, tag, digest = split_reference(image)
    try:
        repository = Repository.parse(name, insecure)
        if tag:
            check_tag(tag)
    except BadName:
        raise BadImage(f"could not parse reference: {image}") from None
    rest = image.removeprefix(repository.registry)
    if tag or digest or ":" in rest:
        raise BadImage(f"image '{image}' should not include a tag; remove ':{rest.split(':')[1]}'")
    return repository


def timeout(spec: Object) -> float:
    """Seconds that a scan may take: by default as long as the interval."""
    return max(seconds(spec.get("timeout") or spec["interval"]), _LEAST)


@dataclass(frozen=True)
class Access:
    """What is needed to read a repository of a registry."""

    keyring: Keyring | None = None
    credentials: Credentials = ANONYMOUS  # where the keyring has none
    certificates: Certificates | None = None
    proxy: str = ""

    def client(self, web: Web, repository: Repository, limit: float) -> OciClient:
        """A client of a repository; `limit` is in seconds for one request."""
        credentials = self.keyring.find(str(repository)) if self.keyring else self.credentials
        return OciClient(web, repository, credentials, self.certificates, self.proxy, limit)


def gate_missing(spec: Object) -> bool:
    """Whether an ImageRepository asks for an identity of its own, for which a feature gate is off in Flux."""
    return spec.get("provider", "generic") != "generic" and bool(spec.get("serviceAccountName"))


async def access(client: KubeClient, web: Web, runtime: FluxRuntime, repository: Object) -> Access:
    """The access that an ImageRepository names. Raises NoAccess; Stalled for what the sandbox does not do."""
    spec, namespace = repository["spec"], repository["metadata"]["namespace"]
    try:
        proxy = ""
        if "proxySecretRef" in spec:
            proxy = secrets.proxy(await secrets.read(client, namespace, spec["proxySecretRef"]["name"]))
        provider = spec.get("provider") or "generic"
        credentials = ANONYMOUS
        if provider != "generic":
            registry = image_repository(spec["image"], insecure=bool(spec.get("insecure"))).registry
            credentials = await _of_provider(web, runtime, provider, registry)
        certificates = None
        if "certSecretRef" in spec:
            certificates = secrets.certificates(await _read(client, namespace, spec["certSecretRef"]["name"]))
        if provider != "generic":
            return Access(None, credentials, certificates, proxy)
        held: list[Object] = []
        if "secretRef" in spec:
            held.append(await _read(client, namespace, spec["secretRef"]["name"]))
        if spec.get("serviceAccountName"):
            held += await pull_secrets_of(client, namespace, spec["serviceAccountName"])
        return Access(Keyring(held) if held else None, ANONYMOUS, certificates, proxy)
    except (SecretError, AzureProblem) as error:
        raise NoAccess(f"failed to configure authentication options: {error}") from None


async def _of_provider(web: Web, runtime: FluxRuntime, provider: str, registry: str) -> Credentials:
    """Who the nodes are to a registry. Raises AzureProblem and Stalled."""
    if provider == "azure":
        with contextlib.suppress(NoIdentity):
            return await registry_credentials(web, runtime, registry)
        text = "spec.provider azure is not supported in a cluster without nodes of Azure"
    else:
        text = f"spec.provider {provider} is not supported by the sandbox's image-reflector-controller"
    raise Stalled(NOT_SUPPORTED, f"{text}; name a Secret in spec.secretRef")


async def _read(client: KubeClient, namespace: str, name: str) -> Object:
    """A Secret, with the API's words for one that is not there. Raises SecretError."""
    try:
        return await client.get(path("v1", "secrets", namespace, name))
    except StatusError as error:
        raise SecretError(error.message) from None
