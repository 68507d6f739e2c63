"""The extension's two agents in a cluster, with the test in the part of Flux and of Resource Manager."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from azsandbox.aks.gitops import agent, controller, facts, processes, release
from azsandbox.aks.gitops.settings import parse
from azsandbox.arm import Arm
from azsandbox.arm.providers.kubernetesconfiguration.data_plane import DataPlane
from azsandbox.clock import Clock
from azsandbox.cluster import Cluster, add_nodes, all_controllers
from azsandbox.controllers.client import path
from azsandbox.flux import installation, reconcilers
from azsandbox.flux.runtime import FluxRuntime
from azsandbox.kubernetes.errors import StatusError
from azsandbox.store import Store
from tests.azsandbox.arm.conftest import Services
from tests.azsandbox.arm.kubernetesconfiguration.conftest import CLUSTER, Configurations, git

KUSTOMIZE, SOURCE = "kustomize.toolkit.fluxcd.io/v1", "source.toolkit.fluxcd.io/v1"
CONFIG = path("clusterconfig.azure.com/v1alpha1", "fluxconfigs", "gitops", "cfg")
APPS = path(KUSTOMIZE, "kustomizations", "gitops", "cfg-apps")
REPOSITORY = path(SOURCE, "gitrepositories", "gitops", "cfg")


class Lab:
    """Resource Manager and a cluster with the extension, both without what the agents are not about."""

    def __init__(self, arm: Arm, cluster: Cluster) -> None:
        self.azure, self.cluster, self.client = Configurations(arm), cluster, cluster.client

    async def prepare(self) -> None:
        await self.azure.prepare()
        await self.cluster.start()
        await add_nodes(self.client, 1)
        for obj in release.objects(facts.extension()["default"], parse({}), "flux"):
            await self.client.apply(installation.address(obj), obj, "helm")
        self.azure.have_extension()

    async def found(self, url: str) -> dict[str, Any]:
        """The object, as soon as it is there."""

        async def look() -> bool:
            return await self.client.find(url) is not None

        await until(look)
        return await self.client.get(url)

    async def gone(self, url: str) -> None:
        async def look() -> bool:
            return await self.client.find(url) is None

        await until(look)

    async def ready(self, url: str, status: str = "True", message: str = "done", **more: Any) -> None:
        """What Flux would write into an object's status."""
        generation = (await self.client.get(url))["metadata"]["generation"]
        condition = {"type": "Ready", "status": status, "reason": "Told", "message": message}
        condition["lastTransitionTime"] = "2026-11-25T10:00:00Z"
        change = {"status": {"conditions": [condition], "observedGeneration": generation, **more}}
        await self.client.patch(f"{url}/status", change)

    async def scale(self, deployment: str, replicas: int) -> None:
        url = path("apps/v1", "deployments", facts.namespace(), deployment)
        await self.client.patch(f"{url}/scale", {"spec": {"replicas": replicas}})

        async def look() -> bool:
            status = (await self.client.get(url)).get("status") or {}
            return int(status.get("availableReplicas") or 0) == replicas

        await until(look)

    async def azure_says(self, key: str, value: Any) -> dict[str, Any]:
        """Azure's properties, as soon as one of them is as told."""
        properties: dict[str, Any] = {}

        async def look() -> bool:
            nonlocal properties
            properties = (await self.azure("GET", "fluxConfigurations/cfg")).json()["properties"]
            return bool(properties[key] == value)

        await until(look)
        return properties


async def until(seen: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not await seen():  # noqa: ASYNC110 - what is seen is asked for over an API
            await asyncio.sleep(0.05)


@pytest.fixture
async def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lab]:
    monkeypatch.setattr(reconcilers, "reconcilers_of", lambda program: [])  # the test is Flux
    monkeypatch.setattr(controller, "SETTLE", 1.0)
    arm = Arm(Services(Store(None), Clock()))
    await arm.start()
    options = {"profile": "kwok", "flux": FluxRuntime(tmp_path)}
    cluster = Cluster("gitops", Store(None).bucket("cluster"), controllers=all_controllers(), options=options)
    cluster.add(processes.AgentProcesses, data_plane=DataPlane(arm, CLUSTER))
    made = Lab(arm, cluster)
    await made.prepare()
    yield made
    await cluster.stop()
    await arm.close()


