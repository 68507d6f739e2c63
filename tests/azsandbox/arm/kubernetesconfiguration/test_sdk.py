"""GitOps on a managed cluster by Azure's own SDKs, against a running sandbox."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.mgmt.kubernetesconfiguration.extensions import KubernetesConfigurationExtensionsMgmtClient as Extensions
from azure.mgmt.kubernetesconfiguration.extensions.models import Extension, ExtensionProperties
from azure.mgmt.kubernetesconfiguration.fluxconfigurations import (
    KubernetesConfigurationFluxConfigurationsMgmtClient as FluxConfigurations,
)
from azure.mgmt.kubernetesconfiguration.fluxconfigurations.models import (
    FluxConfiguration,
    FluxConfigurationProperties,
    GitRepositoryDefinition,
    KustomizationDefinition,
    RepositoryRefDefinition,
)

from tests.azsandbox.arm.containerservice.test_clusters import GROUP, Azure, until
from tests.azsandbox.processes import Sandbox, running

CLUSTER = ("Microsoft.ContainerService", "managedClusters")
FLUX_SYSTEM = "/apis/apps/v1/namespaces/flux-system/deployments"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class GitOps(Azure):
    """The SDKs' clients for extensions and Flux configurations, besides that for clusters."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        words: dict[str, Any] = {
            "base_url": self.env["arm_endpoint"],
            "connection_verify": self.env["ca"],
            "polling_interval": 1,
        }
        credential, subscription = ManagedIdentityCredential(), self.env["subscription_id"]
        self.extensions = Extensions(credential, subscription, **words).extensions
        self.configurations = FluxConfigurations(credential, subscription, **words).flux_configurations

    def install(self, cluster: str, **settings: str) -> Any:
        properties = ExtensionProperties(extension_type="microsoft.flux", configuration_settings=settings or None)
        return self.extensions.begin_create(GROUP, *CLUSTER, cluster, "flux", Extension(properties=properties))

    def configure(self, cluster: str, name: str = "cfg", **more: Any) -> Any:
        source = GitRepositoryDefinition(
            url="https://github.com/contoso/none", repository_ref=RepositoryRefDefinition(branch="main")
        )
        properties = FluxConfigurationProperties(
            namespace="gitops",
            source_kind="GitRepository",
            git_repository=source,
            kustomizations={"apps": KustomizationDefinition(path="./apps", prune=True)},
            **more,
        )
        body = FluxConfiguration(properties=properties)
        return self.configurations.begin_create_or_update(GROUP, *CLUSTER, cluster, name, body)


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitOps]:
    with running(tmp_path_factory.mktemp("sandbox") / "home") as sandbox:
        found = GitOps(sandbox)
        found.create("gitops")
        yield found


def names(kube: httpx.Client, url: str) -> list[str]:
    return [item["metadata"]["name"] for item in kube.get(url).json().get("items", [])]


def test_the_extension_and_a_configuration_live_and_die(azure: GitOps) -> None:
    kube = azure.kubernetes("gitops")
    pending = azure.configure("gitops")
    extension = azure.install("gitops", **{"notification-controller.enabled": "false"}).result()
    assert extension.properties.provisioning_state == "Succeeded"
    assert extension.properties.current_version == "1.23.0"
    assert extension.properties.aks_assigned_identity.principal_id
    assert sorted(names(kube, FLUX_SYSTEM)) == [
        "fluxconfig-agent",
        "fluxconfig-controller",
        "helm-controller",
        "kustomize-controller",
        "source-controller",
    ]
    assert {"extension-agent", "extension-operator"} <= set(
        names(kube, "/apis/apps/v1/namespaces/kube-system/deployments")
    )
    found = pending.result()
    assert found.properties.provisioning_state == "Succeeded"
    assert names(kube, "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/gitops/kustomizations") == ["cfg-apps"]

    # A setting that changes takes effect; one that is not known fails the operation by name and leaves the rest
    change = {"properties": {"configurationSettings": {"notification-controller.enabled": "true"}}}
    azure.extensions.begin_update(GROUP, *CLUSTER, "gitops", "flux", change).result()
    assert "notification-controller" in names(kube, FLUX_SYSTEM)
    with pytest.raises(HttpResponseError, match=r"the setting 'workloadIdentity\.enable'"):
        azure.install("gitops", **{"workloadIdentity.enable": "true"}).result()
    assert azure.extensions.get(GROUP, *CLUSTER, "gitops", "flux").properties.provisioning_state == "Failed"
    azure.install("gitops").result()

    # The configuration goes with its objects, the extension with its definitions
    azure.configurations.begin_delete(GROUP, *CLUSTER, "gitops", "cfg").result()
    assert names(kube, "/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations") == []
    assert not list(azure.configurations.list(GROUP, *CLUSTER, "gitops"))
    azure.extensions.begin_delete(GROUP, *CLUSTER, "gitops", "flux").result()
    with pytest.raises(ResourceNotFoundError):
        azure.extensions.get(GROUP, *CLUSTER, "gitops", "flux")
    assert names(kube, FLUX_SYSTEM) == []
    assert until(lambda: not [n for n in names(kube, DEFINITIONS) if "fluxcd.io" in n or "azure.com" in n], 60)


