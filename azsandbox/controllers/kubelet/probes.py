"""Probes: taken to succeed as soon as they may, unless it is known that they fail.

Known to fail are exec probes whose command surely exits with an error, and those that the pod's
annotation azsandbox/failing-probes names, as `container/kind` or `kind` (liveness, readiness, startup).
"""

from __future__ import annotations

from azsandbox.controllers.client import Object
from azsandbox.controllers.kubelet.commands import run_outcome

FAILING = "azsandbox/failing-probes"


def fails(pod: Object, container: Object, kind: str) -> bool:
    """Whether a container's probe of a kind is known to fail."""
    probe = container.get(f"{kind}Probe")
    if not probe:
        return False
    named = {name.strip() for name in (pod["metadata"].get("annotations") or {}).get(FAILING, "").split(",")}
    if kind in named or f"{container['name']}/{kind}" in named:
        return True
    command = (probe.get("exec") or {}).get("command")
    outcome = run_outcome(command) if command else None
    return outcome is not None and outcome.seconds is not None and outcome.exit_code != 0


def text(container: Object, kind: str) -> str:
    """What the event of a failed probe says."""
    probe = container[f"{kind}Probe"]
    word = kind.capitalize()
    if "httpGet" in probe:
        return f"{word} probe failed: HTTP probe failed with statuscode: 500"
    if "tcpSocket" in probe:
        return f"{word} probe failed: dial tcp: connect: connection refused"
    if "grpc" in probe:
        return f'{word} probe failed: service unhealthy (responded with "NOT_SERVING")'
    return f"{word} probe failed: "


def first_success(probe: Object | None) -> float:
    """Seconds after the start at which a probe has succeeded often enough."""
    if not probe:
        return 0.0
    again = (int(probe.get("successThreshold") or 1) - 1) * int(probe.get("periodSeconds") or 10)
    return float(int(probe.get("initialDelaySeconds") or 0) + again)


def last_failure(probe: Object) -> float:
    """Seconds after the start at which a probe has failed too often."""
    failures = int(probe.get("failureThreshold") or 3) - 1
    return float(int(probe.get("initialDelaySeconds") or 0) + failures * int(probe.get("periodSeconds") or 10))


def started_after(pod: Object, container: Object) -> float | None:
    """Seconds until a container counts as started; None: never."""
    return None if fails(pod, container, "startup") else first_success(container.get("startupProbe"))


def ready_after(pod: Object, container: Object) -> float | None:
    """Seconds until a container counts as ready; None: never."""
    started = started_after(pod, container)
    if started is None or fails(pod, container, "readiness"):
        return None
    return max(started, first_success(container.get("readinessProbe")))


def killed_after(pod: Object, container: Object) -> tuple[float, str] | None:
    """Seconds until a failing startup or liveness probe has the container killed, and which; None: never."""
    if fails(pod, container, "startup"):
        return last_failure(container["startupProbe"]), "startup"
    if fails(pod, container, "liveness"):
        begins = first_success(container.get("startupProbe"))
        return max(begins, last_failure(container["livenessProbe"])), "liveness"
    return None
