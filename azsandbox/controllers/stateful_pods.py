"""The pods of a StatefulSet: their names, their claims, and the events about them."""

from __future__ import annotations

import re

from azsandbox.controllers import volume_claims
from azsandbox.controllers.client import Object
from azsandbox.controllers.events import EventRecorder
from azsandbox.controllers.informer import Informer, Writes
from azsandbox.controllers.objects import (
    controller_reference,
    copy_of,
    is_going,
    labels_of,
    name_of,
    namespace_of,
)
from azsandbox.controllers.pods import from_template
from azsandbox.kubernetes.errors import StatusError

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"
REVISION = "controller-revision-hash"


def parent_of(pod: Object) -> str:
    """The StatefulSet's name in the pod's; "" if it is not of that form."""
    found = re.fullmatch(r"(.*)-([0-9]+)", name_of(pod), re.DOTALL)
    return found[1] if found else ""


def ordinal_of(pod: Object) -> int:
    """The number at the end of the pod's name; -1 if there is none."""
    found = re.fullmatch(r"(.*)-([0-9]+)", name_of(pod), re.DOTALL)
    return int(found[2]) if found else -1


def start_of(stateful_set: Object) -> int:
    """The first ordinal."""
    return int((stateful_set["spec"].get("ordinals") or {}).get("start", 0))


def is_condemned(stateful_set: Object, pod: Object) -> bool:
    """Whether the set has shrunk below the pod's ordinal."""
    start = start_of(stateful_set)
    return not start <= ordinal_of(pod) < start + stateful_set["spec"].get("replicas", 1)


def revision_of(pod: Object) -> str:
    """The revision that a pod was made of."""
    return labels_of(pod).get(REVISION, "")


def new_pod(stateful_set: Object, ordinal: int, revision: str) -> Object:
    """The pod of an ordinal, not made yet (it has no status)."""
    name = f"{name_of(stateful_set)}-{ordinal}"
    reference = controller_reference(stateful_set, "apps/v1", "StatefulSet")
    pod = from_template(stateful_set["spec"]["template"], reference, name_of(stateful_set))
    pod["metadata"]["name"] = name
    pod["metadata"]["namespace"] = namespace_of(stateful_set)
    _identify(pod, ordinal)
    pod["metadata"]["labels"][REVISION] = revision
    pod["spec"]["hostname"] = name
    if stateful_set["spec"].get("serviceName"):
        pod["spec"]["subdomain"] = stateful_set["spec"]["serviceName"]
    _mount(stateful_set, pod, ordinal)
    return pod


def _identify(pod: Object, ordinal: int) -> None:
    labels = pod["metadata"].setdefault("labels", {})
    labels[POD_NAME] = name_of(pod)
    labels[POD_INDEX] = str(ordinal)


def _mount(stateful_set: Object, pod: Object, ordinal: int) -> None:
    claims = volume_claims.claims_of(stateful_set, ordinal)
    volumes = [
        {"name": volume, "persistentVolumeClaim": {"claimName": name_of(claim)}} for volume, claim in claims.items()
    ]
    volumes += [volume for volume in pod["spec"].get("volumes") or () if volume["name"] not in claims]
    if volumes:
        pod["spec"]["volumes"] = volumes


def identity_matches(stateful_set: Object, pod: Object) -> bool:
    """Whether the pod has its label and its claims."""
    if labels_of(pod).get(POD_NAME) != name_of(pod):
        return False
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
    for volume, claim in volume_claims.claims_of(stateful_set, ordinal_of(pod)).items():
        mounted = (volumes.get(volume) or {}).get("persistentVolumeClaim") or {}
        if mounted.get("claimName") != name_of(claim):
            return False
    return True


