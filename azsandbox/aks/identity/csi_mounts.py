"""The Secrets Store CSI driver on the nodes of a managed cluster: volumes of pods, their statuses, synced Secrets.

The kubelet asks `problem` for a volume until there is none. Rules and texts: kubernetes-sigs/secrets-store-csi-driver v1.5.4
(pkg/secrets-store, controllers), k8s.io/kubernetes pkg/volume/csi.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from azsandbox.aks.identity.key_vault_provider import Caller, Mounted, MountFailed, Provider, parameters_of
from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.controllers.events import EventRecorder
from azsandbox.controllers.kubelet.references import PENDING
from azsandbox.kubernetes.errors import StatusError

if TYPE_CHECKING:
    from azsandbox.cluster import Cluster

DRIVER = "secrets-store.csi.k8s.io"
GROUP = "secrets-store.csi.x-k8s.io/v1"
NAMESPACE, DAEMON_SET, ACCOUNT = "kube-system", "aks-secrets-store-csi-driver", "aks-secrets-store-csi-driver"
AUDIENCE = "api://AzureADTokenExchange"
MANAGED = "secrets-store.csi.k8s.io/managed"
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----\n?", re.DOTALL)


@dataclass
class Volume:
    """A volume of a pod, and how far its mount is."""

    task: asyncio.Task[None] | None = None
    failed: str = ""
    mounted: list[Mounted] | None = field(default=None, repr=False)


class CsiMounts:
    """The driver of one managed cluster, in the place of its DaemonSet's pods."""

    def __init__(self, arm: Any, cluster: Cluster) -> None:
        self.arm, self.cluster = arm, cluster
        self.resource_id = str(cluster.options["resource_id"])
        self.provider = Provider(arm)
        self.volumes: dict[tuple[str, str], Volume] = {}

    @property
    def client(self) -> KubeClient:
        """The API as the driver's account."""
        account = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
        return self.cluster.client.acting_as(account, ("system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}"))

    # --- what the kubelet asks

    def problem(self, pod: Object, volume: Object, again: Callable[[], None]) -> str:
        """What keeps a volume from being there: a text for FailedMount, PENDING, or "". `again` is called when it changes."""
        if (volume.get("csi") or {}).get("driver") != DRIVER:
            return ""
        key = (pod["metadata"]["uid"], volume["name"])
        found = self.volumes.get(key)
        if found is None:
            found = self.volumes[key] = Volume()
            found.task = asyncio.get_running_loop().create_task(self._mount(pod, volume, found, again))
            return PENDING
        if found.failed:
            del self.volumes[key]  # the next look tries again
            return f'MountVolume.SetUp failed for volume "{volume["name"]}" : {found.failed}'
        return "" if found.mounted is not None else PENDING

    def files(self, pod: Object, volume: Object) -> dict[str, bytes]:
        """The files of a volume that is mounted, by name."""
        found = self.volumes.get((pod["metadata"]["uid"], volume["name"]))
        return {one.file: one.content for one in (found.mounted if found else None) or ()}

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        for key in [key for key in self.volumes if key[0] == uid]:
            self.volumes.pop(key)

    # --- mounting

    async def _mount(self, pod: Object, volume: Object, found: Volume, again: Callable[[], None]) -> None:
        try:
            found.mounted = await self.mount(pod, volume)
        except MountFailed as failed:
            found.failed = str(failed)
        except Exception as error:  # an API that is going away: said, and tried again
            found.failed = f"rpc error: code = Unknown desc = {error}"
        again()

    async def mount(self, pod: Object, volume: Object) -> list[Mounted]:
        """Reads the objects of a volume, tells of them in a status, and syncs Secrets. Raises MountFailed."""
        if await self.cluster.client.find(path("apps/v1", "daemonsets", NAMESPACE, DAEMON_SET)) is None:
            raise MountFailed(
                f"kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name {DRIVER} not found in the list "
                "of registered CSI drivers"
            )
        provider_class, mounted = await self.read(pod, volume)
        await self._tell(pod, volume, provider_class, mounted)
        await self.sync(pod, provider_class, mounted)
        return mounted

    async def read(self, pod: Object, volume: Object) -> tuple[Object, list[Mounted]]:
        """The SecretProviderClass of a volume, and what its provider reads. Raises MountFailed as gRPC words it."""
        try:
            return await self._read(pod, volume)
        except MountFailed as failed:
            raise MountFailed(f"rpc error: code = Unknown desc = {failed}") from None

    async def _read(self, pod: Object, volume: Object) -> tuple[Object, list[Mounted]]:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        wanted = (volume["csi"].get("volumeAttributes") or {}).get("secretProviderClass", "")
        if not wanted:
            raise MountFailed("secretProviderClass is not set")
        try:
            provider_class = await self.client.get(path(GROUP, "secretproviderclasses", namespace, wanted))
        except StatusError:
            raise MountFailed(
                f"failed to get secretproviderclass {namespace}/{wanted}, error: "
                f'SecretProviderClass.secrets-store.csi.x-k8s.io "{wanted}" not found'
            ) from None
        provider = (provider_class.get("spec") or {}).get("provider", "")
        if provider != "azure":
            raise MountFailed(f'error connecting to provider "{provider}": provider not found: provider "{provider}"')
        caller = await self._caller(pod, volume)
        try:
            return provider_class, self.provider.mount(parameters_of(provider_class), caller)
        except MountFailed as failed:
            raise MountFailed(
                f"failed to mount secrets store objects for pod {namespace}/{name}, err: rpc error: code = Unknown desc = "
                f"failed to mount objects, error: {failed}"
            ) from None

    async def _caller(self, pod: Object, volume: Object) -> Caller:
        from azsandbox.keyvault.access import Origin

        namespace = pod["metadata"]["namespace"]
        account = pod["spec"].get("serviceAccountName") or "default"
        bound = {"kind": "Pod", "apiVersion": "v1", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        spec = {"audiences": [AUDIENCE], "expirationSeconds": 3600, "boundObjectRef": bound}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        url = path("v1", "serviceaccounts", namespace, account, "token")
        made = await self.cluster.client.create(url, body)  # the kubelet asks for it, not the driver
        secrets: dict[str, str] = {}
        if reference := volume["csi"].get("nodePublishSecretRef"):
            secret = await self.cluster.client.find(path("v1", "secrets", namespace, reference["name"]))
            if secret is None:
                raise MountFailed(f"fetching NodePublishSecretRef {namespace}/{reference['name']} failed: not found")
            secrets = {k: base64.b64decode(v).decode("utf-8", "replace") for k, v in (secret.get("data") or {}).items()}
        stored = self.arm.resources.get(self.resource_id)
        if stored is None:
            return Caller(made["status"]["token"], secrets)
        origin = Origin(_egress(self.arm, stored), await self._subnet(stored, pod))
        return Caller(made["status"]["token"], secrets, _node_identities(stored), origin)

    async def _subnet(self, stored: Any, pod: Object) -> str:
        """The subnet of the pod's node."""
        node = await self.cluster.client.find(path("v1", "nodes", name=pod["spec"].get("nodeName") or "none"))
        pool = ((node or {}).get("metadata", {}).get("labels") or {}).get("kubernetes.azure.com/agentpool", "")
        found = self.arm.resources.get(f"{stored.id}/agentPools/{pool}") if pool else None
        return str(found.properties.get("vnetSubnetID") or "") if found else ""

    # --- statuses and Secrets

    async def _tell(self, pod: Object, volume: Object, provider_class: Object, mounted: list[Mounted]) -> None:
        namespace, name, uid = (pod["metadata"][key] for key in ("namespace", "name", "uid"))
        wanted = provider_class["metadata"]["name"]
        status = {
            "podName": name,
            "secretProviderClassName": wanted,
            "mounted": True,
            "targetPath": f"/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~csi/{volume['name']}/mount",
            "objects": objects_of(mounted),
        }
        owner = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}
        labels = {"internal.secrets-store.csi.k8s.io/node-name": pod["spec"].get("nodeName", "")}
        metadata = {
            "name": status_name(pod, wanted),
            "namespace": namespace,
            "labels": labels,
            "ownerReferences": [owner],
        }
        kind = "SecretProviderClassPodStatus"
        body = {"apiVersion": GROUP, "kind": kind, "metadata": metadata, "status": status}
        url = path(GROUP, "secretproviderclasspodstatuses", namespace)
        try:
            await self.client.create(url, body)
        except StatusError as error:
            if error.code != 409:
                raise MountFailed(f"failed to create secret provider class pod status, err: {error}") from None
            await self.client.patch(f"{url}/{metadata['name']}", {"metadata": metadata, "status": status})

    async def update_status(self, pod: Object, provider_class: Object, mounted: list[Mounted]) -> None:
        """Writes the versions that are mounted now."""
        name = status_name(pod, provider_class["metadata"]["name"])
        url = path(GROUP, "secretproviderclasspodstatuses", pod["metadata"]["namespace"], name)
        with contextlib.suppress(StatusError):
            await self.client.patch(url, {"status": {"objects": objects_of(mounted)}})

    async def sync(self, pod: Object, provider_class: Object, mounted: list[Mounted]) -> list[str]:
        """Writes the Secrets that the class asks for; the names of those that changed."""
        namespace = pod["metadata"]["namespace"]
        contents = {one.file: one.content for one in mounted}
        changed = []
        for wanted in (provider_class.get("spec") or {}).get("secretObjects") or ():
            name = wanted.get("secretName", "")
            try:
                data = _data(wanted, contents)
            except KeyError as missing:
                text = (
                    f"failed to get data in spc {namespace}/{provider_class['metadata']['name']} for secret {name}, err: "
                    f"file matching objectName {missing.args[0]} not found in the pod"
                )
                recorder = EventRecorder(self.client, "csi-secrets-store-controller")
                await recorder.event(pod, "Warning", "FailedToCreateSecret", text)
                continue
            if await self._write_secret(pod, wanted, data):
                changed.append(name)
        return changed

    async def _write_secret(self, pod: Object, wanted: Object, data: dict[str, str]) -> bool:
        namespace, name = pod["metadata"]["namespace"], wanted["secretName"]
        owners = [{k: v for k, v in o.items() if k in ("apiVersion", "kind", "name", "uid")} for o in _owners(pod)]
        metadata = {
            "name": name,
            "namespace": namespace,
            "labels": {**(wanted.get("labels") or {}), MANAGED: "true"},
            "annotations": wanted.get("annotations") or {},
            "ownerReferences": owners,
        }
        kind = wanted.get("type") or "Opaque"
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": data}
        url = path("v1", "secrets", namespace)
        found = await self.client.find(f"{url}/{name}")
        if found is None:
            await self.client.create(url, body)
            return True
        owned = found["metadata"].get("ownerReferences") or []
        missing = [owner for owner in owners if owner["uid"] not in {o["uid"] for o in owned}]
        if (found.get("data") or {}) == data and not missing:
            return False
        change: Object = {"metadata": {"ownerReferences": [*owned, *missing]}, "data": data}
        await self.client.patch(f"{url}/{name}", change)
        return (found.get("data") or {}) != data


