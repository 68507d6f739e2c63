"""Accounts and repositories by the REST API, with GitHub's statuses, headers and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from azsandbox.git.rest import routes
from tests.azsandbox.git.conftest import Git, Served

CREATE = "/orgs/contoso/repos"
REPOSITORY = "/repos/contoso/gitops"


def test_who_is_signed_in_is_told(served: Served) -> None:
    found = served.api("developer").get("/user").json()
    assert (found["login"], found["type"], found["name"]) == ("dev", "User", "Dev Developer")
    assert found["node_id"].startswith("U_kgDO")


def test_nobody_is_told_to_sign_in(served: Served) -> None:
    answer = served.api(None).get("/user")
    assert answer.status_code == 401
    assert answer.json() == {
        "message": "Requires authentication",
        "documentation_url": "https://docs.github.com/rest/users/users#get-the-authenticated-user",
        "status": "401",
    }


def test_a_wrong_token_is_bad_credentials(served: Served) -> None:
    answer = served.api(None, authorization="token ghp_wrong").get(REPOSITORY)
    assert answer.status_code == 401
    assert answer.json() == {
        "message": "Bad credentials",
        "documentation_url": "https://docs.github.com/rest",
        "status": "401",
    }


def test_the_organization_and_its_members_are_there(served: Served) -> None:
    api = served.api()
    assert api.get("/orgs/contoso").json()["login"] == "contoso"
    assert api.get("/orgs/lena").status_code == 404
    assert api.get("/users/contoso").json()["type"] == "Organization"
    assert [row["login"] for row in api.get("/user/orgs").json()] == ["contoso"]


def test_a_new_repository_is_empty_and_has_all_that_clients_read(served: Served) -> None:
    answer = served.api().post(CREATE, json={"name": "gitops", "description": "Of the lab"})
    assert answer.status_code == 201
    found = answer.json()
    assert answer.headers["location"] == found["url"] == f"{served.endpoint}/api{REPOSITORY}"
    wanted = {
        "name": "gitops",
        "full_name": "contoso/gitops",
        "private": False,
        "visibility": "public",
        "description": "Of the lab",
        "default_branch": "main",
        "archived": False,
        "fork": False,
        "size": 0,
        "topics": [],
        "has_issues": True,
        "allow_squash_merge": True,
        "ssh_url": "git@github.com:contoso/gitops.git",
        "clone_url": f"{served.endpoint}/contoso/gitops.git",
        "permissions": {"admin": True, "maintain": True, "push": True, "triage": True, "pull": True},
    }
    assert {name: found[name] for name in wanted} == wanted
    assert found["owner"]["login"] == found["organization"]["login"] == "contoso"
    assert found["commits_url"] == f"{served.endpoint}/api{REPOSITORY}/commits{{/sha}}"


def test_a_repository_may_begin_with_a_readme(served: Served) -> None:
    served.api().post("/user/repos", json={"name": "own", "auto_init": True, "description": "Mine"})
    answer = served.api().get("/repos/lena/own/contents/README.md", headers={"accept": "application/vnd.github.raw"})
    assert answer.text == "# own\nMine\n"


def test_a_name_that_is_taken_is_refused(served: Served) -> None:
    served.api().post(CREATE, json={"name": "gitops"})
    answer = served.api().post(CREATE, json={"name": "GitOps"})
    assert answer.status_code == 422
    assert answer.json() == {
        "message": "Repository creation failed.",
        "errors": [
            {
                "resource": "Repository",
                "code": "custom",
                "field": "name",
                "message": "name already exists on this account",
            }
        ],
        "documentation_url": "https://docs.github.com/rest/repos/repos#create-an-organization-repository",
        "status": "422",
    }


@pytest.mark.parametrize("name", ["../x", "a/b", ".x", "-x", "x.git", "", "a" * 101, "x..y", "x;y", "x\0y", "x y"])
def test_names_that_lead_elsewhere_are_refused(served: Served, name: str) -> None:
    answer = served.api().post(CREATE, json={"name": name})
    assert answer.status_code == 422, answer.text
    assert served.host.repositories.list() == []


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"{", 400, "Problems parsing JSON"),
        (b'{"name":' * 50_000 + b"1" + b"}" * 50_000, 400, "Problems parsing JSON"),
        (b"[]", 400, "Body should be a JSON object"),
        (b"{}", 422, 'Invalid request.\n\n"name" wasn\'t supplied.'),
        (b'{"name": 1}', 422, "Invalid request.\n\nFor 'properties/name', 1 is not a string."),
        (b'{"name": null}', 422, "Invalid request.\n\nFor 'properties/name', nil is not a string."),
        (
            b'{"name": "x", "private": "y"}',
            422,
            "Invalid request.\n\nFor 'properties/private', \"y\" is not a boolean.",
        ),
    ],
)
def test_bodies_are_checked(served: Served, content: bytes, status: int, message: str) -> None:
    answer = served.api().post(CREATE, content=content)
    assert (answer.status_code, answer.json()["message"]) == (status, message)


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("POST", CREATE, {"name": "x", "license_template": "mit"}, "'license_template'"),
        ("POST", CREATE, {"name": "x", "visibility": "internal"}, "'internal'"),
        ("PATCH", REPOSITORY, {"name": "other"}, "renaming"),
        ("GET", REPOSITORY + "/pulls", None, "/pulls"),
        ("GET", REPOSITORY + "/issues", None, "/issues"),
        ("POST", "/graphql", {}, "/graphql"),
        ("GET", "/user/repos?since=2020-01-01T00:00:00Z", None, "'since'"),
    ],
)
def test_what_the_sandbox_has_not_is_refused_by_name(
    served: Served, gitops: Git, method: str, path: str, body: Any, named: str
) -> None:
    answer = served.api().request(method, path, json=body)
    assert answer.status_code == 403
    found = answer.json()
    assert found["message"].startswith("NotSupportedInSandbox: ") and named in found["message"]
    assert found["status"] == "403" and found["documentation_url"].startswith("https://docs.github.com/rest")


def test_a_repository_changes(served: Served, gitops: Git) -> None:
    gitops("push", "--quiet", "origin", "HEAD:refs/heads/trunk")
    api = served.api()
    body = {
        "description": "New",
        "private": True,
        "default_branch": "trunk",
        "has_issues": False,
        "homepage": "http://x",
    }
    found = api.patch(REPOSITORY, json=body).json()
    assert {name: found[name] for name in body} == body
    assert api.get(REPOSITORY).json()["visibility"] == "private"
    assert gitops("ls-remote", "--symref", "origin", "HEAD").startswith("ref: refs/heads/trunk")
    answer = api.patch(REPOSITORY, json={"default_branch": "none"})
    assert answer.status_code == 422 and "branch none was not found" in answer.json()["errors"][0]["message"]


def test_a_repository_goes_with_all_that_belongs_to_it(served: Served, gitops: Git) -> None:
    api = served.api()
    sha = gitops("rev-parse", "HEAD")
    api.post(REPOSITORY + "/hooks", json={"config": {"url": "http://127.0.0.1:1/"}})
    api.post(f"{REPOSITORY}/statuses/{sha}", json={"state": "success"})
    assert api.delete(REPOSITORY).status_code == 204
    assert api.get(REPOSITORY).status_code == 404
    assert "Repository not found." in gitops.run("fetch", check=False).stderr
    api.post(CREATE, json={"name": "gitops"})
    assert api.get(REPOSITORY + "/hooks").json() == []
    assert served.host.repositories.get("contoso", "gitops").references() == {}


@pytest.mark.parametrize(
    ("persona", "method", "path", "body", "status", "message"),
    [
        (None, "GET", "", None, 200, None),
        ("reader", "GET", "", None, 200, None),
        ("reader", "PATCH", "", {"description": "x"}, 403, "Must have admin rights to Repository."),
        ("developer", "DELETE", "", None, 403, "Must have admin rights to Repository."),
        ("reader", "PUT", "/contents/a", {"message": "m", "content": ""}, 404, "Not Found"),
        ("developer", "PUT", "/contents/a", {"message": "m", "content": ""}, 201, None),
        ("developer", "GET", "/hooks", None, 404, "Not Found"),
        ("developer", "GET", "/keys", None, 404, "Not Found"),
        ("developer", "GET", "/branches/main/protection", None, 404, "Not Found"),
        (None, "GET", "/hooks", None, 401, "Requires authentication"),
        ("admin", "GET", "/hooks", None, 200, None),
    ],
)
def test_who_may_do_what(
    served: Served, gitops: Git, persona: str, method: str, path: str, body: Any, status: int, message: str | None
) -> None:
    answer = served.api(persona).request(method, REPOSITORY + path, json=body)
    assert answer.status_code == status, answer.text
    assert message is None or answer.json()["message"] == message


def test_a_token_that_only_reads_changes_nothing(served: Served, gitops: Git) -> None:
    token = served.call(served.host.tokens.issue, "lena", "read", "flux")
    api = served.api(None, authorization=f"Bearer {token}")
    answer = api.get(REPOSITORY)
    assert answer.status_code == 200 and "x-oauth-scopes" not in answer.headers
    for method, path, body in (("DELETE", REPOSITORY, None), ("POST", CREATE, {"name": "x"})):
        answer = api.request(method, path, json=body)
        assert answer.status_code == 403
        assert answer.json()["message"] == "Resource not accessible by personal access token"
    answer = served.api().get(REPOSITORY)
    assert "repo" in answer.headers["x-oauth-scopes"].split(", ")


def test_private_repositories_are_there_for_those_who_may_read_them(served: Served) -> None:
    served.api().post(CREATE, json={"name": "secret", "private": True})
    served.api("developer").post("/user/repos", json={"name": "own", "private": True})
    assert served.api(None).get("/repos/contoso/secret").status_code == 404
    assert served.api("reader").get("/repos/contoso/secret").status_code == 200
    assert served.api("reader").get("/repos/dev/own").status_code == 404
    assert [row["full_name"] for row in served.api("reader").get("/user/repos").json()] == ["contoso/secret"]
    assert served.api(None).get(CREATE).json() == []
    answer = served.api("developer").post(CREATE, json={"name": "other"})
    assert answer.status_code == 403


def test_lists_come_in_pages_with_links(served: Served) -> None:
    for number in range(5):
        served.run(served.host.repositories.create("contoso", f"r{number}"))
    api = served.api()
    first = api.get("/user/repos", params={"per_page": 2, "sort": "full_name"})
    assert [row["name"] for row in first.json()] == ["r0", "r1"]
    assert set(first.links) == {"next", "last"}
    second = api.get(first.links["next"]["url"])
    assert [row["name"] for row in second.json()] == ["r2", "r3"]
    assert set(second.links) == {"prev", "next", "last", "first"}
    last = api.get(second.links["last"]["url"])
    assert [row["name"] for row in last.json()] == ["r4"] and set(last.links) == {"prev", "first"}


def test_what_has_not_changed_is_not_sent_again(served: Served, gitops: Git) -> None:
    api = served.api()
    first = api.get(REPOSITORY)
    again = api.get(REPOSITORY, headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304 and again.content == b""
    api.patch(REPOSITORY, json={"description": "New"})
    assert api.get(REPOSITORY, headers={"if-none-match": first.headers["etag"]}).status_code == 200


def test_a_request_without_a_user_agent_is_refused(served: Served) -> None:
    answer = httpx.get(f"{served.endpoint}/api/user", headers={"user-agent": ""}, trust_env=False)
    assert answer.status_code == 403 and "User-Agent" in answer.text


def test_a_body_that_is_too_large_is_refused(served: Served) -> None:
    answer = served.api().post(CREATE, content=b" " * (33 * 1024 * 1024))
    assert answer.status_code == 413


def test_an_archived_repository_is_not_written(served: Served, gitops: Git) -> None:
    api = served.api()
    api.patch(REPOSITORY, json={"archived": True})
    answer = api.put(REPOSITORY + "/contents/a", json={"message": "m", "content": ""})
    assert (answer.status_code, answer.json()["message"]) == (403, "Repository was archived so is read-only.")
    assert api.patch(REPOSITORY, json={"archived": False}).json()["archived"] is False


def test_the_paths_that_there_are_stand_in_the_documentation() -> None:
    text = (Path(__file__).parents[3] / "docs/sandbox.md").read_text("utf-8")
    section = text.partition("\n## Git\n")[2].partition("\n## ")[0]
    for route in routes.ROUTES:
        below = route.template.removeprefix("/repos/{owner}/{repo}")
        first = next((part for part in below.split("/") if part and not part.startswith("{")), "")
        assert route.own or first in section, route.template
