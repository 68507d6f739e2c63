"""A pod's life on its node: from what its status says and the time, what comes next.

Each call of `advance` looks at the pod as it is stored, so a restart goes on where it stopped; only
pulls and the last lines of events are kept in memory. Rules and texts: k8s.io/kubernetes, pkg/kubelet.
"""

from __future__ import annotations

import copy
import datetime as dt
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from azsandbox.controllers.client import Object
from azsandbox.controllers.events import timestamp
from azsandbox.controllers.kubelet import probes
from azsandbox.controllers.kubelet.commands import Outcome, outcome_of
from azsandbox.controllers.kubelet.pod_conditions import (
    Statuses,
    conditions_of,
    exit_code,
    is_sidecar,
    phase_of,
    restarts,
)
from azsandbox.controllers.kubelet.pulls import Pulls
from azsandbox.controllers.kubelet.references import PENDING, References
from azsandbox.controllers.objects import time_of

FIRST_RESTART, LAST_RESTART = 10.0, 300.0  # seconds
LONG_RUN = 600.0  # after a run of as many seconds the back-off begins anew
DEADLINE_TEXT = "Pod was active on the node longer than the specified deadline"
KILLED = 137  # SIGKILL


@dataclass
class Step:
    """What `advance` found: the new status, events (type, reason, message, container) and when to look again."""

    status: Object
    events: list[tuple[str, str, str, str]] = field(default_factory=list)
    wake: float | None = None

    def sooner(self, seconds: float | None) -> None:
        """Looks again in `seconds` at the latest."""
        if seconds is not None:
            self.wake = max(seconds, 0.01) if self.wake is None else max(min(self.wake, seconds), 0.01)


