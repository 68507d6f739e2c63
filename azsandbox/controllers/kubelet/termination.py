"""How long a pod takes to stop once it is told to."""

from __future__ import annotations

from azsandbox.controllers.client import Object
from azsandbox.controllers.kubelet.commands import run_outcome


def stop_seconds(pod: Object) -> float:
    """Seconds until its containers have stopped: what their preStop hooks surely take; programs end at once on SIGTERM."""
    longest = 0.0
    for container in pod["spec"]["containers"]:
        hook = (container.get("lifecycle") or {}).get("preStop") or {}
        seconds = float((hook.get("sleep") or {}).get("seconds") or 0)
        command = (hook.get("exec") or {}).get("command")
        outcome = run_outcome(command) if command else None
        if outcome is not None:
            seconds = max(seconds, outcome.seconds if outcome.seconds is not None else float("inf"))
        longest = max(longest, seconds)
    return longest
