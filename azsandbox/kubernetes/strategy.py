"""What the API server does to an object before validating and storing it, kind by kind.

Status and spec are each writable by one path only, the generation counts changes of the spec, and some fields belong to
the server. Rules: k8s.io/kubernetes, pkg/registry/*/*/strategy.go; k8s.io/apiserver, pkg/registry/rest.
"""

from __future__ import annotations

import copy
import datetime
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from azsandbox.clock import metav1_time
from azsandbox.kubernetes import dropped_fields, strategies
from azsandbox.kubernetes.copies import copy_of
from azsandbox.kubernetes.request import Object, User
from azsandbox.kubernetes.resources import Resource

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
MAX_GENERATED_NAME = 63  # characters, of which five are random
_RANDOM = random.SystemRandom()


@dataclass(frozen=True)
class Context:
    """Who writes, and when. `now` is an RFC 3339 time in UTC."""

    user: User | None = None
    now: str = ""


Prepare = Callable[[Object, Context], None]
PrepareUpdate = Callable[[Object, Object, Context], None]


@dataclass(frozen=True)
class Rule:
    """How one kind is written."""

    generation: tuple[str, ...] = ()  # the fields whose change counts, as paths; () for kinds without a generation
    starts_at: int = 1  # the generation of a new object
    create_on_update: bool = False  # PUT may create
    unconditional_update: bool = True  # PUT may come without a resourceVersion
    returns_deleted: bool = False  # DELETE answers with the object
    keeps_status: bool = False  # a create may set the status
    status_resets_metadata: bool = False  # a write of the status leaves labels, annotations, owners and finalizers
    empty_status: Object = field(default_factory=dict)  # of a new object
    create: Prepare | None = None
    update: PrepareUpdate | None = None
    subresources: dict[str, PrepareUpdate] = field(default_factory=dict)


_SPEC = ("spec",)
_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_WEBHOOKS = Rule(("webhooks",), unconditional_update=False)
_POLICY = Rule(_SPEC, unconditional_update=False, status_resets_metadata=True)
_CREATED_BY_PUT = Rule(create_on_update=True)
_DRA = Rule(returns_deleted=True)

