"""Azure's container policies, one by one, in a cluster with Gatekeeper, by its REST API (policies.yaml says what)."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from azsandbox.controllers.client import path
from tests.azsandbox.kubectl import Kubectl

Object = dict[str, Any]

HERE = Path(__file__).parent
TEMPLATES = Path(__file__).parents[3] / "azsandbox/data/policy/templates"
INDEX = json.loads((TEMPLATES / "index.json").read_text())["templates"]
POLICIES: dict[str, Object] = yaml.safe_load((HERE / "policies.yaml").read_text())
CONSTRAINTS = "/apis/constraints.gatekeeper.sh/v1beta1"
IN, OUT = "policies", "excluded"  # namespaces
TRUSTED = "registry.example.com/trusted:1"
SORTS = ("containers", "initContainers", "ephemeralContainers")
NAMES = {"containers": "web", "initContainers": "first", "ephemeralContainers": "debug"}
DENIED = 'admission webhook "validation.gatekeeper.sh" denied the request: '


class Api:
    """The API server of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        self.kubeconfig = kubeconfig
        context = ssl_context(config["clusters"][0]["cluster"])
        self.http = httpx.Client(
            base_url=config["clusters"][0]["cluster"]["server"],
            headers={"Authorization": f"Bearer {config['users'][0]['user']['token']}"},
            verify=context,
            timeout=30,
        )

    def send(self, method: str, url: str, body: Object | None = None, **headers: str) -> tuple[int, Object]:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.http.request(method, url, json=body, headers={"Content-Type": kind, **named})
        return answer.status_code, {**answer.json(), "warnings": answer.headers.get_list("warning")}

    def done(self, method: str, url: str, body: Object | None = None) -> Object:
        code, answer = self.send(method, url, body)
        assert code < 300, f"{method} {url}: {answer.get('message')}"
        return answer


def ssl_context(cluster: Object) -> Any:
    import base64
    import ssl

    return ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())


def address(obj: Object) -> str:
    """The collection of an object."""
    resource, namespaced = RESOURCES[obj["kind"]]
    return path(obj["apiVersion"], resource, obj["metadata"].get("namespace", IN) if namespaced else "")


# The kinds that are tried: their resource, and whether it has namespaces
RESOURCES = {
    "ClusterRole": ("clusterroles", False),
    "ClusterRoleBinding": ("clusterrolebindings", False),
    "ConfigMap": ("configmaps", True),
    "Deployment": ("deployments", True),
    "Ingress": ("ingresses", True),
    "Node": ("nodes", False),
    "Pod": ("pods", True),
    "PodDisruptionBudget": ("poddisruptionbudgets", True),
    "Role": ("roles", True),
    "Secret": ("secrets", True),
    "Service": ("services", True),
    "ServiceAccount": ("serviceaccounts", True),
    "StorageClass": ("storageclasses", False),
}


def slug(name: str) -> str:
    return name.replace("#", "-")


def labelled(obj: Object, name: str, namespace: str = "") -> Object:
    """An object that the constraint of a policy is about, and no other's."""
    found = deepcopy(obj)
    found["metadata"].setdefault("labels", {})["policy"] = slug(name)
    if namespace:
        found["metadata"]["namespace"] = namespace
    return found


def pod(of: str, container: Object, sort: str = "containers", **base: Any) -> Object:
    """A pod with `container` in one of its lists."""
    quiet, extra = POLICIES[of]["good"], POLICIES[of].get("spec", {})
    spec: Object = {**deepcopy(extra), "containers": [{"name": "web", "image": "nginx:1.27", **deepcopy(quiet)}]}
    tested = {"name": NAMES[sort], "image": "nginx:1.27", **deepcopy(container), **base}
    spec[sort] = [tested]
    return labelled({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec}, of, IN)


def with_spec(name: str, spec: Object, image: str = "nginx:1.27", namespace: str = IN) -> Object:
    containers = {"containers": [{"name": "web", "image": image}], **deepcopy(spec)}
    return labelled(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": containers}, name, namespace
    )


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """`azsandbox cluster --gatekeeper` with every template, and a constraint for each policy that is tried."""
    folder = tmp_path_factory.mktemp("policies")
    kubeconfig = folder / "kubeconfig"
    command = [sys.executable, "-m", "azsandbox", "cluster", "--nodes", "1", "--gatekeeper", "--kubeconfig"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, str(kubeconfig)], stdout=log, stderr=log)
    try:
        until(lambda: "is up" in (folder / "log").read_text())
        found = Api(kubeconfig)
        prepare(found)
        yield found
    finally:
        process.terminate()
        process.wait(10)