class Lifecycle:
    """Moves pods on.

    `warming_up` says how long it takes until a container whose probes succeed has come as far as its probes wait for
    (seconds of the probes → seconds of this machine); `outcome` what a container of a pod comes to.
    """

    def __init__(
        self,
        pulls: Pulls,
        references: References,
        warming_up: Callable[[float], float] = lambda seconds: seconds,
        outcome: Callable[[Object, Object], Outcome] = outcome_of,
    ) -> None:
        self.pulls, self.references, self.warming_up, self.outcome = pulls, references, warming_up, outcome
        self._told: dict[tuple[str, str, str], str] = {}  # pod uid, container, what → last text

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        self.pulls.forget(uid)
        for key in [key for key in self._told if key[0] == uid]:
            del self._told[key]

    def advance(self, pod: Object, host: str, address: str, now: dt.datetime, again: Callable[[], None]) -> Step:
        """The pod's next status. `again` is called when something it waits for has come."""
        spec, status = pod["spec"], pod.get("status") or {}
        stamp = timestamp(now)
        inits = {s["name"]: copy.deepcopy(s) for s in status.get("initContainerStatuses") or ()}
        regulars = {s["name"]: copy.deepcopy(s) for s in status.get("containerStatuses") or ()}
        step = Step({})
        begin = status.get("startTime") is None
        has_inits = bool(spec.get("initContainers"))
        for container in spec.get("initContainers") or ():
            inits.setdefault(container["name"], _waiting(container, "PodInitializing", started=False))
        for container in spec["containers"]:
            reason = "PodInitializing" if has_inits else "ContainerCreating"
            regulars.setdefault(container["name"], _waiting(container, reason, started=False))
        sandbox = bool(status.get("podIP"))
        ended = status.get("phase") in ("Succeeded", "Failed")
        expired = self._deadline(spec, status, now, step)
        if begin:
            step.wake = 0.01
        elif expired:
            self._stop_all(pod, inits, regulars, stamp)
        elif not ended:
            problem = self.references.missing_volume(pod, again) if not sandbox else ""
            if problem == PENDING:
                pass  # `again` comes when it is known
            elif problem:
                self._tell(pod, step, "", "Warning", "FailedMount", problem)
                step.sooner(2.0)
            else:
                sandbox = True
                self._containers(pod, inits, regulars, now, step, again)
        phase = "Failed" if expired else status["phase"] if ended else phase_of(spec, inits, regulars)
        if phase in ("Succeeded", "Failed") and not ended:
            self._stop_all(pod, inits, regulars, stamp)
            step.wake = None
            sandbox = False
        old = status.get("conditions") or []
        running = sandbox and phase not in ("Succeeded", "Failed")
        step.status = {
            "phase": phase,
            "conditions": conditions_of(pod, old, inits, regulars, phase, running, stamp),
            "hostIP": host,
            "hostIPs": [{"ip": host}],
            "startTime": status.get("startTime") or stamp,
            "containerStatuses": [regulars[c["name"]] for c in spec["containers"]],
        }
        if sandbox and address:
            step.status |= {"podIP": address, "podIPs": [{"ip": address}]}
        if has_inits:
            step.status["initContainerStatuses"] = [inits[c["name"]] for c in spec["initContainers"]]
        if expired:
            step.status |= {"reason": "DeadlineExceeded", "message": DEADLINE_TEXT}
        if pod["metadata"].get("generation"):
            step.status["observedGeneration"] = pod["metadata"]["generation"]
        return step

    def _deadline(self, spec: Object, status: Object, now: dt.datetime, step: Step) -> bool:
        seconds, began = spec.get("activeDeadlineSeconds"), time_of(status.get("startTime"))
        if seconds is None or began is None or status.get("phase") in ("Succeeded", "Failed"):
            return False
        left = seconds - (now - began).total_seconds()
        if left > 0:
            step.sooner(left)
            return False
        step.events.append(("Normal", "DeadlineExceeded", DEADLINE_TEXT, ""))
        return True

    def _containers(
        self,
        pod: Object,
        inits: Statuses,
        regulars: Statuses,
        now: dt.datetime,
        step: Step,
        again: Callable[[], None],
    ) -> None:
        spec = pod["spec"]
        done = True  # whether all init containers before have done their part
        begun = any("running" in s["state"] or exit_code(s) is not None for s in regulars.values())
        for container in spec.get("initContainers") or ():
            status = inits[container["name"]]
            if is_sidecar(container):
                if done:
                    self._tick(pod, container, status, now, step, again)
                done = done and bool(status.get("started"))
                continue
            if status["state"].get("terminated", {}).get("exitCode") == 0:
                continue
            if done and not begun:
                self._tick(pod, container, status, now, step, again)
            done = done and status["state"].get("terminated", {}).get("exitCode") == 0
        if done or begun:
            for container in spec["containers"]:
                self._tick(pod, container, regulars[container["name"]], now, step, again)

    def _tick(
        self,
        pod: Object,
        container: Object,
        status: Object,
        now: dt.datetime,
        step: Step,
        again: Callable[[], None],
    ) -> None:
        """Moves one container on."""
        if "running" in status["state"]:
            self._running(pod, container, status, now, step)
        if "terminated" in status["state"]:
            ended = status["state"]["terminated"]
            if not restarts(pod["spec"], container, ended["exitCode"]):
                return
            if self._backs_off(pod, container, status, now, step):
                return
        crashing = status["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff"
        if crashing and self._backs_off(pod, container, status, now, step):
            return
        if "running" not in status["state"]:
            self._start(pod, container, status, now, step, again)

    def _running(self, pod: Object, container: Object, status: Object, now: dt.datetime, step: Step) -> None:
        began = time_of(status["state"]["running"]["startedAt"]) or now
        age = (now - began).total_seconds()
        outcome = self.outcome(pod, container)
        killed = probes.killed_after(pod, container)
        if killed is not None and age >= killed[0] and (outcome.seconds is None or outcome.seconds > killed[0]):
            kind = killed[1]
            name = container["name"]
            step.events.append(("Warning", "Unhealthy", probes.text(container, kind), name))
            text = f"Container {name} failed {kind} probe, will be restarted"
            step.events.append(("Normal", "Killing", text, name))
            _end(status, KILLED, "Error", timestamp(now))
            return
        if outcome.seconds is not None and age >= outcome.seconds:
            finished = timestamp(began + dt.timedelta(seconds=outcome.seconds))
            _end(status, outcome.exit_code, "Completed" if not outcome.exit_code else "Error", finished)
            status["ready"] = not outcome.exit_code and _is_init(pod, container)
            return
        if outcome.seconds is not None:
            step.sooner(outcome.seconds - age)
        if killed is not None:
            step.sooner(killed[0] - age)
        if _is_init(pod, container):
            status["started"], status["ready"] = True, False
            return
        for key, after in (
            ("started", probes.started_after(pod, container)),
            ("ready", probes.ready_after(pod, container)),
        ):
            after = None if after is None else self.warming_up(after)
            status[key] = after is not None and age >= after
            if after is not None and age < after:
                step.sooner(after - age)
        if probes.fails(pod, container, "readiness"):
            self._tell(pod, step, container["name"], "Warning", "Unhealthy", probes.text(container, "readiness"))

    def _backs_off(self, pod: Object, container: Object, status: Object, now: dt.datetime, step: Step) -> bool:
        """Whether a container that ended must wait before it starts again; then it says so."""
        ended = status["state"].get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
        finished, began = time_of(ended.get("finishedAt")) or now, time_of(ended.get("startedAt")) or now
        count = int(status.get("restartCount") or 0)
        if count == 0 or (finished - began).total_seconds() >= LONG_RUN:
            return False
        seconds = min(FIRST_RESTART * 2.0 ** (count - 1), LAST_RESTART)
        left = seconds - (now - finished).total_seconds()
        if left <= 0:
            return False
        metadata = pod["metadata"]
        whole = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        name = container["name"]
        if "terminated" in status["state"]:
            status["lastState"] = {"terminated": ended}
            minutes, rest = divmod(int(seconds), 60)
            spelled = f"{minutes}m{rest}s" if minutes else f"{rest}s"
            text = f"back-off {spelled} restarting failed container={name} pod={whole}"
            status["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": text}}
            status["ready"], status["started"] = False, False
            event = f"Back-off restarting failed container {name} in pod {whole}"
            step.events.append(("Warning", "BackOff", event, name))
        step.sooner(left)
        return True

    def _start(
        self,
        pod: Object,
        container: Object,
        status: Object,
        now: dt.datetime,
        step: Step,
        again: Callable[[], None],
    ) -> None:
        name = container["name"]
        ended = status["state"].get("terminated")
        waits = "PodInitializing" if pod["spec"].get("initContainers") else "ContainerCreating"
        answer = self.pulls.ask(pod, container, waits, again)
        for kind, reason, message in answer.events:
            # what is the same at every retry is said once
            if reason in ("Pulled", "Pulling") or answer.wake is None:
                step.events.append((kind, reason, message, name))
            else:
                self._tell(pod, step, name, kind, reason, message)
        step.sooner(answer.wake)
        if answer.image is None:
            if not ended:
                _wait(status, answer.reason, answer.message)
            return
        problem = self.references.missing_environment(pod, container)
        if problem:
            self._tell(pod, step, name, "Warning", "Failed", f"Error: {problem}")
            _wait(status, "CreateContainerConfigError", problem)
            step.sooner(2.0)
            return
        if ended or (status.get("lastState") or {}).get("terminated"):
            status["lastState"] = {"terminated": ended} if ended else status["lastState"]
            status["restartCount"] = int(status.get("restartCount") or 0) + 1
        status["state"] = {"running": {"startedAt": timestamp(now)}}
        status["image"], status["imageID"] = answer.image.name, answer.image.id
        status["containerID"] = f"containerd://{secrets.token_hex(32)}"
        step.events.append(("Normal", "Created", "Container created", name))
        step.events.append(("Normal", "Started", "Container started", name))
        self._running(pod, container, status, now, step)

    def _tell(self, pod: Object, step: Step, container: str, kind: str, reason: str, message: str) -> None:
        """Adds an event unless it was the last of its kind about this container."""
        key = (pod["metadata"]["uid"], container, f"{reason} {message[:24]}")
        if self._told.get(key) != message:
            self._told[key] = message
            step.events.append((kind, reason, message, container))

    def _stop_all(self, pod: Object, inits: Statuses, regulars: Statuses, stamp: str) -> None:
        for status in [*inits.values(), *regulars.values()]:
            if "running" in status["state"]:
                code = 0 if status["name"] in inits else KILLED
                _end(status, code, "Error" if code else "Completed", stamp)


