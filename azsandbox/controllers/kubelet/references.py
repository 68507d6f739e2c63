"""What a pod needs of its namespace: ConfigMaps and Secrets for volumes and environment.

Texts: k8s.io/kubernetes, pkg/volume and pkg/kubelet/kubelet_pods.go.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Protocol

from azsandbox.controllers.client import Object
from azsandbox.controllers.informer import Informer

PENDING = "pending"


class CsiVolumes(Protocol):
    """A driver on the nodes whose volumes it mounts."""

    def problem(self, pod: Object, volume: Object, again: Callable[[], None]) -> str:
        """What keeps a volume from being there, PENDING while that is not known, "" when it is there."""

    def files(self, pod: Object, volume: Object) -> dict[str, bytes]:
        """The files of a volume that is there."""


class References:
    """Looks ConfigMaps and Secrets up, and asks a driver for its volumes, if there is one."""

    def __init__(self, config_maps: Informer, secrets: Informer, csi: CsiVolumes | None = None) -> None:
        self.config_maps, self.secrets, self.csi = config_maps, secrets, csi

    def _missing(self, kind: str, namespace: str, reference: Object, name_key: str = "name") -> str:
        if reference.get("optional"):
            return ""
        name = reference.get(name_key) or ""
        informer = self.config_maps if kind == "configmap" else self.secrets
        found = informer.get(f"{namespace}/{name}")
        if found is None:
            return f'{kind} "{name}" not found'
        data = {**(found.get("data") or {}), **(found.get("binaryData") or {})}
        if any(item["key"] not in data for item in reference.get("items") or ()):
            return f"references non-existent {'config' if kind == 'configmap' else 'secret'} key: " + next(
                item["key"] for item in reference["items"] if item["key"] not in data
            )
        return ""

    def missing_volume(self, pod: Object, again: Callable[[], None] = lambda: None) -> str:
        """The first problem with a volume, as a FailedMount event says it; "" if there is none, PENDING while a mount is
        under way, and then `again` is called at its end."""
        namespace = pod["metadata"]["namespace"]
        for volume in pod["spec"].get("volumes") or ():
            problem = ""
            if "configMap" in volume:
                problem = self._missing("configmap", namespace, volume["configMap"])
            elif "secret" in volume:
                problem = self._missing("secret", namespace, volume["secret"], "secretName")
            for source in (volume.get("projected") or {}).get("sources") or ():
                if problem:
                    break
                if "configMap" in source:
                    problem = self._missing("configmap", namespace, source["configMap"])
                elif "secret" in source:
                    problem = self._missing("secret", namespace, source["secret"])
            if "csi" in volume and self.csi is not None and (said := self.csi.problem(pod, volume, again)):
                return said
            if problem:
                return f'MountVolume.SetUp failed for volume "{volume["name"]}" : {problem}'
        return ""

    def missing_environment(self, pod: Object, container: Object) -> str:
        """The first problem with a container's environment; "" if there is none."""
        namespace = pod["metadata"]["namespace"]
        for source in container.get("envFrom") or ():
            for key, kind in (("configMapRef", "configmap"), ("secretRef", "secret")):
                problem = self._missing(kind, namespace, source[key]) if key in source else ""
                if problem:
                    return problem
        for variable in container.get("env") or ():
            origin = variable.get("valueFrom") or {}
            for key, kind in (("configMapKeyRef", "configmap"), ("secretKeyRef", "secret")):
                if key not in origin or origin[key].get("optional"):
                    continue
                problem = self._missing(kind, namespace, origin[key])
                if problem:
                    return problem
                if self.value(kind, namespace, origin[key]["name"], origin[key]["key"]) is None:
                    whole = "ConfigMap" if kind == "configmap" else "Secret"
                    name = origin[key]["name"]
                    return f"couldn't find key {origin[key]['key']} in {whole} {namespace}/{name}"
        return ""

    def mounted(self, pod: Object, volume: Object) -> dict[str, bytes]:
        """The files that a driver put into a volume."""
        return self.csi.files(pod, volume) if "csi" in volume and self.csi is not None else {}

    def data(self, kind: str, namespace: str, name: str) -> dict[str, bytes] | None:
        """All values of a ConfigMap or Secret; None if it is not there."""
        informer = self.config_maps if kind == "configmap" else self.secrets
        found = informer.get(f"{namespace}/{name}")
        if found is None:
            return None
        if kind == "secret":
            return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
        values = {key: value.encode() for key, value in (found.get("data") or {}).items()}
        values |= {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
        return values

    def value(self, kind: str, namespace: str, name: str, key: str) -> bytes | None:
        """One value of a ConfigMap or Secret."""
        return (self.data(kind, namespace, name) or {}).get(key)
