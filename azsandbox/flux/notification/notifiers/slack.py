"""slack, discord and rocket: Slack's message with one attachment."""

from __future__ import annotations

import json
import posixpath
import urllib.parse
from typing import Any

import httpx

from azsandbox.controllers.client import Object
from azsandbox.flux.notification.events import metadata, titled
from azsandbox.flux.notification.notifiers.base import Webhook, bearer, is_error
from azsandbox.flux.notification.posting import SendError, arrived

_CHAT = "https://slack.com/api/chat.postMessage"  # always answers 200; whether it worked is in the body


def _message(event: Object, channel: str, username: str, fallback: str, color: str) -> Any:
    fields = [{"title": key, "value": value, "short": False} for key, value in metadata(event).items()]
    attachment = {
        "fallback": fallback,
        "color": color,
        "author_name": titled(event),
        "text": event["message"],
        "mrkdwn_in": ["text"],
        "fields": fields,
    }
    return {
        "channel": channel,
        "username": username,
        "icon_url": "",
        "icon_emoji": "",
        "attachments": [attachment],
    }


class Slack(Webhook):
    """Slack's incoming web hooks, and its chat.postMessage."""

    name = "Slack hook URL"

    def body(self, event: Object) -> Any:
        first = str(event["message"]).split("\n", maxsplit=1)[0]
        return _message(
            event,
            self.options.channel,
            self.options.username or event["reportingController"],
            f"{titled(event)}: {first}",
            "danger" if is_error(event) else "good",
        )

    def headers(self, event: Object, body: bytes) -> dict[str, str]:
        return bearer(self.options.token)

    def check(self, response: httpx.Response) -> None:
        if self.url != _CHAT:
            arrived(response)
            return
        try:
            answer = json.loads(response.content)
        except ValueError as error:
            raise SendError(f"unable to unmarshal response body: {error}") from None
        if not answer.get("ok"):
            raise SendError(f"Slack responded with error: {answer.get('error', '')}")


class Discord(Webhook):
    """Discord takes Slack's messages at an address that ends in /slack."""

    name = "Discord hook URL"

    def address(self, url: str) -> str:
        if url.endswith("/slack"):
            return url
        parts = urllib.parse.urlsplit(url)
        return urllib.parse.urlunsplit(parts._replace(path=posixpath.normpath(posixpath.join(parts.path, "slack"))))

    def body(self, event: Object) -> Any:
        username = self.options.username or event["reportingController"]
        return _message(event, "", username, "", "danger" if is_error(event) else "good")


class Rocket(Webhook):
    """Rocket.Chat."""

    name = "Rocket hook URL"

    def body(self, event: Object) -> Any:
        color = "#FF0000" if is_error(event) else "#0076D7"
        return _message(event, self.options.channel, self.options.username, "", color)
