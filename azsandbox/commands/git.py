"""`azsandbox git …`: the repositories of the sandbox's GitHub, by its REST API."""

from __future__ import annotations

import argparse
import http.client
import json
import ssl
from typing import Any
from urllib.parse import quote, urlsplit

from azsandbox.commands import CommandError, persona_header, running


def define(parser: argparse.ArgumentParser) -> None:
    """Adds the commands below it."""
    parser.add_argument("--as", dest="persona", metavar="PERSONA", help="who does it (default: the learner)")
    below = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = below.add_parser("list", help="list the repositories")
    listing.set_defaults(run=run, act=_list)
    create = below.add_parser("create", help="make an empty repository")
    create.add_argument("name", help="its name, or OWNER/NAME")
    create.add_argument("--private", action="store_true", help="readable with a token only")
    create.add_argument("--description", help="a sentence about it")
    create.set_defaults(run=run, act=_create)
    delete = below.add_parser("delete", help="delete a repository with all that it holds")
    delete.add_argument("name", help="its name, or OWNER/NAME")
    delete.set_defaults(run=run, act=_delete)
    protect = below.add_parser("protect", help="protect a branch against force pushes and deletion")
    protect.add_argument("name", help="the repository's name, or OWNER/NAME")
    protect.add_argument("branch", nargs="?", help="the branch (default: the repository's default branch)")
    protect.add_argument("--pull-requests", action="store_true", help="refuse every direct push as well")
    protect.add_argument("--off", action="store_true", help="take the protection away")
    protect.set_defaults(run=run, act=_protect)
    token = below.add_parser("token", help="issue a personal access token, and print it this once")
    token.add_argument("note", nargs="?", help="what it is for")
    token.add_argument("--read-only", action="store_true", help="a token that cannot push")
    token.add_argument("--list", action="store_true", help="list the tokens that were issued")
    token.add_argument("--revoke", action="store_true", help="forget the token of that note")
    token.set_defaults(run=run, act=_token)


def run(options: argparse.Namespace) -> int:
    """Does one of them."""
    described = running(options)
    persona_header(described, options.persona)  # names an unknown persona
    who = described["personas"][options.persona] if options.persona else described
    options.act(_Api(described, who["github_token"]), options)
    return 0


class _Api:
    """The REST API of the sandbox that runs, below its own address."""

    def __init__(self, described: dict[str, Any], token: str) -> None:
        self.owner = described["github_owner"]
        self._endpoint, self._ca, self._token = urlsplit(described["git_endpoint"]), described["ca"], token

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """What it answers. Raises CommandError with what it says when it refuses."""
        context = ssl.create_default_context(cafile=self._ca)
        connection = http.client.HTTPSConnection("localhost", self._endpoint.port, timeout=30, context=context)
        headers = {"Authorization": f"Bearer {self._token}", "User-Agent": "azsandbox"}
        try:
            connection.request(
                method, f"{self._endpoint.path}/api{path}", None if body is None else json.dumps(body), headers
            )
            answer = connection.getresponse()
            text = answer.read()
        except OSError as error:
            raise CommandError(f"the sandbox does not answer: {error}. See: azsandbox status") from None
        finally:
            connection.close()
        found = json.loads(text) if text else None
        if answer.status >= 400:
            raise CommandError(_said(found))
        return found

    def path(self, name: str) -> str:
        """The path of a repository, of the lab's organization unless another owner is named."""
        owner, _, own = name.rpartition("/")
        return f"/repos/{quote(owner or self.owner, safe='')}/{quote(own, safe='')}"


def _list(api: _Api, options: argparse.Namespace) -> None:
    found = [row for page in _pages(api, "/user/repos") for row in page]
    if not found:
        print("There are no repositories. Make one: azsandbox git create NAME")
    for row in found:
        print(f"{row['full_name']:40} {row['visibility']:8} {row['default_branch']:16} {row['pushed_at']}")


def _create(api: _Api, options: argparse.Namespace) -> None:
    owner, _, name = options.name.rpartition("/")
    path = f"/orgs/{api.owner}/repos" if owner in ("", api.owner) else "/user/repos"
    if path == "/user/repos" and api("GET", "/user")["login"] != owner:
        raise CommandError(f"repositories of {owner!r} are theirs to make; yours are those of {api.owner} and your own")
    body = {"name": name, "private": options.private, "description": options.description}
    print(f"https://github.com/{api('POST', path, body)['full_name']}.git")


def _delete(api: _Api, options: argparse.Namespace) -> None:
    api("DELETE", api.path(options.name))
    print(f"{options.name} is gone.")


def _protect(api: _Api, options: argparse.Namespace) -> None:
    branch = options.branch or api("GET", api.path(options.name))["default_branch"]
    path = f"{api.path(options.name)}/branches/{quote(branch)}/protection"
    if options.off:
        api("DELETE", path)
        print(f"{branch} is not protected any more.")
        return
    rule = {
        "required_status_checks": None,
        "enforce_admins": True,
        "required_pull_request_reviews": {"required_approving_review_count": 1} if options.pull_requests else None,
        "restrictions": None,
    }
    try:
        api("PUT", path, rule)
    except CommandError as error:
        if str(error) != "Branch not found":
            raise
        raise CommandError(
            f"{options.name} has no branch {branch!r}. Push it first: git push origin {branch}"
        ) from None
    print(f"{branch} is protected: {'changes by pull request only' if options.pull_requests else 'no force pushes'}.")


def _token(api: _Api, options: argparse.Namespace) -> None:
    if options.list:
        for row in (row for page in _pages(api, "/sandbox/tokens") for row in page):
            print(f"{row['note']:40} {row['access']:6} {row['created_at']}")
        return
    if not options.note:
        raise CommandError("a note is missing that says what the token is for. Example: azsandbox git token flux")
    if options.revoke:
        api("DELETE", f"/sandbox/tokens/{quote(options.note, safe='')}")
        print(f"The token {options.note!r} is forgotten.")
        return
    access = "read" if options.read_only else "write"
    print(api("POST", "/sandbox/tokens", {"note": options.note, "access": access})["token"])


def _pages(api: _Api, path: str) -> Any:
    number, page = 1, api("GET", f"{path}?per_page=100&page=1")
    while page:
        yield page
        number += 1
        page = api("GET", f"{path}?per_page=100&page={number}") if len(page) == 100 else []


def _said(found: Any) -> str:
    if not isinstance(found, dict):
        return "the sandbox refused, and did not say why. See: azsandbox logs"
    details = "; ".join(str(error.get("message") or error) for error in found.get("errors") or ())
    return f"{found.get('message')}{': ' + details if details else ''}"
