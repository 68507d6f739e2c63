"""Installs and removes microsoft.flux in a managed cluster, as the extension's operator does with its Helm release."""

from __future__ import annotations

import asyncio

from azsandbox.aks import add_ons, control_plane, identities
from azsandbox.aks.gitops import facts, ownership, refusals, release
from azsandbox.aks.gitops.settings import Settings, UnsupportedSetting, parse
from azsandbox.arm import errors
from azsandbox.arm.operations import Work
from azsandbox.arm.resources import Stored
from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.flux import installation
from azsandbox.kubernetes.errors import StatusError

MANAGER = "helm"
FLUXCONFIGS = path("clusterconfig.azure.com/v1alpha1", "fluxconfigs")
PATIENCE = 60.0  # seconds of this machine that Deployments get at least: their pods are real work here
PAUSE = 0.1


async def install(work: Work, cluster: Stored, extension: Stored) -> None:
    """Brings the release in the cluster to what is stored of the extension; safe to begin again. Raises ArmError."""
    # 1. What is asked for, or a refusal by name
    wanted = _settings(extension)
    version = extension.properties["version"] or facts.extension()["default"]
    if version not in facts.extension()["releases"]:
        known = ", ".join(facts.extension()["releases"])
        raise errors.not_supported(f"version {version} of microsoft.flux; the one that it installs is {known}")

    # 2. The cluster, with the agents that install extensions
    work.progress(5, "waiting for the cluster")
    client = await reach(work, cluster)
    work.progress(15, "installing the extension manager")
    await add_ons.converge(work.arm, cluster, client)
    work.operation.data["identity"] = identities.ensure_extension(work.arm, cluster, extension.name)

    # 3. The release, where nothing of it is there that somebody else has installed
    work.progress(30, "installing the release")
    helm, kind = client.named(MANAGER), work.operation.kind
    objects = release.objects(version, wanted, extension.name)
    taken = await ownership.conflict(helm, objects)
    if taken:
        raise refusals.existing(taken, kind)
    try:
        for obj in objects:
            await helm.apply(installation.address(obj), obj, MANAGER)
        await _drop(helm, wanted)
    except StatusError as error:
        if kind == "create":
            await _remove(helm)
        raise refusals.refused(error.message, kind) from error

    # 4. Until its Deployments are available; a new release that does not come up is taken away again
    work.progress(60, "waiting for the controllers")
    late = await _available(work, client, wanted)
    if late:
        if kind == "create":
            await _remove(helm)
        raise refusals.timed_out(late, kind)
    work.operation.data["version"] = version
    await work.wait()


async def uninstall(work: Work, cluster: Stored) -> None:
    """Takes the release out of the cluster; safe to begin again.

    First what the release's hook does before its deletion (delete-fluxconfig): FluxConfigs go, and with them the
    objects that they made, while there are still controllers to let them go. Then the release, Deployments first and
    definitions last. The namespace stays.
    """
    work.progress(5, "waiting for the cluster")
    client = await reach(work, cluster)
    work.progress(15, "deleting FluxConfigs")
    await _delete_configurations(work, client)
    work.progress(60, "deleting the release")
    await _remove(client.named(MANAGER))
    identities.remove_extension(work.arm, cluster, work.operation.resource.rsplit("/", 1)[-1])


async def reach(work: Work, cluster: Stored) -> KubeClient:
    """A client of the cluster, as soon as its API runs: a stopped cluster's operations wait for it."""
    while True:
        found = control_plane.client(work.arm, cluster)
        if found is not None:
            return found
        await asyncio.sleep(PAUSE)


def _settings(extension: Stored) -> Settings:
    protected = extension.private.get("protected") or {}
    try:
        return parse({**extension.properties["configurationSettings"], **protected})
    except UnsupportedSetting as error:
        raise errors.not_supported(str(error)) from None


async def _drop(client: KubeClient, wanted: Settings) -> None:
    """Deletes the controllers that the settings have switched off."""
    kinds = ("Deployment", "Service", "ServiceAccount")
    kept = release.deployments(wanted)
    for obj in installation.manifests(namespace=facts.namespace()):
        component = obj["metadata"]["labels"].get("app.kubernetes.io/component")
        if obj["kind"] in kinds and component not in (None, *kept):
            await client.gone(installation.address(obj), {"propagationPolicy": "Background"})


async def _available(work: Work, client: KubeClient, wanted: Settings) -> str:
    """Waits for the Deployments; returns the name of one that has not come up in time, "" when all have."""
    clock, loop = work.services.clock, asyncio.get_running_loop()
    until = loop.time() + max(PATIENCE, clock.scaled(facts.seconds("available")))
    deployments = path("apps/v1", "deployments", facts.namespace())
    while True:
        found = {d["metadata"]["name"]: d for d in await client.list(deployments)}
        waiting = [name for name in release.deployments(wanted) if not _is_available(found.get(name))]
        if not waiting:
            return ""
        if loop.time() > until:
            return waiting[0]
        await asyncio.sleep(PAUSE)


def _is_available(deployment: Object | None) -> bool:
    """As Helm sees it: the newest generation was observed and all of its replicas are available."""
    if deployment is None:
        return False
    status, spec = deployment.get("status") or {}, deployment["spec"]
    fresh = int(status.get("observedGeneration") or 0) >= int(deployment["metadata"]["generation"])
    return fresh and int(status.get("availableReplicas") or 0) >= int(spec.get("replicas", 1))


async def _delete_configurations(work: Work, client: KubeClient) -> None:
    """Deletes the FluxConfigs of all namespaces, and waits for them to go as long as the hook does."""
    loop = asyncio.get_running_loop()
    until = loop.time() + max(PATIENCE, work.services.clock.scaled(facts.seconds("hook")))
    while loop.time() < until:
        try:
            found = await client.list(FLUXCONFIGS)
        except StatusError as error:
            if error.code == 404:  # the definition has gone already
                return
            raise
        if not found:
            return
        for obj in found:
            if "deletionTimestamp" not in obj["metadata"]:
                metadata = obj["metadata"]
                await client.gone(path(obj["apiVersion"], "fluxconfigs", metadata["namespace"], metadata["name"]))
        await asyncio.sleep(PAUSE)


async def _remove(client: KubeClient) -> None:
    """Deletes the objects of the release, Deployments first, definitions last; what is not of a release stays."""
    every = Settings(tuple(facts.extension()["releases"][facts.extension()["default"]]["controllers"]))
    objects = release.objects(facts.extension()["default"], every, "flux")
    ranks = {"Deployment": 0, "CustomResourceDefinition": 2}
    for obj in sorted(objects, key=lambda o: ranks.get(o["kind"], 1)):
        if obj["kind"] != "Namespace" and await ownership.released(client, obj):
            await client.gone(installation.address(obj), {"propagationPolicy": "Background"})
