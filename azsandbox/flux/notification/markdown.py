"""An event in Markdown, for comments and for Zulip."""

from __future__ import annotations

from azsandbox.controllers.client import Object
from azsandbox.flux.notification.events import ERROR, involved, metadata

CHANGE_REQUEST = "change_request"


def markdown(event: Object) -> str:
    """A heading, the object, the message and a list of the metadata."""
    sign = "⚠️" if event["severity"] == ERROR else "ℹ️"
    facts = "".join(f"* `{key}`: {value}\n" for key, value in metadata(event).items() if key != CHANGE_REQUEST)
    return f"## Flux Status\n\n{sign} {involved(event)}\n\n{event['message']}\n\nMetadata:\n{facts}"
