"""What is read of the applications: pods, the templates that they come from, and what stands around them.

The lists are read for the whole cluster, a page at a time; of what is in a namespace of the platform nothing is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from labkit.checks.collector import Collector, Reader, bounded
from labkit.checks.evidence import Object
from labkit.checks.facts import identity
from labkit.checks.lookup import at
from labkit.checks.workload import is_application
from labkit.errors import ReadError

Keep = Callable[[Object], Object]


def _name(item: Object) -> str:
    return str((item.get("metadata") or {}).get("name", ""))


def _namespace(item: Object) -> str:
    return str((item.get("metadata") or {}).get("namespace", ""))


def of_applications(collector: Collector, path: str, what: str, keep: Keep) -> list[Object]:
    """The objects of the list at `path` that are in an application's namespace."""
    platform = collector.evidence.settings.platform_namespaces

    def kept(item: Object) -> Object | None:
        if not is_application(_namespace(item), platform):
            return None
        return {"namespace": _namespace(item), "name": _name(item), **keep(item)}

    return bounded(collector.kubernetes().pages(path), what, keep=kept)


def where_served(collector: Collector, path: str, what: str, keep: Keep) -> list[Object]:
    """As `of_applications`; none where the kind is not there."""
    try:
        return of_applications(collector, path, what, keep)
    except ReadError as error:
        if error.missing:
            return []
        raise


def read_namespaces(collector: Collector) -> list[Object]:
    """The application namespaces and their labels."""
    platform = collector.evidence.settings.platform_namespaces

    def keep(item: Object) -> Object | None:
        if not is_application(_name(item), platform):
            return None
        return {"name": _name(item), "labels": (item.get("metadata") or {}).get("labels") or {}}

    return bounded(collector.kubernetes().pages("/api/v1/namespaces"), "namespaces", keep=keep)


def read_pods(collector: Collector) -> list[Object]:
    """The pods of applications: how they are, who owns them, and what they are made of.

    Pods of one owner are made alike, so that a specification which many share is kept once.
    """
    specs: dict[str, Object] = {}
    return of_applications(collector, "/api/v1/pods", "pods", partial(_pod, specs))


def _pod(specs: dict[str, Object], item: Object) -> Object:
    metadata, status = item.get("metadata") or {}, item.get("status") or {}
    owner = next((o for o in metadata.get("ownerReferences") or [] if o.get("controller")), None)
    owners = metadata.get("ownerReferences") or []
    owner = owner or (owners[0] if owners else None)
    spec = pod_spec(item.get("spec") or {})
    key = json.dumps(spec, sort_keys=True)
    return {
        "owner": {"kind": owner.get("kind"), "name": owner.get("name")} if owner else None,
        "labels": metadata.get("labels") or {},
        "deleting": bool(metadata.get("deletionTimestamp")),
        "phase": status.get("phase", ""),
        "reason": status.get("reason") or "",
        "unmet": _unmet(status.get("conditions") or []),
        "containers": [
            _container_status(entry)
            for kind in ("initContainerStatuses", "containerStatuses")
            for entry in status.get(kind) or []
        ],
        "ready": all(entry.get("ready") for entry in status.get("containerStatuses") or []),
        **_identity(item),
        "spec": specs.setdefault(key, spec),
    }


def _identity(item: Object) -> Object:
    """Whose identity a pod has: its account, the audience of its token for Entra, the variables of workload identity that
    its containers lack, and the SecretProviderClasses that it mounts."""
    known, spec = identity(), item.get("spec") or {}
    annotations = (item.get("metadata") or {}).get("annotations") or {}
    skipped = {name.strip() for name in str(annotations.get(known["skip_containers"]) or "").split(";")}
    volumes = spec.get("volumes") or []
    token = next((volume for volume in volumes if volume.get("name") == known["volume"]), None)
    sources = at(token, "projected.sources") or []
    audiences = [
        str(at(source, "serviceAccountToken.audience")) for source in sources if "serviceAccountToken" in source
    ]
    lacking = {
        container["name"]: missing
        for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
        if container.get("name") not in skipped
        and (
            missing := [n for n in known["environment"] if n not in {e.get("name") for e in container.get("env") or []}]
        )
    }
    return {
        "account": spec.get("serviceAccountName") or "default",
        "token": next(iter(audiences), None),
        "lacking": lacking if token else {},
        "classes": [
            str(at(volume, "csi.volumeAttributes.secretProviderClass"))
            for volume in volumes
            if at(volume, "csi.driver") == known["driver"]
        ],
    }


def _unmet(conditions: list[Object]) -> str:
    """The message of the first condition that does not hold and says why: of a pod without a node, the scheduler's."""
    found = (item for item in conditions if item.get("status") == "False" and item.get("message"))
    return str(next(found, {}).get("message") or "")[:300]


