"""What is read of Flux: how it got into the cluster, its objects, and the repository that it follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.checks.collector import Collector, Reader, bounded
from labkit.checks.core import Status, Unread
from labkit.checks.evidence import Object, api_versions
from labkit.checks.lookup import at
from labkit.errors import ReadError

FLUX = "flux-system"
SOURCE = "/apis/source.toolkit.fluxcd.io/v1"
KUSTOMIZE = "/apis/kustomize.toolkit.fluxcd.io/v1"
HELM = "/apis/helm.toolkit.fluxcd.io/v2"
NOTIFICATION = "/apis/notification.toolkit.fluxcd.io"


def read_extensions(collector: Collector) -> list[Object]:
    """The cluster's extensions."""
    path = f"{collector.cluster()['id']}/providers/Microsoft.KubernetesConfiguration/extensions"
    return bounded(collector.arm().pages(path, api_versions()["extensions"]), "extensions")


def read_flux_configurations(collector: Collector) -> list[Object]:
    """The cluster's Flux configurations as Azure has them."""
    path = f"{collector.cluster()['id']}/providers/Microsoft.KubernetesConfiguration/fluxConfigurations"
    return bounded(collector.arm().pages(path, api_versions()["fluxConfigurations"]), "Flux configurations")


def read_flux_deployments(collector: Collector) -> list[Object]:
    """The Deployments of the namespace of Flux."""
    path = f"/apis/apps/v1/namespaces/{FLUX}/deployments"
    return bounded(collector.kubernetes().pages(path), "deployments", keep=_deployment)


def read_flux_definitions(collector: Collector) -> list[Object]:
    """The definitions of Flux's kinds: which versions are served and which are stored."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    found = bounded(collector.kubernetes().pages(path), "definitions", keep=_definition)
    return [item for item in found if str(item["group"]).endswith(("toolkit.fluxcd.io", "clusterconfig.azure.com"))]


def read_flux_network_policies(collector: Collector) -> list[str]:
    """The names of the network policies in the namespace of Flux."""
    path = f"/apis/networking.k8s.io/v1/namespaces/{FLUX}/networkpolicies"
    found = bounded(collector.kubernetes().pages(path), "network policies", keep=lambda item: {"name": _name(item)})
    return [item["name"] for item in found]


def read_git_sources(collector: Collector) -> list[Object]:
    """GitRepositories, OCIRepositories and Buckets that Kustomizations come from."""
    kinds = {"GitRepository": "gitrepositories", "OCIRepository": "ocirepositories", "Bucket": "buckets"}
    return [item for kind, plural in kinds.items() for item in _objects(collector, f"{SOURCE}/{plural}", kind)]


def read_helm_repositories(collector: Collector) -> list[Object]:
    """The HelmRepositories."""
    return _objects(collector, f"{SOURCE}/helmrepositories", "HelmRepository")


def read_kustomizations(collector: Collector) -> list[Object]:
    """Flux's Kustomizations."""
    return _objects(collector, f"{KUSTOMIZE}/kustomizations", "Kustomization")


def read_helm_releases(collector: Collector) -> list[Object]:
    """The HelmReleases."""
    return _objects(collector, f"{HELM}/helmreleases", "HelmRelease")


def read_notifications(collector: Collector) -> list[Object]:
    """Receivers and Alerts: what needs notification-controller."""
    kinds = {"Receiver": "v1/receivers", "Alert": "v1beta3/alerts"}
    return [item for kind, path in kinds.items() for item in _objects(collector, f"{NOTIFICATION}/{path}", kind)]


def read_reboot_daemon(collector: Collector) -> list[Object]:
    """DaemonSets that are called kured, in any namespace."""
    return [item for item in collector.needed("daemonsets") if "kured" in item["name"]]


def read_repository(collector: Collector) -> Object:
    """The learner's checkout of the repository: its folders and the documents in it."""
    from labkit.gitops import documents

    folder = collector.checkout
    if folder is None or not (folder / ".git").exists():
        where = folder or "anywhere"
        raise Unread(Status.SKIP, f"there is no checkout of the repository at {where}", next_command="labkit git clone")
    return documents.read(folder)


READERS: Mapping[str, Reader] = {
    "extensions": read_extensions,
    "flux-configurations": read_flux_configurations,
    "flux-deployments": read_flux_deployments,
    "flux-definitions": read_flux_definitions,
    "flux-network-policies": read_flux_network_policies,
    "git-sources": read_git_sources,
    "helm-repositories": read_helm_repositories,
    "kustomizations": read_kustomizations,
    "helm-releases": read_helm_releases,
    "notifications": read_notifications,
    "reboot-daemon": read_reboot_daemon,
    "repository": read_repository,
}
"""Each source of Flux, and how it is read."""


def _objects(collector: Collector, path: str, kind: str) -> list[Object]:
    """The objects of a kind of Flux; none where the kind is not there."""
    try:
        return bounded(collector.kubernetes().pages(path), f"objects of kind {kind}", keep=lambda i: _object(i, kind))
    except ReadError as error:
        if error.missing:
            return []
        raise


def _object(item: Object, kind: str) -> Object:
    metadata, status = item.get("metadata") or {}, item.get("status") or {}
    inventory = (status.get("inventory") or {}).get("entries") or []
    kept = {key: status[key] for key in _STATUS if key in status}
    return {
        "kind": kind,
        "name": metadata.get("name", ""),
        "namespace": metadata.get("namespace", ""),
        "generation": metadata.get("generation"),
        "created": metadata.get("creationTimestamp", ""),
        "spec": item.get("spec") or {},
        "status": {**kept, "objects": len(inventory)},
    }


_STATUS = ("observedGeneration", "conditions", "artifact", "lastAppliedRevision", "lastAttemptedRevision", "history")


def _name(item: Object) -> str:
    return str((item.get("metadata") or {}).get("name", ""))


def _deployment(item: Object) -> Object:
    metadata, status = item.get("metadata") or {}, item.get("status") or {}
    containers = at(item, "spec.template.spec.containers") or []
    return {
        "name": metadata.get("name", ""),
        "labels": metadata.get("labels") or {},
        "available": status.get("availableReplicas") or 0,
        "containers": [{key: c.get(key) for key in ("name", "image", "args")} for c in containers],
    }


def _definition(item: Object) -> Object:
    versions: list[Any] = at(item, "spec.versions") or []
    return {
        "name": _name(item),
        "group": at(item, "spec.group") or "",
        "kind": at(item, "spec.names.kind") or "",
        "versions": [{key: v.get(key) for key in ("name", "served", "storage")} for v in versions],
        "stored": at(item, "status.storedVersions") or [],
    }
