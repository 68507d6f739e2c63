"""Checks of what becomes of the applications when a node goes: disruption budgets, and volumes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from labkit.checks.core import Finding, failed, passed, warned
from labkit.checks.evidence import Evidence, Object
from labkit.checks.facts import workload
from labkit.checks.governance_logs import times
from labkit.checks.lookup import at, is_on
from labkit.checks.registry import judges
from labkit.checks.workload import Template, nothing, selects, served, templates
from labkit.checks.workload_pods import SPECS


@judges("workload.disruption-budget", reads=(*SPECS, "services", "disruption-budgets", "autoscalers"))
def disruption_budget(evidence: Evidence) -> Iterator[Finding]:
    """Of what a Service sends to, something is left while a node is drained, and the drain can go on."""
    budgets = evidence.read("disruption-budgets")
    blocking = [finding for item in budgets for finding in _blocking(item)]
    yield from blocking
    found = [item for item in templates(evidence) if item.kind == "Deployment" and served(evidence, item)]
    for template in found:
        yield _survives(evidence, template, budgets)
    if not found and not blocking:
        yield nothing("Deployment behind a Service", evidence)


def _blocking(item: Object) -> Iterator[Finding]:
    """A budget that lets nothing go although all is well: no node with its pods can be drained, so none upgraded."""
    allowed, healthy, pods = item["disruptionsAllowed"], item["currentHealthy"], item["expectedPods"]
    if allowed is None or allowed > 0 or not healthy or healthy < max(int(pods or 0), int(item["desiredHealthy"] or 0)):
        return
    place = f"{item['namespace']}/{item['name']}"
    rule = next(
        (f"{key} {item[key]}" for key in ("maxUnavailable", "minAvailable") if item[key] is not None), "no rule"
    )
    reason = f"with {rule} the budget {place} lets no pod go, so that no node with one can be upgraded"
    yield failed(f"{place}: {rule}, 0 allowed", "at least 1 disruption allowed", reason, f"PodDisruptionBudget/{place}")


def _survives(evidence: Evidence, template: Template, budgets: list[Object]) -> Finding:
    least = int(workload()["least_replicas"])
    replicas = _replicas(evidence, template)
    covering = [
        item["name"]
        for item in budgets
        if item["namespace"] == template.namespace and selects(item["selector"], template.labels)
    ]
    place, object_id = template.place, template.object_id
    expected = f"{least} replicas or more, one PodDisruptionBudget, spread over zones or nodes"
    observed = f"{place}: {replicas} replicas, budgets: {', '.join(covering) or 'none'}"
    if replicas < least:
        return failed(observed, expected, f"{place} has one pod, and none while its node is drained", object_id)
    if not covering:
        return failed(observed, expected, f"a drain may take all pods of {place} at once", object_id)
    if len(covering) > 1:
        reason = f"two budgets select the pods of {place}, and Kubernetes then evicts none of them"
        return failed(observed, expected, reason, object_id)
    if not template.spec.get("topologySpreadConstraints") and not template.spec.get("antiAffinity"):
        reason = f"the pods of {place} may all be on one node, or in one zone"
        return warned(observed, expected, reason, object_id)
    return passed(observed, expected, object_id)


def _replicas(evidence: Evidence, template: Template) -> int:
    """The fewest pods that there will be: of an autoscaler its least, else what the Deployment asks for."""
    for item in evidence.read("autoscalers"):
        target = item["target"]
        mine = target.get("kind") == template.kind and target.get("name") == template.name
        if mine and item["namespace"] == template.namespace:
            return int(item["least"])
    return template.replicas


@judges("workload.storage-class", reads=("volume-claims", "storage-classes"), also=("cluster", "pods"))
def storage_class(evidence: Evidence) -> Iterator[Finding]:
    """Volumes are there, and made by a driver that the cluster has."""
    claims = evidence.read("volume-claims")
    if not claims:
        yield nothing("volume claims", evidence)
    for claim in claims:
        yield _claim(evidence, claim)


def _claim(evidence: Evidence, claim: Object) -> Finding:
    place = f"{claim['namespace']}/{claim['name']}"
    expected, object_id = "Bound, of a class with a CSI driver that is on", f"PersistentVolumeClaim/{place}"
    found = evidence.read("storage-classes").get(claim["class"]) or {}
    provisioner = str(found.get("provisioner") or "")
    observed = f"{place}: {claim['phase'] or 'no phase'}, class {claim['class'] or 'none'}"
    observed += f", {provisioner}" if provisioner else ""
    if provisioner in workload()["in_tree"]:
        reason = f"{provisioner} is the plug-in of old, which is no longer maintained"
        return failed(observed, expected, reason, object_id)
    driver = workload()["drivers"].get(provisioner)
    if driver and evidence.maybe("cluster") is not None:
        switch = at(evidence.cluster, f"properties.storageProfile.{driver['switch']}.enabled")
        if not is_on(driver["default"] if switch is None else switch):
            reason = f"{driver['switch']} is off, so that nobody serves the volumes of class {claim['class']}"
            return failed(observed, expected, reason, object_id)
    if claim["phase"] == "Bound":
        return passed(observed, expected, object_id)
    return _waiting(evidence, claim, found, observed, expected)


def _waiting(evidence: Evidence, claim: Object, found: Object, observed: str, expected: str) -> Finding:
    place = f"{claim['namespace']}/{claim['name']}"
    object_id = f"PersistentVolumeClaim/{place}"
    if claim["phase"] != "Pending":
        return failed(observed, expected, f"the volume of {place} is {claim['phase'] or 'in no phase'}", object_id)
    mounted = evidence.maybe("pods") is None or any(
        pod["namespace"] == claim["namespace"] and claim["name"] in pod["spec"].get("claims", [])
        for pod in evidence.read("pods")
    )
    if found.get("waits") and not mounted:
        return passed(observed, expected, object_id, "it is made when a pod first wants it")
    minutes = int(workload()["pending_minutes"])
    created = times([claim["created"]])
    if created and evidence.now - created[0] <= timedelta(minutes=minutes):
        return warned(observed, expected, f"{place} waits for its volume, and not yet {minutes} minutes", object_id)
    return failed(observed, expected, f"{place} has waited for its volume for more than {minutes} minutes", object_id)
