"""Kustomizations in a cluster, from an artifact to what the cluster holds."""

from __future__ import annotations

import json

from azsandbox.controllers.client import APPLY, Object, path
from tests.azsandbox.flux.kustomize.conftest import Fleet, condition, config_map
from tests.azsandbox.flux.kustomize.waiting import until

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]},
        },
    },
}


def ids(obj: Object) -> list[str]:
    return [entry["id"] for entry in obj["status"]["inventory"]["entries"]]


async def test_a_new_revision_is_applied_and_what_it_lacks_is_pruned(fleet: Fleet) -> None:
    first = await fleet.push({"a.yaml": config_map("a"), "b.yaml": config_map("b")})
    await fleet.create()
    obj = await fleet.ready(revision=first)
    assert ids(obj) == ["default_a__ConfigMap", "default_b__ConfigMap"]
    found = await fleet.config_map("a")
    assert found is not None
    labels = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "default"}
    assert found["metadata"]["labels"] == labels
    assert found["metadata"]["managedFields"][0]["manager"] == "kustomize-controller"

    second = await fleet.push({"a.yaml": config_map("a", value="new")})
    obj = await fleet.ready(revision=second)
    assert ids(obj) == ["default_a__ConfigMap"]
    assert (await fleet.config_map("a") or {})["data"] == {"value": "new"}
    assert await fleet.config_map("b") is None
    texts = [event["message"] for event in await fleet.events()]
    assert "ConfigMap/default/a configured" in texts
    assert "ConfigMap/default/b deleted" in texts
    statuses = [entry["lastReconciledStatus"] for entry in obj["status"]["history"]]
    assert statuses == ["ReconciliationSucceeded", "ReconciliationSucceeded"]
    managers = {entry["manager"] for entry in obj["metadata"]["managedFields"]}
    assert "gotk-kustomize-controller" in managers


async def test_events_carry_the_revision_and_the_origin_of_an_artifact(fleet: Fleet) -> None:
    revision = await fleet.push(
        {"a.yaml": config_map("a")}, metadata={"org.opencontainers.image.revision": "main@sha1:9"}
    )
    await fleet.create()
    obj = await fleet.ready()
    assert obj["status"]["lastAppliedOriginRevision"] == "main@sha1:9"
    assert obj["status"]["history"][0]["metadata"] == {"revision": revision, "originRevision": "main@sha1:9"}
    events = await until(fleet.events, lambda found: any("finished" in event["message"] for event in found))
    done = next(event for event in events if "Reconciliation finished" in event["message"])
    assert done["metadata"]["annotations"] == {
        "kustomize.toolkit.fluxcd.io/commit_status": "update",
        "kustomize.toolkit.fluxcd.io/revision": revision,
        "kustomize.toolkit.fluxcd.io/originRevision": "main@sha1:9",
    }


async def test_a_suspended_kustomization_does_not_apply_and_answers_requests(fleet: Fleet) -> None:
    await fleet.push({"a.yaml": config_map("a")})
    await fleet.create(suspend=True)
    await fleet.request()
    assert await fleet.config_map("a") is None
    await fleet.change(suspend=False)
    await fleet.ready()
    assert await fleet.config_map("a") is not None


async def test_the_last_good_state_stays_when_a_revision_cannot_be_built(fleet: Fleet) -> None:
    good = await fleet.push({"a.yaml": config_map("a")})
    await fleet.create()
    await fleet.ready()
    bad = await fleet.push({"a.yaml": "a: b: c"})
    message = await fleet.not_ready("BuildFailed")
    assert "a.yaml: MalformedYAMLError: yaml: mapping values are not allowed in this context" in message
    status = (await fleet.get())["status"]
    assert (status["lastAppliedRevision"], status["lastAttemptedRevision"]) == (good, bad)
    assert condition({"status": status}, "Reconciling")["reason"] == "ProgressingWithRetry"
    assert await fleet.config_map("a") is not None
    healed = await fleet.push({"a.yaml": config_map("a", value="healed")})
    await fleet.ready(revision=healed)


