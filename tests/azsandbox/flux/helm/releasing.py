"""A cluster with helm-controller, and charts put where source-controller would put them."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from azsandbox.certificates import Authority
from azsandbox.cluster import Cluster, add_nodes, all_controllers
from azsandbox.controllers.client import JSON_PATCH, KubeClient, Object, Objects, path
from azsandbox.flux.artifacts import Artifacts
from azsandbox.flux.helm.chart_template import SOURCE
from azsandbox.flux.installation import install
from azsandbox.flux.runtime import FluxRuntime
from azsandbox.kubernetes.errors import StatusError
from azsandbox.store import Store

NAMESPACE = "apps"
HELM = "helm.toolkit.fluxcd.io/v2"
CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  colour: {{ .Values.colour | quote }}
  chart: "{{ .Chart.Name }}-{{ .Chart.Version }}"
  revision: "{{ .Release.Revision }}"
  kind: "{{ if .Release.IsUpgrade }}upgrade{{ else }}install{{ end }}"
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeSelector: {{ .Values.nodeSelector | toJson }}
      containers: [{name: web, image: "nginx:1.27"}]
"""
CHART = {"templates/cm.yaml": CONFIG_MAP, "values.yaml": "colour: blue\n"}
WORKLOAD = {"templates/web.yaml": DEPLOYMENT, "values.yaml": "replicas: 0\nnodeSelector: {}\n"}


