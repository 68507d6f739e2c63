"""The state: what reaches the disk and what memory says stay one, also where the disk is full or the file is not ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from azsandbox.store import FORMAT, CannotWrite, Store, Unusable


def contents(store: Store) -> dict[str, bytes]:
    return {record.key: record.value for record in store.bucket("b").list("c")}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "state.db")
    for key in ("changed", "deleted"):
        made.bucket("b").create("c", key, b"before")
    return made


def test_writes_that_are_undone_together_leave_memory_as_it_was(store: Store, tmp_path: Path) -> None:
    bucket = store.bucket("b")
    watch = bucket.watch("c")
    with pytest.raises(RuntimeError), store.atomic():
        bucket.create("c", "new", b"after")
        bucket.update("c", "changed", b"after")
        bucket.delete("c", "deleted")
        raise RuntimeError
    before = {"changed": b"before", "deleted": b"before"}
    assert contents(store) == before
    assert [(event.type, event.key, event.value) for event in watch.pending()[3:]] == [
        ("ADDED", "deleted", b"before"),
        ("MODIFIED", "changed", b"before"),
        ("DELETED", "new", b"after"),
    ]
    bucket.create("c", "next", b"1")
    store.close()
    again = Store(tmp_path / "state.db")
    assert contents(again) == before | {"next": b"1"}
    assert again.bucket("b").revision == bucket.revision


def test_a_full_disk_takes_nothing_half_and_works_again_with_room(store: Store) -> None:
    (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
    store.connection.execute(f"PRAGMA max_page_count = {pages}")
    bucket, before = store.bucket("b"), contents(store)
    with pytest.raises(CannotWrite, match="cannot be written: database or disk is full"), store.atomic():
        bucket.update("c", "changed", b"small")
        bucket.create("c", "large", b"x" * 100_000)
    assert contents(store) == before
    with pytest.raises(CannotWrite, match="cannot be written: database or disk is full"):
        bucket.create("c", "large", b"x" * 100_000)
    assert contents(store) == before
    store.connection.execute("PRAGMA max_page_count = 100000")
    bucket.create("c", "large", b"x" * 100_000)
    assert set(contents(store)) == {"changed", "deleted", "large"}


def test_a_file_from_before_formats_were_numbered_is_read(store: Store, tmp_path: Path) -> None:
    store.connection.execute("PRAGMA user_version = 0")
    store.close()
    again = Store(tmp_path / "state.db")
    assert set(contents(again)) == {"changed", "deleted"}
    assert again.connection.execute("PRAGMA user_version").fetchone() == (FORMAT,)


def test_a_file_of_a_newer_version_is_refused_and_left_as_it_is(store: Store, tmp_path: Path) -> None:
    store.connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    store.close()
    with pytest.raises(Unusable, match=f"its format is {FORMAT + 1}, and this one knows up to {FORMAT}"):
        Store(tmp_path / "state.db")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"no database" * 1000)
    with pytest.raises(Unusable, match=r"state\.db is damaged \(file is not a database\)"):
        Store(tmp_path / "state.db")
