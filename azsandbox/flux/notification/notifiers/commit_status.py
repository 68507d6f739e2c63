"""github, gitlab, gitea, azuredevops, bitbucket and bitbucketserver: the status of the commit that was applied."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from typing import Any, ClassVar

from azsandbox.controllers.client import Object
from azsandbox.flux.notification.descriptions import NoRevision, commit, name_and_description
from azsandbox.flux.notification.events import ERROR, INFO, PROGRESSING, metadata, ordered, revision
from azsandbox.flux.notification.notifiers import git_hosts
from azsandbox.flux.notification.notifiers.base import Notifier, NotifierError, Options
from azsandbox.flux.notification.notifiers.git_hosts import Refused
from azsandbox.flux.notification.posting import Http, SendError


class CommitStatus(Notifier):
    """Sets a commit's status, unless it is set so already. What is still going on is passed over."""

    states: ClassVar[dict[str, str]]  # of a severity
    progressing: ClassVar[str] = ""  # the state of what goes on, where the host has one
    service: ClassVar[str]

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        if not options.commit_status:
            raise NotifierError("commit status cannot be empty")

    async def post(self, event: Object, http: Http) -> None:
        going_on = event["reason"] == PROGRESSING
        if going_on and not self.progressing:
            return
        try:
            sha = commit(revision(event))
        except NoRevision as error:
            raise SendError(str(error)) from None
        state = self.progressing if going_on else self.states.get(event["severity"])
        if state is None:
            raise SendError(f"can't convert to {self.service} state")
        await self.set(http, event, sha, state, name_and_description(event)[1])

    @abstractmethod
    async def set(self, http: Http, event: Object, sha: str, state: str, description: str) -> None:
        """Sets the status. Raises SendError."""


async def _listed(http: Http, host: git_hosts.GitHost, path: str, query: dict[str, str]) -> Any:
    try:
        return await host.ask(http, "GET", path, query=query) or []
    except SendError as error:
        raise SendError(f"could not list commit statuses: {error}") from None


async def _created(
    http: Http, host: git_hosts.GitHost, path: str, body: Any, query: dict[str, str] | None = None
) -> None:
    try:
        await host.ask(http, "POST", path, body, query)
    except SendError as error:
        raise SendError(f"could not create commit status: {error}") from None


def _is_set(statuses: Any, status: dict[str, Any]) -> bool:
    """Whether the newest status of the same context says the same."""
    for found in statuses:
        if found.get("context") == status["context"] and found.get("description"):
            return bool(found.get("state") == status["state"] and found["description"] == status["description"])
    return False


class GitHub(CommitStatus):
    """GitHub."""

    service = "github"
    states: ClassVar = {INFO: "success", ERROR: "failure"}

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.host, self.repository = git_hosts.github(options)

    async def set(self, http: Http, event: Object, sha: str, state: str, description: str) -> None:
        status = {"state": state, "description": description, "context": self.options.commit_status}
        path = f"{self.repository}/commits/{sha}/statuses"
        if not _is_set(await _listed(http, self.host, path, {"per_page": "50"}), status):
            await _created(http, self.host, f"{self.repository}/statuses/{sha}", status)


