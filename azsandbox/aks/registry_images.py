"""Images that a managed cluster's nodes pull: those of container registries with the rights that a pull has.

A node asks with the pod's pull secrets first, then as the kubelets' identity, which gets something to ask with only
if it may do anything in the registry, and then as nobody. Order: kubernetes, pkg/kubelet/kuberuntime (PullImage);
identity: cloud-provider-azure, pkg/credentialprovider; texts: containerd, core/remotes/docker.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from azsandbox.aks.canipull import CanIPull
from azsandbox.aks.identities import outbound_addresses
from azsandbox.controllers.kubelet.images import (
    AssumedImages,
    Attempt,
    Image,
    Puller,
    PullFailed,
    assumed_size,
    no_such_host,
    not_found,
    parts,
)
from azsandbox.registry import errors
from azsandbox.registry.access import Caller
from azsandbox.registry.app import check_network
from azsandbox.registry.authentication import caller_of, decide
from azsandbox.registry.content import Stored
from azsandbox.registry.manifests import INDEXES
from azsandbox.registry.names import SUFFIX, Grant
from azsandbox.registry.oauth2 import refused
from azsandbox.registry.place import Place
from azsandbox.registry.registries import Registry
from azsandbox.registry.tokens import Access

if TYPE_CHECKING:
    from azsandbox.cluster import Cluster

CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
MISMATCHED = "failed to unpack image on snapshotter overlayfs: mismatched image rootfs and manifest layers"

FAST_PACE = 0.1  # of a kubelet's back-off at the speed `fast`: 1 s for 10 s, so that what is refused can still be seen

Who = Caller | Access | None  # None: wrong credentials


class RegistryImages:
    """Images of NAME.azurecr.io as the registries of the sandbox have them; others are taken to exist."""

    def __init__(self, arm: Any, cluster_id: str) -> None:
        self._arm, self._cluster_id = arm, cluster_id
        self._others = AssumedImages()

    async def pull(self, image: str, puller: Puller) -> Image:
        """Finds an image by its full name. Raises PullFailed."""
        host, repository, reference = parts(image)
        if not host.lower().endswith(SUFFIX):
            return await self._others.pull(image, puller)
        registry = self._arm.services.registries.at(host.lower())
        if registry is None:
            raise PullFailed(image, no_such_host(image))
        failed = []
        for who in self._tries(image, registry, puller):
            problem = self._refusal(who, registry, host, repository)
            stored = None if problem else registry.content.manifest(repository, reference)
            if stored is not None and not _readable(registry, repository, reference, stored):
                url = f"https://{host}/v2/{repository}/manifests/{reference}"
                problem = Attempt(f"unexpected status from HEAD request to {url}: 405 Method Not Allowed")
            if stored is not None and problem is None:
                return _unpacked(image, registry, repository, stored, puller)
            failed.append(problem or not_found(image))
        raise PullFailed(image, *failed)

    def _tries(self, image: str, registry: Registry, puller: Puller) -> list[Who]:
        """As whom a node asks, one after the other."""
        permissions = self._arm.services.registries.permissions
        place = Place(self._arm.services.registries, registry, registry.login_server)
        found: list[Who] = [
            caller_of(place, permissions, c.user, c.password) for c in puller.credentials if c.fits(image)
        ]
        identity = self._identity()
        if identity is not None and self._is_open(registry) and permissions.shown(identity, registry):
            found += [identity, Caller()]
        return found or [Caller()]

    def _identity(self) -> Caller | None:
        """The kubelets', or with a service principal that."""
        cluster = self._arm.resources.get(self._cluster_id)
        properties = cluster.properties if cluster else {}
        shown = (properties.get("identityProfile") or {}).get("kubeletidentity") or {}
        object_id = str(shown.get("objectId") or "")
        if not object_id:
            client_id = (properties.get("servicePrincipalProfile") or {}).get("clientId") or ""
            principal = self._arm.services.entra.directory.service_principal(client_id)
            object_id = principal.object_id if principal else ""
        found: Caller | None = self._arm.services.registries.permissions.principal(object_id) if object_id else None
        return found

    def client_id(self) -> str:
        """Client id of the kubelets' managed identity, empty where they have none."""
        cluster = self._arm.resources.get(self._cluster_id)
        shown = (cluster.properties.get("identityProfile") or {}).get("kubeletidentity") or {} if cluster else {}
        return str(shown.get("clientId") or "")

    def location(self) -> str:
        """Where the cluster is."""
        cluster = self._arm.resources.get(self._cluster_id)
        return str(cluster.body.get("location", "")) if cluster else ""

    def registry(self, host: str) -> Registry | None:
        """The registry of a host name, None where that does not resolve."""
        found: Registry | None = self._arm.services.registries.at(host.lower())
        return found

    def exchange(self, registry: Registry) -> errors.RegistryError | None:
        """What refuses the kubelets' identity a token of a registry; None if it gets one."""
        try:
            check_network(registry, self._address())
        except errors.RegistryError as error:
            return error
        identity = self._identity()
        if identity is None or not self._arm.services.registries.permissions.shown(identity, registry):
            return refused(str(uuid.uuid4()))
        return None

    def _refusal(self, who: Who, registry: Registry, host: str, repository: str) -> Attempt | None:
        """Why somebody gets no token to pull with; None if they do."""
        permissions = self._arm.services.registries.permissions
        place = Place(self._arm.services.registries, registry, registry.login_server)
        status = ""
        if not self._is_open(registry):
            status = "403 Forbidden"
        elif who is None or not decide(place, permissions, who)(Grant("repository", repository, ("pull",))):
            status = "401 Unauthorized"
        if not status:
            return None
        scope = quote(f"repository:{repository}:pull", safe="")
        url = f"https://{host}/oauth2/token?scope={scope}&service={registry.login_server}"
        kind = "anonymous" if isinstance(who, Caller) and who.anonymous else "oauth"
        return Attempt(
            f"failed to authorize: failed to fetch {kind} token: unexpected status from GET request to {url}: {status}"
        )

    def _address(self) -> str:
        """The cluster's outbound address, as registries see it."""
        cluster = self._arm.resources.get(self._cluster_id)
        ids = outbound_addresses(self._arm, cluster) if cluster else []
        found = [self._arm.resources.get(id_) for id_ in ids]
        address = next((str(a.properties["ipAddress"]) for a in found if a and a.properties.get("ipAddress")), "")
        return address or "127.0.0.1"

    def _is_open(self, registry: Registry) -> bool:
        """Whether the registry's network rules let the cluster's outbound address in."""
        try:
            check_network(registry, self._address())
        except errors.RegistryError:
            return False
        return True


