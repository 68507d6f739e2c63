from __future__ import annotations

from azsandbox.flux.notification.duplicates import Duplicates, identity
from tests.azsandbox.flux.notification.events import KUSTOMIZE, event


def test_the_same_event_goes_through_once_in_an_interval() -> None:
    seen = Duplicates(300)
    assert [seen.is_new("a", now) for now in (0, 1, 299, 300, 301, 900)] == [True, False, False, True, False, True]
    assert seen.is_new("b", 1)


def test_what_has_not_been_heard_of_for_two_intervals_is_forgotten() -> None:
    seen = Duplicates(300)
    for number in range(100):
        assert seen.is_new(str(number), 0)
    assert seen.is_new("late", 1000)
    assert len(seen._seen) == 1


def test_events_are_the_same_that_say_the_same_of_one_object_at_one_revision() -> None:
    same = identity(event(timestamp="2026-11-25T11:00:00Z", reason="Other"))
    assert identity(event()) == same
    assert identity(event("other")) != same
    assert identity(event(metadata={f"{KUSTOMIZE}/revision": "main@sha1:2"})) != same
    assert identity(event(metadata={f"{KUSTOMIZE}/revision": "main@sha1:2", f"{KUSTOMIZE}/token": "1"})) != identity(
        event(metadata={f"{KUSTOMIZE}/revision": "main@sha1:2", f"{KUSTOMIZE}/token": "2"})
    )
