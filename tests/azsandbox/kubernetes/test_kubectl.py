"""kubectl against a cluster that runs: right output, right exit codes."""

from __future__ import annotations

import re
import stat
import time
from pathlib import Path

import pytest

from tests.azsandbox.kubectl import Kubectl, columns

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: web, image: "nginx:1.27", ports: [{containerPort: 80}]}
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {color: blue}\n"
POD = """
apiVersion: v1
kind: Pod
metadata: {name: one, labels: {app: one}}
spec:
  terminationGracePeriodSeconds: 0
  initContainers: [{name: setup, image: "busybox:1.37"}]
  containers:
  - {name: app, image: "nginx:1.27", env: [{name: COLOR, value: blue}]}
  - {name: side, image: "busybox:1.37", command: [sh, -c, "echo ready; sleep 3600"]}
"""


@pytest.fixture
def web(kubectl: Kubectl) -> Kubectl:
    """A namespace with a deployment that is rolled out."""
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    return kubectl


@pytest.fixture
def pod(kubectl: Kubectl) -> Kubectl:
    """A namespace with a pod of two containers that runs."""
    kubectl("create", "-f", "-", stdin=POD)
    kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=20s")
    return kubectl


class TestReading:
    def test_get_prints_tables_names_and_paths(self, web: Kubectl) -> None:
        lines = columns(web("get", "deployments"))
        assert lines[0] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
        assert lines[1][:4] == ["web", "2/2", "2", "2"]
        assert web("get", "deploy", "-o", "name") == "deployment.apps/web\n"
        assert web("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "2"
        wide = columns(web("get", "pods", "-o", "wide", "--sort-by=.metadata.name"))
        assert [line[2] for line in wide[1:]] == ["Running", "Running"]
        assert all(line[6].startswith("aks-user1-") for line in wide[1:])
        assert web.refused("get", "pod", "none") == 'Error from server (NotFound): pods "none" not found\n'
        assert "doesn't have a resource type" in web.refused("get", "nonsense")

    def test_get_watch_shows_what_changes(self, kubectl: Kubectl) -> None:
        kubectl("create", "-f", "-", stdin=CONFIG)
        watching = kubectl.start("get", "configmap", "settings", "-w", "--output-watch-events")
        assert watching.stdout is not None
        try:
            assert watching.stdout.readline().split() == ["EVENT", "NAME", "DATA", "AGE"]
            assert watching.stdout.readline().split()[:3] == ["ADDED", "settings", "1"]
            kubectl("patch", "configmap", "settings", "-p", '{"data":{"size":"1"}}')
            assert watching.stdout.readline().split()[:3] == ["MODIFIED", "settings", "2"]
            kubectl("delete", "configmap", "settings")
            assert watching.stdout.readline().split()[:3] == ["DELETED", "settings", "2"]
        finally:
            watching.terminate()
            watching.wait(5)

    def test_describe_tells_of_an_object_and_its_events(self, web: Kubectl) -> None:
        text = web("describe", "deployment", "web")
        assert re.search(r"Replicas:\s+2 desired \| 2 updated \| 2 total \| 2 available \| 0 unavailable", text)
        assert "ScalingReplicaSet" in text
        assert "aks-user1-" in web("describe", "pods", "-l", "app=web")
        assert "Allocated resources:" in web("describe", "node", "aks-user1-12345678-vmss000000")

    def test_explain_and_api_resources(self, kubectl: Kubectl) -> None:
        text = kubectl("explain", "deployment.spec.strategy")
        assert "rollingUpdate" in text and "FIELD: strategy <DeploymentStrategy>" in text
        names = kubectl("api-resources", "--api-group=apps", "-o", "name").split()
        assert "deployments.apps" in names and "statefulsets.apps" in names
        assert "apps/v1" in kubectl("api-versions")
        assert kubectl.refused("explain", "deployment.spec.nonsense").startswith('error: field "nonsense" does not')

    def test_events_are_listed_by_the_object_they_tell_of(self, web: Kubectl) -> None:
        assert "ScalingReplicaSet" in web("events", "--for", "deployment/web")
        assert web.run("events", "--for", "pod/none").err.startswith("No events found")

    def test_top_says_that_a_bare_cluster_has_no_metrics(self, kubectl: Kubectl) -> None:
        for what in ("nodes", "pods"):
            assert kubectl.refused("top", what) == "error: Metrics API not available\n"

    def test_api_services_of_what_is_served_here_are_available(self, kubectl: Kubectl) -> None:
        rows = columns(kubectl("get", "apiservices"))[1:]
        assert len(rows) > 20
        assert {tuple(row[1:3]) for row in rows} == {("Local", "True")}


class TestWriting:
    def test_apply_creates_configures_and_leaves_alone(self, kubectl: Kubectl) -> None:
        assert kubectl("apply", "-f", "-", stdin=CONFIG) == "configmap/settings created\n"
        assert kubectl("apply", "-f", "-", stdin=CONFIG) == "configmap/settings unchanged\n"
        changed = CONFIG.replace("blue", "red")
        diff = kubectl.run("diff", "-f", "-", stdin=changed)
        assert diff.code == 1
        assert "-  color: blue" in diff.out and "+  color: red" in diff.out
        assert kubectl("apply", "-f", "-", stdin=changed) == "configmap/settings configured\n"
        assert kubectl.run("diff", "-f", "-", stdin=changed).code == 0
        assert kubectl("get", "cm", "settings", "-o", "jsonpath={.data.color}") == "red"

    def test_server_side_apply_refuses_a_conflict_and_takes_over_by_force(self, kubectl: Kubectl) -> None:
        applied = kubectl("apply", "--server-side", "--field-manager=first", "-f", "-", stdin=CONFIG)
        assert applied == "configmap/settings serverside-applied\n"
        second = ("apply", "--server-side", "--field-manager=second", "-f", "-")
        text = kubectl.refused(*second, stdin=CONFIG.replace("blue", "red"))
        assert 'Apply failed with 1 conflict: conflict with "first": .data.color' in text
        kubectl(*second, "--force-conflicts", stdin=CONFIG.replace("blue", "red"))
        managers = kubectl.json("get", "cm", "settings", "--show-managed-fields")["metadata"]["managedFields"]
        assert {entry["manager"] for entry in managers if "f:data" in entry["fieldsV1"]} == {"second"}

    def test_an_unknown_field_is_refused(self, kubectl: Kubectl) -> None:
        text = kubectl.refused("apply", "-f", "-", stdin=CONFIG + "colour: red\n")
        assert 'strict decoding error: unknown field "colour"' in text
        assert kubectl.refused("get", "cm", "settings").startswith("Error from server (NotFound)")

    def test_text_that_is_no_yaml_is_refused(self, kubectl: Kubectl) -> None:
        assert "error parsing STDIN" in kubectl.refused("apply", "-f", "-", stdin="a: [b\n")

    def test_edit_stores_what_the_editor_leaves(self, kubectl: Kubectl, tmp_path: Path) -> None:
        kubectl("create", "-f", "-", stdin=CONFIG)
        editor = tmp_path / "editor"
        editor.write_text('#!/bin/sh\nsed -i "s/color: blue/color: green/" "$1"\n')
        editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
        assert kubectl("edit", "cm", "settings", KUBE_EDITOR=str(editor)) == "configmap/settings edited\n"
        assert kubectl("get", "cm", "settings", "-o", "jsonpath={.data.color}") == "green"
        editor.write_text("#!/bin/sh\n")
        done = kubectl.run("edit", "cm", "settings", KUBE_EDITOR=str(editor))
        assert (done.code, done.err) == (0, "Edit cancelled, no changes made.\n")

    def test_patch_label_and_annotate(self, web: Kubectl) -> None:
        change = '{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"nginx:1.28"}]}}}}'
        assert web("patch", "deployment", "web", "-p", change) == "deployment.apps/web patched\n"
        assert web("patch", "deployment", "web", "-p", change) == "deployment.apps/web patched (no change)\n"
        assert web("label", "deployment", "web", "tier=front") == "deployment.apps/web labeled\n"
        assert "already has a value" in web.refused("label", "deployment", "web", "tier=back")
        operation = '[{"op":"replace","path":"/spec/replicas","value":1}]'
        web("patch", "deployment", "web", "--type=json", "-p", operation)
        assert web.json("get", "deployment", "web")["spec"]["replicas"] == 1

    def test_replace_needs_the_version_that_is_stored(self, kubectl: Kubectl) -> None:
        kubectl("create", "-f", "-", stdin=CONFIG)
        old = kubectl("get", "cm", "settings", "-o", "yaml")
        kubectl("patch", "cm", "settings", "-p", '{"data":{"size":"1"}}')
        assert "the object has been modified" in kubectl.refused("replace", "-f", "-", stdin=old)


class TestWorkloads:
    def test_a_rollout_is_followed_undone_and_paused(self, web: Kubectl) -> None:
        web("set", "image", "deployment/web", "web=nginx:1.28")
        text = web("rollout", "status", "deployment/web", "--timeout=20s")
        assert text.endswith('deployment "web" successfully rolled out\n')
        history = columns(web("rollout", "history", "deployment/web").strip())
        assert [line[0] for line in history[2:]] == ["1", "2"]
        assert web("rollout", "undo", "deployment/web") == "deployment.apps/web rolled back\n"
        web("rollout", "status", "deployment/web", "--timeout=20s")
        assert web.json("get", "deploy", "web")["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1.27"
        web("rollout", "pause", "deployment/web")
        assert "already paused" in web.refused("rollout", "pause", "deployment/web")
        web("rollout", "resume", "deployment/web")
        web("rollout", "restart", "deployment/web")
        web("rollout", "status", "deployment/web", "--timeout=20s")

    def test_scale_minds_the_current_number(self, web: Kubectl) -> None:
        assert web("scale", "deployment/web", "--replicas=3") == "deployment.apps/web scaled\n"
        web("wait", "--for=jsonpath={.status.readyReplicas}=3", "deployment/web", "--timeout=20s")
        text = web.refused("scale", "deployment/web", "--current-replicas=9", "--replicas=1")
        assert "Expected replicas to be 9, was 3" in text

    def test_wait_ends_in_time_or_says_so(self, web: Kubectl) -> None:
        assert web("wait", "--for=condition=Available", "deployment/web") == "deployment.apps/web condition met\n"
        text = web.refused("wait", "--for=condition=Nonsense", "deployment/web", "--timeout=300ms")
        assert text.splitlines()[-1] == "error: timed out waiting for the condition on deployments/web"

    def test_drain_moves_pods_and_uncordon_lets_them_back(self, web: Kubectl) -> None:
        node = "aks-user1-12345678-vmss000002"
        try:
            assert web("cordon", node) == f"node/{node} cordoned\n"
            assert "SchedulingDisabled" in web("get", "node", node)
            drained = web("drain", node, "--pod-selector=app=web", "--ignore-daemonsets", "--timeout=20s")
            assert drained.splitlines()[-1] == f"node/{node} drained"
            web("rollout", "status", "deployment/web", "--timeout=20s")
            assert node not in web("get", "pods", "-o", "wide")
        finally:
            assert web("uncordon", node) == f"node/{node} uncordoned\n"

    def test_background_deletion_takes_what_is_owned_along(self, web: Kubectl) -> None:
        assert web("delete", "deployment", "web") == 'deployment.apps "web" deleted\n'
        web("wait", "--for=delete", "replicaset", "-l", "app=web", "--timeout=20s")

    def test_foreground_deletion_waits_for_what_is_owned(self, web: Kubectl) -> None:
        web("delete", "deployment", "web", "--cascade=foreground", "--timeout=20s")
        assert web("get", "replicasets,pods", "-o", "name") == ""

    def test_orphaned_objects_stay(self, web: Kubectl) -> None:
        web("delete", "deployment", "web", "--cascade=orphan")
        sets = web.json("get", "replicasets")["items"]
        assert len(sets) == 1
        assert "ownerReferences" not in sets[0]["metadata"]
        web("delete", "replicaset", "--all", "--cascade=orphan")
        pods = web.json("get", "pods")["items"]
        assert len(pods) == 2
        assert all("ownerReferences" not in pod["metadata"] for pod in pods)


class TestReachingIntoPods:
    def test_logs_say_that_they_are_made_up(self, pod: Kubectl) -> None:
        text = pod("logs", "one", "-c", "side")
        assert text.splitlines()[0].startswith('[azsandbox] container "side" of image busybox:1.37 is simulated')
        assert text.splitlines()[1] == "ready"
        assert pod("logs", "one", "-c", "side", "--tail=1") == "ready\n"
        assert re.match(r"\d{4}-\d\d-\d\dT\S+Z ready", pod("logs", "one", "-c", "side", "--tail=1", "--timestamps"))
        assert pod("logs", "one", "-c", "side", "--since-time=2099-01-01T00:00:00Z") == ""
        assert "[pod/one/side] ready" in pod("logs", "-l", "app=one", "--all-containers", "--prefix")

    def test_logs_of_what_is_not_there_are_refused(self, pod: Kubectl) -> None:
        missing = 'previous terminated container "app" in pod "one" not found'
        assert missing in pod.refused("logs", "one", "-c", "app", "--previous")
        assert "container none is not valid for pod one" in pod.refused("logs", "one", "-c", "none")

    def test_logs_of_a_deployment(self, web: Kubectl) -> None:
        assert "is simulated" in web("logs", "deployment/web")

    def test_followed_logs_end_with_the_pod(self, pod: Kubectl) -> None:
        following = pod.start("logs", "-f", "one", "-c", "side")
        assert following.stdout is not None
        assert "is simulated" in following.stdout.readline()
        assert following.poll() is None
        pod("delete", "pod", "one")
        assert following.wait(10) == 0

    def test_exec_answers_what_can_be_known(self, pod: Kubectl) -> None:
        assert pod("exec", "one", "-c", "app", "--", "printenv", "COLOR") == "blue\n"
        assert pod("exec", "one", "-c", "app", "--", "hostname") == "one\n"
        assert pod.run("exec", "one", "-c", "app", "--", "false").code == 1

    def test_exec_refuses_what_would_need_a_program(self, pod: Kubectl) -> None:
        done = pod.run("exec", "-i", "one", "-c", "app", "--", "sh", stdin="ls\n")
        assert done.code == 126
        assert "containers of this cluster are simulated" in done.err

    def test_cp_is_refused(self, pod: Kubectl, tmp_path: Path) -> None:
        done = pod.run("cp", "one:/etc/hosts", str(tmp_path / "hosts"), "-c", "app")
        assert done.code == 126
        assert "containers of this cluster are simulated" in done.out + done.err
        assert not (tmp_path / "hosts").exists()

    def test_attach_shows_the_log_until_the_pod_goes(self, pod: Kubectl) -> None:
        attached = pod.start("attach", "one", "-c", "side")
        assert attached.stdout is not None
        assert "is simulated" in attached.stdout.readline()
        pod("delete", "pod", "one")
        attached.wait(10)

    def test_port_forward_is_refused_by_name(self, pod: Kubectl) -> None:
        text = pod.refused("port-forward", "one", "18080:80")
        assert "pods of this cluster are simulated and listen on no port" in text
        text = pod.refused("get", "--raw", f"/api/v1/namespaces/{pod.namespace}/pods/one/proxy/")
        assert "pods of this cluster are simulated and listen on no port" in text


METRICS_SERVER = """
apiVersion: v1
kind: Service
metadata: {name: metrics-server, namespace: NAMESPACE}
spec: {selector: {app: metrics}, ports: [{name: https, port: 443, targetPort: 10250}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: metrics-server, namespace: NAMESPACE}
spec:
  selector: {matchLabels: {app: metrics}}
  template:
    metadata: {labels: {app: metrics}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: metrics-server
        image: registry.k8s.io/metrics-server/metrics-server:v0.8.0
        resources: {requests: {cpu: 100m, memory: 200Mi}}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec:
  group: metrics.k8s.io
  version: v1beta1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {name: metrics-server, namespace: NAMESPACE}
"""
AVAILABLE = ("wait", "apiservice/v1beta1.metrics.k8s.io", "--timeout=20s")


def test_metrics_come_and_go_with_a_metrics_server(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=METRICS_SERVER.replace("NAMESPACE", kubectl.namespace))
    try:
        kubectl(*AVAILABLE, "--for=condition=Available")
        nodes = columns(kubectl("top", "nodes"))
        assert nodes[0] == ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]
        assert len(nodes) == 4
        pods = columns(kubectl("top", "pods", "--containers"))
        assert pods[1][1] == "metrics-server"
        assert 30 <= int(pods[1][2].removesuffix("m")) <= 60  # of the 100m that it requests
        assert columns(kubectl("get", "pods.metrics.k8s.io"))[0] == ["NAME", "CPU", "MEMORY", "WINDOW"]
        text = kubectl.refused("top", "pod", "none")
        assert text == f'Error from server (NotFound): podmetrics.metrics.k8s.io "{kubectl.namespace}/none" not found\n'
        assert 'cannot list resource "nodes" in API group "metrics.k8s.io"' in kubectl.refused(
            "top", "nodes", "--as=jo"
        )
        kubectl("scale", "deployment/metrics-server", "--replicas=0")
        kubectl(*AVAILABLE, "--for=condition=Available=false")
        assert "MissingEndpoints" in kubectl("get", "apiservice", "v1beta1.metrics.k8s.io")
        assert kubectl.refused("top", "nodes") == "error: Metrics API not available\n"
    finally:
        kubectl("delete", "apiservice", "v1beta1.metrics.k8s.io")


class TestAccess:
    def test_can_i_answers_by_exit_code(self, kubectl: Kubectl) -> None:
        assert kubectl("auth", "can-i", "delete", "nodes").strip() == "yes"
        done = kubectl.run("auth", "can-i", "get", "secrets", "--as=jane")
        assert (done.code, done.out.strip()) == (1, "no")
        kubectl("create", "role", "reader", "--verb=get", "--resource=secrets")
        kubectl("create", "rolebinding", "reader", "--role=reader", "--user=jane")
        assert kubectl("auth", "can-i", "get", "secrets", "--as=jane").strip() == "yes"
        assert "secrets" in kubectl("auth", "can-i", "--list", "--as=jane")
        assert "kubernetes-admin" in kubectl("auth", "whoami")

    def test_nobody_grants_more_than_they_have(self, kubectl: Kubectl) -> None:
        kubectl("create", "role", "granter", "--verb=create", "--resource=roles,rolebindings")
        kubectl("create", "rolebinding", "granter", "--role=granter", "--user=jane")
        kubectl("create", "role", "strong", "--verb=get", "--resource=secrets")
        text = kubectl.refused("create", "role", "more", "--verb=get,list", "--resource=pods", "--as=jane")
        assert text.endswith(
            'roles.rbac.authorization.k8s.io "more" is forbidden: user "jane" (groups=["system:authenticated"]) is '
            'attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["pods"], '
            'Verbs:["get" "list"]}\n'
        )
        bind = ("create", "rolebinding", "up", "--role=strong", "--user=jane", "--as=jane")
        assert 'Resources:["secrets"], Verbs:["get"]}' in kubectl.refused(*bind)
        kubectl("create", "role", "binder", "--verb=bind", "--resource=roles", "--resource-name=strong")
        kubectl("create", "rolebinding", "binder", "--role=binder", "--user=jane")
        assert kubectl(*bind) == "rolebinding.rbac.authorization.k8s.io/up created\n"

    def test_a_signed_certificate_authenticates(self, kubectl: Kubectl, tmp_path: Path) -> None:
        import base64

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID

        key = ec.generate_private_key(ec.SECP256R1())
        subject = [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "devs"),
            x509.NameAttribute(NameOID.COMMON_NAME, "eve"),
        ]
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject)).sign(key, hashes.SHA256())
        pem = base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
        name = f"eve-{kubectl.namespace}"
        body = (
            "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\n"
            f"metadata: {{name: {name}}}\nspec:\n  signerName: kubernetes.io/kube-apiserver-client\n"
            f"  expirationSeconds: 3600\n  usages: [client auth]\n  request: {pem}\n"
        )
        kubectl("create", "-f", "-", stdin=body)
        assert "Pending" in kubectl("get", "csr", name)
        kubectl("certificate", "approve", name)
        kubectl("wait", "csr", name, "--for=jsonpath={.status.certificate}", "--timeout=10s")
        assert "Approved,Issued" in kubectl("get", "csr", name)
        certificate = kubectl("get", "csr", name, "-o", "jsonpath={.status.certificate}")
        (tmp_path / "eve.pem").write_bytes(base64.b64decode(certificate))
        key_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (tmp_path / "eve-key.pem").write_bytes(key_pem)
        config = tmp_path / "kubeconfig"
        config.write_text(kubectl.kubeconfig.read_text())
        eve = Kubectl(config, kubectl.namespace, tmp_path)
        files = (f"--client-certificate={tmp_path}/eve.pem", f"--client-key={tmp_path}/eve-key.pem")
        eve("config", "set-credentials", "eve", *files)
        eve("config", "set-context", "--current", "--user=eve")
        shown = eve.json("auth", "whoami")["status"]["userInfo"]
        assert (shown["username"], shown["groups"]) == ("eve", ["devs", "system:authenticated"])
        text = eve.refused("get", "pods")
        assert text.startswith(
            'Error from server (Forbidden): pods is forbidden: User "eve" cannot list resource "pods"'
        )


