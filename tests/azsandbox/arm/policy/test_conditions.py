"""The language of policy rules: template functions, fields, conditions, counts."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.arm.policy import expressions
from azsandbox.arm.policy.conditions import Judge
from azsandbox.arm.policy.expressions import ExpressionError, Scope, UnknownFunctionError

CLUSTER: dict[str, Any] = {
    "id": "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/aks",
    "type": "Microsoft.ContainerService/managedClusters",
    "name": "aks",
    "location": "westeurope",
    "tags": {"Owner": "lena", "cost center": "7"},
    "sku": {"name": "Base", "tier": "Free"},
    "identity": {"type": "SystemAssigned"},
    "properties": {
        "enableRBAC": True,
        "kubernetesVersion": "1.35",
        "apiServerAccessProfile": {"authorizedIPRanges": []},
        "agentPoolProfiles": [
            {"name": "system", "count": 3, "enableEncryptionAtHost": True, "zones": ["1", "2"]},
            {"name": "user", "count": 1, "enableEncryptionAtHost": False, "zones": []},
        ],
    },
}
AKS = "Microsoft.ContainerService/managedClusters"


def holds(condition: dict[str, Any], **parameters: Any) -> bool:
    return Judge(CLUSTER, Scope(parameters=parameters)).holds(condition)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[concat('tags[', parameters('tagName'), ']')]", "tags[Owner]"),
        ("[parameters('list')[1]]", "b"),
        ("[if(equals(parameters('tagName'), 'owner'), 'same', 'other')]", "same"),
        ("[toLower(substring('WESTEUROPE', 0, 4))]", "west"),
        ("[length(createArray(1, 2, 3))]", 3),
        ("[tryGet(parameters('object'), 'a', 'missing')]", None),
        ("[parameters('object').a.b]", 5),
        ("[coalesce(tryGet(parameters('object'), 'x'), 'none')]", "none"),
        ("[split('1.35.7', '.')[1]]", "35"),
        ("[padLeft('7', 3, '0')]", "007"),
        ("[ipRangeContains('10.0.0.0/8', '10.1.0.0/16')]", True),
        ("[concat('it''s ', true())]", "it's True"),
        ("[[not an expression]", "[not an expression]"),
        ("plain", "plain"),
    ],
)
def test_template_functions_are_worked_out(text: str, value: Any) -> None:
    scope = Scope(parameters={"tagName": "Owner", "list": ["a", "b"], "object": {"a": {"b": 5}}})
    assert expressions.resolve(text, scope) == value


def test_a_function_that_there_is_not_is_named() -> None:
    with pytest.raises(UnknownFunctionError) as caught:
        expressions.check("[concat('a', summon('b'))]")
    assert caught.value.function == "summon"


@pytest.mark.parametrize("text", ["[concat('a'", "[concat('a' 'b')]", "[]", "[parameters('a'))]"])
def test_what_cannot_be_read_is_told(text: str) -> None:
    if not text.endswith("]"):
        text += "]"
    with pytest.raises(ExpressionError):
        expressions.parse(text)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"field": "type", "equals": AKS.lower()}, True),
        ({"field": "tags['owner']", "exists": True}, True),
        ({"field": "tags.Owner", "notEquals": "ada"}, True),
        ({"field": "tags[cost center]", "equals": 7}, True),
        ({"field": "tags", "containsKey": "OWNER"}, True),
        ({"field": f"{AKS}/enableRBAC", "equals": "true"}, True),
        ({"field": f"{AKS}/disableLocalAccounts", "equals": "false"}, False),
        ({"field": f"{AKS}/disableLocalAccounts", "notEquals": "true"}, True),
        ({"field": f"{AKS}/disableLocalAccounts", "exists": "false"}, True),
        ({"field": f"{AKS}/sku.tier", "in": ["free", "Standard"]}, True),
        ({"field": "identity.type", "equals": "SystemAssigned"}, True),
        ({"field": f"{AKS}/kubernetesVersion", "like": "1.3*"}, True),
        ({"field": f"{AKS}/kubernetesVersion", "match": "#.##"}, True),
        ({"field": "name", "matchInsensitively": "A??"}, True),
        ({"field": "name", "match": "A??"}, False),
        ({"field": "name", "contains": "K"}, True),
        ({"field": "Microsoft.Network/virtualNetworks/subnets", "exists": "false"}, True),
        ({"field": f"{AKS}/agentPoolProfiles[*].enableEncryptionAtHost", "equals": True}, False),
        ({"field": f"{AKS}/agentPoolProfiles[*].count", "greaterOrEquals": 1}, True),
        ({"count": {"field": f"{AKS}/agentPoolProfiles[*]"}, "equals": 2}, True),
        (
            {
                "count": {
                    "field": f"{AKS}/agentPoolProfiles[*]",
                    "where": {"field": f"{AKS}/agentPoolProfiles[*].enableEncryptionAtHost", "notEquals": True},
                },
                "equals": 1,
            },
            True,
        ),
        (
            {
                "count": {
                    "value": "[parameters('wanted')]",
                    "name": "zone",
                    "where": {"value": "[current('zone')]", "notEquals": "3"},
                },
                "less": 3,
            },
            True,
        ),
        ({"value": "[field('location')]", "in": "[parameters('places')]"}, True),
        ({"not": {"anyOf": [{"field": "location", "equals": "x"}, {"field": "kind", "exists": True}]}}, True),
        ({"field": "[concat('tags[', parameters('tag'), ']')]", "exists": "true"}, True),
    ],
)
def test_conditions_are_judged_as_azure_does(condition: dict[str, Any], expected: bool) -> None:
    assert holds(condition, wanted=["1", "2", "3"], places=["WestEurope"], tag="owner") is expected


def test_what_was_evaluated_is_told_with_path_and_values() -> None:
    judge = Judge(CLUSTER, Scope())
    alias = f"{AKS}/apiServerAccessProfile.enablePrivateCluster"
    assert judge.holds({"allOf": [{"field": "type", "equals": AKS}, {"field": alias, "notEquals": True}]})
    assert judge.seen[1] == {
        "result": "True",
        "expressionKind": "Field",
        "expression": alias,
        "path": "properties.apiServerAccessProfile.enablePrivateCluster",
        "targetValue": "True",
        "operator": "NotEquals",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[range(0, 100000000)]", "the count must be a number from 0 to 10000"),
        ("[padLeft('a', 2000000000)]", "more than 4194304 characters"),
        ("[replace(parameters('long'), 'a', parameters('long'))]", "more than 4194304 characters"),
        ("[join(range(0, 10000), parameters('long'))]", "more than 4194304 characters"),
        ("[mul(9000000000000000000, 2)]", "no number of 64 bits"),
        (f"[{'concat(' * 300}'a'{')' * 300}]", "more than 100 calls in each other"),
        (f"['{'a' * 25_000}']", "length limit exceeded. Limit: '24576' and actual: '25004'"),
    ],
)
def test_an_expression_makes_no_more_than_a_template_may_have(text: str, said: str) -> None:
    with pytest.raises(ExpressionError) as failure:
        expressions.resolve(text, Scope(parameters={"long": "a" * 100_000}))
    assert said in str(failure.value)


def test_what_is_in_a_value_again_and_again_is_counted_each_time() -> None:
    value: Any = "a" * 1000
    with pytest.raises(ExpressionError, match="more than 4194304 characters"):
        for _ in range(60):
            value = expressions.resolve(
                "[createArray(parameters('x'), parameters('x'))]", Scope(parameters={"x": value})
            )
