"""Views have a plain form, say status in words, and stop when told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest

from labkit.checks import catalogue
from labkit.checks.core import Status, run
from labkit.errors import ReadError
from labkit.views import diagram, rows
from labkit.views.cards import Results, card_html, card_text, summary
from labkit.views.live import LiveView
from labkit.views.progress import Progress
from labkit.views.surface import headless
from labkit.views.table import Table
from tests.labkit.healthy import cluster, evidence, raw_nodes
from tests.labkit.test_reports import outline


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_HEADLESS", "1")


def test_outside_a_kernel_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABKIT_HEADLESS")
    assert headless()


def test_a_table_is_aligned_text_and_html_with_headers() -> None:
    table = Table.of([{"pod": "web-1", "why": None}, {"pod": "a<b", "why": ["x", "y"]}], title="Pods & more")
    assert table.text() == "Pods & more\nPOD    WHY\nweb-1  -\na<b    x, y"
    parsed = outline(table.html())
    assert [attrs["scope"] for tag, attrs in parsed.tags if tag == "th"] == ["col", "col"]
    assert "a<b" in parsed.text
    assert "<b" not in table.html().replace("<tbody", "")


def test_a_table_shows_names_and_values_without_marks_of_python() -> None:
    table = Table.of([{"group": "rg", "tags": {"purpose": "lab", "rows": 2}}, {"group": "mc", "tags": {}}])
    assert table.text() == "GROUP  TAGS\nrg     purpose: lab, rows: 2\nmc     -"


def test_a_table_without_rows_says_so() -> None:
    assert Table.of([], title="Pods").text() == "Pods\n(nothing to show)"
    assert "nothing to show" in Table.of([]).html()


def test_a_long_word_of_a_table_may_be_broken_where_it_has_a_sign() -> None:
    row = {"taints": ["CriticalAddonsOnly=true:NoSchedule"], "node": "a-b", "who": "system:<x>:kube-system:collector"}
    shown = Table.of([row]).html()
    assert "CriticalAddonsOnly=<wbr>true:<wbr>NoSchedule" in shown
    assert ">a-b<" in shown
    assert "&lt;x&gt;" in shown
    assert "kube-<wbr>system:<wbr>collector" in shown
    assert outline(shown).text.count("CriticalAddonsOnly=true:NoSchedule") == 1


def test_a_long_table_scrolls_in_a_box_that_the_keys_reach_and_that_says_how_long_it_is() -> None:
    short, long = (Table.of([{"pod": f"web-{n}"} for n in range(count)], title="Pods") for count in (30, 31))
    assert "tabindex" not in short.html()
    parsed = outline(long.html())
    assert dict(parsed.tags)["div"] | {"style": ""} == {
        "role": "region",
        "tabindex": "0",
        "aria-label": "Pods: 31 rows",
        "style": "",
    }
    assert "31 rows" in parsed.text
    assert len(long.text().splitlines()) == 33


def test_nodes_and_pods_are_shown_in_kubectls_words() -> None:
    node = raw_nodes()[0]
    node["spec"]["unschedulable"] = True
    row = rows.node(node)
    assert row["status"] == "Ready,SchedulingDisabled"
    assert row["taints"] == ["CriticalAddonsOnly=true:NoSchedule"]
    pending: dict[str, Any] = {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {},
        "status": {
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}],
        },
    }
    assert rows.pod(pending) == {
        "pod": "web",
        "namespace": "default",
        "status": "Pending",
        "node": None,
        "why": "0/3 nodes are available",
    }
    pending["status"]["containerStatuses"] = [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]
    assert rows.pod(pending)["status"] == "ImagePullBackOff"
    pending["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
    assert rows.pod(pending)["status"] == "Terminating"


def test_a_pool_is_shown_with_its_bounds() -> None:
    row = rows.agent_pool(cluster()["properties"]["agentPoolProfiles"][0])
    assert (row["autoscaling"], row["surge"], row["state"]) == ("3 to 5", "33%", "Succeeded")


def one_result(status: Status) -> Any:
    seen = evidence()
    if status is Status.FAIL:
        seen.sources["cluster"]["sku"]["tier"] = "<Free>"
    return run(catalogue.checks()["cluster.sku-tier"], seen)


def test_a_card_says_its_status_in_words_and_hides_its_hints() -> None:
    result = one_result(Status.FAIL)
    parsed = outline(card_html(result))
    tags = [tag for tag, _ in parsed.tags]
    assert dict(parsed.tags)["section"]["aria-label"] == f"Failed: {result.title}"
    assert "Failed" in parsed.text
    assert tags.count("details") == 4
    assert not any("open" in attrs for tag, attrs in parsed.tags if tag == "details")
    assert parsed.text.index("A hint") < parsed.text.index("A second hint") < parsed.text.index("The solution")
    assert "<Free>" not in card_html(result)
    for part in (result.observed, result.expected, result.reason, result.object_id, result.next_command):
        assert part in parsed.text


def test_a_card_that_passed_shows_what_was_seen_and_gives_no_hints() -> None:
    result = one_result(Status.PASS)
    html = card_html(result)
    text = outline(html).text
    assert "Passed" in text
    assert "hint" not in text
    open_part, folded = html.split("<details>")
    assert result.observed in open_part
    assert result.expected in folded
    assert result.object_id in folded


def test_a_card_names_its_object_without_what_all_objects_of_azure_share() -> None:
    result = one_result(Status.FAIL)
    kept = card_html(result).split("<details>")[0]
    assert result.object_id.startswith("/subscriptions/")
    assert result.object_id not in kept
    assert f">managedClusters/{result.object_id.rsplit('/', 1)[-1]}<" in kept


def test_the_plain_card_holds_what_the_card_holds() -> None:
    result = one_result(Status.FAIL)
    text = card_text(result)
    for part in ("Failed", result.title, result.observed, result.expected, result.reason, result.next_command):
        assert part in text
    both = Results([result, one_result(Status.PASS)])
    assert summary(both) == "2 checks: 1 pass, 1 fail"
    assert not both.ok
    assert repr(both).startswith("2 checks")


def test_a_headless_bar_prints_a_line_for_each_change_only(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Progress("Creating the cluster")
    bar.update("Creating", 1.0)
    bar.update("Creating", 2.0)
    bar.update("Creating", 3.0, share=0.5, states={"pool a": "Succeeded"})
    bar.finish(True, "Succeeded", 4.0, {"aks": "Succeeded"})
    assert capsys.readouterr().out.splitlines() == [
        "Creating the cluster: Creating, 1 s",
        "Creating the cluster: Creating, 50%, 3 s; pool a Succeeded",
        "Creating the cluster: done after 4 s (Succeeded); aks Succeeded",
    ]


def test_a_bar_with_a_front_end_shows_a_share_only_where_one_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.views.progress.headless", lambda: False)
    monkeypatch.setattr("labkit.views.progress.show_widget", lambda widget: None)
    bar = Progress("Creating <it>")
    bar.update("Creating", 100.0)
    assert bar._bar.value == 0.0
    assert "&lt;it&gt;" in bar._line.value
    assert 'role="status"' in bar._line.value
    bar.update("Creating", 101.0, share=0.25, states={"pool": "Creating"})
    assert bar._bar.value == 0.25
    assert "25%" in bar._line.value
    bar.finish(False, "QuotaExceeded", 102.0, {"pool": "Failed"})
    assert "QuotaExceeded; pool Failed<" in bar._line.value
    assert bar._bar.bar_style == "danger"
    assert "Failed" in bar._line.value
    assert bar._bar.value == 0.25


class FakeReader:
    """A list and a watch that the test feeds."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        self.items = {item["metadata"]["name"]: item for item in items}
        self.lists = 0
        self.events: list[dict[str, Any]] = []
        self.feed = threading.Condition()
        self.broken = False

    def get(self, path: str, query: Any = None) -> dict[str, Any]:
        self.lists += 1
        return {"metadata": {"resourceVersion": "1"}, "items": list(self.items.values())}

    def watch(
        self, path: str, version: str, *, seconds: int, opened: Callable[[Any], None]
    ) -> Iterator[dict[str, Any]]:
        while True:
            with self.feed:
                self.feed.wait_for(lambda: bool(self.events) or self.broken, timeout=0.05)
                if self.broken:
                    self.broken = False
                    raise ReadError("the connection was lost", 0)
                waiting, self.events = self.events, []
            if not waiting:
                return
            yield from waiting

    def close(self) -> None:
        self.closed = True

    def send(self, kind: str, item: dict[str, Any]) -> None:
        with self.feed:
            self.events.append({"type": kind, "object": item})
            self.feed.notify_all()


