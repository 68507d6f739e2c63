"""The Config by which the add-on has Gatekeeper sync what policies need to know."""

from __future__ import annotations

from typing import Any

from azsandbox.aks.policy import facts, inventory
from azsandbox.aks.policy.installation import install
from azsandbox.cluster import Cluster
from azsandbox.controllers.client import path
from azsandbox.store import Store

STORE = "https://store.policy.core.windows.net/kubernetes"
CONFIG = path("config.gatekeeper.sh/v1alpha1", "configs", "gatekeeper-system", "config")


def templates(*names: str) -> list[dict[str, Any]]:
    return [facts.template(f"{STORE}/{name}/template.yaml") for name in names]


def test_templates_ask_for_kinds_each_once() -> None:
    asked = templates("unique-service-selectors/v1", "container-no-privilege/v2", "unique-service-selectors/v1")
    assert inventory.kinds_of(asked) == [{"group": "", "version": "v1", "kind": "Service"}]


async def test_the_config_follows_the_templates_and_keeps_what_else_it_says() -> None:
    cluster = Cluster("policy", Store(None).bucket("cluster"))
    await cluster.start()
    try:
        await install(cluster.client)
        await inventory.keep(cluster.client, templates("container-no-privilege/v2"))
        assert await cluster.client.find(CONFIG) is None
        await inventory.keep(cluster.client, templates("unique-service-selectors/v1"))
        match = [{"excludedNamespaces": ["a"], "processes": ["audit"]}]
        await cluster.client.patch(CONFIG, {"spec": {"match": match}})
        await inventory.keep(cluster.client, templates("disallowed-bad-pod-disruption-budgets/v2"))
        spec = (await cluster.client.get(CONFIG))["spec"]
        assert spec["match"] == match
        kinds = [entry["kind"] for entry in spec["sync"]["syncOnly"]]
        assert kinds == ["Deployment", "StatefulSet", "PodDisruptionBudget"]
        await inventory.keep(cluster.client, [])
        assert (await cluster.client.get(CONFIG))["spec"]["sync"]["syncOnly"] == []
    finally:
        await cluster.stop()
