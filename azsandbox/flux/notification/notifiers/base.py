"""What every notifier is made of: its options, and one way to send an event."""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import httpx

from azsandbox.controllers.client import Object
from azsandbox.flux.notification.addresses import AddressError, request_uri
from azsandbox.flux.notification.events import ERROR, go_json
from azsandbox.flux.notification.posting import Http, SendError, arrived

JSON = "application/json"


class NotifierError(Exception):
    """A Provider that no notifier can be made of; the message is the controller's."""


@dataclass(frozen=True)
class Options:
    """What a Provider and its Secrets say."""

    url: str = ""
    channel: str = ""
    username: str = ""
    password: str = ""
    token: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    secret: Mapping[str, bytes] = field(default_factory=dict)
    commit_status: str = ""
    provider_uid: str = ""

    @property
    def git_token(self) -> str:
        """The token for a Git host, which may be given as a password."""
        return self.token or self.password


class Notifier(ABC):
    """Sends events to one service."""

    def __init__(self, options: Options) -> None:
        """Raises NotifierError for options that the service cannot do with."""
        self.options = options

    @abstractmethod
    async def post(self, event: Object, http: Http) -> None:
        """Sends an event. Raises SendError."""


class Webhook(Notifier):
    """A notifier that posts one JSON document to the Provider's address."""

    name: ClassVar[str]  # of the kind of address, for the message about a bad one
    method: ClassVar[str] = "POST"
    prefix: ClassVar[str] = "postMessage failed: "  # of what is said when it does not arrive
    quotes: ClassVar[str] = "'"  # around the reason why an address is bad

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        try:
            self.url = self.address(request_uri(options.url))
        except AddressError as error:
            raise NotifierError(f"invalid {self.name} {options.url}: {self.quotes}{error}{self.quotes}") from None

    def address(self, url: str) -> str:
        """Where to post to, for an address of the Provider's."""
        return url

    @abstractmethod
    def body(self, event: Object) -> Any:
        """The document that an event becomes."""

    def headers(self, event: Object, body: bytes) -> dict[str, str]:
        """Headers besides the content type."""
        return {}

    def check(self, response: httpx.Response) -> None:
        """Raises SendError for an answer that says that the event did not arrive."""
        arrived(response)

    async def post(self, event: Object, http: Http) -> None:
        body = go_json(self.body(event))
        headers = {"Content-Type": JSON, **self.headers(event, body)}
        try:
            await http.send(self.url, body, headers, method=self.method, check=self.check)
        except SendError as error:
            raise SendError(f"{self.prefix}{error}") from None


def is_error(event: Object) -> bool:
    """Whether an event tells of a failure."""
    return bool(event["severity"] == ERROR)


def bearer(token: str) -> dict[str, str]:
    """The header of a bearer token, none without one."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def basic(username: str, password: str) -> dict[str, str]:
    """The header of a user and password."""
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}
