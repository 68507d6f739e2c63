"""Phase and conditions of a pod, from the states of its containers.

Rules and texts: k8s.io/kubernetes, pkg/kubelet/status/generate.go and kubelet_pods.go (getPhase).
"""

from __future__ import annotations

from azsandbox.controllers.client import Object

Statuses = dict[str, Object]  # by container name


def is_sidecar(container: Object) -> bool:
    return container.get("restartPolicy") == "Always"


def restarts(spec: Object, container: Object, exit_code: int) -> bool:
    """Whether a container that ended with `exit_code` is started again; an init container only until it succeeds."""
    policy = container.get("restartPolicy") or spec.get("restartPolicy") or "Always"
    if policy == "Always" and not is_sidecar(container):
        once = any(entry["name"] == container["name"] for entry in spec.get("initContainers") or ())
        policy = "OnFailure" if once else policy
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def exit_code(status: Object) -> int | None:
    """With what a container ended last, if it does not run."""
    ended = status["state"].get("terminated")
    if ended is None and "waiting" in status["state"]:
        ended = (status.get("lastState") or {}).get("terminated")
    return None if ended is None else int(ended["exitCode"])


def phase_of(spec: Object, inits: Statuses, regulars: Statuses) -> str:
    """Pending, Running, Succeeded or Failed."""
    pending = False
    for container in spec.get("initContainers") or ():
        status = inits.get(container["name"])
        if is_sidecar(container):
            pending = pending or status is None or not (status.get("started") or "terminated" in status["state"])
            continue
        if status is None or "running" in status["state"]:
            pending = True
            continue
        code = exit_code(status)
        if code is None:
            pending = True
        elif code != 0 and not restarts(spec, container, code):
            return "Failed"
        elif code != 0:
            pending = True
    started = any(
        "running" in s["state"] or "terminated" in s["state"] or s.get("lastState") for s in regulars.values()
    )
    if pending and not started:
        return "Pending"
    running = stopped = final = good = 0
    for container in spec["containers"]:
        status = regulars.get(container["name"])
        if status is None:
            return "Pending"
        code = exit_code(status)
        if "running" in status["state"]:
            running += 1
        elif code is None:
            return "Pending"
        else:
            stopped += 1
            good += code == 0
            final += not restarts(spec, container, code)
    if running:
        return "Running"
    if final != stopped:
        return "Running"
    return "Succeeded" if good == stopped else "Failed"


def conditions_of(
    pod: Object, old: list[Object], inits: Statuses, regulars: Statuses, phase: str, sandbox: bool, now: str
) -> list[Object]:
    """PodReadyToStartContainers, Initialized, Ready and ContainersReady, with their times kept where nothing changed."""
    initialized = _initialized(pod["spec"], inits, regulars, phase)
    containers_ready = _containers_ready(pod["spec"], inits, regulars, phase)
    ready = containers_ready if containers_ready[0] != "True" else _gates(pod, old)
    found = [
        _condition("PodReadyToStartContainers", ("True" if sandbox else "False", "", ""), pod, old, now),
        _condition("Initialized", initialized, pod, old, now),
        _condition("Ready", ready, pod, old, now),
        _condition("ContainersReady", containers_ready, pod, old, now),
    ]
    if not any(c["type"] == "PodScheduled" for c in old):
        found.append(_condition("PodScheduled", ("True", "", ""), pod, old, now))
    return found


def _names(names: list[str]) -> str:
    return f"[{' '.join(names)}]"


def _initialized(spec: Object, inits: Statuses, regulars: Statuses, phase: str) -> tuple[str, str, str]:
    waiting = []
    for container in spec.get("initContainers") or ():
        status = inits.get(container["name"]) or {}
        done = status.get("started") if is_sidecar(container) else status.get("ready")
        if not done:
            waiting.append(container["name"])
    if phase == "Succeeded":
        return "True", "PodCompleted", ""
    begun = any("running" in s["state"] or "terminated" in s["state"] or s.get("lastState") for s in regulars.values())
    if not waiting or begun:
        return "True", "", ""
    return "False", "ContainersNotInitialized", f"containers with incomplete status: {_names(waiting)}"


def _containers_ready(spec: Object, inits: Statuses, regulars: Statuses, phase: str) -> tuple[str, str, str]:
    if phase == "Succeeded":
        return "False", "PodCompleted", ""
    if phase == "Failed":
        return "False", "PodFailed", ""
    unready = [
        c["name"]
        for c in spec.get("initContainers") or ()
        if is_sidecar(c) and not (inits.get(c["name"]) or {}).get("ready")
    ]
    unready += [c["name"] for c in spec["containers"] if not (regulars.get(c["name"]) or {}).get("ready")]
    if unready:
        return "False", "ContainersNotReady", f"containers with unready status: {_names(unready)}"
    return "True", "", ""


def _gates(pod: Object, conditions: list[Object]) -> tuple[str, str, str]:
    problems = []
    for gate in pod["spec"].get("readinessGates") or ():
        kind = gate["conditionType"]
        found = next((c for c in conditions if c["type"] == kind), None)
        if found is None:
            problems.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif found["status"] != "True":
            problems.append(f'the status of pod readiness gate "{kind}" is not "True", but {found["status"]}')
    return ("False", "ReadinessGatesNotReady", ", ".join(problems)) if problems else ("True", "", "")


def _condition(kind: str, value: tuple[str, str, str], pod: Object, old: list[Object], now: str) -> Object:
    status, reason, message = value
    before = next((c for c in old if c["type"] == kind), None)
    since = before["lastTransitionTime"] if before and before["status"] == status else now
    condition: Object = {"type": kind, "status": status, "lastProbeTime": None, "lastTransitionTime": since}
    generation = pod["metadata"].get("generation")
    if generation:
        condition["observedGeneration"] = generation
    # a reason or message of before must go, which a strategic patch does on null alone
    if reason or (before and before.get("reason")):
        condition["reason"] = reason or None
    if message or (before and before.get("message")):
        condition["message"] = message or None
    return condition
