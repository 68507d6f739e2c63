"""The mutating webhook of azure-workload-identity: a pod that opts in by its label gets a token and is told where Entra is.

Rules and texts: Azure/azure-workload-identity v1.5.1, pkg/webhook.
"""

from __future__ import annotations

import base64
import copy
from typing import Any

import orjson

from azsandbox.aks.identity import facts
from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.kubernetes.errors import StatusError


class Refused(Exception):
    """The webhook lets a pod not in; the text is its message."""


class Webhook:
    """Answers AdmissionReviews of pods. `tenant` is the cluster's, `minor` its Kubernetes minor version."""

    def __init__(self, client: KubeClient, tenant: str, minor: int) -> None:
        self.client, self.tenant, self.minor = client, tenant, minor

    async def answer(self, where: str, review: Object) -> Object:
        """The AdmissionReview with its response."""
        request = review["request"]
        response: Object = {"uid": request["uid"], "allowed": True}
        try:
            spec = await self._mutated(request["object"], request.get("namespace") or "default")
        except Refused as refused:
            response |= {"allowed": False, "status": {"message": str(refused), "code": 400}}
        else:
            patch = orjson.dumps([{"op": "replace", "path": "/spec", "value": spec}])
            response |= {"patchType": "JSONPatch", "patch": base64.b64encode(patch).decode()}
        return {**review, "response": response}

    async def _mutated(self, pod: Object, namespace: str) -> Object:
        """The pod's spec as it is to be. Raises Refused."""
        known = facts.read("webhook")
        spec: Object = copy.deepcopy(pod["spec"])
        annotations: dict[str, str] = pod["metadata"].get("annotations") or {}
        name = spec.get("serviceAccountName") or "default"
        try:
            account = await self.client.get(path("v1", "serviceaccounts", namespace, name))
        except StatusError as error:
            raise Refused(str(error)) from None
        own: dict[str, str] = account["metadata"].get("annotations") or {}
        if known["injectProxy"] in annotations:
            self._inject_proxy(spec, annotations)
        seconds = _seconds(annotations, own)
        identity = {
            "AZURE_CLIENT_ID": own.get(known["clientId"], ""),
            "AZURE_TENANT_ID": own.get(known["tenantId"], self.tenant),
            "AZURE_FEDERATED_TOKEN_FILE": f"{known['folder']}/{known['file']}",
            "AZURE_AUTHORITY_HOST": known["authorityHost"],
        }
        skipped = {part.strip() for part in annotations.get(known["skipContainers"], "").split(";")} - {""}
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            if container["name"] not in skipped:
                _tell(container, identity)
        _add_volume(spec, seconds)
        return spec

    def _inject_proxy(self, spec: Object, annotations: dict[str, str]) -> None:
        """A proxy that stands in for the metadata service of pod-managed identity, while an application moves on."""
        known = facts.read("webhook")
        if spec.get("hostNetwork"):
            raise Refused("hostNetwork is set to true, cannot inject proxy sidecar")
        given = annotations.get(known["proxyPort"])
        if given is not None and not given.lstrip("+-").isdigit():
            raise Refused(f'failed to parse proxy sidecar port: strconv.ParseInt: parsing "{given}": invalid syntax')
        port = int(given) if given is not None else known["defaultProxyPort"]
        first = spec.setdefault("initContainers", [])
        if not any(c["name"] == "azwi-proxy-init" for c in first):
            first.append(_proxy_init(known["proxyInitImage"], port))
        native = self.minor >= known["nativeSidecarSince"]
        containers = first if native else spec["containers"]
        if not any(c["name"] == "azwi-proxy" for c in containers):
            containers.insert(0, _proxy(known["proxyImage"], port, native))


def _seconds(pod: dict[str, str], account: dict[str, str]) -> int:
    """How long the token lives: what the pod's annotation says, then the account's. Raises Refused."""
    known = facts.read("webhook")
    given = pod.get(known["expiry"]) or account.get(known["expiry"])
    if not given:
        return int(known["seconds"]["default"])
    try:
        seconds = int(given)
    except ValueError:
        raise Refused(f'strconv.ParseInt: parsing "{given}": invalid syntax') from None
    if not known["seconds"]["least"] <= seconds <= known["seconds"]["most"]:
        raise Refused(f"token expiration {seconds} not valid. Expected value to be between 3600 and 86400")
    return seconds


def _tell(container: Object, identity: dict[str, str]) -> None:
    """Adds the variables that the container does not have, and the mount."""
    known = facts.read("webhook")
    env: list[Any] = container.setdefault("env", [])
    have = {entry["name"] for entry in env}
    env += [{"name": name, "value": value} for name, value in identity.items() if name not in have]
    mounts: list[Any] = container.setdefault("volumeMounts", [])
    if not any(mount["name"] == known["volume"] for mount in mounts):
        mounts.append({"name": known["volume"], "mountPath": known["folder"], "readOnly": True})


def _add_volume(spec: Object, seconds: int) -> None:
    known = facts.read("webhook")
    volumes: list[Any] = spec.setdefault("volumes", [])
    if any(volume["name"] == known["volume"] for volume in volumes):
        return
    token = {"audience": known["audience"], "expirationSeconds": seconds, "path": known["file"]}
    volumes.append({"name": known["volume"], "projected": {"sources": [{"serviceAccountToken": token}]}})


def _proxy_init(image: str, port: int) -> Object:
    return {
        "name": "azwi-proxy-init",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {
            "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
            "privileged": True,
            "runAsNonRoot": False,
            "runAsUser": 0,
        },
        "env": [{"name": "PROXY_PORT", "value": str(port)}],
    }


def _proxy(image: str, port: int, native: bool) -> Object:
    probe = ["/proxy", f"--proxy-port={port}", "--probe", "--log-level=info"]
    out: Object = {
        "name": "azwi-proxy",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [f"--proxy-port={port}", "--log-level=info"],
        "ports": [{"containerPort": port}],
        "lifecycle": {"postStart": {"exec": {"command": probe}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        },
    }
    return out | ({"restartPolicy": "Always"} if native else {})
