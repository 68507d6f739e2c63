"""Faults of the applications, one a row, as in `faults`."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from labkit.checks.evidence import Evidence, Object
from labkit.checks.workload_sources import pod_spec
from tests.labkit import healthy_governance, healthy_workload
from tests.labkit.faults import (
    DENIED,
    FAIL,
    GONE,
    PASS,
    SKIP,
    UNKNOWN,
    WARN,
    Seed,
    both,
    cluster,
    put,
    setting,
    source,
)

STAGING, CRON = 0, 3
"""Where the Deployment of staging and the CronJob are among the templates."""
POLICY = "e345eecc-fa47-480f-9e88-67dcc122b164"
Rows = list[tuple[str, str, Any, Seed]]


def pod(path: str, value: Any, index: int = 0) -> Seed:
    return put("pods", f"{index}.{path}", value)


def state(**values: Any) -> Seed:
    """How the container web of the first pod is."""

    def seed(evidence: Evidence) -> None:
        found = evidence.sources["pods"][0]["containers"]
        next(item for item in found if item["name"] == "web").update(values)

    return seed


def spec(path: str, value: Any, index: int = STAGING) -> Seed:
    """Change the specification of a template."""
    return put("templates", f"{index}.spec.{path}", value)


def container(path: str, value: Any, kind: str = "containers", index: int = STAGING) -> Seed:
    return spec(f"{kind}.0.{path}", value, index)


def secured(path: str, value: Any, kind: str = "containers") -> Seed:
    """Change the security context of a container of the template."""
    return container(f"securityContext.{path}", value, kind)


def windows(evidence: Evidence) -> None:
    """All templates are for Windows."""
    for item in evidence.sources["templates"]:
        item["spec"]["nodeSelector"] = {"kubernetes.io/os": "windows"}


def another(**more: Any) -> Seed:
    """One more pod of a controller that the lab does not read, with a container that is `more`."""

    def seed(evidence: Evidence) -> None:
        made = pod_spec(healthy_workload.pod_spec(containers=[healthy_workload.container(**more)]))
        item = deepcopy(evidence.sources["pods"][0])
        item |= {"name": "other-1", "owner": {"kind": "Rollout", "name": "other"}, "labels": {}, "spec": made}
        evidence.sources["pods"].append(item)

    return seed


def debugging(**context: Any) -> Seed:
    """A container that somebody added to a running pod."""
    added = {"name": "debug", "image": "busybox:1", "securityContext": context, "hostPorts": []}
    return pod("spec.ephemeralContainers", [added])


def image(name: str) -> Seed:
    """What the pods of both namespaces run, which is kept once."""

    def seed(evidence: Evidence) -> None:
        evidence.sources["pods"][0]["spec"]["containers"][0]["image"] = name

    return seed


def policy(definition: str, **parameters: Any) -> Seed:
    """One more policy assignment."""
    item = healthy_governance.policy("more", f"{healthy_governance.DEFINITIONS}/{definition}", **parameters)
    return lambda evidence: evidence.sources["policy-assignments"].append(item)


def limits(cpu: str, memory: str) -> Seed:
    return policy(POLICY, effect="Audit", cpuLimit=cpu, memoryLimit=memory)


def initiative(effect: str) -> Seed:
    item = healthy_governance.policy(
        "restricted", f"{healthy_governance.SETS}/{healthy_governance.RESTRICTED}", effect=effect
    )
    return lambda evidence: evidence.sources["policy-assignments"].append(item)


def labels(**levels: str) -> Seed:
    """The labels of the namespace staging."""
    return put(
        "namespaces", "0.labels", {f"pod-security.kubernetes.io/{mode}": level for mode, level in levels.items()}
    )


def balanced(**more: Any) -> Seed:
    """Change the Service of type LoadBalancer."""

    def seed(evidence: Evidence) -> None:
        next(item for item in evidence.sources["services"] if item["type"] == "LoadBalancer").update(more)

    return seed


def ingress(**more: Any) -> Seed:
    return lambda evidence: evidence.sources["ingresses"][0].update(more)


def listeners(*entries: tuple[str | None, str]) -> Seed:
    made = [{"name": "l", "hostname": host, "protocol": protocol} for host, protocol in entries]
    return put("gateways", "0.listeners", made)


def claim(**more: Any) -> Seed:
    return lambda evidence: evidence.sources["volume-claims"][0].update(more)


def driver(provisioner: str, waits: bool = True) -> Seed:
    made = {"name": "managed-csi", "provisioner": provisioner, "waits": waits}
    return put("storage-classes", "managed-csi", made)


def budget(**more: Any) -> Seed:
    return lambda evidence: evidence.sources["disruption-budgets"][0].update(more)


def second_budget(selector: Object | None) -> Seed:
    def seed(evidence: Evidence) -> None:
        found = evidence.sources["disruption-budgets"]
        found.append({**found[0], "name": "second", "selector": selector})

    return seed


def drop(name: str, index: int = 0) -> Seed:
    return put(name, str(index), GONE)


NO_PODS = both(source("pods", []), source("templates", []))
PUBLIC = {"annotations": {}, "addresses": ["203.0.113.20"]}

PODS: Rows = [
    ("workload.pods-healthy", "denied", UNKNOWN, source("pods", DENIED)),
    ("workload.pods-healthy", "no pods", SKIP, NO_PODS),
    ("workload.pods-healthy", "pending", FAIL, pod("phase", "Pending")),
    ("workload.pods-healthy", "not ready", FAIL, pod("ready", False)),
    ("workload.pods-healthy", "on its way out", PASS, both(pod("ready", False), pod("deleting", True))),
    ("workload.pods-healthy", "crash loop", FAIL, state(waiting="CrashLoopBackOff")),
    ("workload.pods-healthy", "no image", FAIL, state(waiting="ImagePullBackOff")),
    ("workload.pods-healthy", "no image at first", FAIL, state(waiting="ErrImagePull")),
    ("workload.pods-healthy", "no secret", FAIL, state(waiting="CreateContainerConfigError")),
    ("workload.pods-healthy", "out of memory", WARN, state(last="OOMKilled")),
    ("workload.pods-healthy", "ended otherwise", PASS, state(last="Error")),
    ("workload.pods-healthy", "4 restarts", PASS, state(restarts=4)),
    ("workload.pods-healthy", "5 restarts", WARN, state(restarts=5)),
    ("workload.pods-healthy", "naked", WARN, pod("owner", None)),
    ("workload.pods-healthy", "evicted", WARN, both(pod("phase", "Failed"), pod("reason", "Evicted"))),
    ("workload.pods-healthy", "failed and naked", FAIL, both(pod("phase", "Failed"), pod("owner", None))),
    ("workload.pods-healthy", "too few", FAIL, put("templates", "0.available", 1)),
    ("workload.pods-healthy", "none yet", FAIL, both(source("pods", []), put("templates", "0.available", 0))),
    ("workload.resource-limits", "denied", UNKNOWN, source("templates", DENIED)),
    ("workload.resource-limits", "no pods", SKIP, NO_PODS),
    ("workload.resource-limits", "nothing", FAIL, container("resources", {})),
    ("workload.resource-limits", "no CPU request", FAIL, container("resources.requests.cpu", GONE)),
    ("workload.resource-limits", "no memory request", FAIL, container("resources.requests.memory", GONE)),
    ("workload.resource-limits", "no memory limit", FAIL, container("resources.limits.memory", GONE)),
    ("workload.resource-limits", "no CPU limit", WARN, container("resources.limits.cpu", GONE)),
    (
        "workload.resource-limits",
        "no CPU limit, policy assigned",
        FAIL,
        both(container("resources.limits.cpu", GONE), limits("500m", "256Mi")),
    ),
    (
        "workload.resource-limits",
        "no CPU limit, policy disabled",
        WARN,
        both(container("resources.limits.cpu", GONE), policy(POLICY, effect="Disabled")),
    ),
    ("workload.resource-limits", "as much as the policy allows", PASS, limits("0.5", "256Mi")),
    ("workload.resource-limits", "more CPU", FAIL, limits("499m", "1Gi")),
    ("workload.resource-limits", "more memory", FAIL, limits("1", "255Mi")),
    ("workload.resource-limits", "at the start", FAIL, container("resources", GONE, "initContainers")),
    ("workload.resource-limits", "in a CronJob", FAIL, container("resources", GONE, index=CRON)),
    ("workload.resource-limits", "of another controller", FAIL, another(resources={})),
    ("workload.probes", "no readiness behind a Service", FAIL, container("readinessProbe", GONE)),
    (
        "workload.probes",
        "a liveness probe is enough without one",
        PASS,
        both(container("readinessProbe", GONE), source("services", [])),
    ),
    (
        "workload.probes",
        "none at all",
        FAIL,
        both(container("readinessProbe", GONE), container("livenessProbe", GONE), source("services", [])),
    ),
    (
        "workload.probes",
        "a start probe only",
        FAIL,
        both(
            container("readinessProbe", GONE),
            container("livenessProbe", GONE),
            container("startupProbe", healthy_workload.PROBE),
            source("services", []),
        ),
    ),
    ("workload.probes", "two alike", WARN, container("livenessProbe", healthy_workload.PROBE)),
    (
        "workload.probes",
        "of a Service in another namespace",
        PASS,
        both(container("readinessProbe", GONE), drop("services"), drop("services", 1)),
    ),
    ("workload.probes", "Services denied", UNKNOWN, source("services", DENIED)),
    ("workload.probes", "a CronJob needs none", PASS, container("readinessProbe", GONE, index=CRON)),
    ("workload.image-tag", "latest", FAIL, container("image", "acraksbaseline.azurecr.io/hello:latest")),
    ("workload.image-tag", "no tag", FAIL, container("image", "acraksbaseline.azurecr.io/hello")),
    ("workload.image-tag", "no tag, a port", FAIL, container("image", "localhost:5000/hello")),
    ("workload.image-tag", "a digest", PASS, container("image", "hello@sha256:" + "0" * 64)),
    ("workload.image-tag", "latest with a digest", PASS, container("image", "hello:latest@sha256:" + "0" * 64)),
    ("workload.image-tag", "at the start", FAIL, container("image", "hello", "initContainers")),
    ("workload.image-tag", "denied", UNKNOWN, source("templates", DENIED)),
    ("workload.image-registry", "elsewhere", FAIL, image("docker.io/library/nginx:1.29")),
    ("workload.image-registry", "a short name", FAIL, image("nginx:1.29")),
    ("workload.image-registry", "Microsoft's", PASS, image("mcr.microsoft.com/azuredocs/aks-helloworld:v1")),
    ("workload.image-registry", "somebody's", FAIL, image("evil.io/acraksbaseline.azurecr.io/x:1")),
    ("workload.image-registry", "added while it ran", FAIL, debugging()),
    ("workload.image-registry", "denied", UNKNOWN, source("pods", DENIED)),
    ("workload.image-registry", "no pods", SKIP, source("pods", [])),
    (
        "workload.image-registry",
        "no policy",
        FAIL,
        both(source("policy-assignments", []), image("quay.io/x:1")),
    ),
    ("workload.image-registry", "no policy, all ours", PASS, source("policy-assignments", [])),
    ("workload.image-registry", "policies unread, all ours", PASS, source("policy-assignments", DENIED)),
    (
        "workload.image-registry",
        "the pattern allows Docker's library",
        PASS,
        both(
            put(
                "policy-assignments",
                "3.properties.parameters.allowedContainerImagesRegex.value",
                r"^docker\.io/library/.+$|^acraksbaseline\.azurecr\.io/.+$|^mcr\.microsoft\.com/.+$",
            ),
            image("nginx:1.29"),
        ),
    ),
    (
        "workload.image-registry",
        "a pattern that is none",
        UNKNOWN,
        put("policy-assignments", "3.properties.parameters.allowedContainerImagesRegex.value", "^("),
    ),
]

SECURITY: Rows = [
    ("workload.no-privileged", "privileged", FAIL, secured("privileged", True)),
    ("workload.no-privileged", "privileged at the start", FAIL, secured("privileged", True, "initContainers")),
    ("workload.no-privileged", "privileged, added while it ran", FAIL, debugging(privileged=True)),
    ("workload.no-privileged", "added while it ran", PASS, debugging(privileged=False)),
    ("workload.no-privileged", "hostPID", FAIL, spec("hostPID", True)),
    ("workload.no-privileged", "hostIPC", FAIL, spec("hostIPC", True)),
    ("workload.no-privileged", "hostNetwork", FAIL, spec("hostNetwork", True)),
    ("workload.no-privileged", "hostPath", FAIL, spec("hostPaths", ["/var/run"])),
    ("workload.no-privileged", "hostPort", FAIL, container("hostPorts", [8080])),
    ("workload.no-privileged", "another controller's", FAIL, another(securityContext={"privileged": True})),
    ("workload.no-privileged", "said to be none", PASS, secured("privileged", False)),
    ("workload.no-privileged", "denied", UNKNOWN, source("templates", DENIED)),
    ("workload.no-privileged", "no pods", SKIP, NO_PODS),
    ("workload.no-privilege-escalation", "allowed", FAIL, secured("allowPrivilegeEscalation", True)),
    ("workload.no-privilege-escalation", "absent", WARN, secured("allowPrivilegeEscalation", GONE)),
    ("workload.no-privilege-escalation", "no context", WARN, container("securityContext", GONE)),
    (
        "workload.no-privilege-escalation",
        "at the start",
        FAIL,
        secured("allowPrivilegeEscalation", True, "initContainers"),
    ),
    ("workload.no-privilege-escalation", "Windows", SKIP, both(windows, source("pods", []))),
    ("workload.no-privilege-escalation", "denied", UNKNOWN, source("pods", DENIED)),
    ("workload.restricted-profile", "may be root", FAIL, spec("securityContext.runAsNonRoot", GONE)),
    (
        "workload.restricted-profile",
        "a user only",
        WARN,
        both(spec("securityContext.runAsNonRoot", GONE), spec("securityContext.runAsUser", 1000)),
    ),
    ("workload.restricted-profile", "user 0", FAIL, secured("runAsUser", 0)),
    (
        "workload.restricted-profile",
        "the container overrides its pod",
        FAIL,
        secured("runAsNonRoot", False),
    ),
    ("workload.restricted-profile", "nothing dropped", FAIL, secured("capabilities", GONE)),
    ("workload.restricted-profile", "some dropped", FAIL, secured("capabilities.drop", ["NET_RAW"])),
    ("workload.restricted-profile", "one added", FAIL, secured("capabilities.add", ["SYS_ADMIN"])),
    ("workload.restricted-profile", "the one that may be", PASS, secured("capabilities.add", ["NET_BIND_SERVICE"])),
    ("workload.restricted-profile", "no profile", FAIL, spec("securityContext.seccompProfile", GONE)),
    ("workload.restricted-profile", "unconfined", FAIL, secured("seccompProfile", {"type": "Unconfined"})),
    ("workload.restricted-profile", "a profile of its own", PASS, secured("seccompProfile", {"type": "Localhost"})),
    ("workload.restricted-profile", "at the start", FAIL, secured("capabilities", GONE, "initContainers")),
    ("workload.restricted-profile", "Windows", SKIP, both(windows, source("pods", []))),
    ("workload.restricted-profile", "denied", UNKNOWN, source("templates", DENIED)),
    ("workload.read-only-root", "absent", FAIL, secured("readOnlyRootFilesystem", GONE)),
    ("workload.read-only-root", "false", FAIL, secured("readOnlyRootFilesystem", False)),
    (
        "workload.read-only-root",
        "an exception",
        PASS,
        both(secured("readOnlyRootFilesystem", False), setting("writable_root", ["staging/hello"])),
    ),
    (
        "workload.read-only-root",
        "another's exception",
        FAIL,
        both(secured("readOnlyRootFilesystem", False), setting("writable_root", ["production/hello"])),
    ),
    ("workload.read-only-root", "denied", UNKNOWN, source("pods", DENIED)),
    ("workload.pod-security-labels", "none", FAIL, labels()),
    ("workload.pod-security-labels", "baseline", PASS, labels(enforce="baseline")),
    ("workload.pod-security-labels", "privileged", FAIL, labels(enforce="privileged")),
    ("workload.pod-security-labels", "warns", WARN, labels(warn="restricted")),
    ("workload.pod-security-labels", "audits", WARN, labels(audit="baseline", enforce="privileged")),
    ("workload.pod-security-labels", "an initiative in place", PASS, both(labels(), initiative("Deny"))),
    ("workload.pod-security-labels", "an initiative that audits", FAIL, both(labels(), initiative("Audit"))),
    ("workload.pod-security-labels", "policies unread", FAIL, both(labels(), source("policy-assignments", DENIED))),
    ("workload.pod-security-labels", "denied", UNKNOWN, source("namespaces", DENIED)),
    ("workload.pod-security-labels", "no namespaces", SKIP, source("namespaces", [])),
]

NETWORK: Rows = [
    ("workload.network-policy", "none", FAIL, drop("network-policies")),
    ("workload.network-policy", "an allow rule only", FAIL, put("network-policies", "0.ingress", [{"from": []}])),
    (
        "workload.network-policy",
        "for some pods",
        FAIL,
        put("network-policies", "0.podSelector", {"matchLabels": {"app": "hello"}}),
    ),
    ("workload.network-policy", "egress only", FAIL, put("network-policies", "0.policyTypes", ["Egress"])),
    ("workload.network-policy", "ingress only", WARN, put("network-policies", "0.policyTypes", ["Ingress"])),
    ("workload.network-policy", "types unsaid", WARN, put("network-policies", "0.policyTypes", None)),
    ("workload.network-policy", "open outwards", WARN, put("network-policies", "0.egress", [{}])),
    ("workload.network-policy", "no engine", SKIP, cluster("networkProfile.networkPolicy", "none")),
    (
        "workload.network-policy",
        "Cilium's own",
        UNKNOWN,
        both(
            drop("network-policies"),
            source("cilium-policies", [{"namespace": "staging", "name": "deny"}]),
        ),
    ),
    (
        "workload.network-policy",
        "Cilium's unread",
        FAIL,
        both(drop("network-policies"), source("cilium-policies", DENIED)),
    ),
    ("workload.network-policy", "Azure unread", PASS, source("cluster", DENIED)),
    ("workload.network-policy", "denied", UNKNOWN, source("network-policies", DENIED)),
    ("workload.network-policy", "no namespaces", SKIP, source("namespaces", [])),
    ("workload.public-exposure", "public", FAIL, balanced(**PUBLIC)),
    ("workload.public-exposure", "public, no address yet", FAIL, balanced(annotations={}, addresses=[])),
    ("workload.public-exposure", "said to be internal, and public", FAIL, balanced(addresses=["203.0.113.20"])),
    (
        "workload.public-exposure",
        "annotated as not internal",
        FAIL,
        balanced(annotations={healthy_workload.INTERNAL: "false"}),
    ),
    (
        "workload.public-exposure",
        "meant to be public, for all",
        WARN,
        both(balanced(**PUBLIC), setting("public_services", ["staging/inner"])),
    ),
    (
        "workload.public-exposure",
        "meant to be public, for all in so many words",
        WARN,
        both(balanced(**PUBLIC, ranges=["0.0.0.0/0"]), setting("public_services", ["staging/inner"])),
    ),
    (
        "workload.public-exposure",
        "meant to be public, for some",
        PASS,
        both(balanced(**PUBLIC, ranges=["198.51.100.0/24"]), setting("public_services", ["staging/inner"])),
    ),
    ("workload.public-exposure", "external addresses", FAIL, put("services", "0.externalIPs", ["203.0.113.5"])),
    ("workload.public-exposure", "no load balancer", PASS, balanced(type="ClusterIP")),
    ("workload.public-exposure", "denied", UNKNOWN, source("services", DENIED)),
    ("workload.ingress-tls", "no tls", FAIL, ingress(secured=[])),
    ("workload.ingress-tls", "another host", FAIL, ingress(secured=["other.contoso.com"])),
    ("workload.ingress-tls", "two labels below a star", FAIL, ingress(hosts=["a.b.contoso.com"])),
    ("workload.ingress-tls", "the domain of a star", FAIL, ingress(hosts=["contoso.com"])),
    ("workload.ingress-tls", "in capitals", PASS, ingress(secured=["Hello.Contoso.com"])),
    ("workload.ingress-tls", "a rule without a host", FAIL, ingress(hosts=["hello.contoso.com", ""])),
    (
        "workload.ingress-tls",
        "NGINX",
        WARN,
        both(ingress(**{"class": "nginx"}), put("ingress-classes", "nginx", "k8s.io/ingress-nginx")),
    ),
    ("workload.ingress-tls", "the NGINX add-on", WARN, ingress(**{"class": "webapprouting.kubernetes.azure.com"})),
    ("workload.ingress-tls", "classes unread", PASS, source("ingress-classes", DENIED)),
    ("workload.ingress-tls", "a plain listener", FAIL, listeners(("hello.contoso.com", "HTTP"))),
    ("workload.ingress-tls", "a plain listener for all", FAIL, listeners((None, "HTTP"))),
    ("workload.ingress-tls", "a plain listener of another name", FAIL, listeners(("a.io", "HTTPS"), ("b.io", "HTTP"))),
    ("workload.ingress-tls", "a plain listener inside", PASS, listeners(("hello.cluster.local", "HTTP"))),
    ("workload.ingress-tls", "nothing comes in", SKIP, both(source("ingresses", []), source("gateways", []))),
    ("workload.ingress-tls", "denied", UNKNOWN, source("ingresses", DENIED)),
]

RESILIENCE: Rows = [
    ("workload.disruption-budget", "one replica", FAIL, put("templates", f"{STAGING}.replicas", 1)),
    (
        "workload.disruption-budget",
        "one replica of an autoscaler",
        FAIL,
        put("autoscalers", "0.least", 1),
    ),
    (
        "workload.disruption-budget",
        "an autoscaler's least counts",
        PASS,
        put("templates", "1.replicas", 1),
    ),
    ("workload.disruption-budget", "no budget", FAIL, drop("disruption-budgets")),
    ("workload.disruption-budget", "a budget for others", FAIL, budget(selector={"matchLabels": {"app": "x"}})),
    ("workload.disruption-budget", "a budget for nobody", FAIL, budget(selector=None)),
    ("workload.disruption-budget", "a budget for all", PASS, budget(selector={})),
    (
        "workload.disruption-budget",
        "by an expression",
        PASS,
        budget(selector={"matchExpressions": [{"key": "app", "operator": "In", "values": ["hello"]}]}),
    ),
    (
        "workload.disruption-budget",
        "excluded by an expression",
        FAIL,
        budget(selector={"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}),
    ),
    ("workload.disruption-budget", "two budgets", FAIL, second_budget({"matchLabels": {"app": "hello"}})),
    ("workload.disruption-budget", "another budget", PASS, second_budget({"matchLabels": {"app": "x"}})),
    ("workload.disruption-budget", "blocks", FAIL, budget(maxUnavailable=0, disruptionsAllowed=0)),
    (
        "workload.disruption-budget",
        "as many as there are",
        FAIL,
        budget(maxUnavailable=None, minAvailable=2, disruptionsAllowed=0, desiredHealthy=2),
    ),
    ("workload.disruption-budget", "one pod is ill", PASS, budget(disruptionsAllowed=0, currentHealthy=1)),
    ("workload.disruption-budget", "not judged yet", PASS, budget(disruptionsAllowed=None)),
    ("workload.disruption-budget", "all on one node", WARN, spec("topologySpreadConstraints", GONE)),
    (
        "workload.disruption-budget",
        "apart by affinity",
        PASS,
        both(spec("topologySpreadConstraints", GONE), spec("antiAffinity", True)),
    ),
    (
        "workload.disruption-budget",
        "nothing behind a Service",
        SKIP,
        source("services", []),
    ),
    ("workload.disruption-budget", "denied", UNKNOWN, source("disruption-budgets", DENIED)),
    ("workload.storage-class", "in-tree disk", FAIL, driver("kubernetes.io/azure-disk")),
    ("workload.storage-class", "in-tree file", FAIL, driver("kubernetes.io/azure-file")),
    ("workload.storage-class", "driver off", FAIL, cluster("storageProfile.diskCSIDriver.enabled", False)),
    ("workload.storage-class", "drivers unsaid", PASS, cluster("storageProfile", GONE)),
    ("workload.storage-class", "blob is off unless said", FAIL, driver("blob.csi.azure.com")),
    (
        "workload.storage-class",
        "blob is on",
        PASS,
        both(driver("blob.csi.azure.com"), cluster("storageProfile.blobCSIDriver", {"enabled": True})),
    ),
    ("workload.storage-class", "another's driver", PASS, driver("driver.example.com")),
    ("workload.storage-class", "lost", FAIL, claim(phase="Lost")),
    ("workload.storage-class", "pending", FAIL, claim(phase="Pending", created="2026-11-22T11:54:59Z")),
    (
        "workload.storage-class",
        "pending for five minutes",
        WARN,
        claim(phase="Pending", created="2026-11-22T11:55:00Z"),
    ),
    (
        "workload.storage-class",
        "nobody wants it yet",
        PASS,
        both(claim(phase="Pending", created="2026-11-22T08:00:00Z"), source("pods", [])),
    ),
    (
        "workload.storage-class",
        "nobody wants it, at once",
        FAIL,
        both(
            claim(phase="Pending", created="2026-11-22T08:00:00Z"),
            source("pods", []),
            driver("disk.csi.azure.com", waits=False),
        ),
    ),
    ("workload.storage-class", "Azure unread", PASS, source("cluster", DENIED)),
    ("workload.storage-class", "no claims", SKIP, source("volume-claims", [])),
    ("workload.storage-class", "denied", UNKNOWN, source("storage-classes", DENIED)),
]

WORKLOAD_FAULTS = [*PODS, *SECURITY, *NETWORK, *RESILIENCE]
