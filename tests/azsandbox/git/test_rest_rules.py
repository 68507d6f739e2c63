"""Branch protection, deploy keys and commit statuses by the REST API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.azsandbox.git.conftest import Git, Served

R = "/repos/contoso/gitops"
PROTECTION = R + "/branches/main/protection"
PLAIN: dict[str, Any] = {
    "required_status_checks": None,
    "enforce_admins": False,
    "required_pull_request_reviews": None,
    "restrictions": None,
}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOXEPB9eqJ2DwZepFxrPwCDczIReVeWOOt3NMs8KOn3h"


def test_a_branch_is_protected_and_freed(served: Served, gitops: Git) -> None:
    api = served.api()
    answer = api.get(PROTECTION)
    assert (answer.status_code, answer.json()["message"]) == (404, "Branch not protected")
    made = api.put(PROTECTION, json=PLAIN).json()
    assert made == api.get(PROTECTION).json()
    assert made["allow_force_pushes"] == {"enabled": False}
    assert made["enforce_admins"] == {"url": made["url"] + "/enforce_admins", "enabled": False}
    assert "required_status_checks" not in made and "restrictions" not in made
    gitops("commit", "--quiet", "--amend", "-m", "Other")
    assert gitops.run("push", "--force", "origin", "main", check=False).returncode == 1
    assert api.delete(PROTECTION).status_code == 204
    gitops("push", "--quiet", "--force", "origin", "main")
    assert api.delete(PROTECTION).status_code == 404


def test_a_rule_comes_back_as_it_was_given(served: Served, gitops: Git) -> None:
    body = {
        "required_status_checks": {"strict": True, "contexts": ["build"], "checks": [{"context": "test"}]},
        "enforce_admins": True,
        "required_pull_request_reviews": {"dismiss_stale_reviews": True, "required_approving_review_count": 2},
        "restrictions": {"users": ["dev", "nobody"], "teams": [], "apps": []},
        "allow_deletions": True,
        "lock_branch": True,
    }
    found = served.api().put(PROTECTION, json=body).json()
    assert found["required_status_checks"]["contexts"] == ["build", "test"]
    assert found["required_status_checks"]["strict"] is True
    reviews = found["required_pull_request_reviews"]
    assert (reviews["dismiss_stale_reviews"], reviews["required_approving_review_count"]) == (True, 2)
    assert [user["login"] for user in found["restrictions"]["users"]] == ["dev"]
    assert found["allow_deletions"]["enabled"] and found["lock_branch"]["enabled"]
    branch = served.api().get(R + "/branches/main").json()
    assert branch["protection"]["required_status_checks"]["enforcement_level"] == "everyone"


@pytest.mark.parametrize(
    ("change", "status", "named"),
    [
        ({"restrictions": {"users": [], "teams": ["a"]}}, 403, "teams"),
        ({"required_linear_history": True}, 403, "required_linear_history"),
        ({"required_conversation_resolution": True}, 403, "required_conversation_resolution"),
        ({"required_status_checks": {"contexts": [], "checks": [{"context": "x", "app_id": 5}]}}, 403, "application"),
        ({"required_pull_request_reviews": {"required_approving_review_count": 7}}, 422, "between 0 and 6"),
        ({"enforce_admins": "yes"}, 422, "'properties/enforce_admins'"),
    ],
)
def test_what_a_rule_cannot_hold_is_refused(
    served: Served, gitops: Git, change: dict[str, Any], status: int, named: str
) -> None:
    answer = served.api().put(PROTECTION, json=PLAIN | change)
    assert answer.status_code == status and named in answer.json()["message"]
    assert served.api().get(PROTECTION).status_code == 404


def test_a_rule_names_all_its_parts(served: Served, gitops: Git) -> None:
    answer = served.api().put(PROTECTION, json={"enforce_admins": True})
    assert answer.status_code == 422
    names = '"required_status_checks", "required_pull_request_reviews", "restrictions"'
    assert answer.json()["message"] == f"Invalid request.\n\n{names} weren't supplied."
    answer = served.api().put(R + "/branches/none/protection", json=PLAIN)
    assert (answer.status_code, answer.json()["message"]) == (404, "Branch not found")


# --- statuses


def test_statuses_are_kept_by_context_and_combined(served: Served, gitops: Git) -> None:
    sha, api = gitops("rev-parse", "HEAD"), served.api("developer")
    for state, context in (("pending", "flux"), ("success", "build"), ("success", "flux"), ("failure", "flux")):
        body = {"state": state, "context": context, "description": "said", "target_url": "https://example.com"}
        answer = api.post(f"{R}/statuses/{sha}", json=body)
        assert answer.status_code == 201 and answer.headers["location"].endswith(f"/statuses/{sha}")
        assert {name: answer.json()[name] for name in body} == body
        assert answer.json()["creator"]["login"] == "dev"
    listed = api.get(f"{R}/commits/{sha}/statuses").json()
    assert [row["state"] for row in listed] == ["failure", "success", "success", "pending"]
    found = api.get(f"{R}/commits/main/status").json()
    assert (found["state"], found["total_count"], found["sha"]) == ("failure", 2, sha)
    assert [(row["context"], row["state"]) for row in found["statuses"]] == [("build", "success"), ("flux", "failure")]
    assert found["repository"]["full_name"] == "contoso/gitops"


@pytest.mark.parametrize(
    ("states", "combined"),
    [([], "pending"), (["success"], "success"), (["pending"], "pending"), (["error"], "failure")],
)
def test_what_statuses_come_to(served: Served, gitops: Git, states: list[str], combined: str) -> None:
    sha = gitops("rev-parse", "HEAD")
    for number, state in enumerate(states):
        served.api().post(f"{R}/statuses/{sha}", json={"state": state, "context": str(number)})
    assert served.api().get(f"{R}/commits/{sha}/status").json()["state"] == combined


def test_a_status_that_is_none_is_refused(served: Served, gitops: Git) -> None:
    sha, api = gitops("rev-parse", "HEAD"), served.api()
    answer = api.post(f"{R}/statuses/{sha}", json={"state": "good"})
    assert answer.status_code == 422
    error = {"resource": "Status", "code": "custom", "field": "state", "message": "state is not included in the list"}
    assert answer.json()["errors"] == [error]
    answer = api.post(f"{R}/statuses/{'1' * 40}", json={"state": "success"})
    assert (answer.status_code, answer.json()["message"]) == (422, f"No commit found for SHA: {'1' * 40}")
    answer = api.post(f"{R}/statuses/{sha}", json={"state": "success", "description": "x" * 141})
    assert answer.status_code == 422
    assert served.api("reader").post(f"{R}/statuses/{sha}", json={"state": "success"}).status_code == 404


def test_a_status_lets_a_commit_onto_a_branch_that_asks_for_it(served: Served, gitops: Git) -> None:
    api = served.api()
    body = PLAIN | {"enforce_admins": True, "required_status_checks": {"strict": False, "contexts": ["build"]}}
    api.put(PROTECTION, json=body)
    sha = gitops.commit("a", "a")
    gitops("push", "--quiet", "origin", "HEAD:refs/heads/proposal")
    assert "is expected" in gitops.run("push", "origin", "main", check=False).stderr
    api.post(f"{R}/statuses/{sha}", json={"state": "success", "context": "build"})
    gitops("push", "--quiet", "origin", "main")


# --- keys


def test_deploy_keys_are_kept_and_shown(served: Served, gitops: Git) -> None:
    api = served.api()
    made = api.post(R + "/keys", json={"title": "flux", "key": KEY + " flux@lab", "read_only": True})
    assert made.status_code == 201
    found = made.json()
    assert (found["title"], found["key"], found["read_only"], found["verified"]) == ("flux", KEY, True, True)
    assert found["added_by"] == "lena"
    assert api.get(R + "/keys").json() == [found] == [api.get(found["url"]).json()]
    answer = api.post(R + "/keys", json={"title": "again", "key": KEY})
    assert answer.json()["errors"][0]["message"] == "key is already in use"
    assert api.delete(found["url"]).status_code == 204
    assert api.get(found["url"]).status_code == 404


@pytest.mark.parametrize("key", ["xxx", "ssh-ed25519 AAAA", "ssh-rsa " + KEY.split()[1], "ssh-dss " + KEY.split()[1]])
def test_what_is_no_key_is_refused(served: Served, gitops: Git, key: str) -> None:
    answer = served.api().post(R + "/keys", json={"title": "x", "key": key})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {
            "resource": "PublicKey",
            "code": "custom",
            "field": "key",
            "message": "key is invalid. You must supply a key in OpenSSH public key format",
        }
    ]


# --- tokens


def test_tokens_are_issued_listed_and_forgotten(served: Served, gitops: Git) -> None:
    api = served.api()
    made = api.post("/sandbox/tokens", json={"note": "ci", "access": "write"}).json()
    assert made["token"].startswith("ghp_") and len(made["token"]) == 40
    Git(gitops.folder, made["token"])("push", "--quiet", "origin", "HEAD:refs/heads/x")
    assert api.post("/sandbox/tokens", json={"note": "ci", "access": "read"}).status_code == 422
    (listed,) = api.get("/sandbox/tokens").json()
    assert (listed["note"], listed["access"]) == ("ci", "write") and "token" not in listed
    assert served.api("developer").get("/sandbox/tokens").json() == []
    assert api.delete("/sandbox/tokens/ci").status_code == 204
    done = Git(gitops.folder, made["token"]).run("push", "origin", "HEAD:refs/heads/y", check=False)
    assert "Invalid username or token" in done.stderr


def test_tokens_are_kept_as_hashes_alone(served: Served, gitops: Git) -> None:
    token = served.call(served.host.tokens.issue, "lena", "write", "ci")
    stored = b"".join(path.read_bytes() for path in served.folder.rglob("*") if path.is_file())
    assert token.encode() not in stored and served.token().encode() not in stored


def test_githubs_own_host_has_no_page_for_tokens(served: Served) -> None:
    """The sandbox's own address has one; api.github.com must be like GitHub's."""
    answer = served.api().get("/sandbox/tokens", headers={"host": "api.github.com"})
    assert answer.status_code in (403, 404)