def pod(name: str, phase: str = "Running") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {}, "status": {"phase": phase}}


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_live_view_follows_the_cluster_and_stops_when_told(capsys: pytest.CaptureFixture[str]) -> None:
    reader = FakeReader([pod("a"), pod("b")])
    view = LiveView(reader, "/api/v1/pods", rows.pod, "Pods")  # type: ignore[arg-type]
    assert view.running
    reader.send("ADDED", pod("c", "Pending"))
    reader.send("MODIFIED", pod("a", "Succeeded"))
    reader.send("DELETED", pod("b"))
    reader.send("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
    eventually(lambda: [(row["pod"], row["status"]) for row in view.rows()] == [("a", "Succeeded"), ("c", "Pending")])
    view.stop()
    assert not view.running
    assert reader.closed
    out = capsys.readouterr().out
    assert out.count("Pods\n") == 2
    assert out.rstrip().endswith("-")
    reader.send("ADDED", pod("late"))
    time.sleep(0.1)
    assert len(view.rows()) == 2


def test_a_live_view_lists_again_after_410() -> None:
    reader = FakeReader([pod("a")])
    view = LiveView(reader, "/api/v1/pods", rows.pod, "Pods")  # type: ignore[arg-type]
    reader.items = {"new": pod("new")}
    reader.send("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})
    eventually(lambda: [row["pod"] for row in view.rows()] == ["new"])
    view.stop()
    assert reader.lists == 2


def test_a_live_view_goes_on_after_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = FakeReader([pod("a")])
    view = LiveView(reader, "/api/v1/pods", rows.pod, "Pods")  # type: ignore[arg-type]
    reader.items["b"] = pod("b")
    with reader.feed:
        reader.broken = True
        reader.feed.notify_all()
    eventually(lambda: len(view.rows()) == 2)
    assert view.running
    view.stop()


def test_a_live_view_ends_by_itself() -> None:
    view = LiveView(FakeReader([]), "/api/v1/pods", rows.pod, "Pods", minutes=0.001)  # type: ignore[arg-type]
    eventually(lambda: not view.running)


def test_the_diagram_says_in_words_what_it_shows() -> None:
    picture = diagram.pools(cluster(), raw_nodes())
    root = ElementTree.fromstring(picture.svg)
    space = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    title, description = root.find(f"{space}title"), root.find(f"{space}desc")
    assert title is not None
    assert description is not None
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert description.text == picture.description == repr(picture)
    assert (
        "Pool system1, mode System, Standard_D4ds_v5, CriticalAddonsOnly=true:NoSchedule: 1 in zone 1"
        in picture.description
    )
    drawn = [element.text for element in root.iter(f"{space}text")]
    assert drawn.count("Ready") == 6


def test_the_diagram_of_a_pool_with_many_nodes_says_how_many_more() -> None:
    crowd = [raw_nodes()[0] for _ in range(40)]
    picture = diagram.pools(cluster(), crowd)
    assert "40 in zone 1" in picture.description
    assert "more</text>" in picture.svg


def test_a_cluster_without_nodes_can_be_drawn() -> None:
    picture = diagram.pools({"name": "x", "properties": {}}, [])
    ElementTree.fromstring(picture.svg)
    assert picture.description == "Node pools of x. There are none."


def test_rows_of_a_log_query_have_their_columns_and_times_to_the_second() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    row = rows.log(["TimeGenerated", "who", "code"])([moment, "ada", 403])
    assert row == {"TimeGenerated": "2026-01-02 03:04:05", "who": "ada", "code": 403}
    shown = Table.of([row], ["TimeGenerated", "who", "code"], "Refused").text()
    assert "2026-01-02 03:04:05  ada  403" in shown


def test_an_event_is_shown_by_when_it_was_last_seen_to_the_second() -> None:
    item = {
        "lastTimestamp": None,
        "eventTime": "2026-11-25T20:11:06.254821Z",
        "involvedObject": {"kind": "Pod", "name": "x"},
    }
    assert rows.event(item)["last"] == "2026-11-25 20:11:06"
    assert rows.event(item)["object"] == "pod/x"


def test_what_is_between_two_dollars_is_not_made_a_formula() -> None:
    result = one_result(Status.PASS)
    assert "mathjax_ignore" in card_html(result).partition(">")[0]
    assert "mathjax_ignore" in Table.of([{"pattern": "^a$|^b$"}]).html().partition(">")[0]
