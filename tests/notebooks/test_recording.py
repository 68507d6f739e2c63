"""Recordings of lessons find what changed, and nothing else."""

from __future__ import annotations

from typing import Any

import nbformat

from tests.notebooks import recording


def notebook(*cells: tuple[str, str]) -> Any:
    """A notebook of cells of code, each with what it printed."""
    made: Any = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    for index, (source, printed) in enumerate(cells):
        cell: Any = nbformat.v4.new_code_cell(source, id=f"c{index}")  # type: ignore[no-untyped-call]
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=printed)]  # type: ignore[no-untyped-call]
        made.cells.append(cell)
    return made


def differs(kept: str, seen: str) -> bool:
    first, second = (recording.normalised(notebook(("x", text))).cells[0].outputs for text in (kept, seen))
    return bool(first != second)


def test_names_times_and_ids_of_a_run_are_no_difference() -> None:
    assert not differs("pod/web-6bf8d86cd8-kg7j7 deleted after 3 s", "pod/web-5c9f7d6b44-x2x4z deleted after 12 s")
    assert not differs("2026-11-25 20:11:06  main@sha1:5e29305d", "2027-01-02 03:04:05  main@sha1:bb522110")
    assert not differs("group e7991f2f-0705-59d0-b339-8a2df2ee894a", "group 2f40b9ab-dded-5348-ab6a-8e7d527d512a")
    assert not differs("Containers  Free  P29DT23H54M", "Containers  Free  P29DT23H9M")
    assert not differs("A: Creating, 1 s\nA: done after 2 s (Succeeded)\nMade", "A: done after 9 s (Succeeded)\nMade")


def test_what_git_and_a_key_are_named_is_no_difference_whatever_letters_it_has() -> None:
    assert not differs("Pushed 1234567d: Add Flux", "Pushed abcdefab: Add Flux")
    assert not differs("[main abcdefa] Revert", "[main 12e4567] Revert")
    assert not differs(" Date: Thu Nov 26 01:02:03 2026 +0000", " Date: Fri Jan 1 10:20:30 2027 +0000")
    assert not differs("hello-6bf8d86cd8-kg7j7", "hello-66bdbf8ccb-x2x4z")
    assert not differs("AALruWz07dkfJiGUwF2v4ilAd9rMeVjx7oh-kJRFDDo", "-_L7uWz07dkfJiGUwF2v4ilAd9rMeVjx7oh-kJRFDDo")


def test_words_and_counts_are_a_difference() -> None:
    assert differs("Pushed 1234567d: Add Flux", "Nothing to commit; main is at 1234567d.")
    assert differs("ContainerRegistriesVulnerabilityAssessments  True", "AgentlessDiscoveryForKubernetes  True")
    assert differs("2 checks: 2 pass", "2 checks: 1 pass, 1 fail")
    assert differs("10.10.0.0/22", "10.10.0.0/24")
    assert differs('User "ada" cannot list', 'User "ada" cannot get')
    assert differs("tier Standard", "tier Premium")


def test_only_what_was_the_same_in_all_runs_is_recorded() -> None:
    runs = [notebook(("steady", "same"), ("chance", number), ('lab.kubectl("get pods")', "same")) for number in "ab"]
    kept = recording.agreed(runs)
    assert [cell.metadata.get("recorded") for cell in kept.cells] == [None, "varies", "varies"]
    assert [len(cell.outputs) for cell in kept.cells] == [1, 0, 0]


def test_a_check_that_judges_by_the_date_is_not_recorded() -> None:
    kept = recording.agreed([notebook(("x", "! Works: Node image is recent (cluster.node-image-current, medium)"))])
    assert kept.cells[0].metadata["recorded"] == "varies"


def test_what_fails_for_a_moment_is_not_recorded() -> None:
    kept = recording.agreed([notebook(("x", "seen: Kustomization flux-system/apps: Ready False, BuildFailed"))])
    assert kept.cells[0].metadata["recorded"] == "varies"


def test_a_cell_that_was_changed_since_is_not_compared_and_lowers_the_share() -> None:
    recorded = recording.agreed([notebook(("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"))])
    now = notebook(("a", "1"), ("b", "2"), ("changed", "other"), ("d", "5"))
    assert recording.share(recorded, now) == 0.75
    kept, seen = recording.compared(recorded, now)
    assert [cell.id for cell in kept.cells] == [cell.id for cell in seen.cells] == ["c0", "c1", "c3"]
    assert kept.cells[0] == seen.cells[0]
    assert kept.cells[2] != seen.cells[2]
