"""OCIRepository: a layer of an image in a registry as an artifact."""

from __future__ import annotations

import asyncio
import tarfile
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from azsandbox.controllers.client import KubeClient, Object
from azsandbox.controllers.informer import Informers
from azsandbox.flux import conditions, secrets
from azsandbox.flux.azure import GATE_DISABLED, AzureProblem, NoIdentity, registry_credentials
from azsandbox.flux.durations import seconds
from azsandbox.flux.events import TRACE
from azsandbox.flux.oci import DEFAULT_TAG, BadName, Manifest, OciClient, RegistryError, Repository
from azsandbox.flux.oci_credentials import ANONYMOUS, Credentials, Keyring, pull_secrets_of
from azsandbox.flux.secrets import Certificates, SecretError
from azsandbox.flux.semver import InvalidVersion, Range
from azsandbox.flux.source.chart_repositories import LAYER as CHART_LAYER
from azsandbox.flux.source.ignore import Ignore, read_rules
from azsandbox.flux.source.outcomes import Failed, Stalled, not_supported
from azsandbox.flux.source.sources import (
    FETCH_FAILED,
    IN_STORAGE,
    OUTDATED,
    STORAGE_FAILED,
    VERIFIED,
    Built,
    SourceReconciler,
)
from azsandbox.flux.source.tree import archive, unarchived
from azsandbox.flux.web import TooLarge, Web
from azsandbox.kubernetes.errors import StatusError
from azsandbox.patterns import PatternError, compiled

_AUTHENTICATION, _PULL, _LAYER = "AuthenticationFailed", "OCIArtifactPullFailed", "OCIArtifactLayerOperationFailed"
_SOURCE, _REVISION = "org.opencontainers.image.source", "org.opencontainers.image.revision"


