"""Who owns what, by uid: the graph that garbage collection works on. Pure.

Source of the rules: Kubernetes 1.35, pkg/controller/garbagecollector, graph_builder.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from azsandbox.controllers.client import Object
from azsandbox.controllers.objects import is_going

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"


@dataclass(frozen=True)
class Identity:
    """Where an object is. `resource` is its plural name."""

    api_version: str
    kind: str
    resource: str
    namespace: str
    name: str
    uid: str


@dataclass
class Node:
    """An object that was seen."""

    identity: Identity
    owners: list[Object] = field(default_factory=list)  # its owner references
    going: bool = False
    waits_for_dependents: bool = False  # foreground deletion
    orphans_dependents: bool = False

    def blocks(self, owner_uid: str) -> bool:
        """Whether the owner may not go before it."""
        return any(o["uid"] == owner_uid and o.get("blockOwnerDeletion") for o in self.owners)


@dataclass
class Effects:
    """What a change asks for."""

    check: set[str] = field(default_factory=set)  # uids of objects that may have to go
    absent: set[str] = field(default_factory=set)  # uids of owners that nobody has seen
    orphan: set[str] = field(default_factory=set)  # uids of owners whose dependents are to be let go
    misplaced: list[tuple[Node, Object]] = field(default_factory=list)  # dependents and references to another namespace


def finalizers_of(obj: Object) -> list[str]:
    return obj["metadata"].get("finalizers") or []


class OwnerGraph:
    """Objects and their dependents."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.dependents: dict[str, set[str]] = {}  # uid of an owner, seen or not → uids of its dependents

    def dependents_of(self, uid: str) -> list[Node]:
        return [self.nodes[d] for d in self.dependents.get(uid, ()) if d in self.nodes]

    def blocking(self, uid: str) -> list[Node]:
        """Dependents that an owner in foreground deletion waits for."""
        return [node for node in self.dependents_of(uid) if node.blocks(uid)]

    def observe(self, obj: Object, identity: Identity) -> Effects:
        """An object was added or changed."""
        effects = Effects()
        owners = list(obj["metadata"].get("ownerReferences") or ())
        node = self.nodes.get(identity.uid)
        if node is None:
            node = self.nodes[identity.uid] = Node(identity)
            for dependent in self.dependents_of(identity.uid):
                self._place(dependent, node, effects)
        self._reown(node, owners, effects)
        finalizers = finalizers_of(obj)
        node.going = is_going(obj)
        if node.going and ORPHAN in finalizers and not node.orphans_dependents:
            node.orphans_dependents = True
            effects.orphan.add(identity.uid)
        elif node.going and FOREGROUND in finalizers and not node.waits_for_dependents:
            node.waits_for_dependents = True
            effects.check |= {identity.uid, *self.dependents.get(identity.uid, ())}
        node.orphans_dependents = node.going and ORPHAN in finalizers
        node.waits_for_dependents = node.going and FOREGROUND in finalizers
        return effects

    def _reown(self, node: Node, owners: list[Object], effects: Effects) -> None:
        """Takes over changed owner references."""
        uid = node.identity.uid
        before = {o["uid"]: o for o in node.owners}
        after = {o["uid"]: o for o in owners}
        if before == after:
            return
        node.owners = owners
        for owner_uid, reference in before.items():
            released = owner_uid not in after
            if released:
                self._unlink(owner_uid, uid)
            unblocked = reference.get("blockOwnerDeletion") and (
                released or not after[owner_uid].get("blockOwnerDeletion")
            )
            owner = self.nodes.get(owner_uid)
            if unblocked and owner is not None and owner.waits_for_dependents:
                effects.check.add(owner_uid)
        for owner_uid in after.keys() - before.keys():
            self.dependents.setdefault(owner_uid, set()).add(uid)
            owner = self.nodes.get(owner_uid)
            if owner is None:
                effects.absent.add(owner_uid)
            else:
                self._place(node, owner, effects)
                if owner.going and owner.waits_for_dependents:
                    effects.check.add(uid)

    def _place(self, dependent: Node, owner: Node, effects: Effects) -> None:
        """Checks that a reference says of its owner what the owner is, and is from its namespace."""
        for reference in dependent.owners:
            if reference["uid"] != owner.identity.uid:
                continue
            elsewhere = owner.identity.namespace and owner.identity.namespace != dependent.identity.namespace
            same = (owner.identity.api_version, owner.identity.kind, owner.identity.name) == (
                reference["apiVersion"],
                reference["kind"],
                reference["name"],
            )
            if elsewhere:
                effects.misplaced.append((dependent, reference))
            if elsewhere or not same:
                effects.check.add(dependent.identity.uid)

    def _unlink(self, owner_uid: str, uid: str) -> None:
        left = self.dependents.get(owner_uid)
        if left is not None:
            left.discard(uid)
            if not left:
                del self.dependents[owner_uid]

    def forget(self, uid: str) -> Effects:
        """An object is gone."""
        effects = Effects()
        node = self.nodes.pop(uid, None)
        effects.check |= self.dependents.get(uid, set())
        for reference in node.owners if node else ():
            self._unlink(reference["uid"], uid)
            owner = self.nodes.get(reference["uid"])
            if owner is not None and owner.waits_for_dependents:
                effects.check.add(reference["uid"])
        return effects


def without(references: Iterable[Object], uids: set[str]) -> list[Object]:
    """Owner references but those to `uids`."""
    return [reference for reference in references if reference["uid"] not in uids]
