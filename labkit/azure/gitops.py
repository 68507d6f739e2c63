"""Step 10: the repository on the Git host, Flux as Azure's extension, and the configuration that follows the one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.azure.clients import SUCCEEDED, Clients, state, there
from labkit.checks.evidence import cluster_path
from labkit.errors import TargetError
from labkit.settings import Settings

if TYPE_CHECKING:
    from azure.mgmt.kubernetesconfiguration.extensions.models import Extension
    from azure.mgmt.kubernetesconfiguration.fluxconfigurations.models import FluxConfiguration

    from labkit.gitops.checkout import Checkout

EXTENSION = "flux"
CONFIGURATION = "flux-system"
"""Also its namespace, so that what is in the repository fits a bootstrap as well."""

PART = "app.kubernetes.io/part-of=flux"
"""What Flux's own Deployments are labelled with."""
PROVIDER = ("Microsoft.ContainerService", "managedClusters")


def extension() -> Extension:
    """microsoft.flux, kept up to date by Azure."""
    from azure.mgmt.kubernetesconfiguration.extensions import models

    properties = models.ExtensionProperties(
        extension_type="microsoft.flux",
        auto_upgrade_minor_version=True,
        release_train="Stable",
        scope=models.Scope(cluster=models.ScopeCluster(release_namespace="flux-system")),
    )
    return models.Extension(properties=properties, identity=models.Identity(type="SystemAssigned"))


def configuration(settings: Settings, token: str) -> FluxConfiguration:
    """What the cluster follows: one Kustomization, of the cluster's own folder; the rest is in the repository.

    The Git host is signed in to with `token`, which Azure keeps and never shows.
    """
    import base64

    from azure.mgmt.kubernetesconfiguration.fluxconfigurations import models

    repository = models.GitRepositoryDefinition(
        url=settings.repository_address,
        repository_ref=models.RepositoryRefDefinition(branch=settings.branch),
        sync_interval_in_seconds=60,
        https_user="git",
    )
    cluster = models.KustomizationDefinition(
        path=f"./clusters/{settings.cluster}",
        prune=True,
        wait=False,
        sync_interval_in_seconds=600,
        retry_interval_in_seconds=60,
        timeout_in_seconds=300,
    )
    properties = models.FluxConfigurationProperties(
        scope="cluster",
        namespace="flux-system",
        source_kind="GitRepository",
        git_repository=repository,
        kustomizations={"cluster": cluster},
        configuration_protected_settings={"httpsKey": base64.b64encode(token.encode()).decode()},
    )
    return models.FluxConfiguration(properties=properties)


def exists(clients: Clients, settings: Settings) -> bool:
    """True if the extension has been installed and a configuration follows the repository, neither of them failed."""
    on = f"{cluster_path(clients.subscription_id, settings)}/providers/Microsoft.KubernetesConfiguration"
    wanted = (("extensions", EXTENSION), ("fluxConfigurations", CONFIGURATION))
    well = all(state(clients.found(f"{on}/{kind}/{name}", kind)) == SUCCEEDED for kind, name in wanted)
    return well and not stopped(clients)


def stopped(clients: Clients) -> list[str]:
    """Flux's Deployments that somebody has scaled to zero, and so act on nothing; none where they cannot be read."""
    if clients.kubectl is None:
        return []
    names = "jsonpath={.items[?(@.spec.replicas==0)].metadata.name}"
    words = ["get", "deployments", "-n", CONFIGURATION, "-l", PART, "-o", names]
    return clients.kubectl(words, check=False).stdout.split()


def ensure(clients: Clients, settings: Settings, wait: Any) -> None:
    """Make the repository and what is in it, the extension and the configuration, where they are not there or failed.

    A Flux that was bootstrapped makes way for the extension, with its folder in the repository.
    """
    token = os.environ.get("GITHUB_TOKEN", "")
    if not token:
        raise TargetError(
            "no token for the Git host: the environment has no GITHUB_TOKEN.",
            "export GITHUB_TOKEN=…, with the right to make repositories; then start Jupyter anew",
        )
    where = (settings.resource_group, *PROVIDER, settings.cluster)
    checkout = lay_out(settings, token)
    if state(there(clients.extensions.extensions.get, *where, EXTENSION)) != SUCCEEDED:
        make_way(clients, settings, checkout)
        wait(clients.extensions.extensions.begin_create(*where, EXTENSION, extension()), "Installing Flux")
    configurations = clients.flux_configurations.flux_configurations
    if state(there(configurations.get, *where, CONFIGURATION)) != SUCCEEDED:
        poller = configurations.begin_create_or_update(*where, CONFIGURATION, configuration(settings, token))
        wait(poller, f"Letting the cluster follow {settings.repository}")
    for name in stopped(clients):
        assert clients.kubectl is not None
        clients.kubectl(["scale", f"deployment/{name}", "-n", CONFIGURATION, "--replicas", "1"])


def make_way(clients: Clients, settings: Settings, checkout: Checkout) -> None:
    """Take away a Flux that was bootstrapped, or what is left of one: Azure does not install beside it."""
    from labkit.gitops import bootstrap, uninstall
    from labkit.gitops.gitops import SOURCE

    if clients.kubectl is not None and (
        uninstall.installed(clients.kubectl) or uninstall.begun(clients.kubectl, SOURCE)
    ):
        uninstall.uninstall(clients.kubectl, SOURCE)
    if (checkout.folder / bootstrap.folder(settings)).exists():
        checkout.git(["rm", "-r", "--quiet", bootstrap.folder(settings)])
        checkout.commit("Leave Flux to Azure")


def lay_out(settings: Settings, token: str) -> Checkout:
    """Make the repository on GitHub unless it is there, and the folders in it; another host's must be there.

    Returns its clone.
    """
    from labkit.gitops import scaffold
    from labkit.gitops.checkout import Checkout

    if not settings.repository_url:
        _create(settings, token)
    home = (settings.path or Path("lab.toml")).resolve().parent
    checkout = Checkout(home / settings.repository, settings.repository_address, settings.branch)
    checkout.clone()
    if scaffold.write(checkout.folder, settings):
        checkout.commit("Lay out the repository")
    return checkout


def _create(settings: Settings, token: str) -> None:
    from github import Auth, Github, GithubException

    github = Github(auth=Auth.Token(token), seconds_between_requests=0)  # three of them; a pause would be for many
    try:
        github.get_repo(f"{settings.repository_owner}/{settings.repository}")
    except GithubException as error:
        if error.status != 404:
            raise
        user: Any = github.get_user()
        mine = user.login.lower() == settings.repository_owner.lower()
        owner: Any = user if mine else github.get_organization(settings.repository_owner)
        owner.create_repo(settings.repository, private=True, description="What runs on the AKS baseline")
