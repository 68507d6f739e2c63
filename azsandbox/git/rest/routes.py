"""The paths of the REST API that the sandbox has, with the place in GitHub's documentation that is about each."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache

from azsandbox.git.rest import (
    branches,
    commits,
    contents,
    database,
    hooks,
    keys,
    protection,
    references,
    repositories,
    statuses,
    tokens,
    users,
)
from azsandbox.git.rest.answers import DOCUMENTATION, Answer
from azsandbox.git.rest.call import Call

Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True)
class Route:
    """A method and a path. `{name}` is one part of the path, `{name+}` one or more, `{name*}` any number; `public`
    says that nobody needs to sign in, `own` that it is the sandbox's, which GitHub has not."""

    method: str
    template: str
    handler: Handler
    documentation: str
    public: bool = False
    own: bool = False

    @property
    def url(self) -> str:
        """The address of the documentation."""
        return f"{DOCUMENTATION}/{self.documentation}"


_R = "/repos/{owner}/{repo}"
_HOOK = _R + "/hooks/{hook_id}"

ROUTES = (
    Route("GET", "/user", users.authenticated, "users/users#get-the-authenticated-user"),
    Route("GET", "/user/orgs", users.organizations, "orgs/orgs#list-organizations-for-the-authenticated-user"),
    Route("GET", "/users/{login}", users.get_user, "users/users#get-a-user", public=True),
    Route("GET", "/orgs/{login}", users.get_organization, "orgs/orgs#get-an-organization", public=True),
    Route("GET", "/rate_limit", users.rate_limit, "rate-limit/rate-limit", public=True),
    # repositories
    Route("GET", "/user/repos", repositories.list_own, "repos/repos#list-repositories-for-the-authenticated-user"),
    Route("POST", "/user/repos", repositories.create_own, "repos/repos#create-a-repository-for-the-authenticated-user"),
    Route(
        "GET", "/orgs/{owner}/repos", repositories.list_of, "repos/repos#list-organization-repositories", public=True
    ),
    Route("POST", "/orgs/{owner}/repos", repositories.create_of, "repos/repos#create-an-organization-repository"),
    Route("GET", "/users/{owner}/repos", repositories.list_of, "repos/repos#list-repositories-for-a-user", public=True),
    Route("GET", _R, repositories.get, "repos/repos#get-a-repository", public=True),
    Route("PATCH", _R, repositories.update, "repos/repos#update-a-repository"),
    Route("DELETE", _R, repositories.delete, "repos/repos#delete-a-repository"),
    # branches, their protection, tags
    Route("GET", _R + "/branches", branches.list_all, "branches/branches#list-branches", public=True),
    Route(
        "GET",
        _R + "/branches/{branch+}/protection",
        protection.get,
        "branches/branch-protection#get-branch-protection",
    ),
    Route(
        "PUT",
        _R + "/branches/{branch+}/protection",
        protection.update,
        "branches/branch-protection#update-branch-protection",
    ),
    Route(
        "DELETE",
        _R + "/branches/{branch+}/protection",
        protection.delete,
        "branches/branch-protection#delete-branch-protection",
    ),
    Route("GET", _R + "/branches/{branch+}", branches.get, "branches/branches#get-a-branch", public=True),
    Route("GET", _R + "/tags", branches.tags, "repos/repos#list-repository-tags", public=True),
    # commits and statuses
    Route("GET", _R + "/commits", commits.list_all, "commits/commits#list-commits", public=True),
    Route(
        "GET",
        _R + "/commits/{ref+}/statuses",
        statuses.list_all,
        "commits/statuses#list-commit-statuses-for-a-reference",
        public=True,
    ),
    Route(
        "GET",
        _R + "/commits/{ref+}/status",
        statuses.combined,
        "commits/statuses#get-the-combined-status-for-a-specific-reference",
        public=True,
    ),
    Route("GET", _R + "/commits/{ref+}", commits.get, "commits/commits#get-a-commit", public=True),
    Route(
        "GET",
        _R + "/statuses/{ref+}",
        statuses.list_all,
        "commits/statuses#list-commit-statuses-for-a-reference",
        public=True,
    ),
    Route("POST", _R + "/statuses/{sha}", statuses.create, "commits/statuses#create-a-commit-status"),
    # references and the git database
    Route("GET", _R + "/git/refs", references.list_all, "git/refs#list-matching-references", public=True),
    Route(
        "GET",
        _R + "/git/matching-refs/{ref*}",
        references.matching,
        "git/refs#list-matching-references",
        public=True,
    ),
    Route("GET", _R + "/git/ref/{ref+}", references.get, "git/refs#get-a-reference", public=True),
    Route("GET", _R + "/git/refs/{ref+}", references.get, "git/refs#get-a-reference", public=True),
    Route("POST", _R + "/git/refs", references.create, "git/refs#create-a-reference"),
    Route("PATCH", _R + "/git/refs/{ref+}", references.update, "git/refs#update-a-reference"),
    Route("DELETE", _R + "/git/refs/{ref+}", references.delete, "git/refs#delete-a-reference"),
    Route("GET", _R + "/git/commits/{sha}", database.commit, "git/commits#get-a-commit-object", public=True),
    Route("GET", _R + "/git/trees/{sha+}", database.tree, "git/trees#get-a-tree", public=True),
    Route("GET", _R + "/git/blobs/{sha}", database.blob, "git/blobs#get-a-blob", public=True),
    Route("GET", _R + "/git/tags/{sha}", database.tag, "git/tags#get-a-tag", public=True),
    # files
    Route("GET", _R + "/contents/{path*}", contents.get, "repos/contents#get-repository-content", public=True),
    Route("PUT", _R + "/contents/{path+}", contents.put, "repos/contents#create-or-update-file-contents"),
    Route("DELETE", _R + "/contents/{path+}", contents.delete, "repos/contents#delete-a-file"),
    # web hooks
    Route("GET", _R + "/hooks", hooks.list_all, "repos/webhooks#list-repository-webhooks"),
    Route("POST", _R + "/hooks", hooks.create, "repos/webhooks#create-a-repository-webhook"),
    Route("GET", _HOOK, hooks.get, "repos/webhooks#get-a-repository-webhook"),
    Route("PATCH", _HOOK, hooks.update, "repos/webhooks#update-a-repository-webhook"),
    Route("DELETE", _HOOK, hooks.delete, "repos/webhooks#delete-a-repository-webhook"),
    Route("POST", _HOOK + "/tests", hooks.test, "repos/webhooks#test-the-push-repository-webhook"),
    Route("POST", _HOOK + "/pings", hooks.ping, "repos/webhooks#ping-a-repository-webhook"),
    Route("GET", _HOOK + "/deliveries", hooks.deliveries, "repos/webhooks#list-deliveries-for-a-repository-webhook"),
    Route(
        "GET",
        _HOOK + "/deliveries/{delivery_id}",
        hooks.delivery,
        "repos/webhooks#get-a-delivery-for-a-repository-webhook",
    ),
    Route(
        "POST",
        _HOOK + "/deliveries/{delivery_id}/attempts",
        hooks.redeliver,
        "repos/webhooks#redeliver-a-delivery-for-a-repository-webhook",
    ),
    # deploy keys
    Route("GET", _R + "/keys", keys.list_all, "deploy-keys/deploy-keys#list-deploy-keys"),
    Route("POST", _R + "/keys", keys.create, "deploy-keys/deploy-keys#create-a-deploy-key"),
    Route("GET", _R + "/keys/{key_id}", keys.get, "deploy-keys/deploy-keys#get-a-deploy-key"),
    Route("DELETE", _R + "/keys/{key_id}", keys.delete, "deploy-keys/deploy-keys#delete-a-deploy-key"),
    # for the command line: GitHub makes tokens on a page
    Route("GET", "/sandbox/tokens", tokens.list_all, "", own=True),
    Route("POST", "/sandbox/tokens", tokens.create, "", own=True),
    Route("DELETE", "/sandbox/tokens/{note}", tokens.delete, "", own=True),
)


def find(method: str, path: str, own: bool) -> tuple[Route, dict[str, str]] | None:
    """The route of a request, and what its path holds; None if there is none. `own` adds the sandbox's own."""
    for route, pattern in _patterns():
        if route.method == method and (own or not route.own):
            found = pattern.fullmatch(path)
            if found is not None:
                return route, found.groupdict()
    return None


@cache
def _patterns() -> list[tuple[Route, re.Pattern[str]]]:
    return [(route, _pattern(route.template)) for route in ROUTES]


def _pattern(template: str) -> re.Pattern[str]:
    forms = {"": "[^/]+", "+": ".+", "*": ".*"}
    text = re.sub(r"\{(\w+)([+*]?)\}", lambda found: f"(?P<{found[1]}>{forms[found[2]]})", template)
    return re.compile(text.replace("/(?P<path>.*)", "(?:/(?P<path>.*))?").replace("/(?P<ref>.*)", "(?:/(?P<ref>.*))?"))
