"""One request as a handler gets it: who asks, the parameters, the body, and whether they may."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from azsandbox import json_bodies
from azsandbox.git.accounts import Account, Permission, at_least
from azsandbox.git.credentials import Viewer
from azsandbox.git.repositories import Settings
from azsandbox.git.repository import Repository
from azsandbox.git.rest.answers import Answer, ApiError, not_found, refused

if TYPE_CHECKING:
    from azsandbox.git.git_host import GitHost
    from azsandbox.git.rest.shapes import Links

MAX_PAGE = 100
_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


@dataclass
class Call:
    """A request. `params` are the parts of the path that the route names."""

    host: GitHost
    method: str
    path: str
    params: dict[str, str]
    query: dict[str, str]
    headers: dict[str, str]
    raw: bytes
    viewer: Viewer
    links: Links
    size: int = 30  # of a page

    # --- who may

    def account(self) -> Account:
        """Who asks; the route sees to it that somebody does."""
        if self.viewer.account is None:
            raise ApiError(401, "Requires authentication")
        return self.viewer.account

    def settings(self, needed: Permission = "pull") -> Settings:
        """The repository that the path names, if who asks may do with it what is needed.

        What somebody may not read is not there; what somebody may not write is not there either, or is said to need
        an administrator.
        """
        found = self.host.repositories.settings(self.params["owner"], self.params["repo"])
        role = self.viewer.role(self.host.accounts, found) if found else "none"
        if found is None or role == "none":
            raise not_found()
        if not at_least(role, needed):
            raise ApiError(403, "Must have admin rights to Repository.") if needed == "admin" else not_found()
        if needed != "pull":
            self.must_write()
            if found.archived and needed == "push":
                raise ApiError(403, "Repository was archived so is read-only.")
        return found

    def repository(self, needed: Permission = "pull") -> tuple[Settings, Repository]:
        """The repository that the path names, and its git repository."""
        settings = self.settings(needed)
        return settings, self.host.repositories.of(settings)

    def must_write(self) -> None:
        """Raises ApiError for a token that only reads."""
        if self.viewer.reads_only:
            raise ApiError(403, "Resource not accessible by personal access token")

    # --- what is asked

    def body(self, types: dict[str, str], required: tuple[str, ...] = ()) -> dict[str, Any]:
        """The body, a JSON object. `types` says what its fields may be, as `string` or `object|null`; others are
        ignored, as GitHub ignores them. Raises ApiError."""
        try:
            found = json_bodies.parse(self.raw or b"{}")
        except ValueError:
            raise ApiError(400, "Problems parsing JSON") from None
        if not isinstance(found, dict):
            raise ApiError(400, "Body should be a JSON object")
        missing = [f'"{name}"' for name in required if name not in found]
        if missing:
            verb = "wasn't" if len(missing) == 1 else "weren't"
            raise ApiError(422, f"Invalid request.\n\n{', '.join(missing)} {verb} supplied.")
        wrong = []
        for name, kinds in types.items():
            if name in found and not _is_one(found[name], kinds.split("|")):
                what = kinds.replace("|", " or ")
                article = "an" if what[0] in "aio" else "a"
                wrong.append(f"For 'properties/{name}', {_shown(found[name])} is not {article} {what}.")
        if wrong:
            raise ApiError(422, "Invalid request.\n\n" + "\n".join(wrong))
        return found

    def refuse(self, body: dict[str, Any], *names: str) -> None:
        """Raises ApiError for fields that GitHub knows and the sandbox does not, unless they are empty."""
        for name in names:
            if body.get(name) not in (None, False, "", [], {}):
                raise refused(f"the field {name!r} here")

    def refuse_query(self, *names: str) -> None:
        """Raises ApiError for query parameters that GitHub knows and the sandbox does not."""
        for name in names:
            if self.query.get(name):
                raise refused(f"the parameter {name!r} here")

    def number(self, name: str) -> int:
        """A numeric part of the path. Raises ApiError."""
        text = self.params[name]
        if not text.isascii() or not text.isdigit():
            raise not_found()
        return int(text)

    # --- lists

    @property
    def per_page(self) -> int:
        """How many entries of a list are wanted."""
        return min(_positive(self.query.get("per_page", ""), self.size), MAX_PAGE)

    @property
    def page(self) -> int:
        """Which page of a list is wanted, from 1."""
        return _positive(self.query.get("page", ""), 1)

    def paged(self, items: list[Any]) -> Answer:
        """One page of a list that is at hand, with the Link header that leads to the others."""
        start = (self.page - 1) * self.per_page
        last = max(1, -(-len(items) // self.per_page))
        return self.page_of(items[start : start + self.per_page], self.page < last, last)

    def page_of(self, shown: list[Any], more: bool, last: int | None = None) -> Answer:
        """One page; `last` is the number of the last page, if it is known."""
        links = []
        if self.page > 1:
            links.append(self._link(self.page - 1, "prev"))
        if more:
            links.append(self._link(self.page + 1, "next"))
            if last is not None:
                links.append(self._link(last, "last"))
        if self.page > 1:
            links.append(self._link(1, "first"))
        return Answer(200, shown, {"Link": ", ".join(links)} if links else {})

    def _link(self, page: int, rel: str) -> str:
        query = {**self.query, "page": str(page)}
        return f'<{self.links.api}{quote(self.path)}?{urlencode(query)}>; rel="{rel}"'


def _positive(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text) else default


def _is_one(value: Any, kinds: list[str]) -> bool:
    if isinstance(value, bool):
        return "boolean" in kinds
    return any(isinstance(value, _JSON_TYPES[kind]) for kind in kinds)


def _shown(value: Any) -> str:
    return "nil" if value is None else json.dumps(value)
