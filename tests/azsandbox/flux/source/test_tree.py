"""Trees and their archives."""

from __future__ import annotations

import io
import tarfile

import pytest

from azsandbox.flux.source.tree import File, Tree, archive, gzipped, unarchived


def tree() -> Tree:
    return Tree({"b/x.sh": File(b"echo", executable=True), "a.yaml": File(b"a: 1"), "b/link": File(b"x", link=True)})


def test_equal_trees_give_equal_archives_whatever_the_order() -> None:
    files = tree().files
    assert archive(tree()) == archive(Tree(dict(reversed(files.items()))))


def test_an_archive_holds_files_and_folders_with_modes_of_their_kind_and_no_links() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive(tree()))) as found:
        assert [(m.name, oct(m.mode), m.mtime) for m in found] == [
            ("a.yaml", "0o600", 0),
            ("b", "0o750", 0),
            ("b/x.sh", "0o700", 0),
        ]


def test_an_archive_read_back_is_the_tree() -> None:
    found = unarchived(archive(tree()))
    assert found.files == {path: file for path, file in tree().files.items() if not file.link}


def test_what_leads_out_of_an_archive_is_refused() -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as out:
        out.addfile(tarfile.TarInfo("../x"))
    with pytest.raises(tarfile.TarError, match=r"\.\./x"):
        unarchived(gzipped(raw.getvalue()))


def test_an_archive_that_grows_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("azsandbox.flux.source.tree.MOST_UNPACKED", 1000)
    with pytest.raises(tarfile.TarError, match='tar "big" is bigger than max archive size of 1000 bytes'):
        unarchived(archive(Tree({"big": File(b"0" * 1001)})))


def test_a_sparse_checkout_keeps_paths_that_begin_with_a_folder() -> None:
    found = Tree({"apps/a": File(b""), "apps2/a": File(b""), "infra/a": File(b"")}).only(["./apps"])
    assert set(found.files) == {"apps/a", "apps2/a"}


def test_an_inner_tree_is_put_where_asked_and_found_below() -> None:
    outer = tree()
    outer.put("./inner/", Tree({"c.yaml": File(b"c")}))
    assert outer.holds("inner/c.yaml")
    assert set(outer.below("inner").files) == {"c.yaml"}
    assert outer.holds("inner/../b")
