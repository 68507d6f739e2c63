"""The controllers of workloads: what keeps pods, and what clears away."""

from __future__ import annotations

from azsandbox.controllers.cluster_role_aggregation import ClusterRoleAggregationController
from azsandbox.controllers.cronjobs import CronJobController
from azsandbox.controllers.csr_approval import CSRApprovingController, CSRCleanerController
from azsandbox.controllers.csr_signing import CSRSigningController
from azsandbox.controllers.daemonsets import DaemonSetController
from azsandbox.controllers.deployments import DeploymentController
from azsandbox.controllers.disruption import DisruptionController
from azsandbox.controllers.garbage_collector import GarbageCollector
from azsandbox.controllers.horizontal_autoscaler import HorizontalAutoscalerController
from azsandbox.controllers.informer import Controller
from azsandbox.controllers.jobs import JobController
from azsandbox.controllers.pod_gc import PodGCController
from azsandbox.controllers.replicasets import ReplicaSetController
from azsandbox.controllers.replicationcontrollers import ReplicationControllerController
from azsandbox.controllers.resource_quota import ResourceQuotaController
from azsandbox.controllers.statefulsets import StatefulSetController
from azsandbox.controllers.ttl_after_finished import TTLAfterFinishedController

CONTROLLERS_WORKLOADS: list[type[Controller]] = [
    DeploymentController,
    ReplicaSetController,
    ReplicationControllerController,
    StatefulSetController,
    DaemonSetController,
    JobController,
    CronJobController,
    TTLAfterFinishedController,
    DisruptionController,
    HorizontalAutoscalerController,
    ResourceQuotaController,
    GarbageCollector,
    PodGCController,
    ClusterRoleAggregationController,
    CSRApprovingController,
    CSRSigningController,
    CSRCleanerController,
]
