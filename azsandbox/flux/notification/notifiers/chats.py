"""googlechat, webex, lark, telegram, matrix and zulip: messages in the markup of each."""

from __future__ import annotations

import hashlib
import urllib.parse
from typing import Any

from azsandbox.controllers.client import Object
from azsandbox.flux.notification.events import go_json, metadata, ordered, titled
from azsandbox.flux.notification.markdown import markdown
from azsandbox.flux.notification.notifiers.base import (
    JSON,
    Notifier,
    NotifierError,
    Options,
    Webhook,
    basic,
    is_error,
)
from azsandbox.flux.notification.posting import Http

_FINE, _ALARM = "💫", "🚨"


def _sign(event: Object) -> str:
    return _ALARM if is_error(event) else _FINE


class GoogleChat(Webhook):
    """Cards of Google Chat."""

    name = "Google Chat hook URL"

    def body(self, event: Object) -> Any:
        text = f'<font color="#ff0000">{event["message"]}</font>' if is_error(event) else event["message"]
        sections = [_section([{"textParagraph": {"text": text}, "keyValue": None}])]
        facts = [{"textParagraph": None, "keyValue": _key_value(*item)} for item in metadata(event).items()]
        if facts:
            sections.append(_section(facts))
        header = {
            "title": titled(event),
            "subtitle": event["reportingController"],
            "imageUrl": None,
            "imageStyle": None,
        }
        return {"cards": [{"header": header, "sections": sections}]}


def _section(widgets: list[Any]) -> Any:
    return {"header": "", "widgets": widgets}


def _key_value(key: str, value: str) -> Any:
    return {"topLabel": key, "content": value, "contentMultiline": False, "bottomLabel": None, "icon": None}


class Webex(Webhook):
    """Webex; the channel is a room's id."""

    name = "Webex hook URL"

    def body(self, event: Object) -> Any:
        lines = [f"{'💣' if is_error(event) else '✅'} **{titled(event)}**", event["message"]]
        lines += [f">**{key}**: {value}" for key, value in metadata(event).items()]
        room = {"roomId": self.options.channel} if self.options.channel else {}
        return {**room, "markdown": "".join(f"{line}\n" for line in lines)}

    def headers(self, event: Object, body: bytes) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.options.token}".strip()}


class Lark(Webhook):
    """Lark, also known as Feishu."""

    name = "Slack hook URL"  # so it says
    prefix = ""

    def body(self, event: Object) -> Any:
        facts = "".join(f"{key}: {value}\n" for key, value in metadata(event).items())
        text = {"tag": "lark_md", "content": f"**{event['message']}**\n\n{facts}"}
        title = {"tag": "plain_text", "content": f"{_sign(event)} {titled(event)}"}
        card = {
            "config": {"wide_screen_mode": True},
            "header": {"title": title, "template": "red" if is_error(event) else "turquoise"},
            "elements": [{"tag": "div", "text": text}],
        }
        return {"msg_type": "interactive", "card": card}


class Telegram(Notifier):
    """A bot of Telegram; the channel is a chat's id, with a thread's after a colon."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        for what, value in (("channel", options.channel), ("token", options.token)):
            if not value:
                raise NotifierError(f"empty Telegram {what}")

    async def post(self, event: Object, http: Http) -> None:
        about = event["involvedObject"]
        heading = f"{_sign(event)} {about['kind'].lower()}/{about['name']}/{about['namespace']}"
        facts = "".join(f"\\- *{_escaped(key)}*: {_escaped(value)}\n" for key, value in metadata(event).items())
        chat, _, thread = self.options.channel.partition(":")
        body = {
            "chat_id": chat,
            **({"message_thread_id": thread} if thread else {}),
            "text": f"*{_escaped(heading)}*\n{_escaped(event['message'])}\n{facts}",
            "parse_mode": "MarkdownV2",
        }
        url = f"https://api.telegram.org/bot{self.options.token}/sendMessage"
        await http.send(url, go_json(body), {"Content-Type": JSON})


def _escaped(text: str) -> str:
    """Text with the characters escaped that mean something in Telegram's markup."""
    return "".join(f"\\{c}" if c in "\\.-_[]()~>`#+=|{}!*" else c for c in text)


class Matrix(Webhook):
    """A room of a Matrix server."""

    name = "Matrix homeserver URL"
    method = "PUT"

    async def post(self, event: Object, http: Http) -> None:
        transaction = hashlib.sha1(go_json(ordered(event)), usedforsecurity=False).hexdigest()
        room = f"/_matrix/client/r0/rooms/{self.options.channel}/send/m.room.message/{transaction}"
        self.url = self.options.url + room
        await super().post(event, http)

    def body(self, event: Object) -> Any:
        facts = "".join(f"- {key}: {value}\n" for key, value in metadata(event).items())
        return {"body": f"{_sign(event)} {titled(event)}\n{event['message']}\n{facts}", "msgtype": "m.text"}

    def headers(self, event: Object, body: bytes) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.options.token}".strip()}


class Zulip(Notifier):
    """A stream of Zulip; the channel is `stream/topic`."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.stream, _, self.topic = options.channel.partition("/")
        if not self.stream or not self.topic:
            raise NotifierError(f"invalid Zulip channel format, expected <channel>/<topic>, got '{options.channel}'")
        parts = urllib.parse.urlsplit(options.url)
        self.url = urllib.parse.urlunsplit(parts._replace(path="/api/v1/messages"))

    async def post(self, event: Object, http: Http) -> None:
        form = {"type": "stream", "to": self.stream, "topic": self.topic, "content": markdown(event)}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self.options.username or self.options.password:
            headers |= basic(self.options.username, self.options.password)
        await http.send(self.url, urllib.parse.urlencode(sorted(form.items())).encode(), headers)