async def test_a_configuration_comes_to_be_in_the_cluster_and_its_status_back_in_azure(lab: Lab) -> None:
    made = await lab.azure("PUT", "fluxConfigurations/cfg", git())
    await lab.found(APPS)
    artifact = {"revision": "main@sha1:0a", "digest": "sha256:0", "url": "http://x", "path": "x"}
    artifact["lastUpdateTime"] = "2026-11-25T10:00:00Z"
    await lab.ready(REPOSITORY, artifact=artifact)
    await lab.ready(APPS, "False", "Service/web namespace not specified")
    assert (await lab.azure.ended(made))["status"] == "Succeeded"
    properties = await lab.azure_says("complianceState", "Non-Compliant")
    assert properties["provisioningState"] == "Succeeded"
    assert properties["sourceSyncedCommitId"] == "main@sha1:0a"
    assert properties["sourceUpdatedAt"] == "2026-11-25T10:00:00+00:00"
    source, apps = properties["statuses"]
    assert (source["name"], source["kind"], source["complianceState"]) == ("cfg", "GitRepository", "Compliant")
    assert (apps["name"], apps["namespace"], apps["complianceState"]) == ("cfg-apps", "gitops", "Non-Compliant")
    assert apps["statusConditions"][0]["message"] == "Service/web namespace not specified"
    await lab.ready(APPS)
    await lab.azure_says("complianceState", "Compliant")
    config = await lab.client.get(CONFIG)
    assert config["status"]["provisioningState"] == "Succeeded"
    assert config["status"]["dataplaneStatus"]["isSyncedWithAzure"] is True


async def test_an_edit_by_hand_is_put_back(lab: Lab) -> None:
    await lab.azure("PUT", "fluxConfigurations/cfg", git())
    for url, change in (
        (APPS, {"spec": {"prune": True, "targetNamespace": "elsewhere"}}),
        (REPOSITORY, {"spec": {"ref": {"branch": "evil"}}}),
        (CONFIG, {"spec": {"suspend": True}}),
    ):
        spec = (await lab.found(url))["spec"]
        await lab.client.patch(url, change)

        async def back(url: str = url, spec: dict[str, Any] = spec) -> bool:
            return bool((await lab.client.get(url))["spec"] == spec)

        await until(back)
    await lab.client.delete(REPOSITORY)
    await lab.client.patch(REPOSITORY, {"metadata": {"finalizers": None}}) if await lab.client.find(
        REPOSITORY
    ) else None
    await lab.found(REPOSITORY)


