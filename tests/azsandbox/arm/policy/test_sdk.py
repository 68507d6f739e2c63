"""Azure's own clients of policy against the sandbox, over TLS."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.policyinsights import PolicyInsightsClient
from azure.mgmt.resource.policy import PolicyClient
from azure.mgmt.resource.resources import ResourceManagementClient

from tests.azsandbox.arm.test_sdk import Cloud, cloud

__all__ = ["cloud"]

LOCATIONS = "/providers/Microsoft.Authorization/policyDefinitions/e56962a6-4747-49cd-b67b-bf8b01975c4c"


async def test_a_policy_is_assigned_denies_and_is_reported(cloud: Cloud) -> None:
    policy, insights = cloud.client(PolicyClient), cloud.client(PolicyInsightsClient)
    network, resources = cloud.client(NetworkManagementClient), cloud.client(ResourceManagementClient)

    def work() -> None:
        resources.resource_groups.create_or_update("rg", {"location": "westeurope"})
        scope = f"/subscriptions/{cloud.host.subscription_id}/resourceGroups/rg"
        network.network_security_groups.begin_create_or_update("rg", "here", {"location": "westeurope"}).result()
        values: Any = {"listOfAllowedLocations": {"value": ["northeurope"]}}
        body = {"properties": {"policyDefinitionId": LOCATIONS, "displayName": "Only the north", "parameters": values}}
        held = policy.policy_assignments.create(scope, "north", body)
        assert (held.name, held.scope) == ("north", scope)
        assert policy.policy_definitions.get_built_in(LOCATIONS.rsplit("/", 1)[-1]).policy_type == "BuiltIn"
        assert [a.name for a in policy.policy_assignments.list_for_resource_group("rg")] == ["north"]
        with pytest.raises(HttpResponseError) as caught:
            network.network_security_groups.begin_create_or_update("rg", "there", {"location": "westeurope"})
        assert caught.value.error is not None
        assert caught.value.error.code == "RequestDisallowedByPolicy"
        insights.policy_states.begin_trigger_resource_group_evaluation(cloud.host.subscription_id, "rg").result()
        (summary,) = insights.policy_states.summarize_for_resource_group(
            "latest", cloud.host.subscription_id, "rg"
        ).value
        assert summary.results.non_compliant_resources == 1
        found = list(
            insights.policy_states.list_query_results_for_resource_group("latest", cloud.host.subscription_id, "rg")
        )
        assert [s.compliance_state for s in found] == ["NonCompliant"]
        policy.policy_assignments.delete(scope, "north")
        with pytest.raises(ResourceNotFoundError):
            policy.policy_assignments.get(scope, "north")

    await asyncio.to_thread(work)
