"""What Gatekeeper says of templates, constraints and Configs that it does not take."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.controllers.client import KubeClient, path
from azsandbox.kubernetes.errors import StatusError
from tests.azsandbox.policy.conftest import until
from tests.azsandbox.policy.test_gatekeeper import KIND, TEMPLATES, constraint, enforce, template

DENIED = 'admission webhook "validation.gatekeeper.sh" denied the request: '
INVALID = f"{DENIED}invalid ConstraintTemplate: "
TARGET = "admission.k8s.gatekeeper.sh"


def changed(**spec: Any) -> dict[str, Any]:
    found = template()
    found["spec"].update(spec)
    return found


async def refusal(client: KubeClient, url: str, obj: dict[str, Any]) -> tuple[int, str]:
    with pytest.raises(StatusError) as refused:
        await client.create(url, obj)
    return refused.value.code, refused.value.message


async def test_templates_that_define_no_kind_are_refused(client: KubeClient) -> None:
    rego = {"target": TARGET, "rego": template()["spec"]["targets"][0]["rego"]}
    several = {**rego, "operations": ["*", "CREATE"]}
    odd = {"spec": {"names": {"kind": "RequiredLabels"}, "validation": {"openAPIV3Schema": {"type": "text"}}}}
    for obj, code, text in (
        (changed(crd={}), 422, 'ConstraintTemplate "requiredlabels" does not specify CRD Kind'),
        (changed(targets=[]), 422, "must declare exactly one target"),
        (changed(targets=[rego, rego]), 422, "must declare exactly one target"),
        (changed(targets=[{"rego": "package a"}]), 422, "target name must not be empty"),
        (changed(targets=[{**rego, "target": "x"}]), 422, f'target "x" not recognized, known targets [{TARGET}]'),
        (changed(crd=odd), 422, 'Unsupported value: "text"'),
        (changed(targets=[several]), 500, "if '*' is present, must not specify other operations"),
    ):
        found = await refusal(client, TEMPLATES, obj)
        assert found[0] == code
        assert found[1].startswith(DENIED if code == 500 else INVALID)
        assert text in found[1]


async def test_constraints_whose_actions_or_selectors_mean_nothing_are_refused(client: KubeClient) -> None:
    await enforce(client)

    def scoped(*entries: dict[str, Any]) -> dict[str, Any]:
        found = constraint("scoped")
        found["metadata"]["name"] = "scoped"
        if entries:
            found["spec"]["scopedEnforcementActions"] = list(entries)
        return found

    point = {"name": "validation.gatekeeper.sh"}
    points = "[validation.gatekeeper.sh audit.gatekeeper.sh gator.gatekeeper.sh vap.k8s.io]"
    missing = "error fetching scopedEnforcementActions: scopedEnforcementActions is required"
    unknown = "unrecognized enforcementAction: [block] is not within the supported list [deny dryrun warn]"
    nowhere = (
        "unrecognized enforcement points: constraint will not be enforced for enforcement points [x], "
        f"supported enforcement points are {points}"
    )
    assert await refusal(client, KIND, scoped()) == (500, DENIED + missing)
    assert await refusal(client, KIND, scoped({"action": "block", "enforcementPoints": [point]})) == (
        500,
        DENIED + unknown,
    )
    assert await refusal(client, KIND, scoped({"action": "deny", "enforcementPoints": [{"name": "x"}]})) == (
        500,
        DENIED + nowhere,
    )
    odd = constraint()
    odd["metadata"]["name"] = "odd"
    odd["spec"]["match"]["labelSelector"] = {"matchExpressions": [{"key": "a", "operator": "Like"}]}
    text = 'invalid Constraint: spec.labelSelector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator'
    assert await refusal(client, KIND, odd) == (422, DENIED + text)
    odd["spec"]["match"] = {"namespaces": ["a*b"]}
    code, message = await refusal(client, KIND, odd)
    assert code == 422
    assert r"spec.match.namespaces[0] in body should match '^\*?[-:a-z0-9]*\*?$'" in message


async def test_a_config_has_one_name(client: KubeClient) -> None:
    url = path("config.gatekeeper.sh/v1alpha1", "configs", "default")
    config = {"apiVersion": "config.gatekeeper.sh/v1alpha1", "kind": "Config", "metadata": {"name": "other"}}
    assert await refusal(client, url, config) == (422, f"{DENIED}config resource must have name 'config'")


async def test_what_a_template_means_follows_the_version_it_is_written_in(client: KubeClient) -> None:
    old = template()
    old["apiVersion"] = "templates.gatekeeper.sh/v1beta1"
    made = await client.create(path("templates.gatekeeper.sh/v1beta1", "constrainttemplates"), old)
    assert made["spec"]["crd"]["spec"]["validation"]["legacySchema"] is True
    await until(lambda: client.find(KIND))
    lax = constraint()
    lax["spec"]["parameters"]["more"] = "kept"
    made = await client.create(KIND, lax)
    assert made["spec"]["parameters"]["more"] == "kept"
    older = path("constraints.gatekeeper.sh/v1alpha1", "requiredlabels", name="owner")
    assert (await client.get(older))["apiVersion"] == "constraints.gatekeeper.sh/v1alpha1"
