"""Archives that are made to do harm."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azsandbox.flux import archives
from azsandbox.flux.helm.charts import BadChart, ChartArchive
from azsandbox.flux.kustomize.tree import Tree
from azsandbox.flux.source.chart import ChartError, unpack
from azsandbox.flux.source.tree import unarchived

MIB = 1 << 20


def _kustomize(data: bytes, tmp_path: Path) -> Any:
    file = tmp_path / "artifact.tar.gz"
    file.write_bytes(data)
    return Tree.read(file)


READERS: list[Callable[[bytes, Path], Any]] = [
    lambda data, _: unarchived(data),
    lambda data, _: unpack(data),
    lambda data, _: ChartArchive.read(data),
    _kustomize,
]


def zeros(kind: bytes, size: int) -> bytes:
    """A .tar.gz with a member of a kind that says it is followed by `size` zeros, and is."""
    member = tarfile.TarInfo("a/b")
    member.type, member.size = kind, size
    return gzip.compress(member.tobuf(tarfile.USTAR_FORMAT) + bytes(size + 2 * tarfile.BLOCKSIZE), 1)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_an_extended_header_is_not_read_into_memory_beyond_a_mebibyte(
    read: Callable[[bytes, Path], Any], kind: bytes, tmp_path: Path
) -> None:
    data = zeros(kind, 24 * MIB)
    tracemalloc.start()
    with pytest.raises((tarfile.TarError, ChartError, BadChart), match="header field too long"):
        read(data, tmp_path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 * MIB


def test_what_is_only_skipped_is_bounded_too() -> None:
    with (
        pytest.raises(tarfile.TarError, match="larger than 1000 bytes"),
        archives.opened(zeros(b"?", 24 * MIB), 1000) as tar,
    ):
        list(tar)


@pytest.mark.parametrize("read", READERS)
def test_links_and_devices_are_left_out(read: Callable[[bytes, Path], Any], tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, kind in (("soft", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("pipe", tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(f"chart/{name}")
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            member = tarfile.TarInfo("chart/device")
            member.type, member.devmajor, member.devminor = kind, 1, 3
            tar.addfile(member)
        member = tarfile.TarInfo("chart/Chart.yaml")
        member.size = 8
        tar.addfile(member, io.BytesIO(b"name: a\n"))
    found = read(packed.getvalue(), tmp_path)
    assert [name.rpartition("/")[2] for name in found.files] == ["Chart.yaml"]
