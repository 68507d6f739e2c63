"""The objects that answers of the REST API and payloads of hooks hold: accounts, repositories, commits."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from typing import Any

from azsandbox.git import facts
from azsandbox.git.accounts import Account, Accounts, Permission, at_least
from azsandbox.git.commit import Commit, Person, Tag
from azsandbox.git.repositories import Settings
from azsandbox.git.repository import Repository

# What a repository offers, with GitHub's defaults. Nothing in the sandbox depends on it; what is set is shown.
OPTIONS: dict[str, Any] = {
    "has_issues": True,
    "has_projects": True,
    "has_wiki": True,
    "has_discussions": False,
    "is_template": False,
    "web_commit_signoff_required": False,
    "allow_forking": True,
    "topics": [],
}
# The same, shown to those who may write.
MERGE_OPTIONS: dict[str, Any] = {
    "allow_squash_merge": True,
    "allow_merge_commit": True,
    "allow_rebase_merge": True,
    "allow_auto_merge": False,
    "delete_branch_on_merge": False,
    "allow_update_branch": False,
    "use_squash_pr_title_as_default": False,
    "squash_merge_commit_message": "COMMIT_MESSAGES",
    "squash_merge_commit_title": "COMMIT_OR_PR_TITLE",
    "merge_commit_message": "PR_TITLE",
    "merge_commit_title": "MERGE_MESSAGE",
}


@dataclass(frozen=True)
class Links:
    """Where the API, git and the raw files are found by the client that asks."""

    api: str = "https://api.github.com"
    html: str = "https://github.com"
    raw: str = "https://raw.githubusercontent.com"

    def repository(self, settings: Settings) -> str:
        """The API's address of a repository."""
        return f"{self.api}/repos/{settings.full_name}"


GITHUB = Links()


def node_id(prefix: str, *parts: int | str) -> str:
    """A GraphQL node id in GitHub's newer form: the parts in MessagePack, in base64."""
    packed = bytes([0x90 + len(parts) + 1, 0x00])
    for part in parts:
        if isinstance(part, str):
            data = part.encode("utf-8", "surrogateescape")
            if len(data) < 32:
                packed += bytes([0xA0 + len(data)]) + data
            else:
                packed += b"\xda" + len(data).to_bytes(2) + data
        else:
            packed += b"\xce" + part.to_bytes(4) if part < 2**32 else b"\xcf" + part.to_bytes(8)
    return f"{prefix}_{base64.urlsafe_b64encode(packed).decode().rstrip('=')}"


# --- accounts


def account(who: Account, links: Links = GITHUB) -> dict[str, Any]:
    """A user or organization, short."""
    url = f"{links.api}/users/{who.login}"
    return {
        "login": who.login,
        "id": who.id,
        "node_id": node_id("U" if who.kind == "User" else "O", who.id),
        "avatar_url": f"https://avatars.githubusercontent.com/u/{who.id}?v=4",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{links.html}/{who.login}",
        **{name: url + suffix for name, suffix in facts.github()["accountUrls"].items()},
        "type": who.kind,
        "user_view_type": "public",
        "site_admin": False,
    }


def organization(who: Account, links: Links = GITHUB) -> dict[str, Any]:
    """An organization, as lists of organizations and payloads of hooks have it."""
    url = f"{links.api}/orgs/{who.login}"
    return {
        "login": who.login,
        "id": who.id,
        "node_id": node_id("O", who.id),
        "url": url,
        **{name: url + suffix for name, suffix in facts.github()["organizationUrls"].items()},
        "avatar_url": f"https://avatars.githubusercontent.com/u/{who.id}?v=4",
        "description": facts.github()["organization"]["description"],
    }


# --- repositories


def minimal_repository(settings: Settings, owner: Account, links: Links = GITHUB) -> dict[str, Any]:
    """A repository with its addresses alone."""
    url = links.repository(settings)
    return {
        "id": settings.id,
        "node_id": node_id("R", settings.id),
        "name": settings.name,
        "full_name": settings.full_name,
        "private": settings.private,
        "owner": account(owner, links),
        "html_url": f"{links.html}/{settings.full_name}",
        "description": settings.description,
        "fork": False,
        "url": url,
        **{name: url + suffix for name, suffix in facts.github()["repositoryUrls"].items()},
    }


def repository(
    settings: Settings, accounts: Accounts, role: Permission, git: Repository, links: Links = GITHUB
) -> dict[str, Any]:
    """A repository, as lists have it; `role` is what who asks may do with it."""
    owner = owner_of(settings, accounts)
    options = {name: settings.options.get(name, default) for name, default in OPTIONS.items()}
    return {
        **minimal_repository(settings, owner, links),
        "created_at": settings.created,
        "updated_at": settings.updated,
        "pushed_at": settings.pushed,
        "git_url": f"git://github.com/{settings.full_name}.git",
        "ssh_url": f"git@github.com:{settings.full_name}.git",
        "clone_url": f"{links.html}/{settings.full_name}.git",
        "svn_url": f"{links.html}/{settings.full_name}",
        "homepage": settings.homepage,
        "size": _kilobytes(git),
        "stargazers_count": 0,
        "watchers_count": 0,
        "language": None,
        **{name: options[name] for name in ("has_issues", "has_projects")},
        "has_downloads": True,
        "has_wiki": options["has_wiki"],
        "has_pages": False,
        "has_discussions": options["has_discussions"],
        "forks_count": 0,
        "mirror_url": None,
        "archived": settings.archived,
        "disabled": False,
        "open_issues_count": 0,
        "license": None,
        **{name: options[name] for name in ("allow_forking", "is_template", "web_commit_signoff_required", "topics")},
        "visibility": "private" if settings.private else "public",
        "forks": 0,
        "open_issues": 0,
        "watchers": 0,
        "default_branch": settings.default_branch,
        "permissions": permissions(role),
    }