def _container_status(entry: Object) -> Object:
    return {
        "name": entry.get("name", ""),
        "restarts": int(entry.get("restartCount") or 0),
        "waiting": str(at(entry, "state.waiting.reason") or ""),
        "message": str(at(entry, "state.waiting.message") or "")[:300],
        "last": str(at(entry, "lastState.terminated.reason") or ""),
    }


CONTAINER = ("name", "image", "resources", "readinessProbe", "livenessProbe", "startupProbe", "securityContext")
SPEC = ("hostPID", "hostIPC", "hostNetwork", "securityContext", "topologySpreadConstraints", "nodeSelector", "os")


def pod_spec(spec: Object) -> Object:
    """Of a pod's specification what a check looks at; without commands, environments and mounts."""
    kept: Object = {key: spec[key] for key in SPEC if spec.get(key)}
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        kept[kind] = [_container(container) for container in spec.get(kind) or []]
    volumes = spec.get("volumes") or []
    kept["hostPaths"] = [str(at(volume, "hostPath.path")) for volume in volumes if volume.get("hostPath")]
    kept["claims"] = [
        str(at(volume, "persistentVolumeClaim.claimName")) for volume in volumes if volume.get("persistentVolumeClaim")
    ]
    kept["antiAffinity"] = bool(at(spec, "affinity.podAntiAffinity"))
    return kept


def _container(container: Object) -> Object:
    kept: Object = {key: container[key] for key in CONTAINER if container.get(key)}
    secrets = sorted({e.get("name") for e in container.get("env") or []} & set(identity()["client_secrets"]))
    if secrets:
        kept["clientSecrets"] = (
            secrets  # that they are there, by name; the rest of the environment is nobody's business
        )
    kept["hostPorts"] = [port["hostPort"] for port in container.get("ports") or [] if port.get("hostPort")]
    return kept


def read_daemonsets(collector: Collector) -> list[Object]:
    """The DaemonSets of all namespaces, which are few: those of the platform are looked at as well."""

    def keep(item: Object) -> Object:
        status = item.get("status") or {}
        return {
            **_template("DaemonSet", item),
            "wanted": status.get("desiredNumberScheduled") or 0,
            "ready": status.get("numberReady") or 0,
        }

    return bounded(collector.kubernetes().pages("/apis/apps/v1/daemonsets"), "daemonsets", keep=keep)


def read_templates(collector: Collector) -> list[Object]:
    """The templates that pods of applications come from: each Deployment, StatefulSet, DaemonSet, Job and CronJob."""
    platform = collector.evidence.settings.platform_namespaces
    kinds = {
        "Deployment": "apps/v1/deployments",
        "StatefulSet": "apps/v1/statefulsets",
        "Job": "batch/v1/jobs",
        "CronJob": "batch/v1/cronjobs",
    }
    found = [item for item in collector.needed("daemonsets") if is_application(item["namespace"], platform)]
    for kind, path in kinds.items():
        found += of_applications(collector, f"/apis/{path}", path.rpartition("/")[2], partial(_template, kind))
    return found


def _template(kind: str, item: Object) -> Object:
    metadata, spec, status = item.get("metadata") or {}, item.get("spec") or {}, item.get("status") or {}
    template = at(spec, "jobTemplate.spec.template" if kind == "CronJob" else "template") or {}
    owners = metadata.get("ownerReferences") or []
    progressing: Object = next((c for c in status.get("conditions") or [] if c.get("type") == "Progressing"), {})
    return {
        "kind": kind,
        "namespace": _namespace(item),
        "name": _name(item),
        "owner": {"kind": owners[0].get("kind"), "name": owners[0].get("name")} if owners else None,
        "labels": at(template, "metadata.labels") or {},
        "replicas": int(spec.get("replicas", 1) or 0),
        "available": int(status.get("availableReplicas") or 0),
        "stuck": str(progressing.get("message") or "") if progressing.get("status") == "False" else "",
        "spec": pod_spec(at(template, "spec") or {}),
    }


def read_services(collector: Collector) -> list[Object]:
    """The Services of applications."""
    return of_applications(collector, "/api/v1/services", "services", _service)


def _service(item: Object) -> Object:
    spec = item.get("spec") or {}
    ingress = at(item, "status.loadBalancer.ingress") or []
    return {
        "annotations": (item.get("metadata") or {}).get("annotations") or {},
        "type": spec.get("type") or "ClusterIP",
        "selector": spec.get("selector") or {},
        "externalIPs": spec.get("externalIPs") or [],
        "ranges": spec.get("loadBalancerSourceRanges") or [],
        "addresses": [str(entry["ip"]) for entry in ingress if entry.get("ip")],
    }


