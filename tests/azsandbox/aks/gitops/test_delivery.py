"""From a push to the sandbox's github.com, over Flux as the extension installed it, to what Azure says of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.azsandbox.arm.containerservice.test_clusters import GROUP, until
from tests.azsandbox.arm.kubernetesconfiguration.test_sdk import CLUSTER, GitOps
from tests.azsandbox.processes import Sandbox, running
from tests.fidelity.cases import load
from tests.fidelity.compare import missing

FLUX = "/apis/source.toolkit.fluxcd.io/v1/namespaces/{}/gitrepositories/{}"
KUSTOMIZATIONS = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{}/kustomizations"
MERGE = {"Content-Type": "application/merge-patch+json"}
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: web}\n"
SETTINGS = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hello, namespace: web}\ndata: {stage: '${stage}'}\n"
NOWHERE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n"


class Checkout:
    """A repository of the learner's at the sandbox's github.com, with git's own client."""

    def __init__(self, sandbox: Sandbox, folder: Path, name: str, branch: str = "main") -> None:
        self.sandbox, self.folder, self.branch = sandbox, folder / name, branch
        self.url = f"https://github.com/contoso/{name}"
        sandbox.run("git", "create", f"contoso/{name}")
        self.folder.mkdir()
        self.git("init", "-q", "-b", branch)
        self.git("remote", "add", "origin", self.url)

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=Learner", "-c", "user.email=learner@contoso.com")
        return self.sandbox.run("exec", "--", "git", *who, *arguments, cwd=self.folder).stdout.strip()

    def push(self, files: dict[str, str]) -> str:
        """Commits and pushes files; returns the commit's id."""
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", "change")
        self.git("push", "-q", "origin", self.branch)
        return self.git("rev-parse", "HEAD")