class StatefulPods:
    """Makes, mends and deletes pods of StatefulSets and their claims."""

    def __init__(self, writes: Writes, pods: Informer, claims: Informer, recorder: EventRecorder) -> None:
        self.writes, self.pods, self.claims, self.recorder = writes, pods, claims, recorder

    def _claims(self, stateful_set: Object, pod: Object) -> list[tuple[Object, Object | None]]:
        """The pod's claims as they should be, each with the one that is there."""
        namespace = namespace_of(stateful_set)
        wanted = volume_claims.claims_of(stateful_set, ordinal_of(pod)).values()
        return [(claim, self.claims.get(f"{namespace}/{name_of(claim)}")) for claim in wanted]

    async def create(self, stateful_set: Object, pod: Object) -> None:
        """Makes the claims, then the pod. Raises StatusError after an event about it."""
        try:
            await self._make_claims(stateful_set, pod)
            made = await self.writes.create(self.pods, pod)
            await self.keep_claims(stateful_set, made)
        except StatusError as error:
            if error.reason != "AlreadyExists":
                await self._tell("Create", stateful_set, pod, error)
            raise
        await self._tell("Create", stateful_set, pod)

    async def update(self, stateful_set: Object, pod: Object) -> None:
        """Gives a pod back its label, its volumes and its claims' owners."""
        changed = copy_of(pod)
        try:
            if not identity_matches(stateful_set, pod):
                _identify(changed, ordinal_of(pod))
                _mount(stateful_set, changed, ordinal_of(pod))
                await self._make_claims(stateful_set, pod)
            await self.keep_claims(stateful_set, pod)
            await self.writes.update(self.pods, changed)
        except StatusError as error:
            await self._tell("Update", stateful_set, pod, error)
            raise
        await self._tell("Update", stateful_set, pod)

    async def delete(self, stateful_set: Object, pod: Object) -> None:
        try:
            await self.writes.delete(self.pods, pod)
        except StatusError as error:
            await self._tell("Delete", stateful_set, pod, error)
            if error.code != 404:
                raise
            return
        await self._tell("Delete", stateful_set, pod)

    async def make_claims(self, stateful_set: Object, pod: Object) -> None:
        """Makes claims that are missing and puts their owners right, for a pod that waits for them."""
        await self._make_claims(stateful_set, pod)
        try:
            await self.keep_claims(stateful_set, pod)
        except StatusError as error:
            await self._tell("Update", stateful_set, pod, error)
            raise

    async def _make_claims(self, stateful_set: Object, pod: Object) -> None:
        problems = []
        for claim, found in self._claims(stateful_set, pod):
            if found is not None:
                if is_going(found):
                    problems.append(f"pvc {name_of(claim)} is being deleted")
                continue
            try:
                await self.writes.create(self.claims, claim)
            except StatusError as error:
                problems.append(f"failed to create PVC {name_of(claim)}: {error.message}")
                if error.reason != "AlreadyExists":
                    text = (
                        f"Create Claim {name_of(claim)} for Pod {name_of(pod)} in StatefulSet {name_of(stateful_set)}"
                    )
                    message = f"{text} failed error: {error.message}"
                    await self.recorder.event(stateful_set, "Warning", "FailedCreate", message)
            else:
                text = f"Create Claim {name_of(claim)} Pod {name_of(pod)} in StatefulSet {name_of(stateful_set)}"
                await self.recorder.event(stateful_set, "Normal", "SuccessfulCreate", f"{text} success")
        if problems:
            text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
            raise StatusError(500, "", text)

    def has_stale_claim(self, stateful_set: Object, pod: Object) -> bool:
        """Whether a claim still belongs to an earlier pod of that name, and so is about to go."""
        if not volume_claims.policy_of(stateful_set)[1]:
            return False
        return any(found and volume_claims.is_stale(found, pod) for _, found in self._claims(stateful_set, pod))

    def claims_are_kept(self, stateful_set: Object, pod: Object) -> bool:
        """Whether the claims' owners are what the retention policy wants."""
        condemned = is_condemned(stateful_set, pod)
        return all(
            found is None or volume_claims.is_up_to_date(found, stateful_set, pod, condemned)
            for _, found in self._claims(stateful_set, pod)
        )

    async def keep_claims(self, stateful_set: Object, pod: Object) -> None:
        """Puts the claims' owners right by the retention policy."""
        condemned = is_condemned(stateful_set, pod)
        for claim, found in self._claims(stateful_set, pod):
            if found is None:
                continue
            if volume_claims.has_unexpected_controller(found, stateful_set, pod):
                message = (
                    f"PersistentVolumeClaim {name_of(claim)} has a conflicting OwnerReference that acts as a manging "
                    "controller, the retention policy is ignored for this claim"
                )
                await self.recorder.event(stateful_set, "Warning", "ConflictingController", message)
            if not volume_claims.is_up_to_date(found, stateful_set, pod, condemned):
                changed = volume_claims.with_owners(found, stateful_set, pod, condemned)
                await self.writes.update(self.claims, changed)

    async def _tell(self, verb: str, stateful_set: Object, pod: Object, error: StatusError | None = None) -> None:
        text = f"{verb} Pod {name_of(pod)} in StatefulSet {name_of(stateful_set)}"
        if error is None:
            await self.recorder.event(stateful_set, "Normal", f"Successful{verb}", f"{text} successful")
        else:
            message = f"{text} failed error: {error.message}"
            await self.recorder.event(stateful_set, "Warning", f"Failed{verb}", message)
