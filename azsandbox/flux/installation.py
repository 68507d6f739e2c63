"""What `flux install` puts into a cluster: definitions, namespace, accounts, access, Deployments and Services."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.flux import facts
from azsandbox.kubernetes.errors import StatusError

MANAGER = "flux"
# `flux install` leaves the image controllers out unless --components-extra names them (flux2, cmd/flux/install.go)
PLURALS = {
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "CustomResourceDefinition": "customresourcedefinitions",
    "Deployment": "deployments",
    "Namespace": "namespaces",
    "NetworkPolicy": "networkpolicies",
    "ResourceQuota": "resourcequotas",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
}


def manifests(
    distribution: str = "", namespace: str = "", components: Iterable[str] = (), registry: str = ""
) -> list[Object]:
    """The objects of an installation, in the order in which they can be created.

    `distribution` is a release of Flux ("v2.9.5"; empty: the newest known), `components` are names of controllers
    (empty: all). Raises KeyError for a distribution or a controller that is not known.
    """
    distribution, namespace = distribution or facts.default_distribution(), namespace or facts.namespace()
    chosen = list(components) or list(facts.controllers())
    labels = {
        "app.kubernetes.io/instance": namespace,
        "app.kubernetes.io/part-of": "flux",
        "app.kubernetes.io/version": distribution,
    }
    found = [_with_labels(d, labels | _component(name)) for name in chosen for d in facts.definitions_of(name)]
    space: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    warn = {"pod-security.kubernetes.io/warn": "restricted", "pod-security.kubernetes.io/warn-version": "latest"}
    found.append(_with_labels(space, labels | warn))
    for rule in facts.access(namespace):
        if "subjects" in rule:
            accounts = [name for name in rule["subjects"] if name in chosen]
            rule["subjects"] = [{"kind": "ServiceAccount", "name": n, "namespace": namespace} for n in accounts]
        found.append(_with_labels(rule, labels))
    for name in chosen:
        own = labels | _component(name)
        account: Object = {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": namespace},
        }
        found.append(_with_labels(account, own))
        found += [_with_labels(s, own) for s in _services(name, namespace)]
        image = f"{registry or facts.registry()}/{name}:{facts.release(distribution, name)}"
        found.append(_with_labels(_deployment(name, namespace, image, own), own))
    return found


def _component(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/component": name}


def _with_labels(obj: Object, labels: dict[str, str]) -> Object:
    metadata = obj["metadata"]
    return {**obj, "metadata": {**metadata, "labels": {**(metadata.get("labels") or {}), **labels}}}


def _services(name: str, namespace: str) -> list[Object]:
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": service, "namespace": namespace, "labels": {"control-plane": "controller"}},
            "spec": {
                "type": "ClusterIP",
                "selector": {"app": name},
                "ports": [{"name": "http", "protocol": "TCP", **port}],
            },
        }
        for service, port in (facts.controllers()[name].get("services") or {}).items()
    ]


def _deployment(name: str, namespace: str, image: str, labels: dict[str, str]) -> Object:
    known = facts.controllers()[name]
    events = f"--events-addr=http://notification-controller.{namespace}.svc.cluster.local./"
    args = ["--watch-all-namespaces=true", "--log-level=info", "--log-encoding=json", "--enable-leader-election"]
    env: list[dict[str, Any]] = [
        {"name": "RUNTIME_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        *({"name": key, "value": value} for key, value in (known.get("env") or {}).items()),
        {
            "name": "GOMEMLIMIT",
            "valueFrom": {"resourceFieldRef": {"containerName": "manager", "resource": "limits.memory"}},
        },
    ]
    port, ready = known["readiness"]
    container = {
        "name": "manager",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "ports": [{"containerPort": n, "name": key, "protocol": "TCP"} for key, n in known["ports"].items()],
        "env": env,
        "args": [*([] if name == "notification-controller" else [events]), *args, *(known.get("args") or [])],
        "livenessProbe": {"httpGet": {"port": "healthz", "path": "/healthz"}},
        "readinessProbe": {"httpGet": {"port": port, "path": ready}},
        "resources": {
            "limits": {"cpu": "1000m", "memory": "1Gi"},
            "requests": {"cpu": known["cpu"], "memory": "64Mi"},
        },
        "volumeMounts": [{"name": volume, "mountPath": place} for volume, place in known["volumes"].items()],
    }
    template = {
        "metadata": {
            "labels": {"app": name, **labels},
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
        },
        "spec": {
            "terminationGracePeriodSeconds": known["grace"],
            "securityContext": {"fsGroup": 1337},
            "serviceAccountName": name,
            "priorityClassName": "system-cluster-critical",
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "containers": [container],
            "volumes": [{"name": volume, "emptyDir": {}} for volume in known["volumes"]],
        },
    }
    spec: Object = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    if "strategy" in known:
        spec["strategy"] = {"type": known["strategy"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": {"control-plane": "controller"}},
        "spec": spec,
    }


def address(obj: Object) -> str:
    """URL path of an object of an installation."""
    metadata = obj["metadata"]
    return path(obj["apiVersion"], PLURALS[obj["kind"]], metadata.get("namespace", ""), metadata["name"])


async def install(
    client: KubeClient,
    distribution: str = "",
    namespace: str = "",
    components: Iterable[str] = (),
    registry: str = "",
) -> None:
    """Applies an installation; see `manifests` for the arguments. It can be repeated, and upgrades what is there."""
    flux = client.named(MANAGER)
    for obj in manifests(distribution, namespace, components, registry):
        await flux.apply(address(obj), obj, MANAGER)


async def uninstall(
    client: KubeClient, namespace: str = "", components: Iterable[str] = (), *, keep_namespace: bool = False
) -> None:
    """Deletes an installation, Deployments first, as `flux uninstall` does; what is not there is no error.

    The objects of Flux's kinds go with their definitions; whoever wants them pruned deletes them before.
    """
    flux = client.named(MANAGER)
    objects = manifests(namespace=namespace, components=components)
    first = [obj for obj in objects if obj["kind"] == "Deployment"]
    rest = [obj for obj in reversed(objects) if obj["kind"] != "Deployment"]
    for obj in [*first, *rest]:
        if obj["kind"] == "Namespace" and keep_namespace:
            continue
        try:
            await flux.delete(address(obj), {"propagationPolicy": "Background"})
        except StatusError as error:
            if error.code != 404:
                raise