class GitHubDispatch(Notifier):
    """githubdispatch: an event that starts workflows of GitHub."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.host, self.repository = git_hosts.github(options)

    async def post(self, event: Object, http: Http) -> None:
        about = event["involvedObject"]
        kind = f"{about['kind']}/{about['name']}.{about['namespace']}"
        body = {"event_type": kind, "client_payload": ordered(event)}
        try:
            await self.host.ask(http, "POST", f"{self.repository}/dispatches", body)
        except SendError as error:
            raise SendError(f"could not send github repository dispatch webhook: {error}") from None


class GitLab(CommitStatus):
    """GitLab."""

    service = "gitlab"
    states: ClassVar = {INFO: "success", ERROR: "failed"}

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.host, self.project = git_hosts.gitlab(options)

    async def set(self, http: Http, event: Object, sha: str, state: str, description: str) -> None:
        name = self.options.commit_status
        path = f"{self.project}/repository/commits/{sha}/statuses"
        try:
            statuses = await self.host.ask(http, "GET", path, query={"name": name}) or []
        except SendError as error:
            raise SendError(f"unable to list commit status: {error}") from None
        wanted = {"sha": sha, "status": state, "description": description, "name": name}
        if not any(all(found.get(key) == value for key, value in wanted.items()) for found in statuses):
            body = {"state": state, "name": name, "description": description}
            await self.host.ask(http, "POST", f"{self.project}/statuses/{sha}", body)


class Gitea(CommitStatus):
    """Gitea and Forgejo, which know a status of what is still going on."""

    service = "gitea"
    states: ClassVar = {INFO: "success", ERROR: "failure"}
    progressing = "pending"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.host, self.repository = git_hosts.gitea(options)

    async def set(self, http: Http, event: Object, sha: str, state: str, description: str) -> None:
        context = self.options.commit_status
        status = {"state": state, "target_url": "", "description": description, "context": context}
        path = f"{self.repository}/commits/{sha}/statuses"
        known = [
            {**found, "state": found.get("status") or found.get("state")}  # Gitea's name for it in answers
            for found in await _listed(http, self.host, path, {"limit": "50", "page": "1"})
        ]
        if not _is_set(known, status):
            await self.host.ask(http, "POST", f"{self.repository}/statuses/{sha}", status)


class AzureDevOps(CommitStatus):
    """Azure DevOps."""

    service = "azure devops"
    states: ClassVar = {INFO: "succeeded", ERROR: "error"}
    version: ClassVar = {"api-version": "6.0-preview.1"}

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.host, self.repository = git_hosts.azure_devops(options)

    async def set(self, http: Http, event: Object, sha: str, state: str, description: str) -> None:
        summary = metadata(event).get("summary")
        context = {"genre": f"fluxcd:{summary}" if summary else "fluxcd", "name": self.options.commit_status}
        status = {"context": context, "description": description, "state": state}
        path = f"{self.repository}/commits/{sha}/statuses"
        answer = await _listed(http, self.host, path, dict(self.version))
        statuses = answer.get("value") or [] if isinstance(answer, dict) else answer
        for found in statuses:
            known = found.get("context") or {}
            if all(known.get(key) == value for key, value in context.items()):
                if found.get("state") == state and found.get("description") == description:
                    return
                break
        await _created(http, self.host, path, status, dict(self.version))


def _key(status: str) -> str:
    """The key of a status at Bitbucket, which takes 40 characters."""
    return hashlib.sha1(status.encode(), usedforsecurity=False).hexdigest()


class Bitbucket(CommitStatus):
    """Bitbucket Cloud."""

    service = "bitbucket"
    states: ClassVar = {INFO: "SUCCESSFUL", ERROR: "FAILED"}

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.host, self.repository = git_hosts.bitbucket(options)

    async def set(self, http: Http, event: Object, sha: str, state: str, description: str) -> None:
        key = _key(self.options.commit_status)
        path = f"{self.repository}/commit/{sha}/statuses/build"
        try:
            found = await self.host.ask(http, "GET", f"{path}/{key}") or {}
        except Refused as error:
            if error.status != 404:
                raise SendError(f"could not get commit status: {error}") from None
            found = {}
        if found.get("state") == state and found.get("description") == description:
            return
        body = {
            "key": key,
            "url": "https://bitbucket.org",
            "state": state,
            "name": name_and_description(event)[0],
            "description": description,
        }
        await self.host.ask(http, "POST", path, body)


class BitbucketServer(CommitStatus):
    """Bitbucket Server and Data Center."""

    service = "bitbucket server"
    states: ClassVar = {INFO: "SUCCESSFUL", ERROR: "FAILED"}

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.host, self.repository = git_hosts.bitbucket_server(options)

    async def set(self, http: Http, event: Object, sha: str, state: str, description: str) -> None:
        name = f"{name_and_description(event)[0]} [{description}]"
        wanted = {"key": _key(self.options.commit_status), "state": state, "description": description, "name": name}
        path = f"{self.repository}/commits/{sha}/builds"
        try:
            found = await self.host.ask(http, "GET", path, query={"key": wanted["key"]}) or {}
        except SendError as error:
            if not isinstance(error, Refused) or error.status != 404:
                raise SendError(f"could not get existing commit status: {error}") from None
            found = {}
        if all(found.get(part) == value for part, value in wanted.items()):
            return
        body = {
            "description": description,
            "key": wanted["key"],
            "name": name,
            "state": state,
            "url": self.options.url,
        }
        try:
            await self.host.ask(http, "POST", path, body)
        except SendError as error:
            raise SendError(f"could not post build status: {error}") from None
