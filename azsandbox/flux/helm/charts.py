"""A chart as an archive: its files, and the few changes that are made to them before Helm reads it."""

from __future__ import annotations

import base64
import io
import re
import tarfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from azsandbox.flux import archives
from azsandbox.kubernetes.schema import yaml_text

LARGEST = 100 << 20  # bytes that a chart may have unpacked (helm.sh/helm/v4, pkg/chart/loader/archive)
_VERSION = re.compile(rb"^version:.*$", re.MULTILINE)
_MARK = b"\xef\xbb\xbf"  # of UTF-8
_CHART, _VALUES, _SCHEMA, _LOCK = "Chart.yaml", "values.yaml", "values.schema.json", "Chart.lock"
_READ = frozenset((_CHART, _VALUES, _SCHEMA, _LOCK, "requirements.yaml", "requirements.lock"))


class BadChart(Exception):
    """An archive that is no chart; the message is Helm's."""


@dataclass(frozen=True)
class ChartArchive:
    """A chart's files by path below its own folder. Changes make another archive."""

    files: dict[str, bytes]
    folder: str
    times: dict[str, float] = field(default_factory=dict)  # when files were changed, in seconds
    original: bytes = b""  # as it came, while nothing is changed

    @classmethod
    def read(cls, data: bytes) -> ChartArchive:
        """The files of a .tgz. Raises BadChart."""
        files: dict[str, bytes] = {}
        times: dict[str, float] = {}
        folder = ""
        size = 0
        try:
            with archives.opened(data, LARGEST) as archive:
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
                    files[rest] = source.read().removeprefix(_MARK)
                    times[rest] = member.mtime
        except tarfile.TarError as error:
            text = "unexpected EOF" if "read" in str(error) else str(error)
            raise BadChart(text) from None
        if not files:
            raise BadChart("no files in chart archive")
        return cls(files, folder, times, data)

    def recorded(self) -> dict[str, Any]:
        """The part of a release's record that shows the chart as it came: files of its own, not its dependencies'."""
        templates = [name for name in self.files if name.startswith("templates/")]
        others = [
            name
            for name in self.files
            if name not in _READ
            and not name.startswith("templates/")
            and (not name.startswith("charts/") or name.endswith(".prov"))
        ]
        schema = self.files.get(_SCHEMA)
        return {
            "lock": self._lock(),
            "templates": [self._file(name) for name in templates] or None,
            "schema": base64.b64encode(schema).decode() if schema else None,
            "schemamodtime": self._time(_SCHEMA) if _SCHEMA in self.files else "0001-01-01T00:00:00Z",
            "files": [self._file(name) for name in others] or None,
            "modtime": self._time(_CHART),
        }

    def _file(self, name: str) -> dict[str, str]:
        return {"name": name, "data": base64.b64encode(self.files[name]).decode(), "modtime": self._time(name)}

    def _time(self, name: str) -> str:
        found = datetime.fromtimestamp(self.times.get(name, 0.0), UTC).isoformat()
        whole, _, part = found.removesuffix("+00:00").partition(".")
        return f"{whole}.{part.rstrip('0')}Z" if part else f"{whole}Z"

    def _lock(self) -> dict[str, Any] | None:
        """Which versions of its dependencies a chart was made with."""
        text = self.files.get(_LOCK)
        try:
            found = yaml_text.parse(text)[0] if text else None
        except yaml_text.BadYaml:
            return None
        if not isinstance(found, dict):
            return None
        dependencies = [
            {key: one.get(key, "") for key in ("name", "version", "repository")}
            for one in found.get("dependencies") or ()
        ]
        return {key: found.get(key, "") for key in ("generated", "digest")} | {"dependencies": dependencies}

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
        return ChartArchive(found, self.folder, self.times)

    def of_version(self, version: str) -> ChartArchive:
        """The chart under another version."""
        line = f"version: {orjson.dumps(version).decode()}".encode()
        text = self.files.get(_CHART, b"")
        return self.changed(chart=_VERSION.sub(lambda _: line, text, count=1))

    def without_schemas(self) -> ChartArchive:
        """The chart with no schema to hold its values to, nor its dependencies'."""
        found = {name: content for name, content in self.files.items() if name.rpartition("/")[2] != _SCHEMA}
        return ChartArchive(found, self.folder, self.times)

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
