"""Warnings of single kinds. Source: k8s.io/kubernetes, pkg/api/*/warnings.go and pkg/registry/*/*/strategy.go."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from azsandbox.kubernetes.quantity import Quantity
from azsandbox.kubernetes.request import Object
from azsandbox.kubernetes.strategies import same
from azsandbox.kubernetes.validation.errors import quoted
from azsandbox.kubernetes.warnings import addresses, key_pairs, node_labels
from azsandbox.kubernetes.warnings.definitions import of_definition
from azsandbox.kubernetes.warnings.pods import of_claim_spec

Special = Callable[[Object, Object | None], list[str]]  # the object, and what it takes the place of

_BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_SLICE_CONTROLLERS = ("endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io")
_VOLUMES = {
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}


def _annotations(obj: Object) -> dict[str, str]:
    return (obj.get("metadata") or {}).get("annotations") or {}


def _service(obj: Object, old: Object | None) -> list[str]:
    spec = obj.get("spec") or {}
    found = []
    name = "service.kubernetes.io/topology-aware-hints"
    if name in _annotations(obj):
        found.append(f"annotation {name} is deprecated, please use service.kubernetes.io/topology-mode instead")
    if spec.get("clusterIP") not in (None, "", "None"):
        for index, address in enumerate(spec.get("clusterIPs") or []):
            found += addresses.of_ip(f"spec.clusterIPs[{index}]", address)
    kind = spec.get("type")
    if kind == "ClusterIP" and spec.get("clusterIP") == "None":
        if spec.get("loadBalancerIP"):
            found.append("spec.loadBalancerIP is ignored for headless services")
        if spec.get("externalIPs"):
            found.append("spec.externalIPs is ignored for headless services")
        if spec.get("sessionAffinity") != "None":
            found.append("spec.SessionAffinity is ignored for headless services")
    for index, address in enumerate(spec.get("externalIPs") or []):
        found += addresses.of_ip(f"spec.externalIPs[{index}]", address)
    if spec.get("loadBalancerIP"):
        found += addresses.of_ip("spec.loadBalancerIP", spec["loadBalancerIP"])
    for index, value in enumerate(spec.get("loadBalancerSourceRanges") or []):
        found += addresses.of_cidr(f"spec.loadBalancerSourceRanges[{index}]", value)
    if kind == "ExternalName" and spec.get("externalIPs"):
        found.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if kind != "ExternalName" and spec.get("externalName"):
        found.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.get("trafficDistribution") == "PreferClose":
        found.append('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
    return found


def _ingress(obj: Object, old: Object | None) -> list[str]:
    name = "kubernetes.io/ingress.class"
    if old is not None or name not in _annotations(obj) or (obj.get("spec") or {}).get("ingressClassName") is not None:
        return []
    return [f"annotation {quoted(name)} is deprecated, please use 'spec.ingressClassName' instead"]


def _network_policy(obj: Object, old: Object | None) -> list[str]:
    found: list[str] = []
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate((obj.get("spec") or {}).get(direction) or []):
            for place, peer in enumerate(rule.get(peers) or []):
                block = peer.get("ipBlock")
                if block is None:
                    continue
                here = f"spec.{direction}[{index}].{peers}[{place}].ipBlock"
                found += addresses.of_cidr(f"{here}.cidr", block.get("cidr") or "")
                for number, value in enumerate(block.get("except") or []):
                    found += addresses.of_cidr(f"{here}.except[{number}]", value)
    return found


def _endpoint_slice(obj: Object, old: Object | None) -> list[str]:
    fqdn = obj.get("addressType") == "FQDN"
    found = ["spec.addressType: FQDN endpoints are deprecated"] if fqdn and old is None else []
    if (obj["metadata"].get("labels") or {}).get(_MANAGED_BY) in _SLICE_CONTROLLERS:
        return found
    for index, endpoint in enumerate(obj.get("endpoints") or []):
        for place, address in enumerate(endpoint.get("addresses") or []):
            found += addresses.of_ip(f"endpoints[{index}].addresses[{place}]", address)
    return found


def _endpoints(obj: Object, old: Object | None) -> list[str]:
    if (obj["metadata"].get("labels") or {}).get("endpoints.kubernetes.io/managed-by") == "endpoint-controller":
        return []
    found: list[str] = []
    for index, subset in enumerate(obj.get("subsets") or []):
        for key in ("addresses", "notReadyAddresses"):
            for place, address in enumerate(subset.get(key) or []):
                found += addresses.of_ip(f"subsets[{index}].{key}[{place}].ip", address.get("ip") or "")
    return found


def _service_account(obj: Object, old: Object | None) -> list[str]:
    name = "kubernetes.io/enforce-mountable-secrets"
    if name not in _annotations(obj) or (old is not None and name in _annotations(old)):
        return []
    text = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
    return [f"metadata.annotations[{name}]: {text}"]


def _volume(obj: Object, old: Object | None) -> list[str]:
    spec = obj.get("spec") or {}
    found = []
    if _BETA_CLASS in _annotations(obj):
        text = 'deprecated since v1.8; use "storageClassName" attribute instead'
        found.append(f"metadata.annotations[{_BETA_CLASS}]: {text}")
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        text = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."
        found.append(f"spec.persistentVolumeReclaimPolicy: {text}")
    terms = ((spec.get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or []
    for index, term in enumerate(terms):
        found += node_labels.of_term(term, f"spec.nodeAffinity.required.nodeSelectorTerms[{index}]")
    shown = {"storageos": "storageOS"}
    return found + [f"spec.{shown.get(k, k)}: {text}" for k, text in _VOLUMES.items() if spec.get(k) is not None]


def _claim(obj: Object, old: Object | None) -> list[str]:
    found = []
    if _BETA_CLASS in _annotations(obj):
        text = 'deprecated since v1.8; use "storageClassName" attribute instead'
        found.append(f"metadata.annotations[{_BETA_CLASS}]: {text}")
    return found + of_claim_spec(obj.get("spec") or {}, "spec")


def _stateful_set(obj: Object, old: Object | None) -> list[str]:
    spec = obj.get("spec") or {}
    found: list[str] = []
    for index, claim in enumerate(spec.get("volumeClaimTemplates") or []):
        path = f"spec.volumeClaimTemplates[{index}]" + ("" if old is None else ".Spec")
        found += of_claim_spec(claim.get("spec") or {}, path)
    if (spec.get("revisionHistoryLimit") or 0) < 0:
        text = "a negative value retains all historical revisions; a value >= 0 is recommended"
        found.append(f"spec.revisionHistoryLimit: {text}")
    return found


def _cron_job(obj: Object, old: Object | None) -> list[str]:
    if old is None or "TZ" not in ((obj.get("spec") or {}).get("schedule") or ""):
        return []
    link = "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/"
    return [f"cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see {link} for more details"]


def of_job_spec(spec: Object, path: str) -> list[str]:
    """Of a Job's spec, apart from its template."""
    if spec.get("completionMode") != "Indexed":
        return []
    if (spec.get("completions") or 0) <= 100_000 or (spec.get("parallelism") or 0) <= 10_000:
        return []
    text = (
        "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes "
        "might not be able to track completedIndexes when a big number of indexes fail"
    )
    return [f"{path}: {text}"]


