"""GitOps: from a push to the object in the cluster, by the Git host's hook, Receiver, GitRepository and Kustomization."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml

from benchmarks.azure import VERSION, cluster
from benchmarks.git_host import api, git, show_seconds
from benchmarks.measure import BIN, sandbox

GROUP, NAME, SECRET = "rg-bench", "bench", "bench-token"
PATIENCE = 60.0  # seconds for what a benchmark waits for
_SOURCES, _KUSTOMIZATIONS = "source.toolkit.fluxcd.io/v1", "kustomize.toolkit.fluxcd.io/v1"
_NOTIFICATIONS = "notification.toolkit.fluxcd.io/v1"


def _until(read: Any, wished: Any) -> Any:
    """What `read` gives once it is as wished."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = read()
        if wished(found):
            return found
        time.sleep(0.05)
    raise RuntimeError(f"it never was as wished: {found}")


def _managed_cluster(env: dict[str, Any]) -> Path:
    """A managed cluster with Flux in it; returns its kubeconfig."""
    environ = {**os.environ, "AZSANDBOX_HOME": env["AZSANDBOX_HOME"]}
    command = [str(BIN / "azsandbox"), "token"]
    token = subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout.strip()
    group = f"{env['arm_endpoint']}/subscriptions/{env['subscription_id']}/resourcegroups/{GROUP}"
    url = f"{group}/providers/Microsoft.ContainerService/managedClusters/{NAME}"
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(verify=env["ca"], headers=headers, timeout=60) as arm:
        arm.put(f"{group}?api-version=2024-03-01", json={"location": "westeurope"}).raise_for_status()
        arm.put(f"{url}?api-version={VERSION}", json=cluster(NAME)).raise_for_status()
        _until(
            lambda: arm.get(f"{url}?api-version={VERSION}").json()["properties"]["provisioningState"],
            lambda state: state == "Succeeded",
        )
        answer = arm.post(f"{url}/listClusterAdminCredential?api-version={VERSION}")
        config = base64.b64decode(answer.raise_for_status().json()["kubeconfigs"][0]["value"])
    file = Path(env["AZSANDBOX_HOME"], "kubeconfig")
    file.write_bytes(config)
    return file