def prepare(api: Api) -> None:
    deployments = "/apis/apps/v1/namespaces/gatekeeper-system/deployments"
    until(lambda: all(d.get("status", {}).get("availableReplicas") for d in api.done("GET", deployments)["items"]))
    for namespace in (IN, OUT):
        api.done("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    api.done("POST", "/api/v1/nodes", {"metadata": {"name": "there", "labels": {"policy": "restricted-node-edits"}}})
    deployment = POLICIES["pod-enforce-antiaffinity"]["object"]
    there = json.loads(json.dumps(deployment).replace('"web"', '"there"'))
    api.done("POST", f"/apis/apps/v1/namespaces/{IN}/deployments", there)
    service = {"metadata": {"name": "there"}, "spec": {"selector": {"app": "there"}, "ports": [{"port": 80}]}}
    api.done("POST", f"/api/v1/namespaces/{IN}/services", service)
    synced = [("", "v1", "Service"), ("apps", "v1", "Deployment"), ("apps", "v1", "StatefulSet")]
    only = [{"group": group, "version": version, "kind": kind} for group, version, kind in synced]
    config = {"apiVersion": "config.gatekeeper.sh/v1alpha1", "kind": "Config", "metadata": {"name": "config"}}
    url = "/apis/config.gatekeeper.sh/v1alpha1/namespaces/gatekeeper-system/configs"
    api.done("POST", url, {**config, "spec": {"sync": {"syncOnly": only}}})
    for entry in INDEX.values():
        template = yaml.safe_load((TEMPLATES / entry["file"]).read_text())
        api.done("POST", "/apis/templates.gatekeeper.sh/v1/constrainttemplates", template)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: constrain(api, name), POLICIES))
    templates = api.done("GET", "/apis/templates.gatekeeper.sh/v1/constrainttemplates")["items"]
    assert all("errors" not in pod for template in templates for pod in template["status"]["byPod"])


def constrain(api: Api, name: str) -> None:
    """The constraint of a policy, denying, once it is enforced."""
    policy, file = POLICIES[name], name.partition("#")[0] + ".yaml"
    kind = next(entry["kind"] for entry in INDEX.values() if entry["file"] == file)
    template = yaml.safe_load((TEMPLATES / file).read_text())
    validation = template["spec"]["crd"]["spec"].get("validation") or {"openAPIV3Schema": {}}
    known = validation["openAPIV3Schema"].get("properties", {})
    exclusions = {"excludedContainers": ["trusted"], "excludedImages": ["registry.example.com/trusted:*"]}
    parameters = {**policy.get("parameters", {}), **{key: exclusions[key] for key in exclusions if key in known}}
    kinds = [kind.rpartition("/") for kind in policy.get("kinds", ["/Pod"])]
    match = {
        "kinds": [{"apiGroups": [group], "kinds": [named]} for group, _, named in kinds],
        "labelSelector": {"matchLabels": {"policy": slug(name)}},
        "excludedNamespaces": [OUT],
    }
    body = {
        "apiVersion": "constraints.gatekeeper.sh/v1beta1",
        "kind": kind,
        "metadata": {"name": slug(name)},
        "spec": {"match": match, "parameters": parameters},
    }
    url = f"{CONSTRAINTS}/{kind.lower()}"
    until(lambda: api.send("GET", url)[0] == 200)
    api.done("POST", url, body)
    until(lambda: api.done("GET", f"{url}/{slug(name)}").get("status", {}).get("byPod"))


def until(seen: Any) -> None:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if seen():
                return
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)


def judge(api: Api, obj: Object, method: str = "POST", **headers: str) -> str:
    """What the policies say of a request that is tried only: "" if it passes."""
    url = address(obj) + (f"/{obj['metadata']['name']}" if method != "POST" else "") + "?dryRun=All"
    code, answer = api.send(method, url, obj, **headers)
    if code < 300:
        return ""
    message = str(answer["message"])
    assert code == 403 and answer["reason"] == "Forbidden", message
    return message


def said(name: str, container: str = "web", pod: str = "pod") -> str:
    return f"{DENIED}[{slug(name)}] {POLICIES[name]['says'].replace('NAME', container).replace('POD', pod)}"


def of_containers() -> list[Any]:
    return [
        pytest.param(name, sort, id=f"{slug(name)}-{sort}")
        for name, policy in POLICIES.items()
        if "container" in policy and "never" not in policy
        for sort in policy.get("sorts", SORTS)
    ]


def attach(api: Api, base: Object, container: Object) -> str:
    """What is said of an ephemeral container that is put into a running pod."""
    api.send("DELETE", f"/api/v1/namespaces/{IN}/pods/pod?gracePeriodSeconds=0")
    until(lambda: api.send("GET", f"/api/v1/namespaces/{IN}/pods/pod")[0] == 404)
    base["spec"].pop("ephemeralContainers")
    api.done("POST", f"/api/v1/namespaces/{IN}/pods", base)
    change = {"spec": {"ephemeralContainers": [container]}}
    url = f"/api/v1/namespaces/{IN}/pods/pod/ephemeralcontainers?dryRun=All"
    code, answer = api.send("PATCH", url, change)
    api.send("DELETE", f"/api/v1/namespaces/{IN}/pods/pod?gracePeriodSeconds=0")
    assert code in (200, 403), answer
    return "" if code == 200 else str(answer["message"])


def tried(api: Api, policy: str, sort: str, container: Object, **base: Any) -> str:
    wanted = pod(policy, container, sort, **base)
    if sort != "ephemeralContainers":
        return judge(api, wanted)
    return attach(api, wanted, wanted["spec"][sort][0])


