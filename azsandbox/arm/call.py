"""One request to Resource Manager, as handlers see it, and its answer."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import urllib.parse
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from azsandbox.arm import errors
from azsandbox.arm.ids import ResourceId, Target
from azsandbox.arm.resources import Document, Stored

if TYPE_CHECKING:
    from azsandbox.arm.provider import Arm, Identity, ResourceType

PAGE = 1000  # items a page where the client does not say


@dataclass
class Answer:
    """What goes back: status, JSON body (None: empty), headers."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Call:
    """A request that was authenticated and routed."""

    arm: Arm
    method: str
    path: str
    query: dict[str, str]  # names in lower case, "$filter" included
    headers: dict[str, str]  # names in lower case
    body: Any  # parsed JSON, or None
    base_url: str  # scheme and host that the client used
    identity: Identity
    target: Target | None = None
    api_version: str = ""
    request_id: str = ""
    resource_type: ResourceType | None = None
    action: str = ""  # of a POST
    private: Document = field(default_factory=dict)  # what `accept` keeps besides the body
    answer_headers: dict[str, str] = field(default_factory=dict)  # what handlers add to any answer

    @property
    def id(self) -> ResourceId:
        """The resource that is asked for, in its canonical case."""
        assert self.target is not None
        return self.target.id

    @property
    def subscription(self) -> str:
        """Id of the subscription asked; the sandbox's own where the path has none."""
        parts = self.path.split("/")
        return parts[2] if parts[1].lower() == "subscriptions" and len(parts) > 2 else self.arm.services.subscription_id

    @property
    def group(self) -> str | None:
        """Name of the resource group in the path, as written."""
        parts = self.path.split("/")
        return parts[4] if len(parts) > 4 and parts[3].lower() == "resourcegroups" else None

    @property
    def current(self) -> Stored | None:
        """The stored resource that the path names."""
        return self.arm.resources.get(self.id)

    @property
    def document(self) -> Document:
        """The body as a JSON object. Raises InvalidRequestContent where it is none."""
        if not isinstance(self.body, dict):
            message = (
                "The request content was invalid and could not be deserialized: 'The request body must be an object.'."
            )
            raise errors.invalid_content(message)
        return self.body

    @property
    def properties(self) -> Document:
        """The body's `properties`; {} where absent or null."""
        found = self.document.get("properties")
        if found is not None and not isinstance(found, dict):
            message = "The request content was invalid and could not be deserialized: 'properties must be an object.'."
            raise errors.invalid_content(message)
        return found or {}

    def url(self, path: str, query: dict[str, str] | None = None) -> str:
        """An absolute URL on the host that the client used."""
        tail = "?" + urllib.parse.urlencode(query, safe="$,") if query else ""
        return self.base_url + urllib.parse.quote(path, safe="/:") + tail

    @property
    def full_url(self) -> str:
        """The URL of this request, its query included."""
        return self.url(self.path, self.query)

    def page(self, items: list[Document]) -> Answer:
        """One page of `items` with `nextLink`, by $top and $skipToken."""
        top, token = self.query.get("$top"), self.query.get("$skiptoken")
        try:
            size = min(PAGE, int(top)) if top else PAGE
            start = int(base64.urlsafe_b64decode(token)) if token else 0
        except (ValueError, binascii.Error):
            code = "InvalidTopParameter" if token is None else "InvalidSkipToken"
            message = f"The value '{top if token is None else token}' of the query parameter is invalid."
            raise errors.gateway(400, code, message) from None
        if size < 1:
            raise errors.gateway(400, "InvalidTopParameter", f"The value '{top}' of the query parameter is invalid.")
        body: Document = {"value": items[start : start + size]}
        if start + size < len(items):
            token = base64.urlsafe_b64encode(str(start + size).encode()).decode()
            query = {k: v for k, v in self.query.items() if k != "$skiptoken"} | {"$skiptoken": token}
            body["nextLink"] = self.url(self.path, query)
        return Answer(200, body)

    def at(self, target: Target) -> Call:
        """The same request about another target."""
        return dataclasses.replace(self, target=target)
