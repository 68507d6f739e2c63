"""Lines as components of Kubernetes log them: header of klog, message, pairs (k8s.io/klog/v2)."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from azsandbox.kubernetes.request import Object


def line(moment: dt.datetime, where: str, message: str, severity: str = "I") -> str:
    """ "I1125 16:04:05.000123       1 event.go:389] message" """
    return f"{severity}{moment:%m%d %H:%M:%S.%f}       1 {where}] {message}"


def structured(moment: dt.datetime, where: str, message: str, /, severity: str = "I", **pairs: Any) -> str:
    """A line with a quoted message and pairs, values as klog prints them."""
    text = "".join(f" {key}={_value(value)}" for key, value in pairs.items())
    return line(moment, where, _quoted(message) + text, severity)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        return json.dumps(value, separators=(",", ":"))
    return str(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def key(namespace: str, name: str) -> str:
    """klog.KRef: namespace/name, or the name alone."""
    return f"{namespace}/{name}" if namespace else name


def event_occurred(moment: dt.datetime, event: Object, logger: str = "") -> str:
    """What a broadcaster with structured logging says of an event (client-go, tools/record/event.go)."""
    about = event.get("involvedObject") or {}
    named = {"logger": logger} if logger else {}
    return structured(
        moment,
        "event.go:389",
        "Event occurred",
        **named,
        object=key(about.get("namespace", ""), about.get("name", "")),
        fieldPath=about.get("fieldPath", ""),
        kind=about.get("kind", ""),
        apiVersion=about.get("apiVersion", ""),
        type=event.get("type", ""),
        reason=event.get("reason", ""),
        message=event.get("message", ""),
    )


def event_sink(moment: dt.datetime, event: Object) -> str:
    """What the cluster autoscaler says of an event (autoscaler, utils/kubernetes/event_sink_logging_wrapper.go)."""
    about = event.get("involvedObject") or {}
    names = {
        "Kind": "kind",
        "Namespace": "namespace",
        "Name": "name",
        "UID": "uid",
        "APIVersion": "apiVersion",
        "ResourceVersion": "resourceVersion",
        "FieldPath": "fieldPath",
    }
    reference = ", ".join(f'{go}:"{about.get(field, "")}"' for go, field in names.items())
    text = f"Event(v1.ObjectReference{{{reference}}}): type: '{event.get('type', '')}' reason: '{event.get('reason', '')}' "
    return line(moment, "event_sink_logging_wrapper.go:48", text + str(event.get("message", "")))