async def test_a_manual_edit_is_undone_also_by_a_new_revision_of_something_else(fleet: Fleet) -> None:
    await fleet.push({f"c{n}.yaml": config_map(f"c{n}", value="git") for n in range(8)})
    await fleet.create()
    await fleet.ready()
    await fleet.client.patch(path("v1", "configmaps", "default", "c3"), {"data": {"value": "hand"}})
    revision = await fleet.push({f"c{n}.yaml": config_map(f"c{n}", value="git" if n else "new") for n in range(8)})
    await fleet.ready(revision=revision)  # what was written to since is looked at with every revision
    assert (await fleet.config_map("c3") or {})["data"] == {"value": "git"}
    assert (await fleet.config_map("c0") or {})["data"] == {"value": "new"}


async def test_a_new_policy_of_the_cluster_counts_from_the_next_request_on(fleet: Fleet) -> None:
    files = {f"c{n}.yaml": config_map(f"c{n}") for n in range(8)}
    await fleet.push(files)
    await fleet.create()
    await fleet.ready()
    rule = {"expression": "has(object.data.owner)", "message": "an owner is missing"}
    resources = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["configmaps"]}
    spec = {"matchConstraints": {"resourceRules": [resources]}, "validations": [rule], "failurePolicy": "Fail"}
    group = "admissionregistration.k8s.io/v1"
    policy = {"apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "owned"}, "spec": spec}
    await fleet.client.create(path(group, "validatingadmissionpolicies"), policy)
    binding = {"policyName": "owned", "validationActions": ["Deny"]}
    bound = {
        "apiVersion": group,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "owned"},
        "spec": binding,
    }
    await fleet.client.create(path(group, "validatingadmissionpolicybindings"), bound)
    await fleet.request()
    message = await fleet.not_ready("ReconciliationFailed")
    assert "ConfigMap/default/c0 dry-run failed (Invalid)" in message
    assert "an owner is missing" in message


async def test_an_object_of_another_kustomization_is_taken_over_and_not_pruned(fleet: Fleet) -> None:
    await fleet.push({"one/a.yaml": config_map("a"), "two/a.yaml": config_map("a")})
    await fleet.create("one", path="./one")
    await fleet.ready("one")
    await fleet.create("two", path="./two")
    await fleet.ready("two")
    await fleet.client.delete(fleet.url("one"))
    await until(lambda: fleet.client.find(fleet.url("one")), lambda found: found is None)
    assert (await fleet.config_map("a") or {})["metadata"]["labels"]["kustomize.toolkit.fluxcd.io/name"] == "two"


async def test_deletion_waits_for_termination_where_the_policy_says_so(fleet: Fleet) -> None:
    await fleet.push({"a.yaml": config_map("a")})
    await fleet.create(deletionPolicy="WaitForTermination")
    await fleet.ready()
    url = path("v1", "configmaps", "default", "a")
    await fleet.client.patch(url, {"metadata": {"finalizers": ["example.com/hold"]}})
    await fleet.client.delete(fleet.url())
    await until(lambda: fleet.client.get(url), lambda found: "deletionTimestamp" in found["metadata"])
    assert "deletionTimestamp" in (await fleet.get())["metadata"]
    await fleet.client.patch(url, {"metadata": {"finalizers": None}})
    await until(lambda: fleet.client.find(fleet.url()), lambda found: found is None)


async def test_a_failed_deletion_stays_in_the_inventory_and_is_tried_again(fleet: Fleet) -> None:
    await fleet.push({"a.yaml": config_map("a"), "b.yaml": config_map("b")})
    await fleet.create(retryInterval="1s")
    await fleet.ready()
    rule = {"expression": "object == null && oldObject.metadata.name != 'b'", "message": "b stays"}
    resources = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["configmaps"]}
    spec = {"matchConstraints": {"resourceRules": [resources]}, "validations": [rule], "failurePolicy": "Fail"}
    group = "admissionregistration.k8s.io/v1"
    kept = {"apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "kept"}, "spec": spec}
    await fleet.client.create(path(group, "validatingadmissionpolicies"), kept)
    bound = {"policyName": "kept", "validationActions": ["Deny"]}
    await fleet.client.create(
        path(group, "validatingadmissionpolicybindings"),
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "kept"}, "spec": bound},
    )
    await fleet.push({"a.yaml": config_map("a")})
    message = await fleet.not_ready("PruneFailed")
    assert message.startswith("delete failed, errors: ConfigMap/default/b delete failed: ")
    obj = await fleet.get()
    assert ids(obj) == ["default_a__ConfigMap", "default_b__ConfigMap"]
    assert obj["status"]["history"][0]["lastReconciledStatus"] == "PruneFailed"
    await fleet.client.delete(path(group, "validatingadmissionpolicybindings", "", "kept"))
    await fleet.ready()
    assert await fleet.config_map("b") is None


