"""The graph of owners: what a change asks the garbage collector to do."""

from __future__ import annotations

from typing import Any

from azsandbox.controllers.owner_graph import FOREGROUND, ORPHAN, Identity, OwnerGraph


def obj(uid: str, *owners: str, block: bool = True, **metadata: Any) -> dict[str, Any]:
    references = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": o, "uid": o, "blockOwnerDeletion": block} for o in owners
    ]
    return {"metadata": {"name": uid, "uid": uid, "ownerReferences": references, **metadata}}


def identity(uid: str, namespace: str = "a") -> Identity:
    return Identity("v1", "ConfigMap", "configmaps", namespace, uid, uid)


def test_an_owner_that_nobody_has_seen_is_looked_for() -> None:
    graph = OwnerGraph()
    assert graph.observe(obj("child", "parent"), identity("child")).absent == {"parent"}
    assert not graph.observe(obj("parent"), identity("parent")).check


def test_dependents_are_checked_when_their_owner_goes() -> None:
    graph = OwnerGraph()
    graph.observe(obj("parent"), identity("parent"))
    graph.observe(obj("child", "parent"), identity("child"))
    assert graph.forget("parent").check == {"child"}


def test_foreground_deletion_waits_for_dependents_that_block_alone() -> None:
    graph = OwnerGraph()
    graph.observe(obj("parent"), identity("parent"))
    graph.observe(obj("blocks", "parent"), identity("blocks"))
    graph.observe(obj("free", "parent", block=False), identity("free"))
    going = obj("parent", finalizers=[FOREGROUND], deletionTimestamp="2026-01-01T00:00:00Z")
    assert graph.observe(going, identity("parent")).check == {"parent", "blocks", "free"}
    assert [node.identity.uid for node in graph.blocking("parent")] == ["blocks"]
    assert graph.forget("blocks").check == {"parent"}


def test_an_owner_with_the_orphan_finalizer_lets_go_of_its_dependents() -> None:
    graph = OwnerGraph()
    graph.observe(obj("parent"), identity("parent"))
    going = obj("parent", finalizers=[ORPHAN], deletionTimestamp="2026-01-01T00:00:00Z")
    assert graph.observe(going, identity("parent")).orphan == {"parent"}


def test_an_owner_in_another_namespace_is_told_of() -> None:
    graph = OwnerGraph()
    graph.observe(obj("parent"), identity("parent", "b"))
    effects = graph.observe(obj("child", "parent"), identity("child", "a"))
    assert effects.check == {"child"}
    assert [(node.identity.uid, reference["uid"]) for node, reference in effects.misplaced] == [("child", "parent")]


def test_a_reference_that_is_taken_away_unblocks_its_owner() -> None:
    graph = OwnerGraph()
    graph.observe(obj("parent"), identity("parent"))
    graph.observe(obj("child", "parent"), identity("child"))
    going = obj("parent", finalizers=[FOREGROUND], deletionTimestamp="2026-01-01T00:00:00Z")
    graph.observe(going, identity("parent"))
    assert graph.observe(obj("child"), identity("child")).check == {"parent"}
    assert not graph.dependents_of("parent")