def _node(obj: Object, old: Object | None) -> list[str]:
    spec = obj.get("spec") or {}
    found = ["spec.configSource: the feature is removed"] if spec.get("configSource") is not None else []
    if spec.get("externalID"):
        found.append("spec.externalID: this field is deprecated, and is unused by Kubernetes")
    for index, value in enumerate(spec.get("podCIDRs") or []):
        found += addresses.of_cidr(f"spec.podCIDRs[{index}]", value)
    return found


def _resource_quota(obj: Object, old: Object | None) -> list[str]:
    hard = (obj.get("spec") or {}).get("hard") or {}
    found: list[str] = []
    for name in ("cpu", "memory", "storage", "ephemeral-storage") if old is None else ():
        request, limit = f"requests.{name}", f"limits.{name}"
        if request not in hard and name in ("cpu", "memory") and name in hard:
            request = name
        if request in hard and limit in hard and Quantity.parse(hard[request]) > Quantity.parse(hard[limit]):
            found.append(f"ResourceQuota {request} ({hard[request]}) should be less than {limit} ({hard[limit]})")
    return found


def _secret(obj: Object, old: Object | None) -> list[str]:
    if obj.get("type") != "kubernetes.io/tls":
        return []
    fault = key_pairs.fault(*(_decoded((obj.get("data") or {}).get(key)) for key in ("tls.crt", "tls.key")))
    return [fault] if fault else []