@pytest.mark.parametrize(("name", "sort"), of_containers())
def test_a_container_is_denied_and_a_good_one_and_an_excluded_one_pass(api: Api, name: str, sort: str) -> None:
    policy = POLICIES[name]
    bad, good = policy["container"], policy["good"]
    assert tried(api, name, sort, bad) == said(name, NAMES[sort])
    assert tried(api, name, sort, good) == ""
    if policy.get("images", True):
        assert tried(api, name, sort, bad, image=TRUSTED) == ""
        assert tried(api, name, sort, bad, image="registry.example.com/trusted-not:1") != ""
    if policy.get("containers", True):
        assert tried(api, name, sort, bad, name="trusted") == ""


@pytest.mark.parametrize("name", [name for name, policy in POLICIES.items() if "container" in policy])
def test_a_container_in_an_excluded_namespace_passes(api: Api, name: str) -> None:
    excluded = pod(name, POLICIES[name]["container"])
    excluded["metadata"]["namespace"] = OUT
    assert judge(api, excluded) == ""


@pytest.mark.parametrize("name", [name for name, policy in POLICIES.items() if "good_spec" in policy])
def test_a_pod_is_denied_and_a_good_one_and_an_excluded_one_pass(api: Api, name: str) -> None:
    policy = POLICIES[name]
    assert judge(api, with_spec(name, policy["spec"])) == said(name)
    assert judge(api, with_spec(name, policy["good_spec"])) == ""
    assert judge(api, with_spec(name, policy["spec"], namespace=OUT)) == ""
    if policy.get("images", True) and "containers" not in policy["spec"]:
        assert judge(api, with_spec(name, policy["spec"], TRUSTED)) == ""


@pytest.mark.parametrize("name", [name for name, policy in POLICIES.items() if "object" in policy])
def test_an_object_is_denied_and_good_ones_and_excluded_ones_pass(api: Api, name: str) -> None:
    policy, method = POLICIES[name], POLICIES[name].get("method", "POST")
    bad = labelled(policy["object"], name, policy.get("namespace", ""))
    assert judge(api, bad, method) == said(name)
    for good in policy["goods"]:
        assert judge(api, labelled(good, name), method) == ""
    if "trusted" in policy:
        assert judge(api, bad, method, Impersonate_User=policy["trusted"], Impersonate_Group="system:masters") == ""
    if RESOURCES[bad["kind"]][1]:
        assert judge(api, labelled(policy["object"], name, OUT), method) == ""


def test_every_template_is_tried() -> None:
    files = {entry["file"] for entry in INDEX.values()}
    assert {name.partition("#")[0] + ".yaml" for name in POLICIES} == files
    assert {file.name for file in TEMPLATES.glob("*.yaml")} == files


def test_the_documentation_names_every_template() -> None:
    text = (Path(__file__).parents[3] / "docs/container-policies.md").read_text()
    wanting = [url for url, entry in INDEX.items() if f"`{address_of(url)}` | `{entry['kind']}`" not in text]
    assert wanting == []


def address_of(url: str) -> str:
    return url.partition("/kubernetes/")[2].removesuffix("/template.yaml")


def test_templates_that_carry_the_same_library_carry_it_word_for_word() -> None:
    texts: dict[str, set[str]] = {}
    for file in TEMPLATES.glob("*.yaml"):
        for library in yaml.safe_load(file.read_text())["spec"]["targets"][0].get("libs", []):
            texts.setdefault(library.partition("\n")[0], set()).add(library)
    assert texts
    assert {package: len(found) for package, found in texts.items() if len(found) > 1} == {}


def test_kubectl_sees_a_warning_and_the_audit_what_dryrun_lets_pass(api: Api, tmp_path: Path) -> None:
    kubectl = Kubectl(api.kubeconfig, IN, tmp_path)
    url = f"{CONSTRAINTS}/k8sazurev2noprivilege/container-no-privilege"
    labels = "--labels=policy=container-no-privilege"
    overrides = '{"spec": {"containers": [{"name": "w", "image": "nginx", "securityContext": {"privileged": true}}]}}'
    text = '[container-no-privilege] Privileged container is not allowed: w, securityContext: {"privileged": true}'
    run = ("run", "w", "--image=nginx", labels, f"--overrides={overrides}")
    assert kubectl.refused(*run) == f"Error from server (Forbidden): {DENIED}{text}\n"
    api.done("PATCH", url, {"spec": {"enforcementAction": "warn"}})
    until(lambda: f"Warning: {text}" in kubectl.run(*run, "--dry-run=server").err)
    api.done("PATCH", url, {"spec": {"enforcementAction": "dryrun"}})
    until(lambda: kubectl.run(*run, "--dry-run=server").err == "")
    assert kubectl(*run) == "pod/w created\n"
    until(lambda: api.done("GET", url)["status"].get("totalViolations") == 1)
    (violation,) = api.done("GET", url)["status"]["violations"]
    assert (violation["name"], violation["namespace"], violation["enforcementAction"]) == ("w", IN, "dryrun")
    assert f"[container-no-privilege] {violation['message']}" == text
    api.done("PATCH", url, {"spec": {"enforcementAction": "deny"}})
