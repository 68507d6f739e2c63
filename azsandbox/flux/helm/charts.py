"""A chart as an archive: its files, and the few changes that are made to them before Helm reads it."""

from __future__ import annotations

import io
import re
import tarfile
from dataclasses import dataclass
from typing import Any

import orjson

LARGEST = 100 << 20  # bytes that a chart may have unpacked (helm.sh/helm/v4, pkg/chart/loader/archive)
_VERSION = re.compile(rb"^version:.*$", re.MULTILINE)
_CHART, _VALUES, _SCHEMA = "Chart.yaml", "values.yaml", "values.schema.json"


class BadChart(Exception):
    """An archive that is no chart; the message is Helm's."""


@dataclass(frozen=True)
class ChartArchive:
    """A chart's files by path below its own folder. Changes make another archive."""

    files: dict[str, bytes]
    folder: str
    original: bytes = b""  # as it came, while nothing is changed

    @classmethod
    def read(cls, data: bytes) -> ChartArchive:
        """The files of a .tgz. Raises BadChart."""
        files: dict[str, bytes] = {}
        folder = ""
        size = 0
        try:
            with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
                for member in archive:
                    source = archive.extractfile(member) if member.isfile() else None
                    if source is None:
                        continue
                    size += member.size
                    if size > LARGEST:
                        raise BadChart(f"decompressed chart is larger than the maximum size {LARGEST} bytes")
                    top, _, rest = member.name.removeprefix("./").partition("/")
                    if not rest:
                        raise BadChart("chart illegally contains content outside the base directory")
                    folder = folder or top
                    files[rest] = source.read()
        except (tarfile.TarError, OSError, EOFError) as error:
            text = "unexpected EOF" if isinstance(error, EOFError) or "read" in str(error) else str(error)
            raise BadChart(text) from None
        if not files:
            raise BadChart("no files in chart archive")
        return cls(files, folder, data)

    def mentions(self, word: str) -> bool:
        """Whether a word is in its templates or values, its dependencies' included."""
        data = word.encode()
        return any(data in content for name, content in self.files.items() if is_template(name) or is_values(name))

    def changed(self, **files: bytes | None) -> ChartArchive:
        """With files of other content, or without those that are None. Names: `chart`, `values`, `schema`."""
        names = {"chart": _CHART, "values": _VALUES, "schema": _SCHEMA}
        found = {**self.files, **{names[key]: content for key, content in files.items() if content is not None}}
        for key, content in files.items():
            if content is None:
                found.pop(names[key], None)
        return ChartArchive(found, self.folder)

    def of_version(self, version: str) -> ChartArchive:
        """The chart under another version."""
        line = f"version: {orjson.dumps(version).decode()}".encode()
        text = self.files.get(_CHART, b"")
        return self.changed(chart=_VERSION.sub(lambda _: line, text, count=1))

    def without_schemas(self) -> ChartArchive:
        """The chart with no schema to hold its values to, nor its dependencies'."""
        found = {name: content for name, content in self.files.items() if name.rpartition("/")[2] != _SCHEMA}
        return ChartArchive(found, self.folder)

    def with_values(self, values: dict[str, Any]) -> ChartArchive:
        """The chart with other default values."""
        return self.changed(values=orjson.dumps(values))

    def pack(self) -> bytes:
        """The archive as a .tgz."""
        if self.original:
            return self.original
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
            for name, content in self.files.items():
                member = tarfile.TarInfo(f"{self.folder}/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return buffer.getvalue()


def is_template(name: str) -> bool:
    """Whether a file of a chart, or of one of its dependencies, is a template."""
    return name.startswith("templates/") or "/templates/" in name


def is_values(name: str) -> bool:
    """Whether a file has values."""
    return name.rpartition("/")[2] == _VALUES