async def test_a_status_is_told_without_looking_at_all_that_should_be_there(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await lab.azure("PUT", "fluxConfigurations/cfg", git())
    await lab.found(APPS)
    await lab.ready(REPOSITORY)
    await lab.ready(APPS)
    await lab.azure.ended(made)
    await lab.azure_says("complianceState", "Compliant")
    looks: list[str] = []
    drop, bring = controller.FluxConfigController._drop, agent.FluxConfigAgent._bring

    async def dropped(self: Any, *rest: Any) -> None:
        looks.append("controller")
        await drop(self, *rest)

    async def brought(self: Any, *rest: Any) -> dict[str, Any]:
        looks.append("agent")
        return await bring(self, *rest)

    monkeypatch.setattr(controller.FluxConfigController, "_drop", dropped)
    monkeypatch.setattr(agent.FluxConfigAgent, "_bring", brought)
    await lab.ready(APPS, "False", "Service/web namespace not specified")
    await lab.azure_says("complianceState", "Non-Compliant")
    assert looks == []
    await lab.ready(APPS)
    await lab.client.patch(APPS, {"spec": {"prune": True}})

    async def back() -> bool:
        return (await lab.client.get(APPS))["spec"]["prune"] is False

    await until(back)
    assert "controller" in looks


async def test_a_request_to_reconcile_is_left_alone(lab: Lab) -> None:
    await lab.azure("PUT", "fluxConfigurations/cfg", git())
    await lab.found(APPS)
    annotation = {"reconcile.fluxcd.io/requestedAt": "2030-01-01T00:00:00Z"}
    await lab.client.patch(REPOSITORY, {"metadata": {"annotations": annotation}})
    await lab.client.patch(APPS, {"metadata": {"annotations": annotation}})
    await lab.client.patch(APPS, {"spec": {"prune": True}})

    async def back() -> bool:
        return (await lab.client.get(APPS))["spec"]["prune"] is False

    await until(back)
    found = (await lab.client.get(APPS))["metadata"]["annotations"]
    assert found["reconcile.fluxcd.io/requestedAt"] == annotation["reconcile.fluxcd.io/requestedAt"]


async def test_the_agents_act_only_while_they_run(lab: Lab) -> None:
    await lab.found(path("apps/v1", "deployments", facts.namespace(), "fluxconfig-agent"))
    await lab.scale("fluxconfig-agent", 1)
    await lab.scale("fluxconfig-agent", 0)
    made = await lab.azure("PUT", "fluxConfigurations/cfg", git())
    await asyncio.sleep(0.5)
    assert await lab.client.find(CONFIG) is None
    assert (await lab.azure.status(made))["status"] == "Creating"
    await lab.scale("fluxconfig-controller", 0)
    await lab.scale("fluxconfig-agent", 1)
    await lab.found(CONFIG)
    await asyncio.sleep(0.5)
    assert await lab.client.find(APPS) is None
    await lab.scale("fluxconfig-controller", 1)
    await lab.found(APPS)
    assert (await lab.azure.ended(made))["status"] == "Succeeded"


async def test_changes_reach_the_objects_and_what_was_removed_goes(lab: Lab) -> None:
    await lab.azure("PUT", "fluxConfigurations/cfg", git())
    await lab.found(APPS)
    change = {"kustomizations": {"apps": None, "infra": {"path": "./infra"}}, "suspend": True}
    await lab.azure("PATCH", "fluxConfigurations/cfg", {"properties": change})
    await lab.gone(APPS)
    infra = await lab.found(path(KUSTOMIZE, "kustomizations", "gitops", "cfg-infra"))
    assert infra["spec"]["suspend"] is True
    await lab.azure_says("complianceState", "Suspended")


async def test_waiting_for_reconciliation_fails_the_operation_when_it_takes_too_long(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controller, "WAIT", 1.5)
    body = git(waitForReconciliation=True, reconciliationWaitDuration="PT1M")
    made = await lab.azure("PUT", "fluxConfigurations/cfg", body)
    await lab.found(APPS)
    await lab.ready(REPOSITORY)
    await lab.ready(APPS, "False", "Deployment/web is not ready")
    found = await lab.azure.ended(made)
    assert found["status"] == "Failed" and "Deployment/web is not ready" in found["error"]["message"]
    await lab.ready(APPS)
    properties = await lab.azure_says("provisioningState", "Succeeded")
    assert properties["complianceState"] == "Compliant" and properties["errorMessage"] == ""


async def test_a_deletion_takes_kustomizations_first_then_the_rest(lab: Lab) -> None:
    await lab.azure("PUT", "fluxConfigurations/cfg", git())
    await lab.found(APPS)
    await lab.client.patch(APPS, {"metadata": {"finalizers": ["finalizers.fluxcd.io"]}})  # as kustomize-controller does
    gone = await lab.azure("DELETE", "fluxConfigurations/cfg")

    async def leaving() -> bool:
        return "deletionTimestamp" in (await lab.client.get(APPS))["metadata"]

    await until(leaving)
    assert "deletionTimestamp" not in (await lab.client.get(REPOSITORY))["metadata"]
    await lab.client.patch(APPS, {"metadata": {"finalizers": None}})
    assert (await lab.azure.ended(gone))["status"] == "Succeeded"
    for url in (APPS, REPOSITORY, CONFIG, path("v1", "serviceaccounts", "gitops", "flux-applier")):
        assert await lab.client.find(url) is None
    bindings = await lab.client.list(path("rbac.authorization.k8s.io/v1", "clusterrolebindings"))
    assert not [b for b in bindings if b["metadata"]["name"].startswith("flux-applier")]


async def test_protected_settings_become_the_secret_of_the_source(lab: Lab) -> None:
    source = {"url": "https://git.example/repo", "httpsUser": "robot"}
    body = git(gitRepository=source, configurationProtectedSettings={"httpsKey": "s3cret"})
    await lab.azure("PUT", "fluxConfigurations/cfg", body)
    repository = await lab.found(REPOSITORY)
    assert repository["spec"]["secretRef"] == {"name": "cfg-auth"}
    secret = await lab.client.get(path("v1", "secrets", "gitops", "cfg-auth"))
    assert set(secret["data"]) == {"username", "password"}


async def test_an_ssh_address_without_a_key_gets_one_that_azure_shows(lab: Lab) -> None:
    body = git(gitRepository={"url": "ssh://git@git.example/repo"})
    await lab.azure("PUT", "fluxConfigurations/cfg", body)
    await lab.found(APPS)

    async def shown() -> bool:
        properties = (await lab.azure("GET", "fluxConfigurations/cfg")).json()["properties"]
        return str(properties["repositoryPublicKey"] or "").startswith("ssh-rsa ")

    await until(shown)
    secret = await lab.client.get(path("v1", "secrets", "gitops", "cfg-auth"))
    assert {"identity", "identity.pub", "known_hosts"} == set(secret["data"])


async def test_what_is_not_azures_is_left_alone(lab: Lab) -> None:
    with pytest.raises(StatusError):
        await lab.client.get(CONFIG)
    mine = {"apiVersion": KUSTOMIZE, "kind": "Kustomization", "metadata": {"name": "mine", "namespace": "default"}}
    spec = {"interval": "1m", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "x"}}
    await lab.client.create(path(KUSTOMIZE, "kustomizations", "default"), {**mine, "spec": spec})
    await lab.azure("PUT", "fluxConfigurations/cfg", git())
    await lab.found(APPS)
    await lab.azure("DELETE", "fluxConfigurations/cfg")
    await lab.gone(CONFIG)
    assert await lab.client.find(path(KUSTOMIZE, "kustomizations", "default", "mine")) is not None