RULES: dict[tuple[str, str], Rule] = {
    ("", "Endpoints"): _CREATED_BY_PUT,
    ("", "Event"): _CREATED_BY_PUT,
    ("events.k8s.io", "Event"): _CREATED_BY_PUT,
    ("", "LimitRange"): Rule(create_on_update=True, create=strategies.limit_range_create),
    ("", "Namespace"): Rule(
        returns_deleted=True,
        empty_status={"phase": "Active"},
        create=strategies.namespace_create,
        update=strategies.namespace_update,
        subresources={"finalize": strategies.namespace_finalize},
    ),
    ("", "Node"): Rule(keeps_status=True, create=strategies.node_create, update=strategies.node_update),
    ("", "PersistentVolume"): Rule(
        returns_deleted=True,
        create=strategies.volume_create,
        subresources={"status": strategies.volume_status},
    ),
    ("", "PersistentVolumeClaim"): Rule(
        returns_deleted=True, create=strategies.claim_create, update=strategies.claim_update
    ),
    ("", "Pod"): Rule(
        ("spec",),
        returns_deleted=True,
        create=strategies.pod_create,
        subresources={
            "status": strategies.pod_status,
            "ephemeralcontainers": strategies.pod_ephemeral_containers,
            "resize": strategies.pod_resize,
        },
    ),
    ("", "PodTemplate"): Rule(("template",), returns_deleted=True),
    ("", "ReplicationController"): Rule(_SPEC, empty_status={"replicas": 0}),
    ("", "ResourceQuota"): Rule(returns_deleted=True),
    ("", "Secret"): Rule(update=strategies.secret_update),
    ("", "Service"): Rule(
        create_on_update=True,
        returns_deleted=True,
        empty_status={"loadBalancer": {}},
        update=strategies.service_update,
    ),
    ("", "ServiceAccount"): Rule(returns_deleted=True, create=strategies.service_account_create),
    ("apps", "DaemonSet"): Rule(
        _SPEC,
        empty_status={
            "currentNumberScheduled": 0,
            "numberMisscheduled": 0,
            "desiredNumberScheduled": 0,
            "numberReady": 0,
        },
        create=strategies.daemon_set_create,
        update=strategies.daemon_set_update,
    ),
    ("apps", "Deployment"): Rule(
        ("spec", "metadata.annotations"), subresources={"status": strategies.deployment_status}
    ),
    ("apps", "ReplicaSet"): Rule(_SPEC, empty_status={"replicas": 0}),
    ("apps", "StatefulSet"): Rule(_SPEC, empty_status={"replicas": 0, "availableReplicas": 0}),
    ("autoscaling", "HorizontalPodAutoscaler"): Rule(create=strategies.autoscaler_create),
    ("batch", "CronJob"): Rule(_SPEC),
    ("batch", "Job"): Rule(_SPEC, create=strategies.job_create),
    ("certificates.k8s.io", "CertificateSigningRequest"): Rule(
        create=strategies.signing_request_create,
        update=strategies.signing_request_update,
        subresources={
            "status": strategies.signing_request_status,
            "approval": strategies.signing_request_approval,
        },
    ),
    ("coordination.k8s.io", "Lease"): Rule(create_on_update=True, unconditional_update=False),
    ("discovery.k8s.io", "EndpointSlice"): Rule(
        ("addressType", "endpoints", "ports", "metadata.labels"),
        create=strategies.endpoint_slice_create,
        update=strategies.endpoint_slice_update,
    ),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): Rule(_SPEC, status_resets_metadata=True),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): Rule(_SPEC, status_resets_metadata=True),
    ("networking.k8s.io", "Ingress"): Rule(_SPEC, empty_status={"loadBalancer": {}}),
    ("networking.k8s.io", "IngressClass"): Rule(_SPEC),
    ("networking.k8s.io", "NetworkPolicy"): Rule(_SPEC),
    ("networking.k8s.io", "ServiceCIDR"): Rule(status_resets_metadata=True),
    ("node.k8s.io", "RuntimeClass"): Rule(create_on_update=True, unconditional_update=False),
    ("policy", "PodDisruptionBudget"): Rule(
        _SPEC,
        unconditional_update=False,
        empty_status={"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
    ),
    (_RBAC, "Role"): _CREATED_BY_PUT,
    (_RBAC, "ClusterRole"): _CREATED_BY_PUT,
    (_RBAC, "RoleBinding"): _CREATED_BY_PUT,
    (_RBAC, "ClusterRoleBinding"): _CREATED_BY_PUT,
    ("scheduling.k8s.io", "PriorityClass"): Rule(("never",)),
    ("storage.k8s.io", "CSIDriver"): Rule(_SPEC, starts_at=0, unconditional_update=False, returns_deleted=True),
    ("storage.k8s.io", "CSINode"): Rule(unconditional_update=False, returns_deleted=True),
    ("storage.k8s.io", "CSIStorageCapacity"): Rule(unconditional_update=False),
    ("storage.k8s.io", "StorageClass"): Rule(returns_deleted=True),
    ("storage.k8s.io", "VolumeAttachment"): Rule(
        unconditional_update=False, returns_deleted=True, status_resets_metadata=True, empty_status={"attached": False}
    ),
    ("storage.k8s.io", "VolumeAttributesClass"): Rule(returns_deleted=True),
    (_ADMISSION, "MutatingWebhookConfiguration"): _WEBHOOKS,
    (_ADMISSION, "ValidatingWebhookConfiguration"): _WEBHOOKS,
    (_ADMISSION, "ValidatingAdmissionPolicy"): _POLICY,
    (_ADMISSION, "ValidatingAdmissionPolicyBinding"): Rule(_SPEC, unconditional_update=False),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): Rule(
        _SPEC,
        unconditional_update=False,
        create=strategies.definition_create,
        update=strategies.definition_update,
    ),
    ("apiregistration.k8s.io", "APIService"): Rule(
        unconditional_update=False, status_resets_metadata=True, create=strategies.api_service_create
    ),
    ("resource.k8s.io", "DeviceClass"): Rule(_SPEC, returns_deleted=True),
    ("resource.k8s.io", "ResourceClaim"): Rule(returns_deleted=True, status_resets_metadata=True),
    ("resource.k8s.io", "ResourceClaimTemplate"): _DRA,
    ("resource.k8s.io", "ResourceSlice"): Rule(_SPEC, returns_deleted=True),
}
_DEFAULT = Rule()
_CUSTOM = Rule(unconditional_update=False)


def rule(resource: Resource) -> Rule:
    """The rule of a resource."""
    if resource.custom:
        return _CUSTOM
    return RULES.get((resource.group, resource.kind), _DEFAULT)


def random_suffix(length: int = 5) -> str:
    """Letters and digits of which no bad words can be made, as in generated names."""
    return "".join(_RANDOM.choice(ALPHABET) for _ in range(length))


def generated_name(prefix: str) -> str:
    """A name from a generateName: cut to leave room for five random characters in 63."""
    return prefix[: MAX_GENERATED_NAME - 5] + random_suffix()


def fill_system_metadata(obj: Object, now: str) -> None:
    """A new object's metadata as only the server sets it: uid, creation time, a name where one is to be generated."""
    meta = obj.setdefault("metadata", {})
    for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"):
        meta.pop(key, None)
    if meta.get("generateName") and not meta.get("name"):
        meta["name"] = generated_name(meta["generateName"])
    meta["uid"] = str(uuid.uuid4())
    meta["creationTimestamp"] = now


def rfc3339(moment: datetime.datetime) -> str:
    """A time as metadata has it: UTC, whole seconds."""
    return metav1_time(moment.astimezone(datetime.UTC))


