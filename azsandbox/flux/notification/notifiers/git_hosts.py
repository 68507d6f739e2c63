"""The APIs of Git hosts, as the notifiers call them."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

import httpx

from azsandbox.flux.notification.addresses import AddressError, git_repository
from azsandbox.flux.notification.events import go_json
from azsandbox.flux.notification.notifiers.base import JSON, NotifierError, Options, basic
from azsandbox.flux.notification.posting import Http, SendError


class GitHost:
    """One repository of a Git host: the root of its API, and how requests to it are signed."""

    def __init__(self, api: str, headers: Mapping[str, str]) -> None:
        self.api, self._headers = api, dict(headers)

    async def ask(
        self, http: Http, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None
    ) -> Any:
        """The JSON that the API answers with; None for an empty answer. Raises SendError."""
        url = f"{self.api}/{path}"
        data = None if body is None else go_json(body)
        headers = {"Accept": JSON, **({"Content-Type": JSON} if data else {}), **self._headers}
        response = await http.call(method, url, data, headers, query)
        if not response.is_success:
            raise Refused(method, response)
        if not response.content:
            return None
        try:
            return json.loads(response.content)
        except ValueError as error:
            raise SendError(f"{method} {url}: {error}") from None


class Refused(SendError):
    """An error that a Git host answered with."""

    def __init__(self, method: str, response: httpx.Response) -> None:
        self.status = response.status_code
        try:
            answer = response.json()
            said = str(answer.get("message") or answer.get("error") or "") if isinstance(answer, dict) else ""
        except ValueError:
            said = ""
        super().__init__(f"{method} {response.url}: {self.status} {said or response.reason_phrase}")


def owner_and_name(options: Options) -> tuple[str, str, str]:
    """Server, owner and name of a Provider's repository. Raises NotifierError."""
    server, path = _parsed(options)
    parts = path.split("/")
    if len(parts) != 2:
        raise NotifierError(f"invalid repository id: '{path}'")
    return server, parts[0], parts[1]


def _parsed(options: Options) -> tuple[str, str]:
    try:
        return git_repository(options.url)
    except AddressError as error:
        raise NotifierError(str(error)) from None


def github(options: Options) -> tuple[GitHost, str]:
    """GitHub, or an enterprise server; and the repository's path in the API. Raises NotifierError."""
    if not options.git_token:
        if "githubAppID" in options.secret:
            raise NotifierError("NotSupportedInSandbox: signing in as a GitHub App; give a 'token' in the Secret")
        raise NotifierError("github token or github app details must be specified")
    server, owner, name = owner_and_name(options)
    host = urllib.parse.urlsplit(server).netloc
    api = "https://api.github.com" if host == "github.com" else f"{server}/api/v3"
    headers = {
        "Accept": "application/vnd.github.v3+json",
        "Authorization": f"Bearer {options.git_token}",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    return GitHost(api, headers), f"repos/{owner}/{name}"


def gitlab(options: Options) -> tuple[GitHost, str]:
    """GitLab, and the project's path in the API. Raises NotifierError."""
    if not options.git_token:
        raise NotifierError("gitlab token cannot be empty")
    server, path = _parsed(options)
    project = f"projects/{urllib.parse.quote(path, safe='')}"
    return GitHost(f"{server}/api/v4", {"Private-Token": options.git_token}), project


def gitea(options: Options) -> tuple[GitHost, str]:
    """Gitea or Forgejo, and the repository's path in the API. Raises NotifierError."""
    if not options.git_token:
        raise NotifierError("gitea token cannot be empty")
    server, path = _parsed(options)
    parts = path.split("/")
    if len(parts) != 2:
        raise NotifierError(f"invalid repository id {json.dumps(path)}")
    return GitHost(f"{server}/api/v1", {"Authorization": f"token {options.git_token}"}), f"repos/{path}"


def azure_devops(options: Options) -> tuple[GitHost, str]:
    """Azure DevOps, and the repository's path in the API. Raises NotifierError."""
    if not options.token:
        raise NotifierError(
            "NotSupportedInSandbox: signing in to Azure DevOps with a managed identity; give a 'token' in the Secret"
        )
    server, path = _parsed(options)
    parts = path.split("/")  # organization/project/_git/repository
    if len(parts) != 4:
        raise NotifierError(f"invalid repository id {json.dumps(path)}")
    headers = basic("", options.token)
    return GitHost(f"{server}/{parts[0]}", headers), f"{parts[1]}/_apis/git/repositories/{parts[3]}"


def bitbucket(options: Options) -> tuple[GitHost, str]:
    """Bitbucket Cloud, and the repository's path in the API. Raises NotifierError."""
    if not options.token:
        raise NotifierError("bitbucket token cannot be empty")
    _, path = _parsed(options)
    if options.token.count(":") != 1:
        raise NotifierError("invalid token format, expected to be <user>:<password>")
    parts = path.split("/")
    if len(parts) != 2:
        raise NotifierError(f"invalid repository id {json.dumps(path)}")
    headers = basic(*options.token.split(":"))
    return GitHost("https://api.bitbucket.org/2.0", headers), f"repositories/{path}"


def bitbucket_server(options: Options) -> tuple[GitHost, str]:
    """Bitbucket Server or Data Center, and the repository's path in the API. Raises NotifierError."""
    parts = urllib.parse.urlsplit(options.url)
    if parts.scheme not in ("http", "https"):
        raise NotifierError(
            f"could not parse git address: unsupported scheme type in address: {parts.scheme}. Must be http or https"
        )
    context, found, repository = parts.path.removesuffix(".git").rpartition("/scm/")
    if not found:
        raise NotifierError("could not parse git address: supplied provider address is not http(s) git clone url")
    names = repository.split("/")
    if len(names) != 2:
        raise NotifierError(f"could not parse git address: invalid repository id {json.dumps(repository)}")
    if not options.token and not (options.username and options.password):
        raise NotifierError("invalid credentials, expected to be one of username/password or API Token")
    signed = (
        {"Authorization": f"Bearer {options.token}"} if options.token else basic(options.username, options.password)
    )
    headers = {**signed, "x-atlassian-token": "no-check", "x-requested-with": "XMLHttpRequest"}
    api = f"{parts.scheme}://{parts.netloc}{context}/rest/api/latest"
    return GitHost(api, headers), f"projects/{names[0]}/repos/{names[1]}"
