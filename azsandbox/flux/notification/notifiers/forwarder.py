"""generic and generic-hmac: the event itself, as the controllers post it."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from azsandbox.controllers.client import Object
from azsandbox.flux.notification.events import ordered
from azsandbox.flux.notification.notifiers.base import NotifierError, Options, Webhook


class Generic(Webhook):
    """Posts the event."""

    name = "hook URL"
    quotes = ""

    def body(self, event: Object) -> Any:
        return ordered(event)

    def headers(self, event: Object, body: bytes) -> dict[str, str]:
        return {"gotk-component": event["reportingController"], **self.options.headers}


class GenericHmac(Generic):
    """Posts the event with a signature of it in X-Signature."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        if not options.token:
            raise NotifierError("HMAC key is empty")

    def headers(self, event: Object, body: bytes) -> dict[str, str]:
        signature = hmac.new(self.options.token.encode(), body, hashlib.sha256).hexdigest()
        return {**super().headers(event, body), "X-Signature": f"sha256={signature}"}