async def test_an_immutable_field_is_changed_by_force_alone(fleet: Fleet) -> None:
    await fleet.push({"web.yaml": json.dumps(DEPLOYMENT)})
    await fleet.create()
    await fleet.ready()
    other = json.loads(json.dumps(DEPLOYMENT).replace('"app": "web"', '"app": "other"'))
    revision = await fleet.push({"web.yaml": json.dumps(other)})
    message = await fleet.not_ready("ReconciliationFailed")
    assert message.startswith('Deployment/default/web dry-run failed (Invalid): Deployment.apps "web" is invalid')
    await fleet.change(force=True)
    await fleet.ready(revision=revision)
    found = await fleet.client.get(path("apps/v1", "deployments", "default", "web"))
    assert found["spec"]["selector"] == {"matchLabels": {"app": "other"}}
    assert found["metadata"]["generation"] == 1


async def test_fields_of_kubectl_go_and_those_of_others_stay(fleet: Fleet) -> None:
    await fleet.push({"a.yaml": config_map("a")})
    await fleet.create()
    await fleet.ready()
    url = path("v1", "configmaps", "default", "a")
    for manager in ("kubectl-edit", "operator"):
        query = {"fieldManager": manager}
        change = {"data": {manager: "x"}}
        await fleet.client.request("PATCH", url, change, query=query, content_type="application/merge-patch+json")
    await fleet.request()
    assert (await fleet.config_map("a") or {})["data"] == {"a": "b", "operator": "x"}


async def test_ignored_paths_are_left_to_whoever_sets_them(fleet: Fleet) -> None:
    await fleet.push({"web.yaml": json.dumps(DEPLOYMENT)})
    await fleet.create(ignore=[{"paths": ["/spec/replicas"], "target": {"kind": "Deployment"}}])
    await fleet.ready()
    url = path("apps/v1", "deployments", "default", "web")
    scaled = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 3}}
    query = {"fieldManager": "autoscaler", "force": "true"}
    await fleet.client.request("PATCH", url, scaled, query=query, content_type=APPLY)
    changed = json.loads(json.dumps(DEPLOYMENT).replace("1.27", "1.28"))
    revision = await fleet.push({"web.yaml": json.dumps(changed)})
    await fleet.ready(revision=revision)
    found = await fleet.client.get(url)
    assert found["spec"]["replicas"] == 3
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1.28"


