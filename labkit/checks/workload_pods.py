"""Checks of what the applications run: that it is well, bounded, looked after and from a known place."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from labkit.checks.cluster_pools import quantity
from labkit.checks.core import Finding, failed, passed, unknown, warned
from labkit.checks.evidence import Evidence, Object
from labkit.checks.facts import workload
from labkit.checks.governance_policy import matches
from labkit.checks.lookup import at, same
from labkit.checks.policy import applied
from labkit.checks.registry import judges
from labkit.checks.workload import Template, nothing, owner_of, served, templates

Judged = Callable[[Template, Object], Iterator[Finding]]
SPECS = ("templates", "pods")
ALWAYS_RUNNING = ("Deployment", "StatefulSet", "DaemonSet")


def every_container(
    evidence: Evidence, found: list[Template], judged: Judged, good: str, expected: str, *, init: bool = True
) -> Iterator[Finding]:
    """What `judged` finds wrong with a container of the templates `found`; if nothing, that all are `good`."""
    containers = 0
    wrong = 0
    for template in found:
        for container in template.containers(init=init):
            containers += 1
            for finding in judged(template, container):
                wrong += 1
                yield finding
    if not containers:
        yield nothing("containers to look at", evidence)
    elif not wrong:
        yield passed(f"{containers} containers in {len(found)} workloads: {good}", expected, evidence.cluster_id)


@judges("workload.pods-healthy", reads=SPECS)
def pods_healthy(evidence: Evidence) -> Iterator[Finding]:
    """Every pod that is not done runs and is ready, and every Deployment has what it asks for."""
    expected = "every pod Running with all containers ready, restarted fewer than 5 times"
    pods = [pod for pod in evidence.read("pods") if not pod["deleting"] and pod["phase"] != "Succeeded"]
    deployments = [item for item in evidence.read("templates") if item["kind"] == "Deployment"]
    if not pods and not any(item["replicas"] for item in deployments):
        yield nothing("pods", evidence)
        return
    wrong = 0
    for finding in [*_pods(pods, expected), *_deployments(deployments, expected)]:
        wrong += 1
        yield finding
    if not wrong:
        yield passed(f"{len(pods)} pods running", expected, evidence.cluster_id)


def _pods(pods: list[Object], expected: str) -> Iterator[Finding]:
    for pod in pods:
        place, object_id = f"{pod['namespace']}/{pod['name']}", f"Pod/{pod['namespace']}/{pod['name']}"
        if pod["owner"] is None:
            reason = f"no controller owns the pod {place}: when its node goes, it is gone"
            yield warned(f"{place}: a naked pod", expected, reason, object_id)
        waiting = [c for c in pod["containers"] if c["waiting"] in workload()["waiting"]]
        for container in waiting:
            said = f": {container['message']}" if container["message"] else ""
            reason = f"container {container['name']} of {place} waits with {container['waiting']}{said}"
            yield failed(f"{place}: {container['waiting']}", expected, reason, object_id)
        if not waiting:
            yield from _phase(pod, place, expected, object_id)
        for container in pod["containers"]:
            if container["last"] == "OOMKilled":
                reason = (
                    f"container {container['name']} of {place} was killed, since it used more memory than its limit"
                )
                yield warned(f"{place}: OOMKilled", expected, reason, object_id)
            elif container["restarts"] >= int(workload()["restarts"]):
                reason = f"container {container['name']} of {place} was started again {container['restarts']} times"
                yield warned(f"{place}: {container['restarts']} restarts", expected, reason, object_id)


def _phase(pod: Object, place: str, expected: str, object_id: str) -> Iterator[Finding]:
    if pod["phase"] == "Failed" and pod["owner"] is not None:
        reason = f"{place} ended in failure ({pod['reason'] or 'no reason given'}); its controller goes on without it"
        yield warned(f"{place}: Failed", expected, reason, object_id)
    elif pod["phase"] != "Running":
        why = pod["unmet"] or pod["reason"]
        reason = f"{place} is {pod['phase'] or 'in no phase'}{': ' + why if why else ''}"
        yield failed(f"{place}: {pod['phase'] or 'no phase'}", expected, reason, object_id)
    elif not pod["ready"]:
        yield failed(f"{place}: not ready", expected, f"not every container of {place} is ready", object_id)


def _deployments(deployments: list[Object], expected: str) -> Iterator[Finding]:
    for item in deployments:
        if item["available"] < item["replicas"]:
            place = f"{item['namespace']}/{item['name']}"
            counts = f"{place} should have {item['replicas']}, and has {item['available']} available"
            reason = f"{counts}: {item['stuck']}" if item["stuck"] else counts
            observed = f"Deployment {place}: {item['available']} of {item['replicas']}"
            yield failed(observed, expected, reason, f"Deployment/{place}")


@judges("workload.resource-limits", reads=SPECS, also=("cluster", "policy-assignments", "policy-definitions"))
def resource_limits(evidence: Evidence) -> Iterator[Finding]:
    """Each container says what it needs and what it may take; with the policy of limits, no more than that allows."""
    most, strict = _most(evidence)
    expected = "requests.cpu, requests.memory, limits.memory and limits.cpu"
    if most:
        expected += f", at most {most.get('cpu') or 'any'} CPU and {most.get('memory') or 'any'} memory"

    def judged(template: Template, container: Object) -> Iterator[Finding]:
        where = f"{template.place}, container {container.get('name')}"
        resources = container.get("resources") or {}
        needed = ("requests.cpu", "requests.memory", "limits.memory", *(("limits.cpu",) if strict else ()))
        missing = [key for key in needed if at(resources, key) in (None, "")]
        if missing:
            reason = f"{where} says no {', '.join(missing)}"
            yield failed(f"{where}: without {', '.join(missing)}", expected, reason, template.object_id)
        elif at(resources, "limits.cpu") in (None, ""):
            reason = f"{where} may take all of its node's CPU that others leave"
            yield warned(f"{where}: without limits.cpu", expected, reason, template.object_id)
        for kind, limit in most.items():
            asked = at(resources, f"limits.{kind}")
            if limit and asked and quantity(asked) > quantity(limit):
                reason = f"{where} has a limit of {asked} {kind}, and the assigned policy allows {limit}"
                yield failed(f"{where}: limits.{kind} {asked}", expected, reason, template.object_id)

    yield from every_container(evidence, templates(evidence), judged, "all bounded", expected)


def _most(evidence: Evidence) -> tuple[dict[str, str], bool]:
    """The limits that the assigned policy allows, and True if it is assigned at all."""
    if evidence.maybe("policy-assignments") is None:
        return {}, False
    found = [item for item in applied(evidence, "resource-limits") if not same(item.effect, "Disabled")]
    if not found:
        return {}, False
    parameters = found[0].parameters
    return {"cpu": str(at(parameters, "cpuLimit") or ""), "memory": str(at(parameters, "memoryLimit") or "")}, True


@judges("workload.probes", reads=(*SPECS, "services"))
def probes(evidence: Evidence) -> Iterator[Finding]:
    """Whoever is behind a Service says when it is ready, everything else at least that it lives."""
    expected = "a readinessProbe behind a Service; elsewhere a readinessProbe or a livenessProbe"

    def judged(template: Template, container: Object) -> Iterator[Finding]:
        where = f"{template.place}, container {container.get('name')}"
        ready, alive = container.get("readinessProbe"), container.get("livenessProbe")
        if served(evidence, template) and not ready:
            reason = f"a Service sends requests to {where} from its first moment, ready or not"
            yield failed(f"{where}: no readinessProbe", expected, reason, template.object_id)
        elif not ready and not alive:
            reason = f"nobody notices when {where} hangs"
            yield failed(f"{where}: no probe", expected, reason, template.object_id)
        elif ready and ready == alive:
            reason = f"{where} is killed for what should only take it out of the Service: both probes are the same"
            yield warned(f"{where}: two equal probes", expected, reason, template.object_id)

    found = [item for item in templates(evidence) if item.kind in ALWAYS_RUNNING]
    yield from every_container(evidence, found, judged, "probed", expected, init=False)


@judges("workload.image-tag", reads=SPECS)
def image_tag(evidence: Evidence) -> Iterator[Finding]:
    """An image that is the same tomorrow: by digest, or by a tag that is a version."""
    expected = "a digest, or a tag other than latest"

    def judged(template: Template, container: Object) -> Iterator[Finding]:
        image = str(container.get("image") or "")
        tag = _tag(image)
        if "@sha256:" not in image and tag in ("", "latest"):
            said = "latest" if tag else "no tag, which is latest"
            reason = f"{template.place} runs {image}: {said}, and nobody knows which that was"
            yield failed(f"{template.place}: {image}", expected, reason, template.object_id)

    yield from every_container(evidence, templates(evidence), judged, "pinned", expected)


def _tag(image: str) -> str:
    """The tag of an image's name; a colon before the last slash is the port of the registry."""
    return image.split("@")[0].rpartition("/")[2].partition(":")[2]


