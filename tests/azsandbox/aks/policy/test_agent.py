"""The add-on's agent: assignments become constraints with Azure's names, and how they are kept is reported."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import Any

import pytest
import yaml

from azsandbox.aks.policy import facts
from azsandbox.arm.policy import reports
from azsandbox.controllers.client import path
from tests.azsandbox.aks.policy.conftest import CLUSTER, GROUP, Lab, V, until

PRIVILEGED = "95edb821-ddaf-4404-9732-666045e056b4"
ESCALATION = "1c6e92c9-99f0-4e55-9cf2-0c234dc48f99"
IMAGES = "febd0533-8e55-448f-b837-bd0e06f16469"
BASELINE = "/providers/Microsoft.Authorization/policySetDefinitions/a8640138-9b0a-4a28-b8cb-1666c838647d"
NO_PRIVILEGE = "K8sAzureV2NoPrivilege"


async def test_an_assignment_becomes_a_constraint_that_denies(lab: Lab) -> None:
    held = await lab.assign(PRIVILEGED)
    found = await lab.only(NO_PRIVILEGE)
    metadata, spec = found["metadata"], found["spec"]
    assert re.fullmatch("azurepolicy-k8sazurev2noprivilege-[0-9a-f]{20}", metadata["name"])
    assert metadata["labels"] == {"managed-by": "azure-policy-addon"}
    assert metadata["annotations"] == {
        "azure-policy-assignment-id": held["id"],
        "azure-policy-definition-id": f"/providers/Microsoft.Authorization/policyDefinitions/{PRIVILEGED}",
        "azure-policy-definition-reference-id": "",
        "azure-policy-setdefinition-id": "",
        "constraint-installed-by": "azure-policy-addon",
        "constraint-url": "https://store.policy.core.windows.net/kubernetes/container-no-privilege/v2/template.yaml",
    }
    assert spec["enforcementAction"] == "deny"
    excluded = ["kube-system", "gatekeeper-system", "azure-arc", "azure-extensions-usage-system"]
    assert spec["match"]["excludedNamespaces"] == excluded
    assert spec["match"]["kinds"] == [{"apiGroups": [""], "kinds": ["Pod"]}]
    template = await lab.client.get(
        path("templates.gatekeeper.sh/v1", "constrainttemplates", name=NO_PRIVILEGE.lower())
    )
    assert template["metadata"]["labels"]["managed-by"] == "azure-policy-addon"
    refused = await lab.pod("bad", privileged=True)
    assert refused.startswith(
        f'admission webhook "validation.gatekeeper.sh" denied the request: [{metadata["name"]}] Privileged'
    )
    assert await lab.pod("good") == ""
    assert await lab.pod("system", "kube-system", privileged=True) == ""


async def test_audit_lets_in_and_is_reported_with_its_components(lab: Lab) -> None:
    held = await lab.assign(ESCALATION, values={"excludedNamespaces": ["kube-system", "gatekeeper-system"]})
    found = await lab.only("K8sAzureV4NoPrivilegeEscalation")
    assert found["spec"]["enforcementAction"] == "dryrun"
    assert found["metadata"]["name"].startswith("azurepolicy-k8sazurev4noprivilegeescalatio-")
    assert await lab.pod("loose", allowPrivilegeEscalation=True) == ""

    async def told() -> Any:
        return next((r for r in reports.of(lab.arm, CLUSTER) if r["total"]), None)

    row = await until(told)
    assert (row["assignment"], row["constraint"]) == (held["id"], found["metadata"]["name"])
    assert {(c["kind"], c["namespace"], c["name"]) for c in row["components"]} == {("Pod", "default", "loose")}


async def test_changes_and_deletions_are_followed(lab: Lab) -> None:
    await lab.assign(PRIVILEGED)
    first = await lab.only(NO_PRIVILEGE)
    await lab.assign(PRIVILEGED, values={"effect": "Audit", "warn": True, "excludedContainers": ["proxy"]})
    changed = await lab.only(NO_PRIVILEGE, lambda c: c["spec"]["enforcementAction"] == "warn")
    assert changed["metadata"]["name"] == first["metadata"]["name"]
    assert changed["spec"]["parameters"]["excludedContainers"] == ["proxy"]
    await lab.assign(PRIVILEGED, enforcementMode="DoNotEnforce")
    await lab.only(NO_PRIVILEGE, lambda c: c["spec"]["enforcementAction"] == "dryrun")
    await lab.call("DELETE", f"{CLUSTER}/providers/Microsoft.Authorization/policyAssignments/a", version=V)

    async def gone() -> bool:
        return not await lab.client.list(path("templates.gatekeeper.sh/v1", "constrainttemplates"))

    await until(gone)
    assert await lab.pod("free", privileged=True) == ""


async def test_what_somebody_edits_is_put_back(lab: Lab) -> None:
    await lab.assign(PRIVILEGED)
    found = await lab.only(NO_PRIVILEGE)
    url = path("constraints.gatekeeper.sh/v1beta1", NO_PRIVILEGE.lower(), name=found["metadata"]["name"])
    await lab.client.patch(url, {"spec": {"enforcementAction": "dryrun"}})
    await lab.only(NO_PRIVILEGE, lambda c: c["spec"]["enforcementAction"] == "deny")


async def test_an_agent_that_begins_anew_leaves_what_changes_later_as_it_is(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: it took the constraint of an assignment that had just been changed for one that nobody asks for."""
    await lab.assign(PRIVILEGED)
    first = await lab.only(NO_PRIVILEGE)
    monkeypatch.setitem(facts.add_on(), "arrivalSecondsFast", 3600)
    await lab.assign(PRIVILEGED, values={"effect": "Audit"})
    url = path("apps/v1", "deployments", "kube-system", "azure-policy")
    for replicas in (0, 1):
        await lab.client.patch(f"{url}/scale", {"spec": {"replicas": replicas}})

        async def scaled(wanted: int = replicas) -> bool:
            status = (await lab.client.get(url)).get("status") or {}
            return int(status.get("availableReplicas") or 0) == wanted

        await until(scaled)
    await asyncio.sleep(1)
    found = await lab.only(NO_PRIVILEGE)
    assert (found["metadata"]["uid"], found["spec"]["enforcementAction"]) == (first["metadata"]["uid"], "deny")


