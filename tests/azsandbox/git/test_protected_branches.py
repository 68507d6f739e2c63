"""What a protected branch makes of real pushes, in GitHub's words."""

from __future__ import annotations

from typing import Any

import pytest

from azsandbox.git.protection import Protection, judge
from azsandbox.git.push import Change, Commands, Push, Report, packet
from tests.azsandbox.git.conftest import OWNER, Git, Served

OLD, NEW, ZERO = "1" * 40, "2" * 40, "0" * 40
DECLINED = "(protected branch hook declined)"


def protect(served: Served, branch: str = "main", **rule: Any) -> None:
    def work() -> None:
        settings = served.host.repositories.settings(OWNER, "gitops")
        assert settings is not None
        settings.protections[branch] = Protection(**rule).stored()
        served.host.repositories.save(settings)

    served.call(work)


def remark(text: str) -> list[str]:
    """What the remote said, a line each."""
    return [line.removeprefix("remote:").strip() for line in text.splitlines() if line.startswith("remote:")]


def rewritten(git: Git) -> str:
    """A commit that does not contain what was pushed."""
    git("commit", "--quiet", "--amend", "-m", "Something else")
    return git("rev-parse", "HEAD")


def test_a_protected_branch_moves_forward(served: Served, gitops: Git) -> None:
    protect(served)
    new = gitops.commit("a", "a")
    gitops("push", "--quiet")
    assert gitops("ls-remote", "origin", "main").split()[0] == new


def test_a_force_push_to_a_protected_branch_is_refused(served: Served, gitops: Git) -> None:
    protect(served)
    old = gitops("rev-parse", "HEAD")
    rewritten(gitops)
    done = gitops.run("push", "--force", "origin", "main", check=False)
    assert done.returncode == 1
    assert remark(done.stderr) == [
        "error: GH006: Protected branch update failed for refs/heads/main.",
        "",
        "- Cannot force-push to this branch",
    ]
    assert f" ! [remote rejected] main -> main {DECLINED}" in done.stderr
    assert gitops("ls-remote", "origin", "main").split()[0] == old


def test_force_is_allowed_where_nothing_is_protected(served: Served, gitops: Git) -> None:
    protect(served, "other")
    new = rewritten(gitops)
    gitops("push", "--quiet", "--force", "origin", "main")
    assert gitops("ls-remote", "origin", "main").split()[0] == new


def test_force_is_allowed_where_the_rule_allows_it(served: Served, gitops: Git) -> None:
    protect(served, allow_force_pushes=True)
    rewritten(gitops)
    gitops("push", "--quiet", "--force", "origin", "main")


def test_a_protected_branch_is_not_deleted(served: Served, gitops: Git) -> None:
    gitops("push", "--quiet", "origin", "HEAD:refs/heads/release/1")
    protect(served, "release/1")
    done = gitops.run("push", "--delete", "origin", "release/1", check=False)
    assert done.returncode == 1
    assert remark(done.stderr) == [
        "error: GH006: Protected branch update failed for refs/heads/release/1.",
        "",
        "- Cannot delete this branch",
    ]
    assert f" ! [remote rejected] release/1 {DECLINED}" in done.stderr
    protect(served, "release/1", allow_deletions=True)
    gitops("push", "--quiet", "--delete", "origin", "release/1")


def test_the_default_branch_is_not_deleted(served: Served, gitops: Git) -> None:
    done = gitops.run("push", "--delete", "origin", "main", check=False)
    assert " ! [remote rejected] main (refusing to delete the current branch: refs/heads/main)" in done.stderr
    assert remark(done.stderr) == []


def test_only_what_is_protected_is_refused(served: Served, gitops: Git) -> None:
    """GitHub decides of each reference by itself."""
    protect(served)
    gitops("push", "--quiet", "origin", "HEAD:refs/heads/free")
    new = rewritten(gitops)
    heard: list[Push] = []
    served.call(served.host.on_push, heard.append)
    done = gitops.run("push", "--force", "origin", "HEAD:main", "HEAD:free", "HEAD:refs/heads/third", check=False)
    assert done.returncode == 1
    assert f" ! [remote rejected] HEAD -> main {DECLINED}" in done.stderr
    assert "(forced update)" in done.stderr and "[new branch]" in done.stderr
    assert {c.reference for push in heard for c in push.changes} == {"refs/heads/free", "refs/heads/third"}
    assert gitops("ls-remote", "origin", "free").split()[0] == new


def test_with_a_change_that_is_refused_others_of_the_push_arrive(served: Served, gitops: Git) -> None:
    protect(served, reviews={}, enforce_admins=True)
    new = gitops.commit("a", "a")
    done = gitops.run("push", "origin", "HEAD:main", "HEAD:refs/heads/free", check=False)
    assert done.returncode == 1
    assert remark(done.stderr) == [
        "error: GH006: Protected branch update failed for refs/heads/main.",
        "",
        "- Changes must be made through a pull request.",
    ]
    assert gitops("ls-remote", "origin", "free").split()[0] == new


