"""Deployments: rollouts from one ReplicaSet to the next.

Source of the rules: Kubernetes 1.35, pkg/controller/deployment.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from azsandbox.controllers import rollout
from azsandbox.controllers.client import KubeClient, Object
from azsandbox.controllers.deployment_status import DeploymentStatuses, new_condition, set_condition
from azsandbox.controllers.events import EventRecorder
from azsandbox.controllers.informer import Controller, Informers, controller_of
from azsandbox.controllers.objects import (
    MAX_INT32,
    annotations_of,
    by_age,
    condition_of,
    controller_reference,
    copy_of,
    is_going,
    labels_of,
    name_of,
    namespace_is_going,
    namespace_of,
    time_of,
    uid_of,
)
from azsandbox.controllers.ownership import Claims
from azsandbox.controllers.pods import is_terminal
from azsandbox.controllers.rollout import replicas_of
from azsandbox.controllers.template_hash import same_template, template_hash
from azsandbox.kubernetes.errors import StatusError

HASH_LABEL = "pod-template-hash"


class DeploymentController(Controller):
    """Rolls Deployments out, back, up and down."""

    name = "deployment-controller"
    workers = 5

    def __init__(self, client: KubeClient, informers: Informers, **options: Any) -> None:
        super().__init__(client, informers, **options)
        self.deployments = self.follow(informers.of("apps/v1", "deployments"))
        self.sets = informers.of("apps/v1", "replicasets")
        self.pods = informers.of("v1", "pods")
        self.claims = Claims(self.writes, self.deployments, self.sets, "apps/v1", "Deployment")
        self.follow(self.sets, self.claims.owners_of)
        self.pods.on_change(self._pod_changed)
        self.recorder = EventRecorder(self.client, self.name)
        self.statuses = DeploymentStatuses(self)

    def _pod_changed(self, kind: str, pod: Object, old: Object | None) -> None:
        """A Recreate rollout goes on when the last old pod is gone."""
        if kind != "DELETED" and not is_terminal(pod):
            return
        owner = controller_of(pod)
        if owner is None or owner["kind"] != "ReplicaSet":
            return
        replica_set = self.sets.get(f"{namespace_of(pod)}/{owner['name']}")
        above = controller_of(replica_set) if replica_set else None
        if above is None:
            return
        deployment = self.deployments.get(f"{namespace_of(pod)}/{above['name']}")
        if deployment is not None and not rollout.is_rolling(deployment):
            self.queue.add(f"{namespace_of(pod)}/{above['name']}")

    async def reconcile(self, key: str) -> None:
        cached = self.deployments.get(key)
        if cached is None:
            return
        deployment = copy_of(cached)
        deployment.setdefault("status", {})

        if not deployment["spec"].get("selector"):
            message = "This deployment is selecting all pods. A non-empty selector is required."
            await self.recorder.event(deployment, "Warning", "SelectingAll", message)
            return

        sets = await self.claims.claim(deployment, self.claims.candidates(deployment))

        if is_going(deployment):
            new, old = await self._new_and_old(deployment, sets, create=False)
            await self.statuses.sync(deployment, new, old)
            return

        await self._check_paused(deployment)
        if deployment["spec"].get("paused"):
            await self._sync(deployment, sets)
        elif _rollback_to(deployment) is not None:
            await self._roll_back(deployment, sets)
        elif await self._is_scaling(deployment, sets):
            await self._sync(deployment, sets)
        elif rollout.is_rolling(deployment):
            await self._roll(deployment, sets)
        else:
            await self._recreate(deployment, sets)

    # Revisions

    async def _new_and_old(
        self, deployment: Object, sets: list[Object], create: bool
    ) -> tuple[Object | None, list[Object]]:
        """The set of the present template, made if `create`, and the others, with revisions in step."""
        found = rollout.find_new_set(deployment, sets)
        old = sorted((s for s in sets if found is None or uid_of(s) != uid_of(found)), key=by_age)
        revision = max(map(rollout.revision_of, old), default=0) + 1
        if found is not None:
            return await self._refresh(deployment, found, revision), old
        return (await self._make(deployment, old, revision) if create else None), old

    async def _refresh(self, deployment: Object, found: Object, revision: int) -> Object:
        new = copy_of(found)
        changed = rollout.annotate_new_set(deployment, new, revision, exists=True)
        min_ready = deployment["spec"].get("minReadySeconds", 0)
        if changed or new["spec"].get("minReadySeconds", 0) != min_ready:
            new["spec"]["minReadySeconds"] = min_ready
            return await self.writes.update(self.sets, new)
        write = self._set_revision(deployment, annotations_of(new).get(rollout.REVISION, ""))
        if rollout.has_progress_deadline(deployment) and condition_of(deployment["status"], "Progressing") is None:
            message = f'Found new replica set "{name_of(new)}"'
            set_condition(
                deployment["status"],
                new_condition("Progressing", "True", "FoundNewReplicaSet", message, self.now()),
            )
            write = True
        if write:
            await self._write(deployment)
        return new

    async def _make(self, deployment: Object, old: list[Object], revision: int) -> Object:
        """Creates the ReplicaSet of the present template."""
        spec = deployment["spec"]
        template = copy_of(spec["template"])
        label = template_hash(template, deployment["status"].get("collisionCount"))
        template.setdefault("metadata", {})["labels"] = {**labels_of(spec["template"]), HASH_LABEL: label}
        selector = copy_of(spec["selector"])
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: label}
        new: Object = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{name_of(deployment)[: 253 - 1 - len(label)]}-{label}",
                "namespace": namespace_of(deployment),
                "ownerReferences": [controller_reference(deployment, "apps/v1", "Deployment")],
                "labels": template["metadata"]["labels"],
            },
            "spec": {"replicas": 0, "selector": selector, "template": template},
        }
        if spec.get("minReadySeconds"):
            new["spec"]["minReadySeconds"] = spec["minReadySeconds"]
        size = rollout.new_set_size(deployment, [*old, new], new)
        new["spec"]["replicas"] = size
        rollout.annotate_new_set(deployment, new, revision, exists=False)

        made = None
        try:
            made = await self.writes.create(self.sets, new)
        except StatusError as error:
            if error.reason == "AlreadyExists":
                existing = await self._existing(deployment, new)
                new = existing
            else:
                await self._creation_failed(deployment, name_of(new), error)
                raise
        write = self._set_revision(deployment, str(revision))
        if made is not None:
            new = made
            if size > 0:
                message = f"Scaled up replica set {name_of(new)} from 0 to {size}"
                await self.recorder.event(deployment, "Normal", "ScalingReplicaSet", message)
            if rollout.has_progress_deadline(deployment):
                message = f'Created new replica set "{name_of(new)}"'
                set_condition(
                    deployment["status"],
                    new_condition("Progressing", "True", "NewReplicaSetCreated", message, self.now()),
                )
                write = True
        if write:
            await self._write(deployment)
        return new

    async def _existing(self, deployment: Object, wanted: Object) -> Object:
        """The set that has the name already, if it is ours; otherwise counts a collision and raises."""
        found = await self.client.get(self.sets.path_of(wanted))
        owner = controller_of(found)
        ours = owner is not None and owner["uid"] == uid_of(deployment)
        if ours and same_template(deployment["spec"]["template"], found["spec"]["template"]):
            return found
        deployment["status"]["collisionCount"] = deployment["status"].get("collisionCount", 0) + 1
        await self._write(deployment)
        raise StatusError(409, "AlreadyExists", f'replicasets.apps "{name_of(wanted)}" already exists')

    async def _creation_failed(self, deployment: Object, name: str, error: StatusError) -> None:
        if namespace_is_going(error):
            return
        message = f'Failed to create new replica set "{name}": {error.message}'
        if rollout.has_progress_deadline(deployment):
            set_condition(
                deployment["status"],
                new_condition("Progressing", "False", "ReplicaSetCreateError", message, self.now()),
            )
            await self._write(deployment)
        await self.recorder.event(deployment, "Warning", "ReplicaSetCreateError", message)

    def _set_revision(self, deployment: Object, revision: str) -> bool:
        if annotations_of(deployment).get(rollout.REVISION, "") == revision:
            return False
        deployment["metadata"].setdefault("annotations", {})[rollout.REVISION] = revision
        return True

    async def _write(self, deployment: Object) -> None:
        """Writes status (and annotations, which the status sub-resource lets through). In place."""
        deployment.update(await self.writes.update(self.deployments, deployment, "status"))
        deployment.setdefault("status", {})

    # Pause, scale, clean up

    async def _check_paused(self, deployment: Object) -> None:
        """Says Unknown when pausing and resuming, so that no deadline passes on a pause."""
        if not rollout.has_progress_deadline(deployment):
            return
        condition = condition_of(deployment["status"], "Progressing")
        if condition and condition["reason"] == "ProgressDeadlineExceeded":
            return
        was_paused = condition is not None and condition["reason"] == "DeploymentPaused"
        paused = bool(deployment["spec"].get("paused"))
        if paused == was_paused:
            return
        reason, message = (
            ("DeploymentPaused", "Deployment is paused") if paused else ("DeploymentResumed", "Deployment is resumed")
        )
        set_condition(deployment["status"], new_condition("Progressing", "Unknown", reason, message, self.now()))
        await self._write(deployment)

    async def _is_scaling(self, deployment: Object, sets: list[Object]) -> bool:
        new, old = await self._new_and_old(deployment, sets, create=False)
        desired = replicas_of(deployment)
        for replica_set in filter(rollout.is_active, [*old, *([new] if new else [])]):
            remembered = rollout.whole_number(annotations_of(replica_set).get(rollout.DESIRED_REPLICAS))
            if remembered is not None and remembered != desired:
                return True
        return False

    async def _sync(self, deployment: Object, sets: list[Object]) -> None:
        """Scales without rolling: when paused, or when spec.replicas changed."""
        new, old = await self._new_and_old(deployment, sets, create=False)
        new, old = await self._share_out(deployment, new, old)
        if deployment["spec"].get("paused") and _rollback_to(deployment) is None:
            await self._clean_up(deployment, old)
        await self.statuses.sync(deployment, new, old)

    async def _share_out(
        self, deployment: Object, new: Object | None, old: list[Object]
    ) -> tuple[Object | None, list[Object]]:
        everything = {uid_of(s): s for s in [*old, *([new] if new else [])]}
        single = rollout.active_or_latest(new, old)
        sizes: list[tuple[Object, int]] = []
        if single is not None:
            if replicas_of(single) != replicas_of(deployment):
                sizes = [(single, replicas_of(deployment))]
        elif rollout.is_saturated(deployment, new):
            sizes = [(s, 0) for s in old if rollout.is_active(s)]
        elif rollout.is_rolling(deployment):
            sizes = rollout.proportions(deployment, [s for s in everything.values() if rollout.is_active(s)])
        for replica_set, size in sizes:
            everything[uid_of(replica_set)] = await self._scale(deployment, replica_set, size)
        return (everything[uid_of(new)] if new else None), [everything[uid_of(s)] for s in old]

    async def _scale(self, deployment: Object, replica_set: Object, size: int) -> Object:
        """Writes a set's size and what it remembers of the Deployment's; tells of it."""
        before = replicas_of(replica_set)
        remembered = rollout.replica_annotations(deployment)
        annotations = annotations_of(replica_set)
        if before == size and all(annotations.get(k) == v for k, v in remembered.items()):
            return replica_set
        changed = copy_of(replica_set)
        changed["spec"]["replicas"] = size
        changed["metadata"]["annotations"] = {**annotations, **remembered}
        changed = await self.writes.update(self.sets, changed)
        if before != size:
            way = "up" if before < size else "down"
            message = f"Scaled {way} replica set {name_of(replica_set)} from {before} to {size}"
            await self.recorder.event(deployment, "Normal", "ScalingReplicaSet", message)
        return changed

    async def _resize(self, deployment: Object, replica_set: Object, size: int) -> Object:
        """As `_scale`; a set that has the size is left as it is."""
        return replica_set if replicas_of(replica_set) == size else await self._scale(deployment, replica_set, size)

    async def _clean_up(self, deployment: Object, old: list[Object]) -> None:
        """Deletes the oldest empty sets above the revision history limit."""
        limit = deployment["spec"].get("revisionHistoryLimit")
        if limit is None or limit == MAX_INT32:
            return
        candidates = sorted((s for s in old if not is_going(s)), key=lambda s: (rollout.revision_of(s), by_age(s)))
        for replica_set in candidates[: max(len(candidates) - limit, 0)]:
            status = replica_set.get("status") or {}
            seen = replica_set["metadata"].get("generation", 0) <= status.get("observedGeneration", 0)
            if status.get("replicas", 0) or replicas_of(replica_set) or not seen:
                continue
            await self.writes.delete(self.sets, replica_set)

    # Rollouts

    async def _roll(self, deployment: Object, sets: list[Object]) -> None:
        """Up with the new set, down with the old ones, within surge and unavailability."""
        new, old = await self._new_and_old(deployment, sets, create=True)
        assert new is not None

        desired, size = replicas_of(deployment), replicas_of(new)
        if size < desired:
            size = rollout.new_set_size(deployment, [*old, new], new)
        size = min(size, desired)
        if size != replicas_of(new):
            new = await self._scale(deployment, new, size)
        else:
            await self._scale_down_old(deployment, new, old)
        if rollout.is_complete(deployment, deployment["status"]):
            await self._clean_up(deployment, old)
        await self.statuses.sync_rollout(deployment, new, old)

    async def _scale_down_old(self, deployment: Object, new: Object, old: list[Object]) -> None:
        """First takes from the old sets what is not healthy, then what availability allows. Updates `old`."""
        active = sorted((s for s in old if rollout.is_active(s)), key=by_age)
        if not active:
            return
        least = replicas_of(deployment) - rollout.max_unavailable(deployment)
        new_unavailable = replicas_of(new) - rollout.status_total([new], "availableReplicas")
        may_go = rollout.spec_total([*old, new]) - least - new_unavailable
        if may_go <= 0:
            return

        for index, replica_set in enumerate(active):
            unhealthy = replicas_of(replica_set) - rollout.status_total([replica_set], "availableReplicas")
            count = min(may_go, unhealthy)
            if count > 0:
                active[index] = await self._scale(deployment, replica_set, replicas_of(replica_set) - count)
                may_go -= count

        may_go = rollout.status_total([*active, new], "availableReplicas") - least
        for index, replica_set in enumerate(active):
            count = min(replicas_of(replica_set), may_go)
            if count > 0:
                active[index] = await self._scale(deployment, replica_set, replicas_of(replica_set) - count)
                may_go -= count
        fresh = {uid_of(s): s for s in active}
        old[:] = [fresh.get(uid_of(s), s) for s in old]

    async def _recreate(self, deployment: Object, sets: list[Object]) -> None:
        """All old pods go before the first new one comes."""
        new, old = await self._new_and_old(deployment, sets, create=False)
        active = [s for s in old if rollout.is_active(s)]
        if active:
            fresh = {uid_of(s): await self._scale(deployment, s, 0) for s in active}
            old = [fresh.get(uid_of(s), s) for s in old]
            await self.statuses.sync_rollout(deployment, new, old)
            return
        if self._old_pods_run(new, old):
            await self.statuses.sync_rollout(deployment, new, old)
            return
        if new is None:
            new, old = await self._new_and_old(deployment, sets, create=True)
            assert new is not None
        new = await self._resize(deployment, new, replicas_of(deployment))
        if rollout.is_complete(deployment, deployment["status"]):
            await self._clean_up(deployment, old)
        await self.statuses.sync_rollout(deployment, new, old)

    def _old_pods_run(self, new: Object | None, old: list[Object]) -> bool:
        if rollout.status_total(old, "replicas") > 0:
            return True
        return any(not is_terminal(pod) for s in old for pod in self.pods.owned_by(uid_of(s)))

    async def _roll_back(self, deployment: Object, sets: list[Object]) -> None:
        """Takes the template of an earlier revision (the annotation that apps/v1beta1 rollbacks leave)."""
        new, old = await self._new_and_old(deployment, sets, create=True)
        everything = [*old, *([new] if new else [])]
        wanted = _rollback_to(deployment) or rollout.last_revision(everything)
        name = name_of(deployment)
        found = next((s for s in everything if rollout.revision_of(s) == wanted), None)
        rolled = False
        if not wanted:
            await self._warn(deployment, "DeploymentRollbackRevisionNotFound", "Unable to find last revision.")
        elif found is None:
            message = "Unable to find the revision to rollback to."
            await self._warn(deployment, "DeploymentRollbackRevisionNotFound", message)
        elif same_template(deployment["spec"]["template"], found["spec"]["template"]):
            message = f'The rollback revision contains the same template as current deployment "{name}"'
            await self._warn(deployment, "DeploymentRollbackTemplateUnchanged", message)
        else:
            template = copy_of(found["spec"]["template"])
            template["metadata"].get("labels", {}).pop(HASH_LABEL, None)
            deployment["spec"]["template"] = template
            kept = {k: v for k, v in annotations_of(deployment).items() if k in rollout.NOT_COPIED}
            copied = {k: v for k, v in annotations_of(found).items() if k not in rollout.NOT_COPIED}
            deployment["metadata"]["annotations"] = {**kept, **copied}
            rolled = True
        deployment["metadata"]["annotations"].pop(rollout.ROLLBACK_TO, None)
        await self.writes.update(self.deployments, deployment)
        if rolled:
            message = f'Rolled back deployment "{name}" to revision {wanted}'
            await self.recorder.event(deployment, "Normal", "DeploymentRollback", message)

    async def _warn(self, deployment: Object, reason: str, message: str) -> None:
        await self.recorder.event(deployment, "Warning", reason, message)

    def check_deadline(self, deployment: Object, status: Object) -> None:
        """Comes back when the progress deadline passes."""
        condition = condition_of(deployment["status"], "Progressing")
        if not rollout.has_progress_deadline(deployment) or condition is None:
            return
        if rollout.is_complete(deployment, status) or condition["reason"] == "ProgressDeadlineExceeded":
            return
        updated = time_of(condition.get("lastUpdateTime")) or self.now()
        due = updated + dt.timedelta(seconds=deployment["spec"]["progressDeadlineSeconds"])
        key = f"{namespace_of(deployment)}/{name_of(deployment)}"
        self.queue.add_after(key, max((due - self.now()).total_seconds(), 0) + 1)


def _rollback_to(deployment: Object) -> int | None:
    """The revision that the rollback annotation asks for; 0 is the one before."""
    try:
        return int(annotations_of(deployment)[rollout.ROLLBACK_TO])
    except (KeyError, ValueError):
        return None