def read_disruption_budgets(collector: Collector) -> list[Object]:
    """The PodDisruptionBudgets of applications."""
    path = "/apis/policy/v1/poddisruptionbudgets"
    numbers = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")

    def keep(item: Object) -> Object:
        spec, status = item.get("spec") or {}, item.get("status") or {}
        return {
            **{key: spec.get(key) for key in ("minAvailable", "maxUnavailable", "selector")},
            **{key: status.get(key) for key in numbers},
        }

    return of_applications(collector, path, "disruption budgets", keep)


def read_autoscalers(collector: Collector) -> list[Object]:
    """The HorizontalPodAutoscalers of applications: what they scale, and down to how many."""

    def keep(item: Object) -> Object:
        spec = item.get("spec") or {}
        return {"target": spec.get("scaleTargetRef") or {}, "least": int(spec.get("minReplicas") or 1)}

    path = "/apis/autoscaling/v2/horizontalpodautoscalers"
    return of_applications(collector, path, "autoscalers", keep)


def read_network_policies(collector: Collector) -> list[Object]:
    """The NetworkPolicies of applications."""

    def keep(item: Object) -> Object:
        spec: Mapping[str, Any] = item.get("spec") or {}
        return {key: spec.get(key) for key in ("podSelector", "policyTypes", "ingress", "egress")}

    path = "/apis/networking.k8s.io/v1/networkpolicies"
    return of_applications(collector, path, "network policies", keep)


def read_cilium_policies(collector: Collector) -> list[Object]:
    """The namespaces that have policies of Cilium's own kind."""
    path = "/apis/cilium.io/v2/ciliumnetworkpolicies"
    return where_served(collector, path, "Cilium policies", lambda item: {})


def read_ingresses(collector: Collector) -> list[Object]:
    """The Ingresses of applications: hosts, certificates and class."""

    def keep(item: Object) -> Object:
        spec = item.get("spec") or {}
        annotations = (item.get("metadata") or {}).get("annotations") or {}
        return {
            "class": spec.get("ingressClassName") or annotations.get("kubernetes.io/ingress.class") or "",
            "hosts": [str(rule.get("host") or "") for rule in spec.get("rules") or [{}]],
            "secured": [str(host) for entry in spec.get("tls") or [] for host in entry.get("hosts") or []],
        }

    return of_applications(collector, "/apis/networking.k8s.io/v1/ingresses", "ingresses", keep)


def read_ingress_classes(collector: Collector) -> dict[str, str]:
    """The controller of each IngressClass, by name."""
    path = "/apis/networking.k8s.io/v1/ingressclasses"
    found = bounded(
        collector.kubernetes().pages(path),
        "ingress classes",
        keep=lambda item: {"name": _name(item), "controller": str(at(item, "spec.controller") or "")},
    )
    return {item["name"]: item["controller"] for item in found}


def read_gateways(collector: Collector) -> list[Object]:
    """The Gateways of applications and their listeners; none where the Gateway API is not installed."""

    def keep(item: Object) -> Object:
        listeners = at(item, "spec.listeners") or []
        return {"listeners": [{key: entry.get(key) for key in ("name", "hostname", "protocol")} for entry in listeners]}

    return where_served(collector, "/apis/gateway.networking.k8s.io/v1/gateways", "gateways", keep)


def read_volume_claims(collector: Collector) -> list[Object]:
    """The PersistentVolumeClaims of applications."""

    def keep(item: Object) -> Object:
        return {
            "class": at(item, "spec.storageClassName"),
            "phase": str(at(item, "status.phase") or ""),
            "created": (item.get("metadata") or {}).get("creationTimestamp") or "",
        }

    return of_applications(collector, "/api/v1/persistentvolumeclaims", "volume claims", keep)


def read_storage_classes(collector: Collector) -> dict[str, Object]:
    """The StorageClasses by name: who makes the volumes, and when."""
    path = "/apis/storage.k8s.io/v1/storageclasses"
    found = bounded(
        collector.kubernetes().pages(path),
        "storage classes",
        keep=lambda item: {
            "name": _name(item),
            "provisioner": str(item.get("provisioner") or ""),
            "waits": item.get("volumeBindingMode") == "WaitForFirstConsumer",
        },
    )
    return {item["name"]: item for item in found}


READERS: Mapping[str, Reader] = {
    "namespaces": read_namespaces,
    "pods": read_pods,
    "daemonsets": read_daemonsets,
    "templates": read_templates,
    "services": read_services,
    "disruption-budgets": read_disruption_budgets,
    "autoscalers": read_autoscalers,
    "network-policies": read_network_policies,
    "cilium-policies": read_cilium_policies,
    "ingresses": read_ingresses,
    "ingress-classes": read_ingress_classes,
    "gateways": read_gateways,
    "volume-claims": read_volume_claims,
    "storage-classes": read_storage_classes,
}
"""Each source of the applications, and how it is read."""
