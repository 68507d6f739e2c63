"""Comments on pull and merge requests, one an object and Provider, which is kept up to date."""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar

from azsandbox.controllers.client import Object
from azsandbox.flux.notification.events import involved, metadata
from azsandbox.flux.notification.markdown import CHANGE_REQUEST, markdown
from azsandbox.flux.notification.notifiers import git_hosts
from azsandbox.flux.notification.notifiers.base import Notifier, NotifierError, Options
from azsandbox.flux.notification.posting import Http, SendError


class Comment(Notifier):
    """Finds the comment of an earlier event by its mark, and changes it; or makes one."""

    mark: ClassVar[str] = "flux-pr-comment-key"
    what: ClassVar[str] = "pull request comment"
    user: ClassVar[str] = "login"  # the field of a user that holds the name
    author: ClassVar[str] = "user"  # the field of a comment that holds its author
    editing: ClassVar[str] = "PATCH"
    listing: ClassVar[dict[str, str]]  # the query of a list, oldest first

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        if not options.provider_uid:
            raise NotifierError("provider UID cannot be empty")
        self.host, self.root = self.connect(options)

    def connect(self, options: Options) -> tuple[git_hosts.GitHost, str]:
        """The host, and the path of the repository in its API. Raises NotifierError."""
        raise TypeError(f"{type(self).__name__} does not say which host it is for")

    def comments(self, number: int) -> str:
        """Path of the comments on a request."""
        return f"{self.root}/issues/{number}/comments"

    def comment(self, number: int, identity: Any) -> str:
        """Path of one comment."""
        return f"{self.root}/issues/comments/{identity}"

    async def post(self, event: Object, http: Http) -> None:
        mark = f"<!-- {self.mark}:{self.options.provider_uid}/{involved(event)} -->"
        number = _number(event)
        user = await self._ask(http, "GET", "user", "failed to get authenticated user info")
        name = (user or {}).get(self.user)
        listed = f"failed to list {self.what}s"
        comments = await self._ask(http, "GET", self.comments(number), listed, query=self.listing) or []
        mine = (
            c for c in comments if (c.get(self.author) or {}).get(self.user) == name and mark in (c.get("body") or "")
        )
        found, body = next(mine, None), {"body": f"{mark}\n\n{markdown(event)}"}
        if found is None:
            await self._ask(http, "POST", self.comments(number), f"failed to create {self.what}", body)
        else:
            path = self.comment(number, found["id"])
            await self._ask(http, self.editing, path, f"failed to update {self.what}", body)

    async def _ask(
        self, http: Http, method: str, path: str, failed: str, body: Any = None, query: dict[str, str] | None = None
    ) -> Any:
        try:
            return await self.host.ask(http, method, path, body, query)
        except SendError as error:
            raise SendError(f"{failed}: {error}") from None


def _number(event: Object) -> int:
    text = metadata(event).get(CHANGE_REQUEST)
    if text is None:
        raise SendError(f'missing "{CHANGE_REQUEST}" metadata key')
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        quoted = json.dumps(text)
        why = f"strconv.Atoi: parsing {quoted}: invalid syntax"
        raise SendError(f'invalid "{CHANGE_REQUEST}" metadata value {quoted}: {why}')
    return int(text)


class GitHubComment(Comment):
    """githubpullrequestcomment."""

    listing: ClassVar = {"direction": "asc", "per_page": "100", "sort": "created"}

    def connect(self, options: Options) -> tuple[git_hosts.GitHost, str]:
        return git_hosts.github(options)


class GiteaComment(Comment):
    """giteapullrequestcomment."""

    listing: ClassVar = {"limit": "100", "page": "1"}

    def connect(self, options: Options) -> tuple[git_hosts.GitHost, str]:
        return git_hosts.gitea(options)


class GitLabComment(Comment):
    """gitlabmergerequestcomment."""

    mark = "flux-mr-comment-key"
    what = "merge request note"
    user = "username"
    author = "author"
    editing = "PUT"
    listing: ClassVar = {"order_by": "created_at", "per_page": "100", "sort": "asc"}

    def connect(self, options: Options) -> tuple[git_hosts.GitHost, str]:
        return git_hosts.gitlab(options)

    def comments(self, number: int) -> str:
        return f"{self.root}/merge_requests/{number}/notes"

    def comment(self, number: int, identity: Any) -> str:
        return f"{self.comments(number)}/{identity}"