def whole_repository(
    settings: Settings, accounts: Accounts, role: Permission, git: Repository, links: Links = GITHUB
) -> dict[str, Any]:
    """A repository by itself, with what only those see who may write."""
    found = repository(settings, accounts, role, git, links)
    if at_least(role, "push"):
        found["temp_clone_token"] = ""
        found |= {name: settings.options.get(name, default) for name, default in MERGE_OPTIONS.items()}
    owner = owner_of(settings, accounts)
    if owner.kind == "Organization":
        found["organization"] = account(owner, links)
    return found | {"network_count": 0, "subscribers_count": 0}


def owner_of(settings: Settings, accounts: Accounts) -> Account:
    """The account that a repository belongs to."""
    return accounts.get(settings.owner) or accounts.organization


def permissions(role: Permission) -> dict[str, bool]:
    """What a role allows, in GitHub's five levels."""
    admin, push = role == "admin", at_least(role, "push")
    return {"admin": admin, "maintain": admin, "push": push, "triage": push, "pull": at_least(role, "pull")}


def _kilobytes(git: Repository) -> int:
    total = 0
    for folder, _, names in os.walk(git.path / "objects"):
        for name in names:
            try:
                total += os.stat(os.path.join(folder, name)).st_size  # noqa: PTH116, PTH118 - thousands of files
            except FileNotFoundError:
                continue
    return total // 1024


# --- commits


def person(who: Person) -> dict[str, Any]:
    """Author or committer, as the commit names them."""
    return {"name": who.name, "email": who.email, "date": who.date}


def verification(commit: Commit) -> dict[str, Any]:
    """What the sandbox says of signatures: there are no keys of anybody here to check one with."""
    return {
        "verified": False,
        "reason": "unknown_key" if commit.signature else "unsigned",
        "signature": commit.signature or None,
        "payload": commit.payload or None,
        "verified_at": None,
    }


def git_commit(settings: Settings, commit: Commit, links: Links = GITHUB) -> dict[str, Any]:
    """A commit, as the git database API has it."""
    url = links.repository(settings)
    html = f"{links.html}/{settings.full_name}/commit"
    return {
        "sha": commit.id,
        "node_id": node_id("C", settings.id, commit.id),
        "url": f"{url}/git/commits/{commit.id}",
        "html_url": f"{html}/{commit.id}",
        "author": person(commit.author),
        "committer": person(commit.committer),
        "tree": {"sha": commit.tree, "url": f"{url}/git/trees/{commit.tree}"},
        "message": commit.message,
        "parents": [
            {"sha": id_, "url": f"{url}/git/commits/{id_}", "html_url": f"{html}/{id_}"} for id_ in commit.parents
        ],
        "verification": verification(commit),
    }


def commit(settings: Settings, found: Commit, accounts: Accounts, links: Links = GITHUB) -> dict[str, Any]:
    """A commit, as lists of commits have it."""
    url = links.repository(settings)
    html = f"{links.html}/{settings.full_name}/commit"
    author, committer = accounts.by_email(found.author.email), accounts.by_email(found.committer.email)
    return {
        "sha": found.id,
        "node_id": node_id("C", settings.id, found.id),
        "commit": {
            "author": person(found.author),
            "committer": person(found.committer),
            "message": found.message,
            "tree": {"sha": found.tree, "url": f"{url}/git/trees/{found.tree}"},
            "url": f"{url}/git/commits/{found.id}",
            "comment_count": 0,
            "verification": verification(found),
        },
        "url": f"{url}/commits/{found.id}",
        "html_url": f"{html}/{found.id}",
        "comments_url": f"{url}/commits/{found.id}/comments",
        "author": account(author, links) if author else None,
        "committer": account(committer, links) if committer else None,
        "parents": [{"sha": id_, "url": f"{url}/commits/{id_}", "html_url": f"{html}/{id_}"} for id_ in found.parents],
    }


def reference(settings: Settings, name: str, id_: str, kind: str, links: Links = GITHUB) -> dict[str, Any]:
    """A reference with what it points to."""
    url = links.repository(settings)
    return {
        "ref": name,
        "node_id": node_id("REF", settings.id, name),
        "url": f"{url}/git/{name}",
        "object": {"sha": id_, "type": kind, "url": f"{url}/git/{kind}s/{id_}"},
    }


def tag_object(settings: Settings, found: Tag, links: Links = GITHUB) -> dict[str, Any]:
    """An annotated tag."""
    url = links.repository(settings)
    return {
        "node_id": node_id("TA", settings.id, found.id),
        "sha": found.id,
        "url": f"{url}/git/tags/{found.id}",
        "tagger": person(found.tagger),
        "object": {
            "sha": found.target,
            "type": found.target_type,
            "url": f"{url}/git/{found.target_type}s/{found.target}",
        },
        "tag": found.name,
        "message": found.message,
        "verification": {
            "verified": False,
            "reason": "unsigned",
            "signature": None,
            "payload": None,
            "verified_at": None,
        },
    }
