"""ReplicationControllers: ReplicaSets of an earlier time, with a plain map as selector."""

from __future__ import annotations

from azsandbox.controllers.replicasets import ReplicaSetController


class ReplicationControllerController(ReplicaSetController):
    """Keeps spec.replicas pods for each ReplicationController (pkg/controller/replication)."""

    name = "replication-controller"
    api_version, kind, resource = "v1", "ReplicationController", "replicationcontrollers"
    counts_terminating = False
