"""msteams: an adaptive card, or the message card of the connectors that Microsoft retires."""

from __future__ import annotations

import urllib.parse
from typing import Any

from azsandbox.controllers.client import Object
from azsandbox.flux.notification.events import metadata, titled
from azsandbox.flux.notification.notifiers.base import Webhook, is_error

_CONNECTORS = ".webhook.office.com"
_SUMMARY = "summary"


class Teams(Webhook):
    """Microsoft Teams."""

    name = "MS Teams webhook URL"

    def body(self, event: Object) -> Any:
        host = urllib.parse.urlsplit(self.url).hostname or ""
        return _message_card(event) if host.endswith(_CONNECTORS) else _adaptive_card(event)


def _message_card(event: Object) -> Any:
    section = {
        "activityTitle": event["message"],
        "activitySubtitle": titled(event),
        "facts": [{"name": key, "value": value} for key, value in metadata(event).items()],
    }
    return {
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        "themeColor": "FF0000" if is_error(event) else "0076D7",
        "summary": titled(event),
        "sections": [section],
    }


def _adaptive_card(event: Object) -> Any:
    about = metadata(event)
    first = {_SUMMARY: about.pop(_SUMMARY)} if _SUMMARY in about else {}
    facts = [{"title": key, "value": value} for key, value in {**first, **about}.items()]
    message = {"type": "TextBlock", "text": event["message"]}
    if is_error(event):
        message["color"] = "attention"
    items: list[Any] = [
        {"type": "TextBlock", "text": titled(event), "size": "large", "weight": "bolder", "wrap": True},
        {**message, "wrap": True},
        {"type": "FactSet", **({"facts": facts} if facts else {})},
    ]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "Container", "items": items}],
        "msteams": {"width": "Full"},
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return {"type": "message", "attachments": [attachment]}