class OciRepositories(SourceReconciler):
    """Pulls artifacts."""

    resource, kind = "ocirepositories", "OCIRepository"
    summarized: ClassVar[tuple[str, ...]] = (
        STORAGE_FAILED,
        FETCH_FAILED,
        OUTDATED,
        IN_STORAGE,
        VERIFIED,
        conditions.STALLED,
        conditions.RECONCILING,
    )
    failures = (FETCH_FAILED, STORAGE_FAILED)

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.web = Web(self.flux.outbound)

    async def close(self) -> None:
        await self.web.close()

    async def build(self, obj: Object, before: Object) -> Built:
        """The stages of one reconciliation."""
        spec, status = obj["spec"], obj["status"]
        if conditions.is_false(obj, VERIFIED):
            conditions.remove(obj, VERIFIED)

        # How the registry is reached
        client = await self._client(obj)

        # Which tag it is, and what that stands for now
        reference = await self._reference(obj, client)
        try:
            digest = await client.digest(reference)
        except RegistryError as error:
            raise Failed(_PULL, f"failed to determine artifact digest: {error}", FETCH_FAILED) from error
        tagged = reference != digest
        revision = f"{reference}@{digest}" if tagged else digest
        artifact = status.get("artifact")
        known = bool(artifact) and artifact["revision"] == revision

        # Its content, unless it is there; what is new is told of even where that fails
        try:
            if spec.get("verify"):
                raise not_supported("spec.verify", VERIFIED, "False")
            conditions.remove(obj, VERIFIED)
            if known and not _changed(obj):
                pulled = None
            else:
                pulled = await self._pull(obj, client, digest)
            conditions.remove(obj, FETCH_FAILED)
        finally:
            if not known:
                name = f"{client.repository}{f':{reference}' if tagged else f'@{digest}'}"
                self.drift(obj, f"new revision '{revision}' for '{name}'")

        # The artifact
        if pulled is None:
            await self.tell(obj, TRACE, "ArtifactUpToDate", f"artifact up-to-date with remote revision: '{revision}'")
        else:
            await self._store(obj, revision, digest, *pulled)
        self.stored(obj, f"stored artifact for digest '{revision}'")
        return Built(_told(obj))

    # --- access

    async def _client(self, obj: Object) -> OciClient:
        spec, namespace = obj["spec"], obj["metadata"]["namespace"]
        keyring = await self._keyring(obj)
        proxy = ""
        if spec.get("proxySecretRef"):
            try:
                proxy = secrets.proxy(await secrets.read(self.client, namespace, spec["proxySecretRef"]["name"]))
            except SecretError as error:
                raise Failed(_AUTHENTICATION, f"failed to get proxy address: {error}", FETCH_FAILED) from error
        provider = spec.get("provider", "generic") if not keyring else "generic"
        if provider != "generic" and spec.get("serviceAccountName"):
            raise Stalled("FeatureGateDisabled", GATE_DISABLED)
        if provider not in ("generic", "azure"):
            raise not_supported(f"spec.provider {provider}", FETCH_FAILED)
        certificates: Certificates | None = None
        named = (spec.get("certSecretRef") or {}).get("name")
        if named:
            try:
                certificates = secrets.certificates(await secrets.read(self.client, namespace, named))
            except SecretError as error:
                text = f"failed to generate transport for '{spec['url']}': {error}"
                raise Failed(_AUTHENTICATION, text, FETCH_FAILED) from error
        insecure = bool(spec.get("insecure"))
        repository = _repository(spec["url"], insecure)
        return OciClient(
            self.web,
            repository,
            keyring.find(str(repository)) if keyring else ANONYMOUS,
            certificates,
            proxy,
            seconds(spec["timeout"]),
            trusting=insecure and certificates is None,
            fetched=self._of_azure(repository.registry) if provider == "azure" else None,
        )

    def _of_azure(self, registry: str) -> Callable[[], Awaitable[Credentials]]:
        async def fetched() -> Credentials:
            try:
                return await registry_credentials(self.web, self.flux, registry)
            except AzureProblem as error:
                raise RegistryError(str(error)) from error
            except NoIdentity:
                raise not_supported("spec.provider azure in a cluster without nodes of Azure", FETCH_FAILED) from None

        return fetched

    async def _keyring(self, obj: Object) -> Keyring:
        spec, namespace = obj["spec"], obj["metadata"]["namespace"]
        held: list[Object] = []
        start = "failed to get credential"
        if spec.get("secretRef"):
            name = spec["secretRef"]["name"]
            try:
                held.append(await self.secret(namespace, name))
            except StatusError as error:
                if error.code == 404:
                    await self.tell(obj, TRACE, _AUTHENTICATION, f"auth secret '{name}' not found")
                text = f"{start}: failed to get secret '{namespace}/{name}': {error}"
                raise Failed(_AUTHENTICATION, text, FETCH_FAILED) from error
        try:
            if spec.get("serviceAccountName"):
                held += await pull_secrets_of(self.client, namespace, spec["serviceAccountName"])
            return Keyring(held)
        except SecretError as error:
            raise Failed(_AUTHENTICATION, f"{start}: {error}", FETCH_FAILED) from error

    # --- the revision

    async def _reference(self, obj: Object, client: OciClient) -> str:
        """The tag or digest that spec.ref means."""
        ref = obj["spec"].get("ref") or {}
        if ref.get("digest"):
            return str(ref["digest"])
        if ref.get("semver"):
            try:
                return await self._highest(client, ref, _media_type(obj))
            except (RegistryError, PatternError, InvalidVersion) as error:
                text = f"failed to determine the artifact tag for '{obj['spec']['url']}': {error}"
                raise Failed("ReadOperationFailed", text, FETCH_FAILED) from error
        return str(ref.get("tag") or DEFAULT_TAG)

    async def _highest(self, client: OciClient, ref: Object, media_type: str) -> str:
        tags = await client.tags()
        if ref.get("semverFilter"):
            pattern = compiled(ref["semverFilter"])
            tags = [tag for tag in tags if pattern.matches(tag)]
        try:
            wanted = Range(ref["semver"])
        except InvalidVersion as error:
            raise InvalidVersion(f"semver '{ref['semver']}' parse error: {error}") from None
        chart = media_type == CHART_LAYER  # a tag may hold no +, which Helm writes as _
        matching = wanted.choose(tag.replace("_", "+") if chart else tag for tag in tags)
        if not matching:
            raise InvalidVersion(f"no match found for semver: {ref['semver']}")
        highest = matching[-1].original
        return highest.replace("+", "_") if chart else highest

    # --- the content

    async def _pull(self, obj: Object, client: OciClient, digest: str) -> tuple[dict[str, str], bytes]:
        """Annotations of an image, and its layer that is asked for."""
        try:
            manifest = await client.image(digest)
        except RegistryError as error:
            text = f"failed to pull artifact from '{obj['spec']['url']}': {error}"
            raise Failed(_PULL, text, FETCH_FAILED) from error
        try:
            content = manifest.content
            layer = _layer(manifest, _media_type(obj))
            return dict(content.get("annotations") or {}), await client.blob(layer)
        except (RegistryError, TooLarge) as error:
            text = f"failed to extract the first layer from artifact: {error}"
            raise Failed(_LAYER, text, FETCH_FAILED) from error

    async def _store(self, obj: Object, revision: str, digest: str, annotations: dict[str, str], layer: bytes) -> None:
        spec, status, metadata = obj["spec"], obj["status"], obj["metadata"]
        data = layer
        if (spec.get("layerSelector") or {}).get("operation", "extract") == "extract":
            try:
                data = await asyncio.to_thread(_archived, layer, spec.get("ignore") or "")
            except tarfile.TarError as error:
                text = f"failed to extract layer contents from artifact: {error}"
                raise Failed(_LAYER, text, FETCH_FAILED) from error
        place = f"ocirepository/{metadata['namespace']}/{metadata['name']}/{digest}.tar.gz"
        status["artifact"] = self.artifacts.store(place, data, revision, annotations or None)
        for wanted, observed in (("ignore", "observedIgnore"), ("layerSelector", "observedLayerSelector")):
            status.pop(observed, None)
            if spec.get(wanted) is not None:
                status[observed] = spec[wanted]
        status["url"] = self.artifacts.link(status["artifact"], "latest.tar.gz")


