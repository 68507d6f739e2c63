"""Checks of who reaches the applications: network policies, public addresses, encryption."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from labkit.checks.cluster_network import network_policy as engine
from labkit.checks.core import Finding, Status, Unread, failed, passed, skipped, unknown, warned
from labkit.checks.evidence import Evidence, Object
from labkit.checks.facts import retirement
from labkit.checks.lookup import same
from labkit.checks.registry import judges
from labkit.checks.workload import nothing, spaces
from labkit.checks.workload_pods import SPECS

INTERNAL = "service.beta.kubernetes.io/azure-load-balancer-internal"
NGINX = "k8s.io/ingress-nginx"
NGINX_ADD_ON = "webapprouting.kubernetes.azure.com"
NOT_PUBLIC = (".local", ".internal", ".cluster.local", ".localhost", ".test")
"""Ends of names that no public name has (RFC 6761, RFC 6762, and ICANN's .internal)."""
PRIVATE = tuple(ip_network(r) for r in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
"""Ranges that are not routed on the internet (RFC 1918, RFC 6598, RFC 4193); Python's is_private is wider."""
EVERYBODY = ("0.0.0.0/0", "::/0")


@judges(
    "workload.network-policy",
    reads=("namespaces", *SPECS, "network-policies"),
    also=("cluster", "workloads", "cilium-policies"),
)
def network_policy(evidence: Evidence) -> Iterator[Finding]:
    """In each namespace nothing comes in, and nothing goes out, that no rule lets."""
    expected = "a policy for all pods of the namespace that lets nothing in, and one that lets nothing out"
    reason = _not_enforced(evidence)
    if reason:
        yield skipped(f"not enforced: {reason}", expected, evidence.cluster_id)
        return
    found = spaces(evidence)
    if not found:
        yield nothing("namespaces", evidence)
    for space in found:
        yield _space(evidence, space["name"], expected)


def _not_enforced(evidence: Evidence) -> str:
    """Why policies decide nothing in this cluster, by `cluster.network-policy`; empty if they do, or if nobody knows."""
    try:
        answer = engine(evidence)
        findings = [answer] if isinstance(answer, Finding) else list(answer)
    except Unread:
        return ""
    return next((finding.reason for finding in findings if finding.status is Status.FAIL), "")


def _space(evidence: Evidence, name: str, expected: str) -> Finding:
    policies = [item for item in evidence.read("network-policies") if item["namespace"] == name]
    denied = {
        direction
        for item in policies
        for direction in ("Ingress", "Egress")
        if _for_all(item) and direction in (item["policyTypes"] or ["Ingress"]) and not item[direction.lower()]
    }
    object_id = f"Namespace/{name}"
    counted = "1 policy" if len(policies) == 1 else f"{len(policies)} policies"
    observed = f"{name}: {counted}, denied by default: {', '.join(sorted(denied)) or 'nothing'}"
    if "Ingress" not in denied:
        if any(item["namespace"] == name for item in evidence.maybe("cilium-policies") or []):
            return unknown(f"{name} has policies of Cilium's own kind, which are not judged here", expected, object_id)
        reason = f"every pod of the cluster reaches every pod of {name}, save what a policy selects"
        return failed(observed, expected, reason, object_id)
    if "Egress" not in denied:
        reason = f"the pods of {name} reach every address: whoever gets into one can carry data away"
        return warned(observed, expected, reason, object_id)
    return passed(observed, expected, object_id)


def _for_all(policy: Object) -> bool:
    selector = policy["podSelector"] or {}
    return not selector.get("matchLabels") and not selector.get("matchExpressions")


@judges("workload.public-exposure", reads=("services",))
def public_exposure(evidence: Evidence) -> Iterator[Finding]:
    """A public address is meant, named in the settings, and open to named ranges only."""
    expected = f"{INTERNAL} true, or listed in checks.public_services with loadBalancerSourceRanges"
    services = evidence.read("services")
    balanced = [item for item in services if item["type"] == "LoadBalancer"]
    for item in services:
        if item["externalIPs"]:
            place, addresses = f"{item['namespace']}/{item['name']}", ", ".join(map(str, item["externalIPs"]))
            reason = f"{place} takes {addresses} to itself, which are another's addresses as likely as its own"
            yield failed(f"{place}: externalIPs {addresses}", "no externalIPs", reason, f"Service/{place}")
    for item in balanced:
        yield _balanced(evidence, item, expected)
    if not balanced and not any(item["externalIPs"] for item in services):
        yield passed(f"{len(services)} services, none of type LoadBalancer", expected, evidence.cluster_id)


def _balanced(evidence: Evidence, item: Object, expected: str) -> Finding:
    place = f"{item['namespace']}/{item['name']}"
    object_id, addresses = f"Service/{place}", ", ".join(item["addresses"]) or "no address yet"
    private = (*PRIVATE, ip_network(evidence.settings.vnet_cidr))
    public = [a for a in item["addresses"] if not any(ip_address(a) in network for network in private)]
    if same(item["annotations"].get(INTERNAL), "true"):
        if public:
            reason = f"{place} asks for an internal address, and has the public one {', '.join(public)}"
            return failed(f"{place}: {addresses}", expected, reason, object_id)
        return passed(f"{place}: internal, {addresses}", expected, object_id)
    if place not in evidence.settings.public_services:
        reason = f"{place} has a public address, and checks.public_services does not name it"
        return failed(f"{place}: public, {addresses}", expected, reason, object_id)
    if not item["ranges"] or any(cidr in EVERYBODY for cidr in item["ranges"]):
        reason = f"{place} is meant to be public, and every address on the internet reaches it"
        return warned(f"{place}: public, {addresses}, no source ranges", expected, reason, object_id)
    return passed(f"{place}: public for {', '.join(item['ranges'])}", expected, object_id)


@judges("workload.ingress-tls", reads=("ingresses",), also=("ingress-classes", "gateways"))
def ingress_tls(evidence: Evidence) -> Iterator[Finding]:
    """What comes from outside is encrypted, for names that are said, by a controller that somebody maintains."""
    ingresses, gateways = evidence.read("ingresses"), evidence.maybe("gateways") or []
    for item in ingresses:
        yield from _ingress(evidence, item)
    for item in gateways:
        yield from _gateway(item)
    if not ingresses and not gateways:
        yield nothing("Ingress and no Gateway", evidence)


def _ingress(evidence: Evidence, item: Object) -> Iterator[Finding]:
    place = f"{item['namespace']}/{item['name']}"
    expected, object_id = "tls for each host, no rule without a host, a maintained controller", f"Ingress/{place}"
    wrong = 0
    if "" in item["hosts"]:
        wrong += 1
        reason = f"a rule of {place} names no host, so that it answers to every name"
        yield failed(f"{place}: a rule without a host", expected, reason, object_id)
    bare = [host for host in item["hosts"] if host and not any(_covers(name, host) for name in item["secured"])]
    if bare:
        wrong += 1
        reason = f"no certificate of {place} is for {', '.join(bare)}"
        yield failed(f"{place}: no tls for {', '.join(bare)}", expected, reason, object_id)
    controller = (evidence.maybe("ingress-classes") or {}).get(item["class"], "")
    shown = f"class {item['class'] or 'not said'}"
    if item["class"] == NGINX_ADD_ON:
        wrong += 1
        reason = f"the managed NGINX of application routing is supported until {retirement('nginx-add-on'):%b %Y} only"
        yield warned(f"{place}: {shown}", expected, reason, object_id)
    elif controller == NGINX:
        wrong += 1
        reason = f"ingress-nginx has not been maintained since {retirement('ingress-nginx'):%b %Y}"
        yield warned(f"{place}: {shown}, {controller}", expected, reason, object_id)
    if not wrong:
        yield passed(f"{place}: {', '.join(item['hosts'])}, {shown}", expected, object_id)


def _covers(name: str, host: str) -> bool:
    """True if a certificate for `name` is one for `host`: *.example.com is for one label before it (RFC 6125)."""
    if name.startswith("*.") and not host.startswith("*."):
        return same(name[2:], host.partition(".")[2])
    return same(name, host)


def _gateway(item: Object) -> Iterator[Finding]:
    place = f"{item['namespace']}/{item['name']}"
    expected, object_id = "HTTPS or TLS for each public name; HTTP only beside it", f"Gateway/{place}"
    secured = {entry["hostname"] or "" for entry in item["listeners"] if entry["protocol"] in ("HTTPS", "TLS")}
    wrong = 0
    for entry in item["listeners"]:
        host = str(entry["hostname"] or "")
        if entry["protocol"] in ("HTTPS", "TLS") or host.endswith(NOT_PUBLIC):
            continue
        # Plain HTTP beside HTTPS of the same name is there to redirect.
        if entry["protocol"] == "HTTP" and host in secured:
            continue
        wrong += 1
        what = host or "every name"
        reason = f"listener {entry['name']} of {place} takes {what} by {entry['protocol']}, which everybody can read"
        yield failed(f"{place}: {entry['protocol']} for {what}", expected, reason, object_id)
    if not wrong:
        yield passed(f"{place}: {len(item['listeners'])} listeners", expected, object_id)
