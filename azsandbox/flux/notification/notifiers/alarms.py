"""alertmanager, grafana, opsgenie, pagerduty and datadog: alerts, annotations and incidents."""

from __future__ import annotations

import datetime as dt
import json
import urllib.parse
from typing import Any

from azsandbox.controllers.client import Object
from azsandbox.flux.notification.addresses import AddressError, request_uri
from azsandbox.flux.notification.descriptions import name_and_description
from azsandbox.flux.notification.events import INFO, PROGRESSING, go_json, metadata, titled
from azsandbox.flux.notification.notifiers.base import (
    JSON,
    Notifier,
    NotifierError,
    Options,
    Webhook,
    basic,
    bearer,
    is_error,
)
from azsandbox.flux.notification.posting import Http, SendError


def _seconds(timestamp: str) -> int:
    """A time of RFC 3339 as seconds since 1970."""
    return int(dt.datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp())


class Alertmanager(Webhook):
    """Alerts of Prometheus' Alertmanager."""

    name = "Alertmanager URL"

    def body(self, event: Object) -> Any:
        about = metadata(event)
        annotations = {"message": event["message"]}
        if "summary" in about:
            annotations["summary"] = about.pop("summary")
        involved = event["involvedObject"]
        labels = {
            **about,
            "alertname": f"Flux{involved['kind']}{event['reason'].title()}",
            "severity": event["severity"],
            "reason": event["reason"],
            "kind": involved["kind"],
            "name": involved["name"],
            "namespace": involved["namespace"],
            "reportingcontroller": event["reportingController"],
        }
        alert = {
            "status": "firing",
            "labels": dict(sorted(labels.items())),
            "annotations": annotations,
            "startsAt": event["timestamp"],
            "endsAt": "0001-01-01T00:00:00Z",
        }
        return [alert]

    def headers(self, event: Object, body: bytes) -> dict[str, str]:
        options = self.options
        by_user = basic(options.username, options.password) if options.username and options.password else {}
        return {**bearer(options.token), **by_user}


class Grafana(Webhook):
    """Annotations of Grafana, in Graphite's form."""

    name = "Grafana URL"

    def body(self, event: Object) -> Any:
        about = event["involvedObject"]
        tags = ["flux", event["reportingController"]]
        tags += [f"{k.replace(':', '|')}: {v.replace(':', '|')}" for k, v in metadata(event).items()]
        tags += [f"{key}: {about[key]}" for key in ("kind", "name", "namespace")]
        return {"when": _seconds(event["timestamp"]), "text": titled(event), "tags": tags}

    def headers(self, event: Object, body: bytes) -> dict[str, str]:
        options = self.options
        if options.token:
            return bearer(options.token)
        return basic(options.username, options.password) if options.username and options.password else {}


class Opsgenie(Webhook):
    """Alerts of Opsgenie."""

    name = "Opsgenie hook URL"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        if not options.token:
            raise NotifierError("empty Opsgenie apikey/token")

    def body(self, event: Object) -> Any:
        about = event["involvedObject"]
        details = {**metadata(event), "severity": event["severity"]}
        return {
            "message": f"{about['kind']}/{about['name']}",
            "description": event["message"],
            "details": dict(sorted(details.items())),
        }

    def headers(self, event: Object, body: bytes) -> dict[str, str]:
        return {"Authorization": f"GenieKey {self.options.token}"}


class PagerDuty(Notifier):
    """Incidents of PagerDuty, which an error opens and the rest resolves, and its change events."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        try:
            parts = urllib.parse.urlsplit(request_uri(options.url))
        except AddressError as error:
            raise NotifierError(f"invalid PagerDuty endpoint URL {json.dumps(options.url)}: '{error}'") from None
        self.endpoint = f"{parts.scheme}://{parts.netloc}"

    async def post(self, event: Object, http: Http) -> None:
        if event["reason"] == PROGRESSING:
            return
        await self._send(http, "/v2/enqueue", self._incident(event), "failed sending event")
        if event["severity"] == INFO:
            await self._send(http, "/v2/change/enqueue", self._change(event), "failed sending change event")

    async def _send(self, http: Http, path: str, body: Any, failed: str) -> None:
        try:
            await http.send(self.endpoint + path, go_json(body), {"Content-Type": JSON})
        except SendError as error:
            raise SendError(f"{failed}: {error}") from None

    def _incident(self, event: Object) -> Any:
        incident: Object = {"routing_key": self.options.channel, "event_action": "resolve"}
        incident["dedup_key"] = event["involvedObject"].get("uid", "")
        if is_error(event):
            name, description = name_and_description(event)
            incident["event_action"] = "trigger"
            incident["payload"] = {
                "summary": f"{description}: {name}",
                "source": f"Flux {event['reportingController']}",
                "severity": "error",
                "timestamp": event["timestamp"],
                "component": event["involvedObject"]["name"],
                "group": event["involvedObject"]["kind"],
                "custom_details": {"message": event["message"], "metadata": metadata(event) or None},
            }
        return incident

    def _change(self, event: Object) -> Any:
        name, description = name_and_description(event)
        payload = {
            "summary": f"{description}: {name}",
            "source": f"Flux {event['reportingController']}",
            "timestamp": event["timestamp"],
            "custom_details": {"message": event["message"], "metadata": metadata(event) or None},
        }
        return {"routing_key": self.options.channel, "payload": payload}


class DataDog(Notifier):
    """Events of Datadog."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        if not options.token:
            raise NotifierError("token cannot be empty")
        parts = urllib.parse.urlsplit(options.url)
        self.url = f"{parts.scheme}://{parts.netloc}/api/v1/events"

    async def post(self, event: Object, http: Http) -> None:
        about = event["involvedObject"]
        tags = [
            f"flux_reporting_controller:{event['reportingController']}",
            f"flux_reason:{event['reason']}",
            f"kube_kind:{about['kind']}",
            f"kube_name:{about['name']}",
            f"kube_namespace:{about['namespace']}",
            *(f"{key}:{value}" for key, value in metadata(event).items()),
        ]
        body = {
            "alert_type": "error" if is_error(event) else "info",
            "date_happened": _seconds(event["timestamp"]),
            "source_type_name": "fluxcd",
            "tags": [tag.lower() for tag in tags],
            "text": event["message"],
            "title": f"Events from the {about['kind']} {about['name']}/{about['namespace']}",
        }
        headers = {"Content-Type": JSON, "Accept": JSON, "DD-API-KEY": self.options.token}
        response = await http.call("POST", self.url, go_json(body), headers)
        if not response.is_success:
            said = f"{response.status_code} {response.reason_phrase}"
            raise SendError(f"failed to post event to DataDog: {said}")