async def test_scopes_exclusions_and_exemptions_decide_about_a_cluster(lab: Lab) -> None:
    await lab.assign(PRIVILEGED, "left-out", GROUP, notScopes=[CLUSTER])
    off = await lab.assign(PRIVILEGED, "exempt", GROUP)
    body = {"properties": {"policyAssignmentId": off["id"], "exemptionCategory": "Waiver"}}
    await lab.call("PUT", f"{CLUSTER}/providers/Microsoft.Authorization/policyExemptions/e", body, "2022-07-01-preview")
    await lab.assign(PRIVILEGED, "disabled", GROUP, values={"effect": "Disabled"})
    held = await lab.assign(PRIVILEGED, "held", "~")
    found = await lab.only(NO_PRIVILEGE)
    assert found["metadata"]["annotations"]["azure-policy-assignment-id"] == held["id"]


async def test_two_assignments_of_one_definition_are_two_constraints(lab: Lab) -> None:
    await lab.assign(IMAGES, "one", values={"allowedContainerImagesRegex": "^a/.+$"})
    await lab.assign(IMAGES, "two", values={"allowedContainerImagesRegex": "^b/.+$", "effect": "Audit"})

    async def both() -> Any:
        found = await lab.constraints("K8sAzureV2ContainerAllowedImages")
        return found if len(found) == 2 else None

    found = await until(both)
    assert sorted(c["spec"]["parameters"]["imageRegex"] for c in found) == ["^a/.+$", "^b/.+$"]
    assert sorted(c["spec"]["enforcementAction"] for c in found) == ["deny", "dryrun"]


async def test_the_members_of_an_initiative_tell_what_they_belong_to(lab: Lab) -> None:
    held = await lab.assign(BASELINE, values={"effect": "Deny"})
    found = await lab.only(NO_PRIVILEGE)
    annotations = found["metadata"]["annotations"]
    assert annotations["azure-policy-assignment-id"] == held["id"]
    assert annotations["azure-policy-setdefinition-id"] == BASELINE
    assert annotations["azure-policy-definition-reference-id"] == "NoPrivilegedContainers"
    assert found["spec"]["enforcementAction"] == "deny"
    templates = await lab.client.list(path("templates.gatekeeper.sh/v1", "constrainttemplates"))
    assert len(templates) == 5


async def test_a_definition_of_ones_own_brings_its_template(lab: Lab) -> None:
    template = {
        "apiVersion": "templates.gatekeeper.sh/v1",
        "kind": "ConstraintTemplate",
        "metadata": {"name": "noname"},
        "spec": {
            "crd": {
                "spec": {
                    "names": {"kind": "NoName"},
                    "validation": {"openAPIV3Schema": {"type": "object", "properties": {"name": {"type": "string"}}}},
                }
            },
            "targets": [
                {
                    "target": "admission.k8s.gatekeeper.sh",
                    "rego": 'package noname\nviolation[{"msg": "not this name"}] { input.review.object.metadata.name == input.parameters.name }',
                }
            ],
        },
    }
    content = base64.b64encode(yaml.safe_dump(template).encode()).decode()
    details = {
        "templateInfo": {"sourceType": "Base64Encoded", "content": content},
        "apiGroups": [""],
        "kinds": ["ConfigMap"],
        "values": {"name": "[parameters('name')]"},
    }
    rule = {
        "if": {"field": "type", "in": ["Microsoft.ContainerService/managedClusters"]},
        "then": {"effect": "deny", "details": details},
    }
    properties = {"mode": "Microsoft.Kubernetes.Data", "policyRule": rule, "parameters": {"name": {"type": "String"}}}
    made = await lab.call(
        "PUT", "~/providers/Microsoft.Authorization/policyDefinitions/own", {"properties": properties}, V
    )
    await lab.assign(made.json()["id"], values={"name": "forbidden"})
    found = await lab.only("NoName")
    assert "constraint-url" not in found["metadata"]["annotations"]
    assert found["spec"]["parameters"] == {"name": "forbidden"}


async def test_a_template_that_is_not_known_is_refused_by_name(lab: Lab) -> None:
    url = "https://example.com/template.yaml"
    rule = {
        "if": {"field": "type", "equals": "Microsoft.ContainerService/managedClusters"},
        "then": {"effect": "deny", "details": {"templateInfo": {"sourceType": "PublicURL", "url": url}}},
    }
    body = {"properties": {"mode": "Microsoft.Kubernetes.Data", "policyRule": rule}}
    refused = await lab.call("PUT", "~/providers/Microsoft.Authorization/policyDefinitions/own", body, V)
    assert (refused.json()["error"]["code"], url in refused.text) == ("NotSupportedInSandbox", True)
    assert facts.has_template(
        "https://store.policy.core.windows.net/kubernetes/container-no-privilege/v2/template.yaml"
    )