def packed(files: dict[str, str], version: str = "1.0.0", name: str = "web", more: str = "") -> bytes:
    """A chart's archive."""
    chart = f"apiVersion: v2\nname: {name}\nversion: {version}\nappVersion: 1.0.0\n{more}"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path_of, text in {"Chart.yaml": chart, **files}.items():
            member = tarfile.TarInfo(f"{name}/{path_of}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


class Lab:
    """A cluster with helm-controller, and what a test does in it."""

    def __init__(self, folder: Path, authority: Authority | None = None) -> None:
        self.flux = FluxRuntime(folder)
        self.artifacts = Artifacts(self.flux.storage, "flux-system")
        options = {"profile": "kwok", "flux": self.flux}
        bucket = Store(None).bucket("cluster")
        self.cluster = Cluster("helm", bucket, controllers=all_controllers(), options=options, authority=authority)
        self.events: Objects = []

    @property
    def client(self) -> KubeClient:
        return self.cluster.client

    async def start(self) -> None:
        await self.cluster.start()
        await add_nodes(self.client, 1)
        await install(self.client, components=["source-controller", "helm-controller"])
        await self.scale("source-controller", 0)  # the test stands in for it
        await self.client.create(path("v1", "namespaces"), {"metadata": {"name": NAMESPACE}})
        await self.served(HELM, "helmreleases")
        await self.served(SOURCE, "helmcharts")

        async def take(event: Object) -> None:
            self.events.append(event)

        self.flux.notifications.receivers.append(take)

    async def served(self, api_version: str, resource: str) -> None:
        """Waits until a definition is established."""
        group = api_version.partition("/")[0]
        url = path("apiextensions.k8s.io/v1", "customresourcedefinitions", "", f"{resource}.{group}")

        def established(found: Object | None) -> bool:
            conditions = ((found or {}).get("status") or {}).get("conditions") or ()
            return any((c["type"], c["status"]) == ("Established", "True") for c in conditions)

        await self.until(established, url)

    async def scale(self, deployment: str, replicas: int) -> None:
        url = path("apps/v1", "deployments", "flux-system", deployment, "scale")
        await self.client.patch(url, {"spec": {"replicas": replicas}})

    async def given(self, *arguments: str) -> None:
        """Starts helm-controller anew with more arguments."""
        await self.stopped("helm-controller")
        url = path("apps/v1", "deployments", "flux-system", "helm-controller")
        args = "/spec/template/spec/containers/0/args"
        own = (await self.client.get(url))["spec"]["template"]["spec"]["containers"][0]["args"]
        await self.client.patch(url, [{"op": "add", "path": args, "value": [*own, *arguments]}], JSON_PATCH)
        await self.scale("helm-controller", 1)

    async def stopped(self, deployment: str) -> None:
        """Scales a controller to nothing, and waits until it has ended."""
        await self.scale(deployment, 0)
        url = path("apps/v1", "deployments", "flux-system", deployment)
        await self.until(lambda found: not ((found or {}).get("status") or {}).get("availableReplicas"), url)
        await asyncio.sleep(0.1)

    # --- charts

    async def offer(self, files: dict[str, str], version: str = "1.0.0", name: str = "web", more: str = "") -> None:
        """Puts a chart into the artifact of the HelmChart that the release "web" makes, or is going to make."""
        data = packed(files, version, name, more)
        chart = f"{NAMESPACE}-web"
        artifact = self.artifacts.store(f"helmchart/{NAMESPACE}/{chart}/{name}-{version}.tgz", data, version)
        url = path(SOURCE, "helmcharts", NAMESPACE, chart)
        await self.until(lambda found: found is not None, url)
        generation = (await self.client.get(url))["metadata"]["generation"]
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "ChartPullSucceeded",
            "message": "pulled",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "observedGeneration": generation,
        }
        await self.say(url, {"artifact": artifact, "observedGeneration": generation, "conditions": [ready]})

    async def offer_oci(self, files: dict[str, str], version: str = "1.0.0") -> str:
        """Puts a chart into the artifact of the OCIRepository "web"; returns its digest."""
        data = packed(files, version)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        url = path(SOURCE, "ocirepositories", NAMESPACE)
        body: Object = {
            "apiVersion": SOURCE,
            "kind": "OCIRepository",
            "metadata": {"name": "web"},
            "spec": {"interval": "10m", "url": "oci://registry.example.com/web"},
        }
        try:
            await self.client.create(url, body)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise
        artifact = self.artifacts.store(f"ocirepository/{NAMESPACE}/web/{digest[7:]}.tgz", data, f"{version}@{digest}")
        await self.say(f"{url}/web", {"artifact": artifact, "observedGeneration": 1, "conditions": []})
        return digest

    async def say(self, url: str, status: Object) -> None:
        await self.client.patch(f"{url}/status", [{"op": "add", "path": "/status", "value": status}], JSON_PATCH)

    # --- releases

    async def release(self, **spec: Any) -> None:
        """Creates the HelmRelease "web"."""
        source = {"kind": "HelmRepository", "name": "charts"}
        chart = {} if "chartRef" in spec else {"chart": {"spec": {"chart": "web", "sourceRef": source}}}
        body = {
            "apiVersion": HELM,
            "kind": "HelmRelease",
            "metadata": {"name": "web"},
            "spec": {"interval": "10m", **chart, **spec},
        }
        await self.client.create(path(HELM, "helmreleases", NAMESPACE), body)

    async def change(self, **spec: Any) -> None:
        """Patches its spec."""
        await self.client.patch(self.url, {"spec": spec})

    async def ask(self, **annotations: str) -> None:
        """Asks for a reconciliation, and for more: force="1", reset="1"."""
        names = {"force": "forceAt", "reset": "resetAt", "request": "requestedAt"}
        token = next(iter(annotations.values()))
        found = {f"reconcile.fluxcd.io/{names[key]}": value for key, value in annotations.items()}
        found["reconcile.fluxcd.io/requestedAt"] = token
        await self.client.patch(self.url, {"metadata": {"annotations": found}})
        await self.until(lambda obj: (obj or {}).get("status", {}).get("lastHandledReconcileAt") == token, self.url)

    @property
    def url(self) -> str:
        return path(HELM, "helmreleases", NAMESPACE, "web")

    async def status(self) -> Object:
        found: Object = (await self.client.get(self.url))["status"]
        return found

    async def condition(self, kind: str) -> Object:
        """A condition of the release, {} if it is not there."""
        found = (await self.status()).get("conditions") or []
        return next((one for one in found if one["type"] == kind), {})

    async def is_so(self, kind: str, reason: str, generation: int = 0) -> Object:
        """Waits until a condition has a reason (and the generation has been dealt with); returns the status."""

        def seen(obj: Object | None) -> bool:
            status = (obj or {}).get("status") or {}
            if generation and status.get("observedGeneration") != generation:
                return False
            return any((c["type"], c["reason"]) == (kind, reason) for c in status.get("conditions") or ())

        return (await self.until(seen, self.url))["status"]

    async def is_ready(self, generation: int = 1) -> Object:
        """Waits until the release is ready; returns the status."""

        def seen(obj: Object | None) -> bool:
            status = (obj or {}).get("status") or {}
            ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
            return ready and status.get("observedGeneration") == generation

        return (await self.until(seen, self.url))["status"]

    async def installed(self, files: dict[str, str], **spec: Any) -> Object:
        """Installs a chart as the release "web"; returns the status."""
        await self.release(**spec)
        await self.offer(files)
        return await self.is_ready()

    # --- what is there

    def log(self) -> str:
        """What helm-controller has logged."""
        since = dt.datetime.fromtimestamp(0, dt.UTC)
        return "\n".join(str(line) for line in self.flux.output.lines("helm-controller", since))

    async def until(self, seen: Callable[[Object | None], bool], url: str, timeout: float = 20) -> Object:
        """Reads until `seen` is true of what is there."""
        found: Object | None = None
        try:
            async with asyncio.timeout(timeout):
                while True:
                    found = await self.client.find(url)
                    if seen(found):
                        return copy.deepcopy(found) or {}
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{url} is {found}") from None

    async def data(self, name: str = "web", namespace: str = NAMESPACE) -> dict[str, str] | None:
        """What a ConfigMap holds; None if it is not there."""
        found = await self.client.find(path("v1", "configmaps", namespace, name))
        return None if found is None else found.get("data")

    async def storage(self, namespace: str = NAMESPACE) -> dict[str, str]:
        """The releases in storage: the Secrets' names and statuses."""
        secrets = await self.client.list(path("v1", "secrets", namespace), labelSelector="owner=helm")
        return {s["metadata"]["name"]: s["metadata"]["labels"]["status"] for s in secrets}

    def told(self, reason: str) -> Objects:
        """The events of a reason that notification-controller was handed."""
        return [event for event in self.events if event["reason"] == reason]
