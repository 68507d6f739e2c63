"""The applications of the healthy baseline as the API server answers them, beside what the platform runs."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from tests.labkit.healthy_identity import identified

HASH = "5d78c9869d"
PROBE = {"httpGet": {"path": "/ready", "port": 8080}}
INTERNAL = "service.beta.kubernetes.io/azure-load-balancer-internal"


def container(name: str = "web", **more: Any) -> dict[str, Any]:
    """A container that meets every check."""
    return {
        "name": name,
        "image": "acraksbaseline.azurecr.io/hello:1.4.2",
        "env": [{"name": "LONG", "value": "text"}],
        "resources": {
            "requests": {"cpu": "100m", "memory": "64Mi"},
            "limits": {"cpu": "500m", "memory": "256Mi"},
        },
        "readinessProbe": PROBE,
        "livenessProbe": {"httpGet": {"path": "/live", "port": 8080}},
        "ports": [{"containerPort": 8080}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        **more,
    }


def pod_spec(**more: Any) -> dict[str, Any]:
    """The specification of such pods."""
    return {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [container("prepare", image="mcr.microsoft.com/prepare@sha256:" + "0" * 64)],
        "containers": [container()],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "tmp", "emptyDir": {}}],
        "topologySpreadConstraints": [{"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1}],
        **more,
    }


def raw(namespace: str, name: str, **more: Any) -> dict[str, Any]:
    """An object in a namespace."""
    return {"metadata": {"namespace": namespace, "name": name}, **more}


def deployment(namespace: str) -> dict[str, Any]:
    """A Deployment of two pods."""
    template = {"metadata": {"labels": {"app": "hello"}}, "spec": pod_spec()}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "hello"}}, "template": template}
    progressing = {"type": "Progressing", "status": "True", "message": "it has progressed"}
    return raw(namespace, "hello", spec=spec, status={"availableReplicas": 2, "conditions": [progressing]})


def pod(namespace: str, index: int) -> dict[str, Any]:
    """A pod of the Deployment; the API server adds a volume with a name of its own."""
    spec = pod_spec(nodeName=f"aks-user1-vmss00000{index}")
    spec["volumes"].append({"name": f"kube-api-access-{index}", "projected": {}})
    status = {"name": "web", "ready": True, "restartCount": 0, "state": {"running": {}}, "lastState": {}}
    return {
        "metadata": {
            "namespace": namespace,
            "name": f"hello-{HASH}-{index}",
            "labels": {"app": "hello", "pod-template-hash": HASH},
            "ownerReferences": [{"kind": "ReplicaSet", "name": f"hello-{HASH}", "controller": True}],
        },
        "spec": spec,
        "status": {
            "phase": "Running",
            "containerStatuses": [status],
            "initContainerStatuses": [{**status, "name": "prepare", "state": {"terminated": {"reason": "Completed"}}}],
        },
    }


def system_pod(namespace: str) -> dict[str, Any]:
    """A pod of the platform, which breaks every rule."""
    spec = {"hostNetwork": True, "containers": [{"name": "x", "image": "x", "securityContext": {"privileged": True}}]}
    return raw(namespace, "agent", spec=spec, status={"phase": "Pending"})


def job(namespace: str) -> dict[str, Any]:
    """A Job that a CronJob made."""
    item = raw(namespace, "clean-1", spec={"template": {"spec": pod_spec()}}, status={"succeeded": 1})
    item["metadata"]["ownerReferences"] = [{"kind": "CronJob", "name": "clean", "controller": True}]
    return item


def done(namespace: str) -> dict[str, Any]:
    """A pod of that Job, which has done its work."""
    item = pod(namespace, 9)
    item["metadata"] |= {"name": "clean-1-x", "ownerReferences": [{"kind": "Job", "name": "clean-1"}], "labels": {}}
    item["status"] = {"phase": "Succeeded"}
    return item


def namespace(name: str) -> dict[str, Any]:
    """A namespace that enforces the Restricted standard."""
    labels = {"kubernetes.io/metadata.name": name, "pod-security.kubernetes.io/enforce": "restricted"}
    return {"metadata": {"name": name, "labels": labels}}


def answers() -> dict[str, Any]:
    """What the API server answers, by path; each list has something of the platform in it as well."""
    spaces = ("staging", "production")
    platform = [
        {"metadata": {"name": name}} for name in ("default", "kube-system", "flux-system", "aks-istio", "kured")
    ]
    agent = raw("kube-system", "agent", spec={"template": {"spec": system_pod("kube-system")["spec"]}}, status={})
    deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "hello"}}}
    healthy = {"disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2}
    cron = {"jobTemplate": {"spec": {"template": {"spec": pod_spec()}}}}
    scaled = {"scaleTargetRef": {"kind": "Deployment", "name": "hello"}, "minReplicas": 2, "maxReplicas": 4}
    service = {"type": "ClusterIP", "selector": {"app": "hello"}}
    internal = raw("staging", "inner", spec={"type": "LoadBalancer", "selector": {"app": "hello"}})
    internal["metadata"]["annotations"] = {INTERNAL: "true"}
    internal["status"] = {"loadBalancer": {"ingress": [{"ip": "10.10.0.100"}]}}
    ingress = {
        "ingressClassName": "gateway",
        "tls": [{"hosts": ["*.contoso.com"], "secretName": "tls"}],
        "rules": [{"host": "hello.contoso.com"}],
    }
    listeners = [
        {"name": "https", "hostname": "hello.contoso.com", "protocol": "HTTPS", "port": 443},
        {"name": "http", "hostname": "hello.contoso.com", "protocol": "HTTP", "port": 80},
    ]
    claim = {"spec": {"storageClassName": "managed-csi"}, "status": {"phase": "Bound"}}
    public = raw("kube-system", "public", spec={"type": "LoadBalancer", "externalIPs": ["203.0.113.9"]})
    found: dict[str, Any] = {
        "/api/v1/namespaces": [*map(namespace, spaces), *platform],
        "/api/v1/pods": [
            *(identified(pod("staging", index)) for index in range(2)),
            *(pod("production", index) for index in range(2)),
            done("staging"),
            *map(system_pod, ("kube-system", "gatekeeper-system", "calico-system", "kured", "infrastructure")),
        ],
        "/apis/apps/v1/deployments": [*map(deployment, spaces), agent],
        "/apis/apps/v1/statefulsets": [agent],
        "/apis/apps/v1/daemonsets": [agent],
        "/apis/batch/v1/jobs": [job("staging")],
        "/apis/batch/v1/cronjobs": [raw("staging", "clean", spec=cron)],
        "/api/v1/services": [*(raw(space, "hello", spec=service) for space in spaces), internal, public],
        "/apis/policy/v1/poddisruptionbudgets": [raw(space, "hello", spec=budget, status=healthy) for space in spaces],
        "/apis/autoscaling/v2/horizontalpodautoscalers": [raw("production", "hello", spec=scaled)],
        "/apis/networking.k8s.io/v1/networkpolicies": [raw(space, "deny", spec=deny) for space in spaces],
        "/apis/cilium.io/v2/ciliumnetworkpolicies": [],
        "/apis/networking.k8s.io/v1/ingresses": [raw("production", "hello", spec=ingress)],
        "/apis/networking.k8s.io/v1/ingressclasses": [
            {"metadata": {"name": "gateway"}, "spec": {"controller": "example.com/gateway"}}
        ],
        "/apis/gateway.networking.k8s.io/v1/gateways": [raw("production", "hello", spec={"listeners": listeners})],
        "/api/v1/persistentvolumeclaims": [raw("staging", "data", **claim), raw("production", "data", **claim)],
        "/apis/storage.k8s.io/v1/storageclasses": [
            {
                "metadata": {"name": "managed-csi"},
                "provisioner": "disk.csi.azure.com",
                "volumeBindingMode": "WaitForFirstConsumer",
            },
            {"metadata": {"name": "default"}, "provisioner": "disk.csi.azure.com"},
        ],
    }
    return deepcopy(found)