def test_a_custom_resource_has_an_api_service_as_long_as_it_is_defined(kubectl: Kubectl) -> None:
    definition = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.front.example.com}
spec:
  group: front.example.com
  scope: Namespaced
  names: {plural: gadgets, singular: gadget, kind: Gadget}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
"""
    kubectl("create", "-f", "-", stdin=definition)
    try:
        kubectl("wait", "--for=condition=Established", "crd/gadgets.front.example.com", "--timeout=10s")
        kubectl("wait", "--for=condition=Available", "apiservice/v1.front.example.com", "--timeout=10s")
        assert kubectl.json("get", "apiservice", "v1.front.example.com")["spec"]["groupPriorityMinimum"] == 1000
    finally:
        kubectl("delete", "crd", "gadgets.front.example.com")
    deadline = time.monotonic() + 10
    while kubectl.run("get", "apiservice", "v1.front.example.com").code == 0:
        assert time.monotonic() < deadline
    assert "True" in kubectl("get", "apiservice", "v1.apps")


def test_a_token_is_issued_and_authenticates(kubectl: Kubectl) -> None:
    kubectl("create", "serviceaccount", "robot")
    token = kubectl("create", "token", "robot", "--duration=10m").strip()
    assert token.count(".") == 2
    shown = kubectl("create", "token", "robot", "-o", "jsonpath={.metadata.name} {.spec.expirationSeconds}")
    assert shown == "robot 3600"
    name = f"system:serviceaccount:{kubectl.namespace}:robot"
    body = f'{{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{{"token":"{token}"}}}}'
    assert kubectl("create", "-f", "-", "-o", "jsonpath={.status.user.username}", stdin=body) == name
    assert "may not specify a duration less than 10 minutes" in kubectl.refused(
        "create", "token", "robot", "--duration=1m"
    )


def test_defaults_of_what_is_stored_are_shown(kubectl: Kubectl) -> None:
    labels = kubectl(
        "create", "job", "once", "--image=busybox:1.37", "--dry-run=server", "-o", "jsonpath={.metadata.labels}"
    )
    assert '"job-name":"once"' in labels
    kubectl("apply", "-f", "-", stdin=DEPLOYMENT)
    kubectl("autoscale", "deployment", "web", "--max=5")
    assert kubectl("get", "hpa", "web", "-o", "jsonpath={.spec.metrics[0].resource.target.averageUtilization}") == "80"


def test_an_event_about_another_namespace_is_refused(kubectl: Kubectl) -> None:
    event = (
        "apiVersion: v1\nkind: Event\nmetadata: {name: bad}\n"
        "involvedObject: {kind: Pod, name: x, namespace: elsewhere}\n"
    )
    assert "does not match event.namespace" in kubectl.refused("create", "-f", "-", stdin=event)


def test_a_service_without_endpoints_cannot_be_proxied_to(kubectl: Kubectl) -> None:
    kubectl("create", "service", "clusterip", "web", "--tcp=80")
    base = f"/api/v1/namespaces/{kubectl.namespace}/services"
    kubectl.until("get", "endpoints", "web")
    assert 'no endpoints available for service "web"' in kubectl.refused("get", "--raw", f"{base}/web:80/proxy/")
    assert 'no service port 81 found for service "web"' in kubectl.refused("get", "--raw", f"{base}/web:81/proxy/")
