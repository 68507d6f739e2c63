"""What the collector reads of workload identity, and what it leaves alone."""

from __future__ import annotations

import json
from typing import Any

from labkit.checks import catalogue
from labkit.checks.collector import collect
from labkit.checks.core import Result, Status, run
from labkit.checks.evidence import Evidence
from labkit.errors import ReadError
from labkit.settings import Settings
from tests.labkit import healthy_identity as healthy
from tests.labkit.healthy import NOW, SUBSCRIPTION, HealthyArm, HealthyKubernetes

DENIED = ReadError("GET: 403 Forbidden: no", 403, "Forbidden")
GONE = ReadError("GET: 404 NotFound", 404, "NotFound")


def gather(*ids: str, arm: HealthyArm | None = None, kubernetes: HealthyKubernetes | None = None) -> Evidence:
    api = kubernetes or HealthyKubernetes()
    return collect(
        catalogue.sources(catalogue.select(ids)),
        Settings(),
        subscription_id=SUBSCRIPTION,
        arm=arm or HealthyArm(),
        kubernetes=lambda: api,
        now=NOW,
    )


def judged(check_id: str, **given: Any) -> Result:
    return run(catalogue.checks()[check_id], gather(check_id, **given))


def test_only_identities_that_accounts_name_are_asked_for_their_credentials() -> None:
    arm = HealthyArm()
    found = gather("identity.federated-credential", arm=arm).sources["identities"]
    assert [one["name"] for one in found] == ["id-hello"]
    assert sum("federatedIdentityCredentials" in path for path in arm.asked) == 1


def test_accounts_of_the_platform_are_left_out() -> None:
    found = gather("identity.service-account").sources["service-accounts"]
    assert [(one["namespace"], one["name"]) for one in found] == [("staging", "hello")]


def test_vaults_of_other_groups_are_kept_only_where_a_class_names_them() -> None:
    api = HealthyKubernetes()
    assert [one["name"] for one in gather("identity.keyvault-access").sources["vaults"]] == ["kv-aks-baseline"]
    classes = api.answers["/apis/secrets-store.csi.x-k8s.io/v1/secretproviderclasses"]
    classes[0]["spec"]["parameters"]["keyvaultName"] = "KV-Other"
    found = gather("identity.keyvault-access", kubernetes=api).sources["vaults"]
    assert [one["name"] for one in found] == ["kv-other", "kv-aks-baseline"]


def test_no_value_of_a_config_map_or_environment_is_kept() -> None:
    api = HealthyKubernetes()
    api.answers["/api/v1/configmaps"].append(
        {"metadata": {"namespace": "staging", "name": "bad"}, "data": {"AZURE_CLIENT_SECRET": "s3cr3t", "OTHER": "x"}}
    )
    deployment = api.answers["/apis/apps/v1/deployments"][0]
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "ARM_CLIENT_SECRET", "value": "s3cr3t"}, {"name": "PLAIN", "value": "s3cr3t"}]
    seen = gather("identity", kubernetes=api)
    assert "s3cr3t" not in json.dumps(seen.sources, default=str) and "PLAIN" not in json.dumps(
        seen.sources, default=str
    )
    found = run(catalogue.checks()["identity.no-client-secrets"], seen).findings
    assert [(f.status, f.object_id) for f in found] == [
        (Status.FAIL, "Deployment/staging/hello"),
        (Status.FAIL, "ConfigMap/staging/bad"),
    ]


def test_a_pod_as_the_webhook_leaves_it_lacks_nothing() -> None:
    api = HealthyKubernetes()
    pod = api.answers["/api/v1/pods"][0]
    pod["spec"]["containers"].append({"name": "side", "image": "x"})
    assert judged("identity.pod-opt-in", kubernetes=api).status is Status.FAIL
    pod["metadata"]["annotations"] = {"azure.workload.identity/skip-containers": "other; side"}
    assert judged("identity.pod-opt-in", kubernetes=api).status is Status.PASS


def test_where_the_kinds_of_pod_identity_are_the_check_fails() -> None:
    api = HealthyKubernetes()
    assert judged("identity.pod-identity-removed", kubernetes=api).status is Status.PASS
    api.answers["/apis/aadpodidentity.k8s.io"] = []
    assert judged("identity.pod-identity-removed", kubernetes=api).status is Status.FAIL


def test_what_may_not_be_read_is_not_known() -> None:
    arm = HealthyArm()
    arm.answers[f"{healthy.IDENTITY}/federatedIdentityCredentials".lower()] = DENIED
    result = judged("identity.federated-credential", arm=arm)
    assert result.status is Status.UNKNOWN and "Reader" in result.next_command
    api = HealthyKubernetes()
    api.answers["/apis/secrets-store.csi.x-k8s.io/v1/secretproviderclasses"] = GONE
    assert judged("identity.secret-provider-class", kubernetes=api).status is Status.SKIP
