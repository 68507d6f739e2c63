"""A repository laid out as Flux's own example: overlays of a base, charts, infrastructure before applications.

The layout is that of fluxcd/flux2-kustomize-helm-example; what is in it is this kit's. Sources and charts come from the
sandbox's stand-ins for GitHub, for a registry and for a Helm repository.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.azsandbox.aks.gitops.test_delivery import KUSTOMIZATIONS, Checkout, Delivery
from tests.azsandbox.arm.containerservice.test_clusters import until
from tests.azsandbox.processes import running

SPACE = "fleet"
LAYER = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {{name: {name}, namespace: fleet}}
spec:
  interval: 1h
  retryInterval: 2m
  timeout: 5m
  sourceRef: {{kind: GitRepository, name: fleet}}
  path: {path}
  prune: true
  wait: true
"""
PATCHED = """\
  dependsOn: [{name: infra-controllers}]
  patches:
  - patch: '[{"op": "replace", "path": "/data/server", "value": "staging"}]'
    target: {kind: ConfigMap, name: settings}
"""
FILES = {
    "clusters/staging/infrastructure.yaml": LAYER.format(name="infra-controllers", path="./infrastructure/controllers")
    + "---\n"
    + LAYER.format(name="infra-configs", path="./infrastructure/configs")
    + PATCHED,
    "clusters/staging/apps.yaml": LAYER.format(name="apps", path="./apps/staging")
    + "  dependsOn: [{name: infra-configs}]\n",
    "infrastructure/controllers/kustomization.yaml": "resources: [kured.yaml]\n",
    "infrastructure/controllers/kured.yaml": """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: OCIRepository
metadata: {name: kured, namespace: fleet}
spec:
  interval: 24h
  url: oci://ghcr.io/kubereboot/charts/kured
  layerSelector: {mediaType: application/vnd.cncf.helm.chart.content.v1.tar+gzip, operation: copy}
  ref: {semver: 6.x}
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: kured, namespace: fleet}
spec:
  interval: 12h
  targetNamespace: kured
  install: {createNamespace: true, strategy: {name: RetryOnFailure}}
  upgrade: {strategy: {name: RetryOnFailure}}
  chartRef: {kind: OCIRepository, name: kured}
""",
    "infrastructure/configs/kustomization.yaml": "resources: [settings.yaml]\n",
    "infrastructure/configs/settings.yaml": """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: kured}
data: {server: production}
""",
    "apps/base/podinfo/kustomization.yaml": "namespace: fleet\nresources: [repository.yaml, release.yaml]\n",
    "apps/base/podinfo/repository.yaml": """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: podinfo}
spec: {interval: 5m, url: https://stefanprodan.github.io/podinfo}
""",
    "apps/base/podinfo/release.yaml": """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: podinfo}
spec:
  interval: 50m
  releaseName: podinfo
  targetNamespace: podinfo
  install: {createNamespace: true}
  chart:
    spec: {chart: podinfo, sourceRef: {kind: HelmRepository, name: podinfo}, interval: 50m}
  values: {replicaCount: 1}
""",
    "apps/staging/kustomization.yaml": """\
resources: [../base/podinfo]
patches:
- path: podinfo-values.yaml
  target: {kind: HelmRelease}
""",
    "apps/staging/podinfo-values.yaml": """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: podinfo}
spec:
  chart: {spec: {version: ">=1.0.0-alpha"}}
  values: {replicaCount: 2}
""",
}


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivery]:
    folder = tmp_path_factory.mktemp("layout")
    with running(folder / "home") as sandbox:
        yield Delivery(sandbox, folder)


def test_the_layout_of_flux_s_example_reconciles_from_push_to_release(delivery: Delivery) -> None:
    checkout = Checkout(delivery.sandbox, delivery.folder, "fleet")
    head = checkout.push(FILES)
    root = {"path": "./clusters/staging", "prune": True, "wait": False}
    delivery.follow("fleet", checkout, {"namespace": SPACE, "scope": "cluster", "kustomizations": {"flux": root}})

    def all_applied() -> bool:
        items = delivery.kube.get(KUSTOMIZATIONS.format(SPACE)).json()["items"]
        revisions = {i["metadata"]["name"]: (i.get("status") or {}).get("lastAppliedRevision") for i in items}
        return len(revisions) == 4 and set(revisions.values()) == {f"main@sha1:{head}"}

    assert until(all_applied, 120), delivery.kube.get(KUSTOMIZATIONS.format(SPACE)).text
    releases = delivery.kube.get(f"/apis/helm.toolkit.fluxcd.io/v2/namespaces/{SPACE}/helmreleases").json()["items"]
    ready = {r["metadata"]["name"]: r["status"]["conditions"][0]["reason"] for r in releases}
    assert ready == {"kured": "InstallSucceeded", "podinfo": "InstallSucceeded"}
    assert delivery.data("/api/v1/namespaces/kured/configmaps/settings") == {"server": "staging"}
    deployment = delivery.kube.get("/apis/apps/v1/namespaces/podinfo/deployments/podinfo").json()
    assert deployment["spec"]["replicas"] == 2
    assert delivery.kube.get("/apis/apps/v1/namespaces/kured/daemonsets").json()["items"]