class Delivery:
    """A cluster with the extension, and the configurations of the tests."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox, self.folder, self.azure = sandbox, folder, GitOps(sandbox)
        self.azure.create("gitops")
        self.azure.install("gitops").result()
        self.kube: httpx.Client = self.azure.kubernetes("gitops")

    def follow(self, name: str, checkout: Checkout, properties: dict[str, Any]) -> dict[str, Any]:
        source = {"url": checkout.url, "repositoryRef": {"branch": checkout.branch}}
        body = {"properties": {"sourceKind": "GitRepository", "gitRepository": source, **properties}}
        self.azure.configurations.begin_create_or_update(GROUP, *CLUSTER, "gitops", name, body).result()
        return self.said(name)

    def said(self, name: str) -> dict[str, Any]:
        """A configuration as Resource Manager has it."""
        return dict(self.azure.configurations.get(GROUP, *CLUSTER, "gitops", name).as_dict())

    def delete(self, name: str) -> None:
        self.azure.configurations.begin_delete(GROUP, *CLUSTER, "gitops", name).result()

    def until(self, name: str, seen: Any) -> dict[str, Any]:
        """The properties of a configuration, as soon as they are as told."""
        properties: dict[str, Any] = {}

        def look() -> bool:
            nonlocal properties
            properties = self.said(name)["properties"]
            return bool(seen(properties))

        assert until(look, 60), json.dumps(properties, indent=1)
        return properties

    def reconcile(self, namespace: str, name: str) -> None:
        """What `flux reconcile source git` does."""
        change = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": str(time.time_ns())}}}
        url = FLUX.format(namespace, name)
        self.kube.patch(url, content=json.dumps(change), headers=MERGE).raise_for_status()

    def data(self, url: str) -> Any:
        answer = self.kube.get(url)
        return answer.json().get("data") if answer.status_code == 200 else answer.status_code


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivery]:
    folder = tmp_path_factory.mktemp("delivery")
    with running(folder / "home") as sandbox:
        yield Delivery(sandbox, folder)


def test_a_push_is_applied_told_to_azure_kept_and_pruned(delivery: Delivery) -> None:
    checkout = Checkout(delivery.sandbox, delivery.folder, "clusters")
    first = checkout.push({"apps/namespace.yaml": NAMESPACE, "apps/settings.yaml": SETTINGS})
    properties = delivery.follow(
        "apps",
        checkout,
        {
            "namespace": "cluster-config",
            "waitForReconciliation": True,
            "reconciliationWaitDuration": "PT10M",
            "kustomizations": {"web": {"path": "./apps", "prune": True, "postBuild": {"substitute": {"stage": "lab"}}}},
        },
    )["properties"]
    assert (properties["provisioningState"], properties["complianceState"]) == ("Succeeded", "Compliant")
    assert properties["sourceSyncedCommitId"] == f"main@sha1:{first}"
    hello = "/api/v1/namespaces/web/configmaps/hello"
    assert delivery.data(hello) == {"stage": "lab"}

    # A commit that cannot be applied shows in Azure, with Flux's words; what was applied before stays
    bad = checkout.push({"apps/service.yaml": NOWHERE})
    delivery.reconcile("cluster-config", "apps")
    properties = delivery.until("apps", lambda p: p["complianceState"] == "Non-Compliant")
    assert properties["provisioningState"] == "Succeeded"
    properties = delivery.until("apps", lambda p: p["sourceSyncedCommitId"] == f"main@sha1:{bad}")
    (web,) = [status for status in properties["statuses"] if status["kind"] == "Kustomization"]
    messages = [condition["message"] for condition in web["statusConditions"] if condition["type"] == "Ready"]
    assert messages == ["Service/web namespace not specified: the server could not find the requested resource\n"]
    assert delivery.data(hello) == {"stage": "lab"}

    # The next commit mends it
    good = checkout.push({"apps/service.yaml": NOWHERE.replace("web}", "web, namespace: web}")})
    delivery.reconcile("cluster-config", "apps")
    properties = delivery.until("apps", lambda p: p["complianceState"] == "Compliant")
    assert properties["sourceSyncedCommitId"] == f"main@sha1:{good}"

    # An object of the configuration that is deleted by hand comes back, with what it applies
    kustomization = KUSTOMIZATIONS.format("cluster-config") + "/apps-web"
    uid = delivery.kube.get(kustomization).json()["metadata"]["uid"]
    delivery.kube.delete(kustomization).raise_for_status()
    assert until(lambda: delivery.kube.get(kustomization).json()["metadata"].get("uid", uid) != uid, 60)
    assert until(lambda: delivery.data(hello) == {"stage": "lab"}, 60)

    delivery.delete("apps")
    assert (delivery.data(hello), delivery.kube.get(kustomization).status_code) == (404, 404)


def test_a_configuration_that_cannot_be_applied_looks_as_azure_recorded_one(delivery: Delivery) -> None:
    """The recorded repository is not at hand: one of the lab's stands in for it, with what failed there."""
    (case,) = [case for case in load("arm") if case.id == "arm/gitops/flux-get-status"]
    recorded, sent = case.content["steps"][-1]["expect"]["body"]["properties"], case.content["steps"][-3]["body"]
    checkout = Checkout(delivery.sandbox, delivery.folder, "arc-k8s-demo", branch="master")
    checkout.push({"service.yaml": NOWHERE.replace("{name: web}", "{name: arc-k8s-demo}")})
    sent["properties"]["gitRepository"]["url"] = recorded["gitRepository"]["url"] = checkout.url
    delivery.azure.configurations.begin_create_or_update(GROUP, *CLUSTER, "gitops", "cfg", sent).result()
    assert list(missing(recorded, delivery.said("cfg")["properties"])) == []
    delivery.delete("cfg")