def objects_of(mounted: list[Mounted]) -> list[Object]:
    """Objects and versions as a status lists them."""
    return [{"id": one.id, "version": one.version} for one in sorted(mounted, key=lambda one: one.id)]


def status_name(pod: Object, provider_class: str) -> str:
    """The name of the status of a pod's class."""
    return f"{pod['metadata']['name']}-{pod['metadata']['namespace']}-{provider_class}"


def _owners(pod: Object) -> list[Object]:
    """Who owns a synced Secret: what controls the pod, else the pod."""
    own = {"apiVersion": "v1", "kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    return [o for o in pod["metadata"].get("ownerReferences") or () if o.get("controller")] or [own]


def _data(wanted: Object, contents: dict[str, bytes]) -> dict[str, str]:
    """The data of a synced Secret in base64. Raises KeyError with the name of an object that is not mounted."""
    out = {}
    for entry in wanted.get("data") or ():
        content = contents[str(entry.get("objectName", "")).strip()]
        key = str(entry.get("key", "")).strip()
        if wanted.get("type") == "kubernetes.io/tls":
            content = _tls_part(content, key)
        out[key] = base64.b64encode(content).decode()
    return out


def _tls_part(content: bytes, key: str) -> bytes:
    """The certificates of a PEM for tls.crt, its private key for tls.key."""
    blocks = [(found[1], found[0]) for found in _PEM.finditer(content.decode("utf-8", "replace"))]
    wanted = [text for kind, text in blocks if (kind == "CERTIFICATE") is (key == "tls.crt")]
    return "".join(text if text.endswith("\n") else f"{text}\n" for text in wanted).encode() or content


def _egress(arm: Any, stored: Any) -> str:
    """The public address that the cluster's nodes send by; loopback where it has none."""
    from azsandbox.aks.identities import outbound_addresses

    for id_ in outbound_addresses(arm, stored):
        found = arm.resources.get(id_)
        if found is not None and found.properties.get("ipAddress"):
            return str(found.properties["ipAddress"])
    return "127.0.0.1"


def _node_identities(stored: Any) -> dict[str, str]:
    """The identities on the machines of the cluster: the kubelets' and those of its add-ons."""
    properties = stored.properties
    found = [(properties.get("identityProfile") or {}).get("kubeletidentity") or {}]
    found += [addon.get("identity") or {} for addon in (properties.get("addonProfiles") or {}).values() if addon]
    return {one["clientId"]: one["objectId"] for one in found if one.get("clientId")}
