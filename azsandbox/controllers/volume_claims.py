"""The claims that a StatefulSet makes for its pods, and what becomes of them when it shrinks or goes.

Source of the rules: Kubernetes 1.35, pkg/controller/statefulset, stateful_pod_control.go and stateful_set_utils.go.
"""

from __future__ import annotations

from azsandbox.controllers.client import Object
from azsandbox.controllers.objects import controller_reference, copy_of, labels_of, name_of, uid_of

_SET, _POD = ("apps/v1", "StatefulSet"), ("v1", "Pod")


def claims_of(stateful_set: Object, ordinal: int) -> dict[str, Object]:
    """The claims of one ordinal by the name of their volume."""
    made = {}
    for template in stateful_set["spec"].get("volumeClaimTemplates") or ():
        claim = copy_of(template)
        volume = claim["metadata"]["name"]
        metadata = claim["metadata"]
        metadata["name"] = f"{volume}-{name_of(stateful_set)}-{ordinal}"
        metadata["namespace"] = stateful_set["metadata"]["namespace"]
        metadata.pop("creationTimestamp", None)
        metadata["labels"] = {**labels_of(claim), **(stateful_set["spec"]["selector"].get("matchLabels") or {})}
        if not metadata["labels"]:
            del metadata["labels"]
        claim.pop("status", None)
        made[volume] = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim}
    return made


def policy_of(stateful_set: Object) -> tuple[bool, bool]:
    """Whether claims are deleted with the set, and whether when it shrinks."""
    policy = stateful_set["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    return policy.get("whenDeleted") == "Delete", policy.get("whenScaled") == "Delete"


def _refers(reference: Object, owner: Object, kind: tuple[str, str]) -> bool:
    return (reference["apiVersion"], reference["kind"]) == kind and reference["name"] == name_of(owner)


def has_stale_owner(claim: Object, owner: Object, kind: tuple[str, str]) -> bool:
    """Whether the claim belongs to an earlier object of the owner's name."""
    for reference in claim["metadata"].get("ownerReferences") or ():
        if _refers(reference, owner, kind):
            return bool(reference["uid"] != uid_of(owner))
    return False


def is_stale(claim: Object, pod: Object) -> bool:
    """Whether a pod of the same name that is gone still owns the claim, so that it is about to go too."""
    return has_stale_owner(claim, pod, _POD)


def has_unexpected_controller(claim: Object, stateful_set: Object, pod: Object) -> bool:
    """Whether something else manages the claim, so that the retention policy stands back."""
    if not any(policy_of(stateful_set)):
        return False
    for reference in claim["metadata"].get("ownerReferences") or ():
        for owner, kind in ((stateful_set, _SET), (pod, _POD)):
            if _refers(reference, owner, kind):
                if reference["uid"] != uid_of(owner):
                    return True
                break
        else:
            if reference.get("controller"):
                return True
    return False


def wanted_owners(stateful_set: Object, condemned: bool) -> tuple[bool, bool]:
    """Whether the set, and whether the pod, should own the claim; `condemned`: the pod is scaled away."""
    when_deleted, when_scaled = policy_of(stateful_set)
    return when_deleted and not (when_scaled and condemned), when_scaled and condemned


def is_up_to_date(claim: Object, stateful_set: Object, pod: Object, condemned: bool) -> bool:
    """Whether the claim's owners are what the retention policy wants."""
    if has_stale_owner(claim, stateful_set, _SET) or has_stale_owner(claim, pod, _POD):
        return True
    references = claim["metadata"].get("ownerReferences") or ()
    uids = {reference["uid"] for reference in references}
    ours = (uid_of(stateful_set), uid_of(pod))
    if has_unexpected_controller(claim, stateful_set, pod):
        return not uids.intersection(ours)
    if any(r["uid"] in ours and not r.get("controller") for r in references):
        return False
    return (ours[0] in uids, ours[1] in uids) == wanted_owners(stateful_set, condemned)


def with_owners(claim: Object, stateful_set: Object, pod: Object, condemned: bool) -> Object:
    """A copy of the claim with the owners that the retention policy wants."""
    changed = copy_of(claim)
    unexpected = has_unexpected_controller(claim, stateful_set, pod)
    references = [
        r
        for r in claim["metadata"].get("ownerReferences") or ()
        if not _refers(r, stateful_set, _SET) and not _refers(r, pod, _POD)
    ]
    if not unexpected:
        for wanted, owner, kind in zip(
            wanted_owners(stateful_set, condemned), (stateful_set, pod), (_SET, _POD), strict=True
        ):
            if wanted:
                references.append(controller_reference(owner, *kind))
    changed["metadata"]["ownerReferences"] = references
    return changed