def _context(user: User | None, now: str) -> Context:
    return Context(user, now or rfc3339(datetime.datetime.now(datetime.UTC)))


def prepare_create(resource: Resource, obj: Object, *, user: User | None = None, now: str = "") -> None:
    """Readies a new object for validation, in place. `now` is an RFC 3339 time; without it the machine's clock is read.

    `metadata.uid` must be set before, since a Job's selector is made of it.
    """
    kind, context = rule(resource), _context(user, now)
    dropped_fields.drop(resource.group, resource.kind, obj, None)
    if resource.subresource("status") and not kind.keeps_status:
        _wipe_status(resource, obj, kind)
    meta = obj.setdefault("metadata", {})
    if resource.custom:
        meta["generation"] = 1
    elif kind.generation and kind.starts_at:
        meta["generation"] = kind.starts_at
    if kind.create:
        kind.create(obj, context)


def _wipe_status(resource: Resource, obj: Object, kind: Rule) -> None:
    if resource.custom:
        obj.pop("status", None)
    else:
        obj["status"] = copy.deepcopy(kind.empty_status)


def prepare_update(
    resource: Resource, new: Object, old: Object, subresource: str = "", *, user: User | None = None, now: str = ""
) -> None:
    """Readies `new`, which is to take the place of `old`, for validation, in place.

    With a subresource only its part of `new` counts; for "status" that is the status.
    """
    kind, context = rule(resource), _context(user, now)
    dropped_fields.drop(resource.group, resource.kind, new, old)
    meta, before = new.setdefault("metadata", {}), old.get("metadata") or {}
    _keep(meta, before, "generation")
    if subresource == "status" and resource.custom:
        _custom_status(new, old)
    elif subresource:
        _prepare_part(kind, new, old, subresource, context)
    else:
        if resource.subresource("status"):
            _keep(new, old, "status")
        if kind.update:
            kind.update(new, old, context)
    changes = _custom_change(new, old) if resource.custom else _changed(kind, new, old)
    if changes and subresource != "status":
        new["metadata"]["generation"] = (before.get("generation") or 0) + 1
    _keep_system_metadata(new["metadata"], before)


def _prepare_part(kind: Rule, new: Object, old: Object, subresource: str, context: Context) -> None:
    if subresource == "status":
        _keep(new, old, "spec")
        if kind.status_resets_metadata:
            strategies.reset_metadata(new, old)
    special = kind.subresources.get(subresource)
    if special:
        special(new, old, context)


def _keep_system_metadata(meta: Object, before: Object) -> None:
    if not meta.get("uid"):
        _keep(meta, before, "uid")
    if before.get("creationTimestamp"):
        meta["creationTimestamp"] = before["creationTimestamp"]
    if before.get("deletionTimestamp"):
        meta["deletionTimestamp"] = before["deletionTimestamp"]
        if meta.get("deletionGracePeriodSeconds") is None:
            _keep(meta, before, "deletionGracePeriodSeconds")
    else:
        meta.pop("selfLink", None)


def _keep(new: Object, old: Object, key: str) -> None:
    if key in old:
        new[key] = copy_of(old[key])
    else:
        new.pop(key, None)


def _custom_status(new: Object, old: Object) -> None:
    """A custom resource's status is all that a write of the status changes, managed fields apart."""
    status, managed = new.get("status"), new["metadata"].get("managedFields")
    has_status = "status" in new
    new.clear()
    new.update(copy_of({part: value for part, value in old.items() if part != "status"}))
    if managed is not None:
        new["metadata"]["managedFields"] = managed
    else:
        new["metadata"].pop("managedFields", None)
    if has_status:
        new["status"] = status
    else:
        new.pop("status", None)


def _custom_change(new: Object, old: Object) -> bool:
    ignored = ("metadata", "apiVersion", "kind")
    return {k: v for k, v in new.items() if k not in ignored} != {k: v for k, v in old.items() if k not in ignored}


def _changed(kind: Rule, new: Object, old: Object) -> bool:
    return any(not strategies.same(_at(new, path), _at(old, path)) for path in kind.generation)


def _at(obj: Object, path: str) -> object:
    here: object = obj
    for part in path.split("."):
        here = here.get(part) if isinstance(here, dict) else None
    return here


def deletion_grace(resource: Resource, obj: Object, asked: int | None) -> int | None:
    """Seconds that a deletion waits for: None for kinds that are deleted at once.

    `asked` is what the caller wants, None if it said nothing. A pod takes its own period then; one that never ran, or
    is done, needs none; below zero means one second.
    """
    if (resource.group, resource.kind) != ("", "Pod"):
        return None
    spec, phase = obj.get("spec") or {}, (obj.get("status") or {}).get("phase")
    period = asked if asked is not None else spec.get("terminationGracePeriodSeconds") or 0
    if not spec.get("nodeName") or phase in ("Failed", "Succeeded"):
        period = 0
    return 1 if period < 0 else period