def full_name(image: str) -> str:
    """An image with its registry, as the container runtime reads it: "nginx" is docker.io/library/nginx."""
    first, slash, rest = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return f"docker.io/{rest}" if first == "index.docker.io" else image
    return f"docker.io/{image}" if slash else f"docker.io/library/{image}"


@judges(
    "workload.image-registry",
    reads=("pods",),
    also=("cluster", "policy-assignments", "policy-definitions"),
)
def image_registry(evidence: Evidence) -> Iterator[Finding]:
    """What runs comes from where the policy says; without one, from the lab's registry or Microsoft's."""
    own = f"{evidence.settings.registry}.azurecr.io/"
    patterns = _patterns(evidence)
    expected = f"an image that matches {' and '.join(patterns)}" if patterns else f"{own} or mcr.microsoft.com/"
    seen: set[tuple[tuple[str, str, str], str]] = set()
    wrong = 0
    for pod in evidence.read("pods"):
        owner = owner_of(pod)
        for image in _images(pod["spec"]):
            if (owner, image) in seen:
                continue
            seen.add((owner, image))
            try:
                fine = _allowed(image, patterns, own)
            except ValueError as error:
                yield unknown(f"the assigned pattern cannot be used: {error}", expected, evidence.cluster_id)
                return
            if not fine:
                wrong += 1
                kind, namespace, name = owner
                reason = f"{namespace}/{name} runs {image}, which nobody has allowed"
                yield failed(f"{namespace}/{name}: {image}", expected, reason, f"{kind}/{namespace}/{name}")
    if not seen:
        yield nothing("pods", evidence)
    elif not wrong:
        images = len({image for _, image in seen})
        yield passed(f"{images} images, all allowed", expected, evidence.cluster_id)


def _patterns(evidence: Evidence) -> list[str]:
    if evidence.maybe("policy-assignments") is None:
        return []
    found = [item for item in applied(evidence, "allowed-images") if not same(item.effect, "Disabled")]
    given = [at(item.parameters, "allowedContainerImagesRegex") for item in found]
    return list(dict.fromkeys(str(pattern) for pattern in given if pattern))


def _allowed(image: str, patterns: list[str], own: str) -> bool:
    name = full_name(image)
    if patterns:
        return all(matches(pattern, name) for pattern in patterns)
    return name.startswith((own, "mcr.microsoft.com/"))


def _images(spec: Object) -> list[str]:
    kinds = ("containers", "initContainers", "ephemeralContainers")
    return [str(container.get("image") or "") for kind in kinds for container in spec.get(kind) or []]
