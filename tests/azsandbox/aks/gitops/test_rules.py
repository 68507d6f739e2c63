"""What the extension's settings mean, which objects a FluxConfig makes, and when it is compliant."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from azsandbox.aks.gitops import compliance, controller, facts, objects, release
from azsandbox.aks.gitops.settings import UnsupportedSetting, parse
from azsandbox.arm.providers.kubernetesconfiguration import flux_body

Object = dict[str, Any]


def config(**more: Any) -> Object:
    """A FluxConfig as the agent writes it."""
    sent = {
        "namespace": "gitops",
        "sourceKind": "GitRepository",
        "gitRepository": {"url": "https://git.example/repo", "repositoryRef": {"branch": "main"}},
        "kustomizations": {
            "infra": {"path": "./infra"},
            "apps": {"dependsOn": ["infra"], "retryIntervalInSeconds": 90},
        },
        **more,
    }
    return objects.flux_config("cfg", flux_body.accept(sent, None), "op-1", {})


def by_kind(found: list[Object], kind: str) -> list[Object]:
    return [obj for obj in found if obj["kind"] == kind]


def desired(obj: Object, enforce: bool = True) -> list[Object]:
    return objects.desired(obj, enforce=enforce, secret=objects.auth_secret(obj, {}), requested="2026-11-25T10:00:00Z")


def flux(kind: str, ready: str | None, **more: Any) -> Object:
    conditions = [{"type": "Ready", "status": ready, "reason": "R", "message": "m", "lastTransitionTime": "t"}]
    status = {"conditions": conditions if ready else [], "observedGeneration": more.pop("observed", 1)}
    metadata = {"name": "x", "namespace": "gitops", "generation": 1, "labels": more.pop("labels", {})}
    return {"kind": kind, "metadata": metadata, "spec": more.pop("spec", {}), "status": status | more}


# --- settings and the release


def test_four_controllers_come_by_default_and_two_on_request() -> None:
    assert "image-automation-controller" not in parse({}).controllers
    chosen = parse({"image-automation-controller.enabled": "true", "helm-controller.enabled": "false"})
    assert "image-automation-controller" in chosen.controllers and "helm-controller" not in chosen.controllers


@pytest.mark.parametrize("key", ["nope-controller.enabled", "helm-controller.color", "workloadIdentity.enable"])
def test_a_setting_that_is_not_known_is_refused_by_name(key: str) -> None:
    with pytest.raises(UnsupportedSetting, match=key):
        parse({key: "true"})


def test_the_release_has_azures_images_all_definitions_and_the_lock_down() -> None:
    version = facts.extension()["default"]
    found = release.objects(version, parse({"helm-controller.resources.limits.memory": "2Gi"}), "flux")
    deployments = {d["metadata"]["name"]: d for d in by_kind(found, "Deployment")}
    assert sorted(deployments) == sorted(release.deployments(parse({})))
    source = deployments["source-controller"]["spec"]["template"]["spec"]["containers"][0]
    assert source["image"] == "mcr.microsoft.com/oss/fluxcd/source-controller:v1.7.4-10"
    kustomize = deployments["kustomize-controller"]["spec"]["template"]["spec"]["containers"][0]
    assert "--default-service-account=flux-applier" in kustomize["args"]
    helm = deployments["helm-controller"]["spec"]["template"]["spec"]["containers"][0]
    assert helm["resources"]["limits"] == {"cpu": "1000m", "memory": "2Gi"}
    definitions = {d["metadata"]["name"] for d in by_kind(found, "CustomResourceDefinition")}
    assert {"fluxconfigs.clusterconfig.azure.com", "imagepolicies.image.toolkit.fluxcd.io"} <= definitions
    assert all(d["metadata"]["labels"]["app.kubernetes.io/part-of"] == "flux" for d in deployments.values())


def test_without_multi_tenancy_nothing_is_locked_down() -> None:
    found = release.objects(facts.extension()["default"], parse({"multiTenancy.enforce": "false"}), "flux")
    arguments = [
        a
        for d in by_kind(found, "Deployment")
        for c in d["spec"]["template"]["spec"]["containers"]
        for a in c.get("args", [])
    ]
    assert not any("cross-namespace" in a or "flux-applier" in a for a in arguments)


# --- objects


def test_a_configuration_becomes_a_source_and_kustomizations_of_its_name() -> None:
    found = desired(config())
    (source,) = by_kind(found, "GitRepository")
    assert source["metadata"]["name"] == "cfg" and source["metadata"]["namespace"] == "gitops"
    assert source["spec"] == {
        "url": "https://git.example/repo",
        "ref": {"branch": "main"},
        "interval": "10m0s",
        "timeout": "10m0s",
        "provider": "generic",
        "suspend": False,
    }
    infra, apps = by_kind(found, "Kustomization")
    assert (infra["metadata"]["name"], apps["metadata"]["name"]) == ("cfg-infra", "cfg-apps")
    assert apps["spec"]["dependsOn"] == [{"name": "cfg-infra"}]
    assert apps["spec"]["retryInterval"] == "1m30s" and "retryInterval" not in infra["spec"]
    assert infra["spec"]["sourceRef"] == {"kind": "GitRepository", "name": "cfg", "namespace": "gitops"}
    assert infra["spec"]["serviceAccountName"] == "flux-applier"
    assert infra["metadata"]["labels"] == {
        "clusterconfig.azure.com/is-managed": "true",
        "clusterconfig.azure.com/name": "cfg",
        "clusterconfig.azure.com/namespace": "gitops",
        "clusterconfig.azure.com/operation-id": "op-1",
    }


def test_the_scope_decides_what_the_applier_may_do() -> None:
    assert by_kind(desired(config()), "ClusterRoleBinding") and not by_kind(desired(config()), "RoleBinding")
    tenant = desired(config(scope="namespace"), enforce=False)
    (binding,) = by_kind(tenant, "RoleBinding")
    assert binding["metadata"]["namespace"] == "gitops" and not by_kind(tenant, "ClusterRoleBinding")
    assert by_kind(tenant, "Kustomization")[0]["spec"]["serviceAccountName"] == "flux-applier"
    free = desired(config(), enforce=False)
    assert not by_kind(free, "ServiceAccount")
    assert "serviceAccountName" not in by_kind(free, "Kustomization")[0]["spec"]


def test_suspending_a_configuration_suspends_all_of_its_objects() -> None:
    found = desired(config(suspend=True))
    assert all(o["spec"]["suspend"] for o in found if o["kind"] in ("GitRepository", "Kustomization"))


def test_the_secret_of_a_source_has_what_flux_expects() -> None:
    source = {"url": "https://git.example/repo", "httpsUser": "robot", "httpsCACert": base64.b64encode(b"PEM").decode()}
    obj = config(gitRepository=source)
    secret = objects.auth_secret(obj, {"httpsKey": base64.b64encode(b"token").decode()})
    assert secret is not None
    read = {k: base64.b64decode(v).decode() for k, v in secret["data"].items()}
    assert read == {"username": "robot", "password": "token", "ca.crt": "PEM"}
    found = objects.desired(obj, enforce=True, secret=secret, requested="t")
    assert by_kind(found, "GitRepository")[0]["spec"]["secretRef"] == {"name": "cfg-auth"}
    assert objects.auth_secret(config(), {}) is None
    local = config(gitRepository=source | {"localAuthRef": "mine"})
    assert objects.auth_secret(local, {"httpsKey": "token"}) is None
    assert by_kind(desired(local), "GitRepository")[0]["spec"]["secretRef"] == {"name": "mine"}


def test_an_oci_repository_and_a_bucket_keep_their_fields() -> None:
    oci = {"url": "oci://acr.azurecr.io/apps", "useWorkloadIdentity": True, "repositoryRef": {"semver": ">=1"}}
    (found,) = by_kind(
        desired(config(sourceKind="OCIRepository", gitRepository=None, ociRepository=oci)), "OCIRepository"
    )
    assert found["spec"]["provider"] == "azure" and found["spec"]["ref"] == {"semver": ">=1"}
    blob = {"url": "https://acct.blob.core.windows.net", "containerName": "manifests"}
    (found,) = by_kind(desired(config(sourceKind="AzureBlob", gitRepository=None, azureBlob=blob)), "Bucket")
    assert (found["spec"]["provider"], found["spec"]["bucketName"]) == ("azure", "manifests")


def test_an_edit_by_hand_is_a_difference_and_a_foreign_label_is_none() -> None:
    wanted = by_kind(desired(config()), "Kustomization")[0]
    live = {**wanted, "metadata": {**wanted["metadata"], "labels": {**wanted["metadata"]["labels"], "team": "a"}}}
    assert not objects.differs(wanted, live)
    assert objects.differs(wanted, {**live, "spec": {**live["spec"], "prune": True}})
    assert objects.differs(wanted, {**live, "spec": {**live["spec"], "targetNamespace": "x"}})
    assert objects.differs(wanted, {**live, "metadata": {**live["metadata"], "labels": {}}})


# --- compliance


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (None, "Pending"),
        (flux("Kustomization", None), "Pending"),
        (flux("Kustomization", "Unknown"), "Pending"),
        (flux("Kustomization", "False"), "Non-Compliant"),
        (flux("Kustomization", "True"), "Compliant"),
        (flux("Kustomization", "True", observed=0), "Pending"),
        (flux("Kustomization", "True", spec={"suspend": True}), "Suspended"),
        (flux("HelmRepository", None, spec={"type": "oci"}), "Compliant"),
    ],
)
def test_the_state_of_an_object_is_what_its_ready_condition_says(obj: Object | None, expected: str) -> None:
    assert compliance.state(obj) == expected


def test_a_kustomization_without_an_artifact_is_settled_only_while_its_source_has_none() -> None:
    waiting = flux("Kustomization", "False")
    waiting["status"]["conditions"][0]["reason"] = "ArtifactFailed"
    assert compliance.settled(waiting, flux("GitRepository", "False"))
    assert not compliance.settled(waiting, flux("GitRepository", "True"))
    assert compliance.settled(flux("Kustomization", "False"), flux("GitRepository", "True"))
    assert not compliance.settled(flux("Kustomization", None), flux("GitRepository", "True"))


def test_a_configuration_is_what_the_worst_of_its_objects_is() -> None:
    assert compliance.overall(["Compliant", "Pending", "Non-Compliant"]) == "Non-Compliant"
    assert compliance.overall(["Compliant", "Pending"]) == "Pending"
    assert compliance.overall(["Compliant"]) == "Compliant"
    assert compliance.overall([]) == "Unknown"


def test_statuses_name_who_applied_an_object_and_how_a_release_is() -> None:
    labels = {"kustomize.toolkit.fluxcd.io/name": "cfg-apps", "kustomize.toolkit.fluxcd.io/namespace": "gitops"}
    helm = flux("HelmRelease", "True", labels=labels, history=[{"version": 3}], helmChart="gitops/gitops-x", failures=2)
    entry = compliance.managed(flux("Kustomization", "True")) | {
        "childStatuses": {"helmRelease": {"web/x": compliance.child(helm)}}
    }
    managed = {
        "gitRepository": compliance.managed(flux("GitRepository", "False")),
        "kustomizations": {"gitops/cfg-apps": entry},
    }
    obj = {"metadata": {"name": "cfg", "namespace": "gitops"}, "status": {"managedStatuses": managed}}
    source, kustomization, release_ = compliance.statuses(obj)
    assert (source["kind"], source["name"], source["complianceState"]) == ("GitRepository", "cfg", "Non-Compliant")
    assert (kustomization["name"], kustomization["appliedBy"]) == ("cfg-apps", None)
    assert release_["appliedBy"] == {"name": "cfg-apps", "namespace": "gitops"}
    assert release_["helmReleaseProperties"] == {
        "lastRevisionApplied": 3,
        "helmChartRef": {"name": "gitops-x", "namespace": "gitops"},
        "failureCount": 2,
        "installFailureCount": 0,
        "upgradeFailureCount": 0,
    }


def test_iso_durations_are_read_as_seconds() -> None:
    assert flux_body.duration_seconds("PT1H30M") == 5400
    assert flux_body.duration_seconds("P1DT5S") == 86405


@pytest.mark.parametrize(("asked", "scaled", "expected"), [(1800, 9, 120), (60, 0.3, 60), (86400, 432, 432)])
def test_reconciliation_gets_the_time_that_flux_needs_though_azures_minutes_pass_quickly(
    asked: float, scaled: float, expected: float
) -> None:
    """Flux looks again for what something depends on after 30 seconds of the cluster, at any speed of Azure's clock."""
    assert controller.patience(asked, scaled) == expected
