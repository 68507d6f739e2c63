"""The policies of the lab: what is assigned, what the cluster has of it, and what is waited for."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from labkit.azure import policy
from labkit.errors import ReadError
from labkit.policies import Policies
from labkit.settings import Settings
from labkit.views.table import Table
from tests.labkit.healthy import SUBSCRIPTION

SCOPE = policy.scope(SUBSCRIPTION, Settings())
KIND = "k8sazurev2noprivilege"


def test_the_three_assignments_deny_and_leave_the_platform_out() -> None:
    made = {name: body.as_dict()["properties"] for name, body in policy.body(Settings()).items()}
    assert set(made) == set(policy.SERIES)
    for name, properties in made.items():
        parameters = {key: value["value"] for key, value in properties["parameters"].items()}
        assert parameters["effect"] == "Deny"
        assert {"kube-system", "flux-system", "kured"} <= set(parameters["excludedNamespaces"])
        assert properties["policyDefinitionId"].endswith(policy.SERIES[name])
    assert "allowedContainerImagesRegex" in made["allowed-images"]["parameters"]


def test_the_pattern_lets_in_the_labs_registry_and_microsofts_alone() -> None:
    pattern = policy.images(Settings())
    assert re.search(pattern, "acraksbaseline.azurecr.io/hello:v1")
    assert re.search(pattern, "mcr.microsoft.com/azuredocs/aks-helloworld:v1")
    for image in ("docker.io/x:1", "evil.io/acraksbaseline.azurecr.io/x:1", "acraksbaselinexazurecr.io/x:1"):
        assert not re.search(pattern, image)


class Cluster:
    """A cluster's API with constraints of one kind; none without Gatekeeper."""

    def __init__(self, *constraints: dict[str, Any]) -> None:
        self.constraints = list(constraints)

    def get(self, path: str) -> dict[str, Any]:
        if not self.constraints:
            raise ReadError("not there", 404, "NotFound", "")
        return {"resources": [{"name": KIND}, {"name": f"{KIND}/status"}]}

    def pages(self, path: str) -> Any:
        yield self.constraints

    def close(self) -> None: ...


def lab(assigned: list[dict[str, Any]], cluster: Cluster) -> Any:
    arm = SimpleNamespace(list=lambda path, version: assigned)
    return SimpleNamespace(
        subscription_id=SUBSCRIPTION,
        settings=Settings(),
        arm=arm,
        kubernetes=lambda: cluster,
        table=lambda rows, title, columns: Table.of(rows, columns, title),
    )


def assignment(name: str = "no-privileged-containers", **parameters: Any) -> dict[str, Any]:
    properties = {
        "policyDefinitionId": f"{policy.BUILT_IN}/{policy.SERIES[name]}",
        "enforcementMode": "Default",
        "parameters": {key: {"value": value} for key, value in parameters.items()},
    }
    return {
        "id": f"{SCOPE}/providers/Microsoft.Authorization/policyAssignments/{name}",
        "name": name,
        "properties": properties,
    }


def constraint(of: dict[str, Any], action: str = "deny", **more: Any) -> dict[str, Any]:
    annotations = {"azure-policy-assignment-id": of["id"].lower(), "azure-policy-definition-id": "x"}
    spec = {"enforcementAction": action, "match": more.pop("match", {})}
    return {"metadata": {"name": "azurepolicy-1", "annotations": annotations}, "spec": spec, **more}


def rows(table: Any) -> list[list[str]]:
    return [list(row) for row in table.rows]


def test_a_policy_that_has_not_come_is_on_its_way() -> None:
    held = assignment(effect="Deny")
    seen = Policies(lab([held], Cluster()))
    assert seen.arrived() == "0 of 1 have arrived"
    assert "on its way" in str(seen.table())
    assert Policies(lab([held], Cluster(constraint(held)))).arrived() is True


def test_a_change_that_has_not_come_is_waited_for() -> None:
    held = assignment(effect="Deny", excludedNamespaces=["kube-system", "flux-system"])
    old = constraint(held, match={"excludedNamespaces": ["kube-system"]})
    assert Policies(lab([held], Cluster(old))).arrived() == "0 of 1 have arrived"
    assert "the change is on its way" in str(Policies(lab([held], Cluster(old))).table())
    audits = constraint(held, "dryrun", match={"excludedNamespaces": ["kube-system", "flux-system"]})
    assert Policies(lab([held], Cluster(audits))).arrived() == "0 of 1 have arrived"


def test_an_effect_that_is_not_said_is_that_of_the_definition() -> None:
    held = assignment("no-privilege-escalation")
    assert Policies(lab([held], Cluster(constraint(held, "dryrun")))).arrived() is True


def test_policies_that_are_not_about_clusters_are_not_waited_for() -> None:
    other = assignment()
    other["properties"]["policyDefinitionId"] = f"{policy.BUILT_IN}/e56962a6-4747-49cd-b67b-bf8b01975c4c"
    assert Policies(lab([other], Cluster())).assignments() == []


def test_an_audit_is_waited_for_that_began_later() -> None:
    held = assignment(effect="Deny")
    cluster = Cluster(constraint(held, status={"auditTimestamp": "2026-11-25T10:00:00Z", "totalViolations": 0}))
    look = Policies(lab([held], cluster)).audited()
    assert look() == "0 of 1 are audited"
    later = datetime.now(UTC) + timedelta(seconds=2)
    cluster.constraints[0]["status"]["auditTimestamp"] = later.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert look() is True


def test_what_breaks_a_policy_is_named() -> None:
    held = assignment(effect="Deny")
    found = {
        "kind": "Pod",
        "namespace": "default",
        "name": "bad",
        "message": "Privileged container is not allowed: app",
    }
    status = {"auditTimestamp": "2026-11-25T10:00:00Z", "totalViolations": 1, "violations": [found]}
    text = str(Policies(lab([held], Cluster(constraint(held, status=status)))).violations())
    assert "Pod default/bad" in text
