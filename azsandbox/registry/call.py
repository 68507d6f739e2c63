"""One request to the data plane that was routed and authorized, as handlers see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from azsandbox.registry import errors
from azsandbox.registry.authentication import Decide
from azsandbox.registry.content import Content, Repository
from azsandbox.registry.web import Answer, Request

PAGE, LARGEST_PAGE = 100, 1000  # entries a page where the client does not say, and at most


@dataclass
class Call:
    """`name` is the repository as the client wrote it, `repository` as the registry knows it."""

    request: Request
    content: Content
    login_server: str
    name: str
    repository: str
    allows: Decide

    def found(self, missing: Callable[[str], errors.RegistryError] = errors.name_unknown) -> Repository:
        """The repository. Raises NAME_UNKNOWN, in the words of `missing`."""
        repository = self.content.repository(self.repository)
        if repository is None:
            raise missing(self.repository)
        return repository

    def writable(self) -> None:
        """Raises what a lock on the repository says to a push."""
        repository = self.content.repository(self.repository)
        if repository is not None and not repository.attributes["writeEnabled"]:
            raise errors.disallowed()

    def readable(self) -> None:
        """Raises what a lock on the repository says to a pull."""
        repository = self.content.repository(self.repository)
        if repository is not None and not repository.attributes["readEnabled"]:
            raise errors.disallowed()

    def page(self, entries: list[Any], names: list[str], body: Any, *, whole: bool = False) -> Answer:
        """A page of `entries`, whose names are `names`, by `n` and `last`, with a Link to the next one.

        `body` makes the answer of the entries. `whole` gives all where the client does not ask for pages.
        """
        query = self.request.query
        text = query.get("n", "")
        if text and not text.lstrip("-").isdigit():
            raise errors.pagination_invalid(text)
        size = int(text) if text else 0
        if size < 0:
            raise errors.pagination_invalid(text)
        if not text:
            size = len(entries) if whole else PAGE
        size = min(size, max(LARGEST_PAGE, len(entries) if whole else 0))
        start = 0
        if last := query.get("last", ""):
            start = names.index(last) + 1 if last in names else sum(1 for n in names if n <= last)
        shown = entries[start : start + size]
        answer = Answer(200, body(shown))
        if start + size < len(entries) and shown:
            more = {"last": names[start + size - 1], "n": str(size), "orderby": query.get("orderby", "")}
            answer.headers["Link"] = f'<{self.request.path}?{urlencode(more)}>; rel="next"'
        return answer
