"""Defaults of the groups that configure a cluster: networking, access, storage, admission, scheduling and others."""

from __future__ import annotations

import datetime

from azsandbox.kubernetes.defaults.core import spec_of
from azsandbox.kubernetes.defaults.pods import put, put_absent
from azsandbox.kubernetes.defaults.registry import defaults
from azsandbox.kubernetes.request import Object

_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_FLOW = "flowcontrol.apiserver.k8s.io"
_RESOURCE = "resource.k8s.io"


@defaults("networking.k8s.io", "NetworkPolicy")
def network_policy(obj: Object) -> None:
    """A policy is about ingress, and about egress only if it has rules for that."""
    spec = spec_of(obj)
    put_absent(spec, "podSelector", {})
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    for rule in (spec.get("ingress") or []) + (spec.get("egress") or []):
        for port in rule.get("ports") or []:
            put_absent(port, "protocol", "TCP")


@defaults("networking.k8s.io", "IngressClass")
def ingress_class(obj: Object) -> None:
    parameters = spec_of(obj).get("parameters")
    if parameters:
        put_absent(parameters, "scope", "Cluster")


@defaults(_RBAC, "RoleBinding", "ClusterRoleBinding")
def role_binding(obj: Object) -> None:
    obj["roleRef"] = obj.get("roleRef") or {}
    put(obj["roleRef"], "apiGroup", _RBAC)
    for subject in obj.get("subjects") or []:
        if subject.get("kind") in ("User", "Group"):
            put(subject, "apiGroup", _RBAC)


@defaults("storage.k8s.io", "StorageClass")
def storage_class(obj: Object) -> None:
    put_absent(obj, "reclaimPolicy", "Delete")
    put_absent(obj, "volumeBindingMode", "Immediate")


@defaults("storage.k8s.io", "CSIDriver")
def csi_driver(obj: Object) -> None:
    spec = spec_of(obj)
    put_absent(spec, "attachRequired", True)
    put_absent(spec, "podInfoOnMount", False)
    put_absent(spec, "storageCapacity", False)
    put_absent(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType")
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]
    put_absent(spec, "requiresRepublish", False)
    put_absent(spec, "seLinuxMount", False)


@defaults(_ADMISSION, "ValidatingWebhookConfiguration")
def validating_webhooks(obj: Object) -> None:
    for webhook in obj.get("webhooks") or []:
        _webhook(webhook)


@defaults(_ADMISSION, "MutatingWebhookConfiguration")
def mutating_webhooks(obj: Object) -> None:
    for webhook in obj.get("webhooks") or []:
        _webhook(webhook)
        put_absent(webhook, "reinvocationPolicy", "Never")


def _webhook(obj: Object) -> None:
    put_absent(obj, "failurePolicy", "Fail")
    put_absent(obj, "matchPolicy", "Equivalent")
    put_absent(obj, "namespaceSelector", {})
    put_absent(obj, "objectSelector", {})
    put_absent(obj, "timeoutSeconds", 10)
    service = (obj.get("clientConfig") or {}).get("service")
    if service is not None:
        put_absent(service, "port", 443)
    for rule in obj.get("rules") or []:
        put_absent(rule, "scope", "*")


@defaults(_ADMISSION, "ValidatingAdmissionPolicy")
def admission_policy(obj: Object) -> None:
    spec = spec_of(obj)
    put_absent(spec, "failurePolicy", "Fail")
    if spec.get("matchConstraints") is not None:
        _match_resources(spec["matchConstraints"])


@defaults(_ADMISSION, "ValidatingAdmissionPolicyBinding")
def admission_policy_binding(obj: Object) -> None:
    spec = spec_of(obj)
    if spec.get("matchResources") is not None:
        _match_resources(spec["matchResources"])


def _match_resources(obj: Object) -> None:
    put_absent(obj, "matchPolicy", "Equivalent")
    put_absent(obj, "namespaceSelector", {})
    put_absent(obj, "objectSelector", {})
    for rule in (obj.get("resourceRules") or []) + (obj.get("excludeResourceRules") or []):
        put_absent(rule, "scope", "*")


@defaults("scheduling.k8s.io", "PriorityClass")
def priority_class(obj: Object) -> None:
    put_absent(obj, "preemptionPolicy", "PreemptLowerPriority")


@defaults(_FLOW, "FlowSchema")
def flow_schema(obj: Object) -> None:
    put(spec_of(obj), "matchingPrecedence", 1000)


@defaults(_FLOW, "PriorityLevelConfiguration")
def priority_level(obj: Object) -> None:
    spec = spec_of(obj)
    for key, shares in (("exempt", 0), ("limited", 30)):
        part = spec.get(key)
        if part is not None:
            put_absent(part, "nominalConcurrencyShares", shares)
            put_absent(part, "lendablePercent", 0)
    queuing = ((spec.get("limited") or {}).get("limitResponse") or {}).get("queuing")
    if queuing is not None:
        for key, value in (("handSize", 8), ("queues", 64), ("queueLengthLimit", 50)):
            put(queuing, key, value)


@defaults("discovery.k8s.io", "EndpointSlice")
def endpoint_slice(obj: Object) -> None:
    for port in obj.get("ports") or []:
        put_absent(port, "name", "")
        put_absent(port, "protocol", "TCP")


def device_requests(spec: Object) -> None:
    """The defaults of the requests of a resource claim."""
    for request in (spec.get("devices") or {}).get("requests") or []:
        exactly = request.get("exactly")
        for each in ([exactly] if exactly is not None else []) + (request.get("firstAvailable") or []):
            put(each, "allocationMode", "ExactCount")
            if each["allocationMode"] == "ExactCount":
                put(each, "count", 1)


@defaults(_RESOURCE, "ResourceClaim")
def resource_claim(obj: Object) -> None:
    device_requests(spec_of(obj))


@defaults(_RESOURCE, "ResourceClaimTemplate")
def resource_claim_template(obj: Object) -> None:
    device_requests(spec_of(spec_of(obj)))


@defaults(_RESOURCE, "ResourceSlice")
def resource_slice(obj: Object) -> None:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for device in spec_of(obj).get("devices") or []:
        for taint in device.get("taints") or []:
            put_absent(taint, "timeAdded", now)


@defaults("apiregistration.k8s.io", "APIService")
def api_service(obj: Object) -> None:
    service = spec_of(obj).get("service")
    if service is not None:
        put_absent(service, "port", 443)


@defaults("apiextensions.k8s.io", "CustomResourceDefinition")
def custom_resource_definition(obj: Object) -> None:
    """A definition's names that follow from its kind, no conversion, and no selectable scope but what is said."""
    spec = spec_of(obj)
    names = spec["names"] = spec.get("names") or {}
    kind = names.get("kind") or ""
    put(names, "singular", kind.lower())
    put(names, "listKind", f"{kind}List" if kind else "")
    if not names["singular"]:
        names.pop("singular")
    if not names["listKind"]:
        names.pop("listKind")
    put_absent(spec, "conversion", {"strategy": "None"})
    conversion = spec["conversion"]
    service = ((conversion.get("webhook") or {}).get("clientConfig") or {}).get("service")
    if service is not None:
        put_absent(service, "port", 443)