class Kube:
    """The cluster, by its REST API."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        trusted = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self.client = httpx.Client(
            base_url=cluster["server"],
            verify=ssl.create_default_context(cadata=trusted),
            headers={"Authorization": f"Bearer {user['token']}"},
            timeout=httpx.Timeout(60, read=None),
            trust_env=False,
        )

    def close(self) -> None:
        self.client.close()

    def get(self, path: str) -> dict[str, Any]:
        return dict(self.client.get(path).json())

    def create(self, path: str, obj: dict[str, Any]) -> None:
        self.client.post(path, json=obj).raise_for_status()


def _install(kubeconfig: Path, kube: Kube) -> None:
    """Flux, as `flux install` puts it into a cluster, and a public address for its Receiver."""
    from azsandbox.flux.installation import manifests

    text = yaml.safe_dump_all(manifests())
    apply = ["kubectl", "--kubeconfig", str(kubeconfig), "apply", "--server-side", "-f", "-"]
    subprocess.run(apply, input=text, text=True, check=True, capture_output=True)
    deployments = "/apis/apps/v1/namespaces/flux-system/deployments"
    _until(
        lambda: kube.get(deployments)["items"],
        lambda items: items and all((i.get("status") or {}).get("availableReplicas") for i in items),
    )
    ports = [{"port": 80, "targetPort": 9292}]
    spec = {"type": "LoadBalancer", "selector": {"app": "notification-controller"}, "ports": ports}
    kube.create("/api/v1/namespaces/flux-system/services", {"metadata": {"name": "receiver"}, "spec": spec})


def _receiver(kube: Kube, name: str) -> str:
    """A Receiver for a source; returns the URL of its hook."""
    secret = {"metadata": {"name": f"{name}-hook"}, "stringData": {"token": SECRET}}
    kube.create("/api/v1/namespaces/default/secrets", secret)
    resources = [{"apiVersion": _SOURCES, "kind": "GitRepository", "name": name}]
    spec = {"type": "github", "events": ["ping", "push"], "secretRef": {"name": f"{name}-hook"}, "resources": resources}
    receivers = f"/apis/{_NOTIFICATIONS}/namespaces/default/receivers"
    kube.create(receivers, {"apiVersion": _NOTIFICATIONS, "kind": "Receiver", "metadata": {"name": name}, "spec": spec})
    path = _until(lambda: (kube.get(f"{receivers}/{name}").get("status") or {}).get("webhookPath"), bool)
    service = "/api/v1/namespaces/flux-system/services/receiver"
    ingress = _until(lambda: (kube.get(service)["status"].get("loadBalancer") or {}).get("ingress"), bool)
    return f"http://{ingress[0]['ip']}{path}"


def _follow(kube: Kube, name: str) -> None:
    """The objects that apply a repository."""
    spec: dict[str, Any] = {"interval": "10m", "url": f"https://github.com/contoso/{name}", "ref": {"branch": "main"}}
    source = {"apiVersion": _SOURCES, "kind": "GitRepository", "metadata": {"name": name}, "spec": spec}
    kube.create(f"/apis/{_SOURCES}/namespaces/default/gitrepositories", source)
    spec = {"interval": "10m", "path": "./", "prune": True, "sourceRef": {"kind": "GitRepository", "name": name}}
    applied = {"apiVersion": _KUSTOMIZATIONS, "kind": "Kustomization", "metadata": {"name": name}, "spec": spec}
    url = f"/apis/{_KUSTOMIZATIONS}/namespaces/default/kustomizations"
    kube.create(url, applied)
    _until(
        lambda: (kube.get(f"{url}/{name}").get("status") or {}).get("conditions") or [],
        lambda conditions: any(c["type"] == "Ready" and c["status"] == "True" for c in conditions),
    )


class Seen:
    """When ConfigMaps got their values, by a watch."""

    def __init__(self, kube: Kube) -> None:
        self.values: dict[tuple[str, str], float] = {}
        self._kube, self._changed = kube, threading.Condition()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        with (
            contextlib.suppress(httpx.HTTPError),
            self._kube.client.stream("GET", "/api/v1/namespaces/default/configmaps?watch=true") as answer,
        ):
            for line in answer.iter_lines():
                at = time.perf_counter()
                obj = json.loads(line)["object"]
                with self._changed:
                    self.values.setdefault((obj["metadata"]["name"], obj.get("data", {}).get("value", "")), at)
                    self._changed.notify_all()

    def at(self, name: str, value: str) -> float:
        """When a ConfigMap had a value."""
        with self._changed:
            if not self._changed.wait_for(lambda: (name, value) in self.values, PATIENCE):
                raise RuntimeError(f"ConfigMap {name} did not get the value {value} in {PATIENCE:.0f} s")
            return self.values[name, value]


def _manifest(name: str, value: str) -> str:
    return (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: default}}\ndata: {{value: {value}}}\n"
    )


@contextlib.contextmanager
def _cluster_with_flux(env: dict[str, Any]) -> Iterator[Kube]:
    kubeconfig = _managed_cluster(env)
    with contextlib.closing(Kube(kubeconfig)) as kube:
        _install(kubeconfig, kube)
        yield kube


def _measure(env: dict[str, Any], kube: Kube, folder: Path, objects: int, pushes: int) -> dict[str, list[float]]:
    """Seconds of each push, and from its beginning and its end to the object in the cluster."""
    name = f"fleet-{objects}"
    api(env, "POST", "/orgs/contoso/repos", {"name": name})
    git(env, folder, "clone", "--quiet", f"https://github.com/contoso/{name}", name)
    work = folder / name
    git(env, work, "checkout", "--quiet", "-B", "main")
    for number in range(objects):
        path = work / "apps" / str(number % 20) / f"{number}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_manifest(f"{name}-{number}", "first"))
    git(env, work, "add", "--all")
    git(env, work, "commit", "--quiet", "-m", "First")
    git(env, work, "push", "--quiet", "origin", "main")
    _follow(kube, name)
    hook = {"url": _receiver(kube, name), "content_type": "json", "secret": SECRET}
    api(env, "POST", f"/repos/contoso/{name}/hooks", {"config": hook, "events": ["push"]})
    seen = Seen(kube)
    found: dict[str, list[float]] = {"push": [], "applied": [], "after": []}
    for turn in range(pushes):
        number, value = turn % objects, f"turn-{turn}"
        (work / "apps" / str(number % 20) / f"{number}.yaml").write_text(_manifest(f"{name}-{number}", value))
        git(env, work, "commit", "--quiet", "--all", "-m", f"Change {turn}")
        began = time.perf_counter()
        git(env, work, "push", "--quiet", "origin", "main")
        ended = time.perf_counter()
        applied = seen.at(f"{name}-{number}", value)
        found["push"].append(ended - began)
        found["applied"].append(applied - began)
        found["after"].append(max(applied - ended, 0.0))
    return found


def run(pushes: int = 100) -> None:
    """Prints the figures of repositories with 20 and with 500 objects, `pushes` of one commit each."""
    with sandbox() as env, tempfile.TemporaryDirectory() as folder, _cluster_with_flux(env) as kube:
        for objects in (20, 500):
            found = _measure(env, kube, Path(folder), objects, pushes)
            show_seconds(f"begin of a push to the object, {objects} objects", found["applied"])
            show_seconds(f"end of a push to the object, {objects} objects", found["after"], "; aim: 500 ms, p95 1 s")


if __name__ == "__main__":
    run()