def _readable(registry: Registry, repository: str, reference: str, stored: Stored) -> bool:
    tag = registry.content.tag(repository, reference) if ":" not in reference else None
    return stored.attributes["readEnabled"] and (tag is None or tag.attributes["readEnabled"])


def _unpacked(image: str, registry: Registry, repository: str, stored: Stored, puller: Puller) -> Image:
    """The image on the node. Raises PullFailed for what is none, or none for that node."""
    digest = stored.digest
    if not stored.content:  # imported from a public registry: only its digest is known
        return Image(image, digest, assumed_size(image))
    if stored.media_type in INDEXES:
        info = (puller.node.get("status") or {}).get("nodeInfo") or {}
        wanted = (info.get("operatingSystem") or "linux", info.get("architecture") or "amd64")
        child = next((c for c in stored.children if (c.get("os"), c.get("architecture")) == wanted), None)
        own = registry.content.manifest(repository, child["digest"]) if child else None
        if own is None:
            raise PullFailed(image, Attempt("no match for platform in manifest: not found", "NotFound", resolved=True))
        stored = own
    if stored.config_media_type and stored.config_media_type not in CONFIGS:
        raise PullFailed(image, Attempt(MISMATCHED, resolved=True))
    return Image(image, digest, stored.size)


def attach(arm: Any, cluster: Cluster) -> None:
    """Gives the kubelets of a managed cluster the sandbox's registries, and Flux the kubelets' identity for them."""
    id_ = str(cluster.options.get("resource_id") or "")
    if id_:
        images = RegistryImages(arm, id_)
        cluster.options["flux"].identity = images.client_id
        cluster.add(images=images, act=CanIPull(images))
        if arm.services.clock.speed == "fast":
            cluster.add(pull_pace=FAST_PACE)
