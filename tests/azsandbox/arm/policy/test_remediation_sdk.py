"""Built-in policies that deploy to a managed cluster, followed from assignment to remediation by Azure's clients."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import Any

import pytest
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.containerservice import ContainerServiceClient
from azure.mgmt.kubernetesconfiguration.extensions import KubernetesConfigurationExtensionsMgmtClient
from azure.mgmt.loganalytics import LogAnalyticsManagementClient
from azure.mgmt.monitor import MonitorManagementClient
from azure.mgmt.policyinsights import PolicyInsightsClient
from azure.mgmt.policyinsights.models import Remediation
from azure.mgmt.resource.policy import PolicyClient
from azure.mgmt.resource.resources import ResourceManagementClient

from tests.azsandbox.arm.test_sdk import Cloud, cloud

__all__ = ["cloud"]

B = "/providers/Microsoft.Authorization/policyDefinitions"
ADD_ON = "a8eff44f-8c92-45c3-a3fb-9880802d67a7"
DIAGNOSTICS = "6c66c325-74c8-42fd-a286-a74b0e2939d8"
DEFENDER = "64def556-fbad-4622-930e-72d1d5589bf5"
NO_COMMANDS = "1b708b0a-3380-40e9-8b79-821f9fa224cc"
FLUX = "f9175d5f-abc8-1dc3-bd3c-5d7476ada3d1"


class Lab:
    """A cluster with a workspace, and the clients that ask about them."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.subscription = cloud.host.subscription_id
        self.scope = f"/subscriptions/{self.subscription}/resourceGroups/rg"
        self.policy, self.insights = cloud.client(PolicyClient), cloud.client(PolicyInsightsClient)
        self.aks = cloud.client(ContainerServiceClient).managed_clusters

    def build(self) -> None:
        self.cloud.client(ResourceManagementClient).resource_groups.create_or_update("rg", {"location": "westeurope"})
        workspaces = self.cloud.client(LogAnalyticsManagementClient).workspaces
        self.workspace = workspaces.begin_create_or_update("rg", "logs", {"location": "westeurope"}).result().id
        pool = {"name": "system", "mode": "System", "count": 1, "vmSize": "Standard_D4ds_v5"}
        body: Any = {
            "location": "westeurope",
            "identity": {"type": "SystemAssigned"},
            "tags": {"team": "blue"},
            "properties": {"dnsPrefix": "shop", "agentPoolProfiles": [pool], "oidcIssuerProfile": {"enabled": True}},
        }
        self.cluster = self.aks.begin_create_or_update("rg", "shop", body).result()

    def assign(self, name: str, **values: Any) -> Any:
        """Assigns a built-in definition, and gives its identity the roles that it names."""
        body: Any = {
            "location": "westeurope",
            "identity": {"type": "SystemAssigned"},
            "properties": {
                "policyDefinitionId": f"{B}/{name}",
                "parameters": {key: {"value": value} for key, value in values.items()},
            },
        }
        held = self.policy.policy_assignments.create(self.scope, name[:8], body)
        rule: Any = self.policy.policy_definitions.get_built_in(name).policy_rule
        roles = self.cloud.client(AuthorizationManagementClient).role_assignments
        for role in rule["then"]["details"]["roleDefinitionIds"]:
            given: Any = {"properties": {"roleDefinitionId": role, "principalId": held.identity.principal_id}}
            roles.create(f"/subscriptions/{self.subscription}", str(uuid.uuid4()), given)
        return held

    def states(self) -> dict[str, str]:
        self.insights.policy_states.begin_trigger_resource_group_evaluation(self.subscription, "rg").result()
        found = self.insights.policy_states.list_query_results_for_resource("latest", self.cluster.id)
        return {s.policy_assignment_name: s.compliance_state for s in found}

    def remediate(self, held: Any) -> Any:
        tasks = self.insights.remediations
        tasks.create_or_update_at_resource_group("rg", held.name, Remediation(policy_assignment_id=held.id))
        until = time.monotonic() + 60
        while (task := tasks.get_at_resource_group("rg", held.name)).provisioning_state not in ("Succeeded", "Failed"):
            assert time.monotonic() < until, task
            time.sleep(0.1)
        deployments = list(tasks.list_deployments_at_resource_group("rg", held.name))
        problems = [json.dumps(d.error.serialize(keep_readonly=True)) for d in deployments if d.error]
        assert not problems
        assert task.provisioning_state == "Succeeded"
        assert [d.status for d in deployments] == ["Succeeded"]
        return task


@pytest.fixture
async def lab(cloud: Cloud) -> Lab:
    made = Lab(cloud)
    await asyncio.to_thread(made.build)
    return made


async def test_the_policy_add_on_is_deployed_and_the_rest_of_the_cluster_stays(lab: Lab) -> None:
    def work() -> None:
        held = lab.assign(ADD_ON)
        assert lab.states() == {held.name: "NonCompliant"}
        lab.remediate(held)
        found = lab.aks.get("rg", "shop")
        assert found.addon_profiles["azurepolicy"].enabled
        assert found.tags == {"team": "blue"}
        assert found.oidc_issuer_profile.enabled
        assert found.identity.principal_id == lab.cluster.identity.principal_id
        assert lab.states() == {held.name: "Compliant"}

    await asyncio.to_thread(work)


async def test_diagnostic_settings_are_deployed(lab: Lab) -> None:
    def work() -> None:
        held = lab.assign(DIAGNOSTICS, logAnalytics=lab.workspace)
        assert lab.states() == {held.name: "NonCompliant"}
        lab.remediate(held)
        (setting,) = lab.cloud.client(MonitorManagementClient).diagnostic_settings.list(lab.cluster.id)
        on = [entry.category for entry in setting.logs if entry.enabled]
        assert "kube-audit" in on
        assert setting.workspace_id == lab.workspace
        assert lab.states() == {held.name: "Compliant"}

    await asyncio.to_thread(work)


async def test_the_defender_profile_is_deployed_by_a_deployment_at_the_subscription(lab: Lab) -> None:
    def work() -> None:
        held = lab.assign(DEFENDER, logAnalyticsWorkspaceResourceId=lab.workspace)
        assert lab.states() == {held.name: "NonCompliant"}
        lab.remediate(held)
        profile = lab.aks.get("rg", "shop").security_profile.defender
        assert profile.security_monitoring.enabled
        assert lab.states() == {held.name: "Compliant"}

    await asyncio.to_thread(work)


async def test_the_extension_of_flux_is_deployed_and_run_command_is_disabled(lab: Lab) -> None:
    def work() -> None:
        flux, commands = lab.assign(FLUX), lab.assign(NO_COMMANDS)
        assert lab.states() == {flux.name: "NonCompliant", commands.name: "NonCompliant"}
        lab.remediate(flux)
        lab.remediate(commands)
        extensions = lab.cloud.client(KubernetesConfigurationExtensionsMgmtClient).extensions
        found = extensions.get("rg", "Microsoft.ContainerService", "managedClusters", "shop", "flux")
        assert found.extension_type == "microsoft.flux"
        assert lab.aks.get("rg", "shop").api_server_access_profile.disable_run_command
        assert lab.states() == {flux.name: "Compliant", commands.name: "Compliant"}

    await asyncio.to_thread(work)
