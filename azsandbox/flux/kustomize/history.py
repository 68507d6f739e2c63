"""The last reconciliations of a Kustomization, as its status keeps them (fluxcd/pkg/apis/meta, History)."""

from __future__ import annotations

from azsandbox.controllers.client import Object, Objects
from azsandbox.controllers.events import timestamp
from azsandbox.flux.durations import go_duration

SIZE = 5


def record(status: Object, digest: str, took: float, reason: str, metadata: dict[str, str]) -> None:
    """Notes a reconciliation that built `digest`, took `took` seconds and ended with `reason`.

    One that ended as an earlier one did, with the same digest, counts that up; the newest stands first.
    """
    history: Objects = status.get("history") or []
    now = timestamp()
    same = next((e for e in history if e["digest"] == digest and e["lastReconciledStatus"] == reason), None)
    entry: Object = {
        "digest": digest,
        "firstReconciled": same["firstReconciled"] if same else now,
        "lastReconciled": now,
        "lastReconciledDuration": go_duration(took),
        "lastReconciledStatus": reason,
        "metadata": metadata,
        "totalReconciliations": (same["totalReconciliations"] if same else 0) + 1,
    }
    status["history"] = [entry, *(e for e in history if e is not same)][:SIZE]
