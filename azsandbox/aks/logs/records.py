"""Rows of a workspace's tables from what a control plane logs."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

import orjson

from azsandbox.aks.facts import read
from azsandbox.aks.logs.settings import Destination
from azsandbox.arm import ids
from azsandbox.kubernetes.audit.event import SKIPPED
from azsandbox.kubernetes.request import Object
from azsandbox.loganalytics.rows import Row, stamp

TOO_BIG = 32 * 1024
"""Bytes of a value that a column holds (Azure Monitor, "Service limits": field values are truncated at 32 KB)."""

_LEVELS = {"I": "INFO", "W": "WARNING", "E": "ERROR", "F": "FATAL"}
_COLUMNS = {
    "Level": "level",
    "AuditId": "auditID",
    "Stage": "stage",
    "RequestUri": "requestURI",
    "Verb": "verb",
    "User": "user",
    "SourceIps": "sourceIPs",
    "UserAgent": "userAgent",
    "ObjectRef": "objectRef",
    "ResponseStatus": "responseStatus",
    "RequestObject": "requestObject",
    "ResponseObject": "responseObject",
    "RequestReceivedTime": "requestReceivedTimestamp",
    "StageReceivedTime": "stageTimestamp",
    "Annotations": "annotations",
}


class Records:
    """Makes the rows of one cluster. `uid` is the cluster's resource UID."""

    def __init__(self, resource_id: str, uid: str) -> None:
        id_ = ids.of(resource_id)
        self.resource_id, self.uid = resource_id.lower(), uid
        self._diagnostics: Row = {
            "ResourceId": resource_id.upper(),
            "ResourceGroup": str(id_.group).upper(),
            "SubscriptionId": id_.subscription,
            "ResourceProvider": "MICROSOFT.CONTAINERSERVICE",
            "Resource": id_.name.upper(),
            "ResourceType": "MANAGEDCLUSTERS",
            "OperationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
            "SourceSystem": "Azure",
            "stream_s": "stdout",
            "ccpNamespace_s": uid,
            "_ResourceId": self.resource_id,
        }
        self._metrics: Row = {
            key: value for key, value in self._diagnostics.items() if not key.endswith("_s") and key != "OperationName"
        }

    def pod(self, program: str) -> str:
        """The name of the control plane's pod that a program runs in, the same at each start."""
        digest = hashlib.sha256(f"{self.uid}/{program}".encode()).hexdigest()
        return f"{program}-{digest[:10]}-{digest[10:15]}"

    def audit(self, category: str, to: Destination, event: Object, moment: dt.datetime) -> tuple[str, Row]:
        """The row of an audit event."""
        pod = self.pod("kube-apiserver")
        if not to.dedicated:
            return self._diagnostic(category, pod, orjson.dumps(event).decode(), moment)
        row = {column: event[key] for column, key in _COLUMNS.items() if key in event}
        for column in ("RequestObject", "ResponseObject"):
            if column in row and len(orjson.dumps(row[column])) > TOO_BIG:
                row[column] = SKIPPED
        return read("control-plane-logs")["tables"][category], {**row, **self._own(pod, moment)}

    def log(self, category: str, to: Destination, text: str, moment: dt.datetime) -> tuple[str, Row]:
        """The row of a line that a program logged."""
        pod = self.pod(category)
        if not to.dedicated:
            return self._diagnostic(category, pod, text, moment)
        row = {"Category": category, "Level": _LEVELS.get(text[:1], "INFO"), "Message": text}
        return read("control-plane-logs")["otherTable"], {**row, **self._own(pod, moment)}

    def metric(self, name: str, unit: str, values: list[float], moment: dt.datetime) -> tuple[str, Row]:
        """The row of a minute of a metric."""
        total = sum(values)
        figures = {"Total": total, "Count": float(len(values)), "Maximum": max(values), "Minimum": min(values)}
        row = {"MetricName": name, **figures, "Average": total / len(values), "TimeGrain": "PT1M", "UnitName": unit}
        return "AzureMetrics", {**self._metrics, **row, "TimeGenerated": stamp(moment)}

    def _diagnostic(self, category: str, pod: str, text: str, moment: dt.datetime) -> tuple[str, Row]:
        own: dict[str, Any] = {"TimeGenerated": stamp(moment), "Category": category, "log_s": text, "pod_s": pod}
        return "AzureDiagnostics", {**self._diagnostics, **own}

    def _own(self, pod: str, moment: dt.datetime) -> Row:
        own = {"TimeGenerated": stamp(moment), "PodName": pod, "SourceSystem": "Azure"}
        return {**own, "_ResourceId": self.resource_id}