async def test_health_is_waited_for_and_a_failure_named(fleet: Fleet) -> None:
    web = json.loads(json.dumps(DEPLOYMENT))
    web["spec"]["replicas"] = 1
    await fleet.push({"web.yaml": json.dumps(web)})
    await fleet.create(wait=True, timeout="1m")
    obj = await fleet.ready()
    assert condition(obj, "Healthy")["message"].startswith("Health check passed in ")
    web["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "none"}
    web["spec"]["progressDeadlineSeconds"] = 1
    await fleet.push({"web.yaml": json.dumps(web)})
    message = await fleet.not_ready("HealthCheckFailed")
    assert message.endswith("failed early due to stalled resources: [Deployment/default/web status: 'Failed']")
    assert condition(await fleet.get(), "Healthy")["status"] == "False"


async def test_a_circle_of_dependencies_never_becomes_ready(fleet: Fleet) -> None:
    await fleet.push({"a.yaml": config_map("a")})
    await fleet.create("one", dependsOn=[{"name": "two"}])
    await fleet.create("two", dependsOn=[{"name": "one"}])
    assert await fleet.not_ready("DependencyNotReady", "one") == "dependency 'default/two' is not ready"
    assert await fleet.not_ready("DependencyNotReady", "two") == "dependency 'default/one' is not ready"
    assert await fleet.config_map("a") is None
    await fleet.change("one", dependsOn=None)
    await fleet.ready("one")


async def test_one_that_waits_for_another_goes_on_when_that_is_ready(fleet: Fleet) -> None:
    """Flux would look again after half a minute, which is longer than this test waits."""
    first = await fleet.push({"a.yaml": config_map("a")})
    await fleet.create("apps", dependsOn=[{"name": "infrastructure"}])
    assert "not found" in await fleet.not_ready("DependencyNotReady", "apps")
    await fleet.create("infrastructure")
    await fleet.ready("apps", revision=first)
    second = await fleet.push({"a.yaml": config_map("a", value="new")})
    await fleet.ready("apps", revision=second)


async def test_an_impersonated_account_may_do_what_it_may_do(fleet: Fleet) -> None:
    await fleet.client.create(path("v1", "serviceaccounts", "default"), {"metadata": {"name": "deployer"}})
    await fleet.push({"a.yaml": config_map("a")})
    await fleet.create(serviceAccountName="deployer")
    message = await fleet.not_ready("ReconciliationFailed")
    assert message.startswith("ConfigMap/default/a dry-run failed (Forbidden): ")
    group = "rbac.authorization.k8s.io/v1"
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]
    await fleet.client.create(path(group, "roles", "default"), {"metadata": {"name": "deployer"}, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "deployer", "namespace": "default"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "deployer"}
    binding = {"metadata": {"name": "deployer"}, "subjects": [subject], "roleRef": role}
    await fleet.client.create(path(group, "rolebindings", "default"), binding)
    await fleet.request()
    await fleet.ready()


async def test_objects_stay_when_the_account_that_would_delete_them_is_gone(fleet: Fleet) -> None:
    await fleet.client.create(path("v1", "serviceaccounts", "default"), {"metadata": {"name": "admin"}})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    binding = {
        "metadata": {"name": "admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "admin", "namespace": "default"}],
        "roleRef": role,
    }
    await fleet.client.create(path("rbac.authorization.k8s.io/v1", "clusterrolebindings"), binding)
    await fleet.push({"a.yaml": config_map("a")})
    await fleet.create(serviceAccountName="admin")
    await fleet.ready()
    await fleet.client.delete(path("v1", "serviceaccounts", "default", "admin"))
    await fleet.client.delete(fleet.url())
    await until(lambda: fleet.client.find(fleet.url()), lambda found: found is None)
    assert await fleet.config_map("a") is not None
    events = await fleet.events()
    assert any(event["message"] == "unable to prune objects: \nConfigMap/default/a" for event in events)


async def test_variables_come_from_config_maps_and_secrets_and_a_change_is_followed(fleet: Fleet) -> None:
    watched = {"reconcile.fluxcd.io/watch": "Enabled"}
    config = {"metadata": {"name": "vars", "labels": watched}, "data": {"colour": "blue", "size": "1"}}
    await fleet.client.create(path("v1", "configmaps", "default"), config)
    await fleet.client.create(
        path("v1", "secrets", "default"), {"metadata": {"name": "more"}, "stringData": {"size": "2"}}
    )
    await fleet.push({"a.yaml": config_map("a", text="${colour} ${size} ${shape:-round}")})
    references = [
        {"kind": "ConfigMap", "name": "vars"},
        {"kind": "Secret", "name": "more"},
        {"kind": "Secret", "name": "none", "optional": True},
    ]
    await fleet.create(postBuild={"substituteFrom": references, "substitute": {"colour": "green"}})
    await fleet.ready()
    assert (await fleet.config_map("a") or {})["data"] == {"text": "green 2 round"}
    await fleet.change(postBuild={"substituteFrom": references, "substitute": None})
    await until(lambda: fleet.config_map("a"), lambda found: found["data"] == {"text": "blue 2 round"})
    await fleet.client.patch(path("v1", "configmaps", "default", "vars"), {"data": {"colour": "red"}})
    await until(lambda: fleet.config_map("a"), lambda found: found["data"] == {"text": "red 2 round"})


async def test_encrypted_objects_are_refused_by_the_name_of_the_field(fleet: Fleet) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "default"},
        "data": {"token": "ENC[AES256_GCM,data:p673w==,iv:YY=,aad:UQ=,tag:A==]"},
        "sops": {"version": "3.13.2"},
    }
    await fleet.push({"s.yaml": json.dumps(secret)})
    await fleet.create()
    text = "Secret/default/s is SOPS encrypted, configuring decryption is required for this secret to be reconciled"
    assert (await fleet.not_ready("ReconciliationFailed")).startswith(text)
    await fleet.change(decryption={"provider": "sops"})
    message = await fleet.not_ready("NotSupportedInSandbox")
    assert message.startswith("spec.decryption: 'Secret/default/s' is encrypted with SOPS")
    assert condition(await fleet.get(), "Stalled")["status"] == "True"