def _repository(url: str, insecure: bool) -> Repository:
    start = f"URL validation failed for '{url}'"
    if not url.startswith("oci://"):
        text = f"{start}: URL must be in format 'oci://<domain>/<org>/<repo>'"
        raise Stalled("URLInvalid", text, FETCH_FAILED)
    name = url.removeprefix("oci://")
    try:
        repository = Repository.parse(name, insecure)
    except BadName as error:
        raise Stalled("URLInvalid", f"{start}: {error}", FETCH_FAILED) from error
    _, tagged, tag = name.removeprefix(repository.registry).partition(":")
    if tagged:
        raise Stalled("URLInvalid", f"{start}: URL must not contain a tag; remove ':{tag}'", FETCH_FAILED)
    return repository


def _media_type(obj: Object) -> str:
    return str((obj["spec"].get("layerSelector") or {}).get("mediaType") or "")


def _layer(manifest: Manifest, media_type: str) -> str:
    """The digest of the first layer, or the first of a media type."""
    layers = manifest.content.get("layers") or []
    if not layers:
        raise Failed(_LAYER, "no layers found in artifact", FETCH_FAILED)
    if not media_type:
        return str(layers[0]["digest"])
    for layer in layers:
        if layer.get("mediaType") == media_type:
            return str(layer["digest"])
    raise Failed(_LAYER, f"failed to find layer with media type '{media_type}' in artifact", FETCH_FAILED)


def _changed(obj: Object) -> bool:
    """Whether anything but the revision asks for another artifact."""
    spec, status = obj["spec"], obj["status"]
    return spec.get("ignore") != status.get("observedIgnore") or spec.get("layerSelector") != status.get(
        "observedLayerSelector"
    )


def _archived(layer: bytes, ignore: str) -> bytes:
    tree = unarchived(layer)
    return archive(tree, Ignore(tree.ignore_rules() + read_rules(ignore)).leaves_out)


def _told(obj: Object) -> str:
    """What the event of a new artifact says, with where the artifact says that it is from."""
    artifact = obj["status"]["artifact"]
    text = f"stored artifact with revision '{artifact['revision']}' from '{obj['spec']['url']}'"
    about = artifact.get("metadata") or {}
    if about.get(_SOURCE) and about.get(_REVISION):
        text += f", origin source '{about[_SOURCE]}', origin revision '{about[_REVISION]}'"
    return text
