"""What a Job makes of pods that fail or succeed: failure policy, success policy, and the wait between tries.

Source of the rules: Kubernetes 1.35, pkg/controller/job: pod_failure_policy.go, success_policy.go, backoff_utils.go.
"""

from __future__ import annotations

import datetime as dt

from azsandbox.controllers import job_indexes
from azsandbox.controllers.client import Object
from azsandbox.controllers.objects import condition_of, is_going, name_of, namespace_of, time_of

FIRST_BACKOFF, LAST_BACKOFF = 10.0, 600.0  # seconds


def _failed_container(status: Object, requirement: Object) -> Object | None:
    """The container whose exit code a rule asks for."""
    for group in ("containerStatuses", "initContainerStatuses"):
        for container in status.get(group) or ():
            terminated = (container.get("state") or {}).get("terminated")
            if not terminated or requirement.get("containerName") not in (None, container["name"]):
                continue
            code = terminated.get("exitCode", 0)
            if code != 0 and (code in requirement["values"]) == (requirement["operator"] == "In"):
                found: Object = container
                return found
    return None


def _matching_condition(status: Object, patterns: list[Object]) -> Object | None:
    for condition in status.get("conditions") or ():
        for pattern in patterns:
            if condition["type"] == pattern["type"] and condition["status"] == pattern.get("status", "True"):
                found: Object = condition
                return found
    return None


def failure_action(policy: Object | None, pod: Object) -> tuple[str, str]:
    """The action ("", Ignore, Count, FailIndex, FailJob) of the first rule that matches, and FailJob's message."""
    status = pod.get("status") or {}
    for index, rule in enumerate((policy or {}).get("rules") or ()):
        action = rule["action"]
        where = f"{namespace_of(pod)}/{name_of(pod)}"
        if rule.get("onExitCodes"):
            container = _failed_container(status, rule["onExitCodes"])
            if container is not None:
                code = container["state"]["terminated"]["exitCode"]
                text = f"Container {container['name']} for pod {where} failed with exit code {code}"
                return action, f"{text} matching {action} rule at index {index}"
        elif rule.get("onPodConditions"):
            condition = _matching_condition(status, rule["onPodConditions"])
            if condition is not None:
                text = f"Pod {where} has condition {condition['type']}"
                return action, f"{text} matching {action} rule at index {index}"
    return "", ""


def success_message(policy: Object | None, completions: int, succeeded: set[int]) -> str:
    """What the success policy says of the indexes that succeeded; "" if it is not met."""
    if not succeeded:
        return ""
    for number, rule in enumerate((policy or {}).get("rules") or ()):
        count = rule.get("succeededCount")
        if rule.get("succeededIndexes") is not None:
            required = job_indexes.parse(rule["succeededIndexes"], completions)
            reached = len(required & succeeded)
            met = bool(required) and (reached == len(required) or (count is not None and reached >= count))
        else:
            met = count is not None and len(succeeded) >= count
        if met:
            return f"Matched rules at index {number}"
    return ""


def finished_at(pod: Object) -> dt.datetime:
    """When a pod ended: by its containers, its readiness, its deletion, or else its creation."""
    status = pod.get("status") or {}
    sidecars = {c["name"] for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"}
    containers = [
        *(status.get("containerStatuses") or ()),
        *(c for c in status.get("initContainerStatuses") or () if c["name"] in sidecars),
    ]
    ends = [time_of(((c.get("state") or {}).get("terminated") or {}).get("finishedAt")) for c in containers]
    known = [end for end in ends if end is not None]
    if known and len(known) == len(ends):
        return max(known)
    ready = condition_of(status, "Ready")
    if ready and ready["status"] == "False" and ready.get("lastTransitionTime"):
        return _known(ready["lastTransitionTime"])
    if is_going(pod):
        grace = pod["metadata"].get("deletionGracePeriodSeconds", 0)
        return _known(pod["metadata"]["deletionTimestamp"]) - dt.timedelta(seconds=grace)
    return _known(pod["metadata"]["creationTimestamp"])


def _known(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00"))


def remaining_backoff(failures: int, last: dt.datetime | None, now: dt.datetime) -> float:
    """Seconds to wait before the next try after so many failures, the last of them at `last`."""
    if not failures or last is None:
        return 0.0
    wait = min(FIRST_BACKOFF * 2 ** min(failures - 1, 16), LAST_BACKOFF)
    return max(wait - (now - last).total_seconds(), 0.0)


def failures_since_success(
    before: tuple[int, dt.datetime | None], succeeded: list[Object], failed: list[Object]
) -> tuple[int, dt.datetime | None]:
    """The number of failures after the last success and the time of the last failure, pods that just ended included."""
    times = sorted(map(finished_at, failed))
    if not succeeded:
        return (before[0] + len(times), times[-1]) if times else before
    last_success = max(map(finished_at, succeeded))
    later = [time for time in times if time > last_success]
    return len(later), (later[-1] if later else None)