def test_an_extension_that_goes_before_its_configurations_takes_their_objects_along(azure: GitOps) -> None:
    kube = azure.kubernetes("gitops")
    azure.install("gitops").result()
    azure.configure("gitops", "left").result()
    azure.extensions.begin_delete(GROUP, *CLUSTER, "gitops", "flux").result()
    assert until(lambda: not [n for n in names(kube, DEFINITIONS) if "fluxcd.io" in n], 60)
    (left,) = azure.configurations.list(GROUP, *CLUSTER, "gitops")
    assert left.name == "left"
    azure.configurations.begin_delete(GROUP, *CLUSTER, "gitops", "left").result()
    assert not list(azure.configurations.list(GROUP, *CLUSTER, "gitops"))


def test_a_cluster_that_refuses_the_release_fails_the_operation_in_azures_words_and_it_can_be_done_again(
    azure: GitOps,
) -> None:
    """It was an internal server error, with a traceback in the log, and nothing after it came to an end."""
    kube = azure.kubernetes("gitops")
    space, log = "/api/v1/namespaces/flux-system", Path(azure.env["home"]) / "sandbox.log"
    before = log.read_text().count("Traceback")
    held = {"name": "held", "namespace": "flux-system", "finalizers": ["example.com/nobody"]}
    kube.post(
        f"{space}/configmaps", json={"apiVersion": "v1", "kind": "ConfigMap", "metadata": held}
    ).raise_for_status()
    kube.delete(space).raise_for_status()
    with pytest.raises(HttpResponseError, match="because it is being terminated") as refused:
        azure.install("gitops").result()
    assert refused.value.error is not None and refused.value.error.code == "ExtensionOperationFailed"
    failed = azure.extensions.get(GROUP, *CLUSTER, "gitops", "flux").properties
    assert failed.provisioning_state == "Failed" and failed.error_info.code == "ExtensionOperationFailed"
    (status,) = failed.statuses
    assert status.code == "InstallationFailed"
    assert status.message.startswith("Error: [ InnerError: [Helm installation failed : Unable to create/update")
    assert "uninstalled due to atomic being set" in status.message
    assert log.read_text().count("Traceback") == before
    merge = {"content-type": "application/merge-patch+json"}
    kube.patch(f"{space}/configmaps/held", json={"metadata": {"finalizers": None}}, headers=merge).raise_for_status()
    assert until(lambda: kube.get(space).status_code == 404, 60)

    # What somebody else has installed is not taken over, and not taken away
    own = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}}
    kube.post("/api/v1/namespaces", json=own).raise_for_status()
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "source-controller"}}
    kube.post(f"{space}/serviceaccounts", json=account).raise_for_status()
    taken = 'ServiceAccount "source-controller" in namespace "flux-system" exists and cannot be imported'
    with pytest.raises(HttpResponseError, match=taken):
        azure.install("gitops").result()
    assert kube.get(f"{space}/serviceaccounts/source-controller").status_code == 200
    kube.delete(f"{space}/serviceaccounts/source-controller").raise_for_status()
    made = azure.install("gitops").result().properties
    assert (made.provisioning_state, made.statuses, made.error_info) == ("Succeeded", [], None)


def test_an_operation_that_waits_ends_with_its_cluster(azure: GitOps) -> None:
    azure.extensions.begin_delete(GROUP, *CLUSTER, "gitops", "flux").result()
    pending = azure.configure("gitops", "waiting")
    time.sleep(1)
    assert pending.status() == "Creating"
    azure.client.managed_clusters.begin_delete(GROUP, "gitops").result()
    assert until(pending.done, 60)


def test_kill_9_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "home") as sandbox:
        azure = GitOps(sandbox)
        azure.create("crash")
        azure.configure("crash")
        azure.install("crash")
        again = _again(azure, sandbox)
        assert until(lambda: _state(again.extensions, "flux") == "Succeeded", 120)
        assert until(lambda: _state(again.configurations, "cfg") == "Succeeded", 60)
        again.configurations.begin_delete(GROUP, *CLUSTER, "crash", "cfg")
        once_more = _again(again, sandbox)

        def gone() -> bool:
            return not list(once_more.configurations.list(GROUP, *CLUSTER, "crash"))

        assert until(gone, 60)
        kube = once_more.kubernetes("crash")

        def left() -> list[str] | None:
            try:
                return names(kube, "/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations")
            except httpx.TransportError:  # the cluster's API starts after Resource Manager
                return None

        assert until(lambda: left() == [], 60)


def _again(azure: GitOps, sandbox: Sandbox) -> GitOps:
    """Kills the sandbox and starts it again."""
    os.kill(azure.env["pid"], signal.SIGKILL)
    time.sleep(0.3)
    sandbox.run("up")
    return GitOps(sandbox)


def _state(clients: Any, name: str) -> str:
    found: str = clients.get(GROUP, *CLUSTER, "crash", name).properties.provisioning_state
    return found
