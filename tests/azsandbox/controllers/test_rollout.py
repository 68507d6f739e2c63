"""The arithmetic of rollouts, by Kubernetes' own examples."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.controllers import rollout
from azsandbox.controllers.template_hash import same_template, template_hash


def deployment(replicas: int, surge: Any = "25%", unavailable: Any = "25%") -> dict[str, Any]:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {
        "metadata": {"name": "web", "generation": 1},
        "spec": {"replicas": replicas, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}},
    }


def replica_set(replicas: int, name: str = "a", most: int = 0, created: str = "") -> dict[str, Any]:
    annotations = {rollout.MAX_REPLICAS: str(most)} if most else {}
    metadata = {"name": name, "uid": name, "creationTimestamp": created, "annotations": annotations}
    return {"metadata": metadata, "spec": {"replicas": replicas}}


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (10, "25%", "25%", (3, 2)),  # surge is rounded up, unavailability down
        (1, "25%", "25%", (1, 0)),
        (10, 0, 0, (0, 1)),  # never both 0: a rollout could not move
        (10, 2, "30%", (2, 3)),
    ],
)
def test_fenceposts(replicas: int, surge: Any, unavailable: Any, expected: tuple[int, int]) -> None:
    assert rollout.fenceposts(deployment(replicas, surge, unavailable)) == expected


def test_more_unavailable_pods_than_replicas_are_not_allowed() -> None:
    assert rollout.max_unavailable(deployment(3, 0, 10)) == 3


def test_the_new_set_grows_only_into_the_room_that_surge_leaves() -> None:
    old, new = replica_set(10), replica_set(0, "b")
    assert rollout.new_set_size(deployment(10, 3, 2), [old, new], new) == 3
    assert rollout.new_set_size(deployment(10, 0, 2), [old, new], new) == 0


def test_scaling_amid_a_rollout_is_shared_out_by_size() -> None:
    wanted = deployment(20, 0, 0)
    sets = [replica_set(8, "old", most=10), replica_set(2, "new", most=10)]
    sizes = {s["metadata"]["name"]: size for s, size in rollout.proportions(wanted, sets)}
    assert sizes == {"old": 16, "new": 4}


def test_the_last_of_rounding_goes_to_the_largest_set() -> None:
    wanted = deployment(7, 0, 0)
    sets = [replica_set(3, "c", most=5), replica_set(1, "b", most=5), replica_set(1, "a", most=5)]
    sizes = [size for _, size in rollout.proportions(wanted, sets)]
    assert sum(sizes) == 7
    assert max(sizes) == sizes[0]


def test_the_revision_before_the_newest() -> None:
    sets = [{"metadata": {"annotations": {rollout.REVISION: str(n)}}} for n in (1, 4, 2)]
    assert rollout.last_revision(sets) == 2
    assert rollout.last_revision(sets[:1]) == 0


def test_a_set_that_is_used_again_remembers_its_earlier_revisions() -> None:
    new = {"metadata": {"annotations": {rollout.REVISION: "1", rollout.REVISION_HISTORY: "0"}}, "spec": {}}
    assert rollout.annotate_new_set(deployment(1), new, 3, exists=True)
    assert new["metadata"]["annotations"] == {rollout.REVISION: "3", rollout.REVISION_HISTORY: "0,1"}


def test_annotations_are_copied_but_for_those_of_the_rollout() -> None:
    source = deployment(1)
    source["metadata"]["annotations"] = {"team": "a", rollout.REVISION: "9", rollout.LAST_APPLIED: "{}"}
    new: dict[str, Any] = {"metadata": {}, "spec": {}}
    rollout.annotate_new_set(source, new, 1, exists=False)
    copied = {"team": "a", rollout.REVISION: "1", rollout.DESIRED_REPLICAS: "1", rollout.MAX_REPLICAS: "2"}
    assert new["metadata"]["annotations"] == copied


def test_the_hash_is_stable_and_of_the_safe_alphabet() -> None:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "x"}]}}
    value = template_hash(template)
    assert value == template_hash({**template, "metadata": {"creationTimestamp": None, "labels": {"app": "web"}}})
    assert 8 <= len(value) <= 10
    assert set(value) <= set("bcdfghjklmnpqrstvwxz2456789")
    assert value != template_hash(template, 1)


def test_templates_are_compared_without_the_hash_label() -> None:
    one = {"metadata": {"labels": {"app": "web", "pod-template-hash": "x"}}, "spec": {}}
    assert same_template(one, {"metadata": {"labels": {"app": "web"}}, "spec": {}})
    assert not same_template(one, {"metadata": {"labels": {"app": "api"}}, "spec": {}})
