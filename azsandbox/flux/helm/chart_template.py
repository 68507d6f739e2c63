"""The HelmChart that spec.chart is made into: applied, and deleted where it is another's or nobody's any more.

Rules and texts: helm-controller, internal/reconcile/helmchart_template.go.
"""

from __future__ import annotations

from azsandbox.controllers.client import KubeClient, Object, path
from azsandbox.flux.events import TRACE, FluxRecorder
from azsandbox.flux.helm import spec
from azsandbox.flux.helm.request import Say
from azsandbox.kubernetes.errors import StatusError

SOURCE = "source.toolkit.fluxcd.io/v1"
_COPIED = ("version", "reconcileStrategy", "valuesFiles", "ignoreMissingValuesFiles", "verify")


class TemplateFailed(Exception):
    """The HelmChart could not be written or deleted; the message is Flux's."""


def helm_chart(obj: Object) -> Object:
    """The HelmChart of a HelmRelease, labelled as its own."""
    template = obj["spec"]["chart"]
    given, metadata = template["spec"], template.get("metadata") or {}
    source = given["sourceRef"]
    own = {f"{spec.GROUP}/name": obj["metadata"]["name"], f"{spec.GROUP}/namespace": obj["metadata"]["namespace"]}
    found: Object = {
        "apiVersion": SOURCE,
        "kind": "HelmChart",
        "metadata": {
            "name": spec.chart_name(obj),
            "namespace": spec.chart_namespace(obj),
            "labels": {**(metadata.get("labels") or {}), **own},
        },
        "spec": {
            "chart": given["chart"],
            "interval": given.get("interval") or obj["spec"]["interval"],
            "sourceRef": {"kind": source["kind"], "name": source["name"]},
            **{key: given[key] for key in _COPIED if given.get(key)},
        },
    }
    if metadata.get("annotations"):
        found["metadata"]["annotations"] = dict(metadata["annotations"])
    return found


async def reconcile(client: KubeClient, obj: Object, recorder: FluxRecorder, say: Say, *, across: bool) -> None:
    """Brings the HelmChart in line with spec.chart, or deletes it. Raises TemplateFailed.

    `across` allows it to be in another namespace.
    """
    status = obj.setdefault("status", {})
    deleted = "deletionTimestamp" in obj["metadata"]
    wanted = ""
    if obj["spec"].get("chart"):
        wanted = f"{spec.chart_namespace(obj)}/{spec.chart_name(obj)}"
    if status.get("helmChart") and (deleted or status["helmChart"] != wanted):
        await _delete(client, obj, recorder)
    if deleted or not wanted:
        return
    if not across and spec.chart_namespace(obj) != obj["metadata"]["namespace"]:
        raise TemplateFailed(f"cross-namespace references are not allowed: cannot access HelmChart {wanted}")
    chart = helm_chart(obj)
    url = _path(wanted)
    try:
        before = await client.find(url)
        after = await client.apply(url, chart, spec.MANAGER)
    except StatusError as error:
        text = f"failed to run server-side apply: {error.message}"
        await recorder.event(obj, TRACE, "HelmChartSyncErr", text)
        raise TemplateFailed(text) from None
    source = (
        f"{chart['spec']['sourceRef']['kind']}/{chart['metadata']['namespace']}/{chart['spec']['sourceRef']['name']}"
    )
    if before is None or before["metadata"]["resourceVersion"] != after["metadata"]["resourceVersion"]:
        word = "Created" if before is None else "Configured"
        message = f"{word} HelmChart/{wanted} with SourceRef '{source}'"
        say(message)
        await recorder.event(obj, TRACE, f"HelmChart{word}", message)
    else:
        say(f"HelmChart/{wanted} with SourceRef '{source}' is in-sync")
    status["helmChart"] = wanted


async def _delete(client: KubeClient, obj: Object, recorder: FluxRecorder) -> None:
    """Deletes the HelmChart that status names. A suspended HelmRelease leaves it."""
    status = obj["status"]
    if obj["spec"].get("suspend"):
        return
    try:
        if await client.find(_path(status["helmChart"])) is not None:
            await client.delete(_path(status["helmChart"]))
            text = f"deleted HelmChart '{status['helmChart']}'"
            await recorder.event(obj, TRACE, "HelmChartDeleted", text)
    except StatusError as error:
        raise TemplateFailed(f"failed to delete HelmChart '{status['helmChart']}': {error.message}") from None
    del status["helmChart"]


def _path(key: str) -> str:
    namespace, _, name = key.partition("/")
    return path(SOURCE, "helmcharts", namespace, name)
