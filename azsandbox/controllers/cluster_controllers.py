"""The controllers that make a cluster live beneath its workloads: scheduling, nodes, services, storage, accounts."""

from __future__ import annotations

from azsandbox.controllers.endpoint_slice_mirroring import EndpointSliceMirroring
from azsandbox.controllers.endpoint_slices import EndpointSliceController
from azsandbox.controllers.endpoints import EndpointsController
from azsandbox.controllers.flow_schemas import FlowSchemas
from azsandbox.controllers.informer import Controller
from azsandbox.controllers.kubelet import Kubelet
from azsandbox.controllers.namespaces import NamespaceController
from azsandbox.controllers.node_ipam import NodeIpam
from azsandbox.controllers.node_lifecycle import NodeLifecycle
from azsandbox.controllers.root_ca import RootCaPublisher
from azsandbox.controllers.scheduler import Scheduler
from azsandbox.controllers.service_accounts import ServiceAccounts, ServiceAccountTokens
from azsandbox.controllers.service_cidrs import ServiceCidrs
from azsandbox.controllers.service_load_balancer import ServiceLoadBalancer
from azsandbox.controllers.storage.attach_detach import AttachDetach
from azsandbox.controllers.storage.expansion import VolumeExpansion
from azsandbox.controllers.storage.persistent_volumes import PersistentVolumes
from azsandbox.controllers.storage.protection import ClaimProtection, EphemeralVolumes, VolumeProtection
from azsandbox.controllers.storage.provisioner import Provisioner
from azsandbox.controllers.taint_eviction import TaintEviction

CONTROLLERS_CLUSTER: list[type[Controller]] = [
    Scheduler,
    Kubelet,
    NodeLifecycle,
    NodeIpam,
    TaintEviction,
    NamespaceController,
    ServiceAccounts,
    ServiceAccountTokens,
    RootCaPublisher,
    EndpointsController,
    EndpointSliceController,
    EndpointSliceMirroring,
    ServiceCidrs,
    ServiceLoadBalancer,
    PersistentVolumes,
    ClaimProtection,
    VolumeProtection,
    EphemeralVolumes,
    VolumeExpansion,
    Provisioner,
    AttachDetach,
    FlowSchemas,
]