def test_suspending_in_azure_stops_flux_until_it_is_resumed(delivery: Delivery) -> None:
    checkout = Checkout(delivery.sandbox, delivery.folder, "paused")
    checkout.push({"apps/settings.yaml": SETTINGS.replace("web}", "paused}").replace("${stage}", "one")})
    body = {"namespace": "paused", "kustomizations": {"all": {"path": "./apps", "prune": True}}}
    delivery.follow("paused", checkout, body)
    hello = "/api/v1/namespaces/paused/configmaps/hello"
    assert until(lambda: delivery.data(hello) == {"stage": "one"}, 60)
    delivery.follow("paused", checkout, {**body, "suspend": True})
    delivery.until("paused", lambda p: p["complianceState"] == "Suspended")
    checkout.push({"apps/settings.yaml": SETTINGS.replace("web}", "paused}").replace("${stage}", "two")})
    delivery.reconcile("paused", "paused")
    assert not until(lambda: delivery.data(hello) == {"stage": "two"}, 3)
    delivery.follow("paused", checkout, body)
    assert until(lambda: delivery.data(hello) == {"stage": "two"}, 60)
    delivery.until("paused", lambda p: p["complianceState"] == "Compliant")
    delivery.delete("paused")


def test_a_release_of_helm_is_told_with_who_applied_it_and_its_counts(delivery: Delivery) -> None:
    checkout = Checkout(delivery.sandbox, delivery.folder, "charts")
    release = {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": "web", "namespace": "charts"},
        "spec": {
            "interval": "10m",
            "chart": {"spec": {"chart": "./web", "sourceRef": {"kind": "GitRepository", "name": "charts"}}},
            "values": {"stage": "helm"},
        },
    }
    template = SETTINGS.replace("hello, namespace: web", "hello").replace("'${stage}'", "{{ .Values.stage }}")
    files = {"Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n", "templates/settings.yaml": template}
    checkout.push({f"web/{name}": text for name, text in files.items()} | {"releases/web.yaml": json.dumps(release)})
    kustomizations = {"all": {"path": "./releases", "prune": True, "wait": True}}
    delivery.follow("charts", checkout, {"namespace": "charts", "kustomizations": kustomizations})
    properties = delivery.until("charts", lambda p: p["complianceState"] == "Compliant" and len(p["statuses"]) == 3)
    (told,) = [status for status in properties["statuses"] if status["kind"] == "HelmRelease"]
    assert (told["name"], told["namespace"], told["complianceState"]) == ("web", "charts", "Compliant")
    assert told["appliedBy"] == {"name": "charts-all", "namespace": "charts"}
    assert told["helmReleaseProperties"] == {
        "lastRevisionApplied": 1,
        "helmChartRef": {"name": "charts-web", "namespace": "charts"},
        "failureCount": 0,
        "installFailureCount": 0,
        "upgradeFailureCount": 0,
    }
    hello = "/api/v1/namespaces/charts/configmaps/hello"
    assert delivery.data(hello) == {"stage": "helm"}
    delivery.delete("charts")
    assert until(lambda: delivery.data(hello) == 404)


def test_a_configuration_of_a_namespace_may_change_nothing_outside_of_it(delivery: Delivery) -> None:
    checkout = Checkout(delivery.sandbox, delivery.folder, "tenant")
    own = SETTINGS.replace("web}", "tenant}").replace("${stage}", "mine")
    checkout.push({"own/settings.yaml": own, "other/settings.yaml": SETTINGS.replace("web}", "default}")})
    kustomizations = {name: {"path": f"./{name}", "prune": True} for name in ("own", "other")}
    delivery.follow("tenant", checkout, {"namespace": "tenant", "scope": "namespace", "kustomizations": kustomizations})
    expected = {"tenant": "Compliant", "tenant-own": "Compliant", "tenant-other": "Non-Compliant"}
    properties = delivery.until(
        "tenant", lambda p: {s["name"]: s["complianceState"] for s in p["statuses"]} == expected
    )
    told = {status["name"]: status for status in properties["statuses"]}
    said = " ".join(condition["message"] for condition in told["tenant-other"]["statusConditions"])
    assert 'User "system:serviceaccount:tenant:flux-applier" cannot patch resource "configmaps"' in said
    assert delivery.data("/api/v1/namespaces/tenant/configmaps/hello") == {"stage": "mine"}
    assert delivery.data("/api/v1/namespaces/default/configmaps/hello") == 404
    delivery.delete("tenant")