def stopped(pod: Object, now: str) -> Object:
    """The status of a pod that was told to end: its containers stopped by SIGTERM, which programs take as success."""
    spec, status = pod["spec"], copy.deepcopy(pod.get("status") or {})
    lists = {}
    for key in ("initContainerStatuses", "containerStatuses"):
        statuses = status.get(key) or []
        for entry in statuses:
            if "running" in entry["state"]:
                _end(entry, 0, "Completed", now)
        if statuses:
            lists[key] = statuses
    inits = {s["name"]: s for s in lists.get("initContainerStatuses", ())}
    regulars = {s["name"]: s for s in lists.get("containerStatuses", ())}
    final = {**spec, "restartPolicy": "Never"}
    phase = phase_of(final, inits, regulars) if regulars else str(status.get("phase"))
    conditions = conditions_of(pod, status.get("conditions") or [], inits, regulars, phase, False, now)
    return {"phase": phase, "conditions": conditions, **lists}


def _is_init(pod: Object, container: Object) -> bool:
    return not is_sidecar(container) and any(
        c["name"] == container["name"] for c in pod["spec"].get("initContainers") or ()
    )


def _waiting(container: Object, reason: str, started: bool) -> Object:
    status: Object = {
        "name": container["name"],
        "state": {"waiting": {"reason": reason}},
        "lastState": {},
        "ready": False,
        "restartCount": 0,
        "image": container["image"],
        "imageID": "",
        "started": started,
    }
    resources = container.get("resources") or {}
    if resources.get("requests"):
        status["allocatedResources"] = resources["requests"]
    status["resources"] = {key: resources[key] for key in ("limits", "requests") if resources.get(key)}
    mounts = [
        {
            "name": mount["name"],
            "mountPath": mount["mountPath"],
            **({"readOnly": True, "recursiveReadOnly": "Disabled"} if mount.get("readOnly") else {}),
        }
        for mount in container.get("volumeMounts") or ()
    ]
    if mounts:
        status["volumeMounts"] = mounts
    return status


def _wait(status: Object, reason: str, message: str) -> None:
    ended = status["state"].get("terminated")
    if ended:
        status["lastState"] = {"terminated": ended}
    status["state"] = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    status["ready"] = False
    status["started"] = False


def _end(status: Object, code: int, reason: str, finished: str) -> None:
    began = status["state"]["running"]["startedAt"]
    ended = {"exitCode": code, "reason": reason, "startedAt": began, "finishedAt": finished}
    if status.get("containerID"):
        ended["containerID"] = status["containerID"]
    status["state"] = {"terminated": ended}
    status["ready"], status["started"] = False, False