def _decoded(text: str | None) -> bytes:
    try:
        return base64.b64decode(text or "")
    except binascii.Error:
        return b""


def _storage_class(obj: Object, old: Object | None) -> list[str]:
    return [
        f"allowedTopologies[{index}].matchLabelExpressions[{place}].key: {node_labels.DEPRECATED[item['key']]}"
        for index, term in enumerate(obj.get("allowedTopologies") or [])
        for place, item in enumerate(term.get("matchLabelExpressions") or [])
        if item.get("key") in node_labels.DEPRECATED
    ]


def _runtime_class(obj: Object, old: Object | None) -> list[str]:
    selector = (obj.get("scheduling") or {}).get("nodeSelector") or {}
    known = node_labels.DEPRECATED
    return [f"scheduling.nodeSelector: {known[key]}" for key in selector if key in known]


def _csi_driver(obj: Object, old: Object | None) -> list[str]:
    spec = obj.get("spec") or {}
    requests = spec.get("tokenRequests")
    if not requests or spec.get("serviceAccountTokenInSecrets") is not None:
        return []
    if old is not None and same(requests, (old.get("spec") or {}).get("tokenRequests")):
        return []
    text = "is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes"
    return [f"spec.serviceAccountTokenInSecrets {text}"]


def _resource_slice(obj: Object, old: Object | None) -> list[str]:
    driver = (obj.get("spec") or {}).get("driver") or ""
    if driver == driver.lower():
        return []
    return [f"spec.driver: driver names should be lowercase; {quoted(driver)} contains uppercase characters"]


SPECIAL: dict[tuple[str, str], Special] = {
    ("apiextensions.k8s.io", "CustomResourceDefinition"): of_definition,
    ("", "Endpoints"): _endpoints,
    ("", "Node"): _node,
    ("", "PersistentVolume"): _volume,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "ResourceQuota"): _resource_quota,
    ("", "Secret"): _secret,
    ("", "Service"): _service,
    ("", "ServiceAccount"): _service_account,
    ("apps", "StatefulSet"): _stateful_set,
    ("batch", "CronJob"): _cron_job,
    ("discovery.k8s.io", "EndpointSlice"): _endpoint_slice,
    ("networking.k8s.io", "Ingress"): _ingress,
    ("networking.k8s.io", "NetworkPolicy"): _network_policy,
    ("node.k8s.io", "RuntimeClass"): _runtime_class,
    ("resource.k8s.io", "ResourceSlice"): _resource_slice,
    ("storage.k8s.io", "CSIDriver"): _csi_driver,
    ("storage.k8s.io", "CSIStorageCapacity"): lambda obj, old: node_labels.of_label_selector(
        obj.get("nodeTopology"), "nodeTopology"
    ),
    ("storage.k8s.io", "StorageClass"): _storage_class,
}


def of_status(group: str, kind: str, obj: Object) -> list[str]:
    """Warnings of a write of a status: addresses that are written oddly."""
    status = obj.get("status") or {}
    found: list[str] = []
    if (group, kind) == ("", "Pod"):
        for key in ("podIPs", "hostIPs"):
            for index, item in enumerate(status.get(key) or []):
                found += addresses.of_ip(f"status.{key}[{index}].ip", item.get("ip") or "")
    elif (group, kind) in (("", "Service"), ("networking.k8s.io", "Ingress")):
        for index, item in enumerate((status.get("loadBalancer") or {}).get("ingress") or []):
            if item.get("ip"):
                found += addresses.of_ip(f"status.loadBalancer.ingress[{index}]", item["ip"])
    return found
