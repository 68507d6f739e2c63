"""Uninstalling the release of an object that goes, or whose release goes elsewhere (internal/reconcile/uninstall.go)."""

from __future__ import annotations

from azsandbox.flux import conditions
from azsandbox.flux.events import NORMAL, WARNING
from azsandbox.flux.helm import history, spec, steps, undoing
from azsandbox.flux.helm.logs import HelmLog
from azsandbox.flux.helm.request import RELEASED, Request


class UninstallFailed(Exception):
    """A release that could not be taken away; the message is Helm's."""


async def uninstall(request: Request) -> bool:
    """Uninstalls what the history says is there; returns whether there was anything. Raises UninstallFailed."""
    obj, log = request.obj, HelmLog()
    latest = history.latest(obj)
    if latest is None:
        request.summarize()
        return False
    latest = dict(latest)
    name = history.full_name(latest)
    failure = ""
    try:
        failure = await steps.uninstalled(request, latest, log, spec.UNINSTALL)
    except undoing.Uninstalled:
        text = f"Release {name} was not found, assuming it is uninstalled"
        conditions.mark(obj, RELEASED, "False", "UninstallSucceeded", text)
        request.summarize()
        return True
    if failure and spec.part(obj, "uninstall").get("keepHistory") and "is already deleted" in failure:
        text = f"Release {name} was already uninstalled"
        conditions.mark(obj, RELEASED, "False", "UninstallSucceeded", text)
        request.summarize()
        return True
    newest = history.latest(obj) or latest
    if not failure and newest["digest"] == latest["digest"] and latest["status"] != "uninstalled":
        failure = "uninstall completed with error: release not updated in Helm storage"
    what = f"for release {history.full_name(newest)} with chart {history.versioned_chart(newest)}"
    if failure:
        message = f"Helm uninstall failed {what}: {failure}"
        spec.fail(obj)
        conditions.mark(obj, RELEASED, "False", "UninstallFailed", message)
        await request.event_of(newest, WARNING, "UninstallFailed", log.after(message))
        request.summarize()
        raise UninstallFailed(failure)
    obj["status"].pop("inventory", None)
    message = f"Helm uninstall succeeded {what}"
    conditions.mark(obj, RELEASED, "False", "UninstallSucceeded", message)
    await request.event_of(newest, NORMAL, "UninstallSucceeded", message)
    request.summarize()
    return True
