"""Pod Security Admission, by requests; each rule as kube-apiserver 1.35.4 was seen to keep it."""

from __future__ import annotations

from typing import Any

from tests.azsandbox.kubernetes.conftest import Ask, body_of

SPACE = "/api/v1/namespaces/guarded"
GOOD = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(context: dict[str, Any], **more: Any) -> dict[str, Any]:
    containers = [{"name": "a", "image": "x", "securityContext": context}]
    return {"metadata": {"name": "p", **more.pop("metadata", {})}, "spec": {"containers": containers, **more}}


async def guard(ask: Ask, **levels: str) -> None:
    labels = {f"pod-security.kubernetes.io/{mode.replace('_', '-')}": level for mode, level in levels.items()}
    await ask("POST", "/api/v1/namespaces", {"metadata": {"name": "guarded", "labels": labels}})
    await ask("POST", f"{SPACE}/serviceaccounts", {"metadata": {"name": "default"}})


async def test_an_annotation_of_app_armor_counts_as_the_field_that_it_stands_for(ask: Ask) -> None:
    await guard(ask, enforce="baseline")
    key = "container.apparmor.security.beta.kubernetes.io/a"
    answer = await ask("POST", f"{SPACE}/pods", pod({}, metadata={"annotations": {key: "unconfined"}}))
    said = f'container "a" and annotation must not set AppArmor profile type to "Unconfined", "{key}="unconfined""'
    text = f'pods "p" is forbidden: violates PodSecurity "baseline:latest": forbidden AppArmor profiles ({said})'
    assert body_of(answer)["message"] == text
    answer = await ask("POST", f"{SPACE}/pods", pod({}, metadata={"annotations": {key: "localhost/mine"}}))
    profile = body_of(answer)["spec"]["containers"][0]["securityContext"]["appArmorProfile"]
    assert profile == {"type": "Localhost", "localhostProfile": "mine"}


async def test_users_of_its_own_do_not_spare_a_pod_the_restricted_level(ask: Ask) -> None:
    await guard(ask, enforce="baseline", warn="restricted")
    answer = await ask("POST", f"{SPACE}/pods", pod({**GOOD, "procMount": "Unmasked"}, hostUsers=False))
    assert answer.status == 201
    said = 'procMount (container "a" must not set securityContext.procMount to "Unmasked")'
    assert f'would violate PodSecurity "restricted:latest": {said}' in answer.warnings


async def test_an_update_is_looked_at_where_it_brings_another_image(ask: Ask) -> None:
    await guard(ask)
    await ask("POST", f"{SPACE}/pods", pod({"privileged": True}))
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}
    merge = "application/merge-patch+json"
    assert (await ask("PATCH", SPACE, label, content_type=merge)).status == 200
    annotation = {"metadata": {"annotations": {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}}}
    assert (await ask("PATCH", f"{SPACE}/pods/p", annotation, content_type=merge)).status == 200
    image = {"spec": {"containers": [{"name": "a", "image": "z"}]}}
    strategic = "application/strategic-merge-patch+json"
    answer = await ask("PATCH", f"{SPACE}/pods/p", image, content_type=strategic)
    assert answer.status == 403
    assert 'violates PodSecurity "baseline:latest": privileged (container "a"' in body_of(answer)["message"]