def test_an_atomic_push_is_refused_as_a_whole(served: Served, gitops: Git) -> None:
    protect(served, reviews={}, enforce_admins=True)
    gitops.commit("a", "a")
    done = gitops.run("push", "--atomic", "origin", "HEAD:main", "HEAD:refs/heads/free", check=False)
    assert done.returncode == 1
    assert DECLINED in done.stderr and "(atomic push failure)" in done.stderr
    assert gitops("ls-remote", "origin", "free") == ""


def test_who_administers_goes_past_what_is_not_enforced_on_them(served: Served, gitops: Git) -> None:
    protect(served, reviews={})
    gitops.commit("a", "a")
    done = gitops.run("push", "origin", "main")
    assert remark(done.stderr) == [
        "Bypassed rule violations for refs/heads/main:",
        "",
        "- Changes must be made through a pull request.",
        "",
    ]
    developer = Git(gitops.folder, served.token("developer"))
    developer.commit("b", "b")
    done = developer.run("push", "origin", "main", check=False)
    assert done.returncode == 1 and DECLINED in done.stderr


def test_statuses_that_a_rule_asks_for_are_waited_for(served: Served, gitops: Git) -> None:
    protect(served, contexts=("build",), enforce_admins=True)
    gitops.commit("a", "a")
    done = gitops.run("push", "origin", "main", check=False)
    assert '- Required status check "build" is expected.' in remark(done.stderr)
    protect(served, contexts=("build", "test"), enforce_admins=True)
    done = gitops.run("push", "origin", "main", check=False)
    assert "- 2 of 2 required status checks are expected." in remark(done.stderr)


def test_only_those_whom_a_rule_names_push(served: Served, gitops: Git) -> None:
    protect(served, pushers=("ada",))
    developer = Git(gitops.folder, served.token("developer"))
    developer.commit("b", "b")
    done = developer.run("push", "origin", "main", check=False)
    assert "- You're not authorized to push to this branch." in done.stderr
    protect(served, pushers=("dev",))
    developer("push", "--quiet", "origin", "main")


# --- without git


@pytest.mark.parametrize(
    ("rule", "change", "permission", "refused"),
    [
        ({}, Change(OLD, NEW, "refs/heads/main"), "push", False),
        ({}, Change(OLD, ZERO, "refs/heads/main"), "admin", True),
        ({"allow_deletions": True}, Change(OLD, ZERO, "refs/heads/main"), "push", False),
        ({"lock_branch": True}, Change(OLD, NEW, "refs/heads/main"), "push", True),
        ({"lock_branch": True}, Change(OLD, NEW, "refs/heads/main"), "admin", False),
        ({"reviews": {}}, Change(ZERO, NEW, "refs/heads/main"), "push", False),
        ({"contexts": ("a",)}, Change(OLD, NEW, "refs/heads/main"), "push", False),
        ({"contexts": ("a", "b")}, Change(OLD, NEW, "refs/heads/main"), "push", True),
    ],
)
def test_what_a_rule_says(rule: dict[str, Any], change: Change, permission: Any, refused: bool) -> None:
    verdict = judge(Protection(**rule), change, login="dev", permission=permission, succeeded=frozenset({"a"}))
    assert bool(verdict.refused) == refused


def test_a_rule_is_kept_whole() -> None:
    rule = Protection(True, ("a",), True, {"required_approving_review_count": 2}, ("dev",), True, True, True)
    assert Protection.of(rule.stored()) == rule
    assert Protection.of(Protection().stored()) == Protection()


def test_commands_of_a_push_are_read_however_they_are_cut() -> None:
    first = f"{ZERO} {NEW} refs/heads/main".encode() + b"\0report-status side-band-64k"
    body = packet(first) + packet(f"{OLD} {NEW} refs/heads/b".encode()) + b"0000PACK"
    commands = Commands()
    for i in range(len(body)):
        commands.feed(body[i : i + 1])
        if commands.complete:
            break
    assert "side-band-64k" in commands.capabilities
    assert commands.changes == [Change(ZERO, NEW, "refs/heads/main"), Change(OLD, NEW, "refs/heads/b")]
    assert commands.kept(set()) == body[: -len(b"PACK")]
    left = commands.kept({"refs/heads/main"})
    assert left == packet(f"{OLD} {NEW} refs/heads/b".encode() + b"\0report-status side-band-64k") + b"0000"


def test_a_client_without_side_band_is_told_in_the_report_alone() -> None:
    commands = Commands()
    commands.feed(packet(f"{OLD} {NEW} refs/heads/main".encode() + b"\0report-status") + b"0000")
    report = Report(commands, {"refs/heads/main": "no"}, "told")
    assert report.end() == packet(b"unpack ok\n") + packet(b"ng refs/heads/main no\n") + b"0000"
    report = Report(commands)
    status = packet(b"unpack ok\n") + packet(b"ok refs/heads/main\n") + b"0000"
    assert b"".join(report.feed(status[i : i + 1]) for i in range(len(status))) == b""
    assert report.end() == status
    assert report.accepted == tuple(commands.changes)
