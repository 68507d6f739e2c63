"""Archives that came from elsewhere: read without links, within bounds, whatever they say of themselves.

A tar's own numbers bound its files. What they leave open is bounded here: extended headers, which Python reads whole, and
what is only skipped (a gigabyte of zeros is a megabyte of gzip).
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

LONGEST_HEADER = 1 << 20  # bytes of an extended header (Go, archive/tar, maxSpecialFileSize)
_BESIDES = 16 << 20  # bytes that headers and padding may take besides the files
_GZIP = b"\x1f\x8b"
_EXTENDED = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


class _Member(tarfile.TarInfo):
    """A member whose extended header is no larger than Go reads."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _EXTENDED and self.size > LONGEST_HEADER:
            raise tarfile.ReadError("archive/tar: header field too long")
        return cast(tarfile.TarInfo, super()._proc_member(archive))  # type: ignore[misc]


class _Bounded(io.RawIOBase):
    """Decompressed data that ends with an error after `limit` bytes."""

    def __init__(self, source: BinaryIO, limit: int) -> None:
        self._source, self._limit = source, limit

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self._check(self.tell() + max(size, 0))
        return self._source.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._check(offset)
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()

    def _check(self, position: int) -> None:
        if position > self._limit + _BESIDES:
            raise tarfile.ReadError(f"the archive is larger than {self._limit} bytes")


@contextmanager
def opened(data: bytes, limit: int, *, plain: bool = False) -> Iterator[tarfile.TarFile]:
    """A .tar.gz, or with `plain` a .tar too, that unpacks to some `limit` bytes at most.

    Whoever reads it counts the bytes of its files, and has its own words for too many. Raises tarfile.TarError.
    """
    try:
        source = cast(
            BinaryIO, io.BytesIO(data) if plain and data[:2] != _GZIP else gzip.GzipFile(fileobj=io.BytesIO(data))
        )
        bounded = cast(BinaryIO, _Bounded(source, limit))
        with tarfile.open(fileobj=bounded, mode="r:", tarinfo=_Member) as archive:
            yield archive
    except EOFError:
        raise tarfile.ReadError("unexpected EOF") from None
    except (OSError, zlib.error) as error:
        raise tarfile.ReadError(str(error)) from error
