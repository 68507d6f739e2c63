"""What comes into the API server and what goes out, free of any web framework."""

from __future__ import annotations

import urllib.parse
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from azsandbox.kubernetes.authz import Decision
    from azsandbox.kubernetes.resources import Resource

Object = dict[str, Any]  # a Kubernetes object, as its JSON


class GroupVersionKind(NamedTuple):
    """Names a type: ("apps", "v1", "Deployment"); the core group is ""."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        """As written in an object: "apps/v1", or "v1" for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @classmethod
    def of(cls, obj: Object) -> GroupVersionKind:
        """The type that an object says it is of."""
        group, _, version = str(obj.get("apiVersion") or "").rpartition("/")
        return cls(group, version, str(obj.get("kind") or ""))


@dataclass(frozen=True)
class User:
    """Who asks. `extra` is what SubjectAccessReviews and audit carry besides."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, tuple[str, ...]] = field(default_factory=dict)


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))
MASTER = User("kubernetes-admin", ("system:masters", "system:authenticated"))


@dataclass
class Request:
    """One HTTP request. The pipeline fills in `user` and what the path means (`resource` … `name`)."""

    method: str
    path: str
    query: dict[str, list[str]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""
    user: User = ANONYMOUS
    verb: str = ""  # Kubernetes' own: get list watch create update patch delete deletecollection
    resource: Resource | None = None
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    proxy_path: str = ""  # what follows the sub-resource in the path
    unknown: tuple[str, str, str] | None = None  # group, version and name of a resource that is not served
    warnings: list[str] = field(default_factory=list)
    emptied: dict[str, Any] = field(default_factory=dict)  # path in the body → [] or {} that stands there
    certificate: User | None = None  # whom a verified client certificate names
    socket: Any = None  # the WebSocket of exec, attach and port-forward, where there is one
    uri: str = ""  # path and query as they came
    client: str = ""  # the address that it came from; "" for a client in this process
    decision: Decision | None = None  # what authorization said
    impersonator: User | None = None  # who asked, where `user` is whom they act as
    failure: Object | None = None  # the Status that refused it

    @classmethod
    def to(
        cls, method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None, user: User = ANONYMOUS
    ) -> Request:
        """A request to `url`, a path that may carry a query."""
        path, _, query = url.partition("?")
        parsed = urllib.parse.parse_qs(query, keep_blank_values=True)
        lower = {name.lower(): value for name, value in (headers or {}).items()}
        return cls(method, urllib.parse.unquote(path), parsed, lower, body, user, uri=url)

    def param(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else default

    def flag(self, name: str) -> bool:
        """A boolean query parameter as Go's conversion reads it: absent, "false" and "0" are false, anything else is true."""
        values = self.query.get(name)
        return values is not None and bool(values) and values[0].lower() not in ("false", "0")

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be stored. Values other than "All" were refused before."""
        return "dryRun" in self.query

    @property
    def user_agent(self) -> str:
        return self.headers.get("user-agent", "")


@dataclass
class Response:
    """One answer: a dict or ready bytes as body, or a stream of chunks."""

    status: int = 200
    body: Object | bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None
    content_type: str = "application/json"
    warnings: list[str] = field(default_factory=list)
