"""Branches, commits, references, trees and files by the REST API."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from azsandbox.git.push import Push
from azsandbox.git.rest.shapes import node_id
from tests.azsandbox.git.conftest import OWNER, Git, Served
from tests.azsandbox.git.test_protected_branches import protect

R = "/repos/contoso/gitops"
RAW = {"accept": "application/vnd.github.raw+json"}


def put(served: Served, path: str, text: str, **more: Any) -> Any:
    content = base64.b64encode(text.encode()).decode()
    return served.api().put(f"{R}/contents/{path}", json={"message": f"Write {path}", "content": content, **more})


def test_branches_are_listed_and_read(served: Served, gitops: Git) -> None:
    gitops("push", "--quiet", "origin", "HEAD:refs/heads/feature/x")
    head = gitops("rev-parse", "HEAD")
    api = served.api()
    listed = api.get(R + "/branches").json()
    assert [(row["name"], row["commit"]["sha"], row["protected"]) for row in listed] == [
        ("feature/x", head, False),
        ("main", head, False),
    ]
    for name in ("feature/x", "feature%2Fx"):
        found = api.get(f"{R}/branches/{name}").json()
        assert (found["name"], found["commit"]["sha"]) == ("feature/x", head)
        assert found["protection"]["enabled"] is False
    answer = api.get(R + "/branches/none")
    assert (answer.status_code, answer.json()["message"]) == (404, "Branch not found")
    protect(served)
    assert [row["name"] for row in api.get(R + "/branches?protected=true").json()] == ["main"]


def test_commits_tell_of_their_people_parents_and_files(served: Served, gitops: Git) -> None:
    first = gitops("rev-parse", "HEAD")
    (gitops.folder / "README.md").write_text("# GitOps\nmore\n")
    second = gitops.commit("apps/web.yaml", "a: 1\n", "Add web\n\nWith a body")
    gitops("push", "--quiet")
    api = served.api()
    assert [row["sha"] for row in api.get(R + "/commits").json()] == [second, first]
    found = api.get(f"{R}/commits/main").json()
    assert found["sha"] == second and found["commit"]["message"] == "Add web\n\nWith a body"
    assert found["commit"]["author"]["name"] == "Lena" and found["commit"]["verification"]["reason"] == "unsigned"
    assert [parent["sha"] for parent in found["parents"]] == [first]
    assert found["author"] is None  # the address is nobody's here
    assert found["stats"] == {"total": 2, "additions": 2, "deletions": 0}
    files = [(file["filename"], file["status"], file["additions"]) for file in found["files"]]
    assert files == [("README.md", "modified", 1), ("apps/web.yaml", "added", 1)]
    assert found["files"][1]["patch"] == "@@ -0,0 +1 @@\n+a: 1"
    answer = api.get(f"{R}/commits/main", headers={"accept": "application/vnd.github.sha"})
    assert answer.text == second
    assert api.get(f"{R}/commits/{second[:8]}").json()["sha"] == second
    assert api.get(f"{R}/commits/heads/main").status_code in (200, 422)


def test_a_renamed_file_is_told_with_both_names(served: Served, gitops: Git) -> None:
    gitops("mv", "README.md", "ÜBER.md")
    gitops("commit", "--quiet", "-m", "Rename")
    gitops("push", "--quiet")
    (file,) = served.api().get(R + "/commits/main").json()["files"]
    assert (file["status"], file["filename"], file["previous_filename"]) == ("renamed", "ÜBER.md", "README.md")
    assert "patch" not in file and file["changes"] == 0


def test_the_history_is_narrowed(served: Served, gitops: Git) -> None:
    made = [gitops.commit("a", str(n)) for n in range(3)]
    other = gitops.commit("b/c", "x")
    gitops("push", "--quiet")
    api = served.api()

    def ids(**query: Any) -> list[str]:
        return [row["sha"] for row in api.get(R + "/commits", params=query).json()]

    assert ids(path="a") == list(reversed(made))
    assert ids(path="b") == ids(path="b/c") == [other]
    assert ids(sha=made[0])[0] == made[0]
    assert len(ids(author="lena@lab.example")) == 5 and ids(author="nobody") == []
    assert ids(since="2100-01-01T00:00:00Z") == []
    page = api.get(R + "/commits", params={"per_page": 2})
    assert "next" in page.links and len(api.get(page.links["next"]["url"]).json()) == 2
    assert api.get(R + "/commits?sha=none").status_code == 404
    assert api.get(R + "/commits?since=--all").status_code == 422
    answer = api.get(f"{R}/commits/{'1' * 40}")
    assert (answer.status_code, answer.json()["message"]) == (422, f"No commit found for SHA: {'1' * 40}")


def test_an_empty_repository_says_so(served: Served) -> None:
    served.run(served.host.repositories.create(OWNER, "gitops"))
    api = served.api()
    for path, status, message in (
        ("/commits", 409, "Git Repository is empty."),
        ("/git/ref/heads/main", 409, "Git Repository is empty."),
        ("/contents/", 404, "This repository is empty."),
    ):
        answer = api.get(R + path)
        assert (answer.status_code, answer.json()["message"]) == (status, message)
    assert api.get(R + "/branches").json() == []


# --- references


def test_references_are_made_moved_and_deleted(served: Served, gitops: Git) -> None:
    heard: list[Push] = []
    served.call(served.host.on_push, heard.append)
    first, second = gitops("rev-parse", "HEAD"), gitops.commit("a", "a")
    gitops("push", "--quiet")
    api = served.api()
    made = api.post(R + "/git/refs", json={"ref": "refs/heads/test", "sha": first})
    assert made.status_code == 201 and made.headers["location"].endswith("/git/refs/heads/test")
    assert made.json()["object"]["type"] == "commit"
    moved = api.patch(R + "/git/refs/heads/test", json={"sha": second})
    assert moved.json()["object"]["sha"] == second
    back = api.patch(R + "/git/refs/heads/test", json={"sha": first})
    assert (back.status_code, back.json()["message"]) == (422, "Update is not a fast forward")
    assert api.patch(R + "/git/refs/heads/test", json={"sha": first, "force": True}).status_code == 200
    assert [row["ref"] for row in api.get(R + "/git/matching-refs/heads/").json()] == [
        "refs/heads/main",
        "refs/heads/test",
    ]
    assert api.delete(R + "/git/refs/heads/test").status_code == 204
    assert api.get(R + "/git/ref/heads/test").status_code == 404
    assert [(c.reference, c.old, c.new) for push in heard[1:] for c in push.changes] == [
        ("refs/heads/test", "0" * 40, first),
        ("refs/heads/test", first, second),
        ("refs/heads/test", second, first),
        ("refs/heads/test", first, "0" * 40),
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("POST", "", {"ref": "refs/heads/main", "sha": "HEAD"}, "Reference already exists"),
        ("POST", "", {"ref": "refs/heads/x", "sha": "1" * 40}, "Object does not exist"),
        ("POST", "", {"ref": "refs/heads/x", "sha": "main"}, "Object does not exist"),
        ("POST", "", {"ref": "x", "sha": "HEAD"}, "Reference name 'x' is not valid"),
        ("POST", "", {"ref": "refs/heads/a..b", "sha": "HEAD"}, "Reference update failed"),
        ("POST", "", {"ref": "refs/heads/../../config", "sha": "HEAD"}, "Reference update failed"),
        ("POST", "", {"ref": "refs/heads/x"}, 'Invalid request.\n\n"sha" wasn\'t supplied.'),
        ("POST", "", {}, 'Invalid request.\n\n"ref", "sha" weren\'t supplied.'),
        ("PATCH", "/heads/none", {"sha": "HEAD"}, "Reference does not exist"),
        ("DELETE", "/heads/none", None, "Reference does not exist"),
        ("DELETE", "/heads/main", None, "refusing to delete the current branch: refs/heads/main"),
    ],
)
def test_references_that_cannot_be_changed_say_why(
    served: Served, gitops: Git, method: str, path: str, body: Any, message: str
) -> None:
    if body and body.get("sha") == "HEAD":
        body = {**body, "sha": gitops("rev-parse", "HEAD")}
    answer = served.api().request(method, f"{R}/git/refs{path}", json=body)
    assert answer.status_code == 422
    assert answer.json()["message"].startswith(message)


def test_a_protected_branch_is_held_by_the_api_too(served: Served, gitops: Git) -> None:
    first, _ = gitops("rev-parse", "HEAD"), gitops.commit("a", "a")
    gitops("push", "--quiet", "origin", "main", "HEAD:refs/heads/kept")
    protect(served)
    protect(served, "kept")
    api = served.api()
    answer = api.patch(R + "/git/refs/heads/main", json={"sha": first, "force": True})
    assert (answer.status_code, answer.json()["message"]) == (422, "Cannot force-push to this branch")
    answer = api.delete(R + "/git/refs/heads/kept")
    assert (answer.status_code, answer.json()["message"]) == (422, "Cannot delete this branch")
    protect(served, reviews={}, enforce_admins=True)
    answer = put(served, "b", "b")
    assert answer.status_code == 409
    assert answer.json()["message"] == "Could not update file: Changes must be made through a pull request."


def test_annotated_tags_lead_to_their_commits(served: Served, gitops: Git) -> None:
    gitops("tag", "-a", "v1", "-m", "First")
    gitops("push", "--quiet", "origin", "v1")
    api = served.api()
    reference = api.get(R + "/git/ref/tags/v1").json()
    assert reference["object"]["type"] == "tag"
    tag = api.get(f"{R}/git/tags/{reference['object']['sha']}").json()
    assert (tag["tag"], tag["message"], tag["object"]["type"]) == ("v1", "First", "commit")
    (listed,) = api.get(R + "/tags").json()
    assert (listed["name"], listed["commit"]["sha"]) == ("v1", gitops("rev-parse", "HEAD"))


def test_the_objects_of_git_are_read(served: Served, gitops: Git) -> None:
    gitops.commit("apps/web.yaml", "a: 1\n")
    gitops("push", "--quiet")
    api = served.api()
    head = gitops("rev-parse", "HEAD")
    commit = api.get(f"{R}/git/commits/{head}").json()
    tree = api.get(f"{R}/git/trees/{commit['tree']['sha']}?recursive=1").json()
    assert tree["sha"] == commit["tree"]["sha"] and tree["truncated"] is False
    assert [(row["path"], row["type"]) for row in tree["tree"]] == [
        ("README.md", "blob"),
        ("apps", "tree"),
        ("apps/web.yaml", "blob"),
    ]
    assert [row["path"] for row in api.get(f"{R}/git/trees/main").json()["tree"]] == ["README.md", "apps"]
    blob = api.get(f"{R}/git/blobs/{tree['tree'][2]['sha']}").json()
    assert base64.b64decode(blob["content"]) == b"a: 1\n" and blob["size"] == 5
    for path in ("commits", "trees", "blobs", "tags"):
        assert api.get(f"{R}/git/{path}/{'1' * 40}").status_code == 404


# --- files


def test_a_file_is_made_changed_and_taken_away(served: Served, gitops: Git) -> None:
    heard: list[Push] = []
    served.call(served.host.on_push, heard.append)
    made = put(served, "apps/web.yaml", "a: 1\n")
    assert made.status_code == 201
    content, commit = made.json()["content"], made.json()["commit"]
    assert (content["path"], content["size"], content["type"]) == ("apps/web.yaml", 5, "file")
    assert commit["author"]["name"] == "lena" and commit["message"] == "Write apps/web.yaml"
    changed = put(served, "apps/web.yaml", "a: 2\n", sha=content["sha"])
    assert changed.status_code == 200
    gitops("pull", "--quiet")
    assert (gitops.folder / "apps/web.yaml").read_text() == "a: 2\n"
    body = {"message": "Away", "sha": changed.json()["content"]["sha"]}
    gone = served.api().request("DELETE", R + "/contents/apps/web.yaml", json=body)
    assert gone.status_code == 200 and gone.json()["content"] is None
    gitops("pull", "--quiet")
    assert not (gitops.folder / "apps").exists()
    assert [c.reference for push in heard for c in push.changes] == ["refs/heads/main"] * 3


def test_a_file_that_somebody_changed_meanwhile_is_not_overwritten(served: Served, gitops: Git) -> None:
    answer = put(served, "README.md", "x")
    assert (answer.status_code, answer.json()["message"]) == (422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
    answer = put(served, "README.md", "x", sha="1" * 40)
    assert (answer.status_code, answer.json()["message"]) == (409, f"README.md does not match {'1' * 40}")


@pytest.mark.parametrize(
    ("path", "more", "status", "message"),
    [
        ("a", {"content": "***"}, 422, "content is not valid Base64"),
        ("a", {"branch": "none"}, 404, "Branch none not found"),
        ("a", {"author": {"name": "x"}}, 422, 'Invalid request.\n\n"email" wasn\'t supplied.'),
        (".git/config", {}, 422, "path '.git/config' cannot be written"),
        ("a/%2e%2e/b", {}, 422, "path 'a/../b' cannot be written"),
    ],
)
def test_files_that_cannot_be_written_say_why(
    served: Served, gitops: Git, path: str, more: dict[str, Any], status: int, message: str
) -> None:
    before = gitops("ls-remote", "origin", "main")
    answer = put(served, path, "x", **more)
    assert answer.status_code == status, answer.text
    assert answer.json()["message"].startswith(message)
    assert gitops("ls-remote", "origin", "main") == before


def test_the_first_file_of_an_empty_repository_makes_its_branch(served: Served, gitops: Git) -> None:
    served.run(served.host.repositories.create(OWNER, "new"))
    body = {"message": "First", "content": "eA=="}
    assert served.api().put("/repos/contoso/new/contents/a", json=body).status_code == 201
    assert gitops("ls-remote", served.url("new")).split()[1] == "HEAD"


def test_whose_commit_it_is_can_be_said(served: Served, gitops: Git) -> None:
    author = {"name": "Ada Admin", "email": "ada@aksbaselinelab.onmicrosoft.com", "date": "2026-01-15T16:13:30+12:00"}
    commit = put(served, "a", "a", author=author).json()["commit"]
    assert commit["author"] == {**author, "date": "2026-01-15T04:13:30Z"}
    assert commit["committer"]["name"] == "lena"
    found = served.api().get(R + "/commits/main").json()
    assert (found["author"]["login"], found["committer"]["login"]) == ("ada", "lena")


def test_files_folders_and_links_are_read(served: Served, gitops: Git) -> None:
    (gitops.folder / "link").symlink_to("README.md")
    gitops.commit("apps/ä b.yaml", "a: 1\n" * 20)
    gitops("push", "--quiet")
    api = served.api()
    found = api.get(f"{R}/contents/apps/ä b.yaml").json()
    assert (found["name"], found["encoding"]) == ("ä b.yaml", "base64")
    assert all(len(line) <= 60 for line in found["content"].splitlines())
    assert base64.b64decode(found["content"]) == b"a: 1\n" * 20
    assert api.get(f"{R}/contents/apps/ä b.yaml", headers=RAW).text == "a: 1\n" * 20
    raw = served.api(None).get(found["download_url"])
    assert raw.text == "a: 1\n" * 20
    listed = api.get(R + "/contents").json()
    assert [(row["name"], row["type"]) for row in listed] == [
        ("README.md", "file"),
        ("apps", "dir"),
        ("link", "symlink"),
    ]
    assert api.get(R + "/contents/link").json()["target"] == "README.md"
    first = gitops("rev-parse", "HEAD~1")
    assert api.get(f"{R}/contents/apps?ref={first}").status_code == 404
    answer = api.get(R + "/contents/README.md?ref=none")
    assert (answer.status_code, answer.json()["message"]) == (404, "No commit found for the ref none")


def test_node_ids_have_the_form_of_githubs() -> None:
    """As recorded in octokit/fixtures."""
    assert node_id("R", 515435592) == "R_kgDOHrjsSA"
    assert node_id("REF", 515435789, "refs/heads/main") == "REF_kwDOHrjtDa9yZWZzL2hlYWRzL21haW4"
    assert node_id("SC", 515435682, 18402522094) == "SC_kwDOHrjsos8AAAAESOAz7g"
    commit = "d17ce67d1af551600665c71976755446dd9b61e1"
    assert node_id("C", 515435592, commit) == ("C_kwDOHrjsSNoAKGQxN2NlNjdkMWFmNTUxNjAwNjY1YzcxOTc2NzU1NDQ2ZGQ5YjYxZTE")


@pytest.mark.parametrize("path", ["..%2F..%2Fx", ".git/config", "a%2F..%2F..%2F..%2Fx"])
def test_a_path_that_leads_out_of_the_repository_is_refused(served: Served, gitops: Git, path: str) -> None:
    refused = put(served, path, "a")
    assert (refused.status_code, "repositories" in refused.text) == (422, False)


@pytest.mark.parametrize("path", ["/contents/a%00b", "/commits?sha=%00", "/commits?path=%00", "/git/trees/%00"])
def test_what_has_a_nul_character_is_not_there(served: Served, gitops: Git, path: str) -> None:
    assert served.api().get(R + path).status_code == 404


def test_a_name_with_a_nul_character_is_refused(served: Served, gitops: Git) -> None:
    assert put(served, "a", "a", committer={"name": "a\0b", "email": "a@b"}).status_code == 422