async def test_a_remote_cluster_is_reached_by_the_kubeconfig_of_a_secret(fleet: Fleet) -> None:
    await fleet.push({"a.yaml": config_map("a")})
    await fleet.create(kubeConfig={"secretRef": {"name": "remote"}})
    text = "unable to read KubeConfig secret 'default/remote' error: secrets \"remote\" not found"
    assert await fleet.not_ready("ReconciliationFailed") == text
    await fleet.client.create(
        path("v1", "secrets", "default"), {"metadata": {"name": "remote"}, "stringData": {"x": "y"}}
    )
    await fleet.request()
    text = "KubeConfig secret 'default/remote' does not contain a 'value' key with a kubeconfig"
    assert await fleet.not_ready("ReconciliationFailed") == text
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"tokenFile": "/etc/token"}}],
    }
    await fleet.client.patch(path("v1", "secrets", "default", "remote"), {"stringData": {"value": json.dumps(config)}})
    await fleet.request()
    message = await fleet.not_ready("ReconciliationFailed")
    assert message == (
        "invalid KubeConfig in secret 'default/remote': "
        "user 'u' references a tokenFile, only an inline token is supported"
    )
    await fleet.change(kubeConfig={"configMapRef": {"name": "remote"}, "secretRef": None})
    assert "spec.kubeConfig.configMapRef" in await fleet.not_ready("NotSupportedInSandbox")


async def test_a_deleted_namespace_is_reported_and_heals_once_it_is_back(fleet: Fleet) -> None:
    await fleet.client.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
    await fleet.push({"a.yaml": config_map("a", "team")})
    await fleet.create(retryInterval="1s")
    await fleet.ready()
    await fleet.client.delete("/api/v1/namespaces/team")
    await until(lambda: fleet.client.find("/api/v1/namespaces/team"), lambda found: found is None)
    await fleet.request()
    assert await fleet.not_ready("ReconciliationFailed") == 'ConfigMap/team/a not found: namespaces "team" not found\n'
    await fleet.client.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
    await fleet.ready()
    assert await fleet.config_map("a", "team") is not None


async def test_definitions_come_before_their_objects_in_one_path(fleet: Fleet) -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "names": names, "scope": "Namespaced", "versions": [version]},
    }
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a", "namespace": "default"}}
    await fleet.push({"a.yaml": json.dumps(widget), "z.yaml": json.dumps(definition)})
    await fleet.create()
    obj = await fleet.ready()
    expected = ["_widgets.example.com_apiextensions.k8s.io_CustomResourceDefinition", "default_a_example.com_Widget"]
    assert ids(obj) == expected


async def test_the_last_of_several_pushes_is_what_the_cluster_has(fleet: Fleet) -> None:
    await fleet.push({"a.yaml": config_map("a")})
    await fleet.create()
    await fleet.ready()
    revisions = [await fleet.push({"a.yaml": config_map("a", value=str(n))}) for n in range(5)]
    await fleet.ready(revision=revisions[-1])
    assert (await fleet.config_map("a") or {})["data"] == {"value": "4"}


async def test_an_account_that_may_no_longer_apply_is_refused_also_for_what_did_not_change(fleet: Fleet) -> None:
    group = "rbac.authorization.k8s.io/v1"
    await fleet.client.create(path("v1", "serviceaccounts", "default"), {"metadata": {"name": "deployer"}})
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]
    await fleet.client.create(path(group, "clusterroles"), {"metadata": {"name": "deployer"}, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "deployer", "namespace": "default"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "deployer"}
    binding = {"metadata": {"name": "deployer"}, "subjects": [subject], "roleRef": role}
    await fleet.client.create(path(group, "clusterrolebindings"), binding)
    files = {f"c{n}.yaml": config_map(f"c{n}") for n in range(8)}
    await fleet.push(files)
    await fleet.create(serviceAccountName="deployer")
    await fleet.ready()
    await fleet.client.delete(path(group, "clusterrolebindings", "", "deployer"))
    await fleet.push({name: text for name, text in files.items() if name != "c7.yaml"})
    assert "(Forbidden)" in await fleet.not_ready("ReconciliationFailed")


async def test_the_end_of_a_ready_kustomization_is_told_as_a_reconciliation(fleet: Fleet) -> None:
    await fleet.push({"a.yaml": config_map("a")})
    await fleet.create()
    await fleet.ready()
    before = await _finished(fleet)
    await fleet.client.delete(fleet.url())
    await until(lambda: fleet.client.find(fleet.url()), lambda obj: obj is None)
    assert await until(lambda: _finished(fleet), lambda count: count > before) == before + 1


async def _finished(fleet: Fleet) -> int:
    found = [event for event in await fleet.events() if event["message"].startswith("Reconciliation finished in")]
    return sum(event.get("count", 1) for event in found)


async def test_labels_with_one_that_is_no_text_are_none_to_flux(fleet: Fleet) -> None:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}}
    obj["metadata"] |= {"labels": {"mine": "x", "wrong": True}}  # type: ignore[operator]
    await fleet.push({"a.yaml": json.dumps(obj)})
    await fleet.create()
    await fleet.ready()
    labels = (await fleet.config_map("a") or {})["metadata"]["labels"]
    assert labels == {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "default"}


async def test_an_object_of_no_api_version_has_no_kind_to_flux(fleet: Fleet) -> None:
    obj = {"apiVersion": "a/b/c", "kind": "Widget", "metadata": {"namespace": "default", "name": "a"}}
    await fleet.push({"a.yaml": json.dumps(obj)})
    await fleet.create()
    body = '{"apiVersion":"a/b/c","kind":"Widget","metadata":{"name":"a","namespace":"default"}}'
    expected = f"error unmarshaling JSON: while decoding JSON: Object 'Kind' is missing in '{body}'"
    assert await fleet.not_ready("BuildFailed") == expected


async def test_the_event_of_a_kubeconfig_that_leads_nowhere_says_what_it_was_for(fleet: Fleet) -> None:
    await fleet.push({"a.yaml": config_map("a")})
    secret = {"metadata": {"name": "remote"}, "stringData": {"other": "x"}}
    await fleet.client.create(path("v1", "secrets", "default"), secret)
    await fleet.create(kubeConfig={"secretRef": {"name": "remote"}})
    message = await fleet.not_ready("ReconciliationFailed")
    assert message == "KubeConfig secret 'default/remote' does not contain a 'value' key with a kubeconfig"
    events = await until(fleet.events, lambda found: any(event["type"] == "Warning" for event in found))
    assert {e["message"] for e in events if e["type"] == "Warning"} == {f"failed to build kube client: {message}"}


async def test_what_waits_for_one_that_was_missing_looks_again_when_that_comes(fleet: Fleet) -> None:
    await fleet.push({"a.yaml": config_map("a")})
    await fleet.create("one", dependsOn=[{"name": "two"}])
    assert "not found" in await fleet.not_ready("DependencyNotReady", "one")
    await fleet.create("two", dependsOn=[{"name": "one"}])
    text = "dependency 'default/two' is not ready"
    await fleet.until(lambda obj: condition(obj, "Ready")["message"] == text, "one")
